/* SPDX-License-Identifier: MIT */
/* A schedule shows the same again, to the byte; the shortest is found; its text goes there and back; what is none is refused. */
#include "rig.h"
#include "tests/test.h"

static const struct engine_limits limits;
static bool followed;

/* All that have a violation. */
static const struct explore_scenario *failing(unsigned i)
{
	static const struct explore_scenario *const seeds[] = {&seed_a0, &seed_a1, &seed_a2,
							       &seed_b0, &seed_b2};

	if (i < 5)
		return seeds[i];
	return i - 5 < nr_probes ? probes[i - 5].broken : NULL;
}

static void same_again(const struct explore_scenario *s, unsigned long rounds)
{
	struct search_result r;
	const struct execution *x;
	struct violation first;
	uint64_t hash;
	uint32_t events;
	char *report;

	rig_search(s, SEARCH_DPOR, 0, 10000, &r);
	if (r.verdict != SEARCH_FOUND) {
		TEST_FAIL("%s is not found", s->name);
		search_result_free(&r);
		return;
	}
	x = schedule_run(s, &r.schedule, &limits, true, &followed);
	EXPECT_EQ(x->outcome, RUN_VIOLATION);
	first = x->violation;
	hash = x->steps_hash;
	events = x->nr_events;
	EXPECT_EQ(first.kind, r.violation.kind);
	EXPECT_EQ(first.signature, r.violation.signature);
	report = rig_report(s, &r.schedule, x);
	for (unsigned long i = 0; i < rounds && !test_failed; i++) {
		bool record = i % 2;
		char *again;

		x = schedule_run(s, &r.schedule, &limits, record, &followed);
		EXPECT(followed);
		EXPECT_EQ(x->outcome, RUN_VIOLATION);
		EXPECT_EQ(x->steps_hash, hash);
		EXPECT_EQ(x->nr_events, events);
		EXPECT_EQ(x->violation.signature, first.signature);
		EXPECT(!strcmp(x->violation.message, first.message));
		if (!record)
			continue;
		again = rig_report(s, &r.schedule, x);
		EXPECT(!strcmp(again, report));
		free(again);
	}
	if (test_failed)
		printf("# %s: %s\n", s->name, first.message);
	free(report);
	search_result_free(&r);
}

TEST(a_thousand_replays_give_the_same_bytes)
{
	for (unsigned i = 0; failing(i) && !test_failed; i++)
		same_again(failing(i), i < 5 ? 1000 : test_rounds(20, 1000));
}

/* Runs once to its end by default decisions, twice: nothing outside of the schedule has a say. */
TEST(every_program_repeats)
{
	const struct schedule none = {0};

	rig_init();
	for (size_t i = 0; i < corpus_suite.nr_scenarios; i++) {
		const struct explore_scenario *s = corpus_suite.scenario[i];
		const struct execution *x = schedule_run(s, &none, &limits, false, &followed);
		uint64_t hash = x->steps_hash;
		enum outcome outcome = x->outcome;

		x = schedule_run(s, &none, &limits, true, &followed);
		if (x->steps_hash != hash || x->outcome != outcome)
			TEST_FAIL("%s does not repeat", s->name);
	}
}

/* What the time of day or an address decides shows as different steps. */
static int reads;
static void unsteady(void)
{
	static int turn;

	if (turn++ % 2)
		explore_write(&reads, "write");
	explore_read(&reads, "read");
}

TEST(a_program_that_does_not_repeat_is_noticed)
{
	static const struct explore_scenario s = {.name = "unsteady",
						  .summary = "state outlives an execution",
						  .property = "none",
						  .source = "test",
						  .thread = {{"only", unsteady}}};
	const struct schedule none = {0};
	uint64_t hash;

	rig_init();
	hash = schedule_run(&s, &none, &limits, false, &followed)->steps_hash;
	EXPECT_NE(schedule_run(&s, &none, &limits, false, &followed)->steps_hash, hash);
}

/* --- the shortest ------------------------------------------------------------------------------------------------------- */

