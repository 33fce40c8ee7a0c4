// SPDX-License-Identifier: MIT
/*
 * From a guest virtual address to a host address: the stage-1 walk of VMSAv8-64 (EL1&0), each
 * descriptor and the output through stage 2, and the entry in the software TLB.
 *
 * Example, 4 KiB granule, T0SZ 16, va 0x0000_0000_4020_1234: the walk starts at level 0 with ttbr +
 * 8 * va[47:39], and so on down with nine bits a level until a block (levels 1, 2) or a page (level
 * 3). Each descriptor's address is an IPA: s2_read finds it in the stage-2 cache or walks the VM's
 * tables. A refusal there is a fault "on a stage-1 walk" of the address of the descriptor, handled
 * outside guest mode by the memory layer; the instruction is run again afterwards.
 *
 * Everything from the first descriptor to the insertion happens in one access section, so a TLB
 * invalidation that is posted meanwhile is applied after the insertion and removes it.
 */
#include "vcpu/translate.h"

#include "host/guarded.h"
#include "vcpu/vmem.h"

#define DESC_VALID   BIT(0)
#define DESC_TABLE   BIT(1) /* table, or page at level 3 */
#define DESC_AP_EL0  BIT(6)
#define DESC_AP_RO   BIT(7)
#define DESC_AF	     BIT(10)
#define DESC_NG	     BIT(11)
#define DESC_DBM     BIT(51)
#define DESC_CONT    BIT(52)
#define DESC_PXN     BIT(53)
#define DESC_UXN     BIT(54)
#define TABLE_PXN    BIT(59)
#define TABLE_UXN    BIT(60)
#define TABLE_NO_EL0 BIT(61)
#define TABLE_RO     BIT(62)

/* --- stage 2
 * ----------------------------------------------------------------------------------------------------------
 */

/* hva of ipa, readable and (if write) writable. False: v->stop.fault has type, level and ipa. */
static bool s2_page(struct vcpu *v, u64 ipa, bool write, u64 *hva)
{
	struct vtlb_s2 *c = vtlb_s2_slot(v, ipa);
	struct s2_result r;

	if (likely(c->ipa == (ipa & ~0xfffull) && (c->w || !write))) {
		*hva = c->hva + (ipa & 0xfff);
		return true;
	}
	v->stop.fault = (struct mem_fault){.ipa = ipa, .write = write};
	if (s2_lookup(&v->group->mem->mmu, ipa, write, false, false, &r, &v->stop.fault))
		return false;
	c->ipa = ipa & ~0xfffull;
	c->hva = r.hva & ~0xfffull;
	c->w = r.w && write;
	*hva = r.hva;
	return true;
}

static enum s1_status desc_fault(struct vcpu *v, enum s1_status why, u64 ipa, u64 hva, bool write,
				 unsigned level)
{
	v->stop.fault.ipa = ipa;
	v->stop.fault.hva = hva;
	v->stop.fault.s1ptw = true;
	v->stop.fault.write = write;
	v->stop.s1_level = (u8)level;
	return why;
}

static enum s1_status desc_read(struct vcpu *v, u64 ipa, unsigned level, u64 *desc)
{
	u64 hva;

	if (!s2_page(v, ipa, false, &hva))
		return desc_fault(v, S1_S2_FAULT, ipa, 0, false, level);
	if (!guarded_load_acquire64((void *)(uintptr_t)hva, desc))
		return desc_fault(v, S1_HOST_FAULT, ipa, hva, false, level);
	return S1_OK;
}

/* Replaces old by new; *desc is what memory held (== old if it was swapped). */
static enum s1_status desc_update(struct vcpu *v, u64 ipa, unsigned level, u64 old, u64 new,
				  u64 *desc)
{
	bool swapped;
	u64 hva;

	*desc = old;
	if (!s2_page(v, ipa, true, &hva))
		return desc_fault(v, S1_S2_FAULT, ipa, 0, true, level);
	if (!guarded_cmpxchg64((void *)(uintptr_t)hva, desc, new, &swapped))
		return desc_fault(v, S1_HOST_FAULT, ipa, hva, true, level);
	return S1_OK;
}

/* --- stage 1
 * ----------------------------------------------------------------------------------------------------------
 */

/* One half of the address space, decoded from TCR_EL1. */
struct regime {
	u64 base;
	unsigned granule; /* log2 */
	unsigned input_bits;
	unsigned start_level;
	unsigned output_bits;
	bool hpd, ha, hd, wxn;
};

