/* SPDX-License-Identifier: MIT */
/*
 * Threads, waits and the rank checker's bookkeeping. A thread of the library is a fiber; what sync/ keeps of it lies in a table
 * by fiber.
 */
#include <errno.h>
#include <string.h>

#include "explore/kvm/backend.h"
#include "explore/kvm/host_sim.h"
#include "host/alloc.h"
#include "sync/thread.h"
#include "sync/event_count.h"

#include <anykvm/explore.h>

bool backend_ranks_default = true;
bool backend_ranks;
void *backend_at;

static struct sync_tls sync_of[EXPLORE_MAX_FIBERS];

struct sync_tls *sync_self(void)
{
	return &sync_of[explore_self()];
}

void backend_begin(void)
{
	memset(sync_of, 0, sizeof(sync_of));
	backend_ranks = backend_ranks_default;
	explore_domain_init(&rcu, "rcu", 0);
}

unsigned backend_lock_flags(enum lock_rank rank)
{
	/* vm->lock orders those of several vCPUs; whoever wants all of them only tries. */
	if (rank == RANK_VCPU)
		return EXPLORE_SAME_CLASS | EXPLORE_TRY;
	return rank >= RANK_MN ? EXPLORE_ATOMIC : 0;
}

static bool is_atomic(enum lock_rank rank)
{
	return rank == RANK_MMU || rank == RANK_MN;
}

void backend_acquire_at(void *at, const void *lock, enum lock_rank rank, const char *name,
			enum held_kind kind)
{
	backend_at = at;
	if (backend_ranks) {
		check_acquire(lock, rank, name, kind);
		return;
	}
	if (is_atomic(rank)) {
		thread_context.atomic_depth++;
		thread_context.atomic_name = name;
	} else if (rank >= RANK_RCU) {
		thread_context.no_sleep_depth++;
	}
}

void backend_release_at(void *at, const void *lock, enum lock_rank rank, const char *name)
{
	backend_at = at;
	if (backend_ranks)
		check_release(lock, name);
	else if (is_atomic(rank))
		thread_context.atomic_depth--;
	else if (rank >= RANK_RCU)
		thread_context.no_sleep_depth--;
}

void backend_wait_at(void *at, enum wait_kind kind, const void *lock, const char *name)
{
	backend_at = at;
	if (backend_ranks)
		check_wait(kind, lock, name);
}

int wait_on_word(struct a32 *word, u32 expected, u64 deadline_ns)
{
	backend_wait(deadline_ns == WAIT_FOREVER ? WAIT_WORD : WAIT_WORD_BOUNDED, word, "a word");
	return explore_wait(word, expected, sim_deadline(deadline_ns));
}

int wait_on_word_atomic(struct a32 *word, u32 expected, u64 deadline_ns)
{
	return explore_wait_atomic(word, expected, sim_deadline(deadline_ns));
}

void wake_word_one(struct a32 *word)
{
	explore_wake(word, 1);
}

void wake_word_all(struct a32 *word)
{
	explore_wake(word, ~0u);
}

/*
 * An event count in fewer steps: a notification always changes the word. Who prepared before it does not sleep, and who prepares
 * after it finds what it is about, as native_event_count.h says; the scenario sync-event-count runs that.
 */
u32 event_count_prepare(struct event_count *e)
{
	explore_read(&e->word, "prepare to wait");
	return e->word.v;
}

void event_count_cancel(struct event_count *e)
{
}

int event_count_wait(struct event_count *e, u32 ticket, u64 deadline_ns)
{
	return wait_on_word(&e->word, ticket, deadline_ns);
}

int event_count_wait_atomic(struct event_count *e, u32 ticket)
{
	return wait_on_word_atomic(&e->word, ticket, WAIT_FOREVER);
}

void event_count_notify(struct event_count *e)
{
	explore_notify(&e->word);
}

static void thread_main(void *arg)
{
	struct thread *t = arg;

	thread_context.signals_blocked = 1;
	thread_context.signals_mask = ~0ull;
	t->fn(t->arg);
	thread_assert_unlocked("end of thread");
}

int thread_create(struct thread **out, const char *name, void (*fn)(void *), void *arg)
{
	struct thread *t = NEW(struct thread);

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->arg = arg;
	strncpy(t->name, name, sizeof(t->name) - 1);
	/* Ends with the machine, not with the threads of the scenario. */
	t->id = explore_thread_create(t->name, thread_main, t, true);
	*out = t;
	return 0;
}

void thread_join(struct thread *t)
{
	backend_wait(WAIT_WORD, t, t->name);
	explore_thread_join(t->id);
	DELETE(t);
}

/* checker.c is compiled with this name for its own: the explorer has the better report, the checker knows of guest mode. */
void checker_assert_unlocked(const char *where);

void thread_assert_unlocked(const char *where)
{
	explore_assert_unlocked(where);
	checker_assert_unlocked(where);
}

/* Never 0. */
u32 thread_self(void)
{
	return explore_self() + 1;
}

/* No scenario forks. */
bool sync_same_process(void)
{
	return true;
}

unsigned thread_nr_held(void)
{
	return sync_self()->nr_held + sync_self()->nr_more_vcpus;
}
