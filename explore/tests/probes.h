/* SPDX-License-Identifier: MIT */
/* How a probe is written. */
#ifndef ANYKVM_EXPLORE_TESTS_PROBES_H
#define ANYKVM_EXPLORE_TESTS_PROBES_H

#include "corpus.h"

#define PROGRAM(id, what, setup_, finish_, ...)       \
	const struct explore_scenario id = {          \
		.name = #id,                          \
		.summary = what,                      \
		.property = "what it names is found", \
		.source = "detector probe",           \
		.setup = setup_,                      \
		.finish = finish_,                    \
		.thread = {__VA_ARGS__},              \
	}
/* So that stacks have a line for each. */
#define STEP __attribute__((noinline)) static

#endif
