/* SPDX-License-Identifier: MIT */
/*
 * RCU by epochs. A reader stores the current epoch in its thread's slot at the outermost lock and 0 at the outermost unlock. A
 * grace period raises the epoch and waits until each slot holds 0 or the new epoch.
 *
 * Three orders carry it:
 *   a. reader: slot store before the reads inside. Updater: unpublish before the scan. One of them sees the other. The full
 *      fence on the reader's side is replaced by membarrier on the updater's where the kernel has it.
 *   b. reader: epoch load (acquire) before the reads inside; updater: unpublish before raising the epoch. A reader with the
 *      new epoch does not find the old object.
 *   c. reader: reads inside before the store of 0 (release); updater: scan (acquire) before freeing.
 */
#include "base/bug.h"
#include "base/raw.h"
#include "sync/process_sync.h"
#include "sync/rcu.h"
#include "sync/thread.h"
#include "sync/wait.h"

#define MEMBARRIER_PRIVATE_EXPEDITED	      (1 << 3)
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1 << 4)
#define SPINS				      200
#define YIELDS				      50
#define GATHER_NS			      1000000

enum { THREAD_NONE, THREAD_STARTING, THREAD_RUNNING, THREAD_FAILED };

struct rcu_domain rcu;

void(rcu_read_lock)(void) NO_THREAD_SAFETY_ANALYSIS
{
	struct thread *t = thread_current();
	struct sync_process *p = sync_process();

	check_acquire(&rcu, RANK_RCU, "rcu", HELD_RCU);
	sync_tls.rcu_nest++;
	__asm__ volatile("" ::: "memory");
	/*
	 * The slot and not the count decides: a signal handler between the two lines finds the count raised and the slot
	 * empty, fills the slot, and leaves it filled for the section it interrupted.
	 */
	if (a64_load_relaxed(&t->rcu_epoch))
		return;
	a64_store_relaxed(&t->rcu_epoch, a64_load_acquire(&p->rcu_epoch)); /* order b */
	/* order a; pairs with fence_readers */
	if (likely(p->membarrier))
		__asm__ volatile("" ::: "memory");
	else
		fence_full();
}

void rcu_read_unlock(void) NO_THREAD_SAFETY_ANALYSIS
{
	BUG_ON(!sync_tls.rcu_nest);
	check_release(&rcu, "rcu");
	if (!--sync_tls.rcu_nest)
		a64_store_release(&sync_tls.self->rcu_epoch, 0); /* order c */
}

bool rcu_read_lock_held(void)
{
	return sync_tls.rcu_nest;
}

/* A full fence here and on every thread that may be in a reader. */
static void fence_readers(struct sync_process *p)
{
	fence_full();
	if (!p->membarrier)
		return;
	if (raw_syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) < 0) {
		/* A raw-clone child is not registered. */
		raw_syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0);
		BUG_ON(raw_syscall(SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) < 0);
	}
}

static void wait_for_reader(struct thread *t, void *arg)
{
	u64 epoch = *(u64 *)arg, seen;

	for (int i = 0;; i++) {
		seen = a64_load_acquire(&t->rcu_epoch); /* order c */
		if (!seen || seen >= epoch)
			return;
		if (i < SPINS)
			cpu_relax();
		else if (i < SPINS + YIELDS)
			raw_syscall(SYS_sched_yield);
		else
			/* The reader lost its core or takes a host page fault. It does not wake us. */
			raw_syscall(SYS_nanosleep, ((u64[2]){0, 50000}), NULL);
	}
}

static void grace_period(void)
{
	struct sync_process *p = sync_process();
	u64 epoch;

	epoch = a64_fetch_add(&p->rcu_epoch, 1) + 1;
	fence_readers(p);
	thread_for_each(wait_for_reader, &epoch);
	fence_full();
}

void(rcu_synchronize)(void) NO_THREAD_SAFETY_ANALYSIS
{
	check_wait(WAIT_RCU, &rcu, "rcu");
	BUG_ON(sync_tls.rcu_nest);
	thread_current();
	if (sync_same_process())
		grace_period();
}

