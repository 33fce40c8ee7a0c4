/* SPDX-License-Identifier: MIT */
/*
 * What the races of an execution ask for. Event j races with event i before it: some execution has j's step before i's. It is reached
 * from the node of i by what came between them and does not follow from i, then j: the sequence v. Which of its equivalents is
 * walked does not matter, so one fiber that can begin v must be among the branches of that node ("initials" of v; Abdulla et al.,
 * Optimal dynamic partial order reduction, POPL 2014).
 *
 * A fiber begins v if its first event in v has no other event of v before it in the dependence order. Events of one fiber are ordered,
 * so either its first event after i is in v or none is, and one event of each fiber is all that has to be looked at.
 */
#include "search/tree.h"

#include "search/memory.h"

#define NO_EVENT (~0u)
#define BIT(f)	 (1u << (f))

static bool ordered(const struct execution *x, uint32_t first, uint32_t second)
{
	const struct event *e = &x->event[first];

	return x->event[second].order.t[e->fiber] >= e->index;
}

/* Notes where the events of each fiber are. */
static void find_positions(struct tree *t, const struct execution *x)
{
	for (int f = 0; f < MAX_FIBERS; f++)
		t->fiber[f].nr = 0;
	for (uint32_t i = 0; i < x->nr_events; i++) {
		int f = x->event[i].fiber;

		if (t->fiber[f].nr == t->fiber[f].room)
			t->fiber[f].at =
				memory_grow(t->fiber[f].at, &t->fiber[f].room, sizeof(uint32_t));
		t->fiber[f].at[t->fiber[f].nr++] = i;
	}
}

/* First event of f after i. */
static uint32_t event_after(const struct tree *t, int f, uint32_t i)
{
	uint32_t low = 0, high = t->fiber[f].nr;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (t->fiber[f].at[middle] > i)
			high = middle;
		else
			low = middle + 1;
	}
	return low < t->fiber[f].nr ? t->fiber[f].at[low] : NO_EVENT;
}

static uint32_t initials(const struct tree *t, const struct execution *x, uint32_t i, uint32_t j)
{
	uint32_t first[MAX_FIBERS], set = 0;

	for (int f = 0; f < x->nr_fibers; f++) {
		first[f] = f == x->event[i].fiber ? NO_EVENT : event_after(t, f, i);
		if (first[f] == NO_EVENT && f == x->event[j].fiber)
			first[f] = j; /* never done */
		if (first[f] != NO_EVENT &&
		    (first[f] > j || (first[f] != j && ordered(x, i, first[f]))))
			first[f] = NO_EVENT;
	}
	for (int f = 0; f < x->nr_fibers; f++) {
		bool begins = first[f] != NO_EVENT;

		for (int g = 0; begins && g < x->nr_fibers; g++)
			begins = g == f || first[g] >= first[f] || !ordered(x, first[g], first[f]);
		if (begins)
			set |= BIT(f);
	}
	return set;
}

static void add_need(struct tree *t, uint32_t node, uint32_t fibers, bool all)
{
	for (uint32_t i = 0; i < t->nr_needs; i++)
		if (t->need[i].node == node && t->need[i].fibers == fibers && t->need[i].all == all)
			return;
	if (t->nr_needs == t->need_room)
		t->need = memory_grow(t->need, &t->need_room, sizeof(*t->need));
	t->need[t->nr_needs++] = (struct need){.node = node, .fibers = fibers, .all = all};
}

static void add_race(struct tree *t, const struct execution *x, uint32_t i, uint32_t j)
{
	uint32_t at = t->at_step[i], set;
	struct node *n = &t->node[at];

	set = initials(t, x, i, j) & n->enabled;
	if (at < t->root.nodes) {
		/* Part of the path itself: the branch that it takes is tried. */
		if (!(set & n->todo))
			add_need(t, at, set ? set : n->enabled, !set);
		return;
	}
	if (set & (n->todo | n->sleep))
		return;
	if (!set)
		n->todo |=
			n->enabled; /* none can begin: what enables it is not in the order, so try all */
	else if (set & BIT(x->event[j].fiber))
		n->todo |= BIT(x->event[j].fiber);
	else
		n->todo |= set & -set;
}

void tree_add_races(struct tree *t, const struct execution *x)
{
	find_positions(t, x);
	for (uint32_t j = t->fresh; j < x->nr_events + x->nr_blocked; j++)
		for (uint32_t k = 0; k < x->event[j].nr_races; k++)
			add_race(t, x, x->event[j].race[k], j);
}
