/* SPDX-License-Identifier: MIT */
/* What is said after a search that found nothing: "proved" only where it came to its end. */
#include "report/report.h"

#include "test.h"

static void nothing(void)
{
}

static const struct explore_scenario scenario = {
	.name = "queue",
	.summary = "one writes, one reads",
	.property = "what was written is read",
	.thread = {{"writer", nothing}, {"reader", nothing}},
};
static const struct explore_suite suite = {.program = "toy"};

static char *certificate(const struct search_result *r)
{
	static char *buf;
	size_t size;
	FILE *out = open_memstream(&buf, &size);
	struct report_search s = {.suite = &suite, .scenario = &scenario, .result = r};
	struct report_style style = {.width = 100};

	report_certificate(out, &s, &style);
	report_certificate_json(out, &s);
	fclose(out);
	return buf;
}

TEST(an_exhausted_search_proves)
{
	struct search_result r = {.verdict = SEARCH_PROVED,
				  .mode = SEARCH_DPOR,
				  .bound = ~0u,
				  .runs = 53,
				  .classes = 18,
				  .done = 1};
	char *text = certificate(&r);

	EXPECT(strstr(text, "queue: proved: every interleaving of 2 threads is equivalent to one "
			    "of 18 explored"));
	EXPECT(strstr(text, "53 executions"));
	EXPECT(strstr(text, "memory barrier is not seen"));
	EXPECT(strstr(text, "\"verdict\": \"proved\""));
	EXPECT(strstr(text, "use after free"));
	EXPECT(strstr(text, "\"share\": 1.000"));
}

TEST(a_bounded_search_never_proves)
{
	struct search_result r = {.verdict = SEARCH_SEARCHED,
				  .mode = SEARCH_PREEMPTIONS,
				  .bound = 2,
				  .runs = 53,
				  .done = 0.4};
	char *text = certificate(&r);

	EXPECT(strstr(text, "queue: searched"));
	EXPECT(strstr(text, "at most 2 switches"));
	EXPECT(strstr(text, "about 40.0 % covered"));
	EXPECT(!strstr(text, "proved"));
	EXPECT(strstr(text, "\"exhausted_bound\": 2"));
}

TEST(the_bound_under_way_has_a_share_of_its_own)
{
	struct search_result r = {.verdict = SEARCH_SEARCHED,
				  .mode = SEARCH_PREEMPTIONS,
				  .bound = 2,
				  .bounded = true,
				  .bound_under_way = 3,
				  .done = 0.25,
				  .all = 0.125};
	char *text = certificate(&r);

	EXPECT(strstr(text, "of those with 3, about 25.0 %; of all, about 12.5 %"));
	EXPECT(strstr(text, "\"share\": 0.125"));
	EXPECT(strstr(text, "\"bound_under_way\": 3"));
	EXPECT(strstr(text, "\"bound_share\": 0.250"));
}

TEST(of_a_bound_alone_nothing_is_said_about_all)
{
	struct search_result r = {.verdict = SEARCH_SEARCHED,
				  .mode = SEARCH_PREEMPTIONS,
				  .bound = 2,
				  .bounded = true,
				  .bound_under_way = 2,
				  .done = 1,
				  .all = -1};

	EXPECT(strstr(certificate(&r), "have gone on\n"));
	EXPECT(!strstr(certificate(&r), "covered"));
	EXPECT(strstr(certificate(&r), "\"share\": null"));
	r.bound = ~0u;
	r.done = 0.5;
	EXPECT(strstr(certificate(&r), "of those with at most 2 switches, about 50.0 % covered"));
}

TEST(nothing_covered_is_not_rounded_up_and_all_but_is_not_all)
{
	struct search_result r = {.verdict = SEARCH_SEARCHED, .bound = ~0u, .done = 0};

	EXPECT(strstr(certificate(&r), "less than 0.1 % covered"));
	r.done = 1;
	EXPECT(strstr(certificate(&r), "about 99.9 % covered"));
}

TEST(counts_that_time_decides_are_left_out)
{
	struct search_result r = {.verdict = SEARCH_SEARCHED,
				  .bound = 1,
				  .runs = 12345,
				  .classes = 678,
				  .out_of_time = true};
	char *text = certificate(&r);

	EXPECT(strstr(text, "out of time"));
	EXPECT(!strstr(text, "12345"));
	EXPECT(!strstr(text, "678"));
	EXPECT(strstr(text, "\"executions\": null"));
}

TEST(the_program_and_the_scenario_have_their_hashes)
{
	struct explore_scenario other = scenario;

	other.property = "something else";
	EXPECT_EQ(report_scenario_hash(&scenario), report_scenario_hash(&scenario));
	EXPECT_NE(report_scenario_hash(&scenario), report_scenario_hash(&other));
	EXPECT_NE(report_code_hash(), 0);
}

TEST(progress_has_a_rate_and_an_estimate)
{
	struct search_result r = {.runs = 1204000, .seconds = 4.8, .done = 0.375};
	char buf[200], small[20];

	report_progress(buf, sizeof(buf), &scenario, &r);
	EXPECT(!strcmp(buf, "queue: 1,204,000 runs, 251 k/s, 37.5 % covered, about 8 s left"));
	EXPECT_EQ(report_progress(small, sizeof(small), &scenario, &r), 19);
}
