/* SPDX-License-Identifier: MIT */
/*
 * Dirty rings: the push of a vCPU, KVM_RESET_DIRTY_RINGS, and what turns them on.
 *
 * A reset gives an entry back before its page is protected. Until then the vCPU may go on writing to the page without a new entry;
 * user space may read the page only when the call has returned, and that is after protection and flush (G-RING-B).
 */
#include <errno.h>

#include "base/bug.h"
#include "host/pages.h"
#include "host/signal.h"
#include "mem/hook.h"
#include "mem/memslot.h"
#include "mem/mmu.h"
#include "mem/stage2_split.h"

_Static_assert(sizeof(struct dirty_ring_entry) == 16, "struct kvm_dirty_gfn");

/* How many entries a reset takes between two looks at pending signals (a system call). */
#define SIGNAL_LOOK 256

bool dirty_ring_push(struct dirty_ring *r, u32 slot, u64 offset)
{
	u32 at = a32_load_relaxed(&r->pushed);
	struct dirty_ring_entry *e = &r->entry[at & (r->nr - 1)];
	u32 used;

	/*
	 * A page that is written again and again by the library itself (a clock, a counter) has one entry until that is reset.
	 * The fence: either the count says that it was reset, or the reader who comes after the reset finds the data that
	 * came before this call. Pairs with the fence in mem_reset_dirty_rings.
	 */
	fence_full();
	used = dirty_ring_used(r);
	if (used && r->last_slot == slot && r->last_offset == offset)
		return true;
	if (used >= r->nr) {
		r->full = true;
		return false;
	}
	a32_store_relaxed(&e->slot, slot);
	a64_store_relaxed(&e->offset, offset);
	/* Counted first: who learns of the entry by its flag, and asks for a reset then, finds it counted. */
	a32_store_relaxed(&r->pushed, at + 1);
	/* Release pairs with user space's acquire of the flag. */
	a32_store_release(&e->flags, DIRTY_RING_DIRTY);
	mem_hook(HOOK_RING_PUSHED, r);
	r->last_slot = slot;
	r->last_offset = offset;
	if (used + 1 >= r->nr - DIRTY_RING_RESERVE)
		r->full = true;
	return true;
}

bool dirty_ring_still_full(struct dirty_ring *r)
{
	r->full = dirty_ring_used(r) >= r->nr - DIRTY_RING_RESERVE;
	return r->full;
}

void dirty_ring_init(struct dirty_ring *r, struct vm_mem *m, void *entry, u32 bytes)
{
	u64 sigmask = host_signals_block();

	r->entry = entry;
	r->nr = bytes / sizeof(struct dirty_ring_entry);
	r->mem = m;
	mutex_lock(&m->slots_lock);
	list_add_tail(&m->rings, &r->node);
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
}

void dirty_ring_fini(struct dirty_ring *r)
{
	u64 sigmask;

	if (!r->entry)
		return;
	sigmask = host_signals_block();
	mutex_lock(&r->mem->slots_lock);
	list_del(&r->node);
	mutex_unlock(&r->mem->slots_lock);
	host_signals_restore(sigmask);
	r->entry = NULL;
}

/* --- reset --------------------------------------------------------------------------------------------------------- */

/* Pages of one slot that lie within 64 of each other: bit i is the page offset + i. */
struct batch {
	u32 slot;
	u64 offset, mask;
};

/* False: begin another. */
static bool batch_add(struct batch *b, u32 slot, u64 offset)
{
	u64 back = b->offset - offset;

	if (!b->mask) {
		*b = (struct batch){.slot = slot, .offset = offset, .mask = 1};
		return true;
	}
	if (slot != b->slot)
		return false;
	if (offset >= b->offset && offset - b->offset < 64) {
		b->mask |= BIT(offset - b->offset);
		return true;
	}
	if (offset < b->offset && back < 64 && !(b->mask >> (64 - back))) {
		b->mask = b->mask << back | 1;
		b->offset = offset;
		return true;
	}
	return false;
}

