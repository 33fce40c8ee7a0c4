// SPDX-License-Identifier: MIT
/*
 * Slow paths of vmem.h: misses, unprivileged and ordered accesses, alignment, Device memory, and
 * accesses that cross a page.
 *
 * One public call is one access section: from the lookup of the first page to the last touch of an
 * hva there is no poll.
 */
#include "vcpu/vmem.h"

#include <string.h>

#include "vcpu/translate.h"

static unsigned access_el(const struct vcpu *v, u32 acc)
{
	return v->arch.el == 1 && !((acc & ACC_UNPRIV) && !(v->arch.pstate & PSR_UAO));
}

static struct s1_access access_make(const struct vcpu *v, u64 va, bool write, u32 acc)
{
	unsigned el = access_el(v, acc);

	return (struct s1_access){
		.va = va,
		.el = (u8)el,
		.write = write,
		.pan = el == 1 && (v->arch.pstate & PSR_PAN),
		.cache_op = acc & ACC_CACHE,
	};
}

static bool alignment_fault(struct vcpu *v, const struct s1_access *a)
{
	struct s1_fault f = {.fsc = FSC_ALIGNMENT, .write = a->write || a->cache_op};

	translate_report(v, a, &f);
	return false;
}

/* What alignment this access must have whatever the memory: 1 if any. A call is one register or
 * element: pairs and structures make several. */
static unsigned required_alignment(const struct vcpu *v, unsigned size, u32 acc)
{
	if ((acc & (ACC_ATOMIC | ACC_EXCL | ACC_ORDERED)) || (v->arch.sys[SR_SCTLR_EL1] & SCTLR_A))
		return size;
	return 1;
}

/* With watchpoints on: true if one stops this access, of size bytes in all. */
static NOINLINE bool watched(struct vcpu *v, const struct s1_access *a, unsigned size)
{
	unsigned kinds = a->atomic ? WATCH_LOAD | WATCH_STORE : a->write ? WATCH_STORE : WATCH_LOAD;

	return vcpu_watchpoint(v, a->va, size, kinds, a->el, 0);
}

static void *translate(struct vcpu *v, const struct s1_access *a, u32 acc, unsigned size)
{
	enum vtlb_access kind = a->write ? VTLB_WRITE : VTLB_READ;
	struct vtlb_context *c = vtlb_context_get(v, a->va, a->el);
	const struct vtlb_entry *e = &c->e[kind][(a->va >> 12) & (VTLB_SIZE - 1)];
	struct page_result r;

	if (likely(e->tag == vtlb_tag(a->va)))
		return (void *)(uintptr_t)(a->va + e->addend);
	if (!translate_access(v, a, acc, size, &r))
		return NULL;
	return (void *)(uintptr_t)r.hva;
}

/* One page's worth: [va, va + len) does not cross a page. size is that of the whole access. */
static void *resolve(struct vcpu *v, const struct s1_access *a, u32 acc, unsigned size)
{
	void *hva = translate(v, a, acc, size);

	return likely(!v->debug.watchpoints) || !hva || !watched(v, a, size) ? hva : NULL;
}

static bool crosses_page(u64 va, unsigned size)
{
	return (va & 0xfff) + size > 0x1000;
}

/* Both pages of a crossing access; hva[0] holds the first *first bytes. The syndrome of such an
 * access is never valid. */
static bool resolve_two(struct vcpu *v, struct s1_access *a, u32 acc, unsigned size, u8 *hva[2],
			unsigned *first)
{
	u64 va = a->va;

	acc &= ~(u32)ACC_ISV;
	*first = 0x1000 - (va & 0xfff);
	hva[0] = resolve(v, a, acc, size);
	if (!hva[0])
		return false;
	a->va = (va & ~0xfffull) + 0x1000;
	hva[1] = resolve(v, a, acc, 1);
	a->va = va;
	return hva[1];
}

static bool load_bytes(u8 *const hva[2], unsigned first, unsigned size, u8 *out, unsigned *failed)
{
	for (unsigned i = 0; i < size; i++) {
		*failed = i >= first;
		if (!guarded_load8(i < first ? hva[0] + i : hva[1] + (i - first), &out[i]))
			return false;
	}
	return true;
}

static bool store_bytes(u8 *const hva[2], unsigned first, unsigned size, const u8 *in,
			unsigned *failed)
{
	for (unsigned i = 0; i < size; i++) {
		*failed = i >= first;
		if (!guarded_store8(i < first ? hva[0] + i : hva[1] + (i - first), in[i]))
			return false;
	}
	return true;
}

/*
 * The host refused hva although stage 2 maps it. The IPA is found by another walk: rare, and the
 * walk is in the same access section, so it sees what the access saw. (If a table changed in
 * between, running the instruction again is right as well.)
 */
enum op_result vmem_host_fault(struct vcpu *v, u64 va, void *hva, bool write)
{
	struct s1_access a = access_make(v, va, write, 0);
	struct s1_result r;
	struct s1_fault f;

