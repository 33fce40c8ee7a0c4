/* SPDX-License-Identifier: MIT */
/*
 * An event count: sleep until a condition that others make true may hold, whatever it is made of.
 *
 *	waits					makes it true
 *	-----					-------------
 *	ticket = prepare			condition = true
 *	condition? cancel, done			notify
 *	wait(ticket), and again
 *
 * Between "counts itself" of prepare and the look at the condition there is full order. The other side needs it between the change
 * and notify: a sequentially consistent store, or a lock under which the waiter prepares and looks. Then no notification is lost, and one
 * that nobody waits for costs a load. Each prepare has its cancel or wait.
 */
#ifndef ANYKVM_SYNC_EVENT_COUNT_H
#define ANYKVM_SYNC_EVENT_COUNT_H

#include "sync/wait.h"

struct event_count {
	struct a32 word;    /* futex; changes with each notification that somebody waits for */
	struct a32 waiters; /* prepared, and neither cancelled nor back */
};

u32 event_count_prepare(struct event_count *e);
void event_count_cancel(struct event_count *e);
/* Sleeps if nobody notified since ticket was taken; deadline and result as those of wait_on_word. */
int event_count_wait(struct event_count *e, u32 ticket, u64 deadline_ns);
/* As wait_on_word_atomic. */
int event_count_wait_atomic(struct event_count *e, u32 ticket);
void event_count_notify(struct event_count *e);

#endif
