/* SPDX-License-Identifier: MIT */
/*
 * Differential test of the base table: the same random blocks on the interpreter and on the runner (under qemu-aarch64), final
 * registers and memory compared. With "unicorn" for RUNNER the other side is Unicorn, in this process.
 *
 *   base_diff RUNNER ELSEWHERE [TIMES [SEED]]
 *   base_diff unicorn SETTLED [TIMES [SEED]]
 *
 * Every line is run at least TIMES (1000) times, or ELSEWHERE names the test that covers it. A block that differs is run again
 * cut after each unit, to name the unit at fault. Prints the coverage; a line below TIMES fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unicorn/oracle.h"
#include "generate.h"
#include "rig.h"

#define MAX_COMPLAINTS 20

static const char *runner;
static bool unicorn;
static struct rig *rig;
static unsigned nr_wrong;

/* The blocks are in place: run_rig put them where Unicorn looks, too. At EL1, where it is when new. */
static bool run_unicorn(const struct diff_block *blocks, unsigned n, struct diff_result *out)
{
	const char *reason;
	struct oracle *o = oracle_create(&reason);
	u64 *arena = (u64 *)(uintptr_t)DIFF_ARENA;

	if (!o)
		return false;
	oracle_map(o, DIFF_CODE, (u64)DIFF_MAX_BLOCKS * DIFF_STRIDE, (void *)(uintptr_t)DIFF_CODE);
	oracle_map(o, DIFF_ARENA, DIFF_ARENA_SIZE, arena);
	for (unsigned i = 0; i < n; i++) {
		struct diff_result *r = &out[i];
		u64 begin = DIFF_CODE + (u64)i * DIFF_STRIDE;
		struct oracle_stop stop;
		u32 pstate;

		diff_arena_fill(arena, blocks[i].seed);
		oracle_set_state(o, &blocks[i].in, 0x3c5);
		stop = oracle_run(o, begin, 0);
		memset(r, 0, sizeof(*r));
		oracle_get_state(o, &r->out, &pstate);
		r->arena = diff_arena_hash(arena);
		if (stop.exception == ORACLE_SVC && stop.pc == begin + DIFF_END * 4 + 4)
			continue;
		r->pc = stop.pc;
		r->fault = stop.exception == ORACLE_UNDEF ? DIFF_FAULT_UNDEF
			   : stop.error			  ? DIFF_FAULT_MEMORY
							  : DIFF_FAULT_OTHER;
	}
	oracle_destroy(o);
	return true;
}

static bool run_runner(const struct diff_block *blocks, unsigned n, struct diff_result *out)
{
	char in_path[] = "/tmp/diff-inXXXXXX", out_path[] = "/tmp/diff-outXXXXXX";
	int in = mkstemp(in_path), res = mkstemp(out_path), status;
	size_t size = n * sizeof(*blocks);
	bool ok = false;
	pid_t pid;

	if (unicorn)
		return run_unicorn(blocks, n, out);
	if (in < 0 || res < 0 || write(in, blocks, size) != (ssize_t)size)
		goto out;
	pid = fork();
	if (!pid) {
#if defined(__aarch64__)
		execl(runner, runner, in_path, out_path, NULL);
#else
		execlp("qemu-aarch64-static", "qemu-aarch64-static", "-cpu",
		       "max,pauth=off,sve=off,sme=off", runner, in_path, out_path, NULL);
#endif
		_exit(127);
	}
	if (waitpid(pid, &status, 0) == pid && !status)
		ok = pread(res, out, n * sizeof(*out), 0) == (ssize_t)(n * sizeof(*out));
	else
		printf("# runner ended with status %x\n", status);
out:
	close(in);
	close(res);
	unlink(in_path);
	unlink(out_path);
	return ok;
}

