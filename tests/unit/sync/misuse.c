/* SPDX-License-Identifier: MIT */
/*
 * I-33: each rule of the lock order (LO-n), broken once: the process aborts and names both locks and the places. The whole table is
 * in order.c.
 */
#include "plan.h"

static const enum step *plan;

static void run_plan(void)
{
	world();
	/* In this layer nobody blocks signals: only the count of it is known here. */
	thread_context.signals_blocked = 1;
	for (const enum step *s = plan; *s; s++)
		do_step(*s);
}

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
	ALLOWED((VM, VCPU0, CONFIG, SLOTS, INVAL, IRQ, ITS_CMD, ITS, ARCH, SRCU, PAGE, MMU_R, RCU,
		 VGIC, LEAF));
	ALLOWED((INVAL, MN_SRCU, SRCU, PAGE, MMU_R, RCU, VGIC, LEAF));
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
	FORBIDDEN((SLOTS, VM), "taking vm->lock", "slots_lock", "plan.h:");
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

TEST(LO1_no_outer_lock_inside_an_srcu_section)
{
	CHECKED_ONLY();
	FORBIDDEN((SRCU, VM), "taking vm->lock", "vm->srcu");
	FORBIDDEN((SRCU, VCPU0), "taking vcpu0->mutex", "vm->srcu");
	FORBIDDEN((SRCU, SLOTS), "taking slots_lock", "vm->srcu");
	FORBIDDEN((SRCU, INVAL), "taking inval_lock", "vm->srcu");
}

TEST(LO2_no_wait_for_srcu_inside_a_section)
{
	CHECKED_ONLY();
	FORBIDDEN((SRCU, SYNC_SRCU), "waiting for vm->srcu", "holding vm->srcu");
	FORBIDDEN((OTHER_SRCU, SYNC_SRCU), "waiting for vm->srcu", "holding vm2->srcu");
	FORBIDDEN((MN_SRCU, SYNC_SRCU), "waiting for vm->srcu", "holding mn_srcu");
	FORBIDDEN((RCU, SYNC_SRCU), "waiting for vm->srcu", "holding rcu");
}

TEST(LO3_no_wait_for_srcu_under_locks_that_readers_need)
{
	CHECKED_ONLY();
	FORBIDDEN((SLOTS, ARCH, SYNC_SRCU), "waiting for vm->srcu", "slots_arch_lock");
	FORBIDDEN((INVAL, SYNC_SRCU), "waiting for vm->srcu", "inval_lock");
	FORBIDDEN((MMU_R, SYNC_SRCU), "waiting for vm->srcu", "mmu_lock");
	FORBIDDEN((MMU_W, SYNC_SRCU), "waiting for vm->srcu", "mmu_lock");
	FORBIDDEN((MN, SYNC_SRCU), "waiting for vm->srcu", "mn_lock");
	FORBIDDEN((PAGE, SYNC_SRCU), "waiting for vm->srcu", "page lock");
	ALLOWED((VM, VCPU0, SLOTS, SYNC_SRCU));
}

TEST(LO4_slots_arch_lock_may_be_taken_in_an_srcu_section_but_not_in_a_pair)
{
	CHECKED_ONLY();
	ALLOWED((SRCU, ARCH));
	FORBIDDEN((MN_SRCU, ARCH), "taking slots_arch_lock", "mn_srcu");
}

TEST(LO5_a_pair_takes_no_slots_lock_and_sleeps_with_a_deadline_only)
{
	CHECKED_ONLY();
	FORBIDDEN((MN_SRCU, SLOTS), "taking slots_lock", "mn_srcu");
	FORBIDDEN((MN_SRCU, ARCH), "taking slots_arch_lock", "mn_srcu");
	FORBIDDEN((INVAL, MN_SRCU, SRCU, SLOTS), "taking slots_lock");
	FORBIDDEN((MN_SRCU, SLEEP), "no sleep here", "mn_srcu");
	/* The nested start that lets a swap go first; the wait for a shootdown. */
	ALLOWED((MN_SRCU, SLEEP_BOUNDED));
	ALLOWED((MN_SRCU, SRCU, MMU_W, SLEEP_ATOMIC));
}

TEST(LO6_nothing_blocks_or_allocates_under_mmu_lock)
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
	plan = STEPS(MMU_W, MAY_SLEEP);
	EXPECT_ABORT(run_plan, "poll while holding mmu_lock");
	plan = STEPS(RCU, MAY_SLEEP);
	EXPECT_ABORT(run_plan, "poll in an RCU section");
	plan = STEPS(VGIC, MAY_SLEEP);
	EXPECT_ABORT(run_plan, "under a device lock");
	ALLOWED((RCU, LEAF, MAY_BLOCK));
}

