/* SPDX-License-Identifier: MIT */
/*
 * One program for each thing the explorer detects, as small as can be, and the same program put right. Each broken one says what the
 * report must say: the kind, the object, the function it shows in, a second place.
 */
#include "engine/engine.h"
#include "probes.h"

struct thing {
	uint32_t users;
	int lock, value;
};
static struct thing *thing;
static int a, b, srcu, rcu, cond, data;
static uint32_t word;

static void make_thing(void)
{
	thing = NEW_OF(struct thing);
}
static void drop_thing(void)
{
	explore_free(thing);
}

/* --- use after free ----------------------------------------------------------------------------------------------------- */

static void uaf_setup(void)
{
	explore_lock_init(&a, "lock of the freed", 0);
	make_thing();
}
static void uaf_finish(void)
{
	explore_lock_fini(&a);
}
STEP void uaf_free(void)
{
	explore_free(thing);
	thing = NULL;
}
STEP void uaf_use(struct thing *t)
{
	t->value = 1;
}
static void uaf_owner(void)
{
	explore_mutex_lock(&a);
	uaf_free();
	explore_mutex_unlock(&a);
}
/* Under the lock too, so nothing races; but the pointer is from before. */
static void uaf_user(void)
{
	struct thing *t;

	explore_mutex_lock(&a);
	t = thing;
	explore_mutex_unlock(&a);
	explore_mutex_lock(&a);
	if (t)
		uaf_use(t);
	explore_mutex_unlock(&a);
}
static void uaf_user_looking(void)
{
	explore_mutex_lock(&a);
	if (thing)
		uaf_use(thing);
	explore_mutex_unlock(&a);
}
static PROGRAM(probe_use_after_free, "a pointer is kept over a drop of its lock", uaf_setup,
	       uaf_finish, {"user", uaf_user}, {"owner", uaf_owner});
static PROGRAM(fixed_use_after_free, "the pointer is read again", uaf_setup, uaf_finish,
	       {"user", uaf_user_looking}, {"owner", uaf_owner});

/* --- double free -------------------------------------------------------------------------------------------------------- */

static struct thing *shared;
static void df_setup(void)
{
	shared = NEW_OF(struct thing);
}
STEP void df_free(void)
{
	struct thing *mine = RELAXED(&shared);

	if (!mine)
		return;
	explore_free(mine);
	SET_RELAXED(&shared, NULL);
}
STEP void df_free_own(void)
{
	struct thing *mine = XCHG(&shared, NULL);

	if (mine)
		explore_free(mine);
}
static PROGRAM(probe_double_free, "two threads free one object", df_setup, NULL, {"first", df_free},
	       {"second", df_free});
static PROGRAM(fixed_double_free, "one takes it out", df_setup, NULL, {"first", df_free_own},
	       {"second", df_free_own});

/* --- leak --------------------------------------------------------------------------------------------------------------- */

static void leak_setup(void)
{
	shared = NULL;
}
STEP struct thing *leak_make(void)
{
	return NEW_OF(struct thing);
}
static void leak_publish(void)
{
	struct thing *new = leak_make();

	if (!ACQUIRE(&shared))
		RELEASE(&shared, new);
	else
		explore_free(new);
}
static void leak_publish_once(void)
{
	struct thing *new = leak_make();

	if (!CMPXCHG(&shared, NULL, new))
		explore_free(new);
}
static void leak_finish(void)
{
	explore_free(shared);
}
static PROGRAM(probe_leak, "of two published objects one is forgotten", leak_setup, leak_finish,
	       {"first", leak_publish}, {"second", leak_publish});
static PROGRAM(fixed_leak, "the loser frees its own", leak_setup, leak_finish,
	       {"first", leak_publish_once}, {"second", leak_publish_once});

/* --- AB-BA -------------------------------------------------------------------------------------------------------------- */

#define AB(id, class_a, class_b)                   \
	static void id##_setup(void)               \
	{                                          \
		explore_lock_init(&a, class_a, 0); \
		explore_lock_init(&b, class_b, 0); \
	}
