/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/bug.h"
#include "base/context.h"
#include "base/log.h"

THREAD_LOCAL struct thread_context thread_context;

void bug_at(const char *file, int line, const char *what)
{
	log_line("BUG: %s:%d: %s", file, line, what);
	abort();
}

void warn_at(const char *file, int line, const char *what)
{
	log_line("WARNING: %s:%d: %s", file, line, what);
}

void context_assert_may_block(const char *what)
{
	if (likely(!thread_context.atomic_depth))
		return;
	log_line("BUG: %s while holding %s", what,
		 thread_context.atomic_name ? thread_context.atomic_name : "a lock");
	abort();
}

void context_assert_may_sleep(const char *what)
{
	context_assert_may_block(what);
	if (likely(!thread_context.no_sleep_depth))
		return;
	log_line("BUG: %s in an RCU section or under a device lock", what);
	abort();
}
