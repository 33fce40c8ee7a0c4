/* SPDX-License-Identifier: MIT */
/*
 * Two-phase counters. A reader counts itself in the phase it reads from idx, in a shard chosen by its thread, and leaves by the
 * same counter. A grace period first waits for stragglers of the other phase (readers that read idx before the last flip and
 * counted themselves after that grace period had looked), flips idx so that new readers use the empty phase, then waits for
 * the old one. All counter updates are sequentially consistent read-modify-writes: a reader that the grace period did not
 * see counts itself, and hence reads its pointers, after what the updater unpublished before.
 *
 * The leave that drops a counter to zero with WAITED set wakes the waiter by the counter's address alone: the domain may be
 * gone by then.
 */
#include "base/bug.h"
#include "sync/process_sync.h"
#include "sync/srcu.h"
#include "sync/wait.h"

#define WAITED (1u << 31)
#define SPINS  200

void srcu_init(struct srcu *s, enum lock_rank rank, const char *name)
{
	*s = (struct srcu){.rank = rank, .name = name};
	mutex_init(&s->sync, RANK_LEAF, name);
	/* A place where threads may be started, and before anything can be queued for RCU under mmu_lock. */
	rcu_start();
}

void srcu_fini(struct srcu *s)
{
	for (int i = 0; i < SRCU_SHARDS; i++)
		BUG_ON(a32_load(&s->shard[i].count[0]) || a32_load(&s->shard[i].count[1]));
	mutex_fini(&s->sync);
}

int(srcu_read_lock)(struct srcu *s) NO_THREAD_SAFETY_ANALYSIS
{
	u32 shard = thread_current()->id % SRCU_SHARDS;
	u32 phase = a32_load_relaxed(&s->idx) & 1;

	check_acquire(s, s->rank, s->name, HELD_SRCU);
	/* Full order before the reads inside; pairs with the fence in srcu_synchronize. */
	a32_fetch_add(&s->shard[shard].count[phase], 1);
	fence_after_rmw();
	return shard << 1 | phase;
}

void srcu_read_unlock(struct srcu *s, int cookie) NO_THREAD_SAFETY_ANALYSIS
{
	struct a32 *count = &s->shard[cookie >> 1].count[cookie & 1];
	u32 old;

	check_release(s, s->name);
	/* Releases the reads inside; pairs with the load in wait_for_zero. */
	old = a32_fetch_sub(count, 1);
	BUG_ON(!(old & ~WAITED));
	if (old == (WAITED | 1))
		futex_wake(count, INT32_MAX);
}

bool srcu_read_lock_held(const struct srcu *s)
{
#if defined(ANYKVM_CHECKED)
	return check_holds(s);
#else
	for (int i = 0; i < SRCU_SHARDS; i++)
		if (a32_load_relaxed(&s->shard[i].count[0]) ||
		    a32_load_relaxed(&s->shard[i].count[1]))
			return true;
	return false;
#endif
}

static void wait_for_zero(struct a32 *count)
{
	u32 old;

	for (int i = 0; i < SPINS; i++) {
		if (!a32_load(count))
			return;
		cpu_relax();
	}
	for (;;) {
		old = a32_fetch_or(count, WAITED) | WAITED;
		if (old == WAITED)
			break;
		futex_wait(count, old, WAIT_FOREVER);
	}
	/* Only the grace period sets the flag, and there is one at a time. */
	a32_fetch_and(count, ~WAITED);
}

static void wait_for_phase(struct srcu *s, u32 phase)
{
	for (int i = 0; i < SRCU_SHARDS; i++)
		wait_for_zero(&s->shard[i].count[phase]);
}

void(srcu_synchronize)(struct srcu *s) NO_THREAD_SAFETY_ANALYSIS
{
	u32 phase;

	check_wait(s->rank == RANK_MN_SRCU ? WAIT_MN_SRCU : WAIT_SRCU, s, s->name);
	if (!sync_same_process())
		return;
	mutex_lock(&s->sync);
	/* What the caller unpublished comes before the looks at the counters; pairs with the reader's fetch_add. */
	fence_full();
	phase = a32_load_relaxed(&s->idx) & 1;
	wait_for_phase(s, phase ^ 1);
	a32_store(&s->idx, phase ^ 1);
	fence_full();
	wait_for_phase(s, phase);
	fence_full();
	mutex_unlock(&s->sync);
}
