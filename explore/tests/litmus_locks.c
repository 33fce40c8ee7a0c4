/* SPDX-License-Identifier: MIT */
/* Correct programs with locks: hand-over, order and its avoidance, reader-writer locks, objects that go under their lock. */
#include "litmus.h"

static int lock_a, lock_b, lock_c, data, other;
static int *object;

static void reset(void)
{
	data = other = 0;
	object = NULL;
}

#define ONE_LOCK(id, class)                           \
	static void id##_setup(void)                  \
	{                                             \
		reset();                              \
		explore_lock_init(&lock_a, class, 0); \
	}                                             \
	static void id##_finish(void)                 \
	{                                             \
		explore_lock_fini(&lock_a);           \
	}
#define TWO_LOCKS(id, first, second)                   \
	static void id##_setup(void)                   \
	{                                              \
		reset();                               \
		explore_lock_init(&lock_a, first, 0);  \
		explore_lock_init(&lock_b, second, 0); \
	}                                              \
	static void id##_finish(void)                  \
	{                                              \
		explore_lock_fini(&lock_b);            \
		explore_lock_fini(&lock_a);            \
	}

/* --- hand-over ---------------------------------------------------------------------------------------------------------- */

ONE_LOCK(counter, "counter lock")
static void counter_add(void)
{
	explore_mutex_lock(&lock_a);
	data++;
	explore_mutex_unlock(&lock_a);
}
LITMUS(lock_hand_over, "plain data under one lock", counter_setup, counter_finish,
       {"first", counter_add}, {"second", counter_add}, {"third", counter_add});

ONE_LOCK(owner, "owner lock")
static void owner_give(void)
{
	int *mine = NEW_OF(int);

	*mine = 1;
	explore_mutex_lock(&lock_a);
	object = mine;
	explore_mutex_unlock(&lock_a);
}
static void owner_take(void)
{
	int *mine;

	explore_mutex_lock(&lock_a);
	mine = object;
	object = NULL;
	explore_mutex_unlock(&lock_a);
	if (!mine)
		return;
	(*mine)++;
	explore_free(mine);
}
static void owner_end(void)
{
	if (object)
		explore_free(object);
	owner_finish();
}
LITMUS(ownership_by_lock, "what was taken out under the lock needs it no more", owner_setup,
       owner_end, {"giver", owner_give}, {"taker 1", owner_take}, {"taker 2", owner_take});

/* --- order -------------------------------------------------------------------------------------------------------------- */

static void ordered_setup(void)
{
	reset();
	explore_lock_init(&lock_a, "outer", 0);
	explore_lock_init(&lock_b, "middle", 0);
	explore_lock_init(&lock_c, "inner", 0);
}
static void ordered_finish(void)
{
	explore_lock_fini(&lock_c);
	explore_lock_fini(&lock_b);
	explore_lock_fini(&lock_a);
}
static void ordered_all(void)
{
	explore_mutex_lock(&lock_a);
	explore_mutex_lock(&lock_b);
	explore_mutex_lock(&lock_c);
	data++;
	explore_mutex_unlock(&lock_c);
	explore_mutex_unlock(&lock_b);
	explore_mutex_unlock(&lock_a);
}
static void ordered_some(void)
{
	explore_mutex_lock(&lock_a);
	explore_mutex_lock(&lock_c);
	data++;
	explore_mutex_unlock(&lock_a);
	explore_mutex_unlock(&lock_c);
}
LITMUS(lock_order, "three locks in one order, released in any", ordered_setup, ordered_finish,
       {"all", ordered_all}, {"some", ordered_some});

static void avoid_setup(void)
{
	reset();
	explore_lock_init(&lock_a, "avoided first", EXPLORE_TRY);
	explore_lock_init(&lock_b, "avoided second", 0);
}
static void avoid_finish(void)
{
	explore_lock_fini(&lock_b);
	explore_lock_fini(&lock_a);
}
static void avoid_forward(void)
{
	explore_mutex_lock(&lock_a);
	explore_mutex_lock(&lock_b);
	data++;
	explore_mutex_unlock(&lock_b);
	explore_mutex_unlock(&lock_a);
}
static void avoid_backward(void)
{
	explore_mutex_lock(&lock_b);
	if (explore_mutex_trylock(&lock_a)) {
		data++;
		explore_mutex_unlock(&lock_a);
	}
	explore_mutex_unlock(&lock_b);
}
LITMUS(trylock_against_order, "a try against the order cannot deadlock", avoid_setup, avoid_finish,
       {"forward", avoid_forward}, {"backward", avoid_backward});

static void family_setup(void)
{
	reset();
	explore_lock_init(&lock_a, "family parent", 0);
	explore_lock_init(&lock_b, "family child", EXPLORE_SAME_CLASS);
	explore_lock_init(&lock_c, "family child", EXPLORE_SAME_CLASS);
}
static void family_move(void *first, void *second)
{
	explore_mutex_lock(&lock_a);
	explore_mutex_lock(first);
	explore_mutex_lock(second);
	data++;
	explore_mutex_unlock(second);
	explore_mutex_unlock(first);
	explore_mutex_unlock(&lock_a);
}
static void family_down(void)
{
	family_move(&lock_b, &lock_c);
}
static void family_up(void)
{
	family_move(&lock_c, &lock_b);
}
LITMUS(one_class_under_a_parent, "locks of one class in any order under a lock of their own",
       family_setup, ordered_finish, {"down", family_down}, {"up", family_up});

