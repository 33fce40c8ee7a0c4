/* SPDX-License-Identifier: MIT */
/* The two seeds: each broken form is found within few executions, each repaired one proved, and growth is what semantics allow. */
#include "rig.h"
#include "tests/test.h"

static void expect_found(const struct explore_scenario *s, enum search_mode mode, uint64_t runs,
			 enum violation_kind kind)
{
	struct search_result r;

	rig_search(s, mode, 0, runs, &r);
	EXPECT_EQ(r.verdict, SEARCH_FOUND);
	if (r.verdict == SEARCH_FOUND && r.violation.kind != kind)
		TEST_FAIL("%s: %s, not %s: %s", s->name, violation_name(r.violation.kind),
			  violation_name(kind), r.violation.message);
	printf("# %-8s %-10s execution %llu: %s\n", s->name,
	       mode == SEARCH_DPOR ? "dpor" : "portfolio", (unsigned long long)r.found_at,
	       r.violation.message);
	search_result_free(&r);
}

static void expect_proved(const struct explore_scenario *s, uint64_t most_runs)
{
	struct search_result r;

	rig_search(s, SEARCH_DPOR, 0, most_runs + 1, &r);
	EXPECT_EQ(r.verdict, SEARCH_PROVED);
	EXPECT_CMP(r.runs, <=, most_runs);
	if (r.verdict == SEARCH_FOUND)
		printf("# %s: %s\n", s->name, r.violation.message);
	printf("# %-18s %llu runs (%llu given up), %llu classes, %.2f ms\n", s->name,
	       (unsigned long long)r.runs, (unsigned long long)r.abandoned,
	       (unsigned long long)r.classes, r.seconds * 1e3);
	search_result_free(&r);
}

TEST(flush_twice_is_found_as_a_double_free)
{
	expect_found(&seed_a0, SEARCH_DPOR, 100, BAD_DOUBLE_FREE);
	expect_found(&seed_a1, SEARCH_DPOR, 100, BAD_DOUBLE_FREE);
	expect_found(&seed_a2, SEARCH_DPOR, 100, BAD_DOUBLE_FREE);
	expect_found(&seed_a0, SEARCH_PORTFOLIO, 100, BAD_DOUBLE_FREE);
	expect_found(&seed_a1, SEARCH_PORTFOLIO, 100, BAD_DOUBLE_FREE);
	expect_found(&seed_a2, SEARCH_PORTFOLIO, 100, BAD_DOUBLE_FREE);
}

TEST(flush_twice_repaired_is_proved)
{
	expect_proved(&seed_a3, 10000);
}

TEST(the_dying_file_is_found_as_a_use_after_free)
{
	expect_found(&seed_b0, SEARCH_DPOR, 100, BAD_USE_AFTER_FREE);
	expect_found(&seed_b0, SEARCH_PORTFOLIO, 100, BAD_USE_AFTER_FREE);
}

TEST(release_inside_the_section_is_found_as_a_deadlock)
{
	expect_found(&seed_b2, SEARCH_DPOR, 100, BAD_DEADLOCK);
}

TEST(release_inside_the_section_is_seen_in_the_order_of_locks_or_as_a_deadlock)
{
	struct search_result r;

	/* Serial orders come first: slots_lock inside the section against the wait under slots_lock. */
	rig_search(&seed_b2, SEARCH_PORTFOLIO, 0, 100, &r);
	EXPECT_EQ(r.verdict, SEARCH_FOUND);
	EXPECT(r.violation.kind == BAD_DEADLOCK || r.violation.kind == BAD_LOCK_ORDER);
	search_result_free(&r);
}

TEST(the_dying_file_repaired_is_proved)
{
	expect_proved(&seed_b1, 100);
}

TEST(four_threads_are_proved)
{
	expect_proved(seed_b_grown[1], 2000);
}

TEST(five_threads_are_proved)
{
	expect_proved(seed_b_grown[2], 100000);
}
