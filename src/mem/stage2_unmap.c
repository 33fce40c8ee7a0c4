/* SPDX-License-Identifier: MIT */
/* Exclusive walks over large ranges: unmap and write-protect, and the flush that follows them. */
#include "base/bug.h"
#include "mem/stage2.h"
#include "mem/stage2_range.h"

/*
 * Cut at 1 GiB, the largest block; an empty entry of the start level is one piece, as a shadow table spans 48 bits and holds
 * little.
 */
static u64 piece_end(const struct s2_pgt *pgt, u64 start, u64 end)
{
	unsigned shift = s2_shift(pgt->start_level);
	const struct s2_table *root;
	u64 size = GIB;

	if ((end - 1) >> pgt->ipa_bits)
		return end; /* the walk refuses */
	root = pgt->root[start >> (shift + 9)];
	if (!a64_load_relaxed(&root->entry[(start >> shift) % S2_ENTRIES]))
		size = MAX(size, BIT(shift));
	return MIN(ALIGN_DOWN(start, size) + size, end);
}

/*
 * Where the lock was dropped pgt is read again: a table that was detached meanwhile has
 * nothing left to change.
 */
void stage2_walk_range(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
		       const struct s2_walker *w)
{
	rwlock_assert_write_held(&m->mmu_lock);
	while (start < end) {
		struct s2_pgt *pgt = aptr_load_relaxed(&mmu->pgt);
		u64 next;
		int ret;

		if (!pgt)
			return;
		next = piece_end(pgt, start, end);
		ret = stage2_walk(pgt, start, next, w);
		BUG_ON(ret);
		start = next;
		if (may_block && start < end && rwlock_is_contended(&m->mmu_lock)) {
			write_unlock(&m->mmu_lock);
			write_lock(&m->mmu_lock);
		}
	}
}

static void note_range(const struct s2_visit *v, struct s2_range *changed)
{
	u64 start = ALIGN_DOWN(v->ipa, s2_size(v->level));

	/* A block that is covered in part goes as a whole, so it is flushed as a whole. */
	s2_range_add(changed, start, start + s2_size(v->level));
}

static void note_entry(const struct s2_visit *v, struct s2_range *changed)
{
	note_range(v, changed);
	changed->leaves++;
	changed->pages += s2_size(v->level) / 4096;
}

/* Leaves of a table that goes as a whole. One of the lowest level knows their number: one look for 512. */
static void note_leaves_below(const struct s2_table *t, unsigned level, struct s2_range *changed)
{
	u32 nr = a32_load_relaxed(&stage2_table_meta(t)->count) - 1;

	if (level == 3) {
		changed->leaves += nr;
		changed->pages += nr;
		return;
	}
	for (unsigned i = 0; i < S2_ENTRIES && nr; i++) {
		u64 pte = a64_load_relaxed(&t->entry[i]);

		nr -= s2_is_counted(pte);
		if (s2_is_table(pte, level)) {
			note_leaves_below(s2_child(pte), level + 1, changed);
		} else if (pte) {
			changed->leaves++;
			changed->pages += s2_size(level) / 4096;
		}
	}
}

static void unlink_child(struct s2_visit *v)
{
	struct s2_table *child = s2_child(v->old);

	stage2_try_replace(v, 0);
	stage2_count(v->table, -1);
	stage2_table_free_rcu(child, v->level + 1);
}

static int unmap_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	switch (kind) {
	case S2_VISIT_PRE:
		/* All that is below goes: unlinked, it need not be looked at. (Its counts mean nothing any more.) */
		if (v->end - v->ipa != s2_size(v->level))
			return 0;
		note_leaves_below(s2_child(v->old), v->level + 1, v->arg);
		unlink_child(v);
		note_range(v, v->arg);
		return 0;
	case S2_VISIT_LEAF:
		if (!v->old)
			return 0;
		stage2_try_replace(v, 0);
		stage2_count(v->table, -1);
		note_entry(v, v->arg);
		return 0;
	case S2_VISIT_POST:
		/* After its entries: a child whose only count is its parent's goes too. */
		if (a32_load_relaxed(&stage2_table_meta(s2_child(v->old))->count) == 1)
			unlink_child(v);
		return 0;
	}
	return 0;
}

void stage2_unmap(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
		  struct s2_range *changed)
{
	struct s2_walker w = {.visit = unmap_visit,
			      .kinds = S2_VISIT_PRE | S2_VISIT_LEAF | S2_VISIT_POST,
			      .arg = changed};
	u64 before = changed->leaves;

	stage2_walk_range(m, mmu, start, end, may_block, &w);
	a64_fetch_add(&m->stats.unmaps, changed->leaves - before);
}

static void unmap_root(struct s2_table *root, unsigned level)
{
	for (unsigned i = 0; i < S2_ENTRIES; i++) {
		u64 pte;

		if (a32_load_relaxed(&stage2_table_meta(root)->count) == 1)
			return;
		pte = a64_load_relaxed(&root->entry[i]);
		if (!pte)
			continue;
		BUG_ON(pte == S2_LOCKED);
		a64_store_release(&root->entry[i], 0);
		stage2_count(root, -1);
		/* With all below it: software walks may still be there. */
		if (s2_is_table(pte, level))
			stage2_table_free_rcu(s2_child(pte), level + 1);
	}
}

void stage2_unmap_whole(struct vm_mem *m, struct s2_mmu *mmu)
{
	struct s2_pgt *pgt = aptr_load_relaxed(&mmu->pgt);

	rwlock_assert_write_held(&m->mmu_lock);
	for (unsigned i = 0; pgt && i < pgt->nr_roots; i++)
		unmap_root(pgt->root[i], pgt->start_level);
	a64_fetch_add(&m->stats.nested_unmaps, 1);
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
		.mmu_id = mmu ? mmu->id : 0,
		.start = start,
		.end = end,
		.code_start = code_start,
		.code_end = code_end,
	};

	tlb_shootdown(&m->tlb, &rec);
}
