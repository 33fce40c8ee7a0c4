/* SPDX-License-Identifier: MIT */
/*
 * Sleeping: on a 32-bit word until somebody wakes its address, and condition variables. Who sleeps longest is woken first; as
 * the order of going to sleep is explored, so is who is woken. There are no spurious wake-ups: they would hide lost ones.
 *
 * A deadline passes when nothing else can run: time then jumps to it.
 */
#include <errno.h>
#include <stdio.h>

#include "engine/internal.h"

bool sleeper_may_go(const struct fiber *f)
{
	const struct fiber_private *p = f->p;

	return p->sleep == SLEEP_WOKEN ||
	       (p->deadline != EXPLORE_FOREVER && engine.now.clock >= p->deadline);
}

static bool woken(const struct op *op, struct fiber *f, void *arg)
{
	return sleeper_may_go(f);
}

static void sleep_begin(struct fiber *f, struct thing *t, enum sleep sleep, uint64_t deadline)
{
	f->p->sleep = sleep;
	f->p->sleeps_on = t;
	f->p->ticket = ++engine.now.tickets;
	f->p->deadline = deadline;
}

/* Whether it was woken. */
static bool sleep_end(struct fiber *f)
{
	bool by_wake = f->p->sleep == SLEEP_WOKEN;

	f->p->sleep = SLEEP_NONE;
	if (by_wake)
		order_acquire(f, &f->p->wake_sync);
	return by_wake;
}

static unsigned sleepers_wake(struct fiber *f, const struct thing *t, enum sleep sleep, unsigned nr)
{
	unsigned n = 0;

	for (; n < nr; n++) {
		struct fiber_private *first = NULL;

		for (int i = 0; i < engine.now.nr_fibers; i++) {
			struct fiber_private *p = &engine.priv[i];

			if (!p->ended && p->sleep == sleep && p->sleeps_on == t &&
			    (!first || p->ticket < first->ticket))
				first = p;
		}
		if (!first)
			break;
		first->sleep = SLEEP_WOKEN;
		first->wake_order = f->order;
		first->wake_sync = f->sync;
	}
	if (n)
		f->sync.t[f->id]++;
	return n;
}

static int wait_for(void *word, uint32_t expected, uint64_t deadline, uintptr_t pc)
{
	struct fiber *f = engine_current;
	struct thing *t = op_do(op_make(OP_WAIT, ACCESS_WAIT, word, pc), NULL, NULL);
	struct op op = op_make(OP_WOKEN, deadline == EXPLORE_FOREVER ? ACCESS_NONE : ACCESS_WAIT,
			       word, pc);

	heap_check_access((uintptr_t)word, sizeof(uint32_t), false, pc);
	if (*(volatile uint32_t *)word != expected) {
		engine_outcome("= the word has changed");
		return 0;
	}
	engine_outcome("sleeps");
	sleep_begin(f, t, SLEEP_WORD, deadline);
	op.object = t->o.id;
	engine_point(&op, woken, NULL);
	if (sleep_end(f))
		return 0;
	engine_outcome("= timed out");
	return -ETIMEDOUT;
}

int explore_wait(void *word, uint32_t expected, uint64_t deadline)
{
	held_check_sleep(engine_current, "wait", PC);
	return wait_for(word, expected, deadline, PC);
}

int explore_wait_atomic(void *word, uint32_t expected, uint64_t deadline)
{
	return wait_for(word, expected, deadline, PC);
}

/* The address is only a name: its memory may be gone, as the waiter may have seen the change before it slept. */
void explore_wake(void *word, unsigned nr)
{
	struct op op = op_make(OP_WAKE, ACCESS_WAIT, word, PC);
	struct fiber *f = engine_current;
	unsigned woken;

	engine_point(&op, NULL, NULL);
	woken = sleepers_wake(f, thing_at(op.object), SLEEP_WORD, nr);
	engine_outcome("= %u", woken);
}

/* The word changes in the same step: who looked at it before and is about to sleep finds that, so this commutes with neither. */
void explore_notify(void *word)
{
	struct thing *t = op_do(op_make(OP_WAKE, ACCESS_WRITE, word, PC), NULL, NULL);
	unsigned woken;

	explore_will_store(word, sizeof(uint32_t));
	++*(volatile uint32_t *)word;
	woken = sleepers_wake(engine_current, t, SLEEP_WORD, ~0u);
	engine_outcome("= %u", woken);
}

static bool relock(const struct op *op, struct fiber *f, void *arg)
{
	return sleeper_may_go(f) && lock_is_free(arg, OP_MUTEX_LOCK, f->id);
}

void explore_cond_wait(void *cond, void *mutex)
{
	struct fiber *f = engine_current;
	struct thing *m = thing_of(mutex), *t;
	struct held *h = held_find(f, m);
	struct op op = op_make(OP_MUTEX_LOCK, ACCESS_WRITE, mutex, PC);
	char what[96];

	if (!h || h->section || h->mode != MODE_WRITE) {
		thing_describe(m, what, sizeof(what));
		violation_at(BAD_SECTION, PC, "cond_wait without %s, which it names", what);
	}
	if (m->lock->flags & EXPLORE_ATOMIC)
		held_check_sleep(f, "cond_wait", PC);
	t = op_do(op_make(OP_COND_WAIT, ACCESS_WAIT, cond, PC), NULL, NULL);
	sleep_begin(f, t, SLEEP_COND, EXPLORE_FOREVER);
	/* Somebody who only tries may come between the two, as when a signal comes so early that the sleep never was. */
	lock_unlock_point(m, PC);
	lock_release(f, m, PC);
	held_check_sleep(f, "cond_wait", PC);
	op.object = m->o.id;
	engine_point(&op, relock, m->lock);
	sleep_end(f);
	class_acquire(f, m->lock->class, MODE_WRITE, m, PC);
	lock_take(f, m, MODE_WRITE, PC);
}

void explore_cond_signal(void *cond)
{
	struct fiber *f = engine_current;
	struct thing *t = op_do(op_make(OP_COND_SIGNAL, ACCESS_WAIT, cond, PC), NULL, NULL);
	unsigned woken = sleepers_wake(f, t, SLEEP_COND, 1);

	engine_outcome("= %u", woken);
}

void explore_cond_broadcast(void *cond)
{
	struct fiber *f = engine_current;
	struct thing *t = op_do(op_make(OP_COND_BROADCAST, ACCESS_WAIT, cond, PC), NULL, NULL);
	unsigned woken = sleepers_wake(f, t, SLEEP_COND, ~0u);

	engine_outcome("= %u", woken);
}

uint64_t explore_clock(void)
{
	return engine.now.clock;
}

void explore_might_sleep(const char *what)
{
	held_check_sleep(engine_current, what, PC);
}
