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
	HOOK_RING_TAKEN, /* in slots_lock: entries given back, their pages not protected yet */
	HOOK_SPLIT_BROKEN, /* under mmu_lock write: block LOCKED, flush complete, table not made yet */
	HOOK_SPLIT_UNLOCKED, /* in slots_lock: mmu_lock dropped amid a split, cache not yet refilled */
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
