/* SPDX-License-Identifier: MIT */
/*
 * From the record of an execution to the lines of a report. One walk over the record: headings where a thread's plan moves on, the
 * operations that matter, a fold for each row of those that do not, and a line for each switch, since the switches are what made this
 * execution differ from an ordinary one. Plain accesses are no operations: those that the violation names are put in where they
 * happened.
 */
#include "report/story.h"
#include "report/cause.h"

#include <stdlib.h>
#include <string.h>

const char *line_kind_name(enum line_kind kind)
{
	static const char *const name[] = {"plan",   "operation", "access",
					   "switch", "fold",	  "violation"};

	return name[kind];
}

const char *story_fiber(const struct story *s, int fiber)
{
	const struct execution *x = s->in->x;

	if (fiber > 0 && fiber < MAX_FIBERS)
		return x->fiber_name[fiber][0] ? x->fiber_name[fiber] : "thread";
	return "setup";
}

const struct frame *story_frame(const struct stack *stack)
{
	return stack->nr ? &stack->frame[symbols_place(stack->frame, stack->nr)] : NULL;
}

void story_place(const struct stack *stack, char *buf, size_t size)
{
	const struct frame *f = story_frame(stack);

	buf[0] = '\0';
	if (f && f->file)
		snprintf(buf, size, "%s (%s:%u)", f->function, f->file, f->line);
	else if (f)
		snprintf(buf, size, "%s", f->function);
}

const char *story_line_fiber(const struct story *s, const struct line *l)
{
	return l->finish ? "finish" : story_fiber(s, l->fiber);
}

void story_site_head(const struct story *s, const struct story_site *site, char *buf, size_t size)
{
	size_t n = strlen(site->what);
	bool by = n > 3 && !strcmp(site->what + n - 3, " by");

	snprintf(buf, size, "%s %s%s", site->what, by ? "" : "in ", story_fiber(s, site->fiber));
}

static void set_stack(struct stack *out, const struct site *site, uintptr_t pc)
{
	struct site only = {.pc = {pc}};

	out->nr = symbols_stack(site->pc[0] ? site : &only, out->frame, MAX_FRAMES);
}

static struct line *add_line(struct story *s, enum line_kind kind, int fiber)
{
	struct line *l;

	if (s->nr_lines == s->size_lines) {
		s->size_lines = s->size_lines ? s->size_lines * 2 : 64;
		s->line = realloc(s->line, s->size_lines * sizeof(*s->line));
		if (!s->line)
			abort();
	}
	l = &s->line[s->nr_lines++];
	*l = (struct line){
		.kind = kind, .fiber = fiber, .holds = "", .to = NO_FIBER, .edge_from = -1};
	if (fiber >= 0 && fiber < MAX_FIBERS && kind != LINE_FOLD)
		s->column[fiber] = true;
	return l;
}

/* The text of an operation without what came of it: "ref_put(count of struct file #1)". */
static void without_outcome(char *buf, size_t size, const char *text)
{
	char *at;

	snprintf(buf, size, "%s", text);
	at = strstr(buf, " = ");
	if (at)
		*at = '\0';
}

static const struct record *next_record(const struct execution *x, uint32_t i)
{
	for (uint32_t j = i + 1; j < x->nr_records; j++)
		if (x->record[j].fiber == x->record[i].fiber)
			return &x->record[j];
	return NULL;
}

/* Behind record i another thread goes on. */
static void add_switch(struct story *s, uint32_t i)
{
	const struct execution *x = s->in->x;
	const struct record *old = &x->record[i], *new = &x->record[i + 1],
			    *next = next_record(x, i);
	struct line *l = add_line(s, LINE_SWITCH, old->fiber);
	char what[sizeof(next->text)] = "";

	if (next)
		without_outcome(what, sizeof(what), next->text);
	for (unsigned e = 0; !next && e < x->violation.nr_edges; e++)
		if (x->violation.edge[e].fiber == old->fiber)
			snprintf(what, sizeof(what), "%s", x->violation.edge[e].text);
	l->to = new->fiber;
	l->holds = old->holds;
	l->preempted = new->step < x->nr_events && (x->event[new->step].enabled & 1u << old->fiber);
	if (next)
		set_stack(&l->stack, &next->site, next->op.pc);
	if (old->op.kind == OP_END)
		snprintf(l->text, sizeof(l->text), "ends");
	else if (l->preempted)
		snprintf(l->text, sizeof(l->text), next ? "preempted before %s" : "preempted",
			 what);
	else
		snprintf(l->text, sizeof(l->text),
			 next	   ? "blocked before %s"
			 : what[0] ? "blocked: %s"
				   : "blocked",
			 what);
}

