/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "sync/cond.h"
#include "sync/process_sync.h"
#include "sync/wait.h"

void cond_init(struct cond *c)
{
	*c = (struct cond){0};
}

bool cond_wait_until(struct cond *c, struct mutex *m, u64 deadline_ns) NO_THREAD_SAFETY_ANALYSIS
{
	/* Read under m: a signal that follows our unlock changes seq, so the futex does not sleep through it. */
	u32 seq = a32_load_acquire(&c->seq);
	int ret;

	check_wait(WAIT_COND, m, m->name);
	mutex_unlock(m);
	ret = futex_wait(&c->seq, seq, deadline_ns);
	mutex_lock(m);
	return ret != -ETIMEDOUT;
}

void cond_wait(struct cond *c, struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	cond_wait_until(c, m, WAIT_FOREVER);
}

void cond_signal(struct cond *c)
{
	a32_fetch_add(&c->seq, 1);
	futex_wake(&c->seq, 1);
}

void cond_broadcast(struct cond *c)
{
	a32_fetch_add(&c->seq, 1);
	futex_wake(&c->seq, INT32_MAX);
}
