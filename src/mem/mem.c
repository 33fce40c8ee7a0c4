/* SPDX-License-Identifier: MIT */
/* Birth and death of a VM's memory. */
#include <errno.h>

#include "base/bug.h"
#include "host/identity.h"
#include "host/signal.h"
#include "mem/attrs.h"
#include "mem/memslot.h"
#include "mem/nested_mmu.h"
#include "mem/page_cache.h"
#include "mem/stage2_split.h"
#include "mem/vm_list.h"
#include "mem/vma_cache.h"

static int alloc_parts(struct vm_mem *m)
{
	struct s2_pgt *pgt = stage2_pgt_create(m->ipa_bits);

	aptr_store_relaxed(&m->mmu.pgt, pgt);
	m->slots = memslot_sets_create();
	m->vmas = vma_cache_create();
	return pgt && m->slots && m->vmas ? 0 : -ENOMEM;
}

/* Nobody else reaches any of it. */
static void free_parts(struct vm_mem *m)
{
	struct s2_pgt *pgt = aptr_load_relaxed(&m->mmu.pgt);

	/* Nobody waits for the lock; it is what says whose the cache is. */
	mutex_lock(&m->slots_lock);
	split_cache_drain(m);
	mutex_unlock(&m->slots_lock);
	/* No grace period: there are no vCPUs (any more), and shared walks are the vCPUs'. */
	if (pgt)
		stage2_pgt_destroy(pgt);
	nested_mmus_fini(m);
	if (m->slots)
		memslot_sets_destroy(m->slots);
	mem_attrs_fini(m);
	if (m->vmas)
		vma_cache_destroy(m->vmas);
	rwlock_fini(&m->mmu_lock);
	mutex_fini(&m->mn_lock);
	srcu_fini(&m->srcu);
	mutex_fini(&m->slots_arch_lock);
	mutex_fini(&m->slots_lock);
}

int mem_init(struct vm_mem *m, unsigned ipa_bits)
{
	struct mem_process *p = mem_process();
	u64 sigmask;
	int ret;

	mem_process_init();
	*m = (struct vm_mem){.ipa_bits = ipa_bits, .block_policy = BLOCK_LINEAR};
	mutex_init(&m->slots_lock, RANK_SLOTS, "slots_lock");
	mutex_init(&m->slots_arch_lock, RANK_SLOTS_ARCH, "slots_arch_lock");
	srcu_init(&m->srcu, RANK_SRCU, "srcu");
	mutex_init(&m->mn_lock, RANK_MN, "mn_lock");
	rwlock_init(&m->mmu_lock, RANK_MMU, "mmu_lock");
	tlb_domain_init(&m->tlb);
	list_init(&m->rings);
	m->mmu.mem = m;
	m->mmu.ipa_bits = ipa_bits;
	m->mmu.id = a64_fetch_add(&p->next_mmu_id, 1) + 1;
	ret = alloc_parts(m);
	if (!ret) {
		sigmask = host_signals_block();
		ret = vm_list_add(m);
		host_signals_restore(sigmask);
	}
	if (ret)
		free_parts(m);
	return ret;
}

void mem_stop_notifier(struct vm_mem *m)
{
	u64 sigmask = host_signals_block();

	vm_list_remove(m);
	host_signals_restore(sigmask);
	/* Every pair that knew m is over and lowered what it raised. */
	BUG_ON(m->mn_active || m->inv_in_progress);
}

void mem_fini(struct vm_mem *m)
{
	free_parts(m);
}

int mem_vcpu_init(struct vm_mem *m, struct mem_vcpu *mv, struct tlb_client *tlb)
{
	*mv = (struct mem_vcpu){.tlb = tlb};
	return 0;
}

void mem_vcpu_fini(struct mem_vcpu *mv)
{
	BUG_ON(mv->nested);
	dirty_ring_fini(&mv->ring);
	page_cache_drain(mv);
}
