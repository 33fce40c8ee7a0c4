/* SPDX-License-Identifier: MIT */
/*
 * Nothing can run although a thread has not ended: who waits for whom. Fibers that wait for a lock wait for its holders, the end
 * of a grace period for the readers that are left, a barrier for the fiber of callbacks, which waits for readers itself, a join for
 * the thread. A cycle of these is a deadlock. Without one the chain ends at a fiber that sleeps until somebody wakes it, and nobody
 * is left who could, or at one that spins.
 */
#include <stdio.h>

#include "engine/internal.h"

/* The fibers that i waits for: bit mask; 0: it sleeps or spins. */
static uint32_t holders_of(int i)
{
	const struct op *op = &engine.pending[i];
	const struct thing *t = engine.about[i];
	const struct fiber_private *p = &engine.priv[i];

	if (p->sleep == SLEEP_COND || p->sleep == SLEEP_WORD)
		return 0;
	switch (op->kind) {
	case OP_MUTEX_LOCK:
	case OP_READ_LOCK:
	case OP_WRITE_LOCK:
		return t->lock->owner != NO_FIBER ? BIT(t->lock->owner)
						  : t->lock->readers & ~BIT(i);
	case OP_SYNC_END:
		return p->grace->readers;
	case OP_CALLBACK:
		return t->domain && t->domain->first ? t->domain->first->grace.readers : 0;
	case OP_BARRIER_END:
		return t && t->domain ? BIT(t->domain->fiber) : 0;
	case OP_JOIN:
		return BIT(p->joins);
	}
	return 0;
}

static void edge_text(char *buf, size_t size, int fiber, int holder)
{
	const struct op *op = &engine.pending[fiber];
	const struct thing *t = engine.about[fiber];
	const char *who = engine.fiber[fiber].name;
	const char *whom = holder == NO_FIBER ? "" : engine.fiber[holder].name;
	char what[96] = "";

	if (t)
		thing_describe(t, what, sizeof(what));
	if (engine.priv[fiber].sleep == SLEEP_COND) {
		thing_describe(engine.priv[fiber].sleeps_on, what, sizeof(what));
		snprintf(buf, size, "%s sleeps on %.80s", who, what);
		return;
	}
	switch (op->kind) {
	case OP_MUTEX_LOCK:
	case OP_READ_LOCK:
	case OP_WRITE_LOCK:
		snprintf(buf, size, "%s waits for %.60s, which %s holds", who, what, whom);
		break;
	case OP_SYNC_END:
		snprintf(buf, size,
			 "%s waits for a grace period of %.50s, in a section of which %s is", who,
			 what, whom);
		break;
	case OP_CALLBACK:
		snprintf(buf, size,
			 "a callback of %.50s waits for its grace period, in a section of which %s "
			 "is",
			 what, whom);
		break;
	case OP_BARRIER_END:
		snprintf(buf, size, "%s waits for %s%.80s", who,
			 t ? "the callbacks of " : "all callbacks", what);
		break;
	case OP_JOIN:
		snprintf(buf, size, "%s waits for the end of %s", who, whom);
		break;
	case OP_SPIN:
		snprintf(buf, size, "%s spins, and nobody writes what it reads", who);
		break;
	default:
		snprintf(buf, size, "%s sleeps on %.80s", who, what);
	}
}

static void edge_add(struct violation *v, int fiber, int holder)
{
	struct wait_edge *e = &v->edge[v->nr_edges++];

	e->fiber = fiber;
	e->holder = holder;
	e->object = engine.pending[fiber].object;
	edge_text(e->text, sizeof(e->text), fiber, holder);
}

/* Depth first: the fibers on the way to i are path[0..n). True with the cycle in v. */
static bool cycle_find(struct violation *v, int i, int *path, int n, uint32_t *seen)
{
	for (int k = 0; k < n; k++) {
		if (path[k] != i)
			continue;
		for (; k < n; k++)
			edge_add(v, path[k], k + 1 < n ? path[k + 1] : i);
		return true;
	}
	if (*seen & BIT(i))
		return false;
	*seen |= BIT(i);
	path[n] = i;
	for (uint32_t left = holders_of(i); left; left &= left - 1)
		if (cycle_find(v, __builtin_ctz(left), path, n + 1, seen))
			return true;
	return false;
}

/* Whether it is a fault that i cannot go on: a daemon may wait for work, but not in the middle of a callback. */
static bool waits(int i)
{
	const struct fiber_private *p = &engine.priv[i];

	if (p->ended || engine.pending[i].kind == OP_NONE)
		return false;
	return !p->daemon || p->callback_of || holders_of(i);
}

/* No cycle: all that wait, and those they wait for, with what for. The kind by what the chains end in. */
static void chains_report(struct violation *v, uint32_t fibers)
{
	for (uint32_t left = fibers; left; left &= left - 1) {
		int i = __builtin_ctz(left);
		uint32_t holders = holders_of(i);

		if (engine.priv[i].ended)
			continue;
		edge_add(v, i, holders ? (int)__builtin_ctz(holders) : NO_FIBER);
		if (engine.priv[i].sleep != SLEEP_NONE)
			v->kind = BAD_LOST_WAKEUP;
		else if (engine.pending[i].kind == OP_SPIN && v->kind == BAD_DEADLOCK)
			v->kind = BAD_LIVELOCK;
	}
}

static void message_format(struct violation *v)
{
	size_t n = 0;

	for (unsigned i = 0; i < v->nr_edges && n < sizeof(v->message); i++)
		n += snprintf(v->message + n, sizeof(v->message) - n, "%s%s", i ? "; " : "",
			      v->edge[i].text);
}

/* Where the locks and sections of the cycle were taken. */
static void holders_sites(struct violation *v)
{
	for (unsigned i = 0; i < v->nr_edges; i++) {
		const struct wait_edge *e = &v->edge[i];
		struct held *h;

		if (e->holder == NO_FIBER || !e->object)
			continue;
		h = held_find(&engine.fiber[e->holder], thing_at(e->object));
		if (h)
			violation_add_site(v, h->section ? "section entered by" : "locked by", h,
					   e->holder);
	}
}

void deadlock_report(void)
{
	struct violation v = {.kind = BAD_DEADLOCK};
	int path[MAX_FIBERS + 1];
	uint32_t seen = 0;
	int first;

	for (int i = 0; i < engine.now.nr_fibers && !v.nr_edges; i++)
		if (waits(i))
			cycle_find(&v, i, path, 0, &seen);
	if (!v.nr_edges)
		chains_report(&v, seen);
	message_format(&v);
	holders_sites(&v);
	first = v.nr_edges ? v.edge[0].fiber : engine_current->id;
	if (v.nr_edges && v.edge[0].object)
		thing_describe(thing_at(v.edge[0].object), v.object, sizeof(v.object));
	engine_site(&engine.fiber[first], engine.pending[first].pc, &v.site);
	engine_violation(&v);
}
