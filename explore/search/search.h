/* SPDX-License-Identifier: MIT */
/* Which executions of a scenario are run, and what can be said after them. */
#ifndef ANYKVM_EXPLORE_SEARCH_H
#define ANYKVM_EXPLORE_SEARCH_H

#include "search/schedule.h"

enum search_mode {
	SEARCH_PORTFOLIO, /* serial orders; random and PCT d = 1..4; preemption bounds 0, 1, 2; then source-DPOR to exhaustion */
	SEARCH_SERIAL,
	SEARCH_RANDOM,	    /* from seed */
	SEARCH_PCT,	    /* bound: depth d */
	SEARCH_PREEMPTIONS, /* all executions with at most bound switches of a fiber that could go on */
	SEARCH_DELAYS,	    /* all with at most bound delays of the round-robin order */
	SEARCH_DPOR,	    /* source-DPOR with sleep sets: one execution at least for each class */
	SEARCH_NAIVE,	    /* every interleaving: for the self-test */
};

enum search_verdict {
	SEARCH_FOUND,	 /* a violation */
	SEARCH_PROVED,	 /* DPOR or naive search came to its end, no limit was hit */
	SEARCH_SEARCHED, /* all else */
};

struct search_result;

struct search_options {
	enum search_mode mode;
	unsigned bound;
	uint64_t seed;
	/* At most so many executions (of each part of a portfolio); 0: default of the mode. */
	uint64_t runs;
	/* At most that long; 0: no limit. The verdict of an exhausted search never depends on it. */
	double seconds;
	struct engine_limits limits;
	bool count_classes; /* keep the set of class hashes (always on in DPOR and naive) */
	/* Called now and then; false stops the search (Ctrl-C). */
	bool (*progress)(void *arg, const struct search_result *so_far);
	void *arg;
};

struct search_result {
	enum search_verdict verdict;
	enum search_mode mode; /* of a portfolio: the part that ended it */
	unsigned bound;	       /* highest bound that was exhausted; ~0: none */
	uint64_t runs;	       /* executions */
	uint64_t abandoned;    /* those given up as redundant */
	uint64_t events;       /* in all */
	uint64_t classes;      /* different dependence orders of executions that ended */
	uint64_t classes_hash; /* of the set: order does not matter */
	double done; /* share covered, estimated from the tree of choices: 0..1; 1 when exhausted */
	bool bounded; /* done is about the orders within the bound under way, and all, if it is not negative, about all orders */
	unsigned bound_under_way;
	double all;
	double seconds;
	uint32_t max_events; /* of one execution */
	bool interrupted, out_of_time, limit_hit;
	/* Not empty: why nothing can be said (executions are not repeatable). There is no verdict then. */
	char broken[256];
	/* SEARCH_FOUND */
	struct violation violation;
	struct schedule schedule; /* as found, not shrunk */
	uint64_t found_at;	  /* number of the execution */
};

void search_run(const struct explore_scenario *sc, const struct search_options *o,
		struct search_result *r);
void search_result_free(struct search_result *r);

#endif
