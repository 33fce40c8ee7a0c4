/* SPDX-License-Identifier: MIT */
/* Each detector: finds its probe, names what is to be named; and the same program put right is clean in every order. */
#include "rig.h"
#include "tests/test.h"

static bool names_site(const struct violation *v, const char *function)
{
	if (rig_site_names(&v->site, function))
		return true;
	for (unsigned i = 0; i < v->nr_others; i++)
		if (rig_site_names(&v->other[i], function))
			return true;
	/* A lock order of before, perhaps of another process: by who had it. */
	for (unsigned i = 0; i < v->nr_edges; i++)
		if (strstr(v->edge[i].text, function))
			return true;
	return false;
}

static bool names_object(const struct violation *v, const char *object)
{
	if (strstr(v->object, object) || strstr(v->message, object))
		return true;
	for (unsigned i = 0; i < v->nr_edges; i++)
		if (strstr(v->edge[i].text, object))
			return true;
	return false;
}

static void find(const struct probe *p, enum search_mode mode)
{
	struct search_result r;

	rig_search(p->broken, mode, 2, 10000, &r);
	if (r.verdict != SEARCH_FOUND) {
		TEST_FAIL("%s is not found", p->broken->name);
	} else {
		const struct violation *v = &r.violation;

		printf("# %s: %s: %s (execution %llu)\n", p->broken->name, violation_name(v->kind),
		       v->message, (unsigned long long)r.found_at);
		EXPECT_EQ(v->kind, p->kind);
		if (!names_object(v, p->object))
			TEST_FAIL("%s: %s is not named: %s (%s)", p->broken->name, p->object,
				  v->message, v->object);
		if (p->function && !names_site(v, p->function))
			TEST_FAIL("%s: %s is not in its stacks", p->broken->name, p->function);
		if (p->other && !names_site(v, p->other))
			TEST_FAIL("%s: %s is not in its stacks", p->broken->name, p->other);
	}
	search_result_free(&r);
}

static void prove(const struct explore_scenario *s)
{
	struct search_result r;

	rig_search(s, SEARCH_DPOR, 0, 100000, &r);
	if (r.verdict != SEARCH_PROVED)
		TEST_FAIL("%s: verdict %d: %s", s->name, r.verdict,
			  r.verdict == SEARCH_FOUND ? r.violation.message : "");
	search_result_free(&r);
}

/* In this order: the graph of lock classes lives on, but each program has classes of its own. */
#define DETECTOR(test, n)                      \
	TEST(test)                             \
	{                                      \
		find(&probes[n], SEARCH_DPOR); \
		prove(probes[n].fixed);        \
	}

DETECTOR(use_after_free_is_detected, 0)
DETECTOR(double_free_is_detected, 1)
DETECTOR(leak_is_detected, 2)
DETECTOR(locks_in_both_orders_are_detected, 3)
DETECTOR(cycle_of_lock_and_grace_period_is_detected, 4)
DETECTOR(lost_wakeup_is_detected, 5)
DETECTOR(unbalanced_section_is_detected, 6)
DETECTOR(stale_translation_is_detected, 7)
DETECTOR(missing_guard_is_detected, 8)
DETECTOR(count_from_zero_is_detected, 9)
DETECTOR(sleep_in_atomic_context_is_detected, 10)
DETECTOR(release_hook_in_a_section_is_detected, 11)
DETECTOR(data_race_is_detected, 12)
DETECTOR(deadlock_of_two_locks_is_detected, 13)
DETECTOR(inversion_is_detected_in_one_passing_run, 14)
DETECTOR(dereference_outside_a_section_is_detected, 15)

TEST(no_probe_is_left_out)
{
	EXPECT_EQ(nr_probes, 16);
}

TEST(bounded_search_finds_them_too)
{
	for (size_t i = 0; i < nr_probes; i++)
		find(&probes[i], SEARCH_PREEMPTIONS);
}
