/* SPDX-License-Identifier: MIT */
/* Threads: their birth, what they must not leave behind, and those that the code under test starts and joins itself. */
#include <stdio.h>

#include "engine/internal.h"

/* Stands for the numbers that created threads get: two creations do not commute. */
static char thread_numbers;

void thread_born(struct fiber *f, struct fiber *parent)
{
	clock_join(&f->sync, &parent->sync);
	parent->sync.t[parent->id]++;
	f->order = parent->order;
}

__attribute__((noreturn, noinline)) static void end_bad(struct fiber *f)
{
	const struct held *h = &f->p->held[f->p->nr_held - 1];
	struct violation v = {.kind = BAD_SECTION};

	thing_describe(h->t, v.object, sizeof(v.object));
	snprintf(v.message, sizeof(v.message), "%s ends %s %s", f->name,
		 h->section ? "inside a section of" : "with", v.object);
	violation_add_site(&v, h->section ? "section entered by" : "locked by", h, f->id);
	engine_site(f, h->pc, &v.site);
	engine_violation(&v);
}

void thread_check_end(struct fiber *f)
{
	if (f->p->nr_held)
		end_bad(f);
	engine_note(&(struct op){.kind = OP_END});
}

static void created_main(void *arg)
{
	void (**call)(void *arg) = arg;

	call[0](call[1]);
	thread_check_end(engine_current);
}

void thread_number_point(const char *name, uintptr_t pc)
{
	struct op op = op_make(OP_CREATE, ACCESS_WRITE, &thread_numbers, pc);

	op.name = name;
	engine_point(&op, NULL, NULL);
}

unsigned explore_thread_create(const char *name, void (*fn)(void *arg), void *arg, bool daemon)
{
	struct fiber *self = engine_current, *f;
	struct op begin = {.kind = OP_BEGIN};
	void **call;

	thread_number_point(name, PC);
	call = pool_alloc(2 * sizeof(*call));
	call[0] = (void *)fn;
	call[1] = arg;
	f = fiber_new(fiber_reserve(), name, created_main, call, daemon);
	thread_born(f, self);
	engine.about[f->id] = NULL;
	point_set(f, &begin, NULL, NULL);
	return f->id;
}

static bool thread_ended(const struct op *op, struct fiber *f, void *arg)
{
	return ((const struct fiber_private *)arg)->ended;
}

void explore_thread_join(unsigned thread)
{
	struct fiber *self = engine_current;
	struct op op = op_make(OP_JOIN, ACCESS_NONE, NULL, PC);

	if (thread >= engine.now.nr_fibers || thread == self->id)
		violation_at(BAD_ASSERTION, PC, "thread_join of %u, which is no other thread",
			     thread);
	held_check_sleep(self, "thread_join", PC);
	self->p->joins = thread;
	op.name = engine.fiber[thread].name;
	engine_point(&op, thread_ended, &engine.priv[thread]);
	self->p->joins = NO_FIBER;
	order_acquire(self, &engine.fiber[thread].sync);
}
