// SPDX-License-Identifier: MIT
/* Several vCPUs at once: atomics against each other and against the VMM, ordering, sleep, signals.
 */
#include <signal.h>
#include <time.h>

#include "rig.h"
#include "test.h"

static void run_all(struct rig *r, u32 piece, u64 times)
{
	struct rig_thread t[RIG_CPUS];

	for (unsigned n = 0; n < r->nr; n++) {
		rig_x(r, n)[1] = HIGH + DATA;
		rig_x(r, n)[2] = times;
		rig_x(r, n)[3] = 1;
		rig_start(r, n, piece, &t[n]);
	}
	for (unsigned n = 0; n < r->nr; n++)
		EXPECT_EQ(rig_join(&t[n]), 1);
}

TEST(additions_by_lse_lose_nothing)
{
	struct rig *r = rig_create(4);

	rig_mmu(r);
	run_all(r, G_add_lse, 100000);
	EXPECT_EQ(rig_read64(r, DATA), 400000);
	rig_destroy(r);
}

TEST(additions_by_exclusives_lose_nothing)
{
	struct rig *r = rig_create(4);

	rig_mmu(r);
	run_all(r, G_add_exclusive, 50000);
	EXPECT_EQ(rig_read64(r, DATA), 200000);
	rig_destroy(r);
}

TEST(additions_by_exclusive_pairs_lose_nothing)
{
	struct rig *r = rig_create(4);

	rig_mmu(r);
	/* The low half overflows on the way. */
	rig_write64(r, DATA, ~0ull - 1000);
	run_all(r, G_add_pair, 20000);
	EXPECT_EQ(rig_read64(r, DATA), 80000 - 1001);
	EXPECT_EQ(rig_read64(r, DATA + 8), 1);
	rig_destroy(r);
}

TEST(byte_exclusives_leave_the_neighbours_alone)
{
	struct rig *r = rig_create(4);

	rig_mmu(r);
	rig_write64(r, DATA, 0x1122334455667700);
	run_all(r, G_add_byte, 10000);
	EXPECT_EQ(rig_read64(r, DATA), 0x1122334455667700 | (40000 & 0xff));
	rig_destroy(r);
}

TEST(guest_and_host_atomics_see_each_other)
{
	struct rig *r = rig_create(2);
	struct rig_thread t[2];
	u64 *word;

	rig_mmu(r);
	word = rig_mem(r, DATA);
	for (unsigned n = 0; n < 2; n++) {
		rig_x(r, n)[1] = HIGH + DATA;
		rig_x(r, n)[2] = 100000;
		rig_x(r, n)[3] = 1;
		rig_start(r, n, n ? G_add_lse : G_add_exclusive, &t[n]);
	}
	for (unsigned i = 0; i < 100000; i++)
		__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(rig_join(&t[0]), 1);
	EXPECT_EQ(rig_join(&t[1]), 1);
	EXPECT_EQ(*word, 300000);
	rig_destroy(r);
}

TEST(release_and_acquire_order_data)
{
	struct rig *r = rig_create(2);
	struct rig_thread t[2];

	rig_mmu(r);
	for (unsigned n = 0; n < 2; n++) {
		rig_x(r, n)[1] = HIGH + DATA;
		rig_x(r, n)[2] = 200000;
		rig_x(r, n)[3] = HIGH + DATA + 4096;
		rig_start(r, n, n ? G_mp_read : G_mp_write, &t[n]);
	}
	EXPECT_EQ(rig_join(&t[0]), 1);
	EXPECT_EQ(rig_join(&t[1]), 1);
	EXPECT_EQ(rig_x(r, 1)[0], 0);
	rig_destroy(r);
}

TEST(sev_wakes_the_others)
{
	struct rig *r = rig_create(2);

	vcpu_send_event(&r->vcpu[0], true);
	EXPECT_EQ(a32_load(&r->vcpu[1].event), 1);
	EXPECT_EQ(rig_run(r, 1, G_wfe_insn), 1);
	EXPECT_EQ(a32_load(&r->vcpu[1].event), 0);
	rig_destroy(r);
}

