/* SPDX-License-Identifier: MIT */
#include "mem/inval.h"

#include "base/bug.h"
#include "mem/hook.h"

void inval_raise(struct vm_mem *m)
{
	if (m->inv_in_progress++ == 0) {
		m->inv_start = ~0ull;
		m->inv_end = 0;
	}
}

void inval_add(struct vm_mem *m, u64 gfn, u64 gfn_end)
{
	m->inv_start = MIN(m->inv_start, gfn);
	m->inv_end = MAX(m->inv_end, gfn_end);
}

void inval_lower(struct vm_mem *m)
{
	write_lock(&m->mmu_lock);
	/*
	 * The sequence before the count: a fault that no longer sees the count must not miss the sequence (I-10). Both are read
	 * under mmu_lock today; the order keeps a lockless look right as well.
	 */
	a64_fetch_add(&m->inv_seq, 1);
	mem_hook(HOOK_NOTIFIER_END_SEQ, m);
	fence_release();
	BUG_ON(!m->inv_in_progress);
	m->inv_in_progress--;
	write_unlock(&m->mmu_lock);
	/* A fault that saw the count counted itself under mmu_lock before. */
	event_count_notify(&m->inv_ends);
}
