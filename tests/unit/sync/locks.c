/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/context.h"
#include "sync/cond.h"
#include "sync/mutex.h"
#include "sync/ref.h"
#include "sync/rwlock.h"
#include "sync/seq.h"
#include "sync/thread.h"
#include "sync/wait.h"
#include "../../test.h"
#include "../misuse.h"

#define NR_THREADS 4

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Runs fn(arg) in n threads and joins them. */
static void run_threads(int n, void (*fn)(void *), void *arg)
{
	struct thread *t[16];

	for (int i = 0; i < n; i++)
		if (thread_create(&t[i], "test", fn, arg))
			abort();
	for (int i = 0; i < n; i++)
		thread_join(t[i]);
}

struct counter {
	struct mutex m;
	struct cond c;
	struct rwlock rw;
	u64 plain; /* unprotected by itself */
	u64 mirror;
	struct a32 word, done;
	struct a64 reads, writes, max_wait;
};

static void counter_init(struct counter *c)
{
	thread_context.signals_blocked = 1;
	memset(c, 0, sizeof(*c));
	mutex_init(&c->m, RANK_SLOTS, "m");
	cond_init(&c->c);
	rwlock_init(&c->rw, RANK_MMU, "rw");
}

static void add_locked(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < 20000; i++) {
		mutex_lock(&c->m);
		mutex_assert_held(&c->m);
		c->plain++;
		mutex_unlock(&c->m);
	}
}

TEST(a_mutex_excludes)
{
	struct counter c;

	counter_init(&c);
	run_threads(NR_THREADS, add_locked, &c);
	EXPECT_EQ(c.plain, NR_THREADS * 20000);
	if (mutex_trylock(&c.m)) {
		EXPECT(mutex_is_held(&c.m));
		mutex_unlock(&c.m);
	} else {
		TEST_FAIL("trylock of a free mutex");
	}
	EXPECT(!mutex_is_held(&c.m));
	mutex_fini(&c.m);
}

static void try_once(void *arg)
{
	struct counter *c = arg;

	if (mutex_trylock(&c->m)) {
		c->plain = 1;
		mutex_unlock(&c->m);
	}
	if (mutex_is_held(&c->m))
		c->plain = 2;
}

TEST(trylock_fails_while_another_thread_holds)
{
	struct counter c;

	counter_init(&c);
	mutex_lock(&c.m);
	run_threads(1, try_once, &c);
	EXPECT_EQ(c.plain, 0);
	mutex_unlock(&c.m);
}

static void rw_work(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < 5000; i++) {
		if (i % 8 == 0) {
			write_lock(&c->rw);
			rwlock_assert_write_held(&c->rw);
			c->plain++;
			c->mirror++;
			write_unlock(&c->rw);
			a64_fetch_add(&c->writes, 1);
		} else {
			read_lock(&c->rw);
			rwlock_assert_held(&c->rw);
			if (c->plain != c->mirror)
				abort();
			read_unlock(&c->rw);
		}
	}
}

TEST(an_rwlock_excludes_writers_and_admits_readers_together)
{
	struct counter c;

	counter_init(&c);
	run_threads(6, rw_work, &c);
	EXPECT_EQ(c.plain, a64_load(&c.writes));
	EXPECT_EQ(c.plain, 6 * 625);
	rwlock_fini(&c.rw);
}

static void reader_meets_reader(void *arg)
{
	struct counter *c = arg;

	read_lock(&c->rw);
	a32_fetch_add(&c->word, 1);
	wake_word_all(&c->word);
	/* Both must be inside at once for either to go on. */
	while (a32_load(&c->word) < 2)
		sched_yield();
	read_unlock(&c->rw);
}

TEST(two_readers_are_inside_at_once)
{
	struct counter c;

	counter_init(&c);
	run_threads(2, reader_meets_reader, &c);
	EXPECT_EQ(a32_load(&c.word), 2);
}

