/* SPDX-License-Identifier: MIT */
/* I-33: each rule of the lock order, broken once: the process aborts and names both locks and the places. */
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

static struct mutex vm_list, vm, vcpu0, vcpu1, config, slots, inval, irq, arch, page, mn, leaf,
	leaf2, vgic;
static struct rwlock mmu;
static struct srcu srcu, mn_srcu, other_srcu;
static struct cond cond;
static struct a32 word;

static void world(void)
{
	static bool made;

	if (made)
		return;
	made = true;
	mutex_init(&vm_list, RANK_VM_LIST, "vm_list_lock");
	mutex_init(&vm, RANK_VM, "vm->lock");
	mutex_init(&vcpu0, RANK_VCPU, "vcpu0->mutex");
	mutex_init(&vcpu1, RANK_VCPU, "vcpu1->mutex");
	mutex_init(&config, RANK_CONFIG, "config_lock");
	mutex_init(&slots, RANK_SLOTS, "slots_lock");
	mutex_init(&inval, RANK_INVAL, "inval_lock");
	mutex_init(&irq, RANK_IRQ, "irq_lock");
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
	WAIT_SRCU,
	WAIT_MN_SRCU,
	WAIT_RCU,
	BARRIER,
	SLEEP,
	SLEEP_ATOMIC,
	COND_ON_MN,
	MAY_BLOCK,
	TRY_VM,
};

static void do_step(enum step s) NO_THREAD_SAFETY_ANALYSIS
{
	struct mutex *const m[] = {
		[VM_LIST] = &vm_list, [VM] = &vm,	[VCPU0] = &vcpu0, [VCPU1] = &vcpu1,
		[CONFIG] = &config,   [SLOTS] = &slots, [INVAL] = &inval, [IRQ] = &irq,
		[ARCH] = &arch,	      [PAGE] = &page,	[MN] = &mn,	  [LEAF] = &leaf,
		[LEAF2] = &leaf2,     [VGIC] = &vgic};

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
	case WAIT_SRCU:
		srcu_synchronize(&srcu);
		break;
	case WAIT_MN_SRCU:
		srcu_synchronize(&mn_srcu);
		break;
	case WAIT_RCU:
		rcu_synchronize();
		break;
	case BARRIER:
		rcu_barrier();
		break;
	case SLEEP:
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
	case TRY_VM:
		mutex_trylock(&vm);
		break;
	default:
		mutex_lock(m[s]);
	}
}

static const enum step *plan;

static void run_plan(void)
{
	world();
	for (const enum step *s = plan; *s; s++)
		do_step(*s);
}

#if defined(ANYKVM_CHECKED)
#define CHECKED_ONLY() ((void)0)
#else
#define CHECKED_ONLY() SKIP("the checker is in checked builds only")
#endif

#define STEPS(...)               \
	(const enum step[])      \
	{                        \
		__VA_ARGS__, END \
	}
/* (steps), then words of the message */
#define FORBIDDEN(steps, ...)                                      \
	do {                                                       \
		plan = STEPS steps;                                \
		EXPECT_ABORT(run_plan, "lock order", __VA_ARGS__); \
	} while (0)
#define ALLOWED(steps)                     \
	do {                               \
		plan = STEPS steps;        \
		EXPECT_NO_ABORT(run_plan); \
	} while (0)

TEST(the_order_itself_is_allowed)
{
	CHECKED_ONLY();
	ALLOWED((VM, VCPU0, CONFIG, SLOTS, INVAL, IRQ, ARCH, MN_SRCU, SRCU, PAGE, MMU_R, RCU, VGIC,
		 LEAF));
	ALLOWED((VM, VCPU0, VCPU1));
	ALLOWED((SLOTS, ARCH, MN));
	ALLOWED((INVAL, MN_SRCU, MMU_W));
	ALLOWED((MN_SRCU, MN));
	ALLOWED((SRCU, MMU_W, RCU, LEAF));
	ALLOWED((VM_LIST));
}

TEST(a_lower_rank_under_a_higher_one_aborts_and_names_both_and_where)
{
	CHECKED_ONLY();
	FORBIDDEN((SLOTS, VM), "taking vm->lock", "slots_lock", "misuse.c:");
	FORBIDDEN((VCPU0, VM), "taking vm->lock", "vcpu0->mutex");
	FORBIDDEN((SLOTS, VCPU0), "taking vcpu0->mutex", "slots_lock");
	FORBIDDEN((INVAL, SLOTS), "taking slots_lock", "inval_lock");
	FORBIDDEN((INVAL, VM), "taking vm->lock", "inval_lock");
	FORBIDDEN((ARCH, SLOTS), "taking slots_lock", "slots_arch_lock");
	FORBIDDEN((ARCH, INVAL), "taking inval_lock", "slots_arch_lock");
	FORBIDDEN((VGIC, MMU_R), "taking mmu_lock", "dist lock");
	FORBIDDEN((SLOTS, TRY_VM), "taking vm->lock", "slots_lock");
}