/* --- signals
 * ----------------------------------------------------------------------------------------------------------
 */

static volatile sig_atomic_t handled;

static void on_signal(int signo)
{
	handled++;
}

static void catch_usr1(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	handled = 0;
	sigaction(SIGUSR1, &sa, NULL);
}

/* Interrupts vCPU 0, which does piece, ten times. How long it takes is measured by bench/latency. */
static void interrupt_ten_times(u32 piece)
{
	struct rig *r = rig_create(1);

	catch_usr1();
	for (unsigned i = 0; i < 10; i++) {
		struct rig_thread t;

		rig_start_raw(r, 0, piece, &t);
		/* A signal that comes before KVM_RUN is handled there and then: send more, as a VMM does. */
		for (unsigned tries = 0; tries < 200 && !rig_finished(&t); tries++) {
			pthread_kill(t.thread, SIGUSR1);
			rig_sleep_ms(5);
		}
		EXPECT_EQ(rig_join(&t), -EINTR);
		EXPECT_EQ(r->vcpu[0].run->exit_reason, KVM_EXIT_INTR);
		EXPECT_CMP(handled, >, i);
	}
	rig_destroy(r);
}

TEST(signal_interrupts_a_busy_guest)
{
	interrupt_ten_times(G_spin);
}

TEST(signal_interrupts_a_sleeping_guest)
{
	interrupt_ten_times(G_wfi_insn);
}

TEST(blocked_signal_does_not_interrupt_unless_the_run_mask_lets_it)
{
	struct rig *r = rig_create(1);
	sigset_t set, old;
	u64 mask = 0;

	catch_usr1();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	raise(SIGUSR1);
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	EXPECT_EQ(handled, 0);
	/* A run mask that does not block it: EINTR, the signal stays pending. */
	rig_set_sigmask(r, 0, &mask);
	EXPECT_EQ(rig_run(r, 0, G_done), -EINTR);
	EXPECT_EQ(handled, 0);
	rig_set_sigmask(r, 0, NULL);
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	EXPECT_EQ(handled, 1);
	/* The other way round: unblocked outside, blocked by the run mask; handled after the run.
	 */
	mask = 1ull << (SIGUSR1 - 1);
	rig_set_sigmask(r, 0, &mask);
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	rig_destroy(r);
}

TEST(kick_without_a_reason_changes_nothing)
{
	struct rig *r = rig_create(1);
	struct rig_thread t;

	rig_mmu(r);
	rig_x(r, 0)[1] = HIGH + DATA;
	rig_start(r, 0, G_count_up, &t);
	for (unsigned i = 0; i < 100; i++) {
		vcpu_kick(&r->vcpu[0]);
		rig_sleep_ms(1);
	}
	EXPECT(rig_read64(r, DATA) != 0);
	vcpu_request(&r->vcpu[0], VCPU_REQ_EXIT);
	EXPECT_EQ(rig_join(&t), -EINTR);
	rig_destroy(r);
}

/* Power state SUSPENDED waits as WFI does; it does not turn in circles until an interrupt comes. */
TEST(a_suspended_vcpu_sleeps_until_an_interrupt)
{
	struct rig *r = rig_create(1);
	struct rig_thread t;

	EXPECT_EQ(rig_set_mp_state(r, 0, KVM_MP_STATE_SUSPENDED), 0);
	rig_start_raw(r, 0, G_done, &t);
	rig_sleep_ms(100);
	vcpu_set_pin(&r->vcpu[0], PIN_IRQ, true);
	EXPECT_EQ(rig_join(&t), 0);
	EXPECT_EQ(r->vcpu[0].run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	EXPECT_EQ(r->vcpu[0].run->system_event.type, KVM_SYSTEM_EVENT_WAKEUP);
	EXPECT(r->vcpu[0].stats.wfi_exits <= 3);
	rig_destroy(r);
}
