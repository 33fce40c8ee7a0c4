/* SPDX-License-Identifier: MIT */
/*
 * The run-time check of the lock order (rank.h): what a thread holds, against what it is about to take or to wait for.
 *
 * Base rule: a lock is taken only if its rank is higher than that of everything held. Beyond it:
 *   several vCPU mutexes                 only with vm->lock held; beyond the first few they are counted, not listed
 *   under vm_list_lock, mn_lock          nothing at all
 *   entering an SRCU section             never blocks: allowed but under mmu_lock, mn_lock and device locks
 *   entering the notifier's (LO-8)       also not under slots_lock, slots_arch_lock, page lock. vm->lock and others may be held:
 *                                        a signal handler that unmaps does not ask what its thread is in
 *   entering an RCU section              always allowed
 *   slots_arch_lock in an SRCU section   allowed (LO-4), but not in one of the notifier's
 *   a mutex in an RCU section            leaf ranks only
 *   wait for SRCU (LO-2, LO-3, I-33)     vm->lock, vcpu->mutex, slots_lock may be held; no section
 *   wait for the notifier's SRCU (LO-10) nothing may be held
 *   wait for RCU                         no RCU section, inval_lock, slots_arch_lock, page lock, mn_lock, mmu_lock, device lock
 *   sleeping on a word or condition      no RCU section, page lock, mn_lock, mmu_lock, device lock (but the condition's own)
 *   sleeping in a pair (LO-5)            only with a deadline
 *   in guest mode (LO-7)                 vcpu->mutex is held at most; RCU and device locks may be taken; no sleep
 *   under mmu_lock, mn_lock              no allocation, free, guest memory, blocking host call (LO-6): by thread_context, checked
 *                                        in host/. Asynchronous signals are blocked (LO-12): counted by host/, checked here
 */
#include <stdlib.h>

#include "base/bug.h"
#include "base/log.h"
#include "sync/process_sync.h"
#include "sync/thread.h"

const char *rank_name(enum lock_rank rank)
{
	static const char *const names[NR_LOCK_RANKS] = {
		[RANK_VM_LIST] = "vm_list",
		[RANK_VM] = "vm",
		[RANK_VCPU] = "vcpu",
		[RANK_CONFIG] = "config",
		[RANK_SLOTS] = "slots",
		[RANK_INVAL] = "inval",
		[RANK_IRQ] = "irq",
		[RANK_ITS_CMD] = "its_cmd",
		[RANK_ITS] = "its",
		[RANK_SLOTS_ARCH] = "slots_arch",
		[RANK_MN_SRCU] = "mn_srcu",
		[RANK_SRCU] = "srcu",
		[RANK_PAGE] = "page",
		[RANK_MN] = "mn",
		[RANK_MMU] = "mmu",
		[RANK_RCU] = "rcu",
		[RANK_VGIC_DIST] = "vgic_dist",
		[RANK_VGIC_CPU] = "vgic_cpu",
		[RANK_VGIC_IRQ] = "vgic_irq",
		[RANK_TIMER] = "timer",
		[RANK_LEAF] = "leaf",
	};

	return rank < NR_LOCK_RANKS ? names[rank] : "?";
}

#if defined(ANYKVM_CHECKED)

void rank_at(const char *file, int line)
{
	sync_self()->file = file;
	sync_self()->line = line;
}

NORETURN static void violation(const char *rule, const char *doing, const char *name,
			       enum lock_rank rank, const struct held *h)
{
	log_line("BUG: lock order: %s: %s %s (%s) at %s:%d while holding %s (%s) taken at %s:%d",
		 rule, doing, name, rank_name(rank), sync_self()->file ? sync_self()->file : "?",
		 sync_self()->line, h->name, rank_name(h->rank), h->file ? h->file : "?", h->line);
	abort();
}

static bool holds_rank(enum lock_rank rank)
{
	for (u32 i = 0; i < sync_self()->nr_held; i++)
		if (sync_self()->held[i].rank == rank)
			return true;
	return false;
}

bool check_holds(const void *lock)
{
	for (u32 i = 0; i < sync_self()->nr_held; i++)
		if (sync_self()->held[i].lock == lock)
			return true;
	return false;
}

/* Ranks whose holder may not block. */
static bool is_atomic(const struct held *h)
{
	return h->rank == RANK_MMU || h->rank == RANK_MN;
}

static bool is_device_lock(const struct held *h)
{
	return h->rank > RANK_RCU;
}

static void check_enter_srcu(const char *name, enum lock_rank rank, const struct held *h)
{
	bool slots = h->rank == RANK_SLOTS || h->rank == RANK_SLOTS_ARCH || h->rank == RANK_PAGE;

	if (is_atomic(h) || is_device_lock(h))
		violation("no SRCU section under this lock", "entering", name, rank, h);
	if (rank == RANK_MN_SRCU && slots)
		violation("no pair under this lock", "entering", name, rank, h);
}

static void check_take(const void *lock, const char *name, enum lock_rank rank,
		       const struct held *h)
{
	if (h->lock == lock)
		violation("not recursive", "taking", name, rank, h);
	if (h->rank == RANK_VM_LIST || h->rank == RANK_MN)
		violation("nothing inside", "taking", name, rank, h);
	if (rank == RANK_SLOTS_ARCH && h->rank == RANK_SRCU)
		return; /* LO-4 */
	if (rank == RANK_VCPU && h->rank == RANK_VCPU && holds_rank(RANK_VM))
		return;
	if (rank == RANK_MN && h->rank == RANK_MMU)
		violation("never under mmu_lock", "taking", name, rank, h);
	if (rank <= h->rank)
		violation(rank == h->rank ? "same rank" : "wrong order", "taking", name, rank, h);
}

