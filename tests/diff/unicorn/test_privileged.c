// SPDX-License-Identifier: MIT
/*
 * What qemu-user cannot run, against Unicorn: system registers, PSTATE, exception return, syndromes of exceptions, stage-1
 * translation. A case is a few instructions at EL0 or EL1. Both sides run the same prologue (invalidate, ERET into the case) and
 * stop at the first exception, which is SVC #END if nothing else. Our ESR, ELR, SPSR and FAR are compared with what Unicorn
 * stops with; it does not enter exceptions itself, so the vector is checked against SPSR and the new PSTATE is left to
 * tests/unit/vcpu. What is left out for Unicorn's sake is in settled.txt.
 */
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

/* --- stage 1
 * ------------------------------------------------------------------------------------------------------------
 */

#define NR_PAGES 3

/* A stretch of virtual addresses that leads to a chunk, or should if its descriptors allowed it. */
struct area {
	u64 va;
	u32 size;
	unsigned chunk;
	bool device;
};

struct world {
	struct tables low, high;
	struct area area[2 * NR_AREAS];
	unsigned nr;
	bool with_high;
};

static u64 random_attrs(struct pair *p)
{
	static const u8 sh[] = {0, 2, 3};
	u64 x = rnd(&p->seed);
	u64 d = D_ATTR(x >> 8 & 3) | (u64)sh[(x >> 10 & 0xff) % 3] << 8;

	d |= x & (D_EL0 | D_RO | D_NG | D_PXN | D_UXN);
	if (below(&p->seed, 8))
		d |= D_AF;
	return d;
}

/* Breaks, or restricts, one descriptor on the way to va, unless the case's code depends on it. */
static void disturb(struct pair *p, const struct tables *t, u64 va, unsigned level, bool high)
{
	unsigned stride = t->granule - 3;
	unsigned start = 4 - (t->bits - t->granule + stride - 1) / stride;
	unsigned l = start + below(&p->seed, level - start + 1);
	u64 at = tables_entry(p->r, t, va, l), desc = rig_read64(p->r, at);

	if (!high && l == start && at == tables_entry(p->r, t, RAM, l))
		return;
	if (l < level && below(&p->seed, 4))
		desc |= rnd(&p->seed) & GENMASK(62, 59);
	else if (below(&p->seed, 2))
		desc &= ~1ull;
	else if (l == 3)
		desc &= ~2ull; /* reserved; blocks at level 0 or 1: settled.txt */
	rig_write64(p->r, at, desc);
}

static void add_area(struct pair *p, struct world *w, unsigned i, bool high)
{
	const struct tables *t = high ? &w->high : &w->low;
	u64 va = area_address(i, t->bits, high), attrs = random_attrs(p);
	unsigned level = 3, chunk = below(&p->seed, NR_CHUNKS), stride = t->granule - 3;
	struct area *a = &w->area[w->nr++];
	u64 data = DATA + (u64)chunk * CHUNK;

	if (below(&p->seed, 3) == 0)
		level = t->granule == 12 ? 1 + below(&p->seed, 2) : 2;
	a->chunk = chunk;
	if (level == 3) {
		unsigned n = NR_PAGES;

		a->va = va;
		a->size = n << t->granule;
		for (unsigned k = 0; k < n; k++) {
			u64 page = below(&p->seed, CHUNK >> t->granule);

			tables_map(p->r, t, va + ((u64)k << t->granule),
				   data + (page << t->granule), 3, attrs);
			a->device |= (attrs >> 2 & 7) == 0 || (attrs >> 2 & 7) == 3;
			if (below(&p->seed, 2))
				attrs = random_attrs(p);
		}
		va += (u64)below(&p->seed, n) << t->granule;
	} else {
		u64 size = 1ull << ((3 - level) * stride + t->granule);

		tables_map(p->r, t, va, data & ~(size - 1), level, attrs);
		a->device = (attrs >> 2 & 7) == 0 || (attrs >> 2 & 7) == 3;
		a->va = va + (data & (size - 1));
		a->size = CHUNK;
	}
	if (below(&p->seed, 3) == 0)
		disturb(p, t, va, level, high);
}

