/* SPDX-License-Identifier: MIT */
/*
 * Why it went wrong. A violation that depends on the order of threads has an edge that the program should have had: a use that had to
 * come before the free, a wake that had to come after the wait. The edge is named by its two ends; how to make it (a lock, a
 * reference, a grace period) is for the reader to decide.
 */
#include "report/cause.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define END_TEXT 1024 /* "the use at FUNCTION (FILE:LINE) in THREAD" */

__attribute__((format(printf, 2, 3))) static void set_missing(struct story *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s->missing, fmt, ap) < 0)
		abort();
	va_end(ap);
}

static bool takes(const struct record *r)
{
	return (r->op.kind >= OP_MUTEX_LOCK && r->op.kind <= OP_WRITE_LOCK) ||
	       r->op.kind == OP_ENTER;
}

static bool wakes(const struct record *r)
{
	return r->op.kind == OP_WAKE || r->op.kind == OP_COND_SIGNAL ||
	       r->op.kind == OP_COND_BROADCAST;
}

static bool waits(const struct record *r)
{
	return r->op.kind == OP_WAIT || r->op.kind == OP_COND_WAIT;
}

/* The last record of that fiber (NO_FIBER: any) about the object for which test holds; NULL if none. */
static const struct record *last_record(const struct execution *x, int fiber, uint32_t object,
					bool (*test)(const struct record *r))
{
	for (uint32_t i = x->nr_records; i-- > 0;) {
		const struct record *r = &x->record[i];

		if ((fiber == NO_FIBER || r->fiber == fiber) && r->op.object == object && test(r))
			return r;
	}
	return NULL;
}

bool cause_needs(const struct execution *x, uint32_t i)
{
	const struct violation *v = &x->violation;
	const struct record *r = &x->record[i];

	if (v->kind == BAD_LOST_WAKEUP)
		return wakes(r) || waits(r);
	for (unsigned e = 0; e < v->nr_edges; e++)
		if (v->edge[e].object == r->op.object && v->edge[e].holder == r->fiber && takes(r))
			return true;
	return false;
}

static void record_stack(const struct record *r, struct stack *out)
{
	struct site only = {.pc = {r->op.pc}};

	out->nr = symbols_stack(r->site.pc[0] ? &r->site : &only, out->frame, MAX_FRAMES);
}

static int line_of(const struct story *s, const struct record *r)
{
	for (size_t i = 0; r && i < s->nr_lines; i++)
		if (s->line[i].record == r)
			return (int)i;
	return -1;
}

/* Last line of that fiber whose innermost frame is that of the stack. */
static int line_at(const struct story *s, int fiber, const struct stack *stack)
{
	for (size_t i = s->nr_lines; stack->nr && i-- > 0;) {
		const struct line *l = &s->line[i];
		const struct frame *a = story_frame(&l->stack), *b = story_frame(stack);

		if (l->kind != LINE_SWITCH && l->fiber == fiber && a && b &&
		    !strcmp(a->function, b->function) && a->line == b->line)
			return (int)i;
	}
	return -1;
}

/* "freed by gmem_free (src/gmem.c:12) of close(gmem)". */
static void name_end(const struct story *s, const struct story_site *site, const char *noun,
		     char *buf, size_t size)
{
	char place[512];

	story_place(&site->stack, place, sizeof(place));
	snprintf(buf, size, "%s%s%s in %s", noun, place[0] ? " at " : "", place,
		 story_fiber(s, site->fiber));
}

static const struct story_site *find_site(const struct story *s, const char *word)
{
	for (unsigned i = 1; i < s->nr_sites; i++)
		if (strstr(s->site[i].what, word))
			return &s->site[i];
	return NULL;
}

/* The site where it showed against the one whose description has word in it. first: the shown one should have been first. */
static void missing_between(struct story *s, const char *word, const char *shown, const char *other,
			    const char *order, bool first)
{
	const struct story_site *o = find_site(s, word);
	char a[END_TEXT], b[END_TEXT];
	int at;

	if (!o || !s->nr_sites || o->fiber <= 0)
		return;
	name_end(s, &s->site[0], shown, a, sizeof(a));
	name_end(s, o, other, b, sizeof(b));
	set_missing(s, "%s %s %s", first ? a : b, order, first ? b : a);
	at = line_at(s, o->fiber, &o->stack);
	s->missing_from = first ? (int)s->nr_lines - 1 : at;
	s->missing_to = first ? at : (int)s->nr_lines - 1;
}

