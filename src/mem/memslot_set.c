/* SPDX-License-Identifier: MIT */
/* The two slot sets: lookup, change of the inactive one, exchange. */
#include "base/bug.h"
#include "host/alloc.h"
#include "mem/hook.h"
#include "mem/memslot.h"
#include "sync/wait.h"

struct memslot_sets *memslot_sets_create(void)
{
	struct memslot_sets *sets = NEW(struct memslot_sets);

	if (!sets)
		return NULL;
	for (unsigned i = 0; i < 2; i++)
		sets->set[i].node_idx = i;
	/* Whoever publishes the machine orders it. */
	aptr_store_relaxed(&sets->active, &sets->set[0]);
	return sets;
}

void memslot_sets_destroy(struct memslot_sets *sets)
{
	struct memslot_set *set = &sets->set[0];
	struct memslot *s;

	/* One set is enough: both hold the same slots. */
	while ((s = memslot_first(set))) {
		memslot_replace(set, s, NULL);
		/* Its file would still pin the VM. */
		BUG_ON(aptr_load_relaxed(&s->gmem.file));
		memslot_bitmap_destroy(s);
		DELETE(s);
	}
	DELETE(sets);
}

struct memslot_set *memslot_active(const struct vm_mem *m)
{
	/* Acquire pairs with the release in memslot_swap: the trees come with the pointer. */
	return aptr_load_acquire(&m->slots->active);
}

struct memslot_set *memslot_inactive(const struct vm_mem *m)
{
	struct memslot_set *active = memslot_active(m);

	return &m->slots->set[!active->node_idx];
}

#define SLOT_OF(itn, set, tree)                                                                    \
	((itn) ? (struct memslot *)(void *)((char *)(itn)-offsetof(struct memslot, node[0].tree) - \
					    (set)->node_idx * sizeof(struct memslot_node))         \
	       : NULL)

struct memslot *memslot_find_gfn(struct memslot_set *set, u64 gfn)
{
	struct memslot *s = aptr_load_relaxed(&set->last_used);

	/* The hint is of this set, and cleared when a slot leaves it: no generation needed. */
	if (s && gfn - s->base_gfn < s->npages)
		return s;
	s = SLOT_OF(itree_find(&set->by_gfn, gfn), set, gfn);
	if (s)
		aptr_store_relaxed(&set->last_used, s);
	return s;
}

struct memslot *memslot_find_id(struct memslot_set *set, u32 id)
{
	return SLOT_OF(itree_find(&set->by_id, id), set, id);
}

struct memslot *memslot_lookup(struct vm_mem *m, struct mem_vcpu *mv, u64 gfn)
{
	struct memslot_set *set = memslot_active(m);
	/* Published with the set. */
	u64 generation = a64_load_relaxed(&set->generation);
	struct memslot *s;

	if (!mv)
		return memslot_find_gfn(set, gfn);
	if (mv->last_gen == generation && mv->last_slot) {
		s = mv->last_slot;
		if (gfn - s->base_gfn < s->npages)
			return s;
	}
	s = memslot_find_gfn(set, gfn);
	mv->last_slot = s;
	mv->last_gen = generation;
	return s;
}

bool memslot_overlaps(struct memslot_set *set, u32 id, u64 start, u64 end)
{
	struct itree_node *n;

	itree_for_each_overlap(n, &set->by_gfn, start,
			       end) if (SLOT_OF(n, set, gfn)->id != id) return true;
	return false;
}

struct memslot *memslot_first_hva(struct memslot_set *set, u64 start, u64 end)
{
	return SLOT_OF(itree_first_overlap(&set->by_hva, start, end), set, hva);
}

struct memslot *memslot_next_hva(struct memslot_set *set, struct memslot *s, u64 start, u64 end)
{
	return SLOT_OF(itree_next_overlap(&s->node[set->node_idx].hva, start, end), set, hva);
}

struct memslot *memslot_first(struct memslot_set *set)
{
	return SLOT_OF(itree_first(&set->by_gfn), set, gfn);
}

struct memslot *memslot_first_from(struct memslot_set *set, u64 gfn)
{
	return SLOT_OF(itree_first_overlap(&set->by_gfn, gfn, ~0ull), set, gfn);
}

struct memslot *memslot_next(struct memslot_set *set, struct memslot *s)
{
	return SLOT_OF(itree_next(&s->node[set->node_idx].gfn), set, gfn);
}

void memslot_replace(struct memslot_set *set, struct memslot *old, struct memslot *new)
{
	struct memslot_node *n;

	if (old) {
		n = &old->node[set->node_idx];
		itree_remove(&set->by_gfn, &n->gfn);
		itree_remove(&set->by_hva, &n->hva);
		itree_remove(&set->by_id, &n->id);
		aptr_store_relaxed(&set->last_used, NULL);
	}
	if (new) {
		n = &new->node[set->node_idx];
		itree_insert(&set->by_gfn, &n->gfn, new->base_gfn, new->base_gfn + new->npages);
		itree_insert(&set->by_hva, &n->hva, new->userspace_addr, memslot_hva_end(new));
		itree_insert(&set->by_id, &n->id, new->id, new->id + 1u);
	}
}

void memslot_swap(struct vm_mem *m)
{
	struct memslot_set *active = memslot_active(m), *next = memslot_inactive(m);
	u64 generation = a64_load_relaxed(&active->generation);
	bool waited = false;

	/* As all of the set: final before it is published, and constant while somebody may read it. */
	a64_store_relaxed(&next->generation, generation + 1);
	/*
	 * Publish between two pairs only. A slot that became visible inside a pair was not seen by its start: a fault could map
	 * what the pair is about to take away, and nobody would unmap it (G-MN-B, I-07). At most one thread waits here, because
	 * of slots_lock; the end that lowers the count to 0 wakes it.
	 */
	mutex_lock(&m->mn_lock);
	while (m->mn_active) {
		u32 word = a32_load_relaxed(&m->mn_wake);

		m->swap_waits = waited = true;
		mutex_unlock(&m->mn_lock);
		mem_hook(HOOK_SWAP_WAITING, m);
		wait_on_word(&m->mn_wake, word, WAIT_FOREVER);
		mutex_lock(&m->mn_lock);
	}
	aptr_store_release(&m->slots->active, next);
	m->swap_waits = false;
	a64_fetch_add(&m->stats.slot_swaps, 1);
	a64_fetch_add(&m->stats.slot_swap_waits, waited);
	if (waited)
		a32_fetch_add(&m->swap_turn, 1);
	mutex_unlock(&m->mn_lock);
	if (waited)
		wake_word_all(&m->swap_turn);
	mutex_unlock(&m->slots_arch_lock);
	mem_hook(HOOK_SWAP_PUBLISHED, m);
	srcu_synchronize(&m->srcu);
	a64_fetch_add(&m->stats.slot_swaps_settled, 1);
}
