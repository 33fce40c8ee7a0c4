/* SPDX-License-Identifier: MIT */
/* Correct programs: nothing is reported, in any mode, and every order was covered. */
#include "rig.h"
#include "tests/test.h"

static void clean(const struct explore_scenario *const *list, enum search_mode mode, unsigned bound,
		  uint64_t runs)
{
	for (; *list; list++) {
		struct search_result r;

		rig_search(*list, mode, bound, runs, &r);
		if (r.verdict == SEARCH_FOUND)
			TEST_FAIL("%s: %s: %s", (*list)->name, violation_name(r.violation.kind),
				  r.violation.message);
		else if (mode == SEARCH_DPOR && r.verdict != SEARCH_PROVED)
			TEST_FAIL("%s is not proved in %llu executions", (*list)->name,
				  (unsigned long long)r.runs);
		else if (mode == SEARCH_DPOR)
			printf("# %-36s %6llu runs %6llu classes\n", (*list)->name,
			       (unsigned long long)r.runs, (unsigned long long)r.classes);
		search_result_free(&r);
	}
}

static void all(enum search_mode mode, unsigned bound, uint64_t runs)
{
	clean(litmus_words, mode, bound, runs);
	clean(litmus_locks, mode, bound, runs);
	clean(litmus_waits, mode, bound, runs);
	clean(litmus_sections, mode, bound, runs);
	clean(litmus_lifetimes, mode, bound, runs);
}

TEST(words_are_proved)
{
	clean(litmus_words, SEARCH_DPOR, 0, 200000);
}

TEST(locks_are_proved)
{
	clean(litmus_locks, SEARCH_DPOR, 0, 200000);
}

TEST(waits_are_proved)
{
	clean(litmus_waits, SEARCH_DPOR, 0, 200000);
}

TEST(sections_are_proved)
{
	clean(litmus_sections, SEARCH_DPOR, 0, 200000);
}

TEST(lifetimes_are_proved)
{
	clean(litmus_lifetimes, SEARCH_DPOR, 0, 200000);
}

TEST(at_random_nothing_is_reported)
{
	all(SEARCH_RANDOM, 0, 200);
	all(SEARCH_PCT, 3, 200);
}

TEST(with_two_preemptions_nothing_is_reported)
{
	all(SEARCH_PREEMPTIONS, 2, 2000);
}

TEST(with_two_delays_nothing_is_reported)
{
	all(SEARCH_DELAYS, 2, 2000);
}

TEST(there_are_more_than_forty)
{
	const struct explore_scenario *const *const lists[] = {
		litmus_words, litmus_locks, litmus_waits, litmus_sections, litmus_lifetimes};
	unsigned n = 0;

	for (unsigned i = 0; i < 5; i++)
		for (unsigned j = 0; lists[i][j]; j++)
			n++;
	printf("# %u programs\n", n);
	EXPECT_CMP(n, >=, 40);
}
