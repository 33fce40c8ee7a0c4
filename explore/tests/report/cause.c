/* SPDX-License-Identifier: MIT */
/* Which order is said to be missing, for each kind of violation that has one. */
#include "made.h"

static const struct explore_scenario scenario = {.name = "pair"};
static const struct schedule schedule;
static const struct report_violation violation = {
	.suite = &suite, .scenario = &scenario, .x = &execution, .schedule = &schedule};

static struct story *story;

static const char *missing(void)
{
	if (story)
		story_free(story);
	story = story_new(&violation);
	return story->missing ? story->missing : "";
}

__attribute__((noinline)) static void signal_it(void)
{
	done(&(struct what){2, OP_WAKE, 4, true, "wake(ready) = 0"});
	__asm__ volatile("");
}

__attribute__((noinline)) static void wait_for_it(void)
{
	done(&(struct what){1, OP_WAIT, 4, true, "wait(ready)"});
	__asm__ volatile("");
}

TEST(a_lost_wake_had_to_come_after_the_wait)
{
	begin(&scenario, "consumer", "producer");
	signal_it();
	wait_for_it();
	execution.violation = (struct violation){.kind = BAD_LOST_WAKEUP,
						 .message = "consumer sleeps",
						 .site = recorded(OP_WAIT)->site};
	EXPECT(!strncmp(missing(), "the wait at wait_for_it (", 25));
	EXPECT(strstr(missing(), "must come before the wake at signal_it ("));
	EXPECT(story->missing_from > story->missing_to && story->missing_to >= 0);
}

__attribute__((noinline)) static void take_a(int fiber)
{
	done(&(struct what){fiber, OP_MUTEX_LOCK, 1, true, "mutex_lock(a)", "a"});
	__asm__ volatile("");
}

__attribute__((noinline)) static void take_b(int fiber)
{
	done(&(struct what){fiber, OP_MUTEX_LOCK, 2, true, "mutex_lock(b)", "b"});
	__asm__ volatile("");
}

TEST(a_deadlock_names_both_acquisitions_and_the_cycle)
{
	struct violation *v = &execution.violation;

	begin(&scenario, "T1", "T2");
	take_a(1);
	take_b(2);
	*v = (struct violation){
		.kind = BAD_DEADLOCK, .message = "T1 and T2 wait for each other", .nr_edges = 2};
	v->edge[0] = (struct wait_edge){
		.fiber = 1, .holder = 2, .object = 2, .text = "T1 waits for b, which T2 holds"};
	v->edge[1] = (struct wait_edge){
		.fiber = 2, .holder = 1, .object = 1, .text = "T2 waits for a, which T1 holds"};
	EXPECT(!strncmp(missing(), "mutex_lock(b) at take_b (", 25));
	EXPECT(strstr(missing(), "and mutex_lock(a) at take_a ("));
	ASSERT_EQ(story->nr_cycle, 2);
	EXPECT(!strncmp(story->cycle_text[0], "T1 waits for b, which T2 holds, since take_b (",
			44));
	EXPECT(!strncmp(story->cycle_text[1], "T2 waits for a, which T1 holds, since take_a (",
			44));
}

TEST(a_race_names_the_two_accesses_and_shows_the_plain_one)
{
	struct violation *v = &execution.violation;

	begin(&scenario, "T1", "T2");
	take_a(1);
	take_b(2);
	*v = (struct violation){.kind = BAD_DATA_RACE,
				.message = "struct vm #1 is written by T2 without order",
				.nr_others = 1};
	v->site = record[1].site;
	v->other[0] = record[0].site;
	v->other[0].pc[0]++; /* a plain store behind the operation */
	v->other[0].step = 1;
	v->other_what[0] = "read by";
	EXPECT(!strncmp(missing(), "the access at take_b (", 22));
	EXPECT(strstr(missing(), "never beside, the other access at take_a ("));
	EXPECT_EQ(story->line[story->missing_to].kind, LINE_ACCESS);
	EXPECT_EQ(story->line[story->missing_from].kind, LINE_VIOLATION);
	/* Before the first operation; and where its step was not kept. */
	v->other[0].step = 0;
	missing();
	EXPECT_EQ(story->missing_to, 0);
	v->other[0].step = ~0u;
	missing();
	EXPECT_EQ(story->line[story->missing_to].kind, LINE_ACCESS);
}

TEST(a_free_in_setup_needs_no_order_of_threads)
{
	struct violation *v = &execution.violation;

	begin(&scenario, "T1", "T2");
	done(&(struct what){0, OP_FREE, 9, true, "free(struct vm #1)"});
	take_a(1);
	*v = (struct violation){.kind = BAD_USE_AFTER_FREE,
				.message = "used",
				.object = "struct vm #1",
				.nr_others = 1};
	v->site = record[1].site;
	v->other[0] = record[0].site;
	v->other_what[0] = "freed by";
	EXPECT(!strcmp(missing(), ""));
}
