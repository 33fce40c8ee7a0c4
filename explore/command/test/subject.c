/* SPDX-License-Identifier: MIT */
/* Scenarios for the test of the command: right ones, wrong ones, one too large to end, and those that break their worker. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <anykvm/explore.h>

static struct {
	int counter;
	int lock; /* only its address counts */
	int other;
} state;
static unsigned outside; /* no region: executions see what those before left */

static int load(int *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(int *p, int value)
{
	__atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

static void begin_locks(void)
{
	explore_lock_init(&state.lock, "lock", 0);
	explore_lock_init(&state.other, "other", 0);
}

static void end_locks(void)
{
	explore_lock_fini(&state.lock);
	explore_lock_fini(&state.other);
}

static void count_locked(void)
{
	explore_mutex_lock(&state.lock);
	state.counter++;
	explore_mutex_unlock(&state.lock);
}

static void finish_locked(void)
{
	explore_check(state.counter == 2);
	end_locks();
}

static void count_unlocked(void)
{
	store(&state.counter, load(&state.counter) + 1);
}

static void finish_unlocked(void)
{
	explore_check(load(&state.counter) == 2);
}

static void count_often(void)
{
	for (int i = 0; i < 40; i++)
		__atomic_fetch_add(&state.counter, 1, __ATOMIC_SEQ_CST);
}

static void count_thrice(void)
{
	for (int i = 0; i < 3; i++)
		__atomic_fetch_add(&state.counter, i, __ATOMIC_SEQ_CST);
}

static void end_process(void)
{
	kill(getpid(), SIGKILL);
}

static void look_outside(void)
{
	if (outside++ & 1)
		__atomic_fetch_add(&state.counter, 1, __ATOMIC_SEQ_CST);
	load(&state.other);
}

static void lock_then_other(void)
{
	explore_mutex_lock(&state.lock);
	explore_mutex_lock(&state.other);
	explore_mutex_unlock(&state.other);
	explore_mutex_unlock(&state.lock);
}

static void other_then_lock(void)
{
	explore_mutex_lock(&state.other);
	explore_mutex_lock(&state.lock);
	explore_mutex_unlock(&state.lock);
	explore_mutex_unlock(&state.other);
}

static void fail_maybe(void)
{
	if (explore_choose(2, "fault"))
		explore_fail("the fault was taken");
}

#define SCENARIO(id, ...) \
	static const struct explore_scenario id = {.property = "p", .source = "test", __VA_ARGS__}

SCENARIO(clean, .name = "clean", .summary = "a counter under its lock", .setup = begin_locks,
	 .thread = {{"a", count_locked}, {"b", count_locked}}, .finish = finish_locked,
	 .mutants = "unlocked");
SCENARIO(lost, .name = "lost-update", .summary = "a counter without a lock",
	 .thread = {{"a", count_unlocked}, {"b", count_unlocked}}, .finish = finish_unlocked);
SCENARIO(many, .name = "many-orders", .summary = "three threads, 1680 orders",
	 .thread = {{"a", count_thrice}, {"b", count_thrice}, {"c", count_thrice}});
SCENARIO(endless, .name = "endless", .summary = "more orders than anybody can wait for",
	 .thread = {
		 {"a", count_often}, {"b", count_often}, {"c", count_often}, {"d", count_often}});
SCENARIO(broken, .name = "ends-process", .summary = "kills its worker",
	 .thread = {{"a", end_process}, {"b", count_often}});
SCENARIO(flaky, .name = "flaky", .summary = "does not repeat",
	 .thread = {{"a", look_outside}, {"b", count_unlocked}});
SCENARIO(order_1, .name = "order-1", .summary = "lock, then other", .setup = begin_locks,
	 .thread = {{"a", lock_then_other}}, .finish = end_locks);
SCENARIO(order_2, .name = "order-2", .summary = "other, then lock", .setup = begin_locks,
	 .thread = {{"a", other_then_lock}}, .finish = end_locks);
SCENARIO(fault, .name = "fault", .summary = "wrong only if something fails",
	 .thread = {{"a", fail_maybe}});

static const struct explore_scenario *const scenarios[] = {
	&clean, &lost, &many, &endless, &broken, &flaky, &order_1, &order_2, &fault};

static char program[4096];

/* The fault "unlocked" is this program again: its scenario "clean" then has the threads of lost-update. */
static bool mutant(const char *name, char *buf, size_t size)
{
	if (strcmp(name, "unlocked")) {
		snprintf(buf, size, "there is no such fault");
		return false;
	}
	setenv("SUBJECT_FAULT", name, 1);
	snprintf(buf, size, "%s", program);
	return true;
}

int main(int argc, char **argv)
{
	const struct explore_region region = {&state, sizeof(state)};
	struct explore_scenario wrong = clean;
	const struct explore_scenario *list[sizeof(scenarios) / sizeof(scenarios[0])];
	struct explore_suite suite = {.program = "subject",
				      .scenario = list,
				      .nr_scenarios = sizeof(scenarios) / sizeof(scenarios[0]),
				      .region = &region,
				      .nr_regions = 1,
				      .mutant = mutant};

	memcpy(list, scenarios, sizeof(list));
	if (getenv("SUBJECT_FAULT")) {
		wrong.thread[0].fn = wrong.thread[1].fn = count_unlocked;
		list[0] = &wrong;
	}
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return 2;
	return explore_main(argc, argv, &suite);
}
