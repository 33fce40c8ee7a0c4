/* SPDX-License-Identifier: MIT */
/*
 * The dirty ring of one vCPU: which pages it was given write access to, in memory that user space reads and answers in.
 *
 *	entry flags	0 -> DIRTY	vCPU thread (push); release: slot and offset come first
 *			DIRTY -> RESET	user space: collected
 *			RESET -> 0	KVM_RESET_DIRTY_RINGS; the page is write-protected again before the call returns
 *
 *	pushed, reset	count entries since birth, in our own memory; pushed - reset are in use. The vCPU thread alone raises
 *			the first, the holder of slots_lock the second.
 *
 *   G-RING-A  A page of a logging slot is writable by the vCPU only if an entry for it is between reset and pushed, or its bit
 *             is set: the entry is pushed in the section that installs the leaf (I-22, I-23).
 *   G-RING-B  When a reset returns, a write after it makes a new entry: protection and flush are complete before slots_lock goes.
 *   G-RING-C  User space may write anything into the entries at any time. Indices never come from there; a slot and an offset
 *             that do are looked up like a request's.
 *
 * The memory belongs to who created the vCPU (vm/): it outlives the vCPU's mem_vcpu.
 */
#ifndef ANYKVM_MEM_DIRTY_RING_H
#define ANYKVM_MEM_DIRTY_RING_H

#include "base/list.h"
#include "sync/atomic.h"
#include "sync/capability.h"

struct vm_mem;

#define DIRTY_RING_DIRTY       1u  /* KVM_DIRTY_GFN_F_DIRTY */
#define DIRTY_RING_RESET       2u  /* KVM_DIRTY_GFN_F_RESET */
#define DIRTY_RING_RESERVE     64u /* entries between "leave KVM_RUN" and "no room" */
#define DIRTY_RING_MAX_ENTRIES 65536u

/* As struct kvm_dirty_gfn. */
struct dirty_ring_entry {
	struct a32 flags;
	struct a32 slot;   /* address space << 16 | id */
	struct a64 offset; /* of the page in the slot */
};

struct dirty_ring {
	struct dirty_ring_entry *entry; /* nr of them, shared with user space; NULL: no ring */
	u32 nr;				/* a power of two */
	struct a32 pushed;		/* vCPU thread */
	struct a32 reset;		/* slots_lock */
	/* vCPU thread alone: the soft limit was met; what the newest entry says (user space may have changed it there). */
	bool full;
	u32 last_slot;
	u64 last_offset;
	struct list node GUARDED_BY(mem->slots_lock); /* vm_mem.rings */
	struct vm_mem *mem;
};

/* Entries in use. */
static inline u32 dirty_ring_used(const struct dirty_ring *r)
{
	/* Acquire pairs with the release in a reset: an entry counted as free here is 0 already, and stays what push makes it. */
	return a32_load_relaxed(&r->pushed) - a32_load_acquire(&r->reset);
}

/* The three below: vCPU thread only (whoever holds vcpu->mutex). r->entry is set. */

/* Room for one more? If not, KVM_RUN has to be left. */
static inline bool dirty_ring_has_room(struct dirty_ring *r)
{
	if (likely(dirty_ring_used(r) < r->nr))
		return true;
	r->full = true;
	return false;
}
/* False: no room. */
bool dirty_ring_push(struct dirty_ring *r, u32 slot, u64 offset);
/* Whether KVM_RUN must say so instead of entering the guest. */
bool dirty_ring_still_full(struct dirty_ring *r);

/* entry: bytes of zeroed memory, as vm_mem.ring_bytes says. Resets find the ring from here on. No lock held. */
void dirty_ring_init(struct dirty_ring *r, struct vm_mem *m, void *entry, u32 bytes);
/* Harmless on a vCPU without a ring. */
void dirty_ring_fini(struct dirty_ring *r);

#endif
