/* SPDX-License-Identifier: MIT */
/* Correct programs with reader sections: publication, grace periods, callbacks, sleeping readers, domains within domains. */
#include "litmus.h"

struct thing {
	int value;
};

static int rcu, srcu, lock;
static struct thing *published;
static uint32_t word;
static int callbacks, freed;

static void begin(unsigned flags)
{
	explore_domain_init(&rcu, "litmus rcu", flags);
	word = 0;
	callbacks = freed = 0;
	published = NEW_OF(struct thing);
	published->value = 1;
}
static void begin_rcu(void)
{
	begin(0);
}
static void begin_srcu(void)
{
	begin(EXPLORE_SLEEPABLE);
}
static void end(void)
{
	explore_barrier(&rcu);
	explore_domain_fini(&rcu);
	if (published)
		explore_free(published);
	published = NULL;
}

static void read_one(void)
{
	struct thing *t;

	explore_section_enter(&rcu);
	explore_dereference(&rcu, NULL);
	t = ACQUIRE(&published);
	if (t)
		explore_check(t->value > 0);
	explore_section_exit(&rcu);
}
static void retire(void)
{
	struct thing *old = XCHG(&published, NULL);

	explore_synchronize(&rcu);
	if (old)
		explore_free(old);
}
static void free_thing(void *arg)
{
	explore_free(arg);
	freed++;
}
static void retire_later(void)
{
	struct thing *old = XCHG(&published, NULL);

	if (old)
		explore_defer(&rcu, free_thing, old);
}
static void replace(void)
{
	struct thing *new = NEW_OF(struct thing), *old;

	new->value = 2;
	old = XCHG(&published, new);
	explore_synchronize(&rcu);
	explore_free(old);
}
LITMUS(retire_after_grace, "freed when the readers that could see it are gone", begin_rcu, end,
       {"reader 1", read_one}, {"reader 2", read_one}, {"updater", retire});
LITMUS(retire_by_callback, "freed by a callback", begin_rcu, end, {"reader 1", read_one},
       {"reader 2", read_one}, {"updater", retire_later});
LITMUS(publish_anew, "a reader sees the old or the new", begin_rcu, end, {"reader 1", read_one},
       {"reader 2", read_one}, {"updater", replace});
LITMUS(two_updaters, "each frees what it took out", begin_rcu, end, {"reader", read_one},
       {"replace 1", replace}, {"replace 2", replace});

static void read_twice(void)
{
	read_one();
	read_one();
}
LITMUS(reader_comes_again, "sections that begin later hold nothing up", begin_rcu, end,
       {"reader", read_twice}, {"updater", retire});

/* --- nesting ------------------------------------------------------------------------------------------------------------ */

static void read_nested(void)
{
	struct thing *t;

	explore_section_enter(&rcu);
	t = ACQUIRE(&published);
	read_one();
	if (t)
		explore_check(t->value > 0);
	explore_section_exit(&rcu);
}
LITMUS(nested_section, "the inner exit ends nothing", begin_rcu, end, {"reader", read_nested},
       {"updater", retire});

static void both_begin(void)
{
	begin_rcu();
	explore_domain_init(&srcu, "litmus outer srcu", EXPLORE_SLEEPABLE);
}
static void both_end(void)
{
	explore_domain_fini(&srcu);
	end();
}
static void read_both(void)
{
	explore_section_enter(&srcu);
	read_one();
	explore_section_exit(&srcu);
}
static void retire_both(void)
{
	struct thing *old = XCHG(&published, NULL);

	explore_synchronize(&srcu);
	explore_synchronize(&rcu);
	if (old)
		explore_free(old);
}
LITMUS(section_in_a_section, "a section of one domain inside one of another", both_begin, both_end,
       {"reader", read_both}, {"updater", retire_both});

/* --- sleeping readers --------------------------------------------------------------------------------------------------- */

