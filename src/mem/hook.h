/* SPDX-License-Identifier: MIT */
/*
 * Named points at which a test may stop or watch the library. Checked builds only; elsewhere a point is nothing. A point under
 * mmu_lock or in an access section says so: a test may look there, or stop a thread that nobody need wait for.
 */
#ifndef ANYKVM_MEM_HOOK_H
#define ANYKVM_MEM_HOOK_H

#include "mem/process_mem.h"

enum mem_hook {
	HOOK_FAULT_SLOT_FOUND,	   /* in SRCU, slot in hand, nothing looked at yet */
	HOOK_FAULT_AFTER_POPULATE, /* in SRCU, host state read, mmu_lock not yet taken */
	HOOK_FAULT_INSTALLED,	   /* under mmu_lock read: marked dirty and mapped */
	HOOK_FAULT_DONE,	   /* after unlock, still in SRCU */
	HOOK_BBM_BROKEN, /* under mmu_lock read: entry LOCKED, flush complete, not made yet */
	HOOK_ATTR_READ, /* under mmu_lock read, in RCU: a leaf was read, not yet changed (arg: struct s2_visit *) */
	HOOK_WALK_TABLE, /* software walk, in RCU, about to read an entry of the table (arg: level) */
	HOOK_SWAP_WAITING,     /* slot set not yet published, mn_active was not 0 */
	HOOK_SWAP_PUBLISHED,   /* before the SRCU wait */
	HOOK_SLOT_ZAPPED,      /* delete, move: between the two swaps */
	HOOK_NOTIFIER_AT_VM,   /* in mn_srcu: start fetched a VM, nothing done to it yet */
	HOOK_NOTIFIER_END_SEQ, /* under mmu_lock write: between sequence and count */
	HOOK_FLUSH_ALL,	       /* before mmu_lock */
	HOOK_LOG_SNAPSHOT,     /* under mmu_lock write: word taken, pages not protected yet */
	HOOK_LOG_PROTECTED,    /* unlocked and protected, before the flush */
	HOOK_VMA_QUERIED,      /* no lock: the host has answered, nothing kept yet */
	HOOK_INSPECT_ENTRY, /* under mmu_lock read, in RCU: an entry was read (arg: struct s2_visit *) */
	HOOK_INSPECT_STEP, /* no lock: one hold of mmu_lock is over, nothing written yet */
	HOOK_GMEM_LOADED,  /* in RCU: slot's file pointer loaded, no reference yet */
	HOOK_GMEM_GOT,	   /* lookup has its reference */
	HOOK_GMEM_UNBIND,  /* slots_lock: the slot still names its file, inval_lock not yet taken */
	HOOK_GMEM_RELEASE, /* no lock: release is about to begin */
	HOOK_GMEM_PUNCH,   /* inval_lock: zapped, pages not yet removed */
	HOOK_GMEM_ERROR,   /* inval_lock: zapped, page not yet marked */
	HOOK_RING_PUSHED, /* no lock, or mmu_lock read: user space sees the entry (arg: struct dirty_ring *) */
	HOOK_RING_RESET, /* in slots_lock: an entry was given back (arg: struct dirty_ring_entry *) */
	HOOK_RING_TAKEN, /* in slots_lock: entries given back, their pages not protected yet */
	HOOK_SPLIT_BROKEN, /* under mmu_lock write: block LOCKED, flush complete, table not made yet */
	HOOK_SPLIT_UNLOCKED, /* in slots_lock: mmu_lock dropped amid a split, cache not yet refilled */
	HOOK_FLUSH_DETACHED, /* after it, before the tables are given to RCU */
	HOOK_NESTED_GROW,    /* no lock: a chunk made, not yet counted */
	HOOK_NESTED_WALKED, /* in SRCU: the guest's stage 2 has answered, nothing done with it yet */
	HOOK_NESTED_TLBI,   /* no lock: a guest TLBI is about to begin */
	HOOK_GMEM_PIECE,    /* signals blocked, no lock: a piece was allocated */
	HOOK_FAULT_ATTRIBUTE, /* in SRCU: attribute read, memory not yet looked at */
	HOOK_ATTR_ZAPPED,     /* slots_lock: mappings are gone, the set is the old one */
	NR_MEM_HOOKS
};

#if defined(ANYKVM_CHECKED)
static inline void mem_hook(enum mem_hook id, void *what)
{
	void (*fn)(int, void *) =
		(void (*)(int, void *))aptr_load_acquire(&mem_process()->hook[id]);

	if (unlikely(fn))
		fn(id, what);
}
#else
#define mem_hook(id, what) ((void)0)
#endif

#endif
