/* SPDX-License-Identifier: MIT */
/*
 * Deferred calls. Each domain has a fiber that runs them one after the other, in order of queueing, each after a grace period that
 * began when it was queued. Domains do not wait for each other's callbacks.
 */
#include "engine/internal.h"

static bool callback_ready(const struct op *op, struct fiber *f, void *arg)
{
	const struct domain *d = arg;

	return d->first && !d->first->grace.readers;
}

static struct op callback_op(const struct thing *t)
{
	struct op op = op_make(OP_CALLBACK, ACCESS_NONE, (void *)t->o.addr, 0);

	op.object = t->o.id;
	op.key = t->o.key;
	return op;
}

static void callback_run(struct fiber *f, struct thing *t)
{
	struct domain *d = t->domain;
	struct callback *cb = d->first;

	order_acquire(f, &cb->sync);
	order_acquire(f, &cb->grace.sync);
	f->p->callback_of = d;
	cb->fn(cb->arg);
	thread_check_end(f);
	f->p->callback_of = NULL;
	thing_change(t);
	undo_push(cb, sizeof(*cb));
	cb->order = f->order;
	cb->sync = f->sync;
	f->sync.t[f->id]++;
	cb->done = true;
	d->first = cb->next;
	engine.now.callbacks--;
}

static void callback_main(void *arg)
{
	struct thing *t = arg;
	struct domain *d = t->domain;

	/* The first time it was chosen for the operation that it was born with. */
	for (;;) {
		struct op op = callback_op(t);

		callback_run(engine_current, t);
		engine_point(&op, callback_ready, d);
	}
}

static void callback_fiber_start(struct thing *t, struct domain *d)
{
	struct op op = callback_op(t);
	struct fiber *f;
	static const char suffix[] = " callback";
	char name[48];
	size_t n = strnlen(class_name(d->class), 36);

	/* Not by printf: it is in every execution. */
	memcpy(name, class_name(d->class), n);
	memcpy(name + n, suffix, sizeof(suffix));
	f = fiber_new(d->fiber, name, callback_main, t, true);
	engine.about[f->id] = t;
	point_set(f, &op, callback_ready, d);
	d->started = true;
}

void explore_defer(void *domain, void (*fn)(void *arg), void *arg)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(domain);
	struct domain *d = domain_of(t);
	struct callback *cb;

	if (d->fiber == NO_FIBER) {
		thread_number_point(class_name(d->callback_class), PC);
		if (d->fiber == NO_FIBER)
			d->fiber = fiber_reserve();
	}
	op_do(op_make(OP_DEFER, ACCESS_DEFER, domain, PC), NULL, NULL);
	thing_change(t);
	cb = pool_alloc(sizeof(*cb));
	cb->fn = fn;
	cb->arg = arg;
	grace_begin(f, d, &cb->grace);
	cb->order = f->order;
	order_release(f, &cb->sync);
	if (d->first) {
		undo_push(d->latest, sizeof(*d->latest));
		d->latest->next = cb;
	} else {
		d->first = cb;
	}
	d->latest = cb;
	engine.now.callbacks++;
	if (!d->started)
		callback_fiber_start(t, d);
}

static bool barrier_over(const struct op *op, struct fiber *f, void *arg)
{
	const struct callback *cb = arg;

	return !cb || cb->done;
}

void explore_barrier(void *domain)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(domain);
	struct domain *d = domain_of(t);
	struct op op = op_make(OP_BARRIER_END, ACCESS_NONE, domain, PC);

	section_check_outside(f, t, "barrier", PC);
	held_check_sleep(f, "barrier", PC);
	op_do(op_make(OP_BARRIER, ACCESS_READ, domain, PC), NULL, NULL);
	class_acquire(f, d->callback_class, MODE_WRITE, t, PC);
	f->p->barrier = d->latest;
	op.object = t->o.id;
	engine_point(&op, barrier_over, d->latest);
	if (f->p->barrier)
		order_acquire(f, &f->p->barrier->sync);
	f->p->barrier = NULL;
}

static bool callbacks_idle(const struct op *op, struct fiber *f, void *arg)
{
	return !engine.now.callbacks;
}

void callbacks_drain(void)
{
	struct op op = {.kind = OP_BARRIER_END};

	if (!engine.now.callbacks)
		return;
	engine_point(&op, callbacks_idle, NULL);
	for (int i = 1; i < engine.now.nr_fibers; i++)
		clock_join(&engine_current->sync, &engine.fiber[i].sync);
}
