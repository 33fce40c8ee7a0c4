/* SPDX-License-Identifier: MIT */
/*
 * Eager splitting: blocks of a range become tables of pages ahead of the writes that would break them one fault at a time.
 *
 * struct split_cache: table pages for it. Owned by whoever holds slots_lock, also while mmu_lock is dropped to refill it; each
 * touch asserts that. born: the first split. kept by: the VM. freed: mem_fini, which is also the way out of a failed creation.
 * Tearing translations down (mem_flush_all) leaves it alone: that holds no slots_lock and may run twice at a time (I-02, I-03).
 */
#ifndef ANYKVM_MEM_STAGE2_SPLIT_H
#define ANYKVM_MEM_STAGE2_SPLIT_H

#include "mem/stage2.h"

/*
 * Splits every block that reaches into IPAs [start, end) of mmu, down to 4 KiB inside it; nothing if no chunk size is set. Best
 * effort: without memory blocks stay, and split at the next write. Lets go of mmu_lock in between: who maps meanwhile does it by
 * the slot as it is, logging.
 */
void stage2_split(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end) REQUIRES(&m->slots_lock)
	EXCLUDES(&m->mmu_lock);

void split_cache_drain(struct vm_mem *m) REQUIRES(&m->slots_lock);

#endif
