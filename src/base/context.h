/* SPDX-License-Identifier: MIT */
/*
 * What layers that do not know each other must know of the running thread. Written by sync/'s checker (ANYKVM_CHECKED), read by
 * host/: memory may not be allocated or freed, and nothing may block, while atomic_depth is not 0 (LO-6).
 */
#ifndef ANYKVM_BASE_CONTEXT_H
#define ANYKVM_BASE_CONTEXT_H

#include "base/types.h"

#define THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

struct thread_context {
	u32 atomic_depth;	 /* mmu_lock, mn_lock and other locks whose holder may not block */
	const char *atomic_name; /* the innermost of them */
};

extern THREAD_LOCAL struct thread_context thread_context;

/* Aborts, in checked builds, if the thread may not allocate or block here. */
void context_assert_may_block(const char *what);
#if defined(ANYKVM_CHECKED)
#define CONTEXT_MAY_BLOCK(what) context_assert_may_block(what)
#else
#define CONTEXT_MAY_BLOCK(what) ((void)0)
#endif

#endif
