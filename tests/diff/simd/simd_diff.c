/* SPDX-License-Identifier: MIT */
/*
 * FP, AdvSIMD and crypto against another implementation of the architecture (qemu-user, or
 *hardware): every line of a64_simd.tab with random fields, operands and FPCR, one instruction a
 *case, all state compared.
 *
 *	simd_diff [-n CASES] [-s SEED] [-l LINE]... [-v] RUNNER-COMMAND...
 *
 * A line with fewer than 1,000 cases fails, and one that can set FPSR needs 1,000 in each rounding
 *mode, with FZ and with DN. What the two may legitimately see differently is listed, with its
 *reason, in settled.h.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interp/select.h"
#include "interp/softfp.h"
#include "operands.h"
#include "rig.h"
#include "settled.h"
#include "simd_case.h"

#define FIRST_OP	A64_FMOV_F
#define BATCH		0x8000u
#define STATES_PER_INSN 6
#define MINIMUM		1000

struct coverage {
	u32 cases, rmode[4], fz, dn, fz16, ahp, nan, denormal;
	u32 failed, settled;
	bool flags; /* some case changed FPSR */
};

static struct coverage coverage[NR_A64_OPS];
static u64 seed = 1;
static u32 literal_slots, plain_slots;
static bool verbose;

/* --- generation
 * -----------------------------------------------------------------------------------------------------
 */

static bool field(const struct a64_insn_info *l, const char *name, unsigned *lo, unsigned *width)
{
	for (unsigned i = 0; i < l->nr_fields; i++) {
		if (!strcmp(l->field[i].name, name)) {
			*lo = l->field[i].lo;
			*width = l->field[i].width;
			return true;
		}
	}
	return false;
}

static u32 get(const struct a64_insn_info *l, u32 insn, const char *name, u32 missing)
{
	unsigned lo, width;

	return field(l, name, &lo, &width) ? insn >> lo & (~0u >> (32 - width)) : missing;
}

static void put(const struct a64_insn_info *l, u32 *insn, const char *name, u32 value)
{
	unsigned lo, width;

	if (field(l, name, &lo, &width))
		*insn = (u32)bits_set(*insn, lo, width, value & (~0u >> (32 - width)));
}

static bool is_memory(const struct a64_insn_info *l)
{
	return !strcmp(l->class, "load") || !strcmp(l->class, "store");
}

static u32 random_word(enum a64_op op)
{
	const struct a64_insn_info *l = &a64_info[op];
	u32 insn;

	do {
		insn = l->value | ((u32)rnd(&seed) & ~l->mask);
		/* Registers that coincide are where copies go wrong. */
		if (!below(&seed, 6))
			put(l, &insn, "Rd", get(l, insn, "Rn", 0));
		if (!below(&seed, 8))
			put(l, &insn, "Rm", get(l, insn, "Rn", 0));
		if (!below(&seed, 12))
			put(l, &insn, "Rd", get(l, insn, "Rm", 0));
	} while (a64_decode(insn) != op || (is_memory(l) && get(l, insn, "Rn", 0) == 30));
	return insn;
}

/* The format that FP operands of this instruction mostly have. */
static unsigned operand_format(const struct a64_insn_info *l, u32 insn)
{
	unsigned lo, width;

	if (!strncmp(l->name, "FCVT_", 5))
		return l->name[5] == 'H' ? FP_H : l->name[5] == 'S' ? FP_S : FP_D;
	if (!strncmp(l->name, "FCVTL", 5))
		return get(l, insn, "sz", 0) ? FP_S : FP_H;
	if (!strncmp(l->name, "FCVTXN", 6) || !strncmp(l->name, "FJCVT", 5))
		return FP_D;
	if (!strcmp(l->feature, "fp16") || !strcmp(l->name, "FCMLA_VXH"))
		return FP_H;
	if (!strcmp(l->feature, "fcma"))
		return get(l, insn, "size", FP_S);
	if (field(l, "immh", &lo, &width))
		return insn >> 22 & 1 ? FP_D : FP_S;
	if (field(l, "sz", &lo, &width))
		return FP_S + get(l, insn, "sz", 0);
	return FP_S;
}

static bool is_fp(const struct a64_insn_info *l)
{
	return l->name[0] == 'F' || strstr(l->name, "CVTF");
}

