/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "base/context.h"
#include "base/raw.h"
#include "host/process_host.h"
#include "host/signal.h"

#define SIGSET_SIZE 8

/* Never blocked: faults of our own guarded accesses and of the program, and what libc uses for itself. */
#define NEVER_BLOCKED                                                                         \
	(SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGILL) | \
	 SIGNAL_BIT(32) | SIGNAL_BIT(33))

/* Default actions that are not to end the process, or not at once. */
#define IGNORED_BY_DEFAULT \
	(SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGCONT) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH))
#define STOPS_BY_DEFAULT \
	(SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))
#define DUMPS_BY_DEFAULT                                                                        \
	(SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGABRT) | \
	 SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGSYS) |   \
	 SIGNAL_BIT(SIGXCPU) | SIGNAL_BIT(SIGXFSZ))

u64 host_signals_block(void)
{
	struct thread_context *t = &thread_context;
	u64 block = ~NEVER_BLOCKED, old = 0;

	if (t->signals_blocked) {
		t->signals_blocked++;
		return t->signals_mask;
	}
	/* A handler that comes before the system call undoes what it does here; after it only those for faults come. */
	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &block, &old, SIGSET_SIZE);
	/* The count first: one for a fault that somebody sent would else take the mask of now for the program's. */
	t->signals_blocked = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	t->signals_mask = old;
	return old;
}

void host_signals_restore(u64 mask)
{
	if (!--thread_context.signals_blocked)
		raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
}

u64 host_signals_mask(void)
{
	u64 old = 0;

	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, SIGSET_SIZE);
	return old;
}

void host_signals_unblock(u64 set)
{
	raw_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, SIGSET_SIZE);
}

void host_signals_unblock_faults(void)
{
	host_signals_unblock(SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS));
}

/* handler, flags, restorer, mask: the kernel's layout. The first. */
static u64 handler_of(int signo)
{
	u64 act[4] = {0};

	raw_syscall(SYS_rt_sigaction, signo, NULL, act, SIGSET_SIZE);
	return act[0];
}

/* Whether the program's disposition of signo discards it. */
static bool is_ignored(int signo)
{
	u64 handler = handler_of(signo);

	if (handler == (u64)(uintptr_t)SIG_DFL)
		return SIGNAL_BIT(signo) & IGNORED_BY_DEFAULT;
	return handler == (u64)(uintptr_t)SIG_IGN;
}

bool host_signals_pending(u64 effective_mask)
{
	u64 pending = 0, found = 0, set;
	u64 no_wait[2] = {0, 0};

	raw_syscall(SYS_rt_sigpending, &pending, SIGSET_SIZE);
	pending &= ~effective_mask;
	if (likely(!pending))
		return false;
	/*
	 * A blocked signal stays pending even if it is ignored. Had it not been blocked by us, the kernel would have dropped
	 * it and KVM_RUN would have gone on: drop it here.
	 */
	for (int signo = 1; signo <= 64; signo++) {
		set = SIGNAL_BIT(signo);
		if (!(pending & set))
			continue;
		if (is_ignored(signo))
			raw_syscall(SYS_rt_sigtimedwait, &set, NULL, no_wait, SIGSET_SIZE);
		else
			found |= set;
	}
	return found;
}

u64 host_signals_fatal(u64 effective_mask)
{
	u64 pending = 0;

	raw_syscall(SYS_rt_sigpending, &pending, SIGSET_SIZE);
	pending &= ~(effective_mask | IGNORED_BY_DEFAULT | STOPS_BY_DEFAULT | DUMPS_BY_DEFAULT);
	for (int signo = 1; pending && signo <= 64; signo++)
		if ((pending & SIGNAL_BIT(signo)) && handler_of(signo) == (u64)(uintptr_t)SIG_DFL)
			return SIGNAL_BIT(signo);
	return 0;
}

u64 host_block_every_signal(void)
{
	u64 all = ~0ull, old = 0;

	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, SIGSET_SIZE);
	return old;
}

void host_restore_every_signal(u64 mask)
{
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
}