static unsigned random_bits(struct pair *p, unsigned granule)
{
	return input_bits[(granule - 12) / 2][below(&p->seed, 3)];
}

static void make_world(struct pair *p, struct world *w, unsigned granule)
{
	unsigned other = 12 + 2 * below(&p->seed, 3);

	memset(w, 0, sizeof(*w));
	p->r->next_table = TABLES;
	w->low = tables_new(p->r, granule, random_bits(p, granule));
	w->high = tables_new(p->r, other, random_bits(p, other));
	for (u64 at = 0; at < 0x10000; at += 1ull << granule)
		tables_map(p->r, &w->low, RAM + at, RAM + at, 3, D_NORMAL | D_EL0 | D_RO);
	for (unsigned i = 0; i < NR_AREAS; i++) {
		add_area(p, w, i, false);
		add_area(p, w, i, true);
	}
	memcpy(p->ram + (TABLES - RAM), rig_mem(p->r, TABLES), p->r->next_table - TABLES);
	set_sys(p, SR_TTBR0_EL1, w->low.root);
	set_sys(p, SR_TTBR1_EL1, w->high.root);
}

#define SINGLE	1u /* natural alignment is demanded by the instruction: keep to it */
#define ATOMIC	2u /* WnR of a fault: settled.txt */
#define CODE_OP 4u
#define AT_OP	8u  /* EL1 only */
#define ZVA	16u /* faults on Device memory: settled.txt */

/* Base x1; x2, x3 and v0..v3 data, x4 status or operand. size: log2 of what must be aligned. */
static const struct access {
	u32 insn;
	u8 size, flags;
} accesses[] = {
	{0xf9400022, 3, 0}, /* ldr x2 */
	{0xf9000022, 3, 0},
	{0xb9400022, 2, 0},
	{0xb9000022, 2, 0},
	{0x79400022, 1, 0}, /* ldrh */
	{0x79000022, 1, 0},
	{0x39400022, 0, 0}, /* ldrb */
	{0x39000022, 0, 0},
	{0xb9800022, 2, 0}, /* ldrsw, ldrsh, ldrsb */
	{0x79800022, 1, 0},
	{0x39c00022, 0, 0},
	{0xf8408c22, 3, 0}, /* ldr x2, [x1, #8]! */
	{0xf8008c22, 3, 0},
	{0xf8408422, 3, 0}, /* ldr x2, [x1], #8 */
	{0xf81f8422, 3, 0},
	{0xa9400c22, 3, 0}, /* ldp, stp */
	{0xa9000c22, 3, 0},
	{0xa9c10c22, 3, 0}, /* ldp x2, x3, [x1, #16]! */
	{0xa8810c22, 3, 0}, /* stp x2, x3, [x1], #16 */
	{0xf8400822, 3, 0}, /* ldtr, sttr */
	{0xf8000822, 3, 0},
	{0x38400822, 0, 0},
	{0x38000822, 0, 0},
	{0xb8800822, 2, 0},		  /* ldtrsw */
	{0xc8dffc22, 3, SINGLE},	  /* ldar, stlr */
	{0xc89ffc22, 3, SINGLE},	  /* stlr */
	{0xf8bfc022, 3, SINGLE},	  /* ldapr */
	{0xc85f7c22, 3, SINGLE},	  /* ldxr */
	{0x885ffc22, 2, SINGLE},	  /* ldaxr w2 */
	{0xc87f0c22, 4, SINGLE},	  /* ldxp */
	{0xc8a47c22, 3, SINGLE | ATOMIC}, /* cas */
	{0xf8240022, 3, SINGLE | ATOMIC}, /* ldadd */
	{0xf8e48022, 3, SINGLE | ATOMIC}, /* swpal */
	{0x3dc00020, 4, 0},		  /* ldr q0 */
	{0x3d800020, 4, 0},
	{0xad400420, 4, 0}, /* ldp q0, q1 */
	{0xad000420, 4, 0},
	{0x4c402c20, 3, 0}, /* ld1 {v0.2d-v3.2d} */
	{0x4c002c20, 3, 0},
	{0x0d408420, 3, 0},		   /* ld1 {v0.d}[0] */
	{0xd50b7421, 6, ZVA},		   /* dc zva */
	{0xf9800020, 0, 0},		   /* prfm */
	{0xd61f0020, 2, SINGLE | CODE_OP}, /* br x1 */
	{0xd5087801, 0, AT_OP},		   /* at s1e1r, s1e1w, s1e0r, s1e0w, s1e1rp, s1e1wp */
	{0xd5087821, 0, AT_OP},
	{0xd5087841, 0, AT_OP},
	{0xd5087861, 0, AT_OP},
	{0xd5087901, 0, AT_OP},
	{0xd5087921, 0, AT_OP},
};