static void missing_wake(struct story *s)
{
	const struct execution *x = s->in->x;
	const struct violation *v = &x->violation;
	const struct record *wait = NULL, *wake = NULL;
	struct story_site a = {0}, b = {0};
	char from[END_TEXT], to[END_TEXT];

	for (uint32_t i = x->nr_records; i-- > 0 && !wait;)
		if (waits(&x->record[i]) && (x->record[i].fiber == v->site.fiber || !v->site.fiber))
			wait = &x->record[i];
	if (wait)
		wake = last_record(x, NO_FIBER, wait->op.object, wakes);
	if (!wake || wake->fiber == wait->fiber)
		return;
	a.fiber = wait->fiber;
	b.fiber = wake->fiber;
	record_stack(wait, &a.stack);
	record_stack(wake, &b.stack);
	name_end(s, &a, "the wait", from, sizeof(from));
	name_end(s, &b, "the wake", to, sizeof(to));
	set_missing(s, "%s must come before %s, or see what it tells before it sleeps", from, to);
	s->missing_from = line_of(s, wait);
	s->missing_to = line_of(s, wake);
}

/* Each edge of the cycle on a line: who waits for what, and where its holder took it. */
static void find_cycle(struct story *s)
{
	const struct execution *x = s->in->x;
	const struct violation *v = &x->violation;

	for (unsigned e = 0; e < v->nr_edges; e++) {
		const struct wait_edge *w = &v->edge[e];
		const struct record *taken = NULL;
		struct stack stack = {0};
		char place[512];

		if (v->kind == BAD_DEADLOCK)
			taken = last_record(x, w->holder, w->object, takes);
		if (taken)
			record_stack(taken, &stack);
		story_place(&stack, place, sizeof(place));
		snprintf(s->cycle_text[s->nr_cycle++], sizeof(s->cycle_text[0]), "%s%s%s", w->text,
			 place[0] ? ", since " : "", place);
	}
}

static void missing_lock_order(struct story *s)
{
	const struct execution *x = s->in->x;
	const struct violation *v = &x->violation;
	const struct record *a, *b;
	struct story_site from = {0}, to = {0};
	char x_text[END_TEXT], y_text[END_TEXT];

	if (v->nr_edges < 2)
		return;
	a = last_record(x, v->edge[0].holder, v->edge[0].object, takes);
	b = last_record(x, v->edge[1].holder, v->edge[1].object, takes);
	if (!a || !b || a == b || a->fiber == b->fiber)
		return;
	from.fiber = a->fiber;
	to.fiber = b->fiber;
	record_stack(a, &from.stack);
	record_stack(b, &to.stack);
	name_end(s, &from, a->text, x_text, sizeof(x_text));
	name_end(s, &to, b->text, y_text, sizeof(y_text));
	set_missing(s,
		    "%s and %s must come in the same order in all threads, or the first must be "
		    "released before its holder waits for the second",
		    x_text, y_text);
	s->missing_from = line_of(s, a);
	s->missing_to = line_of(s, b);
}

void cause_find(struct story *s)
{
	s->missing_from = s->missing_to = -1;
	find_cycle(s);
	switch (s->in->x->violation.kind) {
	case BAD_USE_AFTER_FREE:
		missing_between(s, "free", "the use", "the free", "must come before", true);
		/* Found at the free, with the use of before. */
		if (!s->missing)
			missing_between(s, " by", "the free", "the use",
					"must come, in every order of threads, before", false);
		break;
	case BAD_DOUBLE_FREE:
		missing_between(s, "free", "the second free", "the first free", "must be seen by",
				false);
		break;
	case BAD_DATA_RACE:
		missing_between(s, "", "the access", "the other access",
				"must come before or after, never beside,", true);
		break;
	case BAD_STALE_TRANSLATION:
		missing_between(s, "taken away", "the translation used", "the revocation",
				"must come after, and undo,", false);
		break;
	case BAD_LOST_WAKEUP:
		missing_wake(s);
		break;
	case BAD_DEADLOCK:
		missing_lock_order(s);
		break;
	default:
		break;
	}
}
