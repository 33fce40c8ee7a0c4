/* SPDX-License-Identifier: MIT */
/*
 * The search of one scenario cut into items that can be done anywhere in any order: by the worker processes of one machine or by
 * several machines. It goes in rounds. A plan is the text of a round: what was done so far, the items to be done, and what has to be
 * known of the trees that they are parts of. Each item is done by itself and gives a text. All of a round together with its plan
 * give the plan of the next one, or the end.
 *
 * What an item does is bounded in executions and follows from the plan alone, so plans, results and the end are the same bytes
 * however the items were spread. For this a piece of work (some items that belong together, so that there are not too many) must begin
 * without a graph of lock orders (engine_lock_order_forget, or a fresh process): that grows with executions.
 *
 * SEARCH_PORTFOLIO here: serial orders, a few random ones and a little DPOR; DPOR with random schedules and PCT; DPOR with preemption bounds; the next
 * bound follows when one is exhausted, for as long as DPOR is not. Such a campaign ends by itself only with DPOR or by
 * options->runs (of each part); whoever runs it may stop after any round.
 */
#ifndef ANYKVM_EXPLORE_PART_H
#define ANYKVM_EXPLORE_PART_H

#include "search/search.h"

/* The plan of round 0. Uses mode, bound, seed and runs. malloc'ed, as are all texts here. */
char *part_plan(const struct search_options *o);
/* How many pieces of work it has, a few items each; 0: not a plan. The round's number in *round (may be NULL). */
size_t part_items(const char *plan, unsigned *round);
/*
 * Does a piece (0...) of plan, whose part_hash() is hash, and returns its result. Of o: limits, progress (false: the piece is given up, NULL is returned). *r says
 * what was done in this piece: for progress, and r->broken, which makes the result NULL too.
 */
char *part_run(const struct explore_scenario *sc, const struct search_options *o, const char *plan,
	       uint64_t hash, size_t piece, struct search_result *r);
/* What results name their plan by. */
uint64_t part_hash(const char *plan);
/*
 * Unites plan with the results of all its pieces, which results holds one after another in any order. Those after the first that found
 * a violation may be missing. The next plan in *next, NULL if the search is over. *r has the account so far, as search_run() has it;
 * its violation has only a kind, message and signature: run the schedule again for the rest. False with a message in err: a result is
 * missing, there twice, or of another plan.
 */
bool part_merge(const char *plan, const char *results, char **next, struct search_result *r,
		char *err, size_t err_size);

#endif
