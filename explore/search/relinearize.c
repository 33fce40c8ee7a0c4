/* SPDX-License-Identifier: MIT */
/*
 * Other orders of the events of one execution that keep the dependence order, so that the same happens, with fewer changes of fiber:
 * each fiber goes on for as long as what its next event depends on has been done. Which fiber follows is tried in several ways. Also
 * tried is to leave out what the last event does not depend on.
 */
#include "search/shrink.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"
#include "search/replay.h"
#include "search/wander.h"

#define TRIES 24

/* The events of an execution, copied: the engine's are gone with the next one. */
struct trace {
	struct {
		int fiber;
		uint32_t index;
		struct clock order;
	} * event;
	uint32_t nr;
	uint32_t *of[MAX_FIBERS]; /* events of each fiber */
	uint32_t nr_of[MAX_FIBERS];
	unsigned *choice[MAX_FIBERS]; /* choices of each fiber */
	uint32_t nr_choices[MAX_FIBERS];
};

/* Goes through a sequence of fibers; then, or when it cannot be followed, by default. */
struct follow {
	struct strategy strategy; /* must be first */
	const struct trace *trace;
	int *fiber;
	uint32_t nr, done;
	int current;
	uint32_t used[MAX_FIBERS]; /* choices */
	unsigned *made;
	uint32_t nr_made, room;
};

static int follow_pick(struct strategy *s, const struct point *p)
{
	struct follow *f = (struct follow *)s;
	int want = f->done < f->nr ? f->fiber[f->done++] : p->current;

	if (want == NO_FIBER || !(p->enabled & 1u << want))
		want = __builtin_ctz(p->enabled);
	return f->current = want;
}

static unsigned follow_choose(struct strategy *s, unsigned n, bool fault, const char *what)
{
	struct follow *f = (struct follow *)s;
	const struct trace *t = f->trace;
	uint32_t i = f->used[f->current]++;
	unsigned value = i < t->nr_choices[f->current] ? t->choice[f->current][i] : 0;

	(void)fault;
	(void)what;
	if (f->nr_made == f->room)
		f->made = memory_grow(f->made, &f->room, sizeof(*f->made));
	return f->made[f->nr_made++] = value < n ? value : 0;
}

static void trace_free(struct trace *t)
{
	free(t->event);
	for (int f = 0; f < MAX_FIBERS; f++) {
		free(t->of[f]);
		free(t->choice[f]);
	}
}

static void trace_copy(struct trace *t, const struct execution *x, const struct replay *r)
{
	memset(t, 0, sizeof(*t));
	t->nr = x->nr_events;
	t->event = memory_get(t->nr * sizeof(*t->event));
	for (int f = 0; f < MAX_FIBERS; f++) {
		t->of[f] = memory_get(t->nr * sizeof(uint32_t));
		t->choice[f] = memory_get(r->nr_choices * sizeof(unsigned));
	}
	for (uint32_t i = 0; i < t->nr; i++) {
		const struct event *e = &x->event[i];

		t->event[i].fiber = e->fiber;
		t->event[i].index = e->index;
		t->event[i].order = e->order;
		t->of[e->fiber][t->nr_of[e->fiber]++] = i;
	}
	for (uint32_t i = 0; i < r->nr_choices; i++) {
		int f = r->maker[i] == NO_FIBER ? 0 : r->maker[i];

		t->choice[f][t->nr_choices[f]++] = r->made[i];
	}
}

/* Whether all that the next event of f depends on was done. */
static bool is_ready(const struct trace *t, const uint32_t *done, int f, bool needed_only)
{
	const struct clock *last = &t->event[t->nr - 1].order, *order;

	if (done[f] == t->nr_of[f] || (needed_only && done[f] >= last->t[f]))
		return false;
	order = &t->event[t->of[f][done[f]]].order;
	for (int g = 0; g < MAX_FIBERS; g++)
		if (g != f && done[g] < order->t[g])
			return false;
	return true;
}

static int next_fiber(const struct trace *t, const uint32_t *done, int current, bool needed_only,
		      uint64_t random)
{
	uint32_t ready = 0;

	if (current != NO_FIBER && is_ready(t, done, current, needed_only))
		return current;
	for (int f = 0; f < MAX_FIBERS; f++)
		if (is_ready(t, done, f, needed_only))
			ready |= 1u << f;
	if (!ready)
		return NO_FIBER;
	for (uint32_t skip = random % __builtin_popcount(ready); skip; skip--)
		ready &= ready - 1;
	return __builtin_ctz(ready);
}

static void lay_out(struct follow *f, const struct trace *t, bool needed_only, uint64_t seed)
{
	uint32_t done[MAX_FIBERS] = {0};
	int current = NO_FIBER;

	f->nr = 0;
	for (;;) {
		uint64_t random = seed ? wander_seed(seed, f->nr) : 0;

		current = next_fiber(t, done, current, needed_only, random);
		if (current == NO_FIBER)
			return;
		done[current]++;
		f->fiber[f->nr++] = current;
	}
}

static void try_order(struct shrink *s, const struct trace *t, bool needed_only, uint64_t seed)
{
	struct follow f = {.strategy = {.pick = follow_pick, .choose = follow_choose}, .trace = t};
	const struct execution *x;

	f.fiber = memory_get(t->nr * sizeof(*f.fiber));
	lay_out(&f, t, needed_only, seed);
	x = engine_run(s->sc, &f.strategy, s->limits, false);
	if (shrink_shows(s, x))
		shrink_offer(s, x, f.made, f.nr_made);
	free(f.fiber);
	free(f.made);
}

void shrink_relinearize(struct shrink *s)
{
	struct replay r;
	const struct execution *x = replay_run(&r, s->sc, &s->best, s->limits, false, true);
	struct trace t;

	trace_copy(&t, x, &r);
	for (uint64_t seed = 0; t.nr && seed < TRIES && !shrink_broke(s); seed++) {
		try_order(s, &t, true, seed);
		try_order(s, &t, false, seed);
	}
	trace_free(&t);
	replay_free(&r);
}
