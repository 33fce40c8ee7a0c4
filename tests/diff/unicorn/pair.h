/* SPDX-License-Identifier: MIT */
/*
 * What qemu-user cannot run, against Unicorn: system registers, PSTATE, exception return, syndromes of exceptions, stage-1
 * translation. A case is a few instructions at EL0 or EL1. Both sides run the same prologue (invalidate, ERET into the case) and
 * stop at the first exception, which is SVC #END if nothing else. Our ESR, ELR, SPSR and FAR are compared with what Unicorn
 * stops with; it does not enter exceptions itself, so the vector is checked against SPSR and the new PSTATE is left to
 * tests/unit/vcpu. What is left out for Unicorn's sake is in settled.txt.
 */
#ifndef ANYKVM_TESTS_DIFF_UNICORN_PAIR_H
#define ANYKVM_TESTS_DIFF_UNICORN_PAIR_H

#include "rig.h"
#include "test.h"

#include <sys/mman.h>

#include "../simd/operands.h"
#include "oracle.h"
#include "vcpu/sysreg.h"

#define CODE	 0x8000u /* offset in RAM of prologue and case, in the first 64 KiB with the vectors */
#define CASE	 (CODE + 16)
#define MAX_INSN 40u
#define END	 0xd41fffe1u /* svc #0xffff */

#define NR_CHUNKS  4u /* of data, 64 KiB each; the last one holds code (END) and nobody writes it */
#define CHUNK	   0x10000u
#define CODE_CHUNK (NR_CHUNKS - 1)

#define MAX_COMPLAINTS 10

struct pair {
	struct rig *r;
	struct oracle *o;
	u8 *ram; /* Unicorn's */
	void *nothing;
	u64 seed;
	unsigned nr_wrong, nr_faults, nr_cases;
};

/* What both have, with the encoding by which Unicorn knows it. */
struct shared_reg {
	enum sysreg_index index;
	u16 op;
};

static const struct shared_reg shared[] = {
	{SR_SCTLR_EL1, SYSREG_OP(3, 0, 1, 0, 0)}, {SR_TTBR0_EL1, SYSREG_OP(3, 0, 2, 0, 0)},
	{SR_TTBR1_EL1, SYSREG_OP(3, 0, 2, 0, 1)}, {SR_TCR_EL1, SYSREG_OP(3, 0, 2, 0, 2)},
	{SR_MAIR_EL1, SYSREG_OP(3, 0, 10, 2, 0)}, {SR_SPSR_EL1, SYSREG_OP(3, 0, 4, 0, 0)},
	{SR_ELR_EL1, SYSREG_OP(3, 0, 4, 0, 1)},	  {SR_PAR_EL1, SYSREG_OP(3, 0, 7, 4, 0)},
	{SR_CPACR_EL1, SYSREG_OP(3, 0, 1, 0, 2)}, {SR_TPIDR_EL0, SYSREG_OP(3, 3, 13, 0, 2)},
};

static void set_sys(struct pair *p, enum sysreg_index index, u64 value)
{
	rig_arch(p->r, 0)->sys[index] = value;
}

static void put_code(struct pair *p, u32 offset, const u32 *insn, unsigned n)
{
	memcpy(rig_mem(p->r, RAM + offset), insn, n * 4);
	memcpy(p->ram + offset, insn, n * 4);
}

/* Where areas can be: by number, input bits and half; as they are, tagged, and with a bit that makes them invalid. */
#define NR_AREAS 12
#define AREA_MAX (48u << 20)
#define AREA_TAG (0x5aull << 56)
#define AREA_BAD BIT(52)

static const u8 input_bits[3][3] = {{39, 48, 42}, {47, 48, 36}, {42, 48, 44}};

static u64 area_address(unsigned i, unsigned bits, bool high)
{
	return (u64)(i + 1) << (bits - 4) | (high ? GENMASK(63, bits) : 0);
}

