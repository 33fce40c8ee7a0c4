/* SPDX-License-Identifier: MIT */
/*
 * What layers that do not know each other must know of the running thread (all of it for checks: ANYKVM_CHECKED).
 *
 *	atomic_depth	  written by sync/, read by host/: nothing is allocated or freed, no guest memory is touched, nothing blocks (LO-6)
 *	no_sleep_depth	  written by sync/, read by host/: nothing sleeps
 *	signals_blocked	  written by host/ and at the birth of a library thread, read by sync/: asynchronous signals wait (LO-12)
 *
 * The third is a count and not the thread's mask: to ask for the mask at every mmu_lock would cost a system call.
 */
#ifndef ANYKVM_BASE_CONTEXT_H
#define ANYKVM_BASE_CONTEXT_H

#include "base/types.h"

#define THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

struct thread_context {
	u32 atomic_depth;	 /* mmu_lock and mn_lock held */
	u32 no_sleep_depth;	 /* RCU sections and device locks held */
	u32 signals_blocked;	 /* host_signals_block that wait for their restore */
	const char *atomic_name; /* the innermost of the first */
};

extern THREAD_LOCAL struct thread_context thread_context;

/* Aborts, in checked builds, if the thread may not allocate, block for a moment or touch guest memory here. */
void context_assert_may_block(const char *what);
/* The same, if it may not sleep here, which is forbidden in more places. */
void context_assert_may_sleep(const char *what);
#if defined(ANYKVM_CHECKED)
#define CONTEXT_MAY_BLOCK(what)	    context_assert_may_block(what)
#define CONTEXT_MAY_SLEEP(what)	    context_assert_may_sleep(what)
#define CONTEXT_SIGNALS_BLOCKED()   ((void)thread_context.signals_blocked++)
#define CONTEXT_SIGNALS_UNBLOCKED() ((void)thread_context.signals_blocked--)
#else
#define CONTEXT_MAY_BLOCK(what)	    ((void)0)
#define CONTEXT_MAY_SLEEP(what)	    ((void)0)
#define CONTEXT_SIGNALS_BLOCKED()   ((void)0)
#define CONTEXT_SIGNALS_UNBLOCKED() ((void)0)
#endif

#endif
