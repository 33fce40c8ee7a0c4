/* SPDX-License-Identifier: MIT */
/*
 * Which lines of a record matter. A record has hundreds; a reader wants the dozen that explain the violation. Each line gets a rank, and
 * the highest ranks are shown: the ends of each switch, allocation and freeing of the object that the violation is about, what
 * happened to the word the interrupted thread was about to use, other uses of the object, the locks held meanwhile, and then whatever
 * else two threads both touched. Later lines go first among equals: a violation has its cause mostly close before it.
 */
#include "report/story.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum rank {
	RANK_NONE,
	RANK_SHARED, /* two threads did it and its neighbour to one object, and they do not commute */
	RANK_LOCK,   /* taking or releasing what is held at a line that matters */
	RANK_OBJECT, /* the object of the violation */
	RANK_CAUSE, /* what the others did to the object an interrupted thread was about to use; a failure that was chosen */
	RANK_SWITCH, /* what a thread was about to do when it was left */
	RANK_SITE,   /* allocation, freeing, the last operations before the violation */
	NR_RANKS
};

/* Lines shown in all down to that rank, but for RANK_SITE and RANK_SWITCH, which are shown always. */
static const unsigned budget[NR_RANKS] = {0, 22, 36, 44, 60, ~0u, ~0u};

bool slice_mentions(const char *text, const char *name)
{
	size_t n = strcspn(name, "+");

	for (const char *at = text; n && *at; at++)
		if (!strncmp(at, name, n) && !isalnum((unsigned char)at[n]) &&
		    (at == text || !isalnum((unsigned char)at[-1])))
			return true;
	return false;
}

static void raise_rank(unsigned char *rank, enum rank to)
{
	if (*rank < to)
		*rank = (unsigned char)to;
}

static bool takes(const struct record *r)
{
	return (r->op.kind >= OP_MUTEX_LOCK && r->op.kind <= OP_WRITE_LOCK) ||
	       r->op.kind == OP_ENTER;
}

static bool releases(const struct record *r)
{
	return r->op.kind == OP_UNLOCK || r->op.kind == OP_EXIT;
}

/* The next record of the same fiber after i, or nr. */
static uint32_t next_of(const struct execution *x, uint32_t i)
{
	for (uint32_t j = i + 1; j < x->nr_records; j++)
		if (x->record[j].fiber == x->record[i].fiber)
			return j;
	return x->nr_records;
}

/* The fiber of record i was left while it could go on, or was not: who came between it and its next operation, and why it matters. */
static void rank_switch(const struct execution *x, unsigned char *rank, uint32_t i)
{
	uint32_t resumed = next_of(x, i);
	uint32_t object = resumed < x->nr_records ? x->record[resumed].op.object : 0;

	if (resumed == x->nr_records)
		return;
	raise_rank(&rank[resumed], RANK_SWITCH);
	for (uint32_t j = i + 1; object && j < resumed; j++)
		if (x->record[j].op.object == object &&
		    op_dependent(&x->record[j].op, &x->record[resumed].op))
			raise_rank(&rank[j], RANK_CAUSE);
}

static bool is_site(const struct violation *v, const struct record *r)
{
	for (unsigned i = 0; i < v->nr_others; i++)
		if (v->other[i].fiber == r->fiber && v->other[i].pc[0] &&
		    v->other[i].pc[0] == r->op.pc && v->other[i].step == r->step)
			return true;
	return false;
}

/* Raises where an object goes from one thread to another: the two operations next to each other on it that do not commute. */
static void rank_conflicts(const struct execution *x, unsigned char *rank)
{
	uint32_t highest = 0, *last;

	for (uint32_t i = 0; i < x->nr_records; i++)
		highest = x->record[i].op.object > highest ? x->record[i].op.object : highest;
	last = calloc(highest + 1, sizeof(*last));
	if (!last)
		abort();
	for (uint32_t i = 0; i < x->nr_records; i++) {
		const struct record *r = &x->record[i];
		uint32_t before = last[r->op.object];

		if (!r->fiber || !r->op.object)
			continue;
		/* 1 + the index, so that 0 is none. */
		last[r->op.object] = i + 1;
		if (!before || x->record[before - 1].fiber == r->fiber ||
		    !op_dependent(&x->record[before - 1].op, &r->op))
			continue;
		raise_rank(&rank[before - 1], RANK_SHARED);
		raise_rank(&rank[i], RANK_SHARED);
	}
	free(last);
}

static void rank_record(const struct execution *x, unsigned char *rank, uint32_t i)
{
	const struct violation *v = &x->violation;
	const struct record *r = &x->record[i];
	bool about = slice_mentions(r->text, v->object);

	if (is_site(v, r) || ((r->op.kind == OP_ALLOC || r->op.kind == OP_FREE) && about))
		raise_rank(&rank[i], RANK_SITE);
	if (!r->fiber)
		return;
	if (about && r->shared && (r->op.access != ACCESS_READ || rank[i] >= RANK_SHARED))
		raise_rank(&rank[i], RANK_OBJECT);
	if (r->op.kind == OP_CHOICE && !strstr(r->text, " = 0"))
		raise_rank(&rank[i], RANK_CAUSE);
	for (unsigned e = 0; e < v->nr_edges; e++)
		if (v->edge[e].object && v->edge[e].object == r->op.object)
			raise_rank(&rank[i], takes(r) && v->edge[e].holder == r->fiber
						     ? RANK_SITE
						     : RANK_OBJECT);
	if (i + 1 < x->nr_records && x->record[i + 1].fiber && x->record[i + 1].fiber != r->fiber)
		rank_switch(x, rank, i);
}

