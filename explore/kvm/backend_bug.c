/* SPDX-License-Identifier: MIT */
/*
 * What the library says before it aborts is the violation. Its sources are compiled with abort renamed to anykvm_explored_abort;
 * log_line keeps the last line instead of writing it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "explore/kvm/backend.h"
#include "explore/kvm/host_sim.h"

#include "engine/engine.h"

#define CHECKER "BUG: lock order: "

static char last_line[512];

/* Warnings are no violations, and a scenario may make the library speak: so nothing is printed. */
void log_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, ap);
	va_end(ap);
}

/* Only the violation that it becomes has it: what is said now ends it. */
void sim_log_keep(sim_keep_fn *keep)
{
	keep(last_line, strlen(last_line) + 1);
}

static enum violation_kind kind_of(const char *line)
{
	static const struct {
		const char *text;
		enum violation_kind kind;
	} known[] = {
		{CHECKER "no sleep", BAD_SLEEP},
		{CHECKER "no wait", BAD_SLEEP},
		{CHECKER, BAD_LOCK_ORDER},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(line, known[i].text, strlen(known[i].text)))
			return known[i].kind;
	return strstr(line, " while holding ") || strstr(line, " in an RCU section or ")
		       ? BAD_SLEEP
		       : BAD_ASSERTION;
}

__attribute__((noreturn)) void anykvm_explored_abort(void);

void anykvm_explored_abort(void)
{
	const char *line = last_line[0] ? last_line : "BUG: abort()";
	bool checker = !strncmp(line, CHECKER, sizeof(CHECKER) - 1);
	struct violation v = {.kind = kind_of(line)};

	snprintf(v.message, sizeof(v.message), "%s", line);
	/* bug_at is compiled as the library is, so its caller is on the stack; the checker is not. */
	engine_site(engine_current, checker ? (uintptr_t)backend_at : 0, &v.site);
	engine_violation(&v);
}

void sim_may_not(const char *what, const char *why, void *at)
{
	struct violation v = {.kind = BAD_SLEEP};

	snprintf(v.message, sizeof(v.message), "%s %s", what, why);
	engine_site(engine_current, (uintptr_t)at, &v.site);
	engine_violation(&v);
}

void backend_fail(void *at, const char *fmt, ...)
{
	struct violation v = {.kind = BAD_ASSERTION};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v.message, sizeof(v.message), fmt, ap);
	va_end(ap);
	engine_site(engine_current, (uintptr_t)at, &v.site);
	engine_violation(&v);
}

void sim_log_begin(void)
{
	last_line[0] = 0;
}