TEST(LO7_a_vcpu_in_guest_mode_holds_its_mutex_at_most_and_waits_for_nobody)
{
	CHECKED_ONLY();
	ALLOWED((VCPU0, GUEST, RCU, VGIC, LEAF, MAY_BLOCK));
	FORBIDDEN((SLOTS, GUEST), "no lock in guest mode", "slots_lock");
	FORBIDDEN((VCPU0, SRCU, GUEST), "no lock in guest mode", "vm->srcu");
	FORBIDDEN((RCU, GUEST), "no lock in guest mode", "holding rcu");
	FORBIDDEN((VGIC, GUEST), "no lock in guest mode", "dist lock");
	FORBIDDEN((MMU_R, GUEST), "no lock in guest mode", "mmu_lock");
	FORBIDDEN((GUEST, MMU_R), "no lock in guest mode", "taking mmu_lock");
	FORBIDDEN((GUEST, SRCU), "no lock in guest mode", "taking vm->srcu");
	FORBIDDEN((GUEST, MN_SRCU), "no lock in guest mode", "taking mn_srcu");
	FORBIDDEN((GUEST, CONFIG), "no lock in guest mode", "taking config_lock");
	FORBIDDEN((GUEST, SLEEP_BOUNDED), "no wait in guest mode", "a word");
	FORBIDDEN((GUEST, SYNC_RCU), "no wait in guest mode", "rcu");
	FORBIDDEN((GUEST, RELEASE_HOOK), "not in guest mode", "release hook");
}

TEST(LO8_a_pair_begins_with_inval_lock_held_at_most)
{
	CHECKED_ONLY();
	ALLOWED((MN_SRCU, MN_SRCU));
	ALLOWED((INVAL, MN_SRCU));
	FORBIDDEN((SLOTS, MN_SRCU), "no pair under this lock", "slots_lock");
	FORBIDDEN((ARCH, MN_SRCU), "no pair under this lock", "slots_arch_lock");
	FORBIDDEN((PAGE, MN_SRCU), "no pair under this lock", "page lock");
	FORBIDDEN((MMU_R, MN_SRCU), "no SRCU section under this lock", "mmu_lock");
	FORBIDDEN((MN, MN_SRCU), "no SRCU section under this lock", "mn_lock");
	FORBIDDEN((LEAF, MN_SRCU), "no SRCU section under this lock", "leaf");
	/* A signal handler that unmaps: the thread it interrupts may be in any of these. */
	ALLOWED((VM, VCPU0, CONFIG, IRQ, SRCU, MN_SRCU));
}

TEST(LO9_a_release_hook_runs_with_nothing_held)
{
	CHECKED_ONLY();
	ALLOWED((RELEASE_HOOK));
	FORBIDDEN((SLOTS, RELEASE_HOOK), "release hook with slots_lock", "plan.h:");
	FORBIDDEN((SRCU, RELEASE_HOOK), "release hook with vm->srcu");
	FORBIDDEN((MN_SRCU, RELEASE_HOOK), "release hook with mn_srcu");
	FORBIDDEN((RCU, RELEASE_HOOK), "release hook with rcu");
	FORBIDDEN((MMU_W, RELEASE_HOOK), "release hook with mmu_lock");
	FORBIDDEN((LEAF, RELEASE_HOOK), "release hook with leaf");
}

TEST(LO12_mmu_lock_and_mn_lock_are_taken_with_signals_blocked)
{
	CHECKED_ONLY();
	FORBIDDEN((SIGNALS_OPEN, MMU_R), "signals are not blocked", "mmu_lock", "plan.h:");
	FORBIDDEN((SIGNALS_OPEN, MMU_W), "signals are not blocked", "mmu_lock");
	FORBIDDEN((SIGNALS_OPEN, SLOTS, MN), "signals are not blocked", "mn_lock");
	ALLOWED((SIGNALS_OPEN, VM, SLOTS, ARCH, SRCU, RCU, LEAF));
}

static void a_library_thread(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_lock(&mn);
	mutex_unlock(&mn);
}

static void start_a_library_thread(void)
{
	struct thread *t;

	world();
	if (thread_create(&t, "worker", a_library_thread, NULL))
		_exit(1);
	thread_join(t);
}

TEST(LO12_threads_of_the_library_block_signals_for_good)
{
	CHECKED_ONLY();
	EXPECT_NO_ABORT(start_a_library_thread);
}

TEST(LO10_the_notifiers_srcu_is_waited_for_with_nothing_held)
{
	CHECKED_ONLY();
	FORBIDDEN((VM, SYNC_MN_SRCU), "waiting for mn_srcu", "vm->lock");
	FORBIDDEN((VCPU0, SYNC_MN_SRCU), "waiting for mn_srcu", "vcpu0->mutex");
	FORBIDDEN((SLOTS, SYNC_MN_SRCU), "waiting for mn_srcu", "slots_lock");
	FORBIDDEN((MN_SRCU, SYNC_MN_SRCU), "waiting for mn_srcu", "holding mn_srcu");
	FORBIDDEN((SRCU, SYNC_MN_SRCU), "waiting for mn_srcu", "vm->srcu");
	ALLOWED((SYNC_MN_SRCU));
}

TEST(rcu_is_not_waited_for_in_a_reader_or_under_locks_that_readers_meet)
{
	CHECKED_ONLY();
	FORBIDDEN((RCU, SYNC_RCU), "waiting for rcu", "holding rcu");
	FORBIDDEN((MMU_W, SYNC_RCU), "waiting for rcu", "mmu_lock");
	FORBIDDEN((INVAL, SYNC_RCU), "waiting for rcu", "inval_lock");
	FORBIDDEN((ARCH, SYNC_RCU), "waiting for rcu", "slots_arch_lock");
	FORBIDDEN((MN, SYNC_RCU), "waiting for rcu", "mn_lock");
	FORBIDDEN((RCU, BARRIER), "waiting for rcu", "holding rcu");
	ALLOWED((VM, SLOTS, SYNC_RCU, BARRIER));
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
