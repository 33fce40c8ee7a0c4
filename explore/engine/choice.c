/* SPDX-License-Identifier: MIT */
/* What code under test asks and tells: choices, abstract operations, spinning, names and steps for the report. */
#include <stdarg.h>
#include <stdio.h>

#include "engine/internal.h"

static unsigned choose(unsigned n, bool fault, const char *what, uintptr_t pc)
{
	struct op op = op_make(OP_CHOICE, ACCESS_NONE, NULL, pc);
	struct fiber *f = engine_current;
	unsigned value;
	uint64_t h;

	if (n < 2 || !engine_concurrent || (fault && !engine.now.faults_left))
		return 0;
	f->in_runtime++;
	value = engine.strategy->choose(engine.strategy, n, fault, what);
	if (fault && value)
		engine.now.faults_left--;
	h = hash_mix((uint64_t)f->id << 40 | (uint64_t)f->nr_events << 8 | value, ++f->p->choices);
	engine.x.class_hash += h;
	engine.x.steps_hash = hash_mix(engine.x.steps_hash, h);
	op.name = what;
	engine_note(&op);
	engine_outcome("= %u", value);
	f->in_runtime--;
	return value;
}

unsigned explore_choose(unsigned n, const char *what)
{
	return choose(n, true, what, PC);
}

unsigned explore_pick(unsigned n, const char *what)
{
	return choose(n, false, what, PC);
}

void explore_step(const char *fmt, ...)
{
	char *plan = engine_current->p->plan;
	va_list ap;

	if (!engine_recording)
		return;
	plan[0] = 0;
	if (!fmt)
		return;
	va_start(ap, fmt);
	vsnprintf(plan, sizeof(engine_current->p->plan), fmt, ap);
	va_end(ap);
}

void explore_name(const void *addr, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	thing_of(addr)->name = pool_format(fmt, ap);
	va_end(ap);
}

bool explore_concurrent(void)
{
	return engine_concurrent;
}

unsigned explore_self(void)
{
	return engine_current->id;
}

void explore_read(const void *object, const char *name)
{
	struct op op = op_make(OP_READ, ACCESS_READ, object, PC);

	op.name = name;
	op_do(op, NULL, NULL);
}

void explore_write(const void *object, const char *name)
{
	struct op op = op_make(OP_WRITE, ACCESS_WRITE, object, PC);

	op.name = name;
	op_do(op, NULL, NULL);
}

static bool spin_over(const struct op *op, struct fiber *f, void *arg)
{
	const struct fiber_private *p = f->p;

	for (unsigned i = 0; i < p->nr_watch; i++)
		if (p->watch[i].changed != NO_EVENT)
			return true;
	/* Nothing was read, or more than is remembered: there is nothing that the fiber could wait for. */
	return !p->nr_watch || p->watch_full;
}

void explore_spin(void)
{
	struct op op = op_make(OP_SPIN, ACCESS_NONE, NULL, PC);
	const struct fiber_private *p = engine_current->p;

	for (unsigned i = 0; i < p->nr_watch; i++)
		op.watched |= 1ull << p->watch[i].t->o.id % 64;
	engine_point(&op, spin_over, NULL);
	engine_current->p->nr_watch = 0;
	engine_current->p->watch_full = false;
}

void explore_fail(const char *fmt, ...)
{
	struct violation v = {.kind = BAD_ASSERTION};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v.message, sizeof(v.message), fmt, ap);
	va_end(ap);
	engine_site(engine_current, PC, &v.site);
	engine_violation(&v);
}
