/* SPDX-License-Identifier: MIT */
/* Programs about memory alone: what the heap must find, and what it must leave in peace. */
#ifndef EXPLORE_TESTS_MEMORY_CASES_H
#define EXPLORE_TESTS_MEMORY_CASES_H

#include "corpus.h"

struct memory_case {
	struct explore_scenario scenario;
	int kind;	  /* enum violation_kind; -1: clean in every order */
	const char *text; /* that the message must contain */
	unsigned runs;	  /* executions that a proof takes, 0: any number */
};
extern const struct memory_case memory_cases[];
extern const size_t nr_memory_cases;

#endif