static enum s1_status fault_at(struct s1_fault *f, const struct s1_access *a, u32 fsc,
			       unsigned level)
{
	f->fsc = fsc | level;
	/* An atomic that could not even read reports a read. */
	f->write = (a->write && !a->atomic) || a->cache_op;
	return S1_FAULT;
}

static unsigned granule_log2(u64 tcr, unsigned half, u8 absent)
{
	/* TG0 and TG1 have different encodings; the reserved one is taken as 4 KiB. */
	static const u8 tg0[4] = {12, 16, 14, 12};
	static const u8 tg1[4] = {12, 14, 12, 16};

	unsigned granule = half ? tg1[tcr >> 30 & 3] : tg0[tcr >> 14 & 3];

	/* One that is not implemented works as one that is. */
	if (unlikely(absent & VCPU_GRANULE(granule)))
		for (granule = 12; granule < 16 && (absent & VCPU_GRANULE(granule));)
			granule += 2;
	return granule;
}

/* False: translation fault at level 0 (size, top bits, EPD, E0PD). */
static bool regime_decode(const struct vcpu *v, const struct s1_access *a, struct regime *g,
			  bool *size_fault)
{
	static const u8 ips_bits[8] = {32, 36, 40, 42, 44, 48, 48, 48};
	u64 tcr = v->arch.sys[SR_TCR_EL1] & ~v->absent.tcr, sctlr = v->arch.sys[SR_SCTLR_EL1];
	unsigned half = a->va >> 55 & 1;
	unsigned tsz = half ? tcr >> 16 & 63 : tcr & 63;
	u64 ttbr = v->arch.sys[half ? SR_TTBR1_EL1 : SR_TTBR0_EL1];
	unsigned stride, top, low;

	*size_fault = false;
	if (tsz < 16 || tsz > 39)
		return false;
	g->input_bits = 64 - tsz;
	top = mmu_ignores_top_byte(tcr, half, a->exec) ? 55 : 63;
	/* All bits from the input size up to the top equal bit 55. */
	if ((a->va & GENMASK(top, g->input_bits)) != (half ? GENMASK(top, g->input_bits) : 0))
		return false;
	if (tcr & (half ? TCR_EPD1 : TCR_EPD0))
		return false;
	if (a->el == 0 && (tcr & (half ? TCR_E0PD1 : TCR_E0PD0)))
		return false;

	g->granule = granule_log2(tcr, half, v->absent.granules);
	stride = g->granule - 3;
	g->start_level = 4 - (g->input_bits - g->granule + stride - 1) / stride;
	g->output_bits = MIN(ips_bits[tcr >> 32 & 7], PA_BITS - v->absent.pa_bits);
	g->hpd = tcr & (half ? TCR_HPD1 : TCR_HPD0);
	g->ha = tcr & TCR_HA;
	g->hd = g->ha && (tcr & TCR_HD);
	g->wxn = sctlr & SCTLR_WXN;
	/* The first table may be smaller than a granule: its size gives the alignment of the base.
	 */
	low = 3 + g->input_bits - ((3 - g->start_level) * stride + g->granule);
	g->base = ttbr & GENMASK(47, 1) & ~GENMASK(low - 1, 0);
	if (g->base >> g->output_bits) {
		*size_fault = true;
		return false;
	}
	return true;
}

/* Rights of a leaf under the table attributes above it. */
struct rights {
	bool r, w, x;
};

static struct rights leaf_rights(const struct regime *g, const struct s1_access *a, u64 desc,
				 u64 tables)
{
	bool el0 = (desc & DESC_AP_EL0) && !(tables & TABLE_NO_EL0);
	bool ro = (tables & TABLE_RO) || ((desc & DESC_AP_RO) && !(g->hd && (desc & DESC_DBM)));
	bool uxn = (desc & DESC_UXN) || (tables & TABLE_UXN);
	bool pxn = (desc & DESC_PXN) || (tables & TABLE_PXN);
	struct rights p;

	if (a->el == 0) {
		p.r = el0;
		p.w = el0 && !ro;
		p.x = !uxn && !(g->wxn && p.w);
	} else {
		p.r = true;
		p.w = !ro;
		/* What EL0 can write EL1 never executes. */
		p.x = !pxn && !(el0 && !ro) && !(g->wxn && p.w);
		if (a->pan && el0)
			p.r = p.w = false;
	}
	return p;
}

static unsigned contiguous_log2(const struct regime *g, unsigned level)
{
	switch (g->granule) {
	case 12:
		return 4;
	case 14:
		return level == 3 ? 7 : 5;
	default:
		return 5;
	}
}

