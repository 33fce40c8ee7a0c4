/* SPDX-License-Identifier: MIT */
/*
 * Memory-order shapes that the memory layer builds on, each run many times between two threads that start together. A passing
 * run proves little on x86-64, whose hardware hides most reorderings; under qemu-user and on arm64 hosts, and with the
 * compiler's freedom, a wrong order in atomic.h shows.
 */
#include <sched.h>

#include "sync/atomic.h"
#include "sync/rcu.h"
#include "sync/thread.h"
#include "../../test.h"

#if defined(ANYKVM_SANITIZED)
#define ROUNDS ((u32)test_rounds(5000, 500000))
#else
#define ROUNDS ((u32)test_rounds(50000, 5000000))
#endif

static struct {
	_Alignas(64) struct a64 seq;
	_Alignas(64) struct a32 count;
	_Alignas(64) struct a64 x, y;
	_Alignas(64) struct a32 go, ended;
	_Alignas(64) u64 r0, r1, r2;
	u64 data;
	struct aptr ptr;
} l;

static void (*left)(void), (*right)(void);
static bool (*forbidden)(void);
static u64 seen_forbidden;

static void meet(struct a32 *w, u32 round)
{
	a32_fetch_add(w, 1);
	for (int i = 0; a32_load(w) < 2 * round; i++)
		if (i > 100)
			sched_yield();
}

static void other_side(void *arg)
{
	for (u32 i = 1; i <= ROUNDS; i++) {
		meet(&l.go, i);
		right();
		meet(&l.ended, i);
	}
}

static void run(void (*a)(void), void (*b)(void), bool (*bad)(void))
{
	struct thread *t;

	memset(&l, 0, sizeof(l));
	left = a;
	right = b;
	forbidden = bad;
	seen_forbidden = 0;
	ASSERT(!thread_create(&t, "litmus", other_side, NULL));
	for (u32 i = 1; i <= ROUNDS; i++) {
		a64_store(&l.x, 0);
		a64_store(&l.y, 0);
		a64_store(&l.seq, 0);
		a32_store(&l.count, 1);
		aptr_store(&l.ptr, NULL);
		meet(&l.go, i);
		left();
		meet(&l.ended, i);
		if (forbidden())
			seen_forbidden++;
	}
	thread_join(t);
	EXPECT_EQ(seen_forbidden, 0);
}

/* I-10: the end of a pair raises seq, then drops the count; a fault that sees the count dropped must see seq raised. */
static void pair_end(void)
{
	a64_store_relaxed(&l.seq, 1);
	fence_release();
	a32_store_release(&l.count, 0);
}
static void fault_check(void)
{
	l.r0 = a32_load_acquire(&l.count);
	l.r1 = a64_load_relaxed(&l.seq);
}
static bool count_dropped_but_seq_old(void)
{
	return l.r0 == 0 && l.r1 == 0;
}
TEST(i_10_a_count_seen_dropped_means_a_seq_seen_raised)
{
	run(pair_end, fault_check, count_dropped_but_seq_old);
}

/* Entering guest mode against posting a request: mode then request, request then mode. One sees the other. */
static void enter(void)
{
	a64_store_relaxed(&l.x, 1);
	fence_full();
	l.r0 = a64_load_relaxed(&l.y);
}
static void post(void)
{
	a64_store_relaxed(&l.y, 1);
	fence_full();
	l.r1 = a64_load_relaxed(&l.x);
}
static bool neither_saw(void)
{
	return l.r0 == 0 && l.r1 == 0;
}
TEST(store_fence_load_on_both_sides_one_sees_the_other)
{
	run(enter, post, neither_saw);
}

/* The same by the sequentially consistent forms alone: an acknowledgement against its waiter (sync/event_count.h). */
static void store_then_load(void)
{
	a64_store(&l.x, 1);
	l.r0 = a64_load(&l.y);
}
static void count_then_load(void)
{
	a64_fetch_add(&l.y, 1);
	l.r1 = a64_load(&l.x);
}
TEST(store_then_load_against_rmw_then_load_one_sees_the_other)
{
	run(store_then_load, count_then_load, neither_saw);
}
static void load_behind_store(void)
{
	a64_store(&l.y, 1);
	l.r1 = a64_load(&l.x);
}
TEST(store_then_load_on_both_sides_one_sees_the_other)
{
	run(store_then_load, load_behind_store, neither_saw);
}

/* The same with a read-modify-write and fence_after_rmw: the SRCU reader's side. */
static void enter_rmw(void)
{
	a64_fetch_add(&l.x, 1);
	fence_after_rmw();
	l.r0 = a64_load_relaxed(&l.y);
}
TEST(a_read_modify_write_with_fence_after_rmw_is_a_full_barrier)
{
	run(enter_rmw, post, neither_saw);
}

/* Publication of a pointer: who finds it finds what it points at. */
static void publish(void)
{
	l.data = 42;
	rcu_store(&l.ptr, &l.data);
}
static void find(void)
{
	u64 *p = rcu_load(&l.ptr);

	l.r0 = p ? *p : 42;
}
static bool found_unready(void)
{
	return l.r0 != 42;
}
TEST(a_published_pointer_brings_its_contents)
{
	run(publish, find, found_unready);
	/* Reset between rounds is by the test itself, so what is found is always a full write. */
	EXPECT_EQ(l.data, 42);
}

/* Message passing through the sequentially consistent forms. */
static void mp_write(void)
{
	a64_store_relaxed(&l.x, 1);
	a64_xchg(&l.y, 1);
}
static void mp_read(void)
{
	l.r0 = a64_load(&l.y);
	l.r1 = a64_load_relaxed(&l.x);
}
static bool flag_without_message(void)
{
	return l.r0 == 1 && l.r1 == 0;
}
TEST(a_flag_set_by_xchg_brings_the_message)
{
	run(mp_write, mp_read, flag_without_message);
}
