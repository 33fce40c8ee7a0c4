/* SPDX-License-Identifier: MIT */
/* sigaction for the two signals that the library needs for itself. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "api/api.h"
#include "host/guarded_action.h"
#include "host/signal.h"

/* A handler of the program may use the library, whose accesses raise these: never blocked. */
#define FAULTS (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS))

static struct guarded_action kernel_action(const struct sigaction *act)
{
	struct guarded_action k = {.handler = (uintptr_t)act->sa_handler,
				   .flags = (u32)act->sa_flags};

	memcpy(&k.mask, &act->sa_mask, sizeof(k.mask));
	k.mask &= ~FAULTS;
	return k;
}

static struct sigaction libc_action(const struct guarded_action *k)
{
	struct sigaction act = {.sa_flags = k->flags};

	/* Not by its name, which may be a macro: with it a handler of three arguments is the same pointer. */
	memcpy(&act.sa_handler, &k->handler, sizeof(k->handler));
	memcpy(&act.sa_mask, &k->mask, sizeof(k->mask));
	act.sa_restorer = (void (*)(void))(uintptr_t)k->restorer;
	return act;
}

int anykvm_sigaction(int signo, const struct sigaction *act, struct sigaction *oldact)
{
	struct guarded_action set, old;
	enum api_role role;
	int r;

	if (signo != SIGSEGV && signo != SIGBUS) {
		errno = EINVAL;
		return -1;
	}
	role = api_role_exact();
	if (act)
		set = kernel_action(act);
	/* A vfork child's actions are its own, our records its parent's. Before the first handle there are none. */
	if (role == API_NOBODY)
		r = guarded_action_raw(signo, act ? &set : NULL, &old);
	else
		r = guarded_action_change(signo, act ? &set : NULL, &old, role == API_OWNER);
	if (!r && oldact)
		*oldact = libc_action(&old);
	return api_result(r);
}