static enum s1_status leaf_check(const struct regime *g, const struct s1_access *a, u64 desc,
				 u64 tables, unsigned level, struct s1_fault *f)
{
	struct rights p = leaf_rights(g, a, desc, tables);

	if (!(desc & DESC_AF) && !g->ha)
		return fault_at(f, a, FSC_ACCESS_FLAG_L, level);
	if (a->exec ? !p.x : (!p.r || (a->write && !p.w))) {
		fault_at(f, a, FSC_PERMISSION_L, level);
		f->write |= a->write && p.r;
		return S1_FAULT;
	}
	return S1_OK;
}

/* Bits that hardware management of the access flag and dirty state wants changed. */
static u64 leaf_wanted(const struct regime *g, const struct s1_access *a, u64 desc)
{
	u64 want = desc;

	if (a->no_update)
		return want;
	if (g->ha)
		want |= DESC_AF;
	if (g->hd && a->write && !a->cache_op && (desc & DESC_DBM))
		want &= ~DESC_AP_RO;
	return want;
}

static void walk_off(const struct s1_access *a, struct s1_result *r)
{
	*r = (struct s1_result){.ipa = a->va & GENMASK(PA_BITS - 1, 0),
				.leaf_log2 = 12,
				.device = true,
				.global = true};
}

enum s1_status s1_walk(struct vcpu *v, const struct s1_access *a, struct s1_result *r,
		       struct s1_fault *f)
{
	struct regime g;
	unsigned level, shift, stride;
	u64 table, tables = 0, desc, at, want, got;
	bool size_fault;
	enum s1_status st;

	if (!mmu_is_on(v)) {
		/* With TBI the tag byte is dropped; the other top bits must be 0 or the address is
		 * too large. */
		u64 tcr = v->arch.sys[SR_TCR_EL1];
		bool tbi = mmu_ignores_top_byte(tcr, a->va >> 55 & 1, a->exec);

		walk_off(a, r);
		if (a->va & (tbi ? GENMASK(55, PA_BITS) : GENMASK(63, PA_BITS)))
			return fault_at(f, a, FSC_ADDRESS_SIZE_L, 0);
		return S1_OK;
	}
	if (!regime_decode(v, a, &g, &size_fault))
		return fault_at(f, a, size_fault ? FSC_ADDRESS_SIZE_L : FSC_TRANSLATION_L, 0);
	stride = g.granule - 3;
again:
	table = g.base;
	tables = 0;
	for (level = g.start_level;; level++) {
		shift = (3 - level) * stride + g.granule;
		/* The start level may resolve fewer bits than a full table. */
		unsigned bits = level == g.start_level ? g.input_bits - shift : stride;

		at = table + (bits_get(a->va, shift, bits) << 3);
		st = desc_read(v, at, level, &desc);
		if (st != S1_OK)
			return st;
	changed:
		if (!(desc & DESC_VALID))
			return fault_at(f, a, FSC_TRANSLATION_L, level);
		if (level < 3 && (desc & DESC_TABLE)) {
			table = desc & GENMASK(47, g.granule);
			if (table >> g.output_bits)
				return fault_at(f, a, FSC_ADDRESS_SIZE_L, level);
			if (!g.hpd)
				tables |= desc & (TABLE_PXN | TABLE_UXN | TABLE_NO_EL0 | TABLE_RO);
			continue;
		}
		/* Blocks: levels 1 and 2 with 4 KiB, level 2 with 16 KiB and 64 KiB. */
		if (level == 3 ? !(desc & DESC_TABLE) : level < (g.granule == 12 ? 1 : 2))
			return fault_at(f, a, FSC_TRANSLATION_L, level);
		break;
	}
	if ((desc & GENMASK(47, shift)) >> g.output_bits)
		return fault_at(f, a, FSC_ADDRESS_SIZE_L, level);
	st = leaf_check(&g, a, desc, tables, level, f);
	if (st != S1_OK)
		return st;
	want = leaf_wanted(&g, a, desc);
	if (want != desc) {
		st = desc_update(v, at, level, desc, want, &got);
		if (st != S1_OK)
			return st;
		if (got != desc) {
			/* Changed under us: look at what is there now; a table in its place means
			 * walking anew. */
			if (level < 3 && (got & 3) == 3)
				goto again;
			desc = got;
			goto changed;
		}
		desc = want;
	}

