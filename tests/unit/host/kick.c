/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sys/resource.h>

#include "host/clock.h"
#include "host/kick.h"
#include "host/signal.h"
#include "../../test.h"
#include "../misuse.h"

#define MS 1000000ull

static struct host_sleeper s;
static struct a32 word, rounds_done;

static void *kicker(void *arg)
{
	/* Asleep, as well as can be told from outside. */
	while (!a32_load(&s.sleeping))
		usleep(1000);
	usleep(50000);
	a32_store(&word, 1);
	host_sleeper_kick(&s);
	return NULL;
}

TEST(a_kick_wakes_a_sleeper_without_deadline)
{
	pthread_t t;
	u64 t0 = host_clock_ns();

	host_sleeper_init(&s);
	a32_store(&word, 0);
	ASSERT(!pthread_create(&t, NULL, kicker, NULL));
	while (!a32_load(&word))
		EXPECT_EQ(host_sleeper_sleep(&s, &word, 0, ~0ull, ~0ull), 0);
	EXPECT_CMP(host_clock_ns() - t0, <, 2000 * MS);
	pthread_join(t, NULL);
	host_sleeper_fini(&s);
}

TEST(sleep_ends_at_once_at_the_deadline_or_when_the_word_differs)
{
	u64 t0 = host_clock_ns();

	host_sleeper_init(&s);
	a32_store(&word, 0);
	EXPECT_EQ(host_sleeper_sleep(&s, &word, 1, ~0ull, ~0ull), 0);
	EXPECT_EQ(host_sleeper_sleep(&s, &word, 0, t0, ~0ull), -ETIMEDOUT);
	while (host_sleeper_sleep(&s, &word, 0, t0 + 20 * MS, ~0ull) != -ETIMEDOUT)
		;
	EXPECT_CMP(host_clock_ns(), >=, t0 + 20 * MS);
	/* A kick with nothing changed is a spurious wake-up at most. */
	host_sleeper_kick(&s);
	EXPECT_EQ(host_sleeper_sleep(&s, &word, 0, host_clock_ns() + MS, ~0ull) == -EINTR, false);
	host_sleeper_fini(&s);
}

/* Sleep and kick alternate as fast as they can: a lost wake-up would hang. */
static void *fast_kicker(void *arg)
{
	u64 n = (u64)arg;

	for (u32 i = 1; i <= n; i++) {
		a32_store(&word, i);
		host_sleeper_kick(&s);
		while (a32_load(&rounds_done) < i)
			cpu_relax();
	}
	return NULL;
}

static void no_lost_kick(u64 n)
{
	pthread_t t;

	a32_store(&word, 0);
	a32_store(&rounds_done, 0);
	ASSERT(!pthread_create(&t, NULL, fast_kicker, (void *)n));
	for (u32 i = 1; i <= n; i++) {
		while (a32_load(&word) == i - 1)
			host_sleeper_sleep(&s, &word, i - 1, ~0ull, ~0ull);
		a32_store(&rounds_done, i);
	}
	pthread_join(t, NULL);
}

TEST(no_kick_is_lost)
{
	host_sleeper_init(&s);
	no_lost_kick(3000);
	host_sleeper_fini(&s);
}

TEST(without_descriptors_kicks_and_deadlines_still_work)
{
	struct rlimit none, old;

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	host_sleeper_init(&s);
	no_lost_kick(50);
	EXPECT_EQ(s.event_fd, -1);
	host_sleeper_fini(&s);
	setrlimit(RLIMIT_NOFILE, &old);
}

static pthread_t sleeper_thread;

static void *signaller(void *arg)
{
	usleep(20000);
	pthread_kill(sleeper_thread, SIGUSR1);
	return NULL;
}

static volatile int handled;

static void on_usr1(int signo)
{
	handled++;
}

static void signal_while_asleep(bool expect_wake)
{
	u64 old = host_signals_block(), t0 = host_clock_ns();
	u64 effective = expect_wake ? old : old | SIGNAL_BIT(SIGUSR1);
	pthread_t t;
	int ret;

	handled = 0;
	sleeper_thread = pthread_self();
	signal(SIGUSR1, on_usr1);
	a32_store(&word, 0);
	ASSERT(!pthread_create(&t, NULL, signaller, NULL));
	do
		ret = host_sleeper_sleep(&s, &word, 0, t0 + (expect_wake ? 5000 : 60) * MS,
					 effective);
	while (!ret);
	EXPECT_EQ(ret, expect_wake ? -EINTR : -ETIMEDOUT);
	/* The handler runs when the mask comes back, not inside. */
	EXPECT_EQ(handled, 0);
	pthread_join(t, NULL);
	host_signals_restore(old);
	usleep(1000); /* TSan delivers at the next call it knows */
	EXPECT_EQ(handled, 1);
	signal(SIGUSR1, SIG_DFL);
}

TEST(a_blocked_signal_that_the_run_mask_lets_through_ends_the_sleep_and_is_delivered_after)
{
	host_sleeper_init(&s);
	signal_while_asleep(true);
	host_sleeper_fini(&s);
}

TEST(a_signal_that_the_run_mask_blocks_does_not_end_the_sleep)
{
	host_sleeper_init(&s);
	signal_while_asleep(false);
	/* The watched set follows the mask. */
	signal_while_asleep(true);
	host_sleeper_fini(&s);
}
