/* SPDX-License-Identifier: MIT */
/*
 * The door of every visible operation. The decision who goes on is made here, on the stack of the fiber that announces, and the
 * event is made before control goes to the chosen one: so nothing happens between the choice and the operation.
 *
 * Outside the threads' time (setup, finish) operations are not explored: a fiber goes on until it is blocked, then the lowest
 * that can. Fiber 0 comes first, so callbacks and created threads run only as far as it waits for them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"

/* A serial phase that is longer than that does not end. */
#define SERIAL_LIMIT 10000000u

static const uint16_t conflict[NR_ACCESS] = {
	[ACCESS_READ] = BIT(ACCESS_WRITE) | BIT(ACCESS_GET) | BIT(ACCESS_DEFER),
	[ACCESS_WRITE] = BIT(ACCESS_READ) | BIT(ACCESS_WRITE) | BIT(ACCESS_GET) |
			 BIT(ACCESS_ENTER) | BIT(ACCESS_SYNC) | BIT(ACCESS_DEFER) |
			 BIT(ACCESS_WAIT),
	[ACCESS_GET] = BIT(ACCESS_READ) | BIT(ACCESS_WRITE) | BIT(ACCESS_WAIT),
	[ACCESS_ENTER] = BIT(ACCESS_WRITE) | BIT(ACCESS_SYNC) | BIT(ACCESS_DEFER),
	[ACCESS_SYNC] = BIT(ACCESS_WRITE) | BIT(ACCESS_ENTER),
	[ACCESS_DEFER] =
		BIT(ACCESS_WRITE) | BIT(ACCESS_READ) | BIT(ACCESS_ENTER) | BIT(ACCESS_DEFER),
	[ACCESS_WAIT] = BIT(ACCESS_WRITE) | BIT(ACCESS_GET) | BIT(ACCESS_WAIT),
};

uint32_t access_conflicts(enum access a)
{
	return conflict[a];
}

/* Going on after a spin reads what was watched. */
static bool spin_dependent(const struct op *spin, const struct op *other)
{
	if (!(conflict[ACCESS_READ] & BIT(other->access)))
		return false;
	return spin->watched >> other->object % 64 & 1;
}

bool op_dependent(const struct op *a, const struct op *b)
{
	if (a->kind == OP_SPIN)
		return spin_dependent(a, b);
	if (b->kind == OP_SPIN)
		return spin_dependent(b, a);
	return a->object && a->object == b->object && conflict[a->access] & BIT(b->access);
}

struct op op_make(enum op_kind kind, enum access access, const void *addr, uintptr_t pc)
{
	return (struct op){.kind = kind, .access = access, .addr = (uintptr_t)addr, .pc = pc};
}

/*
 * Member by member. Most were just written one by one, and a processor that is to read several of these at once waits until they are
 * in its cache.
 */
static void op_copy(struct op *to, const volatile struct op *op)
{
	to->kind = op->kind;
	to->access = op->access;
	to->blocked = op->blocked;
	to->object = op->object;
	to->addr = op->addr;
	to->pc = op->pc;
	to->name = op->name;
	to->key = op->key;
	to->watched = op->watched;
}

void point_set(struct fiber *f, const struct op *op, enabled_fn *check, void *arg)
{
	int id = f->id;

	op_copy(&engine.pending[id], op);
	engine.check[id] = check;
	engine.check_arg[id] = arg;
	engine.now.always &= ~BIT(id);
	engine.now.asked &= ~BIT(id);
	*(check ? &engine.now.asked : &engine.now.always) |= BIT(id);
}

static void point_clear(int id)
{
	engine.pending[id].kind = OP_NONE;
	engine.now.always &= ~BIT(id);
	engine.now.asked &= ~BIT(id);
}

/* Fibers that can go on, without deadlines. */
static uint32_t enabled_fibers(void)
{
	uint32_t mask = engine.now.always;

	for (uint32_t left = engine.now.asked; left; left &= left - 1) {
		int i = __builtin_ctz(left);
		bool can =
			engine.check[i](&engine.pending[i], &engine.fiber[i], engine.check_arg[i]);

		engine.pending[i].blocked = !can;
		mask |= (uint32_t)can << i;
	}
	return mask;
}