static u64 random_address(struct pair *p, const struct world *w, const struct access *a)
{
	const struct area *area;
	u64 off;

	do
		area = &w->area[below(&p->seed, w->nr)];
	while (((area->chunk == CODE_CHUNK) != !!(a->flags & CODE_OP) && !(a->flags & AT_OP)) ||
	       (area->device && (a->flags & ZVA)));
	off = 64 + below(&p->seed, area->size - 256);
	/* Where pages meet. */
	if (below(&p->seed, 4) == 0)
		off = ((off + 2048) & ~4095ull) - 8 + below(&p->seed, 16);
	off = MIN(MAX(off, 64), area->size - 192);
	/* Device memory demands alignment: settled.txt. A pair or a list is no larger than its alignment times 4. */
	if ((a->flags & SINGLE) || area->device)
		off &= ~0ull << MAX(a->size, area->device ? 6 : 0);
	return area->va + off;
}

static void translation_case(struct pair *p, const struct world *w)
{
	const struct access *a = &accesses[below(&p->seed, ARRAY_SIZE(accesses))];
	u64 tcr = tables_tcr(&w->low, &w->high), x = rnd(&p->seed);
	struct privileged_case c;

	random_state(p, &c);
	c.pstate = a->flags & AT_OP || x & 1 ? 0x3c5 : 0x3c0;
	if (c.pstate == 0x3c5)
		c.pstate |= (u32)x & (u32)(PSR_PAN | PSR_UAO);
	/* M, C, I, SPAN, and at times WXN, without DZE for EL0. */
	set_sys(p, SR_SCTLR_EL1,
		0x00c51805 | (x & 2 ? 0 : (u64)BIT(14)) | (x >> 2 & 7 ? 0 : (u64)BIT(19)));
	tcr |= x & (TCR_TBI0 | TCR_TBI1 | TCR_HPD0 | TCR_HPD1);
	if (!(x >> 5 & 31))
		tcr |= TCR_EPD1;
	set_sys(p, SR_TCR_EL1, tcr);
	c.in.x[1] = random_address(p, w, a);
	/* A tag, or an address out of range. */
	if (!(x >> 10 & 7))
		c.in.x[1] ^= AREA_TAG;
	else if (!(x >> 24 & 31))
		c.in.x[1] ^= AREA_BAD;
	c.insn[c.nr_insn++] = a->insn;
	if (a->flags & ATOMIC)
		c.esr_ignore = BIT(6);
	run_case(p, &c);
}

static void translate(unsigned granule, unsigned long rounds)
{
	struct pair p = pair_create();
	struct world w;

	for (unsigned long i = 0; i < rounds; i++) {
		make_world(&p, &w, granule);
		for (unsigned k = 0; k < 100; k++)
			translation_case(&p, &w);
	}
	pair_destroy(&p);
}

