/* SPDX-License-Identifier: MIT */
/* Threads and what the library keeps per thread. */
#ifndef ANYKVM_SYNC_THREAD_H
#define ANYKVM_SYNC_THREAD_H

#include "sync/atomic.h"

struct thread;

/* Starts a helper thread with all signals blocked. 0 or -errno (EAGAIN, ENOMEM). */
int thread_create(struct thread **out, const char *name, void (*fn)(void *), void *arg);
void thread_join(struct thread *t);
/* Whether the state of sync/ describes this process: not in a raw-clone child, which must not wait for anybody. */
bool sync_same_process(void);
/* Small non-zero id of the calling thread, stable for its life. */
u32 thread_self(void);
/* Aborts (in checked builds) unless the calling thread holds no lock and is in no reader section. */
void thread_assert_unlocked(const char *where);
/*
 * Around guest mode, for the checker: such a thread holds its vCPU's mutex at most, takes nothing but leaf device locks and RCU
 * sections, and waits for nobody (LO-7).
 */
void thread_enter_guest(void);
void thread_leave_guest(void);
/* Number of locks and reader sections this thread holds; 0 in builds without the checker. */
unsigned thread_nr_held(void);

#endif
