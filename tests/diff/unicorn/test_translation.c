// SPDX-License-Identifier: MIT
/* Stage 1 against Unicorn: random tables of each granule, one random access from EL0 or EL1 a case. */
#include "pair.h"

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
#define PARTIAL 32u /* several accesses */
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
	{0xa9000c22, 3, PARTIAL},
	{0xa9c10c22, 3, 0},	  /* ldp x2, x3, [x1, #16]! */
	{0xa8810c22, 3, PARTIAL}, /* stp x2, x3, [x1], #16 */
	{0xf8400822, 3, 0},	  /* ldtr, sttr */
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
	{0x3dc00020, 4, PARTIAL},	  /* ldr q0 */
	{0x3d800020, 4, PARTIAL},
	{0xad400420, 4, PARTIAL}, /* ldp q0, q1 */
	{0xad000420, 4, PARTIAL},
	{0x4c402c20, 3, PARTIAL}, /* ld1 {v0.2d-v3.2d} */
	{0x4c002c20, 3, PARTIAL},
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

/* Whether the case may go there. */
static bool fits(const struct access *a, const struct area *area)
{
	if (area->device && (a->flags & ZVA))
		return false;
	return (a->flags & AT_OP) || (area->chunk == CODE_CHUNK) == !!(a->flags & CODE_OP);
}

static u64 random_address(struct pair *p, const struct access *a, const struct area *area)
{
	u64 off;

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
	const struct access *a;
	const struct area *area;
	u64 tcr = tables_tcr(&w->low, &w->high), x = rnd(&p->seed);
	struct privileged_case c;

	do {
		a = &accesses[below(&p->seed, ARRAY_SIZE(accesses))];
		area = &w->area[below(&p->seed, w->nr)];
	} while (!fits(a, area));
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
	c.in.x[1] = random_address(p, a, area);
	/* A tag, or an address out of range. */
	if (!(x >> 10 & 7))
		c.in.x[1] ^= AREA_TAG;
	else if (!(x >> 24 & 31))
		c.in.x[1] ^= AREA_BAD;
	c.insn[c.nr_insn++] = a->insn;
	c.partial = a->flags & PARTIAL;
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
