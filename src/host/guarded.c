/* SPDX-License-Identifier: MIT */
/*
 * Recovery from faults in guarded accesses.
 *
 * Each access leaves a (pc, resume) pair in section anykvm_ex; the linker gathers them and names the bounds. The handler runs
 * on the faulting thread, finds the pc and resumes at the failure path. Any other fault belongs to whoever was there before.
 *
 * A VMM may install its handler after ours, and chain to what it found, which is us. guarded_install() then puts ours first
 * again and remembers the VMM's. So a fault of the VMM goes ours, VMM's, and perhaps ours again: that second call, known by
 * its return address, which is not our restorer, goes on one record further back. A handler that jumps out leaves the level
 * behind; the next signal that the kernel delivers to us starts anew.
 */
#include <signal.h>
#include <ucontext.h>

#include "base/bug.h"
#include "base/context.h"
#include "host/guarded.h"
#include "host/guarded_action.h"
#include "host/process_host.h"
#include "base/raw.h"
#include "host/signal.h"
#include "host/userfault_private.h"

struct guarded_entry {
	s32 pc, resume;
};
extern const struct guarded_entry guarded_table[] __asm__("__start_anykvm_ex");
extern const struct guarded_entry guarded_table_end[] __asm__("__stop_anykvm_ex");

#define KERNEL_SA_RESTORER 0x04000000ul
#define KERNEL_SIGSET_SIZE 8

/* The kernel returns from the handler to here. */
extern void guarded_restorer(void) __attribute__((visibility("hidden")));

#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".balign 16\n"
	".hidden guarded_restorer\n"
	".globl guarded_restorer\n"
	".type guarded_restorer, @function\n"
	"nop\n" /* unwinders look up return address - 1 */
	"guarded_restorer:\n"
	"	mov $15, %rax\n" /* unwinders know these bytes */
	"	syscall\n"
	".size guarded_restorer, . - guarded_restorer\n"
	/* size_t guarded_copy_left(rdi dst, rsi src, rdx n) */
	".balign 16\n"
	".hidden guarded_copy_left\n"
	".globl guarded_copy_left\n"
	".type guarded_copy_left, @function\n"
	"guarded_copy_left:\n"
	"	mov %rdx, %rcx\n"
	"1:	rep movsb\n"
	"2:	mov %rcx, %rax\n"
	"	ret\n"
	".size guarded_copy_left, . - guarded_copy_left\n" GUARDED_ENTRY("1b", "2b")
	/* size_t guarded_zero_left(rdi hva, rsi n) */
	".balign 16\n"
	".hidden guarded_zero_left\n"
	".globl guarded_zero_left\n"
	".type guarded_zero_left, @function\n"
	"guarded_zero_left:\n"
	"	mov %rsi, %rcx\n"
	"	xor %eax, %eax\n"
	"1:	rep stosb\n"
	"2:	mov %rcx, %rax\n"
	"	ret\n"
	".size guarded_zero_left, . - guarded_zero_left\n" GUARDED_ENTRY("1b",
									 "2b") ".popsection\n");
#define CONTEXT_PC(uc) ((uc)->uc_mcontext.gregs[REG_RIP])
#else
__asm__(".pushsection .text\n"
	".balign 16\n"
	".hidden guarded_restorer\n"
	".globl guarded_restorer\n"
	".type guarded_restorer, %function\n"
	"	nop\n"
	"guarded_restorer:\n"
	"	mov x8, #139\n"
	"	svc #0\n"
	".size guarded_restorer, . - guarded_restorer\n"
	/* size_t guarded_copy_left(x0 dst, x1 src, x2 n): words while both allow it, then bytes */
	".balign 16\n"
	".hidden guarded_copy_left\n"
	".globl guarded_copy_left\n"
	".type guarded_copy_left, %function\n"
	"guarded_copy_left:\n"
	"	orr x4, x0, x1\n"
	"	tst x4, #7\n"
	"	b.ne 5f\n"
	"4:	cmp x2, #8\n"
	"	b.lo 5f\n"
	"1:	ldr x3, [x1]\n"
	"2:	str x3, [x0]\n"
	"	add x0, x0, #8\n"
	"	add x1, x1, #8\n"
	"	sub x2, x2, #8\n"
	"	b 4b\n"
	"5:	cbz x2, 8f\n"
	"6:	ldrb w3, [x1]\n"
	"7:	strb w3, [x0]\n"
	"	add x0, x0, #1\n"
	"	add x1, x1, #1\n"
	"	sub x2, x2, #1\n"
	"	b 5b\n"
	"8:	mov x0, x2\n"
	"	ret\n"
	".size guarded_copy_left, . - guarded_copy_left\n" GUARDED_ENTRY("1b", "8b")
		GUARDED_ENTRY("2b", "8b") GUARDED_ENTRY("6b", "8b") GUARDED_ENTRY("7b", "8b")
	/* size_t guarded_zero_left(x0 hva, x1 n) */
	".balign 16\n"
	".hidden guarded_zero_left\n"
	".globl guarded_zero_left\n"
	".type guarded_zero_left, %function\n"
	"guarded_zero_left:\n"
	"	tst x0, #7\n"
	"	b.ne 5f\n"
	"4:	cmp x1, #8\n"
	"	b.lo 5f\n"
	"1:	str xzr, [x0]\n"
	"	add x0, x0, #8\n"
	"	sub x1, x1, #8\n"
	"	b 4b\n"
	"5:	cbz x1, 8f\n"
	"6:	strb wzr, [x0]\n"
	"	add x0, x0, #1\n"
	"	sub x1, x1, #1\n"
	"	b 5b\n"
	"8:	mov x0, x1\n"
	"	ret\n"
	".size guarded_zero_left, . - guarded_zero_left\n" GUARDED_ENTRY("1b", "8b")
		GUARDED_ENTRY("6b", "8b") ".popsection\n");
