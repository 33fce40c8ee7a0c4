/* SPDX-License-Identifier: MIT */
/*
 * What layers that do not know each other must know of the running thread.
 *
 *	atomic_depth	  written by sync/, read by host/: nothing is allocated or freed, no guest memory is touched, nothing blocks
 *			  (LO-6; checked builds)
 *	no_sleep_depth	  written by sync/, read by host/: nothing sleeps (checked builds)
 *	signals_blocked	  written by host/ and at the birth of a library thread: asynchronous signals wait. sync/ looks whether it
 *			  is so (LO-12; checked builds): a count, because to ask for the mask would cost a system call
 *	signals_mask	  host/'s own: the program's mask meanwhile
 */
#ifndef ANYKVM_BASE_CONTEXT_H
#define ANYKVM_BASE_CONTEXT_H

#include "base/types.h"

/* Threads that are explored are fibers of one thread: the explorer changes this section with them. */
#if defined(ANYKVM_EXPLORED)
#define THREAD_LOCAL __attribute__((section("explore_tls")))
#else
#define THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#endif

struct thread_context {
	u32 atomic_depth;	 /* mmu_lock and mn_lock held */
	u32 no_sleep_depth;	 /* RCU sections and device locks held */
	u32 signals_blocked;	 /* host_signals_block that wait for their restore */
	u64 signals_mask;	 /* the program's, while signals_blocked is not 0 */
	const char *atomic_name; /* the innermost of the first */
};

extern THREAD_LOCAL struct thread_context thread_context;

/* Aborts, in checked builds, if the thread may not allocate, block for a moment or touch guest memory here. */
void context_assert_may_block(const char *what);
/* The same, if it may not sleep here, which is forbidden in more places. */
void context_assert_may_sleep(const char *what);
#if defined(ANYKVM_CHECKED)
#define CONTEXT_MAY_BLOCK(what) context_assert_may_block(what)
#define CONTEXT_MAY_SLEEP(what) context_assert_may_sleep(what)
#else
#define CONTEXT_MAY_BLOCK(what) ((void)0)
#define CONTEXT_MAY_SLEEP(what) ((void)0)
#endif

#endif
