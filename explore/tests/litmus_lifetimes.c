/* SPDX-License-Identifier: MIT */
/* Correct programs of lifetimes: counts, lookups that may fail, releases put off, failed allocations, translations. */
#include "litmus.h"

struct file {
	uint32_t users;
	int open;
};

static int rcu, srcu, lock;
static struct file *file;
static int released;

static void free_file(void *arg)
{
	explore_free(arg);
}
static void release(struct file *f)
{
	explore_assert_unlocked("release");
	f->open = 0;
	released++;
	explore_defer(&rcu, free_file, f);
}
static void put(struct file *f)
{
	if (explore_ref_put(&f->users))
		release(f);
}

static void begin(void)
{
	explore_domain_init(&rcu, "file rcu", 0);
	released = 0;
	file = NEW_OF(struct file);
	file->open = 1;
	explore_ref_init(&file->users, 1);
}
static void end(void)
{
	explore_barrier(&rcu);
	explore_check(released == 1);
	explore_domain_fini(&rcu);
}

/* Load and try in one section, as the memory is freed by grace period. */
static struct file *lookup(void)
{
	struct file *f;

	explore_section_enter(&rcu);
	f = ACQUIRE(&file);
	if (f && !explore_ref_try_get(&f->users))
		f = NULL;
	explore_section_exit(&rcu);
	return f;
}
static void use(void)
{
	struct file *f = lookup();

	if (!f)
		return;
	explore_check(f->open);
	put(f);
}
static void close_file(void)
{
	struct file *f = XCHG(&file, NULL);

	if (f)
		put(f);
}
LITMUS(lookup_and_close, "who got the file has it open", begin, end, {"user 1", use},
       {"user 2", use}, {"close", close_file});
LITMUS(closed_twice, "of two closes one finds the file", begin, end, {"user", use},
       {"close 1", close_file}, {"close 2", close_file});

static struct file *lookup_again(void)
{
	struct file *f;

	explore_section_enter(&rcu);
	do {
		f = ACQUIRE(&file);
		if (f && explore_ref_try_get(&f->users)) {
			if (f == ACQUIRE(&file))
				break;
			explore_section_exit(&rcu);
			put(f);
			return NULL;
		}
		f = NULL;
	} while (0);
	explore_section_exit(&rcu);
	return f;
}
static void use_again(void)
{
	struct file *f = lookup_again();

	if (f)
		put(f);
}
LITMUS(pointer_looked_at_again, "the pointer is looked at again after the get", begin, end,
       {"user", use_again}, {"close", close_file});

static void hand_over_begin(void)
{
	begin();
	explore_ref_get(&file->users);
	explore_ref_get(&file->users);
}
static void put_own(void)
{
	explore_check(file->open);
	put(file);
}
LITMUS(each_its_own, "everybody puts a reference of its own, the last releases", hand_over_begin,
       end, {"first", put_own}, {"second", put_own}, {"third", put_own});

static void grow(void)
{
	explore_ref_get(&file->users);
	explore_check(explore_ref_read(&file->users) >= 2);
	put(file);
	put(file);
}
static void grow_begin(void)
{
	begin();
	explore_ref_get(&file->users);
}
LITMUS(get_with_a_reference, "who has a reference may take another", grow_begin, end,
       {"grower", grow}, {"other", put_own});

/* --- releases put off ---------------------------------------------------------------------------------------------------- */

static void off_begin(void)
{
	begin();
	explore_lock_init(&lock, "lock of release", 0);
	explore_domain_init(&srcu, "srcu of release", EXPLORE_SLEEPABLE);
}
static void off_end(void)
{
	explore_lock_fini(&lock);
	explore_domain_fini(&srcu);
	end();
}
static void release_with_lock(struct file *f)
{
	explore_mutex_lock(&lock);
	f->open = 0;
	explore_mutex_unlock(&lock);
	release(f);
}
static void use_in_section(void)
{
	struct file *f, *dead = NULL;

	explore_section_enter(&srcu);
	f = lookup();
	if (f && explore_ref_put(&f->users))
		dead = f;
	explore_section_exit(&srcu);
	if (dead)
		release_with_lock(dead);
}
static void wait_for_users(void)
{
	explore_mutex_lock(&lock);
	explore_synchronize(&srcu);
	explore_mutex_unlock(&lock);
}
static void close_with_lock(void)
{
	struct file *f = XCHG(&file, NULL);

	if (explore_ref_put(&f->users))
		release_with_lock(f);
}
LITMUS(release_after_the_section, "a release that needs a lock runs when the section is over",
       off_begin, off_end, {"user", use_in_section}, {"updater", wait_for_users},
       {"close", close_with_lock});

