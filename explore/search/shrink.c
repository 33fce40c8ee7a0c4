/* SPDX-License-Identifier: MIT */
/*
 * Makes a schedule that shows a violation into one that shows the same with as little as possible: first another order of the same
 * class with fewer preemptions, then a search of all executions with fewer preemptions than that, then the deviations that are left
 * are left out one after another. Everything is bounded in executions and events, never in time, so that the result is the same
 * everywhere.
 */
#include "search/shrink.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"
#include "search/replay.h"
#include "search/tree.h"

#define EVENTS_PER_RUN 200 /* a budget of executions is one of so many events each */

bool shrink_broke(const struct shrink *s)
{
	return !s->runs || !s->events;
}

bool shrink_shows(struct shrink *s, const struct execution *x)
{
	s->runs -= s->runs > 0;
	s->events -= s->events > x->nr_events ? x->nr_events : s->events;
	return x->outcome == RUN_VIOLATION && x->violation.kind == s->kind &&
	       x->violation.signature == s->signature;
}

static struct price price_of(const struct execution *x, const struct schedule *s)
{
	struct price p = {.preemptions = x->switches, .deviations = s->nr, .events = x->nr_events};

	for (uint32_t i = 0; i < s->nr; i++)
		p.choices += s->deviation[i].choice;
	return p;
}

static bool cheaper(const struct price *a, const struct price *b)
{
	if (a->preemptions != b->preemptions)
		return a->preemptions < b->preemptions;
	if (a->choices != b->choices)
		return a->choices < b->choices;
	if (a->deviations != b->deviations)
		return a->deviations < b->deviations;
	return a->events < b->events;
}

bool shrink_offer(struct shrink *s, const struct execution *x, const unsigned *choice,
		  uint32_t nr_choices)
{
	struct schedule made = schedule_of(x, choice, nr_choices);
	struct price price = price_of(x, &made);

	if (!cheaper(&price, &s->price)) {
		schedule_free(&made);
		return false;
	}
	schedule_free(&s->best);
	s->best = made;
	s->price = price;
	return true;
}

/* Runs candidate and offers what came of it. */
static bool try(struct shrink *s, const struct schedule *candidate)
{
	struct replay r;
	const struct execution *x = replay_run(&r, s->sc, candidate, s->limits, false, false);
	bool better = shrink_shows(s, x) && shrink_offer(s, x, r.made, r.nr_choices);

	replay_free(&r);
	return better;
}

/* All executions with at most bound preemptions until one shows it. False: there is none (or no budget left). */
static bool search_bound(struct shrink *s, unsigned bound)
{
	bool shows = false;
	struct tree t;

	tree_init(&t, TREE_PREEMPTIONS, bound, NULL);
	while (!shows && !t.exhausted && !shrink_broke(s)) {
		const struct execution *x;

		tree_begin(&t, s->sc);
		x = engine_run(s->sc, &t.strategy, s->limits, false);
		if (t.diverged)
			break;
		shows = shrink_shows(s, x);
		if (shows) {
			uint32_t nr;
			unsigned *choice = tree_choices(&t, &nr);

			shrink_offer(s, x, choice, nr);
			free(choice);
		}
		tree_next(&t);
	}
	tree_free(&t);
	return shows;
}

static bool try_without(struct shrink *s, uint32_t first, uint32_t count)
{
	struct schedule candidate = {.nr = s->best.nr - count};
	bool better;

	candidate.deviation = memory_get(candidate.nr * sizeof(*candidate.deviation));
	for (uint32_t i = 0, n = 0; i < s->best.nr; i++)
		if (i < first || i >= first + count)
			candidate.deviation[n++] = s->best.deviation[i];
	better = try(s, &candidate);
	schedule_free(&candidate);
	return better;
}

/* Zeller's ddmin, from the complements of halves down to single deviations. */
static void leave_out(struct shrink *s)
{
	uint32_t count = s->best.nr;

	while (count) {
		bool better = false;

		for (uint32_t first = 0; first + count <= s->best.nr && !shrink_broke(s);)
			if (try_without(s, first, count))
				better = true;
			else
				first += count;
		if (shrink_broke(s))
			return;
		if (count > 1)
			count /= 2;
		else if (!better)
			return;
		if (count > s->best.nr)
			count = s->best.nr;
	}
}

void schedule_shrink(const struct explore_scenario *sc, struct schedule *schedule,
		     const struct violation *v, const struct engine_limits *limits, uint64_t budget)
{
	struct shrink s = {.sc = sc,
			   .limits = limits,
			   .kind = v->kind,
			   .signature = v->signature,
			   .runs = budget,
			   .events = budget * EVENTS_PER_RUN,
			   .price = {.preemptions = ~0u}};

	if (!try(&s, schedule))
		return;
	shrink_relinearize(&s);
	leave_out(&s);
	shrink_relinearize(&s);
	for (unsigned bound = 0; bound < s.price.preemptions && !shrink_broke(&s); bound++)
		if (search_bound(&s, bound))
			break;
	leave_out(&s);
	schedule_free(schedule);
	*schedule = s.best;
}
