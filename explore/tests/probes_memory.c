/* SPDX-License-Identifier: MIT */
/* Probes (see probes.c) of what is said about memory by declaration: a page that was taken away, a field that has a lock. */
#include "engine/engine.h"
#include "probes.h"

static uint32_t word;

/* --- stale translation -------------------------------------------------------------------------------------------------- */

struct table {
	int lock, present, revoked, in_progress, frame;
	uint32_t sequence;
};
static struct table *table;
static void stale_setup(void)
{
	table = NEW_OF(struct table);
	explore_lock_init(&table->lock, "stale translations", EXPLORE_ATOMIC);
}
static void stale_finish(void)
{
	explore_lock_fini(&table->lock);
	explore_free(table);
}
/* The guest reaches a frame through the table; revoked ones must not be reached once the invalidation returned. */
STEP void stale_access(void)
{
	explore_read_lock(&table->lock);
	if (table->present && RELAXED(&table->revoked))
		engine_violation_text(
			BAD_STALE_TRANSLATION,
			"frame 0 of the table is reached after its invalidation returned");
	explore_read_unlock(&table->lock);
}
STEP void stale_install(bool looks_again)
{
	uint32_t seen = ACQUIRE(&table->sequence);
	bool gone = RELAXED(&table->revoked);

	explore_write_lock(&table->lock);
	if (!gone && (!looks_again || (!table->in_progress && RELAXED(&table->sequence) == seen)))
		table->present = 1;
	explore_write_unlock(&table->lock);
}
STEP void stale_invalidate(void)
{
	explore_write_lock(&table->lock);
	table->in_progress++;
	table->present = 0;
	explore_write_unlock(&table->lock);
	explore_write_lock(&table->lock);
	SET_RELAXED(&table->revoked, 1);
	ADD(&table->sequence, 1);
	table->in_progress--;
	explore_write_unlock(&table->lock);
}
static void stale_fault(void)
{
	stale_install(false);
	stale_access();
}
static void stale_fault_fixed(void)
{
	stale_install(true);
	stale_access();
}
PROGRAM(probe_stale_translation, "a fault installs what was looked up before an invalidation",
	stale_setup, stale_finish, {"fault", stale_fault}, {"invalidation", stale_invalidate});
PROGRAM(fixed_stale_translation, "a fault looks again under the lock", stale_setup, stale_finish,
	{"fault", stale_fault_fixed}, {"invalidation", stale_invalidate});

/* --- missing guard ------------------------------------------------------------------------------------------------------ */

struct guarded {
	int lock, field;
};
static struct guarded *guarded;
static void guard_setup(void)
{
	guarded = NEW_OF(struct guarded);
	explore_lock_init(&guarded->lock, "guard", 0);
	word = 0;
}
static void guard_finish(void)
{
	explore_lock_fini(&guarded->lock);
	explore_free(guarded);
}
STEP void guard_locked(void)
{
	explore_mutex_lock(&guarded->lock);
	guarded->field++;
	explore_mutex_unlock(&guarded->lock);
}
/* Ordered by the word, so no race; but the declaration says: under the lock. */
STEP void guard_bare(void)
{
	guarded->field++;
}
static void guard_first(void)
{
	guard_locked();
	RELEASE(&word, 1);
}
static void guard_second_bare(void)
{
	while (!ACQUIRE(&word))
		explore_spin();
	guard_bare();
}
static void guard_second(void)
{
	while (!ACQUIRE(&word))
		explore_spin();
	guard_locked();
}
PROGRAM(probe_guard, "a field is written without its declared lock", guard_setup, guard_finish,
	{"first", guard_first}, {"second", guard_second_bare});
PROGRAM(fixed_guard, "the field is written under its lock", guard_setup, guard_finish,
	{"first", guard_first}, {"second", guard_second});

const struct explore_guard corpus_guards[] = {
	{"struct guarded", "field", offsetof(struct guarded, field), sizeof(int),
	 offsetof(struct guarded, lock), "lock", false},
};
const size_t nr_corpus_guards = 1;
