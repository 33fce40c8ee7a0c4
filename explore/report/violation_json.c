/* SPDX-License-Identifier: MIT */
/*
 * A violation as JSON. The schema, version 1 (a key may be added, none is renamed or taken away without another version):
 *
 *	format		"explore-violation-1"
 *	id		stable name of the fault: scenario and hash
 *	verdict		the first line of the text
 *	scenario, mutant (null: none), property (null: none said)
 *	kind		"use after free"...
 *	message		one line
 *	object		"struct vm #1", "" if it is about none
 *	switches	changes of a thread that could have gone on
 *	replay		command line
 *	schedule	what replay takes
 *	threads		[{id, name}], those that have lines
 *	lines		[{kind, thread, text, ...}] in order of time. kind: plan, operation, access, switch, fold, violation.
 *			holds: locks and sections held behind it, if any; stack: [{function, file, line}], innermost first;
 *			of a switch: to (thread), preempted; of a fold: operations;
 *			after: index of the line of another thread whose order before this one counts
 *	sites		[{what, thread, stack}]
 *	cycle		["T1 waits for ..."], one for each edge
 *	missing_order	null, or {text, first, second}: the indices of the two lines, null where one is not shown
 */
#include "report/json.h"
#include "report/story.h"

#include <stdlib.h>

static void put_stack(struct json *j, const struct stack *stack)
{
	json_open(j, "stack", '[');
	for (unsigned i = 0; i < stack->nr; i++) {
		const struct frame *f = &stack->frame[i];

		json_open(j, NULL, '{');
		json_string(j, "function", f->function);
		if (f->file) {
			json_string(j, "file", f->file);
			json_number(j, "line", f->line);
		}
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void put_line(struct json *j, const struct line *l)
{
	json_open(j, NULL, '{');
	json_string(j, "kind", line_kind_name(l->kind));
	json_number(j, "thread", (uint64_t)(l->fiber > 0 ? l->fiber : 0));
	json_string(j, "text", l->text);
	if (l->holds[0])
		json_string(j, "holds", l->holds);
	if (l->kind == LINE_SWITCH) {
		json_number(j, "to", (uint64_t)l->to);
		json_bool(j, "preempted", l->preempted);
	}
	if (l->kind == LINE_FOLD)
		json_number(j, "operations", l->folded);
	if (l->edge_from >= 0)
		json_number(j, "after", (uint64_t)l->edge_from);
	if (l->stack.nr)
		put_stack(j, &l->stack);
	json_close(j, '}');
}

static void put_index(struct json *j, const char *key, int line)
{
	if (line < 0)
		json_string(j, key, NULL);
	else
		json_number(j, key, (uint64_t)line);
}

static void put_causes(struct json *j, const struct story *s)
{
	json_open(j, "sites", '[');
	for (unsigned i = 0; i < s->nr_sites; i++) {
		json_open(j, NULL, '{');
		json_string(j, "what", s->site[i].what);
		json_number(j, "thread", (uint64_t)(s->site[i].fiber > 0 ? s->site[i].fiber : 0));
		put_stack(j, &s->site[i].stack);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_open(j, "cycle", '[');
	for (unsigned i = 0; i < s->nr_cycle; i++)
		json_string(j, NULL, s->cycle_text[i]);
	json_close(j, ']');
	if (!s->missing) {
		json_string(j, "missing_order", NULL);
		return;
	}
	json_open(j, "missing_order", '{');
	json_string(j, "text", s->missing);
	put_index(j, "first", s->missing_from);
	put_index(j, "second", s->missing_to);
	json_close(j, '}');
}

void report_json(FILE *out, const struct report_violation *v)
{
	struct story *s = story_new(v);
	struct json j = {.out = out};
	char *schedule = schedule_format(v->scenario->name, v->schedule);

	json_open(&j, NULL, '{');
	json_string(&j, "format", "explore-violation-1");
	json_string(&j, "id", s->id);
	json_string(&j, "verdict", s->verdict);
	json_string(&j, "scenario", v->scenario->name);
	json_string(&j, "mutant", v->mutant);
	json_string(&j, "property", v->scenario->property);
	json_string(&j, "kind", violation_name(v->x->violation.kind));
	json_string(&j, "message", v->x->violation.message);
	json_string(&j, "object", v->x->violation.object);
	json_number(&j, "switches", v->x->switches);
	json_string(&j, "replay", s->replay);
	json_string(&j, "schedule", schedule);
	json_open(&j, "threads", '[');
	for (int f = 0; f < MAX_FIBERS; f++) {
		if (!s->column[f])
			continue;
		json_open(&j, NULL, '{');
		json_number(&j, "id", (uint64_t)f);
		json_string(&j, "name", story_fiber(s, f));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_open(&j, "lines", '[');
	for (size_t i = 0; i < s->nr_lines; i++)
		put_line(&j, &s->line[i]);
	json_close(&j, ']');
	put_causes(&j, s);
	json_close(&j, '}');
	free(schedule);
	story_free(s);
}
