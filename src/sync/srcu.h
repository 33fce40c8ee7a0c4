/* SPDX-License-Identifier: MIT */
/* Sleepable RCU, one domain per struct srcu. Readers may sleep; a grace period waits for this domain's readers only. */
#ifndef ANYKVM_SYNC_SRCU_H
#define ANYKVM_SYNC_SRCU_H

#include "sync/atomic.h"
#include "sync/capability.h"
#include "sync/mutex.h"

#define SRCU_SHARDS 4

struct CAPABILITY("srcu") srcu {
	struct a32 idx; /* phase that new readers use: low bit */
	struct {
		_Alignas(64) struct a32
			count[2]; /* readers by phase; the top bit: a grace period sleeps on it */
	} shard[SRCU_SHARDS];
	struct mutex sync; /* one grace period at a time */
	enum lock_rank rank;
	const char *name;
};

/* rank is RANK_SRCU or RANK_MN_SRCU. */
void srcu_init(struct srcu *s, enum lock_rank rank, const char *name);
/* No reader may be inside. */
void srcu_fini(struct srcu *s);
/* Never blocks. Returns the cookie for the unlock. */
int srcu_read_lock(struct srcu *s) ACQUIRE_SHARED(s);
void srcu_read_unlock(struct srcu *s, int cookie) RELEASE_SHARED(s);
bool srcu_read_lock_held(const struct srcu *s);
/*
 * Waits for the readers that are inside now. LO-2, LO-3: not inside a section of the same domain, not while holding
 * slots_arch_lock, inval_lock, mmu_lock, mn_lock or a page lock; the rank checker aborts on it.
 */
void srcu_synchronize(struct srcu *s) EXCLUDES(s);

#if defined(ANYKVM_EXPLORED)
/* A call that returns nothing can be the last of its function, which is where the explorer looks for the place of the lock. */
void srcu_enter(struct srcu *s) ACQUIRE_SHARED(s);
int srcu_cookie(const struct srcu *s);
#define srcu_read_lock(s)   (rank_at(__FILE__, __LINE__), srcu_enter(s), srcu_cookie(s))
#define srcu_synchronize(s) (rank_at(__FILE__, __LINE__), srcu_synchronize(s))
#elif defined(ANYKVM_CHECKED)
#define srcu_read_lock(s)   (rank_at(__FILE__, __LINE__), srcu_read_lock(s))
#define srcu_synchronize(s) (rank_at(__FILE__, __LINE__), srcu_synchronize(s))
#endif

#endif
