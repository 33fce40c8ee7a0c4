/* SPDX-License-Identifier: MIT */
/* Table pages and whole tables: allocation, counts, the three ways to free. */
#include "base/bug.h"
#include "host/alloc.h"
#include "mem/stage2.h"

_Static_assert(sizeof(struct s2_table) == HOST_FRAME_SIZE,
	       "Arm ARM D8.3: 512 descriptors of 8 bytes");
_Static_assert(sizeof(struct s2_table_meta) <= HOST_FRAME_META, "record of a table page");

struct s2_table *stage2_table_alloc(void)
{
	struct s2_table *t = host_frame_alloc();

	if (t)
		a32_store_relaxed(&stage2_table_meta(t)->count, 1);
	return t;
}

void stage2_table_free(struct s2_table *t)
{
	host_frame_free(t);
}

void stage2_count(struct s2_table *t, int by)
{
	a32_fetch_add(&stage2_table_meta(t)->count, (u32)by);
}

/* Nobody reaches t any more. */
static void gather_subtree(struct host_frame_list *l, struct s2_table *t, unsigned level)
{
	for (unsigned i = 0; level < 3 && i < S2_ENTRIES; i++) {
		u64 pte = a64_load_relaxed(&t->entry[i]);

		if (s2_is_table(pte, level))
			gather_subtree(l, s2_child(pte), level + 1);
	}
	host_frame_list_add(l, t);
}

static void free_subtree(struct s2_table *t, unsigned level)
{
	struct host_frame_list l = {0};

	gather_subtree(&l, t, level);
	host_frame_list_free(&l);
}

/* In RCU. The tables of level 3 need no look. */
static u64 count_tables(const struct s2_table *t, unsigned level)
{
	u64 nr = 0;

	for (unsigned i = 0; i < S2_ENTRIES; i++) {
		/* Acquire pairs with the release that linked the table. */
		u64 pte = a64_load_acquire(&t->entry[i]);

		if (s2_is_table(pte, level))
			nr += 1 + (level < 2 ? count_tables(s2_child(pte), level + 1) : 0);
	}
	return nr;
}

u64 stage2_table_pages(const struct s2_mmu *mmu)
{
	u64 nr = 0;

	/*
	 * Counted when asked: a table that a block displaces may grow below until its grace period ends, so that no counter could
	 * be lowered by the right number at that moment.
	 */
	for (unsigned i = 0; i < S2_MAX_ROOTS; i++) {
		struct s2_pgt *pgt;

		rcu_read_lock();
		pgt = rcu_load(&mmu->pgt);
		if (pgt && i < pgt->nr_roots)
			nr += 1 + count_tables(pgt->root[i], pgt->start_level);
		rcu_read_unlock();
	}
	return nr;
}

static void table_free_callback(struct rcu_head *head)
{
	struct s2_table_meta *meta = container_of(head, struct s2_table_meta, rcu);

	free_subtree(meta->page, meta->level);
}

void stage2_table_free_rcu(struct s2_table *t, unsigned level)
{
	struct s2_table_meta *meta = stage2_table_meta(t);

	meta->page = t;
	meta->level = level;
	rcu_call(&meta->rcu, table_free_callback);
}

unsigned stage2_cache_min(unsigned ipa_bits)
{
	/* Levels = max(2, (ipa - 8) / 9); the root is there already. */
	return MAX(2u, (ipa_bits - 8) / 9) - 1;
}

struct s2_pgt *stage2_pgt_create(unsigned ipa_bits)
{
	struct s2_pgt *pgt = NEW(struct s2_pgt);

	if (!pgt)
		return NULL;
	pgt->ipa_bits = ipa_bits;
	pgt->start_level = 3 - stage2_cache_min(ipa_bits);
	pgt->nr_roots = 1;
	if (ipa_bits > s2_shift(pgt->start_level) + 9)
		pgt->nr_roots = 1u << (ipa_bits - s2_shift(pgt->start_level) - 9);
	BUG_ON(pgt->nr_roots > S2_MAX_ROOTS);
	for (unsigned i = 0; i < pgt->nr_roots; i++) {
		pgt->root[i] = stage2_table_alloc();
		if (!pgt->root[i]) {
			stage2_pgt_destroy(pgt);
			return NULL;
		}
	}
	return pgt;
}

void stage2_pgt_destroy(struct s2_pgt *pgt)
{
	for (unsigned i = 0; i < pgt->nr_roots; i++)
		if (pgt->root[i])
			free_subtree(pgt->root[i], pgt->start_level);
	DELETE(pgt);
}

static void pgt_free_callback(struct rcu_head *head)
{
	stage2_pgt_destroy(container_of(head, struct s2_pgt, rcu));
}

void stage2_detach(struct vm_mem *m, struct s2_mmu *mmu, struct s2_pgt **list)
{
	struct s2_pgt *pgt = aptr_load_relaxed(&mmu->pgt);

	if (!pgt)
		return;
	rcu_store(&mmu->pgt, NULL);
	pgt->next = *list;
	*list = pgt;
}

void stage2_pgt_free_rcu(struct s2_pgt *pgt)
{
	rcu_call(&pgt->rcu, pgt_free_callback);
}