/* The n operations up to r. What other fibers do before the threads run (callbacks) is part of the setup. */
static void add_fold(struct story *s, const struct record *r, uint32_t n)
{
	struct line *l = s->nr_lines ? &s->line[s->nr_lines - 1] : NULL;
	int fiber = r->step ? r->fiber : 0;

	if (!n)
		return;
	if (!l || l->kind != LINE_FOLD || l->fiber != fiber)
		l = add_line(s, LINE_FOLD, fiber);
	l->folded += n;
	l->finish = !fiber && r->step;
	snprintf(l->text, sizeof(l->text), "... %u operation%s", (unsigned)l->folded,
		 l->folded == 1 ? "" : "s");
}

static void add_record(struct story *s, const struct record *r)
{
	struct line *l = add_line(s, LINE_OPERATION, r->fiber);

	l->finish = !r->fiber && r->step;
	snprintf(l->text, sizeof(l->text), "%s", r->text);
	l->holds = r->holds;
	l->record = r;
	set_stack(&l->stack, &r->site, r->op.pc);
}

/* Plain accesses of the violation's other sites that go there (see slice_access). */
static void add_accesses(struct story *s, const int *behind, int at)
{
	const struct violation *v = &s->in->x->violation;

	for (unsigned n = 0; n < v->nr_others; n++) {
		struct line *l;

		if (behind[n] != at)
			continue;
		l = add_line(s, LINE_ACCESS, v->other[n].fiber);
		snprintf(l->text, sizeof(l->text), "%s this thread",
			 v->other_what[n] ? v->other_what[n] : "used by");
		set_stack(&l->stack, &v->other[n], 0);
	}
}

static bool accessed(const int *behind, int at)
{
	return behind[0] == at || behind[1] == at || behind[2] == at;
}

/* Whether record i is the last before another thread goes on. */
static bool before_switch(const struct execution *x, uint32_t i)
{
	return i + 1 < x->nr_records && x->record[i].fiber && x->record[i + 1].fiber &&
	       x->record[i].fiber != x->record[i + 1].fiber;
}

static void add_lines(struct story *s, const bool *keep, const int *behind)
{
	const struct execution *x = s->in->x;
	const char *plan[MAX_FIBERS] = {0};
	uint32_t folded = 0;

	for (uint32_t i = 0; i < x->nr_records; i++) {
		const struct record *r = &x->record[i];
		bool moved =
			r->plan[0] && (!plan[r->fiber] || strcmp(plan[r->fiber], r->plan) != 0);

		if (i && (keep[i] || moved || accessed(behind, -2 - (int)i) ||
			  r->fiber != x->record[i - 1].fiber)) {
			add_fold(s, &x->record[i - 1], folded);
			folded = 0;
		}
		if (moved)
			snprintf(add_line(s, LINE_PLAN, r->fiber)->text, MAX_TEXT, "%s", r->plan);
		plan[r->fiber] = r->plan;
		add_accesses(s, behind, -2 - (int)i);
		if (keep[i])
			add_record(s, r);
		else if (r->op.kind != OP_BEGIN && r->op.kind != OP_END)
			folded++;
		if (accessed(behind, (int)i) || before_switch(x, i)) {
			add_fold(s, r, folded);
			folded = 0;
		}
		add_accesses(s, behind, (int)i);
		if (before_switch(x, i))
			add_switch(s, i);
	}
	if (x->nr_records)
		add_fold(s, &x->record[x->nr_records - 1], folded);
}