AB(abba, "abba A", "abba B")
AB(abab, "abab A", "abab B")
AB(inversion, "inversion A", "inversion B")
AB(no_inversion, "no inversion A", "no inversion B")
static void ab_finish(void)
{
	explore_lock_fini(&a);
	explore_lock_fini(&b);
}
STEP void ab_forward(void)
{
	explore_mutex_lock(&a);
	explore_mutex_lock(&b);
	explore_mutex_unlock(&b);
	explore_mutex_unlock(&a);
}
STEP void ab_backward(void)
{
	explore_mutex_lock(&b);
	explore_mutex_lock(&a);
	explore_mutex_unlock(&a);
	explore_mutex_unlock(&b);
}
static PROGRAM(probe_abba, "two locks in both orders", abba_setup, ab_finish,
	       {"forward", ab_forward}, {"backward", ab_backward});
static PROGRAM(fixed_abba, "two locks in one order", abab_setup, ab_finish, {"forward", ab_forward},
	       {"again", ab_forward});

/* One class, whose members another lock should have put in order: the graph of classes says nothing, the deadlock itself does. */
static void twins_setup(void)
{
	explore_lock_init(&a, "twin", EXPLORE_SAME_CLASS);
	explore_lock_init(&b, "twin", EXPLORE_SAME_CLASS);
}
static void ordered_twins_setup(void)
{
	explore_lock_init(&a, "ordered twin", EXPLORE_SAME_CLASS);
	explore_lock_init(&b, "ordered twin", EXPLORE_SAME_CLASS);
}
static PROGRAM(probe_deadlock, "two locks of one class in both orders", twins_setup, ab_finish,
	       {"forward", ab_forward}, {"backward", ab_backward});
static PROGRAM(fixed_deadlock, "two locks of one class in one order", ordered_twins_setup,
	       ab_finish, {"forward", ab_forward}, {"again", ab_forward});

/* One thread alone cannot deadlock: only the order graph sees it. */
static void inversion_both(void)
{
	ab_forward();
	ab_backward();
}
static void inversion_none(void)
{
	ab_forward();
	ab_forward();
}
static PROGRAM(probe_lock_order, "one thread takes both orders in turn", inversion_setup, ab_finish,
	       {"alone", inversion_both});
static PROGRAM(fixed_lock_order, "one thread keeps the order", no_inversion_setup, ab_finish,
	       {"alone", inversion_none});

/* --- a section, a lock and a grace period ------------------------------------------------------------------------------- */

#define CYCLE(id, class_lock, class_domain)                                  \
	static void id##_setup(void)                                         \
	{                                                                    \
		explore_lock_init(&a, class_lock, 0);                        \
		explore_domain_init(&srcu, class_domain, EXPLORE_SLEEPABLE); \
	}
CYCLE(cycle, "cycle lock", "cycle srcu")
CYCLE(no_cycle, "no cycle lock", "no cycle srcu")
static void cycle_finish(void)
{
	explore_lock_fini(&a);
	explore_domain_fini(&srcu);
}
STEP void cycle_reader(void)
{
	explore_section_enter(&srcu);
	explore_mutex_lock(&a);
	explore_mutex_unlock(&a);
	explore_section_exit(&srcu);
}
STEP void cycle_waiter(void)
{
	explore_mutex_lock(&a);
	explore_synchronize(&srcu);
	explore_mutex_unlock(&a);
}
STEP void cycle_waiter_alone(void)
{
	explore_mutex_lock(&a);
	explore_mutex_unlock(&a);
	explore_synchronize(&srcu);
}
static PROGRAM(probe_section_cycle, "a reader wants a lock whose holder waits for readers",
	       cycle_setup, cycle_finish, {"reader", cycle_reader}, {"updater", cycle_waiter});
static PROGRAM(fixed_section_cycle, "the lock is dropped before the wait", no_cycle_setup,
	       cycle_finish, {"reader", cycle_reader}, {"updater", cycle_waiter_alone});

/* --- lost wake-up ------------------------------------------------------------------------------------------------------- */

