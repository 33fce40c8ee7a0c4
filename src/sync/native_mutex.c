/* SPDX-License-Identifier: MIT */
/* Three-state futex mutex. Under contention a late comer may overtake a sleeper; the long locks here do not need fairness. */
#include "base/bug.h"
#include "sync/mutex.h"
#include "sync/process_sync.h"
#include "sync/wait.h"

#define SPINS 100

enum { FREE, HELD, HELD_WAITED };

void mutex_init(struct mutex *m, enum lock_rank rank, const char *name)
{
	*m = (struct mutex){.rank = rank, .name = name};
}

void mutex_fini(struct mutex *m)
{
	BUG_ON(a32_load_relaxed(&m->state) != FREE);
}

static bool mutex_take_slow(struct mutex *m)
{
	for (int i = 0; i < SPINS; i++) {
		if (a32_load_relaxed(&m->state) == FREE && a32_cmpxchg(&m->state, FREE, HELD))
			return true;
		cpu_relax();
	}
	/* From here on the state says that somebody may sleep, until an unlock finds nobody. */
	while (a32_xchg(&m->state, HELD_WAITED) != FREE)
		futex_wait(&m->state, HELD_WAITED, WAIT_FOREVER);
	return true;
}

void(mutex_lock)(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	u32 self = thread_current()->id;

	check_acquire(m, m->rank, m->name, HELD_MUTEX);
	if (unlikely(!a32_cmpxchg(&m->state, FREE, HELD))) {
		/* Not recursive: this would sleep for ever. */
		BUG_ON(a32_load_relaxed(&m->owner) == self);
		mutex_take_slow(m);
	}
	a32_store_relaxed(&m->owner, self);
}

bool mutex_trylock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	u32 self = thread_current()->id;

	if (!a32_cmpxchg(&m->state, FREE, HELD))
		return false;
	check_acquire(m, m->rank, m->name, HELD_MUTEX);
	a32_store_relaxed(&m->owner, self);
	return true;
}

void mutex_unlock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	BUG_ON(a32_load_relaxed(&m->owner) != thread_current()->id);
	check_release(m, m->name);
	a32_store_relaxed(&m->owner, 0);
	/* After this exchange m may be gone. */
	if (a32_xchg(&m->state, FREE) == HELD_WAITED)
		futex_wake(&m->state, 1);
}

void mutex_assert_held(const struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	BUG_ON(a32_load_relaxed(&m->owner) != thread_current()->id);
}

bool mutex_is_held(const struct mutex *m)
{
	return a32_load_relaxed(&m->owner) == thread_current()->id;
}
