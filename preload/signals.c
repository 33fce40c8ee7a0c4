/* SPDX-License-Identifier: MIT */
/*
 * SIGSEGV and SIGBUS are the library's, too: by them it learns that host memory behind a slot is gone. So its handler stays in
 * front of the program's, and no mask blocks them: neither a thread's, nor that of another signal's handler, which may well use
 * a KVM descriptor. The program is told what it asked for.
 */
#include <errno.h>
#include <string.h>

#include "base/raw.h"
#include "preload.h"

#define FAULT_BIT(signo) (1ul << ((signo)-1))
#define FAULTS		 (FAULT_BIT(SIGSEGV) | FAULT_BIT(SIGBUS))
#define NR_SIGNALS	 65

/* Of FAULTS, what the program believes is blocked. */
static _Thread_local __attribute__((tls_model("initial-exec"))) unsigned long thread_mask;
static unsigned long handler_mask[NR_SIGNALS];

static unsigned long faults_of(const sigset_t *set)
{
	return (sigismember(set, SIGSEGV) == 1 ? FAULT_BIT(SIGSEGV) : 0) |
	       (sigismember(set, SIGBUS) == 1 ? FAULT_BIT(SIGBUS) : 0);
}

static void without_faults(sigset_t *set)
{
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGBUS);
}

static void add_faults(sigset_t *set, unsigned long faults)
{
	if (faults & FAULT_BIT(SIGSEGV))
		sigaddset(set, SIGSEGV);
	if (faults & FAULT_BIT(SIGBUS))
		sigaddset(set, SIGBUS);
}

int kvm_sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
	bool known = signo > 0 && signo < NR_SIGNALS;
	unsigned long before = known ? __atomic_load_n(&handler_mask[signo], __ATOMIC_RELAXED) : 0;
	unsigned long faults = act ? faults_of(&act->sa_mask) : 0;
	struct sigaction set;
	int r;

	if (act) {
		set = *act;
		without_faults(&set.sa_mask);
	}
	r = is_fault_signal(signo)
		    ? anykvm_sigaction(signo, act ? &set : NULL, old)
		    : LIBC(int, sigaction, (int, const struct sigaction *, struct sigaction *))(
			      signo, act ? &set : NULL, old);
	if (r)
		return r;
	if (old)
		add_faults(&old->sa_mask, before);
	if (act && known)
		__atomic_store_n(&handler_mask[signo], faults, __ATOMIC_RELAXED);
	return 0;
}

sighandler_t kvm_signal(int signo, sighandler_t handler, int flags)
{
	struct sigaction act = {.sa_flags = flags}, old;

	/* By the member's place: with SA_SIGINFO it is the same pointer. */
	act.sa_handler = handler;
	return kvm_sigaction(signo, &act, &old) ? SIG_ERR : old.sa_handler;
}

static void note_mask(int how, unsigned long faults)
{
	if (how == SIG_BLOCK)
		thread_mask |= faults;
	else if (how == SIG_UNBLOCK)
		thread_mask &= ~faults;
	else
		thread_mask = faults;
}

static int change_mask(int (*libcs)(int, const sigset_t *, sigset_t *), int how,
		       const sigset_t *set, sigset_t *old)
{
	unsigned long before = thread_mask, faults = 0;
	sigset_t copy;
	int r;

	if (set) {
		copy = *set;
		faults = faults_of(set);
		if (how != SIG_UNBLOCK)
			without_faults(&copy);
	}
	r = libcs(how, set ? &copy : NULL, old);
	if (r)
		return r;
	if (set)
		note_mask(how, faults);
	if (old)
		add_faults(old, before);
	return 0;
}

int kvm_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(LIBC(int, sigprocmask, (int, const sigset_t *, sigset_t *)), how, set,
			   old);
}

int kvm_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(LIBC(int, pthread_sigmask, (int, const sigset_t *, sigset_t *)), how,
			   set, old);
}

/* The system looks at the pointers first; until the second call no guest memory is touched by this thread. */
long kvm_raw_sigprocmask(int how, const void *set, void *old, size_t size)
{
	unsigned long faults = FAULTS, before = thread_mask, mask;
	long r = raw_syscall(SYS_rt_sigprocmask, how, set, old, size);

	if (r)
		return refuse(-r);
	if (set) {
		raw_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &faults, &mask, sizeof(faults));
		note_mask(how, how == SIG_UNBLOCK ? *(const unsigned long *)set & FAULTS
						  : mask & FAULTS);
	}
	if (old)
		*(unsigned long *)old |= before;
	return 0;
}
