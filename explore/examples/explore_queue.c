/* SPDX-License-Identifier: MIT */
/* The scenario, and the program that explores it: explore_queue run --all. */
#include <anykvm/explore.h>

#include "queue.h"

static struct {
	struct queue *queue;
	int got[2];
} state;

static void setup(void)
{
	state.queue = queue_new();
	if (!state.queue)
		explore_fail("no memory for the queue");
}

static void put_two(void)
{
	queue_put(state.queue, 1);
	queue_put(state.queue, 2);
}

static void get_first(void)
{
	state.got[0] = queue_get(state.queue);
}

static void get_second(void)
{
	state.got[1] = queue_get(state.queue);
}

static void finish(void)
{
	explore_check(state.got[0] + state.got[1] == 3);
	queue_free(state.queue);
}

static const struct explore_scenario one_producer = {
	.name = "one-producer",
	.summary = "two numbers for two consumers, in a queue with room for both",
	.property = "each consumer gets a number; none sleeps while there is one",
	.source = "a wake-up that is saved when the queue was not empty",
	.setup = setup,
	.thread = {{"producer", put_two}, {"consumer 1", get_first}, {"consumer 2", get_second}},
	.finish = finish,
};

static const struct explore_scenario *const scenarios[] = {&one_producer};

int main(int argc, char **argv)
{
	const struct explore_region region = {&state, sizeof(state)};
	const struct explore_suite suite = {
		.program = argv[0],
		.scenario = scenarios,
		.nr_scenarios = 1,
		.region = &region,
		.nr_regions = 1,
	};

	return explore_main(argc, argv, &suite);
}