static void lost_setup(void)
{
	data = 0;
	explore_lock_init(&a, "lost wake-up", 0);
}
static void lost_finish(void)
{
	explore_lock_fini(&a);
}
STEP void lost_sleep(void)
{
	bool ready;

	explore_mutex_lock(&a);
	ready = data;
	explore_mutex_unlock(&a);
	explore_mutex_lock(&a);
	if (!ready)
		explore_cond_wait(&cond, &a);
	explore_mutex_unlock(&a);
}
STEP void lost_sleep_looking(void)
{
	explore_mutex_lock(&a);
	while (!data)
		explore_cond_wait(&cond, &a);
	explore_mutex_unlock(&a);
}
STEP void lost_wake(void)
{
	explore_mutex_lock(&a);
	data = 1;
	explore_cond_signal(&cond);
	explore_mutex_unlock(&a);
}
static PROGRAM(probe_lost_wakeup, "the wake comes between look and sleep", lost_setup, lost_finish,
	       {"sleeper", lost_sleep}, {"waker", lost_wake});
static PROGRAM(fixed_lost_wakeup, "look and sleep under one hold of the lock", lost_setup,
	       lost_finish, {"sleeper", lost_sleep_looking}, {"waker", lost_wake});

/* --- sections ----------------------------------------------------------------------------------------------------------- */

static void section_setup(void)
{
	explore_domain_init(&srcu, "unbalanced srcu", EXPLORE_SLEEPABLE);
	word = 0;
}
static void section_finish(void)
{
	explore_domain_fini(&srcu);
}
STEP void section_early_return(void)
{
	explore_section_enter(&srcu);
	if (LOAD(&word))
		return;
	explore_section_exit(&srcu);
}
STEP void section_balanced(void)
{
	explore_section_enter(&srcu);
	(void)LOAD(&word);
	explore_section_exit(&srcu);
}
static void section_other(void)
{
	STORE(&word, 1);
}
static PROGRAM(probe_unbalanced, "a return without the exit of its section", section_setup,
	       section_finish, {"reader", section_early_return}, {"other", section_other});
static PROGRAM(fixed_unbalanced, "every way has the exit", section_setup, section_finish,
	       {"reader", section_balanced}, {"other", section_other});

static void deref_setup(void)
{
	explore_domain_init(&rcu, "dereferenced rcu", 0);
}
static void deref_finish(void)
{
	explore_domain_fini(&rcu);
}
STEP void deref_outside(void)
{
	explore_section_enter(&rcu);
	explore_section_exit(&rcu);
	explore_dereference(&rcu, NULL);
}
STEP void deref_inside(void)
{
	explore_section_enter(&rcu);
	explore_dereference(&rcu, NULL);
	explore_section_exit(&rcu);
}
static PROGRAM(probe_dereference, "a pointer is followed after the section", deref_setup,
	       deref_finish, {"reader", deref_outside});
static PROGRAM(fixed_dereference, "a pointer is followed in the section", deref_setup, deref_finish,
	       {"reader", deref_inside});

/* --- counts ------------------------------------------------------------------------------------------------------------- */

static void count_setup(void)
{
	make_thing();
	explore_ref_init(&thing->users, 1);
}
STEP void count_get(void)
{
	explore_ref_get(&thing->users);
	explore_ref_put(&thing->users);
}
STEP void count_try(void)
{
	if (explore_ref_try_get(&thing->users))
		explore_ref_put(&thing->users);
}
static void count_put(void)
{
	explore_ref_put(&thing->users);
}
static PROGRAM(probe_refcount, "a get where the count may be 0", count_setup, drop_thing,
	       {"getter", count_get}, {"putter", count_put});
static PROGRAM(fixed_refcount, "a get that may fail", count_setup, drop_thing,
	       {"getter", count_try}, {"putter", count_put});

/* --- sleep in atomic context -------------------------------------------------------------------------------------------- */

static void sleep_setup(void)
{
	explore_lock_init(&a, "no sleep", EXPLORE_ATOMIC);
	explore_lock_init(&b, "sleeping", 0);
}
STEP void sleep_inside(void)
{
	explore_mutex_lock(&a);
	explore_might_sleep("allocation");
	explore_mutex_unlock(&a);
}
STEP void sleep_outside(void)
{
	explore_mutex_lock(&a);
	explore_mutex_unlock(&a);
	explore_might_sleep("allocation");
}
static PROGRAM(probe_sleep, "an allocation that may sleep under a lock that forbids it",
	       sleep_setup, ab_finish, {"sleeper", sleep_inside});
static PROGRAM(fixed_sleep, "the allocation comes after the lock", sleep_setup, ab_finish,
	       {"sleeper", sleep_outside});

