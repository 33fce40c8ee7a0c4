/* SPDX-License-Identifier: MIT */
/*
 * Which VMs hear of host changes. The list is an array that never changes once published; a change publishes another array and
 * waits for mn_srcu. A pair keeps one section open from start to end, so both ends see the same array: what start raised, end
 * lowers, and a VM added or removed meanwhile is in neither or in both (I-05, I-06, I-08).
 *
 * struct vm_list. born: the first registrations. seen by: pairs, under mn_srcu. hidden: the next change. freed: two buffers take
 * turns, the one that is not published is unused after the wait; both go with the last VM.
 */
#ifndef ANYKVM_MEM_VM_LIST_H
#define ANYKVM_MEM_VM_LIST_H

#include "mem/process_mem.h"

struct vm_mem;

struct vm_list {
	u32 nr, capacity;
	struct vm_mem *vm[];
};

/* Returns when every pair that began before is over (LO-10: no VM lock is held). 0 or -ENOMEM. */
int vm_list_add(struct vm_mem *m);
/* Cannot fail. When it returns no pair and no callback knows m. */
void vm_list_remove(struct vm_mem *m);
/* Under mn_srcu. NULL: no VM yet. */
static inline struct vm_list *vm_list_get(void)
{
	return aptr_load_acquire(&mem_process()->vm_list);
}

#endif