static void random_vreg(u8 v[16], unsigned f, bool fp)
{
	unsigned s = below(&seed, 8) ? f : below(&seed, 4);
	u64 x;

	if (!fp)
		s = below(&seed, 4);
	for (unsigned i = 0; i < 16; i += 1u << s) {
		if (s && (fp || !below(&seed, 8)) && below(&seed, 12))
			x = fp_operand(&seed, s);
		else
			x = int_operand(&seed, s);
		memcpy(v + i, &x, 1u << s);
	}
}

/* Sometimes an operand is another one, nearly: sums cancel, comparisons are close. */
static void relate(struct simd_case *c, const struct a64_insn_info *l, unsigned f)
{
	u8 *n = c->v[get(l, c->insn, "Rn", 0)], *m = c->v[get(l, c->insn, "Rm", 1)];
	u64 x;

	for (unsigned i = 0; i < 16; i += 1u << f) {
		if (below(&seed, 8))
			continue;
		x = 0;
		memcpy(&x, n + i, 1u << f);
		x = x + below(&seed, 3) - 1;
		if (below(&seed, 2))
			x ^= 1ull << ((8u << f) - 1);
		memcpy(m + i, &x, 1u << f);
	}
}

static unsigned access_size(const struct a64_insn_info *l)
{
	static const struct {
		const char *text;
		unsigned size;
	} sizes[] = {{"128V", 4}, {"64V", 3}, {"32V", 2}, {"16V", 1}, {"8V", 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		if (strstr(l->name, sizes[i].text))
			return sizes[i].size;
	return 0;
}

/* Makes the access hit the arena: chooses the base register, or for SP and literals the immediate.
 */
static void aim(struct simd_case *c, const struct a64_insn_info *l)
{
	unsigned size = access_size(l), lo, width, rn = get(l, c->insn, "Rn", 0);
	u64 target = CASE_ARENA + below(&seed, CASE_MEM - 64 + 1), offset = 0;
	bool post = strstr(l->name, "_POST");

	if (strstr(l->name, "_LIT")) {
		c->pc = CASE_DATA - CASE_SLOT * ++literal_slots;
		put(l, &c->insn, "imm19", (u32)(((target & ~3ull) - c->pc) / 4));
		return;
	}
	if (rn == 31) {
		put(l, &c->insn, "imm12", below(&seed, 2));
		put(l, &c->insn, "imm9", below(&seed, 17) - 8);
		put(l, &c->insn, "imm7", below(&seed, 2));
	}
	if (field(l, "imm12", &lo, &width))
		offset = (u64)get(l, c->insn, "imm12", 0) << size;
	else if (field(l, "imm9", &lo, &width))
		offset = (u64)sign_extend(get(l, c->insn, "imm9", 0), 9);
	else if (field(l, "imm7", &lo, &width))
		offset = (u64)sign_extend(get(l, c->insn, "imm7", 0), 7) << size;
	if (field(l, "option", &lo, &width)) {
		unsigned rm = get(l, c->insn, "Rm", 0), option = get(l, c->insn, "option", 0);
		u64 m;

		if (rm == 30 || (rm == rn && rn != 31)) {
			put(l, &c->insn, "Rm", 31);
			rm = 31;
		}
		m = rm == 31 ? 0 : (u64)((s64)below(&seed, 9) - 4);
		if (rm != 31)
			c->x[rm] = option == 2	 ? m & 0xffffffff
				   : option == 6 ? (u32)m | rnd(&seed) << 32
						 : m;
		offset = option == 2 ? (u32)m : m;
		offset <<= get(l, c->insn, "S", 0) ? size : 0;
		if (rn == 31 && option == 2 && (s64)m < 0) {
			c->x[rm] = 1;
			offset = 1ull << (get(l, c->insn, "S", 0) ? size : 0);
		}
	}
	if (post)
		offset = 0;
	if (rn == 31) {
		c->sp = (CASE_ARENA + 128) & ~15ull;
		return;
	}
	c->x[rn] = target - offset;
}

static void make_case(struct simd_case *c, enum a64_op op, u32 insn, u64 pc)
{
	const struct a64_insn_info *l = &a64_info[op];
	unsigned f = operand_format(l, insn);
	bool fp = is_fp(l);

	memset(c, 0, sizeof(*c));
	c->op = op;
	c->insn = insn;
	c->pc = pc;
	c->sp = CASE_ARENA & ~15ull;
	for (unsigned i = 0; i < 31; i++)
		c->x[i] = fp && below(&seed, 4) ? int_operand(&seed, 2 + below(&seed, 2))
						: int_operand(&seed, below(&seed, 4));
	c->x[30] = pc;
	for (unsigned i = 0; i < 32; i++)
		random_vreg(c->v[i], f, fp);
	if (fp && f)
		relate(c, l, f);
	c->nzcv = (u32)rnd(&seed) & 0xf0000000;
	if (fp || !below(&seed, 4))
		c->fpcr = (u32)rnd(&seed) & FPCR_RMODE;
	if (fp) {
		c->fpcr |= below(&seed, 3) ? 0 : FPCR_FZ;
		c->fpcr |= below(&seed, 3) ? 0 : FPCR_DN;
		c->fpcr |= below(&seed, 2) ? 0 : FPCR_FZ16;
		c->fpcr |= below(&seed, 3) ? 0 : FPCR_AHP;
		if (!below(&seed, 4))
			c->fpcr &= FPCR_RMODE; /* plain */
	}
	c->fpsr = below(&seed, 3) ? 0 : (u32)rnd(&seed) & (FPSR_QC | FPSR_IDC | 0x1f);
	if (!below(&seed, 3))
		c->fpsr |= FPSR_IXC;
	if (is_memory(l)) {
		for (unsigned i = 0; i < CASE_MEM; i += 8) {
			u64 x = rnd(&seed);

			memcpy(c->mem + i, &x, 8);
		}
		aim(c, l);
	}
}

/* --- our side
 * --------------------------------------------------------------------------------------------------------
 */

static void run_ours(struct rig *r, const struct simd_case *in, struct simd_case *out)
{
	struct vcpu_arch *a = &r->v.arch;
	enum op_result result;

	memcpy(a->x, in->x, sizeof(in->x));
	a->x[REG_ZR] = 0;
	a->x[REG_SP] = in->sp;
	a->pc = in->pc;
	a->nzcv = in->nzcv;
	a->fpcr = in->fpcr;
	a->fpsr = in->fpsr;
	memcpy(a->v, in->v, sizeof(in->v));
	memcpy((void *)CASE_ARENA, in->mem, CASE_MEM);
	r->exit = RIG_NONE;
	r->v.stop.kind = STOP_NONE;
	result = interp_select(in->insn, 0)(&r->v, in->insn);
	*out = *in;
	memcpy(out->x, a->x, sizeof(in->x));
	out->sp = a->x[REG_SP];
	out->nzcv = a->nzcv;
	out->fpcr = a->fpcr;
	out->fpsr = a->fpsr;
	memcpy(out->v, a->v, sizeof(in->v));
	memcpy(out->mem, (void *)CASE_ARENA, CASE_MEM);
	out->signal = result == OP_NEXT ? 0 : r->exit == RIG_UNDEF ? 4 : 11;
}

/* --- comparison
 * ------------------------------------------------------------------------------------------------------
 */

static bool same(const struct simd_case *a, const struct simd_case *b)
{
	return !memcmp(a->x, b->x, 30 * 8) && a->sp == b->sp && a->nzcv == b->nzcv &&
	       a->fpsr == b->fpsr && a->signal == b->signal && !memcmp(a->v, b->v, sizeof(a->v)) &&
	       !memcmp(a->mem, b->mem, CASE_MEM);
}

static void print_vreg(const char *what, const u8 v[16])
{
	u64 d[2];

	memcpy(d, v, 16);
	printf("#   %s %016llx %016llx\n", what, (unsigned long long)d[1],
	       (unsigned long long)d[0]);
}

static void report(const struct simd_case *in, const struct simd_case *ours,
		   const struct simd_case *theirs)
{
	const struct a64_insn_info *l = &a64_info[in->op];
	static const char *const names[] = {"Rd", "Rn", "Rm", "Ra", "Rt"};
	char what[32];

	printf("# %s %08x fpcr %08x fpsr %08x nzcv %x\n", l->name, in->insn, in->fpcr, in->fpsr,
	       in->nzcv >> 28);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		unsigned r = get(l, in->insn, names[i], 99);

		if (r == 99)
			continue;
		snprintf(what, sizeof(what), "in  %s v%-2u", names[i], r);
		print_vreg(what, in->v[r]);
		if (r < 31)
			printf("#   in  %s x%-2u %016llx\n", names[i], r,
			       (unsigned long long)in->x[r]);
	}
	for (unsigned i = 0; i < 32; i++) {
		if (memcmp(ours->v[i], theirs->v[i], 16)) {
			snprintf(what, sizeof(what), "v%-2u ours  ", i);
			print_vreg(what, ours->v[i]);
			snprintf(what, sizeof(what), "v%-2u theirs", i);
			print_vreg(what, theirs->v[i]);
		}
		if (i < 30 && ours->x[i] != theirs->x[i])
			printf("#   x%-2u ours %016llx theirs %016llx\n", i,
			       (unsigned long long)ours->x[i], (unsigned long long)theirs->x[i]);
	}
	if (ours->fpsr != theirs->fpsr)
		printf("#   fpsr ours %08x theirs %08x\n", ours->fpsr, theirs->fpsr);
	if (ours->nzcv != theirs->nzcv)
		printf("#   nzcv ours %x theirs %x\n", ours->nzcv >> 28, theirs->nzcv >> 28);
	if (ours->sp != theirs->sp)
		printf("#   sp ours %llx theirs %llx\n", (unsigned long long)ours->sp,
		       (unsigned long long)theirs->sp);
	if (ours->signal != theirs->signal)
		printf("#   signal ours %u theirs %u\n", ours->signal, theirs->signal);
	if (memcmp(ours->mem, theirs->mem, CASE_MEM))
		printf("#   memory differs\n");
}

static bool has_class(const struct simd_case *c, unsigned f, bool nan)
{
	const struct a64_insn_info *l = &a64_info[c->op];
	static const char *const names[] = {"Rn", "Rm", "Ra"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		unsigned r = get(l, c->insn, names[i], 99);
		static const u8 frac_bits[4] = {0, 10, 23, 52};
		u64 x = 0, abs,
		    inf = ((1ull << ((8u << f) - 1 - frac_bits[f])) - 1) << frac_bits[f];

		if (r == 99)
			continue;
		memcpy(&x, c->v[r], 1u << f);
		abs = x & ((1ull << ((8u << f) - 1)) - 1);
		if (nan ? abs > inf : abs && !(abs >> frac_bits[f]))
			return true;
	}
	return false;
}

static void count(const struct simd_case *in, const struct simd_case *out)
{
	struct coverage *v = &coverage[in->op];
	unsigned f = operand_format(&a64_info[in->op], in->insn);

	v->cases++;
	v->rmode[in->fpcr >> FPCR_RMODE_SHIFT & 3]++;
	v->fz += !!(in->fpcr & FPCR_FZ);
	v->dn += !!(in->fpcr & FPCR_DN);
	v->fz16 += !!(in->fpcr & FPCR_FZ16);
	v->ahp += !!(in->fpcr & FPCR_AHP);
	if (f) {
		v->nan += has_class(in, f, true);
		v->denormal += has_class(in, f, false);
	}
	if ((in->fpsr ^ out->fpsr) & ~(u32)FPSR_QC)
		v->flags = true;
}

/* --- batches
 * ----------------------------------------------------------------------------------------------------------
 */

static bool run_theirs(char **command, int argc, const char *path)
{
	char **argv = calloc((size_t)argc + 2, sizeof(char *));
	int status = -1;
	pid_t pid;

	memcpy(argv, command, (size_t)argc * sizeof(char *));
	argv[argc] = (char *)path;
	pid = fork();
	if (!pid) {
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	free(argv);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

static unsigned run_batch(struct rig *r, struct simd_case *in, struct simd_case *theirs, size_t n,
			  char **command, int argc, const char *path)
{
	struct simd_case *ours = aligned_alloc(16, sizeof(*ours));
	unsigned failed = 0;

	memcpy(theirs, in, n * sizeof(*in));
	if (!run_theirs(command, argc, path)) {
		fprintf(stderr, "simd_diff: the runner failed\n");
		exit(2);
	}
	for (size_t i = 0; i < n; i++) {
		struct coverage *v = &coverage[in[i].op];

		run_ours(r, &in[i], ours);
		count(&in[i], &theirs[i]);
		if (same(ours, &theirs[i]))
			continue;
		if (settled_apply(&in[i], &theirs[i]) && same(ours, &theirs[i])) {
			v->settled++;
			continue;
		}
		failed++;
		if (v->failed++ < (verbose ? 20 : 2))
			report(&in[i], ours, &theirs[i]);
	}
	free(ours);
	return failed;
}

static unsigned print_coverage(const bool *chosen)
{
	unsigned bad = 0, lines = 0, fp = 0;
	u64 total = 0, settled = 0;

	for (unsigned op = FIRST_OP; op < NR_A64_OPS; op++) {
		const struct coverage *v = &coverage[op];
		bool thin = v->cases < MINIMUM;

		if (!chosen[op])
			continue;
		lines++;
		total += v->cases;
		settled += v->settled;
		fp += v->flags;
		for (unsigned m = 0; m < 4 && v->flags; m++)
			thin |= v->rmode[m] < MINIMUM;
		if (v->flags)
			thin |= v->fz < MINIMUM || v->dn < MINIMUM;
		if (is_fp(&a64_info[op]) && v->flags && strncmp(a64_info[op].name, "SCVTF", 5) &&
		    strncmp(a64_info[op].name, "UCVTF", 5))
			thin |= v->nan < 100 || v->denormal < 100;
		if (verbose || thin || v->failed || v->settled)
			printf("%s %-14s cases %u rmode %u/%u/%u/%u fz %u dn %u fz16 %u ahp %u nan "
			       "%u denormal %u "
			       "settled %u different %u\n",
			       thin	   ? "THIN"
			       : v->failed ? "FAIL"
					   : "ok  ",
			       a64_info[op].name, v->cases, v->rmode[0], v->rmode[1], v->rmode[2],
			       v->rmode[3], v->fz, v->dn, v->fz16, v->ahp, v->nan, v->denormal,
			       v->settled, v->failed);
		bad += thin || v->failed;
	}
	printf("%u lines (%u with floating-point flags), %llu cases, %llu settled, %u lines bad\n",
	       lines, fp, (unsigned long long)total, (unsigned long long)settled, bad);
	return bad;
}

int main(int argc, char **argv)
{
	static bool chosen[NR_A64_OPS];
	char path[] = "/tmp/simd_diff.XXXXXX";
	struct simd_case *in, *theirs;
	unsigned per_line = 1200;
	struct rig *r;
	bool some = false;
	size_t n = 0;
	int opt, fd;

	while ((opt = getopt(argc, argv, "+n:s:l:v")) != -1) {
		if (opt == 'n')
			per_line = (unsigned)atoi(optarg);
		else if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (opt == 'v')
			verbose = true;
		else if (opt == 'l')
			for (unsigned op = FIRST_OP; op < NR_A64_OPS; op++)
				if (strstr(a64_info[op].name, optarg))
					chosen[op] = some = true;
	}
	if (optind >= argc) {
		fprintf(stderr,
			"usage: simd_diff [-n cases] [-s seed] [-l line] [-v] runner-command...\n");
		return 2;
	}
	for (unsigned op = FIRST_OP; op < NR_A64_OPS && !some; op++)
		chosen[op] = true;
	fd = mkstemp(path);
	in = malloc(BATCH * sizeof(*in));
	r = rig_create();
	if (fd < 0 || !in || !rig_map(r, CASE_DATA, 0x2000))
		return 2;
	for (unsigned op = FIRST_OP; op < NR_A64_OPS; op++) {
		unsigned want = is_fp(&a64_info[op]) ? 4 * per_line + per_line / 8 : per_line;

		for (unsigned i = 0; chosen[op] && i < want;) {
			u32 insn = random_word((enum a64_op)op);
			u64 pc = CASE_CODE + CASE_SLOT * (u64)plain_slots++;
			bool memory = is_memory(&a64_info[op]);

			/* Immediates of memory accesses may be adjusted a case: one state each. */
			for (unsigned k = 0; k < (memory ? 1 : STATES_PER_INSN) && i < want;
			     k++, i++)
				make_case(&in[n++], (enum a64_op)op, insn, pc);
			if (n + STATES_PER_INSN <= BATCH)
				continue;
			if (ftruncate(fd, (off_t)(n * sizeof(*in))))
				return 2;
			theirs = mmap(NULL, n * sizeof(*in), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				      0);
			if (theirs == MAP_FAILED)
				return 2;
			run_batch(r, in, theirs, n, argv + optind, argc - optind, path);
			munmap(theirs, n * sizeof(*in));
			n = literal_slots = plain_slots = 0;
		}
	}
	if (n) {
		if (ftruncate(fd, (off_t)(n * sizeof(*in))))
			return 2;
		theirs = mmap(NULL, n * sizeof(*in), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (theirs == MAP_FAILED)
			return 2;
		run_batch(r, in, theirs, n, argv + optind, argc - optind, path);
		munmap(theirs, n * sizeof(*in));
	}
	unlink(path);
	close(fd);
	free(in);
	rig_destroy(r);
	return print_coverage(chosen) ? 1 : 0;
}
