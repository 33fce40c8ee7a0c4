/* SPDX-License-Identifier: MIT */
/* A fork child has one thread and a copy of every lock word: it must not hang, and nothing queued by the parent runs in it. */
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "sync/rcu.h"
#include "sync/srcu.h"
#include "sync/thread.h"
#include "../../test.h"
#include "../misuse.h"

static struct srcu srcu;
static struct a32 inside, let_go, ran;
static struct rcu_head head, child_head;

static void reader(void *arg)
{
	int c = srcu_read_lock(&srcu);

	rcu_read_lock();
	a32_store(&inside, 1);
	while (!a32_load(&let_go))
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	rcu_read_unlock();
	srcu_read_unlock(&srcu, c);
}

static void count_run(struct rcu_head *h)
{
	a32_fetch_add(&ran, 1);
}

static void child(void)
{
	/* The reader of the parent is not here: these may not wait for it. */
	rcu_synchronize();
	rcu_barrier();
	if (a32_load(&ran))
		_exit(2);
	/* What the child itself queues does run. */
	rcu_call(&child_head, count_run);
	rcu_barrier();
	if (a32_load(&ran) != 1)
		_exit(3);
	rcu_read_lock();
	rcu_read_unlock();
}

TEST(a_fork_child_neither_hangs_nor_runs_the_parents_callbacks)
{
	struct thread *t;

	srcu_init(&srcu, RANK_SRCU, "srcu");
	ASSERT(!thread_create(&t, "reader", reader, NULL));
	while (!a32_load(&inside))
		sched_yield();
	rcu_call(&head, count_run);
	EXPECT_NO_ABORT(child);
	EXPECT_EQ(a32_load(&ran), 0);
	a32_store(&let_go, 1);
	thread_join(t);
	rcu_barrier();
	EXPECT_EQ(a32_load(&ran), 1);
	srcu_fini(&srcu);
}

TEST(a_raw_clone_child_does_not_wait_for_anybody)
{
#if defined(ANYKVM_SANITIZED)
	SKIP("sanitizers need fork's handlers");
#endif
	struct thread *t;
	int status = -1;
	long pid;

	srcu_init(&srcu, RANK_SRCU, "srcu");
	a32_store(&inside, 0);
	a32_store(&let_go, 0);
	ASSERT(!thread_create(&t, "reader", reader, NULL));
	while (!a32_load(&inside))
		sched_yield();
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		syscall(SYS_setitimer, 0, &(long[4]){0, 0, 20, 0}, NULL);
		srcu_synchronize(&srcu);
		rcu_synchronize();
		rcu_barrier();
		syscall(SYS_exit_group, 0);
	}
	ASSERT(pid > 0);
	waitpid(pid, &status, 0);
	EXPECT_EQ(status, 0);
	a32_store(&let_go, 1);
	thread_join(t);
	srcu_fini(&srcu);
}