/* Takes all callbacks queued so far, in the order of queueing. NULL if there are none; else rcu_running was raised. */
static struct rcu_head *take_batch(struct sync_process *p)
{
	struct rcu_head *newest, *list = NULL;

	a32_fetch_add(&p->rcu_running,
		      1); /* before the queue is empty: rcu_barrier looks in the other order */
	newest = aptr_xchg(&p->rcu_queue, NULL);
	while (newest) {
		struct rcu_head *next = newest->next;

		newest->next = list;
		list = newest;
		newest = next;
	}
	return list;
}

static void finish_batch(struct sync_process *p, struct rcu_head *list)
{
	if (list)
		grace_period();
	while (list) {
		struct rcu_head *head = list;

		list = list->next;
		head->fn(head);
	}
	a32_fetch_sub(&p->rcu_running, 1);
	a32_fetch_add(&p->rcu_idle_wake, 1);
	futex_wake(&p->rcu_idle_wake, INT32_MAX);
}

static void rcu_main(void *arg)
{
	struct sync_process *p = sync_process();

	for (;;) {
		while (!a32_xchg(&p->rcu_wake, 0))
			futex_wait(&p->rcu_wake, 0, WAIT_FOREVER);
		/* One grace period serves all that comes within a millisecond. */
		raw_syscall(SYS_nanosleep, ((u64[2]){0, GATHER_NS}), NULL);
		finish_batch(p, take_batch(p));
	}
}

void rcu_start(void)
{
	struct sync_process *p = sync_process();
	struct thread *t;

	if (likely(a32_load_relaxed(&p->rcu_thread) != THREAD_NONE))
		return;
	if (!a32_cmpxchg(&p->rcu_thread, THREAD_NONE, THREAD_STARTING))
		return;
	if (thread_create(&t, "anykvm-rcu", rcu_main, NULL)) {
		/* Callbacks wait for the next try, with the next of them, or for rcu_barrier. */
		a32_store(&p->rcu_thread, THREAD_NONE);
		return;
	}
	pthread_detach(t->handle);
	a32_store(&p->rcu_thread, THREAD_RUNNING);
}

void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *))
{
	struct sync_process *p = sync_process();
	struct rcu_head *old;

	head->fn = fn;
	do {
		old = aptr_load_relaxed(&p->rcu_queue);
		head->next = old;
	} while (!aptr_cmpxchg(&p->rcu_queue, old, head));
	if (old && likely(a32_load_relaxed(&p->rcu_thread) != THREAD_NONE))
		return;
	/* First of a batch: whoever empties the queue after this runs head too. */
	if (!thread_context.atomic_depth)
		rcu_start();
	a32_store(&p->rcu_wake, 1);
	futex_wake(&p->rcu_wake, 1);
}

void(rcu_barrier)(void) NO_THREAD_SAFETY_ANALYSIS
{
	struct sync_process *p = sync_process();
	struct rcu_head *list;
	u32 seq;

	check_wait(WAIT_RCU, &rcu, "rcu");
	BUG_ON(sync_tls.rcu_nest);
	thread_current();
	if (!sync_same_process())
		return;
	/* Run what is queued here rather than wait for the callback thread to wake up. */
	list = take_batch(p);
	finish_batch(p, list);
	for (;;) {
		seq = a32_load(&p->rcu_idle_wake);
		if (!a32_load(&p->rcu_running))
			return;
		futex_wait(&p->rcu_idle_wake, seq, WAIT_FOREVER);
	}
}

void rcu_reset_after_fork(void)
{
	struct sync_process *p = sync_process();

	/* The child forgets what the parent had queued: it must free nothing of it, and the callback thread is not here. */
	aptr_store(&p->rcu_queue, NULL);
	a32_store(&p->rcu_wake, 0);
	a32_store(&p->rcu_running, 0);
#if defined(ANYKVM_TSAN)
	/* TSan ends a child of a threaded process that starts a thread. */
	a32_store(&p->rcu_thread, THREAD_FAILED);
#else
	a32_store(&p->rcu_thread, THREAD_NONE);
#endif
}