TEST(accesses_through_4k_tables_agree)
{
	translate(12, test_rounds(100, 5000));
}

TEST(accesses_through_16k_tables_agree)
{
	translate(14, test_rounds(60, 3000));
}

TEST(accesses_through_64k_tables_agree)
{
	translate(16, test_rounds(60, 3000));
}

/* --- system registers
 * ---------------------------------------------------------------------------------------------------
 */

static u32 msr(u16 op, unsigned rt)
{
	return 0xd5100000u | (u32)(op & 0x7fff) << 5 | rt;
}

static u32 mrs(u16 op, unsigned rt)
{
	return 0xd5300000u | (u32)(op & 0x7fff) << 5 | rt;
}

/* Bits that settled.txt has for a register: REG NAME MASK reason. ~0: the encoding is not looked at. */
static u64 settled_bits(const char *name)
{
	FILE *f = fopen(SETTLED, "r");
	char line[256], first[64];
	unsigned long long mask;
	u64 found = 0;

	ASSERT(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "REG %63s %llx", first, &mask) == 2 && !strcmp(first, name))
			found |= mask;
	fclose(f);
	return found;
}

static const u64 sctlr_el0[] = {BIT(9), BIT(14), BIT(15), BIT(16), BIT(18), BIT(26)};

/* SCTLR_EL1 without translation, with random controls of EL0. */
static void random_controls(struct pair *p)
{
	u64 x = rnd(&p->seed), sctlr = 0x00c50800;

	sctlr &= ~(BIT(16) | BIT(18));
	for (unsigned i = 0; i < ARRAY_SIZE(sctlr_el0); i++)
		sctlr |= x >> i & 1 ? sctlr_el0[i] : 0;
	set_sys(p, SR_SCTLR_EL1, sctlr);
	set_sys(p, SR_CPACR_EL1, (x >> 8 & 3) << 20);
}

/* Written and read back, or read, at EL1 and at EL0. */
static void sysreg_case(struct pair *p, const struct sysreg_row *row, u64 ignore, bool el0)
{
	bool write = row->access & (el0 ? SYSREG_W0 : SYSREG_W1),
	     read = row->access & (el0 ? SYSREG_R0 : SYSREG_R1);
	struct privileged_case c;

	random_state(p, &c);
	random_controls(p);
	c.pstate = el0 ? 0x3c0 : 0x3c5;
	/* FP-TRAP; and bits that Unicorn keeps are seen in the state, too. */
	if (row->op >> 3 == SYSREG_OP(3, 3, 4, 4, 0) >> 3) {
		set_sys(p, SR_CPACR_EL1, 3u << 20);
		c.in.x[1] &= ~ignore;
	}
	/* SCTLR_EL1.M, A, SA, SA0, WXN, EE, E0E: the case goes on running. */
	if (row->index == SR_SCTLR_EL1)
		c.in.x[1] &= ~(BIT(0) | GENMASK(4, 1) | BIT(19) | BIT(24) | BIT(25));
	/* We use it. */
	if (row->index == SR_VBAR_EL1)
		c.in.x[1] = (RAM + G_vectors) | (c.in.x[1] & 0x7ff);
	/* FPEN; Unicorn dies of ZEN. */
	if (row->index == SR_CPACR_EL1)
		c.in.x[1] &= 3u << 20;
	if (write || !(read || below(&p->seed, 2)))
		c.insn[c.nr_insn++] = msr(row->op, 1);
	if (read || !write)
		c.insn[c.nr_insn++] = mrs(row->op, 2);
	/* What cannot be written has a value of its own. */
	c.in.x[3] = write ? ~ignore : 0;
	if (read)
		c.insn[c.nr_insn++] = 0x8a030042; /* and x2, x2, x3 */
	if (!run_case(p, &c))
		printf("#   %s at EL%u\n", row->name, !el0);
}

