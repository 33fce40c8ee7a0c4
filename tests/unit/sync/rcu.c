/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "sync/rcu.h"
#include "sync/srcu.h"
#include "sync/thread.h"
#include "sync/wait.h"
#include "../../test.h"
#include "../misuse.h"

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void sleep_us(u64 us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

#define ALIVE 0x616c697665ull

/* What readers reach; the updater kills it after a grace period. */
struct object {
	struct a64 state;
	struct rcu_head rcu;
};

struct stage {
	struct srcu srcu;
	struct aptr current;
	struct a32 stop, reader_inside, let_go, synced;
	struct a64 bad, reads, freed;
	bool use_srcu;
};
static struct stage st;

static void stage_init(bool use_srcu)
{
	memset(&st, 0, sizeof(st));
	st.use_srcu = use_srcu;
	srcu_init(&st.srcu, RANK_SRCU, "test srcu");
}

static void reader(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	for (int i = 0; !a32_load_relaxed(&st.stop); i++) {
		int cookie = 0;
		struct object *o;

		if (st.use_srcu)
			cookie = srcu_read_lock(&st.srcu);
		else
			rcu_read_lock();
		o = rcu_load(&st.current);
		for (int k = 0; k < 20; k++)
			if (a64_load_relaxed(&o->state) != ALIVE)
				a64_fetch_add(&st.bad, 1);
		if (st.use_srcu && i % 64 == 0)
			sleep_us(50);
		if (st.use_srcu)
			srcu_read_unlock(&st.srcu, cookie);
		else
			rcu_read_unlock();
		a64_fetch_add(&st.reads, 1);
	}
}

static void replace_under_readers(int rounds)
{
	struct thread *t[3];
	struct object *o = calloc(1, sizeof(*o));

	a64_store(&o->state, ALIVE);
	rcu_store(&st.current, o);
	for (int i = 0; i < 3; i++)
		ASSERT(!thread_create(&t[i], "reader", reader, NULL));
	while (!a64_load(&st.reads))
		sched_yield();
	for (int i = 0; i < rounds; i++) {
		struct object *n = calloc(1, sizeof(*n)), *old;

		a64_store(&n->state, ALIVE);
		old = aptr_xchg(&st.current, n);
		if (st.use_srcu)
			srcu_synchronize(&st.srcu);
		else
			rcu_synchronize();
		a64_store(&old->state, 0xdead);
		free(old);
	}
	a32_store(&st.stop, 1);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	EXPECT_EQ(a64_load(&st.bad), 0);
	EXPECT_CMP(a64_load(&st.reads), >, 0);
	free(aptr_load(&st.current));
	srcu_fini(&st.srcu);
}

TEST(rcu_keeps_an_object_until_its_readers_left)
{
	stage_init(false);
	replace_under_readers((int)test_rounds(2000, 200000));
}

TEST(srcu_keeps_an_object_until_its_readers_left)
{
	stage_init(true);
	replace_under_readers((int)test_rounds(1000, 100000));
}

static void staying_reader(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
	int cookie = 0;

	if (st.use_srcu)
		cookie = srcu_read_lock(&st.srcu);
	else
		rcu_read_lock();
	a32_store(&st.reader_inside, 1);
	while (!a32_load(&st.let_go))
		sleep_us(100);
	a64_fetch_add(&st.reads, 1);
	if (st.use_srcu)
		srcu_read_unlock(&st.srcu, cookie);
	else
		rcu_read_unlock();
}

static void waiter(void *arg)
{
	if (st.use_srcu)
		srcu_synchronize(&st.srcu);
	else
		rcu_synchronize();
	/* The reader's last act inside must be visible. */
	if (a64_load(&st.reads) != 1)
		a64_fetch_add(&st.bad, 1);
	a32_store(&st.synced, 1);
}

static void wait_for_staying_reader(void)
{
	struct thread *r, *w;

	ASSERT(!thread_create(&r, "reader", staying_reader, NULL));
	while (!a32_load(&st.reader_inside))
		sched_yield();
	ASSERT(!thread_create(&w, "waiter", waiter, NULL));
	sleep_us(30000);
	EXPECT_EQ(a32_load(&st.synced), 0);
	a32_store(&st.let_go, 1);
	thread_join(r);
	thread_join(w);
	EXPECT_EQ(a32_load(&st.synced), 1);
	EXPECT_EQ(a64_load(&st.bad), 0);
	srcu_fini(&st.srcu);
}

TEST(rcu_synchronize_waits_for_a_reader_that_stays)
{
	stage_init(false);
	wait_for_staying_reader();
}

TEST(srcu_synchronize_waits_for_a_reader_that_sleeps_inside)
{
	stage_init(true);
	wait_for_staying_reader();
}

TEST(srcu_does_not_wait_for_readers_of_another_domain_nor_for_later_ones)
{
	struct srcu other;
	struct thread *r;
	int c;

	stage_init(true);
	srcu_init(&other, RANK_SRCU, "other");
	ASSERT(!thread_create(&r, "reader", staying_reader, NULL));
	while (!a32_load(&st.reader_inside))
		sched_yield();
	srcu_synchronize(&other);
	c = srcu_read_lock(&other);
	srcu_read_unlock(&other, c);
	srcu_synchronize(&other);
	EXPECT_EQ(a32_load(&st.let_go), 0);
	a32_store(&st.let_go, 1);
	thread_join(r);
	srcu_fini(&other);
	srcu_fini(&st.srcu);
}

/* A reader that read the phase, lost its core, and counted itself only after a whole grace period. */
TEST(srcu_waits_for_a_straggler_of_the_other_phase)
{
	struct thread *w;
	u32 phase;

	stage_init(true);
	phase = a32_load(&st.srcu.idx) & 1;
	srcu_synchronize(&st.srcu);
	ASSERT_EQ(a32_load(&st.srcu.idx) & 1, phase ^ 1);
	a32_fetch_add(&st.srcu.shard[1].count[phase], 1);
	ASSERT(!thread_create(&w, "waiter", waiter, NULL));
	sleep_us(30000);
	EXPECT_EQ(a32_load(&st.synced), 0);
	a64_store(&st.reads, 1);
	a32_fetch_sub(&st.srcu.shard[1].count[phase], 1);
	wake_word_all(&st.srcu.shard[1].count[phase]);
	thread_join(w);
	EXPECT_EQ(a32_load(&st.synced), 1);
	EXPECT_EQ(a64_load(&st.bad), 0);
	srcu_fini(&st.srcu);
}

static void nest_sections(void) NO_THREAD_SAFETY_ANALYSIS
{
	int a, b;

	rcu_read_lock();
	rcu_read_lock();
	rcu_read_unlock();
	EXPECT(rcu_read_lock_held());
	rcu_read_unlock();
	EXPECT(!rcu_read_lock_held());
	a = srcu_read_lock(&st.srcu);
	b = srcu_read_lock(&st.srcu);
	srcu_read_unlock(&st.srcu, a);
	EXPECT(srcu_read_lock_held(&st.srcu));
	srcu_read_unlock(&st.srcu, b);
	EXPECT(!srcu_read_lock_held(&st.srcu));
}

TEST(read_sections_nest)
{
	stage_init(true);
	nest_sections();
	srcu_synchronize(&st.srcu);
	rcu_synchronize();
	srcu_fini(&st.srcu);
}

static void free_object(struct rcu_head *head)
{
	struct object *o = container_of(head, struct object, rcu);

	a64_store(&o->state, 0xdead);
	free(o);
	a64_fetch_add(&st.freed, 1);
}

TEST(rcu_callbacks_run_after_a_grace_period_and_barrier_waits_for_all)
{
	struct thread *t[3];
	struct object *o = calloc(1, sizeof(*o));

	stage_init(false);
	a64_store(&o->state, ALIVE);
	rcu_store(&st.current, o);
	for (int i = 0; i < 3; i++)
		ASSERT(!thread_create(&t[i], "reader", reader, NULL));
	for (int i = 1; i <= 5000; i++) {
		struct object *n = calloc(1, sizeof(*n)), *old;

		a64_store(&n->state, ALIVE);
		old = aptr_xchg(&st.current, n);
		rcu_call(&old->rcu, free_object);
		if (i % 500 == 0) {
			rcu_barrier();
			EXPECT_EQ(a64_load(&st.freed), i);
		}
	}
	a32_store(&st.stop, 1);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	rcu_barrier();
	EXPECT_EQ(a64_load(&st.freed), 5000);
	EXPECT_EQ(a64_load(&st.bad), 0);
	free(aptr_load(&st.current));
	srcu_fini(&st.srcu);
}

TEST(rcu_callbacks_run_without_a_barrier_too)
{
	struct object *o = calloc(1, sizeof(*o));

	stage_init(false);
	rcu_call(&o->rcu, free_object);
	for (int i = 0; i < 5000 && !a64_load(&st.freed); i++)
		sleep_us(1000);
	EXPECT_EQ(a64_load(&st.freed), 1);
	srcu_fini(&st.srcu);
}

static u64 order[3];
static struct rcu_head heads[3];

static void note_order(struct rcu_head *h)
{
	static u64 n;

	order[h - heads] = ++n;
}

TEST(rcu_callbacks_run_in_the_order_of_queueing)
{
	stage_init(false);
	for (int i = 0; i < 3; i++)
		rcu_call(&heads[i], note_order);
	rcu_barrier();
	EXPECT_EQ(order[0] < order[1] && order[1] < order[2], true);
	srcu_fini(&st.srcu);
}

static struct a32 interrupted;

static void read_in_handler(int signo)
{
	rcu_read_lock();
	if (a64_load_relaxed(&((struct object *)rcu_load(&st.current))->state) != ALIVE)
		a64_fetch_add(&st.bad, 1);
	rcu_read_unlock();
	a32_fetch_add(&interrupted, 1);
}

static void *signalled_reader(void *arg)
{
	while (!a32_load_relaxed(&st.stop)) {
		rcu_read_lock();
		struct object *o = rcu_load(&st.current);
		for (int k = 0; k < 20; k++)
			if (a64_load_relaxed(&o->state) != ALIVE)
				a64_fetch_add(&st.bad, 1);
		rcu_read_unlock();
	}
	return NULL;
}

TEST(a_signal_handler_may_read_under_rcu_at_any_point_of_a_reader)
{
	struct object *o = calloc(1, sizeof(*o));
	pthread_t t;

	stage_init(false);
	a64_store(&o->state, ALIVE);
	rcu_store(&st.current, o);
	signal(SIGUSR1, read_in_handler);
	ASSERT(!pthread_create(&t, NULL, signalled_reader, NULL));
	for (int i = 0; i < 3000; i++) {
		struct object *n = calloc(1, sizeof(*n)), *old;

		a64_store(&n->state, ALIVE);
		if (i % 3 == 0)
			pthread_kill(t, SIGUSR1);
		old = aptr_xchg(&st.current, n);
		rcu_synchronize();
		a64_store(&old->state, 0xdead);
		free(old);
	}
	a32_store(&st.stop, 1);
	pthread_join(t, NULL);
	signal(SIGUSR1, SIG_DFL);
	EXPECT_EQ(a64_load(&st.bad), 0);
	EXPECT_CMP(a32_load(&interrupted), >, 0);
	free(aptr_load(&st.current));
	srcu_fini(&st.srcu);
}

static void *come_and_go(void *arg)
{
	int c = srcu_read_lock(&st.srcu);

	rcu_read_lock();
	rcu_read_unlock();
	srcu_read_unlock(&st.srcu, c);
	return NULL;
}

TEST(threads_that_come_and_go_do_not_hold_up_grace_periods)
{
	pthread_t t[8];

	stage_init(true);
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 8; k++)
			ASSERT(!pthread_create(&t[k], NULL, come_and_go, NULL));
		rcu_synchronize();
		srcu_synchronize(&st.srcu);
		for (int k = 0; k < 8; k++)
			pthread_join(t[k], NULL);
	}
	srcu_fini(&st.srcu);
}

