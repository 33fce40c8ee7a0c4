/* SPDX-License-Identifier: MIT */
/*
 * Threads and their slots. A slot is claimed under a spin lock with a compare-free search, so ids are small and used again;
 * chunks of slots are added and never removed, so a grace period may scan them without the lock.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bug.h"
#include "base/raw.h"
#include "sync/process_sync.h"
#include "sync/thread.h"

#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1 << 4)
#define STACK_SIZE			      (256 * KIB)
/* All signals but faults and libc's own. */
#define BLOCKABLE (~(1ull << 10 | 1ull << 6 | 1ull << 7 | 1ull << 3 | 1ull << 31 | 1ull << 32))

THREAD_LOCAL struct sync_tls sync_tls;

static void lock_slots(struct sync_process *p)
{
	while (a32_xchg(&p->thread_lock, 1))
		raw_syscall(SYS_sched_yield);
}

static void unlock_slots(struct sync_process *p)
{
	a32_store_release(&p->thread_lock, 0); /* pairs with the xchg in lock_slots */
}

static struct thread *claim_slot(struct sync_process *p)
{
	for (u32 k = 0, base = 0; k < THREAD_CHUNKS; k++) {
		u32 n = THREAD_CHUNK << k;
		struct thread *chunk = aptr_load_acquire(&p->chunk[k]);

		if (!chunk) {
			chunk = (void *)raw_syscall(SYS_mmap, 0, n * sizeof(*chunk),
						    PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if ((uintptr_t)chunk >= (uintptr_t)-4095)
				return NULL;
			/* Zeroed slots: outside, unused. Pairs with the acquire in thread_for_each. */
			aptr_store_release(&p->chunk[k], chunk);
		}
		for (u32 i = 0; i < n; i++) {
			if (a32_load_acquire(&chunk[i].used))
				continue;
			chunk[i].id = base + i + 1;
			a32_store_release(&chunk[i].used, 1);
			return &chunk[i];
		}
		base += n;
	}
	return NULL;
}

static struct thread *slot_alloc(void)
{
	struct sync_process *p = sync_process();
	struct thread *t;

	lock_slots(p);
	t = claim_slot(p);
	unlock_slots(p);
	return t;
}

static void slot_free(struct thread *t)
{
	BUG_ON(a64_load_relaxed(&t->rcu_epoch));
	t->joinable = false;
	a32_store_release(&t->used, 0); /* pairs with the acquire in claim_slot */
}

void thread_for_each(void (*fn)(struct thread *t, void *arg), void *arg)
{
	struct sync_process *p = sync_process();

	for (u32 k = 0; k < THREAD_CHUNKS; k++) {
		struct thread *chunk = aptr_load_acquire(&p->chunk[k]);

		if (!chunk)
			break;
		for (u32 i = 0; i < (u32)THREAD_CHUNK << k; i++)
			fn(&chunk[i], arg);
	}
}

/* Runs when a thread that used sync/ ends. A later destructor that uses sync/ again registers anew and brings this back. */
static void thread_exit(void *arg)
{
	struct thread *t = arg;

	sync_tls.self = NULL;
	if (!t->joinable)
		slot_free(t);
}

static void forget_thread(struct thread *t, void *self)
{
	if (t == self)
		return;
	a64_store_relaxed(&t->rcu_epoch, 0);
	a32_store_relaxed(&t->used, 0);
}

/* In a fork child, alone: the other threads do not exist here. */
static void after_fork(void)
{
	struct sync_process *p = sync_process();

	a32_store(&p->pid, raw_syscall(SYS_getpid));
	a32_store(&p->thread_lock, 0);
	thread_for_each(forget_thread, sync_tls.self);
	rcu_reset_after_fork();
	if (p->membarrier)
		raw_syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

static void process_init(struct sync_process *p)
{
	if (a32_cmpxchg(&p->init, 0, 1)) {
		if (pthread_key_create(&p->key, thread_exit))
			BUG();
		pthread_atfork(NULL, NULL, after_fork);
		a32_store(&p->pid, raw_syscall(SYS_getpid));
#if !defined(ANYKVM_TSAN)
		p->membarrier = raw_syscall(SYS_membarrier, MEMBARRIER_REGISTER_PRIVATE_EXPEDITED,
					    0, 0) == 0;
#endif
		a64_store(&p->rcu_epoch, 1);
		a32_store_release(&p->init,
				  2); /* pairs with the acquire below and in thread_register_slow */
	}
	while (a32_load_acquire(&p->init) != 2)
		raw_syscall(SYS_sched_yield);
}

static void adopt_slot(struct thread *t)
{
	sync_tls.self = t;
	pthread_setspecific(sync_process()->key, t);
}

struct thread *thread_register_slow(void)
{
	struct sync_process *p = sync_process();
	u64 block = BLOCKABLE, old;
	struct thread *t;

	/* A handler of the program may register the thread as well: not with the spin lock held, and not between the two steps. */
	raw_syscall(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &block, &old, 8);
	if (a32_load_acquire(&p->init) != 2)
		process_init(p);
	t = sync_tls.self;
	if (!t) {
		t = slot_alloc();
		/* A thread without a slot cannot even take a lock; the host is out of memory for one page. */
		BUG_ON(!t);
		adopt_slot(t);
	}
	raw_syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &old, NULL, 8);
	return t;
}

bool sync_same_process(void)
{
	return a32_load_relaxed(&sync_process()->pid) == (u32)raw_syscall(SYS_getpid);
}

u32 thread_self(void)
{
	return thread_current()->id;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	adopt_slot(t);
	/* By thread_create, for good: the program has no mask here. */
	thread_context.signals_blocked = 1;
	thread_context.signals_mask = ~0ull;
	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	thread_assert_unlocked("end of thread");
	return NULL;
}

int thread_create(struct thread **out, const char *name, void (*fn)(void *), void *arg)
{
	struct thread *t;
	pthread_attr_t attr;
	u64 block = BLOCKABLE, old;
	int ret;

	thread_current(); /* initialises */
	t = slot_alloc();
	if (!t)
		return -ENOMEM;
	t->joinable = true;
	t->fn = fn;
	t->arg = arg;
	strncpy(t->name, name, sizeof(t->name) - 1);
	t->name[sizeof(t->name) - 1] = 0;
	pthread_attr_init(&attr);
#if !defined(ANYKVM_SANITIZED)
	pthread_attr_setstacksize(&attr, MAX(STACK_SIZE, (u64)PTHREAD_STACK_MIN));
#endif
	/* The new thread inherits the mask. */
	raw_syscall(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &block, &old, 8);
	ret = pthread_create(&t->handle, &attr, thread_main, t);
	raw_syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &old, NULL, 8);
	pthread_attr_destroy(&attr);
	if (ret) {
		slot_free(t);
		return -ret;
	}
	*out = t;
	return 0;
}

void thread_join(struct thread *t)
{
	check_wait(WAIT_WORD, t, t->name);
	if (pthread_join(t->handle, NULL))
		BUG();
	slot_free(t);
}

unsigned thread_nr_held(void)
{
#if defined(ANYKVM_CHECKED)
	return sync_tls.nr_held + sync_tls.nr_more_vcpus;
#else
	return 0;
#endif
}
