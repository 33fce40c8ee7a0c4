/* SPDX-License-Identifier: MIT */
#include "mem/mmu.h"

#include "mem/nested_mmu.h"

u64 mmu_unmap_gfns(struct vm_mem *m, u64 gfn, u64 gfn_end, u64 code_start, u64 code_end)
{
	struct s2_range gone = {.start = gfn * 4096, .end = gfn_end * 4096};

	stage2_unmap(m, &m->mmu, gone.start, gone.end, true, &gone);
	/* What was derived from these frames cannot be told from the rest: shadow tables go whole, and so do caches (I-31). */
	if (nested_unmap_all(m))
		stage2_flush(m, NULL, S2_RANGE_ALL.start, S2_RANGE_ALL.end, code_start, code_end);
	else
		stage2_flush(m, &m->mmu, gone.start, gone.end, code_start, code_end);
	return gone.pages;
}

void mmu_write_protect_gfns(struct vm_mem *m, u64 gfn, u64 gfn_end, bool may_block,
			    struct s2_range *changed)
{
	stage2_write_protect(m, &m->mmu, gfn * 4096, gfn_end * 4096, may_block, changed);
	if (nested_write_protect_all(m, may_block))
		*changed = S2_RANGE_ALL;
}

void mmu_flush_changed(struct vm_mem *m, const struct s2_range *changed)
{
	/* More than a table of the VM has: shadow leaves changed, too. */
	struct s2_mmu *mmu = changed->end == S2_RANGE_ALL.end ? NULL : &m->mmu;

	if (changed->end)
		stage2_flush(m, mmu, changed->start, changed->end, 0, 0);
}