TEST(equal_ranks_and_recursion_abort)
{
	CHECKED_ONLY();
	FORBIDDEN((LEAF, LEAF2), "same rank", "leaf2");
	FORBIDDEN((SLOTS, SLOTS), "not recursive", "slots_lock");
	FORBIDDEN((MMU_R, MMU_R), "not recursive", "mmu_lock");
	FORBIDDEN((MMU_W, MMU_R), "not recursive", "mmu_lock");
}

TEST(two_vcpu_mutexes_need_the_vm_lock)
{
	CHECKED_ONLY();
	FORBIDDEN((VCPU0, VCPU1), "same rank", "vcpu1->mutex", "vcpu0->mutex");
}

TEST(nothing_is_taken_under_vm_list_lock_and_mn_lock)
{
	CHECKED_ONLY();
	FORBIDDEN((VM_LIST, VM), "nothing inside", "vm_list_lock");
	FORBIDDEN((VM_LIST, LEAF), "nothing inside", "vm_list_lock");
	FORBIDDEN((MN, MMU_W), "nothing inside", "mn_lock");
	FORBIDDEN((MN, LEAF), "nothing inside", "mn_lock");
	FORBIDDEN((MN, SRCU), "no SRCU section", "mn_lock");
	FORBIDDEN((MMU_R, MN), "never under mmu_lock", "mn_lock", "mmu_lock");
}

TEST(lo_1_no_outer_lock_inside_an_srcu_section)
{
	CHECKED_ONLY();
	FORBIDDEN((SRCU, VM), "taking vm->lock", "vm->srcu");
	FORBIDDEN((SRCU, VCPU0), "taking vcpu0->mutex", "vm->srcu");
	FORBIDDEN((SRCU, SLOTS), "taking slots_lock", "vm->srcu");
	FORBIDDEN((SRCU, INVAL), "taking inval_lock", "vm->srcu");
}

TEST(lo_2_no_wait_for_srcu_inside_a_section)
{
	CHECKED_ONLY();
	FORBIDDEN((SRCU, WAIT_SRCU), "waiting for vm->srcu", "holding vm->srcu");
	FORBIDDEN((OTHER_SRCU, WAIT_SRCU), "waiting for vm->srcu", "holding vm2->srcu");
	FORBIDDEN((MN_SRCU, WAIT_SRCU), "waiting for vm->srcu", "holding mn_srcu");
	FORBIDDEN((RCU, WAIT_SRCU), "waiting for vm->srcu", "holding rcu");
}

TEST(lo_3_no_wait_for_srcu_under_locks_that_readers_need)
{
	CHECKED_ONLY();
	FORBIDDEN((SLOTS, ARCH, WAIT_SRCU), "waiting for vm->srcu", "slots_arch_lock");
	FORBIDDEN((INVAL, WAIT_SRCU), "waiting for vm->srcu", "inval_lock");
	FORBIDDEN((MMU_R, WAIT_SRCU), "waiting for vm->srcu", "mmu_lock");
	FORBIDDEN((MMU_W, WAIT_SRCU), "waiting for vm->srcu", "mmu_lock");
	FORBIDDEN((MN, WAIT_SRCU), "waiting for vm->srcu", "mn_lock");
	FORBIDDEN((PAGE, WAIT_SRCU), "waiting for vm->srcu", "page lock");
	ALLOWED((VM, VCPU0, SLOTS, WAIT_SRCU));
}

TEST(lo_4_slots_arch_lock_may_be_taken_in_an_srcu_section_but_not_in_a_pair)
{
	CHECKED_ONLY();
	ALLOWED((SRCU, ARCH));
	FORBIDDEN((MN_SRCU, ARCH), "taking slots_arch_lock", "mn_srcu");
}

TEST(lo_5_a_pair_takes_no_slots_lock)
{
	CHECKED_ONLY();
	FORBIDDEN((MN_SRCU, SLOTS), "taking slots_lock", "mn_srcu");
}

TEST(lo_6_nothing_blocks_or_allocates_under_mmu_lock)
{
	CHECKED_ONLY();
	FORBIDDEN((MMU_R, SLEEP), "waiting for", "mmu_lock");
	FORBIDDEN((MMU_W, PAGE), "taking page lock", "mmu_lock");
	plan = STEPS(MMU_R, MAY_BLOCK);
	EXPECT_ABORT(run_plan, "allocation while holding mmu_lock");
	plan = STEPS(MN, MAY_BLOCK);
	EXPECT_ABORT(run_plan, "allocation while holding mn_lock");
	ALLOWED((SLOTS, SRCU, MAY_BLOCK));
	/* The one exception: acknowledgements of a shootdown. */
	ALLOWED((MMU_W, SLEEP_ATOMIC));
}