	access_section_begin(&v->tlb);
	vtlb_drop_hva(v, (u64)(uintptr_t)hva);
	a.pan = false;
	a.el = 1;
	if (s1_walk(v, &a, &r, &f) != S1_OK) {
		/* Gone meanwhile: the access is simply run again. */
		v->stop.kind = STOP_REQUEST;
		v->stats.instructions--;
	} else {
		v->stop.kind = STOP_HOST_FAULT;
		v->stop.fault = (struct mem_fault){.ipa = r.ipa, .va = va, .write = write};
		v->stop.fault.hva = (u64)(uintptr_t)hva;
	}
	access_section_end(&v->tlb);
	return OP_STOP;
}

static bool load_one(void *hva, unsigned size, bool ordered, u64 *out)
{
	u8 x8;
	u16 x16;
	u32 x32;
	bool ok;

	switch (size) {
	case 1:
		ok = ordered ? guarded_load_acquire8(hva, &x8) : guarded_load8(hva, &x8);
		*out = ok ? x8 : 0;
		return ok;
	case 2:
		ok = ordered ? guarded_load_acquire16(hva, &x16) : guarded_load16(hva, &x16);
		*out = ok ? x16 : 0;
		return ok;
	case 4:
		ok = ordered ? guarded_load_acquire32(hva, &x32) : guarded_load32(hva, &x32);
		*out = ok ? x32 : 0;
		return ok;
	default:
		return ordered ? guarded_load_acquire64(hva, out) : guarded_load64(hva, out);
	}
}

static bool store_one(void *hva, unsigned size, bool ordered, u64 value)
{
	switch (size) {
	case 1:
		return ordered ? guarded_store_seqcst8(hva, (u8)value)
			       : guarded_store8(hva, (u8)value);
	case 2:
		return ordered ? guarded_store_seqcst16(hva, (u16)value)
			       : guarded_store16(hva, (u16)value);
	case 4:
		return ordered ? guarded_store_seqcst32(hva, (u32)value)
			       : guarded_store32(hva, (u32)value);
	default:
		return ordered ? guarded_store_seqcst64(hva, value) : guarded_store64(hva, value);
	}
}

/* size bytes into out; true, or false with the reason recorded. */
static bool load_any(struct vcpu *v, u64 va, unsigned size, u32 acc, u8 *out)
{
	struct s1_access a = access_make(v, va, false, acc);
	unsigned first, failed;
	u8 *hva[2];

	if (!resolve_two(v, &a, acc, size, hva, &first))
		return false;
	if (load_bytes(hva, first, size, out, &failed))
		return true;
	vmem_host_fault(v, failed ? va + first : va, hva[failed], false);
	return false;
}

static bool store_any(struct vcpu *v, u64 va, unsigned size, u32 acc, const u8 *in)
{
	struct s1_access a = access_make(v, va, true, acc);
	unsigned first, failed;
	u8 *hva[2];

	if (!resolve_two(v, &a, acc, size, hva, &first))
		return false;
	if (store_bytes(hva, first, size, in, &failed))
		return true;
	vmem_host_fault(v, failed ? va + first : va, hva[failed], true);
	return false;
}

bool vmem_load_slow(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 *out)
{
	struct s1_access a = access_make(v, va, false, acc);
	bool ok = false;
	void *hva;

	if (va & (required_alignment(v, size, acc) - 1))
		return alignment_fault(v, &a);
	access_section_begin(&v->tlb);
	if (unlikely(crosses_page(va, size))) {
		*out = 0;
		ok = load_any(v, va, size, acc, (u8 *)out);
	} else {
		hva = resolve(v, &a, acc, size);
		if (hva) {
			ok = load_one(hva, size, acc & ACC_ORDERED, out);
			if (!ok)
				vmem_host_fault(v, va, hva, false);
		}
	}
	access_section_end(&v->tlb);
	return ok;
}

bool vmem_store_slow(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 value)
{
	struct s1_access a = access_make(v, va, true, acc);
	bool ok = false;
	void *hva;

	if (va & (required_alignment(v, size, acc) - 1))
		return alignment_fault(v, &a);
	v->stop.store_value[0] = value;
	access_section_begin(&v->tlb);
	if (unlikely(crosses_page(va, size))) {
		ok = store_any(v, va, size, acc, (const u8 *)&value);
	} else {
		hva = resolve(v, &a, acc, size);
		if (hva) {
			ok = store_one(hva, size, acc & ACC_ORDERED, value);
			if (!ok)
				vmem_host_fault(v, va, hva, true);
		}
	}
	access_section_end(&v->tlb);
	return ok;
}

