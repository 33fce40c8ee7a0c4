/* SPDX-License-Identifier: MIT */
/* SIGSEGV and SIGBUS belong to the program and to the library at once; other signals end KVM_RUN. */
#include <setjmp.h>
#include <signal.h>

#include "../api/vmm.h"
#include "preload.h"

static volatile int handled;
static sigjmp_buf back;

static void jump_back(int signo)
{
	handled = signo;
	siglongjmp(back, 1);
}

static void note(int signo)
{
	handled = signo;
}

/* A fault of the program's own. */
static int own_fault(void)
{
	handled = 0;
	if (sigsetjmp(back, 1) == 0)
		*(volatile int *)bad_pointer() = 1;
	return handled;
}

/* KVM reads what an ioctl names, and finds nothing there. */
static void expect_efault(struct machine *m)
{
	handled = 0;
	EXPECT_ERRNO(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, bad_pointer()), EFAULT);
	EXPECT_EQ(handled, 0);
}

static void *default_handler(int signo)
{
	struct sigaction old;

	EXPECT_EQ(sigaction(signo, NULL, &old), 0);
	return old.sa_handler;
}

TEST(a_program_sees_its_own_handlers_only)
{
	struct sigaction act = {.sa_handler = jump_back}, old;
	struct machine m = machine_new(1);

	EXPECT(default_handler(SIGSEGV) == SIG_DFL);
	sigaddset(&act.sa_mask, SIGBUS);
	sigaddset(&act.sa_mask, SIGUSR2);
	EXPECT_EQ(sigaction(SIGSEGV, &act, &old), 0);
	EXPECT(old.sa_handler == SIG_DFL);
	expect_efault(&m);
	EXPECT_EQ(own_fault(), SIGSEGV);
	EXPECT_EQ(sigaction(SIGSEGV, NULL, &old), 0);
	EXPECT(old.sa_handler == jump_back && old.sa_flags == 0
		       ? 1
		       : (old.sa_flags & ~0x04000000) == 0);
	EXPECT(sigismember(&old.sa_mask, SIGBUS) == 1 && sigismember(&old.sa_mask, SIGUSR2) == 1);
	EXPECT(signal(SIGSEGV, SIG_IGN) == jump_back);
	expect_efault(&m);
	EXPECT(signal(SIGSEGV, jump_back) == SIG_IGN);
	expect_efault(&m);
	EXPECT_EQ(own_fault(), SIGSEGV);
	EXPECT(signal(SIGSEGV, SIG_DFL) == jump_back);
	EXPECT(default_handler(SIGSEGV) == SIG_DFL);
	machine_free(&m);
}

TEST(a_handler_for_one_shot_is_gone_after_it)
{
	struct sigaction act = {.sa_handler = jump_back, .sa_flags = SA_RESETHAND | SA_NODEFER};
	struct machine m = machine_new(1);

	EXPECT_EQ(sigaction(SIGSEGV, &act, NULL), 0);
	EXPECT_EQ(own_fault(), SIGSEGV);
	EXPECT(default_handler(SIGSEGV) == SIG_DFL);
	expect_efault(&m);
	EXPECT(sysv_signal(SIGSEGV, jump_back) == SIG_DFL);
	EXPECT_EQ(own_fault(), SIGSEGV);
	EXPECT(default_handler(SIGSEGV) == SIG_DFL);
	machine_free(&m);
}

TEST(who_blocks_all_signals_does_not_block_the_librarys)
{
	struct machine m = machine_new(1);
	sigset_t all, before, now;
	unsigned long raw = 0;

	sigfillset(&all);
	EXPECT_EQ(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
	EXPECT_EQ(sigismember(&before, SIGSEGV), 0);
	expect_efault(&m);
	EXPECT_EQ(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	EXPECT(sigismember(&now, SIGSEGV) == 1 && sigismember(&now, SIGBUS) == 1);
	EXPECT(sigismember(&now, SIGUSR1) == 1);
	EXPECT_EQ(sigprocmask(SIG_SETMASK, &before, &now), 0);
	EXPECT_EQ(sigismember(&now, SIGBUS), 1);
	EXPECT_EQ(sigprocmask(SIG_BLOCK, &all, NULL), 0);
	expect_efault(&m);
	EXPECT_EQ(sigprocmask(SIG_UNBLOCK, &all, &now), 0);
	EXPECT_EQ(sigismember(&now, SIGSEGV), 1);
	EXPECT_EQ(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 8l), 0);
	expect_efault(&m);
	EXPECT_EQ(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, &raw, 8l), 0);
	EXPECT(raw & 1ul << (SIGSEGV - 1));
	EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8l, NULL, 8l), EFAULT);
	EXPECT_EQ(pthread_sigmask(12345, &all, NULL), EINVAL);
	machine_free(&m);
}

static struct machine *handlers_machine;
static int handlers_error;

static void use_kvm(int signo)
{
	errno = 0;
	if (ioctl(handlers_machine->vm, KVM_SET_USER_MEMORY_REGION, bad_pointer()) < 0)
		handlers_error = errno;
}

TEST(a_handler_whose_mask_blocks_all_may_use_kvm)
{
	struct sigaction act = {.sa_handler = use_kvm}, old;
	struct machine m = machine_new(1);

	handlers_machine = &m;
	sigfillset(&act.sa_mask);
	EXPECT_EQ(sigaction(SIGUSR1, &act, NULL), 0);
	raise(SIGUSR1);
	EXPECT_EQ(handlers_error, EFAULT);
	EXPECT_EQ(sigaction(SIGUSR1, NULL, &old), 0);
	EXPECT_EQ(sigismember(&old.sa_mask, SIGSEGV), 1);
	EXPECT_EQ(sigismember(&old.sa_mask, SIGBUS), 1);
	signal(SIGUSR1, SIG_DFL);
	EXPECT_ERRNO(sigaction(SIGKILL, &act, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(12345, &act, NULL), EINVAL);
	machine_free(&m);
}

TEST(a_signal_to_the_thread_of_a_running_vcpu_ends_the_run)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct runner r;

	put(&c, 0x14000000); /* b . */
	code_done(&m);
	signal(SIGUSR1, note);
	for (int i = 0; i < 3; i++) {
		runner_start(&r, &m, 0);
		runner_interrupt(&r, SIGUSR1);
		EXPECT(r.result == -1 && r.error == EINTR);
		EXPECT_EQ(handled, SIGUSR1);
	}
	signal(SIGUSR1, SIG_DFL);
	machine_free(&m);
}
