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

static char last_line[512];

/* Warnings are no violations, and a scenario may make the library speak: so nothing is printed. */
void log_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, ap);
	va_end(ap);
}

static enum violation_kind kind_of(const char *line)
{
	static const struct {
		const char *text;
		enum violation_kind kind;
	} known[] = {
		{"BUG: lock order: no sleep", BAD_SLEEP}, {"BUG: lock order: no wait", BAD_SLEEP},
		{"BUG: lock order: ", BAD_LOCK_ORDER},	  {"BUG: allocation while", BAD_SLEEP},
		{"BUG: free while", BAD_SLEEP},
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

	engine_violation_text(kind_of(line), "%s", line);
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