/* --- a release hook in a section ---------------------------------------------------------------------------------------- */

static void hook_setup(void)
{
	explore_domain_init(&srcu, "hook srcu", EXPLORE_SLEEPABLE);
	make_thing();
	explore_ref_init(&thing->users, 2);
}
static void hook_finish(void)
{
	explore_domain_fini(&srcu);
	drop_thing();
}
STEP void hook_release(void)
{
	explore_assert_unlocked("release of a file");
}
static void hook_put(void)
{
	if (explore_ref_put(&thing->users))
		hook_release();
}
STEP void hook_put_inside(void)
{
	explore_section_enter(&srcu);
	if (explore_ref_put(&thing->users))
		hook_release();
	explore_section_exit(&srcu);
}
STEP void hook_put_outside(void)
{
	bool last;

	explore_section_enter(&srcu);
	last = explore_ref_put(&thing->users);
	explore_section_exit(&srcu);
	if (last)
		hook_release();
}
static PROGRAM(probe_hook, "a release hook runs inside a section", hook_setup, hook_finish,
	       {"reader", hook_put_inside}, {"other", hook_put});
static PROGRAM(fixed_hook, "the hook waits for the end of the section", hook_setup, hook_finish,
	       {"reader", hook_put_outside}, {"other", hook_put});

/* --- data race ---------------------------------------------------------------------------------------------------------- */

static void race_setup(void)
{
	make_thing();
	word = 0;
}
STEP void race_write(void)
{
	thing->value = 1;
	SET_RELAXED(&word, 1);
}
STEP void race_read(void)
{
	if (RELAXED(&word))
		explore_check(thing->value == 1);
}
STEP void race_write_ordered(void)
{
	thing->value = 1;
	RELEASE(&word, 1);
}
STEP void race_read_ordered(void)
{
	if (ACQUIRE(&word))
		explore_check(thing->value == 1);
}
static PROGRAM(probe_data_race, "a relaxed flag orders nothing", race_setup, drop_thing,
	       {"writer", race_write}, {"reader", race_read});
static PROGRAM(fixed_data_race, "release and acquire", race_setup, drop_thing,
	       {"writer", race_write_ordered}, {"reader", race_read_ordered});

#define PROBE(name, kind, object, function, other)                          \
	{                                                                   \
		&probe_##name, &fixed_##name, kind, object, function, other \
	}
const struct probe probes[] = {
	PROBE(use_after_free, BAD_USE_AFTER_FREE, "struct thing", "uaf_use", "uaf_free"),
	PROBE(double_free, BAD_DOUBLE_FREE, "struct thing", "df_free", "df_free"),
	PROBE(leak, BAD_LEAK, "struct thing", "leak_make", NULL),
	PROBE(abba, BAD_LOCK_ORDER, "abba A", "ab_backward", "forward of probe_abba"),
	PROBE(section_cycle, BAD_LOCK_ORDER, "cycle srcu", "cycle_waiter",
	      "reader of probe_section_cycle"),
	PROBE(lost_wakeup, BAD_LOST_WAKEUP, "", "lost_sleep", NULL),
	PROBE(unbalanced, BAD_SECTION, "unbalanced srcu", NULL, NULL),
	PROBE(stale_translation, BAD_STALE_TRANSLATION, "frame 0", "stale_access", NULL),
	PROBE(guard, BAD_GUARD, "struct guarded", "guard_bare", NULL),
	PROBE(refcount, BAD_REFCOUNT, "struct thing", "count_get", NULL),
	PROBE(sleep, BAD_SLEEP, "allocation", "sleep_inside", NULL),
	PROBE(hook, BAD_UNLOCKED_HOOK, "hook srcu", "hook_release", NULL),
	PROBE(data_race, BAD_DATA_RACE, "struct thing", "race_read", "race_write"),
	PROBE(deadlock, BAD_DEADLOCK, "twin", "ab_backward", "ab_forward"),
	PROBE(lock_order, BAD_LOCK_ORDER, "inversion A", "ab_backward", NULL),
	PROBE(dereference, BAD_GUARD, "dereferenced rcu", "deref_outside", NULL),
};
const size_t nr_probes = sizeof(probes) / sizeof(probes[0]);
