/* SPDX-License-Identifier: MIT */
/*
 * The lock order, outermost first. A thread may take a lock only of a higher rank than all it holds (several vCPU mutexes at
 * once only with vm->lock held). Checked at run time in debug, TSan and explored builds; a violation aborts with both names.
 */
#ifndef ANYKVM_SYNC_RANK_H
#define ANYKVM_SYNC_RANK_H

enum lock_rank {
	RANK_VM_LIST, /* list of all VMs; no lock inside */
	RANK_VM,      /* vm->lock: vCPU creation, devices, irqchip creation */
	RANK_VCPU,    /* vcpu->mutex: all vCPU state; held for the whole of KVM_RUN */
	RANK_CONFIG,  /* vm->config_lock: VM-scoped arch configuration */
	RANK_SLOTS,   /* mem->slots_lock: every slot change, dirty log ioctls */
	RANK_INVAL,   /* gmem inode inval_lock */
	RANK_IRQ,     /* vm->irq_lock: irqfd, routing, I/O bus registration */
	RANK_ITS_CMD, /* its->cmd_lock: its command queue */
	RANK_ITS,     /* vm_irq.its_lock: LPIs, ITSs and their tables in guest memory */
	RANK_SLOTS_ARCH, /* mem->slots_arch_lock: arch part of slots; dropped before waiting for SRCU */
	RANK_MN_SRCU,	/* read side, process wide */
	RANK_SRCU,	/* read side, per VM */
	RANK_PAGE,	/* gmem page lock */
	RANK_MN,	/* mem->mn_lock: nothing inside, and never taken under mmu_lock */
	RANK_MMU,	/* mem->mmu_lock: nothing that blocks runs under it */
	RANK_RCU,	/* read side */
	RANK_VGIC_DIST, /* leaf device locks: distributor, then a CPU's lists, then one interrupt */
	RANK_VGIC_CPU,
	RANK_VGIC_IRQ,
	RANK_TIMER,
	RANK_LEAF, /* tables of fds, statistics: nothing inside */
	NR_LOCK_RANKS
};

/* Checked builds: where the next lock operation of this thread is written. Left by the macros around the lock functions. */
void rank_at(const char *file, int line);
/* "vm->lock" and so on. */
const char *rank_name(enum lock_rank rank);

#endif
