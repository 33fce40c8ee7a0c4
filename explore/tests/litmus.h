/* SPDX-License-Identifier: MIT */
/* How a correct program is written down: LITMUS(id, "what holds", setup, finish, {"name", fn}, ...). */
#ifndef EXPLORE_TESTS_LITMUS_H
#define EXPLORE_TESTS_LITMUS_H

#include "corpus.h"

#define LITMUS_WITH(id, what, setup_, finish_, faults_, flags_, ...) \
	static const struct explore_scenario id = {                  \
		.name = "ok-" #id,                                   \
		.summary = what,                                     \
		.property = what,                                    \
		.source = "control program",                         \
		.setup = setup_,                                     \
		.finish = finish_,                                   \
		.thread = {__VA_ARGS__},                             \
		.faults = faults_,                                   \
		.flags = flags_,                                     \
	}
#define LITMUS(id, what, setup_, finish_, ...) \
	LITMUS_WITH(id, what, setup_, finish_, 0, 0, __VA_ARGS__)

#endif