TEST(system_registers_agree)
{
	unsigned long rounds = test_rounds(10, 500);
	struct pair p = pair_create();

	for (u32 i = 0; i < sysreg_nr_base_rows; i++) {
		const struct sysreg_row *row = &sysreg_base_rows[i];
		/* Debug registers: settled.txt. */
		u64 ignore = row->op >> 14 == 2 ? ~0ull : settled_bits(row->name);

		for (unsigned long k = 0; ~ignore && k < rounds; k++)
			sysreg_case(&p, row, ignore, k & 1);
	}
	pair_destroy(&p);
}

/* --- PSTATE, exception return, exceptions
 * -------------------------------------------------------------------------------
 */

static void emit(struct privileged_case *c, u32 insn)
{
	c->insn[c->nr_insn++] = insn;
}

/* Registers whose values both sides know, the writable ones first. */
#define NR_WRITABLE 9
static const u16 seen_regs[] = {
	SYSREG_OP(3, 3, 4, 2, 0),  /* NZCV */
	SYSREG_OP(3, 3, 4, 2, 1),  /* DAIF */
	SYSREG_OP(3, 0, 4, 2, 0),  /* SPSel */
	SYSREG_OP(3, 0, 4, 2, 3),  /* PAN */
	SYSREG_OP(3, 0, 4, 2, 4),  /* UAO */
	SYSREG_OP(3, 0, 4, 1, 0),  /* SP_EL0 */
	SYSREG_OP(3, 0, 4, 0, 1),  /* ELR_EL1 */
	SYSREG_OP(3, 3, 13, 0, 2), /* TPIDR_EL0, written before it is read: below */
	SYSREG_OP(3, 0, 7, 4, 0),  /* PAR_EL1 */
	SYSREG_OP(3, 0, 4, 2, 2),  /* CurrentEL */
	SYSREG_OP(3, 0, 2, 0, 0),  /* TTBR0_EL1 */
	SYSREG_OP(3, 3, 0, 0, 7),  /* DCZID_EL0 */
};

/* ERET to the next instruction, with a random state; x9 and x10 are lost. */
static void emit_eret(struct pair *p, struct privileged_case *c)
{
	static const u8 modes[] = {0x0, 0x4, 0x5, 0x5};
	u64 x = rnd(&p->seed);
	u32 spsr = (u32)x & (u32)(0xf0000000u | PSR_UAO | PSR_PAN | PSR_D | PSR_A | PSR_I | PSR_F);

	spsr |= modes[below(&p->seed, 4)];
	emit(c, 0xd2800000u | (spsr & 0xffff) << 5 | 10); /* movz x10, low */
	emit(c, 0xf2a00000u | spsr >> 16 << 5 | 10);	  /* movk x10, high, lsl #16 */
	emit(c, msr(SYSREG_OP(3, 0, 4, 0, 0), 10));
	emit(c, 0x10000009u | 3 << 5); /* adr x9, . + 12 */
	emit(c, msr(SYSREG_OP(3, 0, 4, 0, 1), 9));
	emit(c, 0xd69f03e0);
}