static bool load128_slow(struct vcpu *v, u64 va, u32 acc, u64 out[2])
{
	struct s1_access a = access_make(v, va, false, acc);
	bool ok = false;
	void *hva;

	if (va & (required_alignment(v, 16, acc) - 1))
		return alignment_fault(v, &a);
	access_section_begin(&v->tlb);
	if (crosses_page(va, 16)) {
		ok = load_any(v, va, 16, acc, (u8 *)out);
	} else {
		hva = resolve(v, &a, acc, 16);
		if (hva) {
			ok = guarded_load128(hva, out);
			if (!ok)
				vmem_host_fault(v, va, hva, false);
		}
	}
	access_section_end(&v->tlb);
	return ok;
}

bool vmem_load128(struct vcpu *v, u64 va, u32 acc, u64 out[2])
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_READ, va, 16);

	if (likely(hva && !(acc & (ACC_UNPRIV | ACC_ORDERED | ACC_ATOMIC | ACC_EXCL)) &&
		   guarded_load128(hva, out)))
		return true;
	return load128_slow(v, va, acc, out);
}

static bool store128_slow(struct vcpu *v, u64 va, u32 acc, const u64 value[2])
{
	struct s1_access a = access_make(v, va, true, acc);
	bool ok = false;
	void *hva;

	if (va & (required_alignment(v, 16, acc) - 1))
		return alignment_fault(v, &a);
	access_section_begin(&v->tlb);
	if (crosses_page(va, 16)) {
		ok = store_any(v, va, 16, acc, (const u8 *)value);
	} else {
		hva = resolve(v, &a, acc, 16);
		if (hva) {
			ok = guarded_store128(hva, value[0], value[1]);
			if (!ok)
				vmem_host_fault(v, va, hva, true);
		}
	}
	access_section_end(&v->tlb);
	return ok;
}

bool vmem_store128(struct vcpu *v, u64 va, u32 acc, const u64 value[2])
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_WRITE, va, 16);

	if (likely(hva && !(acc & (ACC_UNPRIV | ACC_ORDERED | ACC_ATOMIC | ACC_EXCL)) &&
		   guarded_store128(hva, value[0], value[1])))
		return true;
	return store128_slow(v, va, acc, value);
}

bool vmem_probe(struct vcpu *v, u64 va, unsigned len, bool write, u32 acc)
{
	bool ok = true;

	/* The host's refusal shows at the access itself; here only the translations are made sure
	 * of. */
	access_section_begin(&v->tlb);
	for (u64 at = va; ok; at = (at & ~0xfffull) + 0x1000) {
		struct s1_access a = access_make(v, at, write, acc);

		ok = resolve(v, &a, acc & ~(u32)ACC_ISV, 1);
		if (((at ^ (va + len - 1)) & ~0xfffull) == 0)
			break;
	}
	access_section_end(&v->tlb);
	return ok;
}

void *vmem_atomic_ptr(struct vcpu *v, u64 va, unsigned size, bool write, u32 acc)
{
	struct s1_access a = access_make(v, va, write, acc);
	void *hva;

	if (va & (size - 1)) {
		a.atomic = false;
		alignment_fault(v, &a);
		return NULL;
	}
	a.atomic = write && !(acc & ACC_EXCL);
	access_section_begin(&v->tlb);
	hva = resolve(v, &a, acc, size);
	access_section_end(&v->tlb);
	return hva;
}

void *vmem_fetch_page(struct vcpu *v, u64 va)
{
	struct vtlb_context *c = vtlb_context_get(v, va, v->arch.el);
	const struct vtlb_entry *e = &c->e[VTLB_EXEC][(va >> 12) & (VTLB_SIZE - 1)];
	struct s1_access a = {.va = va, .el = v->arch.el, .exec = true};
	struct page_result r;
	bool ok;

	if (likely(e->tag == vtlb_tag(va)))
		return (void *)(uintptr_t)((va & ~0xfffull) + e->addend);
	access_section_begin(&v->tlb);
	ok = translate_access(v, &a, 0, 4, &r);
	access_section_end(&v->tlb);
	return ok ? (void *)(uintptr_t)(r.hva & ~0xfffull) : NULL;
}

bool vmem_zero_block(struct vcpu *v, u64 va)
{
	struct s1_access a = access_make(v, va, true, 0);
	struct page_result r;
	void *hva = vtlb_hit(&v->vtlb, VTLB_WRITE, va & ~63ull, 1);
	bool ok = true;

	a.zeroes = true;
	access_section_begin(&v->tlb);
	if (!hva) {
		ok = translate_access(v, &a, 0, 1, &r);
		hva = ok ? (void *)(uintptr_t)(r.hva & ~63ull) : NULL;
	}
	if (ok && unlikely(v->debug.watchpoints)) {
		a.va = va & ~63ull;
		ok = !watched(v, &a, 64);
	}
	if (ok && !guarded_zero(hva, 64)) {
		vmem_host_fault(v, va, hva, true);
		ok = false;
	}
	access_section_end(&v->tlb);
	return ok;
}
