/* SPDX-License-Identifier: MIT */
/* What the modes of a search share: running executions, counting them, stopping. */
#ifndef ANYKVM_EXPLORE_DRIVE_H
#define ANYKVM_EXPLORE_DRIVE_H

#include "search/classes.h"
#include "search/search.h"
#include "search/tree.h"
#include "search/wander.h"

struct drive {
	const struct explore_scenario *sc;
	const struct search_options *o;
	struct search_result *r;
	struct classes classes;
	double began, next_tick;
	const struct tree *tree; /* that is walked, NULL: none */
	uint32_t length;	 /* events of the first execution */
	int nr_fibers;		 /* most that an execution had */
	bool over; /* found, broken, out of time, interrupted: nothing more is to be run */
};

enum walk_end {
	WALK_EXHAUSTED,
	WALK_PAUSED, /* as many executions as were asked for, or the deadline */
	WALK_OVER,   /* the whole search is over */
};

void drive_init(struct drive *d, const struct explore_scenario *sc, const struct search_options *o,
		struct search_result *r);
void drive_fini(struct drive *d);
/* The default order twice: it has to be the same both times. */
void drive_gate(struct drive *d);
/*
 * On from where t is. At most runs executions (0: any number), at most that many events (0: the same), until seconds (of
 * drive_seconds, 0: no end).
 */
enum walk_end drive_walk(struct drive *d, struct tree *t, uint64_t runs, uint64_t events,
			 double until);
void drive_serial(struct drive *d);
/* Runs number first to first + runs - 1 of that seed. depth 0: uniformly random. */
void drive_random(struct drive *d, unsigned depth, uint64_t seed, uint64_t first, uint64_t runs);
double drive_seconds(const struct drive *d);

void portfolio_run(struct drive *d);

#endif
