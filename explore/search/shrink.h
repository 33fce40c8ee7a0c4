/* SPDX-License-Identifier: MIT */
/* What the ways to shrink a schedule share: trying one and keeping it if it is better. */
#ifndef ANYKVM_EXPLORE_SHRINK_H
#define ANYKVM_EXPLORE_SHRINK_H

#include "search/schedule.h"

/* Compared in this order; less is better. */
struct price {
	uint32_t preemptions, choices, deviations, events;
};

struct shrink {
	const struct explore_scenario *sc;
	const struct engine_limits *limits;
	enum violation_kind kind;
	uint64_t signature;
	uint64_t runs, events; /* left to be spent */
	struct schedule best;
	struct price price;
};

/* Whether x shows the violation that is to be kept. Pays for x. */
bool shrink_shows(struct shrink *s, const struct execution *x);
bool shrink_broke(const struct shrink *s);
/* x shows it and was made with these choices: keeps its schedule if it is cheaper than the best. */
bool shrink_offer(struct shrink *s, const struct execution *x, const unsigned *choice,
		  uint32_t nr_choices);

/* relinearize.c: other orders of the same class with fewer switches. */
void shrink_relinearize(struct shrink *s);

#endif
