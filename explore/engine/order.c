/* SPDX-License-Identifier: MIT */
/*
 * The dependence order of events, and which pairs could come the other way round.
 *
 * Each object remembers the last event of each fiber for each kind of access. An event is ordered after those of them that it does
 * not commute with. It races with such an event if nothing else orders the two: neither the fiber's own past nor what enabled the
 * event (the unlock does not count, as the two lockings may swap) nor another of these events. Earlier events of the same fibers
 * are ordered before the last ones, so they never race immediately.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/internal.h"

void order_release(struct fiber *f, struct clock *c)
{
	clock_join(c, &f->sync);
	f->sync.t[f->id]++;
}

void order_acquire(struct fiber *f, const struct clock *c)
{
	clock_join(&f->sync, c);
}

struct candidates {
	uint32_t at[MAX_CANDIDATES];
	unsigned n;
};

static bool before(const struct clock *c, const struct event *e)
{
	return c->t[e->fiber] >= e->index;
}

static void candidate_add(struct candidates *c, uint32_t at, int fiber, const struct clock *past)
{
	const struct event *e = &engine.x.event[at];

	if (e->fiber == fiber || before(past, e))
		return;
	for (unsigned i = 0; i < c->n; i++)
		if (c->at[i] == at)
			return;
	if (c->n == MAX_CANDIDATES) {
		/* To leave one out would be to leave out an order. */
		fprintf(stderr, "explorer: an operation races with more than %u others\n",
			MAX_CANDIDATES);
		_exit(2);
	}
	c->at[c->n++] = at;
}

static void candidates_of(struct candidates *c, const struct thing *t, uint32_t accesses, int fiber,
			  const struct clock *past)
{
	for (uint32_t a = accesses; a; a &= a - 1) {
		int access = __builtin_ctz(a);

		for (uint32_t left = t->mask[access] & ~BIT(fiber); left; left &= left - 1)
			candidate_add(c, t->latest->at[access][__builtin_ctz(left)], fiber, past);
	}
}

/* Keeps those that are not ordered before another, most recent first. */
static void candidates_reduce(struct candidates *c)
{
	struct candidates kept = {.n = 0};

	if (c->n < 2)
		return;
	for (unsigned i = 0; i < c->n; i++) {
		const struct event *e = &engine.x.event[c->at[i]];
		bool covered = false;
		unsigned k;

		for (unsigned j = 0; j < c->n && !covered; j++)
			covered = c->at[j] > c->at[i] && before(&engine.x.event[c->at[j]].order, e);
		if (covered)
			continue;
		for (k = kept.n++; k && kept.at[k - 1] < c->at[i]; k--)
			kept.at[k] = kept.at[k - 1];
		kept.at[k] = c->at[i];
	}
	*c = kept;
}

static void races_store(struct event *e, const struct candidates *c)
{
	if (!c->n)
		return;
	e->race = engine.races + engine.now.nr_races;
	e->nr_races = c->n;
	memcpy(e->race, c->at, c->n * sizeof(c->at[0]));
	engine.now.nr_races += c->n;
}

/* The object's memory of what still matters. */
static void thing_note(struct thing *t, const struct event *e, uint32_t at)
{
	unsigned access = e->op.access;

	if (e->op.kind == OP_UNLOCK) {
		t->mask[ACCESS_READ] = 0;
		t->unlocked = at;
		return;
	}
	if (access == ACCESS_WRITE) {
		memset(t->mask, 0, sizeof(t->mask));
		t->unlocked = NO_EVENT;
	}
	t->mask[access] |= BIT(e->fiber);
	t->latest->at[access][e->fiber] = at;
}

/* Unlocking gives order to who locks next, but no race. */
static void unlock_edges(struct clock *c, const struct event *e, const struct thing *t)
{
	const struct lock *l = t->lock;

	if (!l)
		return;
	switch (e->op.kind) {
	case OP_MUTEX_TRYLOCK:
		if (e->op.access == ACCESS_READ)
			return;
		clock_join(c, &l->write_order);
		break;
	case OP_MUTEX_LOCK:
	case OP_READ_LOCK:
		clock_join(c, &l->write_order);
		break;
	case OP_WRITE_LOCK:
		clock_join(c, &l->write_order);
		clock_join(c, &l->read_order);
		break;
	}
}

/*
 * Going on after a spin reads all that was watched, as it depends on a change of any of it. What changed since it was read is among the
 * candidates. If that is one event, it let the fiber go and just comes before; of several each races.
 */
