/* SPDX-License-Identifier: MIT */
/*
 * The reduction leaves out nothing and invents nothing: the executions of a program fall into the same classes whether all of its
 * interleavings are run or only those that DPOR asks for.
 */
#include "random.h"
#include "rig.h"
#include "tests/test.h"

/* 1: compared, 0: too many interleavings for that. */
static int compare(const struct explore_scenario *s, uint64_t naive_runs, struct search_result *all)
{
	struct search_result few;
	int compared = 0;

	rig_search(s, SEARCH_DPOR, 0, naive_runs, &few);
	rig_search(s, SEARCH_NAIVE, 0, naive_runs, all);
	if (few.verdict == SEARCH_FOUND || all->verdict == SEARCH_FOUND) {
		TEST_FAIL("%s: a violation in a correct program: %s", s->name,
			  few.verdict == SEARCH_FOUND ? few.violation.message
						      : all->violation.message);
	} else if (all->verdict == SEARCH_PROVED) {
		compared = 1;
		EXPECT_EQ(few.verdict, SEARCH_PROVED);
		EXPECT_EQ(few.classes, all->classes);
		EXPECT_EQ(few.classes_hash, all->classes_hash);
		EXPECT_CMP(few.runs, <=, all->runs);
		if (few.runs - few.abandoned != few.classes)
			printf("# %s: %llu executions for %llu classes\n", s->name,
			       (unsigned long long)(few.runs - few.abandoned),
			       (unsigned long long)few.classes);
	}
	if (test_failed)
		printf("# %s: dpor %llu runs %llu classes %llx, naive %llu runs %llu classes "
		       "%llx\n",
		       s->name, (unsigned long long)few.runs, (unsigned long long)few.classes,
		       (unsigned long long)few.classes_hash, (unsigned long long)all->runs,
		       (unsigned long long)all->classes, (unsigned long long)all->classes_hash);
	search_result_free(&few);
	return compared;
}

static void compare_list(const struct explore_scenario *const *list, uint64_t runs,
			 unsigned at_least)
{
	unsigned n = 0;

	for (; *list; list++) {
		struct search_result all;

		n += compare(*list, runs, &all);
		search_result_free(&all);
	}
	printf("# %u programs compared\n", n);
	EXPECT_CMP(n, >=, at_least);
}

TEST(programs_of_words_have_the_same_classes)
{
	compare_list(litmus_words, test_rounds(20000, 2000000), 14);
}

TEST(programs_of_locks_have_the_same_classes)
{
	compare_list(litmus_locks, test_rounds(20000, 2000000), 8);
}

TEST(programs_of_waits_have_the_same_classes)
{
	compare_list(litmus_waits, test_rounds(20000, 2000000), 8);
}

TEST(programs_of_sections_have_the_same_classes)
{
	compare_list(litmus_sections, test_rounds(20000, 2000000), 6);
}

TEST(programs_of_lifetimes_have_the_same_classes)
{
	compare_list(litmus_lifetimes, test_rounds(20000, 2000000), 4);
}

/* Classes cannot be compared, as a search ends with the first violation. */
TEST(the_one_order_that_fails_is_not_left_out)
{
	for (const struct explore_scenario *const *s = litmus_orders; *s; s++) {
		struct search_result few, all;

		rig_search(*s, SEARCH_NAIVE, 0, 20000, &all);
		rig_search(*s, SEARCH_DPOR, 0, 20000, &few);
		if (all.verdict != SEARCH_FOUND || few.verdict != SEARCH_FOUND)
			TEST_FAIL("%s: found by naive: %d, by dpor: %d", (*s)->name,
				  all.verdict == SEARCH_FOUND, few.verdict == SEARCH_FOUND);
		search_result_free(&all);
		search_result_free(&few);
	}
}

TEST(the_dying_file_has_the_same_classes)
{
	struct search_result all;

	EXPECT_EQ(compare(&seed_b1, 20000000, &all), 1);
	printf("# seed-b1: %llu interleavings in %llu classes\n", (unsigned long long)all.runs,
	       (unsigned long long)all.classes);
	search_result_free(&all);
}

TEST(random_programs_have_the_same_classes)
{
	unsigned long n = test_rounds(400, 20000), compared = 0;

	for (unsigned long seed = 1; seed <= n && !test_failed; seed++) {
		struct search_result all;

		random_make(seed, 3 + seed % 3);
		compared += compare(&random_scenario, test_rounds(6000, 200000), &all);
		search_result_free(&all);
		if (test_failed) {
			printf("# seed %lu\n", seed);
			random_print();
		}
	}
	printf("# %lu of %lu random programs compared\n", compared, n);
	if (!test_failed)
		EXPECT_CMP(compared, >=, n / 3);
}
