/* SPDX-License-Identifier: MIT */
/* What other scenarios take for one step: the event count of sync/ as it is. */
#include "explore/kvm/scenarios/scenarios.h"
#include "sync/native_event_count.h"

static struct event_count changes;
static struct a32 wanted[2];
static unsigned turns;

static void setup(void)
{
	changes = (struct event_count){.word = {0}};
	wanted[0] = wanted[1] = (struct a32){0};
	turns = 0;
}

static void await(void)
{
	explore_step("wait for both");
	for (;; turns++) {
		u32 ticket = native_event_count_prepare(&changes);

		if (a32_load(&wanted[0]) && a32_load(&wanted[1]))
			break;
		wait_on_word(&changes.word, ticket, WAIT_FOREVER);
		native_event_count_cancel(&changes);
	}
	native_event_count_cancel(&changes);
}

static void make_true(unsigned i)
{
	explore_step("make it true, notify");
	a32_store(&wanted[i], 1);
	native_event_count_notify(&changes);
}

static void make_first(void)
{
	make_true(0);
}

static void make_second(void)
{
	make_true(1);
}

/* A notification lets it go twice at most: by the change of the word, then by the wake-up. */
static void finish(void)
{
	explore_check(turns <= 4);
	explore_check(!a32_load_relaxed(&changes.waiters));
}

const struct explore_scenario scenario_sync_event_count = {
	.name = "sync-event-count",
	.summary = "a thread that waits for two conditions against the two that make them true",
	.property = "nobody sleeps through a notification, whichever way it interleaves with going "
		    "to sleep",
	.source = "own: faults that wait for the end of a pair, and initiators for "
		  "acknowledgements, sleep so",
	.mutants = "sync-event-count-waiter-does-not-count,sync-event-count-word-stands-still",
	.setup = setup,
	.thread = {{"waiter", await}, {"first", make_first}, {"second", make_second}},
	.finish = finish,
};
