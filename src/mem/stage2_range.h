/* SPDX-License-Identifier: MIT */
/* Between stage2_unmap.c and stage2_attr.c. */
#ifndef ANYKVM_MEM_STAGE2_RANGE_H
#define ANYKVM_MEM_STAGE2_RANGE_H

#include "mem/stage2.h"

/* Exclusive walk of [start, end) in pieces; may let go of mmu_lock between them. */
void stage2_walk_range(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
		       const struct s2_walker *w) REQUIRES(&m->mmu_lock);

#endif