#define CONTEXT_PC(uc) ((uc)->uc_mcontext.pc)
#endif

/* The signal being passed on by this thread, and the record it was passed to. */
static THREAD_LOCAL struct {
	void *context;
	u32 record;
} passing;

static struct guarded_chain *chain_of(int signo)
{
	return signo == SIGSEGV ? &host_process()->guarded_segv : &host_process()->guarded_bus;
}

static int action_set(int signo, const struct guarded_action *act, struct guarded_action *old)
{
	return raw_syscall(SYS_rt_sigaction, signo, act, old, KERNEL_SIGSET_SIZE);
}

/* A scan: a guarded fault is rare and costs a signal anyway, and nothing has to be built before the first one. */
NO_TSAN static u64 resume_of(u64 pc)
{
	for (const struct guarded_entry *e = guarded_table; e < guarded_table_end; e++)
		if ((u64)((intptr_t)&e->pc + e->pc) == pc)
			return (u64)((intptr_t)&e->resume + e->resume);
	return 0;
}

/* What the kernel would have done had we not been there. */
NO_TSAN static void take_default(int signo, siginfo_t *info)
{
	struct guarded_action dfl = {.handler = (u64)(uintptr_t)SIG_DFL};

	action_set(signo, &dfl, NULL);
	/* A fault comes again when the instruction is run again; a sent signal must be sent again. */
	if (info->si_code <= 0)
		raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), raw_syscall(SYS_gettid), signo);
}

NO_TSAN static void call_chained(const struct guarded_action *act, int signo, siginfo_t *info,
				 void *context)
{
	u64 block = act->mask, old;

	if (act->handler == (u64)(uintptr_t)SIG_IGN && info->si_code <= 0)
		return;
	/* The kernel takes the default action when a real fault is ignored. */
	if (act->handler == (u64)(uintptr_t)SIG_DFL || act->handler == (u64)(uintptr_t)SIG_IGN) {
		take_default(signo, info);
		return;
	}
	if (!(act->flags & SA_NODEFER))
		block |= SIGNAL_BIT(signo);
	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &block, &old, KERNEL_SIGSET_SIZE);
	if (act->flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))(uintptr_t)act->handler)(signo, info, context);
	else
		((void (*)(int))(uintptr_t)act->handler)(signo);
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, KERNEL_SIGSET_SIZE);
}

/* A record: the last one may be changing, by another thread, or by this one if the fault was sent. */
NO_TSAN static struct guarded_action chain_read(const struct guarded_chain *chain, u32 i)
{
	struct guarded_action act;
	u32 seq;

	do {
		seq = a32_load_acquire(&chain->seq); /* pairs with the release in chain_write */
		act = chain->action[i];
		fence_acquire();
	} while ((seq & 1) || a32_load_relaxed(&chain->seq) != seq);
	return act;
}

/* Under the lock, with signals blocked: those that are sent, too. */
static void chain_write(struct guarded_chain *chain, u32 i, const struct guarded_action *act)
{
	a32_store_relaxed(&chain->seq, a32_load_relaxed(&chain->seq) + 1);
	fence_release();
	chain->action[i] = *act;
	a32_store_release(&chain->seq, a32_load_relaxed(&chain->seq) + 1);
}

