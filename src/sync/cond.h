/* SPDX-License-Identifier: MIT */
/* Condition variable for struct mutex. Deadlines are CLOCK_MONOTONIC nanoseconds. Spurious wake-ups are possible. */
#ifndef ANYKVM_SYNC_COND_H
#define ANYKVM_SYNC_COND_H

#include "sync/mutex.h"

struct cond {
	struct a32 seq;
};

void cond_init(struct cond *c);
/* Sleeps with m released; holds m again on return. */
void cond_wait(struct cond *c, struct mutex *m) REQUIRES(m);
/* False if deadline_ns passed. */
bool cond_wait_until(struct cond *c, struct mutex *m, u64 deadline_ns) REQUIRES(m);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

#endif
