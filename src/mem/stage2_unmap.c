/* SPDX-License-Identifier: MIT */
/* Exclusive walks over large ranges: unmap and write-protect, and the flush that follows them. */
#include "base/bug.h"
#include "mem/stage2.h"
#include "mem/stage2_range.h"

/*
 * Cut at 1 GiB, the largest block. Where the lock was dropped pgt is read again: a table that was detached meanwhile has
 * nothing left to change.
 */
void stage2_walk_range(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
		       const struct s2_walker *w)
{
	rwlock_assert_write_held(&m->mmu_lock);
	while (start < end) {
		u64 next = MIN(ALIGN_DOWN(start, GIB) + GIB, end);
		struct s2_pgt *pgt = aptr_load_relaxed(&mmu->pgt);
		int ret;

		if (!pgt)
			return;
		ret = stage2_walk(pgt, start, next, w);
		BUG_ON(ret);
		start = next;
		if (may_block && start < end && rwlock_is_contended(&m->mmu_lock)) {
			write_unlock(&m->mmu_lock);
			write_lock(&m->mmu_lock);
		}
	}
}

static void note_entry(const struct s2_visit *v, struct s2_range *changed)
{
	u64 start = ALIGN_DOWN(v->ipa, s2_size(v->level));

	/* A block that is covered in part goes as a whole, so it is flushed as a whole. */
	s2_range_add(changed, start, start + s2_size(v->level));
}

static int unmap_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	struct s2_table *child;

	if (kind == S2_VISIT_LEAF) {
		if (!v->old)
			return 0;
		stage2_try_replace(v, 0);
		stage2_count(v->table, -1);
		note_entry(v, v->arg);
		return 0;
	}
	/* After its entries: a child whose only count is its parent's goes too. */
	child = s2_child(v->old);
	if (a32_load_relaxed(&stage2_table_meta(child)->count) != 1)
		return 0;
	stage2_try_replace(v, 0);
	stage2_count(v->table, -1);
	stage2_table_free_rcu(child, v->level + 1);
	return 0;
}

void stage2_unmap(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
		  struct s2_range *changed)
{
	struct s2_walker w = {
		.visit = unmap_visit, .kinds = S2_VISIT_LEAF | S2_VISIT_POST, .arg = changed};

	stage2_walk_range(m, mmu, start, end, may_block, &w);
}

static int write_protect_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	if (!s2_is_leaf(v->old, v->level) || !(v->old & S2_W))
		return 0;
	/* A walk that sets the access flag at this moment may lose it: it is set again at the next use. */
	stage2_try_replace(v, v->old & ~S2_W);
	note_entry(v, v->arg);
	return 0;
}

/* The same for many entries in a row: all of a slot's pages may be waiting for their turn behind mmu_lock. */
static void write_protect_pages(struct s2_visit *v)
{
	u64 nr = (v->end - v->ipa) / 4096, first = nr, last = 0;

	for (u64 i = 0; i < nr; i++) {
		u64 pte = a64_load_relaxed(&v->entry[i]);

		BUG_ON(pte == S2_LOCKED);
		if ((pte & (S2_VALID | S2_W)) != (S2_VALID | S2_W))
			continue;
		a64_store_relaxed(&v->entry[i], pte & ~S2_W);
		first = MIN(first, i);
		last = i;
	}
	if (first < nr)
		s2_range_add(v->arg, v->ipa + first * 4096, v->ipa + (last + 1) * 4096);
}

void stage2_write_protect(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
			  struct s2_range *changed)
{
	struct s2_walker w = {.visit = write_protect_visit,
			      .visit_pages = write_protect_pages,
			      .kinds = S2_VISIT_LEAF,
			      .arg = changed};

	stage2_walk_range(m, mmu, start, end, may_block, &w);
}

void stage2_flush(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, u64 code_start,
		  u64 code_end)
{
	struct tlb_inval rec = {
		.kind = TLB_INVAL_IPA,
		.asid = -1,
		.mmu_id = mmu->id,
		.start = start,
		.end = end,
		.code_start = code_start,
		.code_end = code_end,
	};

	tlb_shootdown(&m->tlb, &rec);
}
