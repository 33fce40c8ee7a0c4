/* SPDX-License-Identifier: MIT */
/*
 * The end of the address space, seen from a VM: its translations go, the VM stays for whoever still holds a descriptor of it.
 *
 * In the kernel this runs when the last user of the mm leaves, and may meet the last close of the VM: notifier release from two
 * threads at once, with an SRCU section for all protection. Here threads may even be inside ioctls and in the guest. So:
 *
 *   One mmu_lock write section takes every table out of reach, canonical and shadow. s2_dead is looked at and set in it, so the
 *   first caller does everything and the second nothing; that the second found the flag set proves the first is past the
 *   section, and with it past the shootdown (I-02). Who destroys the VM waits for mn_srcu first, so also for a caller who is
 *   still giving back tables.
 *
 *   What is taken out is private to the caller: freed after the section, by RCU, as vCPUs may be walking it.
 *
 *   Nothing else is freed or forgotten:
 *	split cache		slots_lock's, which cannot be taken inside SRCU (LO-1); freed at VM destroy
 *	shadow MMUs, array	vCPUs and guest TLBIs under way point to them; freed at VM destroy, after the vCPUs (I-04)
 *	refcnt			is a count of users, not of references: a vCPU that has one loaded puts it as ever
 *	vCPU page caches	their vCPU's
 *	slots, bitmaps, rings	work on: the dirty log can be read, gmem punched, slots deleted
 *
 * Afterwards pgt is NULL everywhere and stays so. Every walk reads it under mmu_lock (or RCU) after each time it took the lock,
 * and takes NULL for an empty table; a fault answers EIO. Admission (m->dead) refuses new ioctls, vCPUs in the guest come out
 * at their first access, as all they had cached was flushed.
 */
#include "host/signal.h"
#include "mem/hook.h"
#include "mem/nested_mmu.h"
#include "mem/vm_list.h"

/* The tables, first one first; NULL if it was done before. */
static struct s2_pgt *detach(struct vm_mem *m) REQUIRES(&m->mmu_lock)
{
	static const struct tlb_inval everything = {
		.kind = TLB_INVAL_ALL, .asid = -1, .code_start = 0, .code_end = ~0ull};
	struct s2_pgt *list = NULL;

	if (m->s2_dead)
		return NULL;
	m->s2_dead = true;
	a32_store(&m->dead, 1);
	a64_fetch_add(&m->inv_seq, 1);
	stage2_detach(m, &m->mmu, &list);
	nested_detach_all(m, &list);
	/* Also of those in the guest: when this returns nobody accesses guest memory (T-4). */
	tlb_shootdown(&m->tlb, &everything);
	return list;
}

void mem_flush_all(struct vm_mem *m)
{
	u64 sigmask = host_signals_block();
	struct s2_pgt *list, *next;

	mem_hook(HOOK_FLUSH_ALL, m);
	write_lock(&m->mmu_lock);
	list = detach(m);
	write_unlock(&m->mmu_lock);
	mem_hook(HOOK_FLUSH_DETACHED, m);
	/* vCPUs asleep (WFI, stopped) access nothing, but their KVM_RUN is over, too. */
	if (list)
		tlb_torn_down(&m->tlb);
	for (; list; list = next) {
		next = list->next;
		stage2_pgt_free_rcu(list);
	}
	host_signals_restore(sigmask);
}

void mm_release(void)
{
	struct mem_process *p = mem_process();
	struct vm_list *list;
	u64 sigmask;
	int cookie;

	mem_process_init();
	sigmask = host_signals_block();
	cookie = srcu_read_lock(&p->mn_srcu);
	list = vm_list_get();
	for (u32 i = 0; list && i < list->nr; i++)
		mem_flush_all(list->vm[i]);
	srcu_read_unlock(&p->mn_srcu, cookie);
	host_signals_restore(sigmask);
}