/*
 * Before it translates, Unicorn looks whether there is memory at the virtual address, taken for a physical one. Give it some,
 * all the same and not to be touched.
 */
static void please_unicorn(struct pair *p)
{
	static const u64 twist[] = {0, AREA_TAG, AREA_BAD};
	static u64 done[9 * NR_AREAS * 2 * ARRAY_SIZE(twist)];
	unsigned n = 0, k;

	p->nothing =
		mmap(NULL, AREA_MAX, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT(p->nothing != MAP_FAILED);
	for (unsigned i = 0; i < ARRAY_SIZE(done); i++) {
		u64 at = area_address(i / 18 % NR_AREAS, input_bits[i % 9 / 3][i % 3], i / 9 & 1) ^
			 twist[i / 18 / NR_AREAS];

		for (k = 0; k < n && done[k] != at; k++)
			;
		if (k < n)
			continue;
		done[n++] = at;
		oracle_map(p->o, at, AREA_MAX, p->nothing);
	}
}

static struct pair pair_create(void)
{
	static const u32 prologue[] = {0xd508871f /* tlbi vmalle1 */, 0xd508751f /* ic iallu */,
				       0xd5033f9f /* dsb sy */, 0xd69f03e0 /* eret */};
	struct pair p = {.seed = 1};
	const char *reason;

	p.o = oracle_create(&reason);
	if (!p.o)
		SKIP(reason);
	p.r = rig_create(1);
	p.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT(p.ram != MAP_FAILED);
	oracle_map(p.o, RAM, RAM_SIZE, p.ram);
	/* SCR_EL3: EL1 is non-secure and AArch64; HCR_EL2.RW. */
	ASSERT(oracle_set_sys(p.o, SYSREG_OP(3, 6, 1, 1, 0), 0x431));
	ASSERT(oracle_set_sys(p.o, SYSREG_OP(3, 4, 1, 1, 0), BIT(31)));
	please_unicorn(&p);
	oracle_keep_home(p.o);
	_Static_assert(sizeof(guest_code) <= CODE, "the vectors come first");
	put_code(&p, CODE, prologue, ARRAY_SIZE(prologue));
	for (u64 at = 0; at < NR_CHUNKS * CHUNK; at += 8) {
		u64 x = at < CODE_CHUNK * CHUNK ? rnd(&p.seed) : (u64)END << 32 | END;

		rig_write64(p.r, DATA + at, x);
	}
	memcpy(p.ram + (DATA - RAM), rig_mem(p.r, DATA), NR_CHUNKS * CHUNK);
	set_sys(&p, SR_SCTLR_EL1, 0);
	set_sys(&p, SR_TCR_EL1, 0);
	set_sys(&p, SR_MAIR_EL1, RIG_MAIR);
	set_sys(&p, SR_PAR_EL1, 0);
	return p;
}

static void pair_destroy(struct pair *p)
{
	printf("# %u cases, %u of them end in an exception of their own\n", p->nr_cases,
	       p->nr_faults);
	EXPECT_EQ(p->nr_wrong, 0);
	EXPECT(p->nr_cases);
	oracle_destroy(p->o);
	rig_destroy(p->r);
	munmap(p->ram, RAM_SIZE);
	munmap(p->nothing, AREA_MAX);
}

struct privileged_case {
	struct diff_state in; /* sp: SP_EL1 */
	u64 sp_el0;
	u32 pstate; /* of the case's first instruction */
	u32 insn[MAX_INSN];
	unsigned nr_insn;
	u32 esr_ignore; /* settled */
	bool partial;	/* may have been done in part when it faults: settled.txt */
	u32 spsr_ignore;
};

struct outcome {
	struct diff_state s; /* sp: SP_EL1; nzcv: in spsr */
	u64 sp_el0, esr, elr, spsr, far, par;
};

static const char *const outcome_name[] = {"SP_EL0", "ESR", "ELR", "SPSR", "FAR", "PAR"};

static bool has_far(u64 esr)
{
	u32 ec = (u32)esr >> 26;

	return (ec >= 0x20 && ec <= 0x25);
}

static void run_ours(struct pair *p, const struct privileged_case *c, struct outcome *out)
{
	struct vcpu_arch *a = rig_arch(p->r, 0);
	int vector;

	rig_set_el(p->r, 0, 1);
	memcpy(a->x, c->in.x, sizeof(c->in.x));
	a->x[REG_SP] = c->in.sp;
	a->sp_el[0] = c->sp_el0;
	memcpy(a->v, c->in.v, sizeof(a->v));
	a->nzcv = 0;
	a->fpcr = (u32)c->in.fpcr;
	a->fpsr = (u32)c->in.fpsr;
	vector = rig_run(p->r, 0, CODE);
	memset(out, 0, sizeof(*out));
	memcpy(out->s.x, a->x, sizeof(out->s.x));
	memcpy(out->s.v, a->v, sizeof(a->v));
	out->s.sp = a->x[REG_SP];
	out->s.fpcr = a->fpcr;
	out->s.fpsr = a->fpsr;
	out->sp_el0 = a->sp_el[0];
	out->esr = a->sys[SR_ESR_EL1];
	out->elr = a->sys[SR_ELR_EL1];
	out->spsr = a->sys[SR_SPSR_EL1];
	out->far = has_far(out->esr) ? a->sys[SR_FAR_EL1] : 0;
	out->par = a->sys[SR_PAR_EL1];
	EXPECT_EQ(vector, EXIT_VECTOR + (!(out->spsr & 0xc) ? VECTOR_SYNC_EL0
					 : out->spsr & 1    ? VECTOR_SYNC_EL1
							    : 0));
}

/* in: our system registers before the case. */
static void run_theirs(struct pair *p, const struct privileged_case *c, const u64 *in,
		       struct outcome *out)
{
	struct oracle_stop stop;
	u32 pstate;

	oracle_go_home(p->o);
	for (unsigned i = 0; i < ARRAY_SIZE(shared); i++)
		ASSERT(oracle_set_sys(p->o, shared[i].op, in[shared[i].index]));
	oracle_set_state(p->o, &c->in, 0x3c5);
	oracle_set_sys(p->o, SYSREG_OP(3, 0, 4, 1, 0), c->sp_el0);
	stop = oracle_run(p->o, RAM + CODE, 0);
	memset(out, 0, sizeof(*out));
	oracle_get_state(p->o, &out->s, &pstate);
	out->spsr = pstate | out->s.nzcv;
	out->s.nzcv = 0;
	if ((pstate & 0xd) == 5) {
		oracle_get_sys(p->o, SYSREG_OP(3, 0, 4, 1, 0), &out->sp_el0);
	} else {
		out->sp_el0 = out->s.sp;
		oracle_get_sys(p->o, SYSREG_OP(3, 4, 4, 1, 0), &out->s.sp);
	}
	out->elr = stop.pc;
	out->esr = stop.exception == ORACLE_NONE ? ~0ull - (u64)stop.error : stop.syndrome;
	out->far = has_far(out->esr) ? stop.far : 0;
	oracle_get_sys(p->o, SYSREG_OP(3, 0, 7, 4, 0), &out->par);
}

static void complain(struct pair *p, const struct privileged_case *c, const struct outcome *a,
		     const struct outcome *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	if (p->nr_wrong++ >= MAX_COMPLAINTS)
		return;
	printf("# case %u, pstate %x, sctlr %llx, tcr %llx, cpacr %llx:", p->nr_cases, c->pstate,
	       (unsigned long long)rig_arch(p->r, 0)->sys[SR_SCTLR_EL1],
	       (unsigned long long)rig_arch(p->r, 0)->sys[SR_TCR_EL1],
	       (unsigned long long)rig_arch(p->r, 0)->sys[SR_CPACR_EL1]);
	for (unsigned i = 0; i < c->nr_insn; i++)
		printf(" %08x", c->insn[i]);
	printf("; x1 %llx\n", (unsigned long long)c->in.x[1]);
	for (unsigned i = 0; i < sizeof(*a) / 8; i++) {
		char name[16];

		if (x[i] == y[i])
			continue;
		if (i < 32)
			snprintf(name, sizeof(name), i < 31 ? "x%u" : "SP_EL1", i);
		else if (i < 99)
			snprintf(name, sizeof(name), i < 96 ? "v%u.d[%u]" : "fp", (i - 32) / 2,
				 i & 1);
		else
			snprintf(name, sizeof(name), "%s", outcome_name[i - 99]);
		printf("#   %-10s ours %016llx Unicorn %016llx\n", name, (unsigned long long)x[i],
		       (unsigned long long)y[i]);
	}
}

/* Shareability of Device and non-cacheable memory: settled.txt. */
static u64 settled_par(u64 par)
{
	u64 attr = par >> 56;

	return !(par & 1) && (!(attr & 0xf0) || attr == 0x44) ? par & ~GENMASK(8, 7) : par;
}

/* Runs the case and END on both sides, compares; false if they differ. */
static bool run_case(struct pair *p, struct privileged_case *c)
{
	struct outcome a, b;
	u64 masked = ~((u64)c->esr_ignore), in[NR_SYSREG];
	bool same;

	c->insn[c->nr_insn] = END;
	put_code(p, CASE, c->insn, c->nr_insn + 1);
	oracle_drop_code(p->o, RAM + CASE, RAM + CASE + sizeof(c->insn));
	set_sys(p, SR_SPSR_EL1, c->pstate | c->in.nzcv);
	set_sys(p, SR_ELR_EL1, RAM + CASE);
	memcpy(in, rig_arch(p->r, 0)->sys, sizeof(in));
	run_ours(p, c, &a);
	memcpy(rig_arch(p->r, 0)->sys, in, sizeof(in));
	run_theirs(p, c, in, &b);
	p->nr_cases++;
	p->nr_faults += a.elr != RAM + CASE + c->nr_insn * 4 + 4;
	/* BTYPE, which Unicorn has and we have not. */
	b.spsr &= ~(u64)(3u << 10 | c->spsr_ignore);
	a.spsr &= ~(u64)c->spsr_ignore;
	a.esr &= masked;
	b.esr &= masked;
	a.par = settled_par(a.par);
	b.par = settled_par(b.par);
	if (c->partial && has_far(a.esr)) {
		memcpy(b.s.v, a.s.v, sizeof(a.s.v));
		memcpy(p->ram + (DATA - RAM), rig_mem(p->r, DATA), NR_CHUNKS * CHUNK);
	}
	same = !memcmp(&a, &b, sizeof(a));
	if (!same)
		complain(p, c, &a, &b);
	if (memcmp(p->ram + (DATA - RAM), rig_mem(p->r, DATA), NR_CHUNKS * CHUNK)) {
		if (same)
			complain(p, c, &a, &b);
		printf("#   memory differs\n");
		memcpy(p->ram + (DATA - RAM), rig_mem(p->r, DATA), NR_CHUNKS * CHUNK);
		same = false;
	}
	return same;
}

static void random_state(struct pair *p, struct privileged_case *c)
{
	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < 31; i++)
		c->in.x[i] = rnd(&p->seed);
	c->in.sp = rnd(&p->seed) & ~15ull;
	c->sp_el0 = rnd(&p->seed) & ~15ull;
	for (unsigned i = 0; i < 32; i++) {
		c->in.v[i][0] = rnd(&p->seed);
		c->in.v[i][1] = rnd(&p->seed);
	}
	c->in.nzcv = 0;
}

#endif