static void add_violation(struct story *s)
{
	const struct violation *v = &s->in->x->violation;
	struct line *l = add_line(s, LINE_VIOLATION, v->kind == BAD_LEAK ? 0 : v->site.fiber);
	char message[600];

	identity_message(s->in->x, message, sizeof(message));
	snprintf(l->text, sizeof(l->text), "%s: %.500s", violation_name(v->kind), message);
	set_stack(&l->stack, &v->site, 0);
}

/* Objects that passed from one thread to another: the later line knows the earlier. */
static void link_lines(struct story *s)
{
	for (size_t i = 0; i < s->nr_lines; i++) {
		const struct record *b = s->line[i].record;

		for (size_t j = i; b && b->op.object && j-- > 0;) {
			const struct record *a = s->line[j].record;

			if (!a || a->op.object != b->op.object)
				continue;
			if (a->fiber && b->fiber && a->fiber != b->fiber &&
			    op_dependent(&a->op, &b->op))
				s->line[i].edge_from = (int)j;
			break;
		}
	}
}

static void add_site(struct story *s, const char *what, const struct site *site)
{
	struct story_site *out = &s->site[s->nr_sites];

	set_stack(&out->stack, site, 0);
	if (!out->stack.nr && !site->pc[0])
		return;
	snprintf(out->what, sizeof(out->what), "%s", what);
	out->fiber = site->fiber;
	s->nr_sites++;
}

/* What was done where the violation showed. */
static const char *site_word(const struct violation *v)
{
	switch (v->kind) {
	case BAD_USE_AFTER_FREE:
		/* Found at the free if that came second. */
		return v->nr_others && v->other_what[0] && !strstr(v->other_what[0], "freed")
			       ? "freed by"
			       : "used by";
	case BAD_WILD_ACCESS:
	case BAD_STALE_TRANSLATION:
		return "used by";
	case BAD_DOUBLE_FREE:
		return "freed again by";
	case BAD_DATA_RACE:
		return "accessed by";
	case BAD_LEAK:
		return "allocated by";
	default:
		return "seen";
	}
}

static void add_sites(struct story *s)
{
	const struct violation *v = &s->in->x->violation;

	add_site(s, site_word(v), &v->site);
	for (unsigned i = 0; i < v->nr_others && i < 3; i++)
		if (!slice_same_site(&v->other[i], &v->site))
			add_site(s, v->other_what[i] ? v->other_what[i] : "see", &v->other[i]);
}

static void want_symbols(const struct execution *x, const bool *keep)
{
	const struct violation *v = &x->violation;

	for (uint32_t i = 0; i < x->nr_records; i++) {
		bool resumed = i && x->record[i - 1].fiber != x->record[i].fiber;

		if (!keep[i] && !resumed && !cause_needs(x, i))
			continue;
		symbols_want(x->record[i].op.pc);
		symbols_want_site(&x->record[i].site);
	}
	symbols_want_site(&v->site);
	for (unsigned i = 0; i < v->nr_others; i++)
		symbols_want_site(&v->other[i]);
	symbols_resolve();
}

struct story *story_new(const struct report_violation *v)
{
	struct story *s = calloc(1, sizeof(*s));
	int behind[3];
	bool *keep = calloc(v->x->nr_records + 1, sizeof(*keep));

	if (!s || !keep)
		abort();
	s->in = v;
	symbols_set_wrappers(v->suite->wrappers);
	slice_record(v->x, keep);
	want_symbols(v->x, keep);
	for (unsigned i = 0; i < 3; i++)
		behind[i] = slice_access(v->x, i);
	add_lines(s, keep, behind);
	add_violation(s);
	link_lines(s);
	add_sites(s);
	cause_find(s);
	report_verdict(s->verdict, sizeof(s->verdict), v);
	report_id(s->id, sizeof(s->id), v);
	s->replay = identity_replay(v);
	free(keep);
	return s;
}

void story_free(struct story *s)
{
	free(s->replay);
	free(s->missing);
	free(s->line);
	free(s);
}
