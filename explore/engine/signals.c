/* SPDX-License-Identifier: MIT */
/*
 * Crashes of the code under test are violations. The handlers run on a stack of their own, as the fault may be that a fiber's stack
 * is full, and leave to the main stack without returning: nothing is blocked meanwhile (SA_NODEFER), so nothing has to be
 * restored. A crash of the explorer itself, outside an execution, stays a crash.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "engine/internal.h"

#define HANDLER_STACK (64u * 1024)

static uintptr_t context_pc(const ucontext_t *c)
{
#if defined(__x86_64__)
	return c->uc_mcontext.gregs[REG_RIP];
#else
	return c->uc_mcontext.pc;
#endif
}

static const char *signal_text(int signo)
{
	switch (signo) {
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGFPE:
		return "SIGFPE";
	default:
		return "SIGILL";
	}
}

/* Near 0, beyond the fiber's stack, or anywhere. Addresses of this process do not belong into a report. */
static const char *address_text(uintptr_t addr)
{
	const char *stack = engine_current->p->stack;

	if (addr < 65536)
		return ": NULL or an offset from it";
	if (addr - ((uintptr_t)stack - 65536) < 65536)
		return ": the stack is full";
	return "";
}

static void crash(int signo, siginfo_t *info, void *context)
{
	uintptr_t pc = context_pc(context);
	struct violation v = {.kind = signo == SIGABRT ? BAD_ASSERTION : BAD_WILD_ACCESS};

	if (!engine.running) {
		signal(signo, SIG_DFL);
		raise(signo);
		return;
	}
	if (signo == SIGABRT)
		snprintf(v.message, sizeof(v.message), "abort() was called");
	else
		snprintf(v.message, sizeof(v.message), "%s%s%s", signal_text(signo),
			 engine_current->in_runtime ? " in the explorer itself" : "",
			 signo == SIGSEGV || signo == SIGBUS
				 ? address_text((uintptr_t)info->si_addr)
				 : "");
	/* abort's own address is that of a library: its caller counts. */
	engine_site(engine_current, signo == SIGABRT ? 0 : pc, &v.site);
	engine_violation(&v);
}

void signals_init(void)
{
	static const int signo[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	struct sigaction sa = {.sa_sigaction = crash,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t stack = {.ss_size = HANDLER_STACK, .ss_sp = malloc(HANDLER_STACK)};

	if (!stack.ss_sp || sigaltstack(&stack, NULL)) {
		fprintf(stderr, "explorer: no stack for signals\n");
		exit(2);
	}
	sigemptyset(&sa.sa_mask);
	for (unsigned i = 0; i < sizeof(signo) / sizeof(signo[0]); i++)
		sigaction(signo[i], &sa, NULL);
}
