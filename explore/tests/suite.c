/* SPDX-License-Identifier: MIT */
/* All programs as one suite, for the command and the tests. */
#include <stdlib.h>

#include "corpus.h"
#include "engine/engine.h"

static const struct explore_scenario *all[256];
/* All that the programs keep outside the heap (explore/kvm/gather.py). */
extern char state_start[] __asm__("__start_explore_state"), state_end[] __asm__(
								    "__stop_explore_state");

static void kept(void (*keep)(void *start, size_t size))
{
	keep(state_start, state_end - state_start);
}

struct explore_suite corpus_suite = {.program = "explore-corpus", .scenario = all, .kept = kept};

static void add(const struct explore_scenario *s)
{
	if (corpus_suite.nr_scenarios == sizeof(all) / sizeof(all[0]))
		abort();
	all[corpus_suite.nr_scenarios++] = s;
}

static void add_list(const struct explore_scenario *const *list)
{
	for (; *list; list++)
		add(*list);
}

__attribute__((constructor)) static void gather(void)
{
	add(&seed_a0);
	add(&seed_a1);
	add(&seed_a2);
	add(&seed_a3);
	add(&seed_b0);
	add(&seed_b2);
	for (unsigned i = 0; i < 4; i++)
		add(seed_b_grown[i]);
	for (size_t i = 0; i < nr_probes; i++) {
		add(probes[i].broken);
		add(probes[i].fixed);
	}
	add_list(litmus_words);
	add_list(litmus_locks);
	add_list(litmus_waits);
	add_list(litmus_sections);
	add_list(litmus_lifetimes);
	corpus_suite.guard = corpus_guards;
	corpus_suite.nr_guards = nr_corpus_guards;
}