/* --- reader-writer locks ------------------------------------------------------------------------------------------------ */

ONE_LOCK(shared, "shared lock")
static void shared_read(void)
{
	explore_read_lock(&lock_a);
	explore_check(data == other);
	explore_read_unlock(&lock_a);
}
static void shared_write(void)
{
	explore_write_lock(&lock_a);
	data++;
	other++;
	explore_write_unlock(&lock_a);
}
LITMUS(readers_and_a_writer, "no reader sees half a write", shared_setup, shared_finish,
       {"reader 1", shared_read}, {"reader 2", shared_read}, {"writer", shared_write});
LITMUS(writers_and_a_reader, "two writers and a reader", shared_setup, shared_finish,
       {"reader", shared_read}, {"writer 1", shared_write}, {"writer 2", shared_write});

ONE_LOCK(upgrade, "upgraded lock")
static void upgrade_by_drop(void)
{
	bool missing;

	explore_read_lock(&lock_a);
	missing = !data;
	explore_read_unlock(&lock_a);
	if (!missing)
		return;
	explore_write_lock(&lock_a);
	if (!data) {
		data = 1;
		other++;
	}
	explore_write_unlock(&lock_a);
}
static void upgrade_end(void)
{
	explore_check(other == 1);
	upgrade_finish();
}
LITMUS(upgrade_by_drop_and_look, "between read and write lock all may change: looked at again",
       upgrade_setup, upgrade_end, {"first", upgrade_by_drop}, {"second", upgrade_by_drop});

/* --- objects under a lock ----------------------------------------------------------------------------------------------- */

ONE_LOCK(table, "table lock")
static void table_begin(void)
{
	table_setup();
	object = NEW_OF(int);
}
static void table_use(void)
{
	explore_mutex_lock(&lock_a);
	if (object)
		(*object)++;
	explore_mutex_unlock(&lock_a);
}
static void table_remove(void)
{
	int *mine;

	explore_mutex_lock(&lock_a);
	mine = object;
	object = NULL;
	explore_mutex_unlock(&lock_a);
	explore_free(mine);
}
LITMUS(freed_after_unlink, "what no table names any more is the remover's", table_begin,
       table_finish, {"user", table_use}, {"remover", table_remove});

TWO_LOCKS(phase, "phase lock", "phase inner")
static void phase_first(void)
{
	data = 1;
	explore_mutex_lock(&lock_a);
	other = 1;
	explore_mutex_unlock(&lock_a);
}
static void phase_second(void)
{
	bool mine;

	explore_mutex_lock(&lock_a);
	mine = other;
	explore_mutex_unlock(&lock_a);
	if (mine)
		data++;
}
LITMUS(lock_as_hand_over, "a flag under a lock hands plain data over", phase_setup, phase_finish,
       {"first", phase_first}, {"second", phase_second});

ONE_LOCK(contended, "contended lock")
static void contended_long(void)
{
	explore_mutex_lock(&lock_a);
	data++;
	if (explore_lock_contended(&lock_a)) {
		explore_mutex_unlock(&lock_a);
		explore_mutex_lock(&lock_a);
	}
	data++;
	explore_mutex_unlock(&lock_a);
}
LITMUS_WITH(yield_to_a_waiter, "a long holder lets go when somebody waits", contended_setup,
	    contended_finish, 1, 0, {"long", contended_long}, {"short", counter_add});

static void atomic_setup(void)
{
	reset();
	explore_lock_init(&lock_a, "atomic lock", EXPLORE_ATOMIC);
}
static void atomic_update(void)
{
	explore_write_lock(&lock_a);
	data++;
	explore_write_unlock(&lock_a);
	explore_might_sleep("allocation");
}
LITMUS(sleep_after_atomic, "sleeping is allowed where the lock is free again", atomic_setup,
       counter_finish, {"first", atomic_update}, {"second", atomic_update});

/* The lock is in the object it protects: alive as long as it can be found under the table's. */
struct item {
	int lock, users, value;
};
static struct item *item;
static void item_setup(void)
{
	reset();
	explore_lock_init(&lock_a, "items lock", 0);
	item = NEW_OF(struct item);
	explore_lock_init(&item->lock, "item lock", 0);
}
static void item_use(void)
{
	explore_mutex_lock(&lock_a);
	if (item) {
		explore_mutex_lock(&item->lock);
		item->value++;
		explore_mutex_unlock(&item->lock);
	}
	explore_mutex_unlock(&lock_a);
}
static void item_remove(void)
{
	struct item *mine;

	explore_mutex_lock(&lock_a);
	mine = item;
	item = NULL;
	explore_mutex_unlock(&lock_a);
	explore_lock_fini(&mine->lock);
	explore_free(mine);
}
LITMUS(lock_in_its_object, "a lock that goes with its object", item_setup, table_finish,
       {"user 1", item_use}, {"user 2", item_use}, {"remover", item_remove});

const struct explore_scenario *const litmus_locks[] = {&lock_hand_over,
						       &ownership_by_lock,
						       &lock_order,
						       &trylock_against_order,
						       &one_class_under_a_parent,
						       &readers_and_a_writer,
						       &writers_and_a_reader,
						       &upgrade_by_drop_and_look,
						       &freed_after_unlink,
						       &lock_as_hand_over,
						       &yield_to_a_waiter,
						       &sleep_after_atomic,
						       &lock_in_its_object,
						       NULL};
