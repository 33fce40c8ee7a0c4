/* SPDX-License-Identifier: MIT */
/*
 * Locks of sync/ on the explorer's. The explorer knows who holds what, so the words of struct mutex and struct rwlock stay 0.
 *
 * The last call of a function here is a tail call where it can be: the explorer takes the address it returns to for the place in
 * the code under test. sync/cond.h is missing: nothing in the library uses it.
 */
#include "explore/kvm/backend.h"
#include "sync/mutex.h"
#include "sync/rwlock.h"

#include <anykvm/explore.h>

/* As the documents call it. */
static const char *class_of(enum lock_rank rank, const char *name)
{
	if (rank == RANK_VM)
		return "vm->lock";
	return rank == RANK_VCPU ? "vcpu->mutex" : name;
}

void mutex_init(struct mutex *m, enum lock_rank rank, const char *name)
{
	explore_will_store(m, sizeof(*m));
	*m = (struct mutex){.rank = rank, .name = name};
	explore_lock_init(m, class_of(rank, name), backend_lock_flags(rank));
}

void mutex_fini(struct mutex *m)
{
	explore_lock_fini(m);
}

void(mutex_lock)(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	backend_acquire(m, m->rank, m->name, HELD_MUTEX);
	explore_mutex_lock(m);
}

bool mutex_trylock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	if (!explore_mutex_trylock(m))
		return false;
	backend_acquire(m, m->rank, m->name, HELD_MUTEX);
	return true;
}

void mutex_unlock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	backend_release(m, m->rank, m->name);
	explore_mutex_unlock(m);
}

bool mutex_is_held(const struct mutex *m)
{
	return explore_lock_held(m) == 2;
}

void mutex_assert_held(const struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
	if (explore_lock_held(m) != 2)
		backend_fail(__builtin_return_address(0), "%s is not held", m->name);
}

void rwlock_init(struct rwlock *l, enum lock_rank rank, const char *name)
{
	explore_will_store(l, sizeof(*l));
	*l = (struct rwlock){.rank = rank, .name = name};
	explore_lock_init(l, name, backend_lock_flags(rank));
}

void rwlock_fini(struct rwlock *l)
{
	explore_lock_fini(l);
}

void(read_lock)(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	backend_acquire(l, l->rank, l->name, HELD_READ);
	explore_read_lock(l);
}

void read_unlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	backend_release(l, l->rank, l->name);
	explore_read_unlock(l);
}

void(write_lock)(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	backend_acquire(l, l->rank, l->name, HELD_WRITE);
	explore_write_lock(l);
}

void write_unlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	backend_release(l, l->rank, l->name);
	explore_write_unlock(l);
}

bool rwlock_is_contended(const struct rwlock *l)
{
	return explore_lock_contended((void *)l);
}

bool rwlock_write_held(const struct rwlock *l)
{
	return explore_lock_held(l) == 2;
}

void rwlock_assert_write_held(const struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	if (explore_lock_held(l) != 2)
		backend_fail(__builtin_return_address(0), "%s is not held for writing", l->name);
}

void rwlock_assert_held(const struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
	if (!explore_lock_held(l))
		backend_fail(__builtin_return_address(0), "%s is not held", l->name);
}
