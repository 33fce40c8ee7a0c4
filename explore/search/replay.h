/* SPDX-License-Identifier: MIT */
/* Running a schedule, for those who want to know what was chosen. */
#ifndef ANYKVM_EXPLORE_REPLAY_H
#define ANYKVM_EXPLORE_REPLAY_H

#include "search/schedule.h"

struct replay {
	struct strategy strategy; /* must be first */
	const struct schedule *s;
	uint32_t pick, choice; /* next deviation of each sort */
	uint32_t left_out;
	int current;
	unsigned *made; /* choices */
	int *maker;	/* of each, its fiber */
	uint32_t nr_choices, room;
};

/* To be followed by replay_free(). */
const struct execution *replay_run(struct replay *r, const struct explore_scenario *sc,
				   const struct schedule *s, const struct engine_limits *limits,
				   bool record, bool order);
void replay_free(struct replay *r);

#endif
