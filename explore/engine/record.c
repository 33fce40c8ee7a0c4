/* SPDX-License-Identifier: MIT */
/* The record of an execution: a line for each operation, for the report. Kept only when asked for, so it may cost. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"

bool engine_recording;

static const char *const names[NR_OPS] = {
	[OP_NONE] = "nothing",
	[OP_BEGIN] = "begin",
	[OP_END] = "end",
	[OP_LOAD] = "load",
	[OP_STORE] = "store",
	[OP_RMW] = "atomic",
	[OP_MUTEX_LOCK] = "mutex_lock",
	[OP_MUTEX_TRYLOCK] = "mutex_trylock",
	[OP_READ_LOCK] = "read_lock",
	[OP_WRITE_LOCK] = "write_lock",
	[OP_UNLOCK] = "unlock",
	[OP_WAIT] = "wait",
	[OP_WOKEN] = "wait goes on",
	[OP_WAKE] = "wake",
	[OP_COND_WAIT] = "cond_wait",
	[OP_COND_SIGNAL] = "cond_signal",
	[OP_COND_BROADCAST] = "cond_broadcast",
	[OP_ENTER] = "section_enter",
	[OP_EXIT] = "section_exit",
	[OP_SYNC_BEGIN] = "synchronize",
	[OP_SYNC_END] = "synchronize returns",
	[OP_DEFER] = "defer",
	[OP_CALLBACK] = "callback",
	[OP_BARRIER] = "barrier",
	[OP_BARRIER_END] = "barrier returns",
	[OP_REF_GET] = "ref_get",
	[OP_REF_TRY_GET] = "ref_try_get",
	[OP_REF_PUT] = "ref_put",
	[OP_REF_READ] = "ref_read",
	[OP_READ] = "read",
	[OP_WRITE] = "write",
	[OP_SPIN] = "spin",
	[OP_CREATE] = "thread_create",
	[OP_JOIN] = "thread_join",
	[OP_ALLOC] = "alloc",
	[OP_FREE] = "free",
	[OP_CHOICE] = "choose",
};

const char *op_name(enum op_kind kind)
{
	return names[kind];
}

/* As the call is written: "mutex_lock(slots_lock of struct vm #1)", "look for signals(process+0x40)", "choose(fault)". */
static void text_format(const struct op *op, char *buf, size_t size)
{
	bool named = op->name && (op->kind == OP_READ || op->kind == OP_WRITE);
	const char *verb = named ? op->name : op_name(op->kind);
	char what[96] = "";

	if (op->kind == OP_ALLOC || op->kind == OP_FREE)
		engine_describe(op->addr, what, sizeof(what));
	else if (op->name && !named)
		snprintf(what, sizeof(what), "%s", op->name);
	else if (op->object)
		thing_describe(thing_at(op->object), what, sizeof(what));
	else if (op->addr)
		engine_describe(op->addr, what, sizeof(what));
	if (what[0])
		snprintf(buf, size, "%s(%s)", verb, what);
	else
		snprintf(buf, size, "%s", verb);
}

void record_add(struct fiber *f, const struct op *op)
{
	struct execution *x = &engine.x;
	struct record *r;

	if (x->nr_records == engine.max_records) {
		uint32_t max = engine.max_records ? engine.max_records * 2 : 1024;
		struct record *more = realloc(x->record, max * sizeof(*more));

		if (!more) {
			fprintf(stderr, "explorer: no memory for the record\n");
			exit(2);
		}
		x->record = more;
		engine.max_records = max;
	}
	r = &x->record[x->nr_records];
	r->op = *op;
	r->fiber = f->id;
	r->step = x->nr_events;
	r->object = op->object;
	r->shared = false;
	engine_site(f, op->pc, &r->site);
	text_format(op, r->text, sizeof(r->text));
	snprintf(r->plan, sizeof(r->plan), "%s", f->p->plan);
	held_format(f, r->holds, sizeof(r->holds));
	f->p->record = x->nr_records++;
}

void record_holds(struct fiber *f)
{
	struct record *r;

	if (f->p->record == NO_EVENT)
		return;
	r = &engine.x.record[f->p->record];
	held_format(f, r->holds, sizeof(r->holds));
}

void record_finish(void)
{
	for (uint32_t i = 0; i < engine.x.nr_records; i++) {
		struct record *r = &engine.x.record[i];

		if (r->object)
			r->shared = __builtin_popcount(thing_at(r->object)->users) > 1;
	}
}

void engine_record(const struct op *op)
{
	struct op full = *op;

	engine_current->in_runtime++;
	if (!full.object && full.addr)
		full.object = thing_find(full.addr);
	record_add(engine_current, &full);
	engine_current->in_runtime--;
}

void engine_record_outcome(const char *fmt, ...)
{
	struct record *r;
	size_t n;
	va_list ap;

	if (engine_current->p->record == NO_EVENT)
		return;
	r = &engine.x.record[engine_current->p->record];
	n = strlen(r->text);
	if (n + 2 > sizeof(r->text))
		return;
	r->text[n++] = ' ';
	va_start(ap, fmt);
	vsnprintf(r->text + n, sizeof(r->text) - n, fmt, ap);
	va_end(ap);
}
