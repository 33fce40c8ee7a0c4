/* SPDX-License-Identifier: MIT */
/*
 * One execution from beginning to end: the state of the process is put back to what it was at the start, then setup, threads,
 * callbacks, finish and the count of what is left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/internal.h"

#define DEFAULT_STEPS 20000

/* Nothing is watched outside executions. */
struct engine engine = {.fiber[0].in_runtime = 1};

static char *region_copy;

static void *checked(void *p)
{
	if (!p || p == MAP_FAILED) {
		fprintf(stderr, "explorer: out of memory\n");
		exit(2);
	}
	return p;
}

/* Else the status would be taken for that of the search. */
static void exit_check(void)
{
	if (!engine.running)
		return;
	fprintf(stderr, "explorer: the code under test ended the process by exit()\n");
	_exit(2);
}

void engine_init(const struct explore_suite *suite)
{
	size_t size = 0, at = 0;

	engine.suite = suite;
	for (size_t i = 0; i < suite->nr_regions; i++)
		size += suite->region[i].size;
	region_copy = checked(malloc(size + 1));
	for (size_t i = 0; i < suite->nr_regions; i++) {
		memcpy(region_copy + at, suite->region[i].start, suite->region[i].size);
		at += suite->region[i].size;
	}
	checkpoints_init();
	fibers_init();
	objects_init();
	heap_init(suite);
	signals_init();
	atexit(exit_check);
}

static void regions_restore(void)
{
	const struct explore_suite *s = engine.suite;
	size_t at = 0;

	for (size_t i = 0; i < s->nr_regions; i++) {
		memcpy(s->region[i].start, region_copy + at, s->region[i].size);
		at += s->region[i].size;
	}
}

/* Address space for the events, touched only as far as an execution goes. */
static void events_reserve(uint32_t steps)
{
	uint32_t most = steps + 1 + MAX_FIBERS;
	size_t events = (size_t)most * sizeof(struct event);
	size_t races = (size_t)most * MAX_CANDIDATES * sizeof(uint32_t);

	if (most <= engine.max_events)
		return;
	if (engine.max_events) {
		munmap(engine.x.event, (size_t)engine.max_events * sizeof(struct event));
		munmap(engine.races, (size_t)engine.max_events * MAX_CANDIDATES * sizeof(uint32_t));
	}
	engine.x.event = checked(mmap(NULL, events, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	engine.races = checked(mmap(NULL, races, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	engine.max_events = most;
}

static void thread_main(void *arg)
{
	const struct explore_thread *t = arg;

	t->fn();
	thread_check_end(engine_current);
}

static void threads_start(const struct explore_scenario *s)
{
	struct op op = {.kind = OP_BEGIN};

	for (int i = 0; i < EXPLORE_MAX_THREADS && s->thread[i].fn; i++) {
		struct fiber *f = fiber_new(i + 1, s->thread[i].name, thread_main,
					    (void *)&s->thread[i], false);

		thread_born(f, &engine.fiber[0]);
		engine.about[f->id] = NULL;
		point_set(f, &op, NULL, NULL);
	}
}

/* Fiber 0. */
static void execution_main(void *arg)
{
	const struct explore_scenario *s = arg;
	struct fiber *self = engine_current;

	if (engine.suite->begin)
		engine.suite->begin();
	if (s->setup)
		s->setup();
	callbacks_drain();
	threads_start(s);
	point_threads();
	for (int i = 1; i < engine.now.nr_fibers; i++)
		clock_join(&self->sync, &engine.fiber[i].sync);
	if (s->finish)
		s->finish();
	callbacks_drain();
	if (engine.suite->end)
		engine.suite->end();
	callbacks_drain();
	if (!(s->flags & EXPLORE_LEAKS_ALLOWED))
		heap_check_leaks();
	fibers_leave(RUN_CLEAN);
}

static int threads_of(const struct explore_scenario *s)
{
	int n = 0;

	while (n < EXPLORE_MAX_THREADS && s->thread[n].fn)
		n++;
	return n;
}

static void execution_begin(const struct explore_scenario *s)
{
	struct execution *x = &engine.x;

	checkpoints_drop();
	engine.now.faults_left = s->faults;
	engine.now.callbacks = 0;
	engine.now.clock = 0;
	memset(&engine.now.clock_order, 0, sizeof(engine.now.clock_order));
	engine.now.tickets = 0;
	engine.now.serial_steps = 0;
	engine.now.nr_races = 0;
	engine.now.last = NO_FIBER;
	engine.now.next_fiber = 1 + threads_of(s);
	x->scenario = s;
	x->nr_events = 0;
	x->steps_hash = x->class_hash = 0;
	x->switches = 0;
	regions_restore();
	objects_reset();
	fibers_reset();
	fiber_new(0, "setup", execution_main, (void *)s, false);
	heap_begin(s);
	engine_current = &engine.fiber[0];
	engine_current->in_runtime = 0;
}

const struct execution *engine_run(const struct explore_scenario *s, struct strategy *strategy,
				   const struct engine_limits *limits, bool record)
{
	struct execution *x = &engine.x;

	engine.scenario = s;
	engine.strategy = strategy;
	engine.step_limit = limits && limits->steps ? limits->steps : DEFAULT_STEPS;
	events_reserve(engine.step_limit);
	engine.wants_order = strategy->wants_order;
	engine_recording = record;
	x->nr_blocked = x->nr_records = 0;
	x->violation.nr_others = x->violation.nr_edges = 0;
	/* The heap must not take this for what the code under test does. */
	engine_current->in_runtime++;
	if (!checkpoint_return())
		execution_begin(s);
	engine.running = true;
	fibers_enter();
	engine.running = false;
	x->nr_fibers = engine.now.nr_fibers;
	if (record)
		record_finish();
	return x;
}
