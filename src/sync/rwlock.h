/* SPDX-License-Identifier: MIT */
/* A fair (queued) reader-writer lock for short sections: neither side starves, and the holder can ask whether others wait. */
#ifndef ANYKVM_SYNC_RWLOCK_H
#define ANYKVM_SYNC_RWLOCK_H

#include "sync/atomic.h"
#include "sync/capability.h"
#include "sync/rank.h"

struct CAPABILITY("rwlock") rwlock {
	struct a64 state;  /* native_rwlock.c gives the layout */
	struct a32 writer; /* id of the writing thread, 0 if none: for assertions */
	enum lock_rank rank;
	const char *name;
};

void rwlock_init(struct rwlock *l, enum lock_rank rank, const char *name);
void rwlock_fini(struct rwlock *l);
void read_lock(struct rwlock *l) ACQUIRE_SHARED(l);
void read_unlock(struct rwlock *l) RELEASE_SHARED(l);
void write_lock(struct rwlock *l) ACQUIRE(l);
void write_unlock(struct rwlock *l) RELEASE(l);
/* Whether somebody waits for this lock, which the caller holds. */
bool rwlock_is_contended(const struct rwlock *l);
/* Whether the calling thread holds it for writing. */
bool rwlock_write_held(const struct rwlock *l);
void rwlock_assert_write_held(const struct rwlock *l) ASSERT_CAPABILITY(l);
/* Holds for read or write. */
void rwlock_assert_held(const struct rwlock *l) ASSERT_SHARED_CAPABILITY(l);

#if defined(ANYKVM_CHECKED)
#define read_lock(l)  (rank_at(__FILE__, __LINE__), read_lock(l))
#define write_lock(l) (rank_at(__FILE__, __LINE__), write_lock(l))
#endif

#endif