/* Those with the earliest deadline of all that sleep. */
static uint32_t timed_fibers(void)
{
	uint64_t first = EXPLORE_FOREVER;
	uint32_t mask = 0;

	for (uint32_t left = engine.now.asked; left; left &= left - 1) {
		int i = __builtin_ctz(left);
		const struct fiber_private *p = &engine.priv[i];

		if (p->sleep != SLEEP_WORD || p->deadline == EXPLORE_FOREVER || p->deadline > first)
			continue;
		if (p->deadline < first)
			mask = 0;
		first = p->deadline;
		mask |= BIT(i);
	}
	for (uint32_t left = mask; left; left &= left - 1)
		engine.pending[__builtin_ctz(left)].blocked = false;
	return mask;
}

/* Time jumps to the deadline of that fiber. Everybody was blocked: it is after all that was done. */
static void clock_jump(int id)
{
	engine.now.clock = engine.priv[id].deadline;
	if (engine.wants_order)
		for (int i = 0; i < engine.now.nr_fibers; i++)
			clock_join(&engine.now.clock_order, &engine.fiber[i].order);
}

static bool threads_ended(void)
{
	for (int i = 1; i < engine.now.nr_fibers; i++)
		if (!engine.priv[i].ended && !engine.priv[i].daemon)
			return false;
	return true;
}

/* Fibers that read t and did not see it change yet: this event is the first that does it. */
static void watch_tell(struct thing *t, int id)
{
	uint32_t left = t->watchers & ~BIT(id);

	for (t->watchers = 0; left; left &= left - 1) {
		struct fiber_private *p = &engine.priv[__builtin_ctz(left)];

		for (unsigned i = 0; i < p->nr_watch; i++)
			if (p->watch[i].t == t && p->watch[i].changed == NO_EVENT)
				p->watch[i].changed = engine.x.nr_events;
	}
}

/* Fiber id has read t: explore_spin waits for it to change. */
static void watch_add(struct fiber_private *p, struct thing *t, int id)
{
	unsigned i = 0;

	while (i < p->nr_watch && p->watch[i].t != t)
		i++;
	if (i == MAX_WATCH) {
		p->watch_full = true;
		return;
	}
	if (i == p->nr_watch)
		p->nr_watch++;
	p->watch[i].t = t;
	p->watch[i].changed = NO_EVENT;
	t->watchers |= BIT(id);
}

static void watch_event(struct fiber_private *p, struct thing *t, const struct event *e)
{
	if (e->op.access != ACCESS_READ && e->op.access != ACCESS_NONE) {
		if (t->watchers)
			watch_tell(t, e->fiber);
		p->nr_watch = 0;
		p->watch_full = false;
	}
	watch_add(p, t, e->fiber);
}

static struct event *event_make(int id, uint32_t enabled)
{
	struct fiber *f = &engine.fiber[id];
	struct thing *t = engine.about[id];
	struct event *e = &engine.x.event[engine.x.nr_events];

	op_copy(&e->op, &engine.pending[id]);
	e->op.blocked = false;
	e->fiber = id;
	e->index = ++f->nr_events;
	e->enabled = enabled;
	e->before = engine.now.last;
	e->race = NULL;
	e->nr_races = 0;
	if (engine.now.last != id && engine.now.last != NO_FIBER && enabled & BIT(engine.now.last))
		engine.x.switches++;
	engine.x.steps_hash =
		hash_mix(engine.x.steps_hash ^ ((uint64_t)id << 8 | e->op.kind), e->op.key);
	if (t)
		thing_change(t);
	if (engine.wants_order)
		order_event(f, e, t);
	if (t) {
		t->users |= BIT(id);
		watch_event(f->p, t, e);
	}
	if (engine_recording)
		record_add(f, &e->op);
	engine.x.nr_events++;
	engine.now.last = id;
	return e;
}

/*
 * Daemons that wait for a lock at the end: they never get it in this order, but would have if they had come first. So what they are
 * about to do races as well.
 */
static void blocked_note(void)
{
	for (uint32_t left = engine.now.asked; left; left &= left - 1) {
		int id = __builtin_ctz(left);
		struct event *e = &engine.x.event[engine.x.nr_events + engine.x.nr_blocked];
		enum op_kind kind = engine.pending[id].kind;

		if (kind != OP_MUTEX_LOCK && kind != OP_READ_LOCK && kind != OP_WRITE_LOCK)
			continue;
		if (engine.priv[id].sleep == SLEEP_COND)
			continue;
		*e = (struct event){.op = engine.pending[id],
				    .fiber = id,
				    .index = engine.fiber[id].nr_events + 1,
				    .before = engine.now.last};
		order_blocked(&engine.fiber[id], e, engine.about[id]);
		engine.x.nr_blocked++;
	}
}

