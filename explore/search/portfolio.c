/* SPDX-License-Identifier: MIT */
/*
 * All modes one after the other, so that a violation shows early and a proof is given where one is in reach.
 *
 * Serial orders and a few random ones come first: they cost nothing. Then source-DPOR gets a small allowance, since a small scenario is proved by it faster
 * than anything is sampled. What is larger goes through random schedules and PCT, which are the best at finding, then through the
 * preemption bounds, which say something when exhausted; then DPOR goes on where it was. When that does not come to its end either,
 * the next bound has the rest of the time.
 */
#include "search/drive.h"

#define FIRST_RUNS	   2000
#define FIRST_EVENTS	   400000
#define LIKELY_RUNS	   50000 /* DPOR goes on if it is likely to be at its end before that many */
#define RANDOM_RUNS	   1000
#define RANDOM_EVENTS	   1000000 /* of each of random and PCT */
#define RANDOM_FIRST	   30 /* before anything larger, of each of random and PCT of that depth */
#define RANDOM_FIRST_DEPTH 3
#define RANDOM_LEAST	   50
#define PCT_DEPTH	   4
#define LAST_EASY_BOUND	   2

struct portfolio {
	struct drive *d;
	struct tree dpor;
	uint64_t dpor_runs, limit; /* of DPOR, of each part */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a && b ? (a < b ? a : b) : a + b;
}

/* True: the search is over. */
static bool go_on_with_dpor(struct portfolio *p, uint64_t runs, uint64_t events, double until)
{
	struct drive *d = p->d;
	uint64_t before = d->r->runs;
	enum walk_end end;

	if (p->limit && p->dpor_runs >= p->limit)
		return false;
	d->r->mode = SEARCH_DPOR;
	d->r->bounded = false;
	runs = least(runs, p->limit ? p->limit - p->dpor_runs : 0);
	end = drive_walk(d, &p->dpor, runs, events, until);
	p->dpor_runs += d->r->runs - before;
	if (end != WALK_EXHAUSTED)
		return end == WALK_OVER;
	d->r->done = 1;
	if (!p->dpor.limit_hit)
		d->r->verdict = SEARCH_PROVED;
	return true;
}

static bool sample_a_little(struct portfolio *p)
{
	struct drive *d = p->d;
	uint64_t runs = least(RANDOM_FIRST, p->limit);

	d->r->mode = SEARCH_RANDOM;
	drive_random(d, 0, d->o->seed, 0, runs);
	if (d->over)
		return true;
	d->r->mode = SEARCH_PCT;
	drive_random(d, RANDOM_FIRST_DEPTH, d->o->seed + RANDOM_FIRST_DEPTH, 0, runs);
	return d->over;
}

static bool sample(struct portfolio *p)
{
	struct drive *d = p->d;
	uint64_t runs = p->limit ? p->limit : RANDOM_RUNS;

	if (d->length && runs > RANDOM_EVENTS / d->length)
		runs = RANDOM_EVENTS / d->length;
	if (runs < RANDOM_LEAST)
		runs = least(RANDOM_LEAST, p->limit);
	d->r->mode = SEARCH_RANDOM;
	drive_random(d, 0, d->o->seed, RANDOM_FIRST, runs);
	for (unsigned depth = 1; !d->over && depth <= PCT_DEPTH; depth++) {
		d->r->mode = SEARCH_PCT;
		drive_random(d, depth, d->o->seed + depth, RANDOM_FIRST, runs);
	}
	return d->over;
}

static bool walk_bound(struct portfolio *p, unsigned bound, double until)
{
	struct drive *d = p->d;
	enum walk_end end;
	struct tree t;

	d->r->mode = SEARCH_PREEMPTIONS;
	d->r->bounded = true;
	d->r->bound_under_way = bound;
	d->r->all = tree_done(&p->dpor);
	tree_init(&t, TREE_PREEMPTIONS, bound, NULL);
	end = drive_walk(d, &t, p->limit, 0, until);
	if (end == WALK_EXHAUSTED && !t.limit_hit)
		d->r->bound = bound;
	tree_free(&t);
	return end == WALK_OVER;
}

/* The middle of the time that is left; 0 without a limit. */
static double half_time(const struct drive *d)
{
	return d->o->seconds > 0 ? (drive_seconds(d) + d->o->seconds) / 2 : 0;
}

static void run_parts(struct portfolio *p)
{
	struct drive *d = p->d;
	double until;
	unsigned bound;

	d->r->mode = SEARCH_SERIAL;
	drive_serial(d);
	if (d->over || sample_a_little(p) || go_on_with_dpor(p, FIRST_RUNS, FIRST_EVENTS, 0))
		return;
	if (tree_done(&p->dpor) * LIKELY_RUNS > p->dpor_runs &&
	    go_on_with_dpor(p, LIKELY_RUNS, 0, half_time(d)))
		return;
	if (sample(p))
		return;
	until = half_time(d);
	for (bound = 0; bound <= LAST_EASY_BOUND; bound++)
		if (walk_bound(p, bound, until))
			return;
	if (go_on_with_dpor(p, 0, 0, half_time(d)))
		return;
	do
		bound = d->r->bound + 1;
	while (!walk_bound(p, bound, 0) && d->r->bound == bound);
}

void portfolio_run(struct drive *d)
{
	struct portfolio p = {.d = d, .limit = d->o->runs};

	tree_init(&p.dpor, TREE_DPOR, 0, NULL);
	run_parts(&p);
	tree_free(&p.dpor);
}