/* Readers that overlap all the time: a lock that prefers readers would never let the writer in. */
static void overlapping_reader(void *arg)
{
	struct counter *c = arg;

	while (!a32_load(&c->done)) {
		read_lock(&c->rw);
		for (int i = 0; i < 200; i++)
			cpu_relax();
		a64_fetch_add(&c->reads, 1);
		read_unlock(&c->rw);
	}
}

static void patient_writer(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < 300; i++) {
		u64 start = now_ns(), took;

		write_lock(&c->rw);
		took = now_ns() - start;
		write_unlock(&c->rw);
		if (took > a64_load(&c->max_wait))
			a64_store(&c->max_wait, took);
		a64_fetch_add(&c->writes, 1);
	}
	a32_store(&c->done, 1);
}

TEST(rwlock_is_fair_a_writer_gets_in_among_overlapping_readers)
{
	struct counter c;
	struct thread *t[4], *w;

	counter_init(&c);
	for (int i = 0; i < 4; i++)
		ASSERT(!thread_create(&t[i], "reader", overlapping_reader, &c));
	/* The writer is to come among readers. */
	for (int i = 0; i < 3000 && !a64_load(&c.reads); i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	ASSERT(!thread_create(&w, "writer", patient_writer, &c));
	for (int i = 0; i < 3000 && !a32_load(&c.done); i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	EXPECT_EQ(a64_load(&c.writes), 300);
	a32_store(&c.done, 1);
	thread_join(w);
	for (int i = 0; i < 4; i++)
		thread_join(t[i]);
	EXPECT_CMP(a64_load(&c.reads), >, 0);
}

static void held_reader(void *arg)
{
	struct counter *c = arg;

	read_lock(&c->rw);
	a64_fetch_add(&c->reads, 1);
	read_unlock(&c->rw);
}

static void held_writer(void *arg)
{
	struct counter *c = arg;

	write_lock(&c->rw);
	a64_fetch_add(&c->writes, 1);
	write_unlock(&c->rw);
}

static void wait_contended(struct rwlock *l)
{
	for (int i = 0; i < 10000 && !rwlock_is_contended(l); i++)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	EXPECT(rwlock_is_contended(l));
}

TEST(rwlock_is_fair_a_reader_that_comes_after_a_waiting_writer_waits_for_it)
{
	struct counter c;
	struct thread *w, *r;

	counter_init(&c);
	read_lock(&c.rw);
	EXPECT(!rwlock_is_contended(&c.rw));
	ASSERT(!thread_create(&w, "writer", held_writer, &c));
	wait_contended(&c.rw);
	ASSERT(!thread_create(&r, "reader", held_reader, &c));
	/* The lock is held for reading, yet this reader must not get in before the writer. */
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	EXPECT_EQ(a64_load(&c.reads), 0);
	EXPECT_EQ(a64_load(&c.writes), 0);
	read_unlock(&c.rw);
	thread_join(w);
	thread_join(r);
	EXPECT_EQ(a64_load(&c.reads), 1);
	EXPECT(!rwlock_is_contended(&c.rw));
	rwlock_fini(&c.rw);
}

static void held_writer_saw_readers(void *arg)
{
	struct counter *c = arg;

	write_lock(&c->rw);
	c->plain = a64_load(&c->reads);
	write_unlock(&c->rw);
}

TEST(rwlock_is_fair_readers_that_wait_come_before_the_next_writer)
{
	struct counter c;
	struct thread *w, *r[3];

	counter_init(&c);
	write_lock(&c.rw);
	for (int i = 0; i < 3; i++)
		ASSERT(!thread_create(&r[i], "reader", held_reader, &c));
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	ASSERT(!thread_create(&w, "writer", held_writer_saw_readers, &c));
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	write_unlock(&c.rw);
	thread_join(w);
	for (int i = 0; i < 3; i++)
		thread_join(r[i]);
	EXPECT_EQ(c.plain, 3);
	rwlock_fini(&c.rw);
}

static void ping(void *arg)
{
	struct counter *c = arg;

	mutex_lock(&c->m);
	for (int i = 0; i < 2000; i++) {
		while (c->plain % 2 != c->mirror)
			cond_wait(&c->c, &c->m);
		c->plain++;
		c->mirror = c->plain % 2;
		cond_broadcast(&c->c);
	}
	mutex_unlock(&c->m);
}

static void producer(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < 2000; i++) {
		mutex_lock(&c->m);
		while (c->plain)
			cond_wait(&c->c, &c->m);
		c->plain = 1;
		cond_broadcast(&c->c);
		mutex_unlock(&c->m);
	}
}

static void consumer(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < 2000; i++) {
		mutex_lock(&c->m);
		while (!c->plain)
			cond_wait(&c->c, &c->m);
		c->plain = 0;
		c->mirror++;
		cond_broadcast(&c->c);
		mutex_unlock(&c->m);
	}
}

