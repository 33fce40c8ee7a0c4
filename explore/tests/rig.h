/* SPDX-License-Identifier: MIT */
/* What the tests of the explorer share: searches with their result, the names in a violation. */
#ifndef EXPLORE_TESTS_RIG_H
#define EXPLORE_TESTS_RIG_H

#include "corpus.h"
#include "search/search.h"

/* Once, before anything runs. */
void rig_init(void);
/* r is to be freed. Of what was searched before in this process only the order graph is left. */
void rig_search(const struct explore_scenario *s, enum search_mode mode, unsigned bound,
		uint64_t runs, struct search_result *r);
/* Whether a frame of the site is in function. */
bool rig_site_names(const struct site *site, const char *function);
/* As the command prints it; malloc'ed. */
char *rig_report(const struct explore_scenario *s, const struct schedule *schedule,
		 const struct execution *x);

#endif
