/* SPDX-License-Identifier: MIT */
/* What a program does about SIGSEGV and SIGBUS while the library's handler stands in front of its own. */
#ifndef ANYKVM_HOST_GUARDED_ACTION_H
#define ANYKVM_HOST_GUARDED_ACTION_H

#include "base/types.h"

/* A signal action in the kernel's layout. */
struct guarded_action {
	u64 handler;
	u64 flags;
	u64 restorer;
	u64 mask;
};

/*
 * sigaction for SIGSEGV or SIGBUS: once the library's handler is installed, only what it passes on to changes. The restorer of
 * *act is chosen here. act and old may be NULL. shared is false in a fork child, where another thread of the parent may have left the
 * lock taken, for ever. 0 or -errno.
 */
int guarded_action_change(int signo, const struct guarded_action *act, struct guarded_action *old,
			  bool shared);

/* The same at the system, whoever's handler stands there. */
int guarded_action_raw(int signo, const struct guarded_action *act, struct guarded_action *old);

#endif
