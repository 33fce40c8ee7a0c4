/* SPDX-License-Identifier: MIT */
/*
 * The count that shuts faults out: everybody who takes memory from guests (a notifier pair, a hole punched into guest_memfd, a
 * change of attributes) raises it before the first leaf goes and lowers it when the new state is in place.
 *
 *	write_lock(mmu_lock); inval_raise; inval_add; mmu_unmap_gfns; write_unlock
 *	... the change ...
 *	inval_lower
 *
 * Between the two no fault of this VM installs anything, and one that read the host's state before inval_lower runs again
 * afterwards (I-09): must_retry in fault.c is the other side.
 */
#ifndef ANYKVM_MEM_INVAL_H
#define ANYKVM_MEM_INVAL_H

#include "mem/mem.h"

void inval_raise(struct vm_mem *m) REQUIRES(&m->mmu_lock);
/* [gfn, gfn_end) belongs to what is being taken. */
void inval_add(struct vm_mem *m, u64 gfn, u64 gfn_end) REQUIRES(&m->mmu_lock);
/* Sequence up, count down, faults that wait woken. The caller raised the count once. */
void inval_lower(struct vm_mem *m) EXCLUDES(&m->mmu_lock);

#endif
