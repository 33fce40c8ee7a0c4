/* SPDX-License-Identifier: MIT */
/*
 * The order graph of lock classes. An edge A -> B: somebody who held A acquired B. A cycle is an inversion, although perhaps no
 * execution deadlocked: the edges may come from different executions and scenarios. Therefore the graph lives as long as the
 * process, and an edge that closes a cycle is not added: each execution that has it shows the violation again.
 *
 * Each end of an edge is for reading or for writing. A section of a domain is held for reading, its grace periods are acquired
 * for writing. Where the path arrives at a class for reading and leaves from it for reading nobody waits: no cycle goes through.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"

#define MAX_CLASSES	  256u
#define SLOTS		  1024u
#define NODE(class, mode) ((class) * 2 + (mode))
#define NODES		  (MAX_CLASSES * 2)

static struct {
	char name[64];
	unsigned flags;
} class[MAX_CLASSES];
static unsigned nr_classes;
static uint16_t slot[SLOTS]; /* class + 1 */
static uint64_t edge[NODES][NODES / 64];
static char *edge_where[NODES][NODES]; /* who made it */

static bool edge_has(unsigned a, unsigned b)
{
	return edge[a][b / 64] >> (b % 64) & 1;
}

unsigned class_intern(const char *name, unsigned flags)
{
	uint32_t h = 2166136261u;
	uint16_t *s;

	for (const char *c = name; *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	for (;; h++) {
		s = &slot[h % SLOTS];
		if (!*s)
			break;
		if (!strncmp(class[*s - 1].name, name, sizeof(class[0].name) - 1)) {
			class[*s - 1].flags |= flags;
			return *s - 1;
		}
	}
	if (nr_classes == MAX_CLASSES)
		engine_violation_text(BAD_ASSERTION, "more than %u classes of locks", MAX_CLASSES);
	snprintf(class[nr_classes].name, sizeof(class[0].name), "%s", name);
	class[nr_classes].flags = flags;
	*s = ++nr_classes;
	return nr_classes - 1;
}

const char *class_name(unsigned c)
{
	return class[c].name;
}

/*
 * A path from class `from`, held in a mode that conflicts with arrived, to class `to`, arriving in a mode that conflicts with
 * leaves. The nodes arrived at, in order; 0: none. Breadth first: the shortest.
 */
static unsigned path_find(unsigned from, unsigned arrived, unsigned to, unsigned leaves,
			  uint16_t *path)
{
	uint16_t queue[NODES], prev[NODES];
	bool seen[NODES] = {false};
	unsigned head = 0, tail = 0, n = 0;

	queue[tail++] = NODE(from, arrived);
	seen[NODE(from, arrived)] = true;
	prev[NODE(from, arrived)] = NODES;
	while (head < tail) {
		unsigned at = queue[head++];

		if (at / 2 == to && (at % 2 == MODE_WRITE || leaves == MODE_WRITE)) {
			for (unsigned i = at; i != NODES; i = prev[i])
				path[n++] = i;
			return n;
		}
		for (unsigned mode = MODE_READ; mode <= MODE_WRITE; mode++) {
			if (at % 2 == MODE_READ && mode == MODE_READ)
				continue;
			for (unsigned next = 0; next < nr_classes * 2; next++) {
				if (seen[next] || !edge_has(NODE(at / 2, mode), next))
					continue;
				seen[next] = true;
				prev[next] = at;
				queue[tail++] = next;
			}
		}
	}
	return 0;
}

static void where_format(char *buf, size_t size)
{
	snprintf(buf, size, "%s of %s", engine_current->name,
		 engine.scenario ? engine.scenario->name : "start");
}

static const char *edge_text(unsigned a, unsigned b)
{
	const char *where = edge_where[a][b];

	return where ? where : "another execution";
}

/* Class a is held and class c acquired, and there is a path from c back to a. h: NULL if a callback runs rather. */
static void cycle_report(struct fiber *f, unsigned a, const struct held *h, unsigned c,
			 const uint16_t *path, unsigned n, struct thing *t, uintptr_t pc)
{
	struct violation v = {.kind = BAD_LOCK_ORDER};
	size_t at;

	snprintf(v.object, sizeof(v.object), "%s", class[c].name);
	at = snprintf(v.message, sizeof(v.message), "%s, then %s", class[a].name, class[c].name);
	if (n < 2) {
		at += snprintf(v.message + at, sizeof(v.message) - at,
			       ": two of one class, in no order");
	} else {
		at += snprintf(v.message + at, sizeof(v.message) - at, "; elsewhere");
		/* The path is stored from its end. */
		for (unsigned i = n; i-- > 0 && at < sizeof(v.message);)
			at += snprintf(v.message + at, sizeof(v.message) - at, "%s %s",
				       i == n - 1 ? "" : ", then", class[path[i] / 2].name);
	}
	for (unsigned i = n; i-- > 1 && v.nr_edges < MAX_FIBERS;) {
		struct wait_edge *e = &v.edge[v.nr_edges++];
		unsigned from = path[i] / 2, to = path[i - 1];
		unsigned held = edge_has(NODE(from, MODE_WRITE), to) ? MODE_WRITE : MODE_READ;

		e->fiber = e->holder = NO_FIBER;
		snprintf(e->text, sizeof(e->text), "%s, then %s: %s", class[from].name,
			 class[to / 2].name, edge_text(NODE(from, held), to));
	}
	if (v.nr_edges < MAX_FIBERS) {
		struct wait_edge *e = &v.edge[v.nr_edges++];

		*e = (struct wait_edge){
			.fiber = f->id, .holder = NO_FIBER, .object = t ? t->o.id : 0};
		snprintf(e->text, sizeof(e->text), "%s, then %s: %s", class[a].name, class[c].name,
			 f->name);
	}
	if (h)
		violation_add_site(&v, h->section ? "section entered by" : "locked by", h, f->id);
	engine_site(f, pc, &v.site);
	engine_violation(&v);
}

static void edge_add(unsigned from, unsigned to, const char *where)
{
	edge[from][to / 64] |= 1ull << (to % 64);
	edge_where[from][to] = strdup(where);
}

static void edge_make(struct fiber *f, unsigned held, enum mode held_mode, const struct held *h,
		      unsigned c, enum mode mode, struct thing *t, uintptr_t pc)
{
	uint16_t path[NODES];
	char where[160];
	unsigned n;

	if (edge_has(NODE(held, held_mode), NODE(c, mode)) ||
	    (held == c && class[c].flags & EXPLORE_SAME_CLASS))
		return;
	n = path_find(c, mode, held, held_mode, path);
	if (n)
		cycle_report(f, held, h, c, path, n, t, pc);
	where_format(where, sizeof(where));
	edge_add(NODE(held, held_mode), NODE(c, mode), where);
}

void class_acquire(struct fiber *f, unsigned c, enum mode mode, struct thing *t, uintptr_t pc)
{
	const struct fiber_private *p = f->p;

	for (unsigned i = 0; i < p->nr_held; i++)
		edge_make(f, p->held[i].class, p->held[i].mode, &p->held[i], c, mode, t, pc);
	if (p->callback_of)
		edge_make(f, p->callback_of->callback_class, MODE_WRITE, NULL, c, mode, t, pc);
}

void engine_lock_order_forget(void)
{
	for (unsigned a = 0; a < nr_classes * 2; a++) {
		for (unsigned b = 0; b < nr_classes * 2; b++) {
			free(edge_where[a][b]);
			edge_where[a][b] = NULL;
		}
		memset(edge[a], 0, sizeof(edge[a]));
	}
	memset(slot, 0, sizeof(slot));
	nr_classes = 0;
	/* They know classes by number. */
	checkpoints_drop();
}

/* A line for each edge: "w:slots_lock<TAB>w:srcu<TAB>vCPU of dying-file". */
size_t engine_lock_order_export(char *buf, size_t size)
{
	size_t n = 0;

	if (size)
		buf[0] = 0;
	for (unsigned a = 0; a < nr_classes * 2; a++)
		for (unsigned b = 0; b < nr_classes * 2; b++)
			if (edge_has(a, b))
				n += snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0,
					      "%c:%s\t%c:%s\t%s\n", a % 2 == MODE_WRITE ? 'w' : 'r',
					      class[a / 2].name, b % 2 == MODE_WRITE ? 'w' : 'r',
					      class[b / 2].name, edge_text(a, b));
	return n;
}