/* The end of the hold that record i begins. */
static void rank_release(const struct execution *x, unsigned char *rank, uint32_t i)
{
	for (uint32_t j = i + 1; j < x->nr_records; j++) {
		const struct record *r = &x->record[j];

		if (r->fiber != x->record[i].fiber || r->op.object != x->record[i].op.object ||
		    !releases(r))
			continue;
		raise_rank(&rank[j], RANK_LOCK);
		return;
	}
}

/* Takes and releases of what record i's fiber holds there, if they matter to another thread. */
static void rank_locks(const struct execution *x, unsigned char *rank, uint32_t i)
{
	int depth = 0;

	for (uint32_t j = i; j-- > 0;) {
		const struct record *r = &x->record[j];

		if (r->fiber != x->record[i].fiber)
			continue;
		if (releases(r)) {
			depth++;
		} else if (takes(r) && depth) {
			depth--;
		} else if (takes(r) && r->shared) {
			raise_rank(&rank[j], RANK_LOCK);
			rank_release(x, rank, j);
		}
	}
}

static bool involved(const struct violation *v, int fiber)
{
	for (unsigned e = 0; e < v->nr_edges; e++)
		if (v->edge[e].fiber == fiber)
			return true;
	return v->site.fiber == fiber;
}

/* The last operation of each thread that the violation is about: where it stands. */
static void rank_last(const struct execution *x, unsigned char *rank)
{
	uint32_t seen = 0;

	for (uint32_t i = x->nr_records; i-- > 0;) {
		int fiber = x->record[i].fiber;

		if (seen & 1u << fiber)
			continue;
		seen |= 1u << fiber;
		if (involved(&x->violation, fiber))
			raise_rank(&rank[i], RANK_SITE);
	}
}

void slice_record(const struct execution *x, bool *keep)
{
	unsigned char *rank = calloc(x->nr_records + 1, 1);
	unsigned shown = 0;

	if (!rank)
		abort();
	rank_conflicts(x, rank);
	for (uint32_t i = 0; i < x->nr_records; i++)
		rank_record(x, rank, i);
	rank_last(x, rank);
	for (uint32_t i = 0; i < x->nr_records; i++)
		if (rank[i] >= RANK_OBJECT && x->record[i].fiber)
			rank_locks(x, rank, i);
	for (uint32_t i = 0; i < x->nr_records; i++)
		if (x->record[i].op.kind == OP_BEGIN || x->record[i].op.kind == OP_END)
			rank[i] = RANK_NONE;
	for (int level = NR_RANKS - 1; level > RANK_NONE; level--)
		for (uint32_t i = x->nr_records; i-- > 0;)
			if (rank[i] == level && shown < budget[level]) {
				keep[i] = true;
				shown++;
			}
	free(rank);
}

/* Whether what the violation's other site tells of is an operation of the record (then it has a line already). */
static bool site_in_record(const struct execution *x, unsigned i)
{
	const struct violation *v = &x->violation;
	const char *what = v->other_what[i] ? v->other_what[i] : "";

	for (uint32_t j = 0; j < x->nr_records; j++) {
		const struct record *r = &x->record[j];

		if (r->fiber == v->other[i].fiber && r->op.pc == v->other[i].pc[0])
			return true;
		if (((strstr(what, "alloc") && r->op.kind == OP_ALLOC) ||
		     (strstr(what, "free") && r->op.kind == OP_FREE)) &&
		    slice_mentions(r->text, v->object))
			return true;
	}
	return false;
}

static unsigned stack_depth(const struct site *s)
{
	unsigned n = 0;

	while (n < MAX_STACK && s->pc[n])
		n++;
	return n;
}

/* How many of the outer frames two stacks share. */
static unsigned shared_frames(const struct site *a, const struct site *b)
{
	unsigned na = stack_depth(a), nb = stack_depth(b), n = 0;

	while (n < na && n < nb && a->pc[na - 1 - n] == b->pc[nb - 1 - n])
		n++;
	return n;
}

/*
 * Where the access at site goes: behind the record of that index, or before record i: -2 - i; -1: not known. Its step tells; where that
 * is not known (it is not kept for every use), the last operation that was done nearest to it in the calls.
 */
static int find_access(const struct execution *x, const struct site *site)
{
	unsigned best = 0;
	int found = -1, first = -1;

	for (uint32_t i = 0; i < x->nr_records; i++) {
		const struct record *r = &x->record[i];
		bool note =
			r->op.kind == OP_UNLOCK || r->op.kind == OP_EXIT || r->op.kind >= OP_ALLOC;
		unsigned shared;

		if (r->fiber != site->fiber || !r->fiber)
			continue;
		if (first < 0)
			first = (int)i;
		if (site->step != ~0u) {
			found = r->step < site->step || (r->step == site->step && note) ? (int)i
											: found;
			continue;
		}
		shared = shared_frames(&r->site, site);
		if (shared >= best && r->op.kind != OP_END) {
			best = shared;
			found = (int)i;
		}
	}
	return found < 0 && first >= 0 ? -2 - first : found;
}

int slice_access(const struct execution *x, unsigned i)
{
	if (i >= x->violation.nr_others || !x->violation.other[i].pc[0] || site_in_record(x, i))
		return -1;
	return find_access(x, &x->violation.other[i]);
}

bool slice_same_site(const struct site *a, const struct site *b)
{
	unsigned n = stack_depth(a);

	return a->fiber == b->fiber && n == stack_depth(b) && n == shared_frames(a, b);
}
