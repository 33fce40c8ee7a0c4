/* SPDX-License-Identifier: MIT */
/* The heap: each wrong access is found, with its message; no right one is taken for it. */
#include "memory_cases.h"
#include "rig.h"
#include "tests/test.h"

static void look_at(const struct memory_case *c)
{
	struct search_result r;

	rig_search(&c->scenario, SEARCH_DPOR, 0, 10000, &r);
	if (c->kind < 0) {
		if (r.verdict != SEARCH_PROVED)
			TEST_FAIL("%s: verdict %d: %s", c->scenario.name, r.verdict,
				  r.verdict == SEARCH_FOUND ? r.violation.message : r.broken);
		if (c->runs && r.runs != c->runs)
			TEST_FAIL("%s: %llu executions", c->scenario.name,
				  (unsigned long long)r.runs);
	} else if (r.verdict != SEARCH_FOUND) {
		TEST_FAIL("%s is not found", c->scenario.name);
	} else if ((int)r.violation.kind != c->kind || !strstr(r.violation.message, c->text)) {
		TEST_FAIL("%s: %s: %s", c->scenario.name, violation_name(r.violation.kind),
			  r.violation.message);
	}
	search_result_free(&r);
}

TEST(wrong_accesses_are_found_and_right_ones_are_not)
{
	rig_init();
	for (size_t i = 0; i < nr_memory_cases; i++)
		look_at(&memory_cases[i]);
	printf("# %zu programs\n", nr_memory_cases);
}