NO_TSAN static void guarded_handler(int signo, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct guarded_chain *chain = chain_of(signo);
	struct guarded_action act;
	u64 resume;
	u32 nr;

	/* A signal that somebody sent (si_code <= 0) may arrive at any pc: not ours. */
	resume = info->si_code > 0 ? resume_of(CONTEXT_PC(uc)) : 0;
	if (resume) {
		CONTEXT_PC(uc) = resume;
		a64_fetch_add(&host_process()->guarded_recovered, 1);
		return;
	}
	/* A page that a pager serves: the instruction is run again when it is there. */
	if (signo == SIGSEGV && host_userfault_handle(info, context))
		return;
	nr = a32_load_acquire(&chain->nr); /* pairs with the release in install_one */
	/* Called by the handler we passed this signal to: one further back. Else by the kernel or by a handler put before us. */
	if (__builtin_return_address(0) != (void *)guarded_restorer && passing.context == context)
		nr = passing.record;
	if (!nr) {
		take_default(signo, info);
		return;
	}
	passing.context = context;
	passing.record = nr - 1;
	act = chain_read(chain, nr - 1);
	if ((act.flags & SA_RESETHAND) && nr == a32_load_relaxed(&chain->nr))
		guarded_action_change(signo, &(struct guarded_action){0}, NULL, true);
	call_chained(&act, signo, info, context);
	passing.context = NULL;
}

static void install_one(int signo)
{
	struct guarded_action ours = {
		.handler = (u64)(uintptr_t)guarded_handler,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | KERNEL_SA_RESTORER,
		.restorer = (u64)(uintptr_t)guarded_restorer,
	};
	struct guarded_chain *chain = chain_of(signo);
	struct guarded_action old;
	u32 nr;

	if (action_set(signo, NULL, &old) < 0)
		BUG();
	if (old.handler == ours.handler)
		return;
	nr = a32_load_relaxed(&chain->nr);
	/* More than this many different owners: the last record is replaced, the first stays. */
	if (nr == GUARDED_MAX_CHAIN)
		nr--;
	chain_write(chain, nr, &old);
	a32_store_release(
		&chain->nr,
		nr + 1); /* before ours can be called: pairs with the acquire in guarded_handler */
	if (action_set(signo, &ours, NULL) < 0)
		BUG();
}

void guarded_install(void)
{
	struct host_process *p = host_process();
	u64 mask = host_block_every_signal();

	host_spin_lock(&p->guarded_lock);
	install_one(SIGSEGV);
	install_one(SIGBUS);
	host_spin_unlock(&p->guarded_lock);
	host_restore_every_signal(mask);
	host_signals_unblock_faults();
}

int guarded_action_raw(int signo, const struct guarded_action *act, struct guarded_action *old)
{
	struct guarded_action set;

	if (!act)
		return action_set(signo, NULL, old);
	set = *act;
	set.flags |= KERNEL_SA_RESTORER;
	set.restorer = (u64)(uintptr_t)guarded_restorer;
	return action_set(signo, &set, old);
}

int guarded_action_change(int signo, const struct guarded_action *act, struct guarded_action *old,
			  bool shared)
{
	struct host_process *p = host_process();
	struct guarded_chain *chain = chain_of(signo);
	struct guarded_action now;
	u64 mask = host_block_every_signal();
	int r;
	u32 nr;

	if (shared)
		host_spin_lock(&p->guarded_lock);
	nr = a32_load_relaxed(&chain->nr);
	r = action_set(signo, NULL, &now);
	if (!r && nr && now.handler == (u64)(uintptr_t)guarded_handler) {
		now = chain->action[nr - 1];
		if (act)
			chain_write(chain, nr - 1, act);
	} else if (!r && act) {
		r = guarded_action_raw(signo, act, NULL);
	}
	if (shared)
		host_spin_unlock(&p->guarded_lock);
	host_restore_every_signal(mask);
	if (!r && old)
		*old = now;
	return r;
}

/* Either address is a user's and may be anything: as a pointer it may not even be added to. */
size_t guarded_copy(void *dst, const void *src, size_t n)
{
	uintptr_t to = (uintptr_t)dst, from = (uintptr_t)src;
	size_t left;

	for (;;) {
		left = guarded_copy_left((void *)to, (const void *)from, n);
		to += n - left;
		from += n - left;
		n = left;
		if (likely(!left) || !host_userfault_serve_copy((void *)to, (const void *)from))
			return left;
	}
}

int guarded_copy_from_user(void *dst, const void *arg, size_t n)
{
	return guarded_copy_from(dst, arg, n) ? 0 : -EFAULT;
}

int guarded_copy_to_user(void *arg, const void *src, size_t n)
{
	return guarded_copy_to(arg, src, n) ? 0 : -EFAULT;
}

u64 guarded_nr_recovered(void)
{
	return a64_load_relaxed(&host_process()->guarded_recovered);
}
