/* SPDX-License-Identifier: MIT */
/*
 * A schedule: where an execution departs from the default, which is to go on with the fiber that runs until it cannot, then with the
 * lowest that can, and to choose 0 everywhere. As text: "gmem-dying-file:7>2,12>1,c3=1" (before event 7 fiber 2 goes on; the fourth
 * choice made is 1).
 */
#ifndef ANYKVM_EXPLORE_SCHEDULE_H
#define ANYKVM_EXPLORE_SCHEDULE_H

#include "engine/engine.h"

struct deviation {
	uint32_t at;   /* event number, or number of the choice */
	uint32_t take; /* fiber, or value */
	bool choice;
};

struct schedule {
	struct deviation *deviation; /* ascending; malloc */
	uint32_t nr;
};

void schedule_free(struct schedule *s);
struct schedule schedule_copy(const struct schedule *s);
/* What made x, from its trace. */
struct schedule schedule_of(const struct execution *x, const unsigned *choice, uint32_t nr_choices);
/* The text, malloc'ed. */
char *schedule_format(const char *scenario, const struct schedule *s);
/* False with a message in err if text is none. scenario gets the name before the colon. */
bool schedule_parse(const char *text, char *scenario, size_t scenario_size, struct schedule *s,
		    char *err, size_t err_size);
/* Runs it. A deviation that cannot be followed (the fiber is blocked) is left out; *followed says whether all could. */
const struct execution *schedule_run(const struct explore_scenario *sc, const struct schedule *s,
				     const struct engine_limits *limits, bool record,
				     bool *followed);
/*
 * The fewest switches, then the fewest choices, that show a violation of the same kind and signature: first by bounded search with
 * fewer preemptions than s has, then by leaving deviations out (ddmin). budget: executions. *s is replaced.
 */
void schedule_shrink(const struct explore_scenario *sc, struct schedule *s,
		     const struct violation *v, const struct engine_limits *limits,
		     uint64_t budget);

#endif
