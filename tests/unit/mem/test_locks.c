/* SPDX-License-Identifier: MIT */
/* What signal handlers and forks may do to a thread that is in the library. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/context.h"
#include "host/alloc.h"
#include "host/signal.h"
#include "mem/userfault.h"
#include "rig.h"
#include "test.h"

static struct rig r;

static pthread_t interrupted;
static struct a32 storm_of_signals_over, signals_handled;
static char *handlers_page;

static void signal_main(void *arg)
{
	while (!a32_load(&storm_of_signals_over))
		pthread_kill(interrupted, SIGUSR1);
}

/* As an interposed munmap does. */
static void unmap_in_handler(int signo)
{
	struct mem_inval_token t;

	mem_invalidate_start((uintptr_t)handlers_page, (uintptr_t)handlers_page + PAGE, 0, &t);
	mem_invalidate_end(&t);
	mem_userfault_remove((uintptr_t)handlers_page, (uintptr_t)handlers_page + PAGE);
	a32_fetch_add(&signals_handled, 1);
}

static void change_userfault_ranges(void *arg)
{
	u64 a = *(u64 *)arg;

	for (unsigned i = 0; i < 200000 && (i < 2000 || a32_load(&signals_handled) < 2000); i++) {
		/* Twice: there is nothing to take out the second time, and the lock all the same. */
		EXPECT_EQ(mem_userfault_add(a, a + PAGE), 0);
		EXPECT_EQ(mem_userfault_remove(a, a + PAGE), 0);
		EXPECT_EQ(mem_userfault_remove(a, a + PAGE), 0);
		EXPECT(!mem_has_slots(&r.m));
		EXPECT_EQ(mem_set_manual_protect(&r.m, 0), 0);
	}
}

TEST(a_signal_handler_may_unmap_whatever_its_thread_does_in_the_library)
{
#if defined(ANYKVM_SANITIZED)
	SKIP("sanitized builds use malloc, which may not be entered from handlers; TSan runs them "
	     "late");
#endif
	char *p = rig_map(2 * PAGE, 0);
	u64 a = (uintptr_t)p;
	struct sigaction act = {.sa_handler = unmap_in_handler}, old;
	struct helper h;

	rig_start(&r);
	handlers_page = p + PAGE;
	interrupted = pthread_self();
	a32_store(&storm_of_signals_over, 0);
	a32_store(&signals_handled, 0);
	ASSERT(!sigaction(SIGUSR1, &act, &old));
	ASSERT_EQ(mem_userfault_add(a + GIB, a + GIB + PAGE), 0);
	helper_start(&h, signal_main, NULL);
	rig_open_to_signals(&r, change_userfault_ranges, &a);
	a32_store(&storm_of_signals_over, 1);
	helper_join(&h);
	EXPECT(a32_load(&signals_handled) > 0);
	mem_userfault_remove(a + GIB, a + GIB + PAGE);
	EXPECT(rig_stop(&r));
	/* Only now the last of them has come. */
	sigaction(SIGUSR1, &old, NULL);
	munmap(p, 2 * PAGE);
}

/* --- fork ------------------------------------------------------------------------------------------------------------- */

static struct a32 lock_taken, may_unlock;

static void hold_mmu_lock(void *arg)
{
	u64 sigmask = host_signals_block();

	write_lock(&r.m.mmu_lock);
	a32_store(&lock_taken, 1);
	while (!a32_load(&may_unlock))
		sleep_ms(1);
	write_unlock(&r.m.mmu_lock);
	host_signals_restore(sigmask);
}

/* The program forks between the two calls of a pair of its own: the child ends it, too, on a dead copy. */
TEST(I34_the_end_of_a_pair_in_a_child_takes_no_lock)
{
	char *p = rig_map(PAGE, 0);
	struct mem_inval_token t;
	struct helper h;
	int status = -1;
	pid_t pid;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	mem_invalidate_start((uintptr_t)p, (uintptr_t)p + PAGE, 0, &t);
	a32_store(&lock_taken, 0);
	a32_store(&may_unlock, 0);
	helper_start(&h, hold_mmu_lock, NULL);
	while (!a32_load(&lock_taken))
		sleep_ms(1);
	pid = fork();
	if (!pid) {
		mem_invalidate_end(&t);
		_exit(thread_context.signals_blocked != 1);
	}
	for (unsigned i = 0; i < 5000 && !waitpid(pid, &status, WNOHANG); i++)
		sleep_ms(1);
	EXPECT_EQ(status, 0);
	if (status)
		kill(pid, SIGKILL);
	a32_store(&may_unlock, 1);
	mem_invalidate_end(&t);
	helper_join(&h);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}
