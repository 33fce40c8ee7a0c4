/* SPDX-License-Identifier: MIT */
/* The process-wide and per-thread state of sync/ (native backend). Private to this folder. */
#ifndef ANYKVM_SYNC_PROCESS_SYNC_H
#define ANYKVM_SYNC_PROCESS_SYNC_H

#include <pthread.h>

#include "base/context.h"
#include "base/process.h"
#include "sync/atomic.h"
#include "sync/rank.h"
#include "sync/rcu.h"
#include "sync/thread.h"

/*
 * One per thread. born: the thread's first use of sync/, or thread_create. seen by: grace periods, which scan all slots.
 * freed: thread exit (pthread key destructor) or thread_join; the memory stays and is used again.
 */
struct thread {
	_Alignas(64) struct a64
		rcu_epoch; /* 0: outside; else the grace period number seen at the outermost rcu_read_lock */
	struct a32 used;
	u32 id;
	bool joinable; /* made by thread_create: freed by thread_join instead of at exit */
	pthread_t handle;
	void (*fn)(void *);
	void *arg;
	char name[16];
};

/* Chunk k holds THREAD_CHUNK << k slots. */
#define THREAD_CHUNK  32
#define THREAD_CHUNKS 16

struct sync_process {
	struct a32 init; /* 0 not yet, 1 being done, 2 done */
	struct a32 pid;	 /* of the process that this state describes */
	pthread_key_t key;
	bool membarrier; /* grace periods send the fence to the readers; fixed by init */

	struct a32 thread_lock; /* spin: claiming slots */
	struct aptr chunk[THREAD_CHUNKS];

	_Alignas(64) struct a64 rcu_epoch;  /* number of the last grace period begun */
	_Alignas(64) struct aptr rcu_queue; /* callbacks, newest first */
	struct a32 rcu_wake;	  /* futex word of the callback thread: 1 = there is work */
	struct a32 rcu_running;	  /* batches taken from the queue and not finished */
	struct a32 rcu_idle_wake; /* futex word: bumped when rcu_running drops */
	struct a32 rcu_thread;	  /* 0 none, 1 being started, 2 running, 3 could not be started */
	struct a64 fence_word;	  /* TSan builds: see native_fence.c */
};
_Static_assert(sizeof(struct sync_process) <= PROCESS_PART_SIZE, "PROCESS_PART_SIZE");

static inline struct sync_process *sync_process(void)
{
	return process_part(PROCESS_SYNC);
}

#define HELD_MAX 48
/* More vCPU mutexes than that are counted only: a machine has hundreds, and other ranks need room too. */
#define HELD_VCPUS (HELD_MAX - NR_LOCK_RANKS)

enum held_kind { HELD_MUTEX, HELD_READ, HELD_WRITE, HELD_SRCU, HELD_RCU };

struct held {
	const void *lock;
	const char *name;
	const char *file;
	int line;
	enum lock_rank rank;
	enum held_kind kind;
};

struct sync_tls {
	struct thread *self; /* NULL until registered */
	u32 rcu_nest;
#if defined(ANYKVM_CHECKED)
	u32 nr_held;
	u32 nr_more_vcpus; /* held, but not in the list */
	u32 guests;	   /* vCPUs that this thread has in guest mode */
	const char *file;  /* where the next operation was written: rank_at */
	int line;
	struct held held[HELD_MAX];
#endif
};
#if defined(ANYKVM_EXPLORED)
/* By fiber: larger than what the explorer should carry from one to the next. */
struct sync_tls *sync_self(void);
#else
extern THREAD_LOCAL struct sync_tls sync_tls;
static inline struct sync_tls *sync_self(void)
{
	return &sync_tls;
}
#endif

/* Registers the calling thread if need be. */
struct thread *thread_register_slow(void);
static inline struct thread *thread_current(void)
{
	struct thread *t = sync_self()->self;

	return likely(t != NULL) ? t : thread_register_slow();
}
/* Calls fn for every slot that was ever used. */
void thread_for_each(void (*fn)(struct thread *t, void *arg), void *arg);
/* In a fork child: nothing queued by the parent ever runs. */
void rcu_reset_after_fork(void);
/* Starts the callback thread if there is none. */
void rcu_start(void);

/* checker.c. What is about to happen is checked against what the thread holds; then recorded. */
#if defined(ANYKVM_CHECKED)
void check_acquire(const void *lock, enum lock_rank rank, const char *name, enum held_kind kind);
void check_release(const void *lock, const char *name);
/* kind of wait */
enum wait_kind { WAIT_WORD, WAIT_WORD_BOUNDED, WAIT_COND, WAIT_SRCU, WAIT_MN_SRCU, WAIT_RCU };
void check_wait(enum wait_kind kind, const void *lock, const char *name);
bool check_holds(const void *lock);
#else
#define check_acquire(lock, rank, name, kind) ((void)0)
#define check_release(lock, name)	      ((void)0)
#define check_wait(kind, lock, name)	      ((void)0)
#endif

/* Futex system call on a 32-bit word. */
int futex_wait(const void *word, u32 expected, u64 deadline_ns);
void futex_wake(const void *word, int nr);

#endif
