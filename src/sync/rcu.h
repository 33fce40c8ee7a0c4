/* SPDX-License-Identifier: MIT */
/*
 * RCU, one process-wide domain. Readers never block and never wait inside. Callbacks run on a library thread (started
 * lazily, all signals blocked) or at rcu_barrier; they hold no lock.
 */
#ifndef ANYKVM_SYNC_RCU_H
#define ANYKVM_SYNC_RCU_H

#include "sync/atomic.h"
#include "sync/capability.h"
#include "sync/rank.h"

struct CAPABILITY("rcu") rcu_domain {
	char unused;
};
/* A name for clang's analysis; no state. */
extern struct rcu_domain rcu;

struct rcu_head {
	struct rcu_head *next;
	void (*fn)(struct rcu_head *);
};

/* Nest freely. */
void rcu_read_lock(void) ACQUIRE_SHARED(&rcu);
void rcu_read_unlock(void) RELEASE_SHARED(&rcu);
bool rcu_read_lock_held(void);
/* fn(head) runs after a grace period. Never blocks; may be called under any lock. */
void rcu_call(struct rcu_head *head, void (*fn)(struct rcu_head *));
/* Waits for a grace period. May not be called in a reader nor under mmu_lock, inval_lock, slots_arch_lock, mn_lock. */
void rcu_synchronize(void) EXCLUDES(&rcu);
/* Waits until every callback queued before has run. Same rule. */
void rcu_barrier(void) EXCLUDES(&rcu);

/* Publication: store-release, paired with rcu_load's acquire. */
static ALWAYS_INLINE void rcu_store(struct aptr *p, void *v)
{
	aptr_store_release(p, v);
}
static ALWAYS_INLINE void *rcu_load(const struct aptr *p)
{
#if defined(ANYKVM_EXPLORED)
	explore_dereference(&rcu, NULL);
#endif
	return aptr_load_acquire(p);
}

#if defined(ANYKVM_CHECKED)
#define rcu_read_lock()	  (rank_at(__FILE__, __LINE__), rcu_read_lock())
#define rcu_synchronize() (rank_at(__FILE__, __LINE__), rcu_synchronize())
#define rcu_barrier()	  (rank_at(__FILE__, __LINE__), rcu_barrier())
#endif

#endif
