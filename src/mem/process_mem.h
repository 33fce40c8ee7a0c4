/* SPDX-License-Identifier: MIT */
/* The process-wide state of mem/ (base/process.h). Private to this folder and its tests. */
#ifndef ANYKVM_MEM_PROCESS_MEM_H
#define ANYKVM_MEM_PROCESS_MEM_H

#include "base/itree.h"
#include "base/process.h"
#include "sync/mutex.h"
#include "sync/srcu.h"

#define MEM_MAX_HOOKS 48

struct mem_process {
	struct a32 ready;     /* 0 untouched, 1 being made, 2 usable: mem_process_init */
	struct a64 mm_id;     /* of the process that made it: a fork child differs */
	struct srcu mn_srcu;  /* read side: a whole invalidation pair */
	struct a32 list_turn; /* 1: somebody changes the VM list (vm_list.c) */
	struct aptr vm_list;  /* struct vm_list *: immutable once published; readers in mn_srcu */
	void *vm_list_spare;  /* whose turn it is: the other buffer */
	struct a64 next_mmu_id;
	struct mutex userfault_lock; /* RANK_LEAF */
	struct itree userfault;	     /* userfault_lock: userfault.c */
	struct a32 userfault_any;    /* the tree is not empty */
	struct aptr hook[MEM_MAX_HOOKS];
};
_Static_assert(sizeof(struct mem_process) <= PROCESS_PART_SIZE, "PROCESS_PART_SIZE");

static inline struct mem_process *mem_process(void)
{
	return process_part(PROCESS_MEM);
}

/* Makes the process part usable; idempotent, any thread. */
void mem_process_init(void);

#endif
