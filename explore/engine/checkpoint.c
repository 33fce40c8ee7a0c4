/* SPDX-License-Identifier: MIT */
/*
 * Checkpoints: executions with the same beginning share it. The first is made where the threads begin, behind the setup, others where the
 * search will choose otherwise later. They form a stack, as a search goes through its tree in depth: to return to one gives up those after
 * it.
 *
 * A checkpoint is a copy of all small state (fibers with their stacks, what is pending, clocks, the harness), and a mark in the log
 * of the large state (engine/undo.h). After a return every byte that the execution can depend on is what it was, addresses included,
 * so it goes on as if it had been run from its setup: same events, same hashes. What is not put back are caches and what outlives
 * executions: the order of lock classes, call stacks by number, memory beyond the bump pointers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

#define MAX_CHECKPOINTS 1024u

struct checkpoint {
	size_t mark; /* in the log */
	struct saved copy;
	struct fiber *running;
	struct digest digest; /* CHECKPOINTS_CHECK */
};

/* ANYKVM_EXPLORE_CHECKPOINTS. */
static enum { CHECKPOINTS_ON, CHECKPOINTS_OFF, CHECKPOINTS_CHECK } mode;

static struct checkpoint checkpoint[MAX_CHECKPOINTS];
static unsigned nr_checkpoints;
static unsigned chosen; /* to return to: number + 1 */
/* Whose they are. */
static const struct explore_scenario *scenario;
static const struct strategy *strategy;
static bool wants_order;
static uint32_t step_limit;

static void keep(void *p, size_t size)
{
	saved_add(&checkpoint[nr_checkpoints].copy, p, size);
}

static void clear(void *p, size_t size)
{
	memset(p, 0, size);
}

unsigned engine_checkpoints(void)
{
	return nr_checkpoints;
}

void checkpoints_drop(void)
{
	nr_checkpoints = chosen = 0;
	undo.on = false;
	undo.log.used = 0;
}

bool engine_resume(const struct explore_scenario *s, const struct strategy *by, unsigned number)
{
	chosen = 0;
	if (number >= nr_checkpoints || s != scenario || by != strategy ||
	    by->wants_order != wants_order || !heap_can_resume())
		return false;
	chosen = number + 1;
	return true;
}

static void keep_execution(void)
{
	struct execution *x = &engine.x;

	keep(&engine.now, sizeof(engine.now));
	keep(&x->nr_events, sizeof(x->nr_events));
	keep(&x->steps_hash, sizeof(x->steps_hash));
	keep(&x->class_hash, sizeof(x->class_hash));
	keep(&x->switches, sizeof(x->switches));
	keep(x->fiber_name, engine.now.next_fiber * sizeof(x->fiber_name[0]));
}

void checkpoints_init(void)
{
	const char *how = getenv("ANYKVM_EXPLORE_CHECKPOINTS");

	if (!how || !strcmp(how, "on"))
		return;
	if (strcmp(how, "off") && strcmp(how, "check")) {
		fprintf(stderr,
			"ANYKVM_EXPLORE_CHECKPOINTS is \"%s\": on, off or check is expected\n",
			how);
		exit(2);
	}
	mode = !strcmp(how, "off") ? CHECKPOINTS_OFF : CHECKPOINTS_CHECK;
}

/* Of all that is not simply copied. */
static struct digest digest_now(void)
{
	struct digest d = {0};

	heap_digest(&d);
	objects_digest(&d);
	return d;
}

/* The log has missed a store otherwise. */
static void check_digest(const struct digest *was)
{
	struct digest now = digest_now();

	for (unsigned i = 0; i < NR_DIGESTS; i++) {
		if (now.part[i] == was->part[i])
			continue;
		fprintf(stderr,
			"explorer: a return to a checkpoint of %s leaves changes in part %u\n",
			engine.scenario->name, i);
		abort();
	}
}

void checkpoint_make(void)
{
	struct checkpoint *c = &checkpoint[nr_checkpoints];

	if (mode == CHECKPOINTS_OFF || engine_recording || !engine.suite->kept ||
	    nr_checkpoints == MAX_CHECKPOINTS || !heap_can_resume())
		return;
	if (!nr_checkpoints) {
		scenario = engine.scenario;
		strategy = engine.strategy;
		wants_order = engine.wants_order;
		step_limit = engine.step_limit;
	}
	c->mark = undo.log.used;
	c->running = engine_current;
	c->copy.used = 0;
	keep_execution();
	fibers_keep(keep);
	objects_keep(keep);
	heap_keep(keep);
	engine.suite->kept(keep);
	if (mode == CHECKPOINTS_CHECK)
		c->digest = digest_now();
	nr_checkpoints++;
	undo.on = true;
	undo.epoch++;
}

bool checkpoint_return(void)
{
	const struct checkpoint *c = &checkpoint[chosen - 1];
	int born = engine.now.next_fiber;

	if (!chosen)
		return false;
	if (engine_recording || engine.strategy != strategy || engine.scenario != scenario ||
	    engine.step_limit != step_limit) {
		fprintf(stderr, "explorer: another execution is to go on from a checkpoint\n");
		exit(2);
	}
	heap_resume(engine.scenario);
	undo.on = false;
	saved_undo(&undo.log, c->mark);
	/* What came into use since. */
	engine.suite->kept(clear);
	saved_copy_back(&c->copy);
	heap_resumed();
	fibers_forget(engine.now.next_fiber, born);
	if (mode == CHECKPOINTS_CHECK)
		check_digest(&c->digest);
	nr_checkpoints = chosen;
	chosen = 0;
	undo.on = true;
	undo.epoch++;
	engine_current = c->running;
	engine_concurrent = true;
	engine.resumed = true;
	return true;
}
