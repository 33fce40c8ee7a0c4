/* SPDX-License-Identifier: MIT */
/*
 * Phase-fair reader-writer lock. Readers and writers take turns: after a writer, all readers that wait get the lock together;
 * after a phase of readers, the writer that waits longest gets it. Readers that come while a writer waits join the next read
 * phase, so neither side starves. The lock is handed over directly: who is granted it is counted as a holder by the grant.
 *
 * Everything is in one word, and waiters sleep on its low half, so that an unlock is a single compare-exchange and does not
 * touch the lock afterwards. Layout of state, low to high:
 *
 *   writer  1  a writer holds the lock
 *   phase   1  flips when waiting readers are let in: a waiting reader is granted the lock when it differs from what it saw
 *   out    14  write tickets granted; a writer with ticket t holds the lock once out has passed t
 *   waiting 16 readers that wait for the next phase (low half ends here)
 *   active 16  readers that hold the lock
 *   in     14  write tickets handed out; in != out: writers wait
 *   sleep   1  some waiter sleeps on the low half
 *
 * A granted waiter blocks all further phases until it unlocks, so phase and tickets cannot lap it.
 */
#include "base/bug.h"
#include "sync/process_sync.h"
#include "sync/rwlock.h"
#include "sync/wait.h"

#define WRITER	    BIT(0)
#define PHASE	    BIT(1)
#define OUT_SHIFT   2
#define TICKET_BITS 14
#define TICKET_MASK (BIT(TICKET_BITS) - 1)
#define WAITING_ONE BIT(16)
#define WAITING(s)  ((s) >> 16 & 0xffff)
#define ACTIVE_ONE  BIT(32)
#define ACTIVE(s)   ((s) >> 32 & 0xffff)
#define IN_SHIFT    48
#define SLEEP	    BIT(62)
#define OUT(s)	    ((s) >> OUT_SHIFT & TICKET_MASK)
#define IN(s)	    ((s) >> IN_SHIFT & TICKET_MASK)

#define SPINS 300

static bool writers_wait(u64 s)
{
	return IN(s) != OUT(s);
}

static u64 bump_in(u64 s)
{
	return (s & ~(TICKET_MASK << IN_SHIFT)) | ((IN(s) + 1) & TICKET_MASK) << IN_SHIFT;
}

/* The longest waiting writer becomes the holder. */
static u64 grant_writer(u64 s)
{
	return (s & ~(TICKET_MASK << OUT_SHIFT)) | ((OUT(s) + 1) & TICKET_MASK) << OUT_SHIFT |
	       WRITER;
}

void rwlock_init(struct rwlock *l, enum lock_rank rank, const char *name)
{
	*l = (struct rwlock){.rank = rank, .name = name};
}

void rwlock_fini(struct rwlock *l)
{
	u64 s = a64_load_relaxed(&l->state);

	BUG_ON((s & WRITER) || ACTIVE(s) || WAITING(s) || writers_wait(s));
}

/* Sleeps (after spinning) until granted. tag: the phase that a reader saw, or the ticket of a writer. */
static void wait_for_grant(struct rwlock *l, bool is_writer, u64 tag)
{
	u64 s;

	for (int i = 0;; i++) {
		s = a64_load_acquire(&l->state);
		if (is_writer ? ((OUT(s) - tag - 1) & TICKET_MASK) < TICKET_MASK / 2
			      : (s & PHASE) != tag)
			break;
		if (i < SPINS) {
			cpu_relax();
			continue;
		}
		/* The grant that clears SLEEP also changes the low half, so the futex cannot sleep through it. */
		if (!(s & SLEEP) && !a64_cmpxchg(&l->state, s, s | SLEEP))
			continue;
		futex_wait(&l->state, (u32)s, WAIT_FOREVER);
	}
	/* The acquire above pairs with the compare-exchange that granted. */
}

/* Publishes new if the state still is *s. Wakes the sleepers if this was a grant. */
static bool grant(struct rwlock *l, u64 s, u64 new)
{
	bool granted = (u32)s != (u32) new && ((s ^ new) & (PHASE | TICKET_MASK << OUT_SHIFT));

	if (granted)
		new &= ~SLEEP;
	if (!a64_cmpxchg(&l->state, s, new))
		return false;
	if (granted && (s & SLEEP))
		futex_wake(&l->state, INT32_MAX);
	return true;
}

void(read_lock)(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	u64 s;

	check_acquire(l, l->rank, l->name, HELD_READ);
	for (;;) {
		s = a64_load_relaxed(&l->state);
		if (likely(!(s & WRITER) && !writers_wait(s))) {
			if (a64_cmpxchg(&l->state, s, s + ACTIVE_ONE))
				return;
		} else if (a64_cmpxchg(&l->state, s, s + WAITING_ONE)) {
			wait_for_grant(l, false, s & PHASE);
			return;
		}
	}
}

void read_unlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	u64 s, new;

	check_release(l, l->name);
	do {
		s = a64_load_relaxed(&l->state);
		BUG_ON(!ACTIVE(s));
		new = s - ACTIVE_ONE;
		if (!ACTIVE(new) && writers_wait(new))
			new = grant_writer(new);
	} while (!grant(l, s, new));
}

void(write_lock)(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	u32 self = thread_current()->id;
	u64 s;

	check_acquire(l, l->rank, l->name, HELD_WRITE);
	for (;;) {
		s = a64_load_relaxed(&l->state);
		if (likely(!(s & WRITER) && !ACTIVE(s) && !writers_wait(s))) {
			if (a64_cmpxchg(&l->state, s, s | WRITER))
				break;
		} else if (a64_cmpxchg(&l->state, s, bump_in(s))) {
			wait_for_grant(l, true, IN(s));
			break;
		}
	}
	a32_store_relaxed(&l->writer, self);
}

void write_unlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	u64 s, new;

	BUG_ON(a32_load_relaxed(&l->writer) != thread_current()->id);
	check_release(l, l->name);
	a32_store_relaxed(&l->writer, 0);
	do {
		s = a64_load_relaxed(&l->state);
		if (WAITING(s))
			new = ((s & ~(0xffffull << 16)) ^ PHASE ^ WRITER) + WAITING(s) * ACTIVE_ONE;
		else if (writers_wait(s))
			new = grant_writer(s);
		else
			new = s & ~WRITER;
	} while (!grant(l, s, new));
}

bool rwlock_is_contended(const struct rwlock *l)
{
	u64 s = a64_load_relaxed(&l->state);

	return WAITING(s) || writers_wait(s);
}

bool rwlock_write_held(const struct rwlock *l)
{
	return a32_load_relaxed(&l->writer) == thread_current()->id;
}

void rwlock_assert_write_held(const struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	BUG_ON(!rwlock_write_held(l));
}

void rwlock_assert_held(const struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
#if defined(ANYKVM_CHECKED)
	BUG_ON(!check_holds(l));
#else
	BUG_ON(!rwlock_write_held(l) && !ACTIVE(a64_load_relaxed(&l->state)));
#endif
}
