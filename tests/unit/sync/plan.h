/* SPDX-License-Identifier: MIT */
/*
 * One lock of every rank, and plans: lists of what a thread takes, enters and waits for. A plan is run in a child, so that it may
 * abort. Include once, before the tests.
 */
#ifndef ANYKVM_TESTS_SYNC_PLAN_H
#define ANYKVM_TESTS_SYNC_PLAN_H

#include "base/context.h"
#include "sync/cond.h"
#include "sync/mutex.h"
#include "sync/rcu.h"
#include "sync/rwlock.h"
#include "sync/srcu.h"
#include "sync/thread.h"
#include "sync/wait.h"
#include "../../test.h"
#include "../misuse.h"

static struct mutex vm_list, vm, vcpu0, vcpu1, config, slots, inval, irq, its_cmd, its, arch, page,
	mn, leaf, leaf2, vgic;
static struct rwlock mmu;
static struct srcu srcu, mn_srcu, other_srcu;
static struct cond cond;
static struct a32 word;

static bool world_made;

static void world(void)
{
	if (world_made)
		return;
	world_made = true;
	mutex_init(&vm_list, RANK_VM_LIST, "vm_list_lock");
	mutex_init(&vm, RANK_VM, "vm->lock");
	mutex_init(&vcpu0, RANK_VCPU, "vcpu0->mutex");
	mutex_init(&vcpu1, RANK_VCPU, "vcpu1->mutex");
	mutex_init(&config, RANK_CONFIG, "config_lock");
	mutex_init(&slots, RANK_SLOTS, "slots_lock");
	mutex_init(&inval, RANK_INVAL, "inval_lock");
	mutex_init(&irq, RANK_IRQ, "irq_lock");
	mutex_init(&its_cmd, RANK_ITS_CMD, "its->cmd_lock");
	mutex_init(&its, RANK_ITS, "its_lock");
	mutex_init(&arch, RANK_SLOTS_ARCH, "slots_arch_lock");
	mutex_init(&page, RANK_PAGE, "page lock");
	mutex_init(&mn, RANK_MN, "mn_lock");
	mutex_init(&leaf, RANK_LEAF, "leaf");
	mutex_init(&leaf2, RANK_LEAF, "leaf2");
	mutex_init(&vgic, RANK_VGIC_DIST, "dist lock");
	rwlock_init(&mmu, RANK_MMU, "mmu_lock");
	srcu_init(&srcu, RANK_SRCU, "vm->srcu");
	srcu_init(&other_srcu, RANK_SRCU, "vm2->srcu");
	srcu_init(&mn_srcu, RANK_MN_SRCU, "mn_srcu");
	cond_init(&cond);
}

/* A lock, or the entry of a read section, or a wait. */
enum step {
	END,
	VM_LIST,
	VM,
	VCPU0,
	VCPU1,
	CONFIG,
	SLOTS,
	INVAL,
	IRQ,
	ITS_CMD,
	ITS,
	ARCH,
	PAGE,
	MN,
	LEAF,
	LEAF2,
	VGIC,
	MMU_R,
	MMU_W,
	SRCU,
	OTHER_SRCU,
	MN_SRCU,
	RCU,
	SYNC_SRCU,
	SYNC_MN_SRCU,
	SYNC_RCU,
	BARRIER,
	SLEEP,
	SLEEP_ATOMIC,
	COND_ON_MN,
	SLEEP_BOUNDED,
	MAY_BLOCK,
	MAY_SLEEP,
	RELEASE_HOOK,
	TRY_VM,
	GUEST,
	SIGNALS_OPEN,
	NR_STEPS
};

static void do_step(enum step s) NO_THREAD_SAFETY_ANALYSIS
{
	struct mutex *const m[] = {
		[VM_LIST] = &vm_list, [VM] = &vm,	[VCPU0] = &vcpu0, [VCPU1] = &vcpu1,
		[CONFIG] = &config,   [SLOTS] = &slots, [INVAL] = &inval, [IRQ] = &irq,
		[ITS_CMD] = &its_cmd, [ITS] = &its,	[ARCH] = &arch,	  [PAGE] = &page,
		[MN] = &mn,	      [LEAF] = &leaf,	[LEAF2] = &leaf2, [VGIC] = &vgic};

	switch (s) {
	case MMU_R:
		read_lock(&mmu);
		break;
	case MMU_W:
		write_lock(&mmu);
		break;
	case SRCU:
		(void)srcu_read_lock(&srcu);
		break;
	case OTHER_SRCU:
		(void)srcu_read_lock(&other_srcu);
		break;
	case MN_SRCU:
		(void)srcu_read_lock(&mn_srcu);
		break;
	case RCU:
		rcu_read_lock();
		break;
	case SYNC_SRCU:
		srcu_synchronize(&srcu);
		break;
	case SYNC_MN_SRCU:
		srcu_synchronize(&mn_srcu);
		break;
	case SYNC_RCU:
		rcu_synchronize();
		break;
	case BARRIER:
		rcu_barrier();
		break;
	case SLEEP:
		wait_on_word(&word, 1, WAIT_FOREVER);
		break;
	case SLEEP_BOUNDED:
		wait_on_word(&word, 1, 0);
		break;
	case SLEEP_ATOMIC:
		wait_on_word_atomic(&word, 1, 0);
		break;
	case COND_ON_MN:
		cond_wait_until(&cond, &mn, 1);
		break;
	case MAY_BLOCK:
		context_assert_may_block("allocation");
		break;
	case MAY_SLEEP:
		context_assert_may_sleep("poll");
		break;
	case RELEASE_HOOK:
		thread_assert_unlocked("release hook");
		break;
	case TRY_VM:
		mutex_trylock(&vm);
		break;
	case GUEST:
		thread_enter_guest();
		break;
	case SIGNALS_OPEN:
		thread_context.signals_blocked = 0;
		break;
	default:
		mutex_lock(m[s]);
	}
}

#if defined(ANYKVM_CHECKED)
#define CHECKED_ONLY() ((void)0)
#else
#define CHECKED_ONLY() SKIP("the checker is in checked builds only")
#endif

#endif
