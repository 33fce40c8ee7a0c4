/* SPDX-License-Identifier: MIT */
/* Strategies that keep no tree: serial orders, uniformly random schedules, PCT. */
#ifndef ANYKVM_EXPLORE_WANDER_H
#define ANYKVM_EXPLORE_WANDER_H

#include "search/schedule.h"

#define PCT_MAX_DEPTH 16

struct wander {
	struct strategy strategy; /* must be first */
	uint64_t random;	  /* state of the generator */
	bool by_rank;		  /* PCT: whoever ranks highest goes on; else anybody */
	bool keep;		  /* serial: whoever runs goes on, then by rank */
	uint32_t rank[MAX_FIBERS];
	uint32_t change
		[PCT_MAX_DEPTH]; /* before these events the rank of the fiber that runs becomes the lowest */
	unsigned nr_changes;
	unsigned *choice;
	uint32_t nr_choices, room;
	bool after_setup; /* there was a checkpoint */
};

void wander_init(struct wander *w);
void wander_free(struct wander *w);
/* The execution of each is set by its number alone. */
void wander_begin_random(struct wander *w, uint64_t seed);
/* What was begun is to be run of sc: where it can be, from behind its setup. */
void wander_resume(struct wander *w, const struct explore_scenario *sc);
/* length: events of an execution, about. */
void wander_begin_pct(struct wander *w, uint64_t seed, unsigned depth, uint32_t length);
/* The n-th order of threads 1 to nr_threads, one after another; false if there are not so many. helpers_first: other fibers before them. */
bool wander_begin_serial(struct wander *w, unsigned nr_threads, uint32_t n, bool helpers_first);
/* The n-th seed that follows from seed. */
uint64_t wander_seed(uint64_t seed, uint64_t n);

#endif