TEST(a_condition_hands_over_without_losing_a_wakeup)
{
	struct counter c;
	struct thread *p, *q;

	counter_init(&c);
	run_threads(1, ping, &c);
	EXPECT_EQ(c.plain, 2000);
	counter_init(&c);
	ASSERT(!thread_create(&p, "producer", producer, &c));
	ASSERT(!thread_create(&q, "consumer", consumer, &c));
	thread_join(p);
	thread_join(q);
	EXPECT_EQ(c.mirror, 2000);
}

TEST(waits_end_at_their_deadline)
{
	struct counter c;
	u64 start = now_ns();

	counter_init(&c);
	mutex_lock(&c.m);
	EXPECT(!cond_wait_until(&c.c, &c.m, start + 20000000));
	EXPECT(mutex_is_held(&c.m));
	mutex_unlock(&c.m);
	EXPECT_CMP(now_ns(), >=, start + 20000000);
	start = now_ns();
	EXPECT_EQ(wait_on_word(&c.word, 0, start + 10000000), -ETIMEDOUT);
	EXPECT_CMP(now_ns(), >=, start + 10000000);
	EXPECT_EQ(wait_on_word(&c.word, 1, WAIT_FOREVER), 0);
}

static void set_word(void *arg)
{
	struct counter *c = arg;

	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	a32_store(&c->word, 1);
	wake_word_all(&c->word);
}

TEST(a_change_of_the_word_wakes_its_sleeper)
{
	struct counter c;
	struct thread *t;

	counter_init(&c);
	ASSERT(!thread_create(&t, "setter", set_word, &c));
	while (!a32_load(&c.word))
		wait_on_word(&c.word, 0, WAIT_FOREVER);
	thread_join(t);
	EXPECT_EQ(a32_load(&c.word), 1);
}

static struct ref shared_ref;
static struct a32 last_puts, gets_failed;

static void get_put(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		if (!ref_try_get(&shared_ref)) {
			a32_fetch_add(&gets_failed, 1);
			return;
		}
		if (ref_put(&shared_ref))
			a32_fetch_add(&last_puts, 1);
	}
}

TEST(a_reference_count_ends_once_and_never_rises_again)
{
	struct thread *t[3];

	ref_init(&shared_ref, 1);
	for (int i = 0; i < 3; i++)
		ASSERT(!thread_create(&t[i], "ref", get_put, NULL));
	nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	if (ref_put(&shared_ref))
		a32_fetch_add(&last_puts, 1);
	for (int i = 0; i < 3; i++)
		thread_join(t[i]);
	EXPECT_EQ(a32_load(&last_puts), 1);
	EXPECT_EQ(ref_read(&shared_ref), 0);
	EXPECT(!ref_try_get(&shared_ref));
}

static void ref_underflow(void)
{
	struct ref r;

	ref_init(&r, 1);
	ref_put(&r);
	ref_put(&r);
}

static void ref_get_of_dead(void)
{
	struct ref r;

	ref_init(&r, 0);
	ref_get(&r);
}