NORETURN static void violation_of_thread(const char *rule, const char *doing, const char *name)
{
	log_line("BUG: lock order: %s: %s %s at %s:%d", rule, doing, name,
		 sync_self()->file ? sync_self()->file : "?", sync_self()->line);
	abort();
}

/* What does not depend on the locks held. */
static void check_thread(enum lock_rank rank, const char *name)
{
	if (sync_self()->guests && rank < RANK_RCU)
		violation_of_thread("no lock in guest mode", "taking", name);
	if ((rank == RANK_MMU || rank == RANK_MN) && !thread_context.signals_blocked)
		violation_of_thread("signals are not blocked", "taking", name);
}

void check_acquire(const void *lock, enum lock_rank rank, const char *name, enum held_kind kind)
{
	struct sync_tls *tls = sync_self();

	check_thread(rank, name);
	for (u32 i = 0; i < tls->nr_held; i++) {
		if (kind == HELD_RCU)
			break;
		if (kind == HELD_SRCU)
			check_enter_srcu(name, rank, &tls->held[i]);
		else
			check_take(lock, name, rank, &tls->held[i]);
	}
	if (rank == RANK_VCPU && tls->nr_held >= HELD_VCPUS) {
		tls->nr_more_vcpus++;
		tls->file = NULL;
		return;
	}
	BUG_ON(tls->nr_held == HELD_MAX);
	tls->held[tls->nr_held++] = (struct held){.lock = lock,
						  .name = name,
						  .rank = rank,
						  .kind = kind,
						  .file = tls->file,
						  .line = tls->line};
	tls->file = NULL;
	tls->line = 0;
	if (rank == RANK_MMU || rank == RANK_MN) {
		thread_context.atomic_depth++;
		thread_context.atomic_name = name;
	} else if (rank >= RANK_RCU) {
		thread_context.no_sleep_depth++;
	}
}

void check_release(const void *lock, const char *name)
{
	struct sync_tls *tls = sync_self();
	u32 i = tls->nr_held;

	while (i && tls->held[i - 1].lock != lock)
		i--;
	if (!i && tls->nr_more_vcpus) {
		tls->nr_more_vcpus--;
		return;
	}
	if (!i) {
		log_line("BUG: lock order: releasing %s, which this thread does not hold", name);
		abort();
	}
	if (is_atomic(&tls->held[i - 1]))
		thread_context.atomic_depth--;
	else if (tls->held[i - 1].rank >= RANK_RCU)
		thread_context.no_sleep_depth--;
	tls->nr_held--;
	for (i--; i < tls->nr_held; i++)
		tls->held[i] = tls->held[i + 1];
}

static bool wait_allowed(enum wait_kind kind, const void *lock, const struct held *h)
{
	switch (kind) {
	case WAIT_MN_SRCU:
		return false;
	case WAIT_SRCU:
		return h->rank == RANK_VM || h->rank == RANK_VCPU || h->rank == RANK_SLOTS;
	case WAIT_RCU:
		return h->rank != RANK_INVAL && h->rank != RANK_SLOTS_ARCH && h->rank < RANK_PAGE;
	case WAIT_COND:
		return h->lock == lock || (h->rank < RANK_PAGE && h->rank != RANK_MN_SRCU);
	case WAIT_WORD:
		return h->rank < RANK_PAGE && h->rank != RANK_MN_SRCU;
	case WAIT_WORD_BOUNDED:
		return h->rank < RANK_PAGE;
	}
	return false;
}

void check_wait(enum wait_kind kind, const void *lock, const char *name)
{
	static const char *const rule[] = {
		[WAIT_WORD] = "no sleep here",
		[WAIT_WORD_BOUNDED] = "no sleep here",
		[WAIT_COND] = "no sleep here",
		[WAIT_SRCU] = "no wait for SRCU here",
		[WAIT_MN_SRCU] = "no wait for the notifier's SRCU here",
		[WAIT_RCU] = "no wait for RCU here",
	};
	static const enum lock_rank rank[] = {RANK_LEAF, RANK_LEAF,    RANK_LEAF,
					      RANK_SRCU, RANK_MN_SRCU, RANK_RCU};

	if (sync_self()->guests)
		violation_of_thread("no wait in guest mode", "waiting for", name);
	for (u32 i = 0; i < sync_self()->nr_held; i++)
		if (!wait_allowed(kind, lock, &sync_self()->held[i]))
			violation(rule[kind], "waiting for", name, rank[kind],
				  &sync_self()->held[i]);
}

void thread_enter_guest(void)
{
	for (u32 i = 0; i < sync_self()->nr_held; i++)
		if (sync_self()->held[i].rank != RANK_VCPU)
			violation("no lock in guest mode", "entering", "the guest", RANK_LEAF,
				  &sync_self()->held[i]);
	sync_self()->guests++;
}

void thread_leave_guest(void)
{
	BUG_ON(!sync_self()->guests);
	sync_self()->guests--;
}

void thread_assert_unlocked(const char *where)
{
	const struct held *h;

	if (sync_self()->guests)
		violation_of_thread("not in guest mode", "coming to", where);
	if (!thread_nr_held())
		return;
	h = &sync_self()->held[sync_self()->nr_held ? sync_self()->nr_held - 1 : 0];
	log_line("BUG: lock order: %s with %s (%s) held, taken at %s:%d", where, h->name,
		 rank_name(h->rank), h->file ? h->file : "?", h->line);
	abort();
}

#else

void rank_at(const char *file, int line)
{
}

void thread_assert_unlocked(const char *where)
{
}

void thread_enter_guest(void)
{
}

void thread_leave_guest(void)
{
}

#endif
