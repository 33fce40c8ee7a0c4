/* SPDX-License-Identifier: MIT */
/* A sleeping lock. Not recursive. */
#ifndef ANYKVM_SYNC_MUTEX_H
#define ANYKVM_SYNC_MUTEX_H

#include "sync/atomic.h"
#include "sync/capability.h"
#include "sync/rank.h"

struct CAPABILITY("mutex") mutex {
	struct a32 state; /* 0 free, 1 held, 2 held and somebody may sleep */
	struct a32 owner; /* id of the holding thread, 0 when free: for assertions */
	enum lock_rank rank;
	const char *name;
};

void mutex_init(struct mutex *m, enum lock_rank rank, const char *name);
/* The mutex must be free. */
void mutex_fini(struct mutex *m);
void mutex_lock(struct mutex *m) ACQUIRE(m);
bool mutex_trylock(struct mutex *m) TRY_ACQUIRE(true, m);
void mutex_unlock(struct mutex *m) RELEASE(m);
bool mutex_is_held(const struct mutex *m);
/* Aborts if the calling thread does not hold m. */
void mutex_assert_held(const struct mutex *m) ASSERT_CAPABILITY(m);

#if defined(ANYKVM_CHECKED)
#define mutex_lock(m) (rank_at(__FILE__, __LINE__), mutex_lock(m))
#endif

#endif