static void emit_random(struct pair *p, struct privileged_case *c)
{
	/* TLBI VMALLE1, VMALLE1IS, VAE1, ASIDE1, VAAE1; IC IALLU, IALLUIS; ISB, DSB, NOP, YIELD, SEV */
	static const u32 plain[] = {0xd508871f, 0xd508831f, 0xd5088721, 0xd5088741,
				    0xd5088761, 0xd508751f, 0xd508711f, 0xd5033fdf,
				    0xd5033f9f, 0xd503201f, 0xd503203f, 0xd503209f};
	u64 x = rnd(&p->seed);
	unsigned rt = 2 + below(&p->seed, 7), imm = (unsigned)(x >> 8) & 15;

	switch (x & 15) {
	case 0:
	case 1: /* MSR DAIFSet, DAIFClr */
		emit(c, 0xd50340df | imm << 8 | (u32)(x & 1) << 5);
		return;
	case 2:
		emit(c, 0xd500409f | (imm & 1) << 8); /* PAN */
		return;
	case 3:
		emit(c, 0xd500407f | (imm & 1) << 8); /* UAO */
		return;
	case 4:
		emit(c, 0xd50040bf | (imm & 1) << 8); /* SPSel */
		return;
	case 5:
	case 6:
		emit(c, msr(seen_regs[below(&p->seed, NR_WRITABLE)], rt));
		return;
	case 7:
	case 8:
	case 9:
		emit(c, mrs(seen_regs[below(&p->seed, ARRAY_SIZE(seen_regs))], rt));
		return;
	case 10:
	case 11:
		emit_eret(p, c);
		return;
	case 12:
		emit(c, x >> 12 & 1 ? 0x910003e0u | rt
				    : 0x9100001fu | rt << 5); /* mov xt, sp; mov sp, xt */
		return;
	default:
		emit(c, plain[below(&p->seed, ARRAY_SIZE(plain))]);
	}
}

/* The last instruction of a case: an exception of its own, or nothing. */
static void emit_last(struct pair *p, struct privileged_case *c)
{
	u64 x = rnd(&p->seed);
	u32 imm = (u32)(x >> 16 & 0xffff) << 5;

	switch (x & 7) {
	case 0:
		emit(c, 0xd4000001 | imm); /* svc */
		break;
	case 1:
		emit(c, 0xd4200000 | imm); /* brk */
		break;
	case 2:
		emit(c, (u32)(x >> 16 & 0xffff)); /* udf */
		break;
	case 3: /* From EL0: HVC, SMC, ERET, WFI, MRS CTR_EL0, DC CVAU, MSR DAIFSet, MRS CurrentEL */
		emit(c, 0xd2807809); /* mov x9, #0x3c0 */
		emit(c, msr(SYSREG_OP(3, 0, 4, 0, 0), 9));
		emit(c, 0x10000009u | 3 << 5); /* adr x9, . + 12 */
		emit(c, msr(SYSREG_OP(3, 0, 4, 0, 1), 9));
		emit(c, 0xd69f03e0);
		emit(c, (const u32[]){0xd4000002 | imm, 0xd4000003 | imm, 0xd69f03e0, 0xd503207f,
				      0xd53b003f, 0xd50b7b29, 0xd50342df, 0xd5384242}[x >> 8 & 7]);
		break;
	default:
		break;
	}
}

TEST(pstate_and_exceptions_agree)
{
	unsigned long rounds = test_rounds(10000, 1000000);
	struct pair p = pair_create();
	struct privileged_case c;

	while (rounds--) {
		u64 x = rnd(&p.seed);
		unsigned n = below(&p.seed, 5);

		random_state(&p, &c);
		random_controls(&p);
		/* DAIF-TRAP; and nobody ends a wait. */
		set_sys(&p, SR_SCTLR_EL1,
			(rig_arch(p.r, 0)->sys[SR_SCTLR_EL1] | BIT(9)) & ~(BIT(16) | BIT(18)));
		set_sys(&p, SR_TTBR0_EL1, x);
		set_sys(&p, SR_TPIDR_EL0, 0);
		c.pstate = x & 1 ? 0x3c0 : 0x3c4 | (x >> 1 & 1);
		c.pstate ^= (u32)x & (u32)(PSR_D | PSR_A | PSR_I | PSR_F);
		c.pstate |= (u32)x & (u32)(PSR_PAN | PSR_UAO);
		c.in.nzcv = x & 0xf0000000u;
		for (unsigned i = 0; i < n; i++)
			emit_random(&p, &c);
		emit_last(&p, &c);
		run_case(&p, &c);
	}
	pair_destroy(&p);
}
