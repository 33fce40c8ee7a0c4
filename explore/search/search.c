/* SPDX-License-Identifier: MIT */
/* The modes of a search, one at a time; portfolio.c combines them. */
#include "search/search.h"

#include <string.h>

#include "search/drive.h"

#define RANDOM_RUNS 1000

/* After a tree was walked to its end without a violation. */
static void conclude(struct drive *d, const struct tree *t)
{
	d->r->done = 1;
	if (t->limit_hit)
		return;
	if (t->kind == TREE_DPOR || t->kind == TREE_NAIVE)
		d->r->verdict = SEARCH_PROVED;
	else
		d->r->bound = t->bound;
}

static void walk(struct drive *d, enum tree_kind kind)
{
	struct tree t;

	d->r->bounded = kind == TREE_PREEMPTIONS || kind == TREE_DELAYS;
	d->r->bound_under_way = d->o->bound;
	d->r->all = -1;
	tree_init(&t, kind, d->o->bound, NULL);
	if (drive_walk(d, &t, d->o->runs, 0, 0) == WALK_EXHAUSTED)
		conclude(d, &t);
	tree_free(&t);
}

void search_run(const struct explore_scenario *sc, const struct search_options *o,
		struct search_result *r)
{
	uint64_t runs = o->runs ? o->runs : RANDOM_RUNS;
	struct drive d;

	drive_init(&d, sc, o, r);
	drive_gate(&d);
	switch (d.over ? SEARCH_SERIAL : o->mode) {
	case SEARCH_SERIAL:
		drive_serial(&d);
		break;
	case SEARCH_RANDOM:
		drive_random(&d, 0, o->seed, 0, runs);
		break;
	case SEARCH_PCT:
		drive_random(&d, o->bound ? o->bound : 1, o->seed, 0, runs);
		break;
	case SEARCH_PREEMPTIONS:
		walk(&d, TREE_PREEMPTIONS);
		break;
	case SEARCH_DELAYS:
		walk(&d, TREE_DELAYS);
		break;
	case SEARCH_DPOR:
		walk(&d, TREE_DPOR);
		break;
	case SEARCH_NAIVE:
		walk(&d, TREE_NAIVE);
		break;
	case SEARCH_PORTFOLIO:
		portfolio_run(&d);
		break;
	}
	drive_fini(&d);
}

void search_result_free(struct search_result *r)
{
	schedule_free(&r->schedule);
	memset(r, 0, sizeof(*r));
}