static void run_rig(const struct diff_block *blocks, unsigned n, struct diff_result *out)
{
	u32 *code = (u32 *)(uintptr_t)DIFF_CODE;
	u64 *arena = (u64 *)(uintptr_t)DIFF_ARENA;
	struct vcpu_arch *a = &rig->v.arch;

	for (unsigned i = 0; i < n; i++) {
		u32 *c = code + i * (DIFF_STRIDE / 4);

		memcpy(c, blocks[i].insn, blocks[i].nr_insn * 4);
		c[blocks[i].nr_insn] = 0x14000000 | (DIFF_END - blocks[i].nr_insn);
		c[DIFF_END] = 0xd4000001;
		memcpy(c + DIFF_POOL, blocks[i].pool, sizeof(blocks[i].pool));
	}
	rig_drop_code(rig, DIFF_CODE, DIFF_CODE + (u64)DIFF_MAX_BLOCKS * DIFF_STRIDE);
	for (unsigned i = 0; i < n; i++) {
		const struct diff_state *s = &blocks[i].in;
		struct diff_result *r = &out[i];
		u64 begin = DIFF_CODE + (u64)i * DIFF_STRIDE;
		enum rig_exit exit;

		diff_arena_fill(arena, blocks[i].seed);
		memcpy(a->x, s->x, sizeof(s->x));
		a->x[REG_ZR] = 0;
		a->x[REG_SP] = s->sp;
		memcpy(a->v, s->v, sizeof(s->v));
		a->nzcv = (u32)s->nzcv;
		a->fpcr = (u32)s->fpcr;
		a->fpsr = (u32)s->fpsr;
		a->excl.size = 0;
		a->pc = begin;
		rig->limit = rig->v.stats.instructions + 1000000;
		exit = rig_run(rig);
		memset(r, 0, sizeof(*r));
		memcpy(r->out.x, a->x, sizeof(r->out.x));
		r->out.sp = a->x[REG_SP];
		memcpy(r->out.v, a->v, sizeof(r->out.v));
		r->out.nzcv = a->nzcv;
		r->out.fpcr = a->fpcr;
		r->out.fpsr = a->fpsr;
		r->arena = diff_arena_hash(arena);
		if (exit == RIG_SVC && a->pc == begin + DIFF_END * 4)
			continue;
		r->pc = a->pc;
		r->fault = exit == RIG_UNDEF   ? DIFF_FAULT_UNDEF
			   : exit == RIG_FAULT ? DIFF_FAULT_MEMORY
					       : DIFF_FAULT_OTHER;
		if (a->x[REG_ZR])
			printf("# the zero register holds %llx\n",
			       (unsigned long long)a->x[REG_ZR]);
	}
}

static void print_difference(const struct diff_result *a, const struct diff_result *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	for (unsigned i = 0; i < sizeof(*a) / 8; i++) {
		char name[16];

		if (x[i] == y[i])
			continue;
		if (i < 31)
			snprintf(name, sizeof(name), "x%u", i);
		else if (i == 31)
			snprintf(name, sizeof(name), "sp");
		else if (i < 96)
			snprintf(name, sizeof(name), "v%u.d[%u]", (i - 32) / 2, i & 1);
		else
			snprintf(name, sizeof(name), "%s",
				 (const char *[]){"nzcv", "fpcr", "fpsr", "fault pc", "memory",
						  "fault"}[i - 96]);
		printf("#   %-10s interpreter %016llx runner %016llx\n", name,
		       (unsigned long long)x[i], (unsigned long long)y[i]);
	}
}

/* Runs the block cut after each unit, all cuts as blocks of one file; names the first that differs. */
static void find_culprit(const struct gen_block *g)
{
	struct diff_block *cut = calloc(GEN_MAX_UNITS, sizeof(*cut));
	struct diff_result *x = calloc(GEN_MAX_UNITS, sizeof(*x)),
			   *y = calloc(GEN_MAX_UNITS, sizeof(*y));
	unsigned first;

	for (unsigned i = 0; i < g->nr_units; i++) {
		cut[i] = g->block;
		cut[i].nr_insn = g->unit[i].end;
	}
	run_rig(cut, g->nr_units, x);
	if (run_runner(cut, g->nr_units, y)) {
		for (first = 0; first < g->nr_units; first++)
			if (memcmp(&x[first], &y[first], sizeof(*x)))
				break;
		if (first < g->nr_units) {
			const struct gen_unit *u = &g->unit[first];

			printf("# %s %08x differs\n", a64_info[u->op].name, g->block.insn[u->insn]);
			print_difference(&x[first], &y[first]);
			if (first) {
				const struct diff_state *before = &x[first - 1].out;
				u32 w = g->block.insn[u->insn];
				unsigned r[] = {w & 31, w >> 5 & 31, w >> 16 & 31, w >> 10 & 31};

				for (unsigned k = 0; k < 4; k++)
					printf("#   before the unit: x%u %016llx\n", r[k],
					       (unsigned long long)(r[k] < 31 ? before->x[r[k]]
									      : before->sp));
				printf("#   nzcv %08llx, the unit:",
				       (unsigned long long)before->nzcv);
				for (unsigned k = g->unit[first - 1].end; k < u->end; k++)
					printf(" %08x", g->block.insn[k]);
				printf("\n");
			}
		} else {
			printf("# a block differs, but none of its cuts does\n");
		}
	}
	free(cut);
	free(x);
	free(y);
}

static bool named_in(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	char line[256], first[64];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%63s", first) == 1 && !strcmp(first, name);
	if (f)
		fclose(f);
	return found;
}

/* SETTLED takes lines away from the comparison with Unicorn; qemu-user runs them. */
static bool covers(enum a64_op op, const char *list)
{
	return gen_covers(op) && !(unicorn && named_in(list, a64_info[op].name));
}