static void ref_overflow(void)
{
	struct ref r;

	ref_init(&r, 0x7fffffff);
	ref_get(&r);
}

static void unlock_of_free_mutex(void) NO_THREAD_SAFETY_ANALYSIS
{
	struct mutex m;

	mutex_init(&m, RANK_VM, "m");
	mutex_unlock(&m);
}

static void fini_of_held_mutex(void) NO_THREAD_SAFETY_ANALYSIS
{
	struct mutex m;

	mutex_init(&m, RANK_VM, "m");
	mutex_lock(&m);
	mutex_fini(&m);
}

static void assert_of_free_mutex(void)
{
	struct mutex m;

	mutex_init(&m, RANK_VM, "m");
	mutex_assert_held(&m);
}

TEST(misuse_of_counts_and_mutexes_aborts_in_every_build)
{
	EXPECT_ABORT(ref_underflow, "BUG");
	EXPECT_ABORT(ref_get_of_dead, "BUG");
	EXPECT_ABORT(ref_overflow, "BUG");
	EXPECT_ABORT(unlock_of_free_mutex, "BUG");
	EXPECT_ABORT(fini_of_held_mutex, "BUG");
	EXPECT_ABORT(assert_of_free_mutex, "BUG");
}

static struct {
	struct seq seq;
	struct a64 a, b;
	struct a32 done;
	struct a64 torn, reads;
} sq;

static void seq_reader(void *arg)
{
	while (!a32_load(&sq.done)) {
		u64 a, b;
		u32 s;

		do {
			s = seq_read_begin(&sq.seq);
			a = a64_load_relaxed(&sq.a);
			b = a64_load_relaxed(&sq.b);
		} while (seq_read_retry(&sq.seq, s));
		if (a != b)
			a64_fetch_add(&sq.torn, 1);
		a64_fetch_add(&sq.reads, 1);
	}
}

TEST(a_sequence_reader_never_sees_half_a_write)
{
	struct thread *t[2];

	seq_init(&sq.seq);
	for (int i = 0; i < 2; i++)
		ASSERT(!thread_create(&t[i], "seq", seq_reader, NULL));
	for (u64 i = 1; i <= 100000; i++) {
		seq_write_begin(&sq.seq);
		a64_store_relaxed(&sq.a, i);
		a64_store_relaxed(&sq.b, i);
		seq_write_end(&sq.seq);
	}
	while (!a64_load(&sq.reads))
		sched_yield();
	a32_store(&sq.done, 1);
	for (int i = 0; i < 2; i++)
		thread_join(t[i]);
	EXPECT_EQ(a64_load(&sq.torn), 0);
}

static void *plain_thread(void *arg)
{
	*(u32 *)arg = thread_self();
	return NULL;
}

static void helper_mask(void *arg)
{
	sigset_t s;

	pthread_sigmask(SIG_BLOCK, NULL, &s);
	*(int *)arg = sigismember(&s, SIGTERM) && sigismember(&s, SIGUSR1) &&
		      !sigismember(&s, SIGSEGV) && !sigismember(&s, SIGBUS);
}

TEST(threads_have_ids_that_are_given_back_at_exit)
{
	struct thread *helper;
	int blocked = 0;
	u32 mine = thread_self(), ids[200];
	pthread_t t;

	EXPECT_NE(mine, 0);
	EXPECT_EQ(mine, thread_self());
	for (int i = 0; i < 200; i++) {
		ASSERT(!pthread_create(&t, NULL, plain_thread, &ids[i]));
		pthread_join(t, NULL);
		EXPECT_NE(ids[i], mine);
		EXPECT_CMP(ids[i], <, 20);
	}
	ASSERT(!thread_create(&helper, "mask", helper_mask, &blocked));
	thread_join(helper);
	EXPECT_EQ(blocked, 1);
	EXPECT_EQ(thread_nr_held(), 0);
}