static void spin_order(struct candidates *c, struct fiber *f)
{
	const struct fiber_private *p = f->p;
	uint32_t first = NO_EVENT;
	unsigned changed = 0;

	for (unsigned i = 0; i < p->nr_watch; i++) {
		candidates_of(c, p->watch[i].t, access_conflicts(ACCESS_READ), f->id, &f->order);
		if (p->watch[i].changed != NO_EVENT) {
			changed++;
			first = p->watch[i].changed;
		}
	}
	candidates_reduce(c);
	if (changed != 1 || c->n != 1 || c->at[0] != first)
		return;
	clock_join(&f->order, &engine.x.event[c->at[0]].order);
	c->n = 0;
}

static void spin_note(const struct fiber *f, uint32_t at)
{
	for (unsigned i = 0; i < f->p->nr_watch; i++) {
		struct thing *t = f->p->watch[i].t;

		thing_change(t);
		t->mask[ACCESS_READ] |= BIT(f->id);
		t->latest->at[ACCESS_READ][f->id] = at;
	}
}

/* What enabled an event, other than through its object: it could not have come earlier. */
static void cause_edges(struct fiber *f, const struct event *e, const struct thing *t)
{
	struct fiber_private *p = f->p;

	switch (e->op.kind) {
	case OP_WOKEN:
		/* Once its deadline has passed the wake-up is a race: it could have gone on before that. */
		if (p->deadline != EXPLORE_FOREVER && engine.now.clock >= p->deadline)
			clock_join(&f->order, &engine.now.clock_order);
		else
			clock_join(&f->order, &p->wake_order);
		break;
	case OP_MUTEX_LOCK:
		if (p->sleep == SLEEP_WOKEN)
			clock_join(&f->order, &p->wake_order);
		break;
	case OP_SYNC_END:
		clock_join(&f->order, &p->grace->order);
		break;
	case OP_CALLBACK: {
		const struct callback *cb = t->domain->first;

		clock_join(&f->order, &cb->order);
		clock_join(&f->order, &cb->grace.order);
		break;
	}
	case OP_BARRIER_END:
		if (p->barrier)
			clock_join(&f->order, &p->barrier->order);
		break;
	case OP_JOIN:
		clock_join(&f->order, &engine.fiber[p->joins].order);
		break;
	}
}

static void class_add(const struct event *e)
{
	uint64_t h = hash_mix((uint64_t)e->fiber << 40 | (uint64_t)e->op.kind << 32 | e->index,
			      e->op.key);

	for (int i = 1; i < engine.now.nr_fibers; i++)
		if (e->order.t[i])
			h = hash_mix(h + i, e->order.t[i]);
	engine.x.class_hash += h;
}

void order_blocked(struct fiber *f, struct event *e, struct thing *t)
{
	struct candidates c = {.n = 0};

	cause_edges(f, e, t);
	candidates_of(&c, t, access_conflicts(e->op.access), f->id, &f->order);
	candidates_reduce(&c);
	races_store(e, &c);
	e->order = f->order;
	for (unsigned i = 0; i < c.n; i++)
		clock_join(&e->order, &engine.x.event[c.at[i]].order);
	e->order.t[f->id] = e->index;
}

void order_event(struct fiber *f, struct event *e, struct thing *t)
{
	struct candidates c = {.n = 0};

	cause_edges(f, e, t);
	if (e->op.kind == OP_SPIN) {
		spin_order(&c, f);
	} else if (e->op.kind == OP_UNLOCK) {
		candidates_of(&c, t, BIT(ACCESS_READ), f->id, &f->order);
		candidates_reduce(&c);
	} else if (t && e->op.access != ACCESS_NONE) {
		if (e->op.kind == OP_MUTEX_TRYLOCK) {
			if (!lock_is_free(t->lock, OP_MUTEX_TRYLOCK, f->id))
				e->op.access = ACCESS_READ;
			if (t->unlocked != NO_EVENT)
				candidate_add(&c, t->unlocked, f->id, &f->order);
		}
		candidates_of(&c, t, access_conflicts(e->op.access), f->id, &f->order);
		candidates_reduce(&c);
	}
	races_store(e, &c);
	for (unsigned i = 0; i < c.n; i++)
		clock_join(&f->order, &engine.x.event[c.at[i]].order);
	if (t)
		unlock_edges(&f->order, e, t);
	f->order.t[f->id] = e->index;
	e->order = f->order;
	if (t && e->op.access != ACCESS_NONE)
		thing_note(t, e, engine.x.nr_events);
	if (e->op.kind == OP_SPIN)
		spin_note(f, engine.x.nr_events);
	class_add(e);
}