/* One file of blocks. False if it could not be run. */
static bool run_file(struct gen *g, u16 *todo, unsigned *nr_todo, u64 *count)
{
	unsigned n = 0, used = 0;
	struct gen_block *b = calloc(DIFF_MAX_BLOCKS, sizeof(*b));
	struct diff_block *blocks = calloc(DIFF_MAX_BLOCKS, sizeof(*blocks));
	struct diff_result *x = calloc(DIFF_MAX_BLOCKS, sizeof(*x)),
			   *y = calloc(DIFF_MAX_BLOCKS, sizeof(*y));
	bool ok;

	while (n < DIFF_MAX_BLOCKS && used < *nr_todo) {
		used += gen_make(g, &b[n], n, todo + used, *nr_todo - used);
		blocks[n] = b[n].block;
		n++;
	}
	memmove(todo, todo + used, (*nr_todo - used) * sizeof(*todo));
	*nr_todo -= used;
	run_rig(blocks, n, x);
	ok = run_runner(blocks, n, y);
	for (unsigned i = 0; ok && i < n; i++) {
		u64 begin = DIFF_CODE + (u64)i * DIFF_STRIDE;

		for (unsigned k = 0; k < b[i].nr_units; k++)
			if (!x[i].fault || x[i].pc >= begin + b[i].unit[k].end * 4ull)
				count[b[i].unit[k].op]++;
		if (memcmp(&x[i], &y[i], sizeof(*x)) && nr_wrong++ < MAX_COMPLAINTS)
			find_culprit(&b[i]);
	}
	free(b);
	free(blocks);
	free(x);
	free(y);
	return ok;
}

/* What the other side lacks to run here, or NULL. */
static const char *missing(void)
{
	const char *reason = NULL;

	if (unicorn) {
		struct oracle *o = oracle_create(&reason);

		if (o)
			oracle_destroy(o);
		return reason;
	}
	if (access(runner, X_OK))
		return "no arm64 compiler for the runner";
#if !defined(__aarch64__)
	if (system("qemu-aarch64-static --version >/dev/null 2>&1"))
		return "no qemu-aarch64-static";
#endif
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned times = argc > 3 ? (unsigned)atoi(argv[3]) : 1000, covered = 0, elsewhere = 0,
		 under = 0;
	static u64 count[NR_A64_OPS];
	struct gen g = {argc > 4 ? strtoull(argv[4], NULL, 0) : 1};
	unsigned nr_todo = 0;
	const char *reason;
	u64 total = 0, least = ~0ull;
	u16 *todo;

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	runner = argv[1];
	unicorn = !strcmp(runner, "unicorn");
	reason = missing();
	if (reason) {
		printf("1..0 # SKIP %s\n", reason);
		return 77;
	}
	rig = rig_create();
	if (!rig_map(rig, DIFF_CODE, (u64)DIFF_MAX_BLOCKS * DIFF_STRIDE) ||
	    !rig_map(rig, DIFF_ARENA, DIFF_ARENA_SIZE)) {
		printf("# addresses of blocks and arena are taken\n");
		return 1;
	}
	/* Each line times, in random order, so that lines meet each other. */
	todo = malloc(sizeof(*todo) * NR_A64_OPS * (times + times / 20 + 1));
	for (unsigned op = 1; op < NR_A64_OPS; op++)
		for (unsigned k = 0, n = covers(op, argv[2]) ? times + times / 20 : 0; k < n; k++)
			todo[nr_todo++] = (u16)op;
	for (unsigned i = nr_todo - 1; i > 0; i--) {
		unsigned k = (unsigned)(gen_random(&g) % (i + 1));
		u16 t = todo[i];

		todo[i] = todo[k];
		todo[k] = t;
	}
	while (nr_todo) {
		if (!run_file(&g, todo, &nr_todo, count))
			return 1;
	}
	for (unsigned op = 1; op < NR_A64_OPS; op++) {
		/* The lines of a64_simd.tab have a test of their own. */
		if ((a64_info[op].value >> 26 & 3) == 3)
			continue;
		if (!covers(op, argv[2])) {
			elsewhere++;
			if (!unicorn && !named_in(argv[2], a64_info[op].name)) {
				printf("# %s: not covered here, and %s does not say where\n",
				       a64_info[op].name, argv[2]);
				under++;
			}
			continue;
		}
		covered++;
		total += count[op];
		least = MIN(least, count[op]);
		if (count[op] < times) {
			printf("# %s: run only %llu times\n", a64_info[op].name,
			       (unsigned long long)count[op]);
			under++;
		}
	}
	printf("# %u lines covered, least often %llu times, %llu instructions under test; %u lines "
	       "covered elsewhere\n",
	       covered, (unsigned long long)least, (unsigned long long)total, elsewhere);
	printf("# %u blocks differ\n", nr_wrong);
	printf("%s - base instructions agree with %s\n", nr_wrong || under ? "not ok" : "ok",
	       unicorn ? "Unicorn"
#if defined(__aarch64__)
		       : "this processor");
#else
		       : "qemu-aarch64");
#endif
	free(todo);
	rig_destroy(rig);
	return nr_wrong || under;
}