	r->ipa = (desc & GENMASK(47, shift)) | (a->va & (GENMASK(shift, 0) >> 1));
	r->attr = (u8)(v->arch.sys[SR_MAIR_EL1] >> (desc >> 2 & 7) * 8);
	r->sh = desc >> 8 & 3;
	r->leaf_log2 = (u8)(shift + (desc & DESC_CONT ? contiguous_log2(&g, level) : 0));
	r->level = (u8)level;
	r->device = !(r->attr & 0xf0);
	r->global = !(desc & DESC_NG);
	return S1_OK;
}

/* --- both stages
 * ------------------------------------------------------------------------------------------------------
 */

void translate_report(struct vcpu *v, const struct s1_access *a, const struct s1_fault *f)
{
	if (a->exec)
		vcpu_insn_abort(v, a->va, f->fsc);
	else
		vcpu_data_abort(v, a->va,
				f->fsc | (f->write ? BIT(6) : 0) | (a->cache_op ? BIT(8) : 0),
				false);
}

void translate_stop_s2(struct vcpu *v, const struct s1_access *a, u32 acc, unsigned size)
{
	struct mem_fault *f = &v->stop.fault;

	f->va = a->va;
	f->exec = a->exec;
	f->el0 = a->el == 0;
	f->cache_op = a->cache_op;
	f->size = (u8)size;
	if (!f->s1ptw) {
		/* An atomic that could not even read reports a read; once it can, its write is looked at. */
		f->write = a->write && !(a->atomic && f->type == MEM_FAULT_TRANSLATION);
		f->isv = acc & ACC_ISV;
		f->sign_extend = acc & ACC_SEXT;
		f->sf = acc & ACC_SF;
		f->acquire_release = acc & ACC_ORDERED;
		f->rt = (acc >> 16) & 31;
	}
}

/* Data accesses to the page of va are looked at one by one. */
static bool looked_at(const struct vcpu *v, u64 va, bool device)
{
	return device || (v->arch.sys[SR_SCTLR_EL1] & SCTLR_A) ||
	       (unlikely(v->debug.watchpoints) && vcpu_watches_page(v, va));
}

bool translate_access(struct vcpu *v, const struct s1_access *a, u32 acc, unsigned size,
		      struct page_result *out)
{
	enum vtlb_access kind = a->exec ? VTLB_EXEC : a->write ? VTLB_WRITE : VTLB_READ;
	struct s1_result r;
	struct s1_fault f;
	struct s2_result s2;
	struct vtlb_context *c;

	switch (s1_walk(v, a, &r, &f)) {
	case S1_OK:
		break;
	case S1_FAULT:
		translate_report(v, a, &f);
		return false;
	case S1_S2_FAULT:
		v->stop.kind = STOP_S2_FAULT;
		translate_stop_s2(v, a, acc, size);
		return false;
	case S1_HOST_FAULT:
		v->stop.kind = STOP_HOST_FAULT;
		translate_stop_s2(v, a, acc, size);
		return false;
	}
	if (r.device && !a->exec && !a->cache_op && (a->zeroes || (a->va & (size - 1)) != 0)) {
		f = (struct s1_fault){.fsc = FSC_ALIGNMENT, .write = a->write};
		translate_report(v, a, &f);
		return false;
	}

	v->stop.fault = (struct mem_fault){.ipa = r.ipa, .write = a->write, .exec = a->exec};
	/* Maintenance writes nothing: the VMM's memory may be read-only or logged, where only stores are told. */
	if (s2_lookup(&v->group->mem->mmu, r.ipa, a->write && !a->cache_op, a->exec, a->el == 0,
		      &s2, &v->stop.fault)) {
		v->stop.kind = STOP_S2_FAULT;
		v->stop.fault.ipa = r.ipa;
		translate_stop_s2(v, a, acc, size);
		return false;
	}
	out->hva = s2.hva;
	out->ipa = r.ipa;
	/*
	 * Device memory and SCTLR_EL1.A need the alignment looked at on each access, so their data
	 * accesses stay out of the TLB. So do those to a page with a watchpoint.
	 */
	if (!a->cache_op && (a->exec || !looked_at(v, a->va, r.device))) {
		c = vtlb_context_get(v, a->va, a->el);
		vtlb_insert(c, kind, a->va, s2.hva, r.ipa, r.leaf_log2, r.global);
		/* No stage-1 or stage-2 permission of ours allows writes alone. */
		if (kind == VTLB_WRITE)
			vtlb_insert(c, VTLB_READ, a->va, s2.hva, r.ipa, r.leaf_log2, r.global);
	}
	return true;
}
