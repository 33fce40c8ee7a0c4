/* SPDX-License-Identifier: MIT */
/* An execution made up line by line, as the engine would have recorded it. */
#ifndef ANYKVM_EXPLORE_TESTS_REPORT_MADE_H
#define ANYKVM_EXPLORE_TESTS_REPORT_MADE_H

#include "report/report.h"
#include "report/story.h"

#include "test.h"

static const struct explore_suite suite = {.program = "toy explore"};
static struct record record[64];
static struct event event[64];
static struct execution execution;

struct what {
	int fiber;
	enum op_kind kind;
	uint32_t object; /* 0: none */
	bool shared;
	const char *text, *holds, *plan;
};

/* The address is a place in this program, so it has a name. */
__attribute__((noinline)) static void done(const struct what *w)
{
	struct record *r = &record[execution.nr_records++];
	bool point = w->kind != OP_UNLOCK && w->kind != OP_ALLOC && w->kind != OP_FREE && w->fiber;

	*r = (struct record){
		.op = {.kind = (unsigned char)w->kind,
		       .access = ACCESS_WRITE,
		       .object = w->object,
		       .pc = (uintptr_t)__builtin_return_address(0)},
		.fiber = w->fiber,
		.step = execution.nr_events,
		.object = w->object,
		.shared = w->shared,
	};
	snprintf(r->text, sizeof(r->text), "%s", w->text);
	snprintf(r->holds, sizeof(r->holds), "%s", w->holds ? w->holds : "");
	snprintf(r->plan, sizeof(r->plan), "%s", w->plan ? w->plan : "");
	r->site = (struct site){.pc = {r->op.pc}, .fiber = w->fiber, .step = r->step};
	if (point)
		event[execution.nr_events++] =
			(struct event){.op = r->op, .fiber = w->fiber, .enabled = 6};
}

static void begin(const struct explore_scenario *sc, const char *first, const char *second)
{
	execution = (struct execution){
		.record = record, .event = event, .switches = 1, .nr_fibers = 3, .scenario = sc};
	snprintf(execution.fiber_name[1], sizeof(execution.fiber_name[1]), "%s", first);
	snprintf(execution.fiber_name[2], sizeof(execution.fiber_name[2]), "%s", second);
}

/* The last record of that kind. */
static const struct record *recorded(enum op_kind kind)
{
	for (uint32_t i = execution.nr_records; i-- > 0;)
		if (record[i].op.kind == kind)
			return &record[i];
	return NULL;
}

#endif