/* A slot that is gone, or is smaller now, has nothing to protect; neither have numbers that nobody pushed. */
static void batch_protect(struct vm_mem *m, struct batch *b, struct s2_range *changed)
	REQUIRES(&m->slots_lock)
{
	struct memslot *s = memslot_find_id(memslot_active(m), b->slot);
	u64 mask = b->mask, first, end;

	b->mask = 0;
	if (!s || b->offset >= s->npages)
		return;
	if (s->npages - b->offset < 64)
		mask &= BIT(s->npages - b->offset) - 1;
	first = s->base_gfn + b->offset;
	end = first + 64 - __builtin_clzll(mask);
	mem_hook(HOOK_RING_TAKEN, m);
	write_lock(&m->mmu_lock);
	mmu_write_protect_gfns(m, first, end, false, changed);
	write_unlock(&m->mmu_lock);
	if (m->manual_protect == DIRTY_LOG_INITIALLY_ALL_SET)
		stage2_split(m, &m->mmu, first * 4096, end * 4096);
}

/* False: a signal is pending. */
static bool reset_ring(struct vm_mem *m, struct dirty_ring *r, u64 sigmask,
		       struct s2_range *changed, u32 *count) REQUIRES(&m->slots_lock)
{
	u32 at = a32_load_relaxed(&r->reset), end = a32_load_relaxed(&r->pushed);
	struct batch b = {0};
	bool go_on = true;

	for (; at != end; at++) {
		struct dirty_ring_entry *e = &r->entry[at & (r->nr - 1)];
		u64 offset;
		u32 slot;

		/* Acquire pairs with user space's release: it has read the entry. */
		if (!(a32_load_acquire(&e->flags) & DIRTY_RING_RESET))
			break;
		if (*count % SIGNAL_LOOK == 0 && host_signals_pending(sigmask)) {
			go_on = false;
			break;
		}
		slot = a32_load_relaxed(&e->slot);
		offset = a64_load_relaxed(&e->offset);
		a32_store_relaxed(&e->flags, 0);
		/* Release pairs with the acquire in dirty_ring_used. */
		a32_store_release(&r->reset, at + 1);
		mem_hook(HOOK_RING_RESET, e);
		(*count)++;
		if (batch_add(&b, slot, offset))
			continue;
		batch_protect(m, &b, changed);
		batch_add(&b, slot, offset);
	}
	if (b.mask)
		batch_protect(m, &b, changed);
	return go_on;
}

int mem_reset_dirty_rings(struct vm_mem *m)
{
	u64 sigmask = host_signals_block();
	struct s2_range changed = {0, 0};
	struct dirty_ring *r;
	u32 count = 0;
	bool on;

	mutex_lock(&m->slots_lock);
	on = m->ring_bytes;
	list_for_each(r, &m->rings, node)
	{
		if (!reset_ring(m, r, sigmask, &changed, &count))
			break;
	}
	/* Before slots_lock goes: the next dirty log call finds no vCPU that still writes through what this one closed. */
	mmu_flush_changed(m, &changed);
	mutex_unlock(&m->slots_lock);
	/* Pairs with the fence in dirty_ring_push. */
	fence_full();
	host_signals_restore(sigmask);
	return on ? (int)count : -EINVAL;
}

/* --- configuration ------------------------------------------------------------------------------------------------- */

int mem_enable_dirty_ring(struct vm_mem *m, u32 bytes, bool has_vcpus)
{
	u64 sigmask;
	int ret = -EINVAL;

	if (!bytes || (bytes & (bytes - 1)) || bytes < host_page_size() ||
	    bytes < DIRTY_RING_RESERVE * sizeof(struct dirty_ring_entry))
		return -EINVAL;
	if (bytes > DIRTY_RING_MAX_ENTRIES * sizeof(struct dirty_ring_entry))
		return -E2BIG;
	sigmask = host_signals_block();
	mutex_lock(&m->slots_lock);
	if (!m->ring_bytes && !has_vcpus) {
		m->ring_bytes = bytes;
		ret = 0;
	}
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return ret;
}

int mem_enable_ring_bitmap(struct vm_mem *m)
{
	u64 sigmask = host_signals_block();
	int ret = -EINVAL;

	mutex_lock(&m->slots_lock);
	/* With slots there would be some without a bitmap. */
	if (m->ring_bytes && !m->slots->nr_slots) {
		m->ring_with_bitmap = true;
		ret = 0;
	}
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return ret;
}