/* The fiber that goes on next while the threads run. */
static int choose_fiber(void)
{
	uint32_t mask = enabled_fibers();
	struct point at;
	int next;

	if (!mask) {
		if (threads_ended() && !engine.now.callbacks) {
			if (engine.wants_order)
				blocked_note();
			return 0;
		}
		mask = timed_fibers();
		if (!mask)
			deadlock_report();
		clock_jump(__builtin_ctz(mask));
	}
	if (engine.x.nr_events >= engine.step_limit)
		fibers_leave(RUN_LIMIT);
	at.step = engine.x.nr_events;
	at.current = engine.now.last;
	at.enabled = mask;
	at.pending = engine.pending;
	engine.strategy->checkpoint = false;
	next = engine.strategy->pick(engine.strategy, &at);
	/* When it returns true, it is in another execution: another choice. */
	if (engine.strategy->checkpoint && fibers_ask())
		next = engine.strategy->pick(engine.strategy, &at);
	if (next == NO_FIBER)
		fibers_leave(RUN_ABANDONED);
	if (next < 0 || !(mask & BIT(next))) {
		fprintf(stderr, "explorer: the strategy chose fiber %d of %#x\n", next, mask);
		engine.running = false;
		abort();
	}
	event_make(next, mask);
	return next;
}

/* The same in setup and finish: no event, nobody is asked. */
static int choose_serial(int current)
{
	uint32_t mask = enabled_fibers();

	if (!mask) {
		mask = timed_fibers();
		if (!mask)
			deadlock_report();
		clock_jump(__builtin_ctz(mask));
	}
	if (++engine.now.serial_steps > SERIAL_LIMIT)
		fibers_leave(RUN_LIMIT);
	if (current == NO_FIBER || !(mask & BIT(current)))
		return __builtin_ctz(mask);
	/* Who spins waits for another. */
	if (engine.pending[current].kind == OP_SPIN && mask & ~BIT(current))
		return __builtin_ctz(mask & ~BIT(current));
	return current;
}

static void switch_to(int next)
{
	if (next == 0)
		engine_concurrent = false;
	fiber_switch(&engine.fiber[next]);
}

void engine_point(struct op *op, enabled_fn *check, void *arg)
{
	struct fiber *f = engine_current;
	int id = f->id;
	struct thing *t = NULL;

	if (op->object)
		t = thing_at(op->object);
	else if (op->addr)
		t = thing_of((void *)op->addr);
	if (t) {
		op->object = t->o.id;
		op->key = t->o.key;
	}
	if (!engine_concurrent && op->kind != OP_SPIN && (!check || check(op, f, arg))) {
		if (engine_recording)
			record_add(f, op);
		return;
	}
	f->in_runtime++;
	engine.about[id] = t;
	point_set(f, op, check, arg);
	if (engine_concurrent) {
		switch_to(choose_fiber());
	} else {
		fiber_switch(&engine.fiber[choose_serial(id)]);
		if (engine_recording && !engine_concurrent)
			record_add(f, op);
	}
	/* Here when somebody chose this fiber. */
	point_clear(id);
	f->in_runtime--;
}

struct thing *op_do(struct op op, enabled_fn *check, void *arg)
{
	return op_do_on(thing_of((void *)op.addr), op, check, arg);
}

struct thing *op_do_on(struct thing *t, struct op op, enabled_fn *check, void *arg)
{
	op.object = t->o.id;
	op.key = t->o.key;
	engine_point(&op, check, arg);
	thing_change(t);
	heap_check_access(op.addr, 1, false, op.pc);
	return t;
}

void point_end(void)
{
	engine_current->p->ended = true;
	point_clear(engine_current->id);
	if (engine_concurrent)
		switch_to(choose_fiber());
	else
		fiber_switch(&engine.fiber[choose_serial(NO_FIBER)]);
	__builtin_unreachable();
}

void point_threads(void)
{
	engine.now.last = NO_FIBER;
	engine_concurrent = true;
	point_clear(0);
	switch_to(choose_fiber());
}
