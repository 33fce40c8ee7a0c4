/* SPDX-License-Identifier: MIT */
/*
 * The event count itself, apart from its functions, so that the explorer can run it, too (scenario sync-event-count): elsewhere it takes
 * a notification for one step.
 *
 * Why none is lost: the waiter counts itself, then looks at the condition; the notifier makes it true, then looks at the count. One of
 * the two sees the other. A notifier that sees the count changes the word, so a waiter that has not gone to sleep yet will not.
 */
#ifndef ANYKVM_SYNC_NATIVE_EVENT_COUNT_H
#define ANYKVM_SYNC_NATIVE_EVENT_COUNT_H

#include "sync/event_count.h"

static inline u32 native_event_count_prepare(struct event_count *e)
{
	a32_fetch_add(&e->waiters, 1);
	return a32_load(&e->word);
}

static inline void native_event_count_cancel(struct event_count *e)
{
	a32_fetch_sub(&e->waiters, 1);
}

static inline void native_event_count_notify(struct event_count *e)
{
	if (!a32_load(&e->waiters))
		return;
	a32_fetch_add(&e->word, 1);
	wake_word_all(&e->word);
}

#endif
