/* SPDX-License-Identifier: MIT */
/*
 * TLB maintenance by the guest hypervisor. To it a shadow table is a TLB: what it caches of the hypervisor's stage 2 has to go
 * when the hypervisor says so, and not before.
 *
 * A fault that walked the hypervisor's tables before they changed may be about to install what it found:
 *
 *	vCPU 0 (inner guest faults)		vCPU 1 (hypervisor)
 *	walk: old descriptor
 *						new descriptor; TLBI: shadow leaves go, complete
 *	install the old translation
 *
 * No later TLBI would take that leaf back. So each of these raises inv_seq, as the end of a notifier pair does: vCPU 0 sees it
 * under mmu_lock and starts over. (KVM does so for its pinned pages of the EL2 regime only.)
 *
 * mmu_lock may be let go in the middle of a large range and the context be recycled meanwhile. That is harmless: the new key's
 * first entry empties the table anyway, other vCPUs may use old translations until the instruction completes, and what is taken
 * from a stranger faults in again.
 */
#include "base/bug.h"
#include "host/signal.h"
#include "mem/hook.h"
#include "mem/nested_mmu.h"

#define IPA_END BIT(NESTED_IPA_BITS)

static u64 tlbi_begin(struct vm_mem *m) ACQUIRE(&m->mmu_lock)
{
	u64 sigmask = host_signals_block();

	mem_hook(HOOK_NESTED_TLBI, m);
	write_lock(&m->mmu_lock);
	/*
	 * Before the lock is let go for the first time. Pairs with the acquire in fault.c: who reads the new value walks the new
	 * tables, who read the old one is turned away by must_retry.
	 */
	a64_fetch_add(&m->inv_seq, 1);
	return sigmask;
}

static void tlbi_end(struct vm_mem *m, u64 sigmask) RELEASE(&m->mmu_lock)
{
	write_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
}

static bool has_vmid(const struct nested_mmu *n, u16 vmid)
{
	return nested_mmu_is_valid(n) && nested_vmid(n->key.vttbr, n->key.vtcr) == vmid;
}

static void flush_context(struct vm_mem *m, struct nested_mmu *n)
{
	stage2_flush(m, &n->mmu, 0, IPA_END, 0, 0);
}

void nested_tlbi_all(struct vm_mem *m)
{
	u64 sigmask = tlbi_begin(m);

	if (nested_unmap_all(m))
		stage2_flush(m, NULL, S2_RANGE_ALL.start, S2_RANGE_ALL.end, 0, 0);
	tlbi_end(m, sigmask);
}

void nested_tlbi_vmid(struct vm_mem *m, u16 vmid)
{
	u64 sigmask = tlbi_begin(m);

	for (u32 i = 0; i < m->nested.nr; i++) {
		struct nested_mmu *n = nested_mmu_at(m, i);

		if (!has_vmid(n, vmid))
			continue;
		stage2_unmap_whole(m, &n->mmu);
		flush_context(m, n);
	}
	tlbi_end(m, sigmask);
}

/* log2 of what a leaf of the level maps; 0 where the granule has no leaves at that level (without LPA2). */
static unsigned leaf_shift(unsigned granule, unsigned level)
{
	if (level < (granule == 12 ? 1 : 2))
		return 0;
	return granule + (granule - 3) * (3 - level);
}

static unsigned hint_shift(unsigned ttl)
{
	static const u8 granule[4] = {0, 12, 14, 16};
	unsigned g = granule[ttl >> 2 & 3];

	return g ? leaf_shift(g, ttl & 3) : 0;
}

struct find_leaf {
	unsigned guest_level;
};

static int find_leaf_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	struct find_leaf *f = v->arg;

	if (s2_is_leaf(v->old, v->level))
		f->guest_level = s2_guest_level(v->old);
	return 0;
}

/* The level of the hypervisor's leaf behind the shadow leaf at ipa; 0 if there is none. */
static unsigned guest_level_at(struct vm_mem *m, struct nested_mmu *n, u64 ipa)
	REQUIRES(&m->mmu_lock)
{
	/* There is one: a shadow MMU that loses its table is no longer valid. */
	struct s2_pgt *pgt = aptr_load_relaxed(&n->mmu.pgt);
	struct find_leaf f = {0};
	struct s2_walker w = {.visit = find_leaf_visit, .kinds = S2_VISIT_LEAF, .arg = &f};
	u64 page = ALIGN_DOWN(ipa, 4096);

	stage2_walk(pgt, page, page + 4096, &w);
	return f.guest_level;
}

/*
 * What the hypervisor may mean by ipa: all that one of its leaves maps, of which the shadow table may hold parts without holding
 * ipa itself. So without a hint, and without a shadow leaf that tells, the largest leaf of the granule.
 */
static u64 span_at(struct vm_mem *m, struct nested_mmu *n, u64 ipa, unsigned ttl)
	REQUIRES(&m->mmu_lock)
{
	unsigned granule = nested_granule(n->key.vtcr), shift = hint_shift(ttl);

	if (!shift)
		shift = leaf_shift(granule, guest_level_at(m, n, ipa));
	if (!shift)
		shift = leaf_shift(granule, granule == 12 ? 1 : 2);
	return BIT(shift);
}

static void unmap_range(struct vm_mem *m, struct nested_mmu *n, u64 start, u64 end)
	REQUIRES(&m->mmu_lock)
{
	struct s2_range gone = {start, end};

	stage2_unmap(m, &n->mmu, start, end, true, &gone);
	stage2_flush(m, &n->mmu, gone.start, gone.end, 0, 0);
}

void nested_tlbi_ipa(struct vm_mem *m, u16 vmid, u64 ipa, unsigned ttl)
{
	u64 sigmask = tlbi_begin(m);

	for (u32 i = 0; i < m->nested.nr && ipa < IPA_END; i++) {
		struct nested_mmu *n = nested_mmu_at(m, i);
		u64 span;

		if (!has_vmid(n, vmid))
			continue;
		span = span_at(m, n, ipa, ttl);
		unmap_range(m, n, ALIGN_DOWN(ipa, span), ALIGN_DOWN(ipa, span) + span);
	}
	tlbi_end(m, sigmask);
}

void nested_tlbi_ipa_range(struct vm_mem *m, u16 vmid, u64 start, u64 end)
{
	u64 sigmask = tlbi_begin(m);

	start = ALIGN_DOWN(start, 4096);
	end = MIN(end, IPA_END);
	if (end < IPA_END)
		end = ALIGN_UP(end, 4096);
	for (u32 i = 0; i < m->nested.nr && start < end; i++)
		if (has_vmid(nested_mmu_at(m, i), vmid))
			unmap_range(m, nested_mmu_at(m, i), start, end);
	tlbi_end(m, sigmask);
}

void nested_tlbi_stage1(struct vm_mem *m, u16 vmid)
{
	u64 sigmask = tlbi_begin(m);

	for (u32 i = 0; i < m->nested.nr; i++)
		if (has_vmid(nested_mmu_at(m, i), vmid))
			flush_context(m, nested_mmu_at(m, i));
	tlbi_end(m, sigmask);
}

void nested_tlbi_el2(struct vm_mem *m)
{
	u64 sigmask = tlbi_begin(m);

	stage2_flush(m, &m->mmu, 0, IPA_END, 0, 0);
	tlbi_end(m, sigmask);
}