/* The last reference goes under the table's lock, so a lookup there never meets a dead object. */
static void table_begin(void)
{
	begin();
	explore_lock_init(&lock, "file table", 0);
}
static void table_end(void)
{
	explore_lock_fini(&lock);
	end();
}
static void table_put(struct file *f)
{
	bool last;

	explore_mutex_lock(&lock);
	last = explore_ref_put(&f->users);
	if (last)
		file = NULL;
	explore_mutex_unlock(&lock);
	if (last)
		release(f);
}
static void table_use(void)
{
	struct file *f;

	explore_mutex_lock(&lock);
	f = file;
	if (f)
		explore_ref_get(&f->users);
	explore_mutex_unlock(&lock);
	if (f)
		table_put(f);
}
static struct file *own;
static void table_begin_own(void)
{
	table_begin();
	own = file;
}
static void table_put_own(void)
{
	table_put(own);
}
LITMUS(last_put_under_the_table, "the table never names a dead object", table_begin_own, table_end,
       {"user 1", table_use}, {"user 2", table_use}, {"owner", table_put_own});

/* --- failures ----------------------------------------------------------------------------------------------------------- */

static void fallible(void)
{
	int *a = explore_alloc(sizeof(*a), 0, "int", true), *b;

	if (!a)
		return;
	b = explore_alloc(sizeof(*b), 0, "int", true);
	if (b)
		explore_free(b);
	explore_free(a);
}
LITMUS_WITH(failed_allocations, "nothing is left when an allocation fails", NULL, NULL, 2, 0,
	    {"first", fallible}, {"second", fallible});

static int picked;
static void pick(void)
{
	picked = explore_pick(3, "a number");
	explore_check(picked < 3);
}
LITMUS(picked_numbers, "every number is tried", NULL, NULL, {"picker", pick});

static void reuse_use(void)
{
	struct file *f = lookup();

	if (f)
		put(f);
	explore_free(NEW_OF(struct file));
}
LITMUS_WITH(memory_comes_back, "a grace period keeps memory from coming back too early", begin, end,
	    0, EXPLORE_REUSE, {"user", reuse_use}, {"close", close_file});

/* --- translations ------------------------------------------------------------------------------------------------------- */

/*
 * A table of one entry, a frame that can be revoked. A fault looks the frame up, then installs it under the lock if no invalidation
 * came in between: the count says one is under way, the sequence that one is over.
 */
static int table_lock, present, revoked, in_progress;
static uint32_t sequence;

static void mmu_begin(void)
{
	present = revoked = in_progress = 0;
	sequence = 0;
	explore_lock_init(&table_lock, "translations", EXPLORE_ATOMIC);
}
static void mmu_end(void)
{
	explore_check(!(present && revoked));
	explore_check(!in_progress);
	explore_lock_fini(&table_lock);
}
static void mmu_fault(void)
{
	uint32_t seen = ACQUIRE(&sequence);
	bool gone;

	explore_read(&revoked, "look the frame up");
	gone = RELAXED(&revoked);
	explore_write_lock(&table_lock);
	if (!gone && !in_progress && RELAXED(&sequence) == seen)
		present = 1;
	explore_write_unlock(&table_lock);
}
static void mmu_use(void)
{
	explore_read_lock(&table_lock);
	explore_check(!present || in_progress || !RELAXED(&revoked));
	explore_read_unlock(&table_lock);
}
static void mmu_invalidate(void)
{
	explore_write_lock(&table_lock);
	in_progress++;
	present = 0;
	explore_write_unlock(&table_lock);
	explore_write(&revoked, "revoke the frame");
	SET_RELAXED(&revoked, 1);
	explore_write_lock(&table_lock);
	ADD(&sequence, 1);
	in_progress--;
	explore_write_unlock(&table_lock);
}
LITMUS(fault_against_invalidation, "no translation outlives its frame", mmu_begin, mmu_end,
       {"fault", mmu_fault}, {"guest", mmu_use}, {"invalidation", mmu_invalidate});

const struct explore_scenario *const litmus_lifetimes[] = {&lookup_and_close,
							   &closed_twice,
							   &pointer_looked_at_again,
							   &each_its_own,
							   &get_with_a_reference,
							   &release_after_the_section,
							   &last_put_under_the_table,
							   &failed_allocations,
							   &picked_numbers,
							   &memory_comes_back,
							   &fault_against_invalidation,
							   NULL};
