/* SPDX-License-Identifier: MIT */
/*
 * The walk of the guest hypervisor's stage 2. Example, 4 KiB granule, T0SZ 24 (40 bits in), SL0 1: the walk begins at level 1,
 * whose entries map 1 GiB; 40 bits hold 1024 of them, so two tables lie side by side at VTTBR.BADDR, aligned to their common
 * size. From there on nine bits a level.
 */
#include "mem/nested_walk.h"

#include <errno.h>

#define DESC_VALID BIT(0)
#define DESC_TABLE BIT(1) /* table, or page at level 3 */
#define DESC_R	   BIT(6)
#define DESC_W	   BIT(7)
#define DESC_AF	   BIT(10)

/* Of the platform: IPAs that a guest hypervisor may hand out, and addresses it may name. */
#define PA_BITS	    48
#define IA_BITS_MIN 25
#define MAX_CONCAT  4 /* log2 of the tables at the start level */

struct regime {
	u64 base;
	unsigned granule, stride; /* log2 of a table's bytes and of its entries */
	unsigned ia_bits, oa_bits;
	int start_level;
	bool ha;
};

static unsigned entry_shift(const struct regime *g, int level)
{
	return g->granule + g->stride * (3 - level);
}

/* False: no legal combination of granule, input size and start level. That is a translation fault at level 0. */
static bool regime_decode(const struct nested_key *key, struct regime *g)
{
	static const u8 ps_bits[8] = {32, 36, 40, 42, 44, 48, 48, 48};
	unsigned sl0 = VTCR_SL0(key->vtcr);
	int table_bits;

	g->granule = nested_granule(key->vtcr);
	g->stride = g->granule - 3;
	g->ia_bits = 64 - (key->vtcr & VTCR_T0SZ);
	g->oa_bits = ps_bits[VTCR_PS(key->vtcr)];
	g->start_level = (g->granule == 12 ? 2 : 3) - (int)sl0;
	g->ha = key->vtcr & VTCR_HA;
	if (g->ia_bits > PA_BITS || g->ia_bits < IA_BITS_MIN)
		return false;
	/* SL0 3 is reserved, and level 0 exists with 4 KiB alone. */
	if (sl0 == 3 || g->start_level < (g->granule == 12 ? 0 : 1))
		return false;
	/* One entry is too few, more than 16 tables are too many. */
	table_bits = (int)g->ia_bits - (int)entry_shift(g, g->start_level);
	if (table_bits < 1 || table_bits > (int)g->stride + MAX_CONCAT)
		return false;
	/* Bits below the size of all start-level tables are taken as 0. */
	g->base = key->vttbr & VTTBR_BADDR & ~(BIT(table_bits + 3) - 1);
	return true;
}

static int fault(struct nested_walk *out, enum nested_fault what, int level)
{
	out->fault = what;
	out->level = (u8)level;
	return 0;
}

static bool is_beyond(const struct regime *g, u64 pa)
{
	return g->oa_bits < PA_BITS && pa >> g->oa_bits;
}

/* Blocks: 1 GiB and 2 MiB; 32 MiB; 512 MiB. */
static bool may_be_leaf(const struct regime *g, int level)
{
	return level >= (g->granule == 12 ? 1 : 2);
}

static void report(const struct regime *g, u64 desc, u64 ipa, int level, struct nested_walk *out)
{
	static const bool el0_may[4] = {true, true, false, false},
			  el1_may[4] = {true, false, false, true};
	unsigned shift = entry_shift(g, level), xn = bits_get(desc, 53, 2);

	*out = (struct nested_walk){
		.level = (u8)level,
		.ipa = (desc & GENMASK(PA_BITS - 1, shift)) | (ipa & (BIT(shift) - 1)),
		.size = BIT(shift),
		.r = desc & DESC_R,
		.w = desc & DESC_W,
		.x_el0 = el0_may[xn],
		.x_el1 = el1_may[xn],
	};
}

static int walk(struct vm_mem *m, struct mem_vcpu *mv, const struct regime *g, u64 ipa,
		struct nested_walk *out) REQUIRES_SHARED(&m->srcu)
{
	u64 table = g->base, index = ipa >> entry_shift(g, g->start_level), desc, pa;
	int level = g->start_level;

	if (is_beyond(g, table))
		return fault(out, NESTED_FAULT_ADDRESS_SIZE, 0);
	for (;; level++) {
		/* What a table maps follows from its level: the bits above are the parent's, but for the start level. */
		if (level > g->start_level)
			index = (ipa >> entry_shift(g, level)) & (BIT(g->stride) - 1);
		if (mem_read_guest64(m, table + index * 8, &desc))
			return fault(out, NESTED_FAULT_WALK_ABORT, level);
		if (!(desc & DESC_VALID) || (level == 3 && !(desc & DESC_TABLE)))
			return fault(out, NESTED_FAULT_TRANSLATION, level);
		pa = desc & GENMASK(PA_BITS - 1, g->granule);
		if (level == 3 || !(desc & DESC_TABLE))
			break;
		if (is_beyond(g, pa))
			return fault(out, NESTED_FAULT_ADDRESS_SIZE, level);
		table = pa;
	}
	if (!may_be_leaf(g, level))
		return fault(out, NESTED_FAULT_TRANSLATION, level);
	if (is_beyond(g, pa))
		return fault(out, NESTED_FAULT_ADDRESS_SIZE, level);
	if (!(desc & DESC_AF)) {
		int ret;

		if (!g->ha)
			return fault(out, NESTED_FAULT_ACCESS_FLAG, level);
		ret = mem_cmpxchg_guest64(m, mv, table + index * 8, desc, desc | DESC_AF);
		if (ret == -EAGAIN)
			return ret;
		if (ret)
			return fault(out, NESTED_FAULT_WALK_ABORT, level);
	}
	report(g, desc, ipa, level, out);
	return 0;
}

int nested_walk(struct vm_mem *m, struct mem_vcpu *mv, const struct nested_key *key, u64 ipa,
		struct nested_walk *out)
{
	struct regime g;

	*out = (struct nested_walk){.fault = NESTED_FAULT_NONE};
	if (!regime_decode(key, &g) || ipa >> g.ia_bits)
		return fault(out, NESTED_FAULT_TRANSLATION, 0);
	return walk(m, mv, &g, ipa, out);
}
