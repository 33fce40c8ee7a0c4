/* SPDX-License-Identifier: MIT */
/*
 * Changes that every translation context of a VM must see. Callers name canonical guest frames; which tables hold something
 * derived from them is this file's business.
 */
#ifndef ANYKVM_MEM_MMU_H
#define ANYKVM_MEM_MMU_H

#include "mem/stage2.h"

/*
 * Nothing maps the guest frames [gfn, gfn_end) any more when it returns, no vCPU completes an access through an old translation,
 * and code decoded from hvas [code_start, code_end) is forgotten. May let go of mmu_lock on the way: the caller shuts new
 * mappings of the range out by other means. Sent even if no leaf is found: decoded code may outlive its leaf (I-37). Returns how
 * many pages of 4 KiB were mapped.
 */
u64 mmu_unmap_gfns(struct vm_mem *m, u64 gfn, u64 gfn_end, u64 code_start, u64 code_end)
	REQUIRES(&m->mmu_lock);

/*
 * Takes write access to the guest frames [gfn, gfn_end). What changed is added to *changed: mmu_flush_changed is owed before
 * anybody is told. may_block as in stage2.h.
 */
void mmu_write_protect_gfns(struct vm_mem *m, u64 gfn, u64 gfn_end, bool may_block,
			    struct s2_range *changed) REQUIRES(&m->mmu_lock);
/* The flush owed after mmu_write_protect_gfns, without mmu_lock. */
void mmu_flush_changed(struct vm_mem *m, const struct s2_range *changed);

#endif