static void read_asleep(void)
{
	struct thing *t;

	explore_section_enter(&rcu);
	t = ACQUIRE(&published);
	while (!ACQUIRE(&word))
		explore_wait(&word, 0, EXPLORE_FOREVER);
	if (t)
		explore_check(t->value > 0);
	explore_section_exit(&rcu);
}
static void wake_reader(void)
{
	RELEASE(&word, 1);
	explore_wake(&word, ~0u);
}
LITMUS(sleeping_reader, "a grace period waits for a reader that sleeps", begin_srcu, end,
       {"reader", read_asleep}, {"waker", wake_reader}, {"updater", retire});

static void locked_begin(void)
{
	begin_srcu();
	explore_lock_init(&lock, "lock inside srcu", 0);
}
static void locked_end(void)
{
	explore_lock_fini(&lock);
	end();
}
static void read_locked(void)
{
	explore_section_enter(&rcu);
	explore_mutex_lock(&lock);
	if (RELAXED(&published))
		callbacks++;
	explore_mutex_unlock(&lock);
	explore_section_exit(&rcu);
}
static void retire_locked(void)
{
	struct thing *old;

	explore_mutex_lock(&lock);
	old = RELAXED(&published);
	SET_RELAXED(&published, NULL);
	explore_mutex_unlock(&lock);
	explore_synchronize(&rcu);
	explore_free(old);
}
LITMUS(wait_without_the_readers_lock, "a lock that readers take is dropped before the wait",
       locked_begin, locked_end, {"reader 1", read_locked}, {"reader 2", read_locked},
       {"updater", retire_locked});

static void update_under_lock(void)
{
	struct thing *new = NEW_OF(struct thing), *old;

	new->value = 3;
	explore_mutex_lock(&lock);
	explore_dereference(&rcu, &lock);
	old = RELAXED(&published);
	RELEASE(&published, new);
	explore_mutex_unlock(&lock);
	explore_synchronize(&rcu);
	explore_free(old);
}
static void updater_begin(void)
{
	begin_rcu();
	explore_lock_init(&lock, "updaters' lock", 0);
}
LITMUS(updaters_under_a_lock, "the lock of updaters is enough to look", updater_begin, locked_end,
       {"reader", read_one}, {"updater 1", update_under_lock}, {"updater 2", update_under_lock});

/* --- callbacks ---------------------------------------------------------------------------------------------------------- */

static void callback_second(void *arg)
{
	explore_check(callbacks == 1);
	callbacks++;
	explore_free(arg);
}
static void callback_first(void *arg)
{
	callbacks++;
	explore_defer(&rcu, callback_second, arg);
}
static void defer_twice(void)
{
	struct thing *old = XCHG(&published, NULL);

	explore_defer(&rcu, callback_first, old);
}
LITMUS(callback_queues_another, "a callback may queue the next", begin_rcu, end,
       {"reader", read_one}, {"updater", defer_twice});

static void retire_and_wait(void)
{
	retire_later();
	explore_barrier(&rcu);
	explore_check(freed == 1);
}
LITMUS(barrier_at_exit, "after the barrier what was queued has run", begin_rcu, end,
       {"reader", read_one}, {"updater", retire_and_wait});

static void in_order_second(void *arg)
{
	explore_check(freed == 1);
	callbacks++;
}
static void queue_in_order(void)
{
	retire_later();
	explore_defer(&rcu, in_order_second, NULL);
}
LITMUS(callbacks_in_order, "callbacks of one thread run as they were queued", begin_rcu, end,
       {"reader", read_one}, {"updater", queue_in_order});

static void no_reader(void)
{
	explore_synchronize(&rcu);
	explore_synchronize(&rcu);
}
LITMUS(grace_without_readers, "nobody to wait for", begin_rcu, end, {"first", no_reader},
       {"second", no_reader});

const struct explore_scenario *const litmus_sections[] = {
	&retire_after_grace,	&retire_by_callback,	  &publish_anew,
	&two_updaters,		&reader_comes_again,	  &nested_section,
	&section_in_a_section,	&sleeping_reader,	  &wait_without_the_readers_lock,
	&updaters_under_a_lock, &callback_queues_another, &barrier_at_exit,
	&callbacks_in_order,	&grace_without_readers,	  NULL};
