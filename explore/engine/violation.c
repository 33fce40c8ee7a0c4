/* SPDX-License-Identifier: MIT */
/* The end of an execution that broke a rule: where, and a signature that the same fault has in another order. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"

extern const char __ehdr_start[] __attribute__((weak, visibility("hidden")));

static const char *const names[NR_VIOLATIONS] = {
	[BAD_ASSERTION] = "assertion failed",
	[BAD_USE_AFTER_FREE] = "use after free",
	[BAD_DOUBLE_FREE] = "double free",
	[BAD_WILD_ACCESS] = "wild access",
	[BAD_LEAK] = "leak",
	[BAD_DATA_RACE] = "data race",
	[BAD_DEADLOCK] = "deadlock",
	[BAD_LOST_WAKEUP] = "lost wake-up",
	[BAD_LOCK_ORDER] = "lock order inversion",
	[BAD_SECTION] = "unbalanced section",
	[BAD_REFCOUNT] = "reference count",
	[BAD_SLEEP] = "sleep in atomic context",
	[BAD_GUARD] = "missing guard",
	[BAD_UNLOCKED_HOOK] = "hook under a lock",
	[BAD_STALE_TRANSLATION] = "stale translation",
	[BAD_LIVELOCK] = "livelock",
};

const char *violation_name(enum violation_kind kind)
{
	return names[kind];
}

uint32_t engine_step(void)
{
	return engine_concurrent && engine.x.nr_events ? engine.x.nr_events - 1 : ~0u;
}

void engine_site(const struct fiber *f, uintptr_t pc, struct site *out)
{
	unsigned n = 0;

	if (pc)
		out->pc[n++] = pc;
	for (uint32_t d = f->depth < 128 ? f->depth : 128; d && n < MAX_STACK; d--)
		out->pc[n++] = f->call[d - 1];
	if (n < MAX_STACK)
		out->pc[n] = 0;
	out->fiber = f->id;
	out->step = engine_step();
}

void violation_add_site(struct violation *v, const char *what, const struct held *h, int fiber)
{
	struct site *s;

	if (v->nr_others == 3)
		return;
	s = &v->other[v->nr_others];
	s->pc[0] = h->pc;
	s->pc[1] = 0;
	s->fiber = fiber;
	s->step = h->step ? h->step - 1 : ~0u;
	v->other_what[v->nr_others++] = what;
}

/* The place of code, whatever address the program was loaded at. */
static uint64_t code_hash(uintptr_t pc)
{
	return pc - (__ehdr_start ? (uintptr_t)__ehdr_start : 0);
}

/* The name without numbers: "struct vm #2+0x10" and "struct vm #T1.1+0x10" are alike. */
static uint64_t name_hash(const char *name)
{
	uint64_t h = 1;

	for (; *name; name++) {
		if (*name == '#') {
			while ((name[1] >= '0' && name[1] <= '9') || name[1] == 'T' ||
			       name[1] == '.')
				name++;
			continue;
		}
		h = hash_mix(h, (unsigned char)*name);
	}
	return h;
}

/* Which of two sites came first, and who is the first of a cycle, does not matter: sums. */
static uint64_t signature(const struct violation *v)
{
	uint64_t h = code_hash(v->site.pc[0]);

	for (unsigned i = 0; i < v->nr_others; i++)
		h += hash_mix(i, code_hash(v->other[i].pc[0]));
	if (v->nr_edges)
		h = 0;
	for (unsigned i = 0; i < v->nr_edges; i++)
		h += name_hash(v->edge[i].text);
	return hash_mix(hash_mix(v->kind, h), v->nr_edges ? 0 : name_hash(v->object));
}

void engine_violation(struct violation *v)
{
	if (!engine.running) {
		fprintf(stderr, "explorer: outside an execution: %s\n", v->message);
		abort();
	}
	if (!v->site.pc[0])
		engine_site(engine_current, 0, &v->site);
	v->signature = signature(v);
	engine.x.violation = *v;
	fibers_leave(RUN_VIOLATION);
}

void engine_violation_text(enum violation_kind kind, const char *fmt, ...)
{
	struct violation v = {.kind = kind};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v.message, sizeof(v.message), fmt, ap);
	va_end(ap);
	if (engine.running)
		engine_site(engine_current, (uintptr_t)__builtin_return_address(0), &v.site);
	engine_violation(&v);
}

void violation_at(enum violation_kind kind, uintptr_t pc, const char *fmt, ...)
{
	struct violation v = {.kind = kind};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v.message, sizeof(v.message), fmt, ap);
	va_end(ap);
	engine_site(engine_current, pc, &v.site);
	engine_violation(&v);
}

void engine_aborted(const char *text)
{
	engine_violation_text(BAD_ASSERTION, "%s", text);
}