TEST(lo_10_the_notifiers_srcu_is_waited_for_with_nothing_held)
{
	CHECKED_ONLY();
	FORBIDDEN((VM, WAIT_MN_SRCU), "waiting for mn_srcu", "vm->lock");
	FORBIDDEN((VCPU0, WAIT_MN_SRCU), "waiting for mn_srcu", "vcpu0->mutex");
	FORBIDDEN((SLOTS, WAIT_MN_SRCU), "waiting for mn_srcu", "slots_lock");
	FORBIDDEN((MN_SRCU, WAIT_MN_SRCU), "waiting for mn_srcu", "holding mn_srcu");
	FORBIDDEN((SRCU, WAIT_MN_SRCU), "waiting for mn_srcu", "vm->srcu");
	ALLOWED((WAIT_MN_SRCU));
}

TEST(rcu_is_not_waited_for_in_a_reader_or_under_locks_that_readers_meet)
{
	CHECKED_ONLY();
	FORBIDDEN((RCU, WAIT_RCU), "waiting for rcu", "holding rcu");
	FORBIDDEN((MMU_W, WAIT_RCU), "waiting for rcu", "mmu_lock");
	FORBIDDEN((INVAL, WAIT_RCU), "waiting for rcu", "inval_lock");
	FORBIDDEN((ARCH, WAIT_RCU), "waiting for rcu", "slots_arch_lock");
	FORBIDDEN((MN, WAIT_RCU), "waiting for rcu", "mn_lock");
	FORBIDDEN((RCU, BARRIER), "waiting for rcu", "holding rcu");
	ALLOWED((VM, SLOTS, WAIT_RCU, BARRIER));
}

TEST(an_rcu_reader_neither_sleeps_nor_takes_outer_locks)
{
	CHECKED_ONLY();
	FORBIDDEN((RCU, SLEEP), "waiting for", "holding rcu");
	FORBIDDEN((RCU, MMU_R), "taking mmu_lock", "holding rcu");
	FORBIDDEN((RCU, SLOTS), "taking slots_lock", "holding rcu");
	ALLOWED((RCU, LEAF));
	ALLOWED((MMU_W, RCU));
	ALLOWED((MN, RCU));
}

TEST(a_condition_may_be_waited_for_with_its_own_lock_under_the_slot_locks)
{
	CHECKED_ONLY();
	ALLOWED((SLOTS, ARCH, MN, COND_ON_MN));
	FORBIDDEN((RCU, SLEEP), "waiting for a word");
}

static void release_other(void) NO_THREAD_SAFETY_ANALYSIS
{
	world();
	read_lock(&mmu);
	write_unlock(&mmu);
}

static void release_unheld_srcu(void) NO_THREAD_SAFETY_ANALYSIS
{
	world();
	srcu_read_unlock(&srcu, srcu_read_lock(&other_srcu));
}

static void leave_locked(void) NO_THREAD_SAFETY_ANALYSIS
{
	world();
	mutex_lock(&slots);
	thread_assert_unlocked("outermost exit");
}

TEST(releasing_what_is_not_held_aborts)
{
	CHECKED_ONLY();
	EXPECT_ABORT(release_other, "BUG");
	EXPECT_ABORT(release_unheld_srcu, "vm->srcu", "does not hold");
	EXPECT_ABORT(leave_locked, "outermost exit", "slots_lock", "misuse.c:");
}

static void any_release_order(void) NO_THREAD_SAFETY_ANALYSIS
{
	world();
	mutex_lock(&vm);
	mutex_lock(&slots);
	mutex_unlock(&vm);
	if (thread_nr_held() != 1)
		_exit(1);
	mutex_unlock(&slots);
	thread_assert_unlocked("end");
	mutex_lock(&vm);
	mutex_unlock(&vm);
}

TEST(locks_may_be_released_in_any_order)
{
	CHECKED_ONLY();
	EXPECT_NO_ABORT(any_release_order);
}

#define MANY 512

static void every_vcpu_of_a_large_machine(void) NO_THREAD_SAFETY_ANALYSIS
{
	static struct mutex many[MANY];

	world();
	for (unsigned i = 0; i < MANY; i++)
		mutex_init(&many[i], RANK_VCPU, "vcpu->mutex");
	mutex_lock(&vm);
	for (unsigned i = 0; i < MANY; i++)
		if (!mutex_trylock(&many[i]))
			_exit(1);
	mutex_lock(&config);
	mutex_lock(&slots);
	if (thread_nr_held() != MANY + 3)
		_exit(1);
	mutex_unlock(&slots);
	mutex_unlock(&config);
	for (unsigned i = 0; i < MANY; i += 2)
		mutex_unlock(&many[i]);
	for (unsigned i = MANY; i; i -= 2)
		mutex_unlock(&many[i - 1]);
	mutex_unlock(&vm);
	thread_assert_unlocked("end");
	if (thread_nr_held())
		_exit(1);
}

TEST(all_vcpu_mutexes_of_the_largest_machine_may_be_held)
{
	CHECKED_ONLY();
	EXPECT_NO_ABORT(every_vcpu_of_a_large_machine);
}