/* Bounds ten times what is expected of an idle machine: they catch a sleep or a system call too many, not noise. */
TEST(grace_periods_without_readers_are_cheap)
{
#if defined(ANYKVM_SANITIZED)
	SKIP("times mean nothing under a sanitizer");
#endif
	enum { N = 2000 };
	u64 best_srcu = ~0ull, best_rcu = ~0ull, best_read = ~0ull;

	stage_init(true);
	for (int round = 0; round < 5; round++) {
		u64 t0 = now_ns(), t1, t2, t3;

		for (int i = 0; i < N; i++)
			srcu_synchronize(&st.srcu);
		t1 = now_ns();
		for (int i = 0; i < N; i++)
			rcu_synchronize();
		t2 = now_ns();
		for (int i = 0; i < N; i++) {
			rcu_read_lock();
			rcu_read_unlock();
		}
		t3 = now_ns();
		best_srcu = MIN(best_srcu, (t1 - t0) / N);
		best_rcu = MIN(best_rcu, (t2 - t1) / N);
		best_read = MIN(best_read, (t3 - t2) / N);
	}
	printf("# srcu_synchronize %llu ns, rcu_synchronize %llu ns, rcu read section %llu ns\n",
	       (unsigned long long)best_srcu, (unsigned long long)best_rcu,
	       (unsigned long long)best_read);
	EXPECT_CMP(best_srcu, <, 5000);
	EXPECT_CMP(best_rcu, <, 100000);
	EXPECT_CMP(best_read, <, 1000);
	srcu_fini(&st.srcu);
}

static void fini_with_reader(void) NO_THREAD_SAFETY_ANALYSIS
{
	stage_init(true);
	srcu_read_lock(&st.srcu);
	srcu_fini(&st.srcu);
}

static void unlock_without_lock(void) NO_THREAD_SAFETY_ANALYSIS
{
	rcu_read_unlock();
}

TEST(misuse_of_domains_aborts_in_every_build)
{
	EXPECT_ABORT(fini_with_reader, "BUG");
	EXPECT_ABORT(unlock_without_lock, "BUG");
}
