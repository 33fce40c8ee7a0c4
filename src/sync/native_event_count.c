/* SPDX-License-Identifier: MIT */
#include "sync/native_event_count.h"

u32 event_count_prepare(struct event_count *e)
{
	return native_event_count_prepare(e);
}

void event_count_cancel(struct event_count *e)
{
	native_event_count_cancel(e);
}

int event_count_wait(struct event_count *e, u32 ticket, u64 deadline_ns)
{
	int ret = wait_on_word(&e->word, ticket, deadline_ns);

	native_event_count_cancel(e);
	return ret;
}

int event_count_wait_atomic(struct event_count *e, u32 ticket)
{
	int ret = wait_on_word_atomic(&e->word, ticket, WAIT_FOREVER);

	native_event_count_cancel(e);
	return ret;
}

void event_count_notify(struct event_count *e)
{
	native_event_count_notify(e);
}