/* Switches of the shrunk schedule against the least bound that shows the same kind. */
static void is_shortest(const struct explore_scenario *s)
{
	struct search_result r, least;
	const struct execution *x;
	unsigned bound;

	rig_search(s, SEARCH_RANDOM, 0, 20000, &r);
	if (r.verdict != SEARCH_FOUND) {
		search_result_free(&r);
		rig_search(s, SEARCH_DPOR, 0, 20000, &r);
	}
	if (r.verdict != SEARCH_FOUND) {
		TEST_FAIL("%s is not found", s->name);
		search_result_free(&r);
		return;
	}
	schedule_shrink(s, &r.schedule, &r.violation, &limits, 100000);
	x = schedule_run(s, &r.schedule, &limits, false, &followed);
	EXPECT_EQ(x->outcome, RUN_VIOLATION);
	EXPECT_EQ(x->violation.kind, r.violation.kind);
	for (bound = 0; bound < 4; bound++) {
		bool found;

		rig_search(s, SEARCH_PREEMPTIONS, bound, 100000, &least);
		found = least.verdict == SEARCH_FOUND && least.violation.kind == r.violation.kind;
		search_result_free(&least);
		if (found)
			break;
	}
	x = schedule_run(s, &r.schedule, &limits, false, &followed);
	if (x->switches > bound)
		TEST_FAIL("%s: %u preemptions, %u are enough", s->name, x->switches, bound);
	search_result_free(&r);
}

TEST(shrinking_leaves_the_fewest_preemptions)
{
	for (unsigned i = 0; failing(i); i++)
		is_shortest(failing(i));
}

/* --- text --------------------------------------------------------------------------------------------------------------- */

static void there_and_back(const char *name, const struct schedule *s)
{
	char *text = schedule_format(name, s), scenario[128], err[256] = "";
	struct schedule back = {0};

	EXPECT(schedule_parse(text, scenario, sizeof(scenario), &back, err, sizeof(err)));
	EXPECT(!strcmp(scenario, name));
	EXPECT_EQ(back.nr, s->nr);
	for (uint32_t i = 0; i < back.nr && i < s->nr; i++) {
		EXPECT_EQ(back.deviation[i].at, s->deviation[i].at);
		EXPECT_EQ(back.deviation[i].take, s->deviation[i].take);
		EXPECT_EQ(back.deviation[i].choice, s->deviation[i].choice);
	}
	if (test_failed)
		printf("# %s\n", text);
	schedule_free(&back);
	free(text);
}

TEST(a_schedule_s_text_goes_there_and_back)
{
	struct deviation some[] = {{7, 2, false}, {12, 1, false}, {40, 15, false}, {3, 1, true}};
	struct schedule s = {some, 4};

	there_and_back("gmem-dying-file", &s);
	s.nr = 3;
	there_and_back("a", &s);
	s.nr = 0;
	there_and_back("nothing-special", &s);
	for (unsigned i = 0; failing(i); i++) {
		struct search_result r;

		rig_search(failing(i), SEARCH_DPOR, 0, 10000, &r);
		there_and_back(failing(i)->name, &r.schedule);
		search_result_free(&r);
	}
}

TEST(what_is_no_schedule_is_refused_with_a_message)
{
	static const char *const bad[] = {"",
					  ":",
					  "name",
					  ":7>2",
					  "name:x",
					  "name:7",
					  "name:7>",
					  "name:>2",
					  "name:7>2,",
					  "name:,7>2",
					  "name:7>2,,8>1",
					  "name:c",
					  "name:c3",
					  "name:c3=",
					  "name:c=1",
					  "name:7>2;8>1",
					  "name:7>99",
					  "name:99999999999999999999>1",
					  "name:7>-1",
					  "name:-7>1",
					  "name:8>1,7>2",
					  "name:7>1,7>2",
					  "name:7>2 8>1",
					  "name:c3=99999999999",
					  "na\nme:7>2",
					  "name:0x7>2",
					  "name:7>2\n8>1"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char scenario[128] = "", err[256] = "";
		struct schedule s = {0};

		if (schedule_parse(bad[i], scenario, sizeof(scenario), &s, err, sizeof(err))) {
			TEST_FAIL("\"%s\" is taken for a schedule", bad[i]);
			schedule_free(&s);
		} else if (!err[0]) {
			TEST_FAIL("\"%s\" is refused without a word", bad[i]);
		}
	}
}

TEST(a_name_that_is_too_long_is_refused)
{
	char text[400], scenario[16], err[256] = "";
	struct schedule s = {0};

	memset(text, 'a', sizeof(text));
	strcpy(text + 300, ":7>2");
	EXPECT(!schedule_parse(text, scenario, sizeof(scenario), &s, err, sizeof(err)));
	EXPECT(err[0]);
}
