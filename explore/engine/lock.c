/* SPDX-License-Identifier: MIT */
/*
 * Mutexes and reader-writer locks. Waiting is not modelled as spinning or queueing: a fiber that wants the lock is not enabled while
 * it cannot have it, and any of those that want it may be the next. No fairness: readers pass waiting writers.
 *
 * Unlocking needs no point of its own, as nobody can tell when exactly between two operations a lock became free. Who tries can:
 * therefore locks that may be tried say so, and unlocking them is an operation.
 */
#include <stdio.h>

#include "engine/internal.h"

struct lock *lock_of(struct thing *t)
{
	struct lock *l = t->lock;
	char name[64];

	if (l)
		return l;
	l = t->lock = pool_alloc(sizeof(*l));
	l->owner = NO_FIBER;
	t->o.state = l;
	/* One that was never initialised is a class of its own. */
	snprintf(name, sizeof(name), "lock %016llx", (unsigned long long)t->o.key);
	l->class = class_intern(name, 0);
	return l;
}

void explore_lock_init(void *lock, const char *class_name, unsigned flags)
{
	struct thing *t = thing_of(lock);
	struct lock *l = t->lock;
	char why[200];

	if (l && thing_in_use(t, why, sizeof(why)))
		violation_at(BAD_ASSERTION, PC, "%s is initialised while %s", class_name, why);
	l = t->lock = pool_alloc(sizeof(*l));
	l->owner = NO_FIBER;
	l->flags = flags;
	l->class = class_intern(class_name, flags);
	t->o.state = l;
	t->o.class_name = class_name;
}

bool thing_in_use(const struct thing *t, char *why, size_t size)
{
	const struct lock *l = t->lock;
	const struct domain *d = t->domain;

	if (l && l->owner != NO_FIBER)
		snprintf(why, size, "%s holds it", engine.fiber[l->owner].name);
	else if (l && l->readers)
		snprintf(why, size, "%s holds it for reading",
			 engine.fiber[__builtin_ctz(l->readers)].name);
	else if (d && d->readers)
		snprintf(why, size, "%s is inside a section of it",
			 engine.fiber[__builtin_ctz(d->readers)].name);
	else if (d && d->first)
		snprintf(why, size, "a callback is queued");
	else
		return false;
	return true;
}

static bool has_seen(const struct fiber *f, const struct clock *c)
{
	for (int i = 0; i < MAX_FIBERS; i++)
		if (c->t[i] > f->sync.t[i])
			return false;
	return true;
}

/*
 * Unlocking is no operation, so the order in which the lock is still held need not be tried: whoever destroys it must come after
 * its last use in every order.
 */
void explore_lock_fini(void *lock)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(lock);
	char why[200], what[96];

	if (thing_in_use(t, why, sizeof(why))) {
		thing_describe(t, what, sizeof(what));
		violation_at(BAD_ASSERTION, PC, "%s is destroyed while %s", what, why);
	}
	if (engine_concurrent && t->lock &&
	    (!has_seen(f, &t->o.sync) || !has_seen(f, &t->lock->read_sync))) {
		thing_describe(t, what, sizeof(what));
		violation_at(BAD_ASSERTION, PC,
			     "%s is destroyed, and nothing orders that after its last use", what);
	}
}

/* ---- what a fiber holds ---- */

struct held *held_find(struct fiber *f, const struct thing *t)
{
	for (unsigned i = f->p->nr_held; i-- > 0;)
		if (f->p->held[i].t == t)
			return &f->p->held[i];
	return NULL;
}

static bool held_is_atomic(const struct held *h)
{
	return h->section ? !(h->t->domain->flags & EXPLORE_SLEEPABLE)
			  : h->t->lock->flags & EXPLORE_ATOMIC;
}

void held_push(struct fiber *f, struct thing *t, enum mode mode, bool section, unsigned class,
	       uintptr_t pc)
{
	struct fiber_private *p = f->p;
	struct held *h = &p->held[p->nr_held];

	if (p->nr_held == MAX_HELD)
		violation_at(BAD_ASSERTION, pc, "%s holds more than %d locks", f->name, MAX_HELD);
	*h = (struct held){.t = t,
			   .mode = mode,
			   .section = section,
			   .class = class,
			   .nest = 1,
			   .pc = pc,
			   .step = engine.x.nr_events};
	p->nr_held++;
	p->atomic += held_is_atomic(h);
	if (engine_recording)
		record_holds(f);
}

void held_drop(struct fiber *f, struct held *h)
{
	struct fiber_private *p = f->p;
	size_t after = p->held + p->nr_held - (h + 1);

	p->atomic -= held_is_atomic(h);
	memmove(h, h + 1, after * sizeof(*h));
	p->nr_held--;
	if (engine_recording)
		record_holds(f);
}

void held_format(const struct fiber *f, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < f->p->nr_held && n < size; i++) {
		char name[96];

		thing_describe(f->p->held[i].t, name, sizeof(name));
		n += snprintf(buf + n, size - n, "%s%s", i ? ", " : "", name);
	}
}

__attribute__((noreturn, noinline)) static void sleep_bad(struct fiber *f, const char *what,
							  uintptr_t pc)
{
	struct violation v = {.kind = BAD_SLEEP};
	char name[96];

	for (unsigned i = 0; i < f->p->nr_held; i++) {
		const struct held *h = &f->p->held[i];

		if (!held_is_atomic(h))
			continue;
		thing_describe(h->t, name, sizeof(name));
		snprintf(v.message, sizeof(v.message), "%s may sleep %s %s", what,
			 h->section ? "in a section of" : "with", name);
		snprintf(v.object, sizeof(v.object), "%s", name);
		violation_add_site(&v, h->section ? "section entered by" : "locked by", h, f->id);
		break;
	}
	engine_site(f, pc, &v.site);
	engine_violation(&v);
}

void held_check_sleep(struct fiber *f, const char *what, uintptr_t pc)
{
	if (f->p->atomic)
		sleep_bad(f, what, pc);
}

int explore_lock_held(const void *lock)
{
	const struct held *h = held_find(engine_current, thing_of(lock));

	if (!h || h->section)
		return 0;
	return h->mode == MODE_READ ? 1 : 2;
}

__attribute__((noreturn, noinline)) static void unlocked_bad(struct fiber *f, const char *where,
							     uintptr_t pc)
{
	struct violation v = {.kind = BAD_UNLOCKED_HOOK};

	held_format(f, v.object, sizeof(v.object));
	snprintf(v.message, sizeof(v.message), "%s runs with %s held", where, v.object);
	for (unsigned i = 0; i < f->p->nr_held && i < 3; i++)
		violation_add_site(&v, f->p->held[i].section ? "section entered by" : "locked by",
				   &f->p->held[i], f->id);
	engine_site(f, pc, &v.site);
	engine_violation(&v);
}

void explore_assert_unlocked(const char *where)
{
	if (engine_current->p->nr_held)
		unlocked_bad(engine_current, where, PC);
}

/* ---- operations ---- */

bool lock_is_free(const struct lock *l, enum op_kind kind, int fiber)
{
	if (l->owner != NO_FIBER)
		return false;
	return kind == OP_READ_LOCK || !(l->readers & ~BIT(fiber));
}

static bool lock_can(const struct op *op, struct fiber *f, void *arg)
{
	return lock_is_free(arg, op->kind, f->id);
}

/* What f did is seen by who takes the lock next. */
void lock_take(struct fiber *f, struct thing *t, enum mode mode, uintptr_t pc)
{
	struct lock *l = t->lock;

	thing_change(t);
	if (mode == MODE_READ) {
		l->readers |= BIT(f->id);
	} else {
		l->owner = f->id;
		order_acquire(f, &l->read_sync);
	}
	order_acquire(f, &t->o.sync);
	held_push(f, t, mode, false, l->class, pc);
}

bool lock_unlock_point(struct thing *t, uintptr_t pc)
{
	struct op op = op_make(OP_UNLOCK, ACCESS_WRITE, (void *)t->o.addr, pc);

	if (!(t->lock->flags & EXPLORE_TRY) || !engine_concurrent)
		return false;
	engine_point(&op, NULL, NULL);
	return true;
}

void lock_release(struct fiber *f, struct thing *t, uintptr_t pc)
{
	struct lock *l = t->lock;
	struct held *h = held_find(f, t);

	thing_change(t);
	if (h->mode == MODE_READ) {
		l->readers &= ~BIT(f->id);
		order_release(f, &l->read_sync);
		if (engine.wants_order)
			clock_join(&l->read_order, &f->order);
	} else {
		l->owner = NO_FIBER;
		order_release(f, &t->o.sync);
		if (engine.wants_order)
			clock_join(&l->write_order, &f->order);
	}
	held_drop(f, h);
}

/* The fiber waits for itself. */
__attribute__((noinline)) static void lock_self_deadlock(struct fiber *f, struct thing *t,
							 const struct held *h, uintptr_t pc)
{
	struct violation v = {.kind = BAD_DEADLOCK, .nr_edges = 1};

	thing_describe(t, v.object, sizeof(v.object));
	snprintf(v.message, sizeof(v.message), "%s waits for %s, which it holds%s itself", f->name,
		 v.object, h->mode == MODE_READ ? " for reading" : "");
	v.edge[0] = (struct wait_edge){.fiber = f->id, .holder = f->id, .object = t->o.id};
	snprintf(v.edge[0].text, sizeof(v.edge[0].text), "%.40s waits for %.90s, which it holds",
		 f->name, v.object);
	violation_add_site(&v, "locked by", h, f->id);
	engine_site(f, pc, &v.site);
	engine_violation(&v);
}

static void lock_lock(void *lock, enum op_kind kind, uintptr_t pc)
{
	enum mode mode = kind == OP_READ_LOCK ? MODE_READ : MODE_WRITE;
	struct fiber *f = engine_current;
	struct thing *t = thing_of(lock);
	struct lock *l = lock_of(t);
	struct held *h = held_find(f, t);

	heap_check_access((uintptr_t)lock, 1, false, pc);
	if (h)
		lock_self_deadlock(f, t, h, pc);
	if (!(l->flags & EXPLORE_ATOMIC))
		held_check_sleep(f, op_name(kind), pc);
	op_do_on(t, op_make(kind, mode == MODE_READ ? ACCESS_READ : ACCESS_WRITE, lock, pc),
		 lock_can, l);
	class_acquire(f, l->class, mode, t, pc);
	lock_take(f, t, mode, pc);
}

static void lock_unlock(void *lock, enum mode mode, uintptr_t pc)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(lock);
	struct held *h = held_find(f, t);
	struct op op = op_make(OP_UNLOCK, ACCESS_NONE, lock, pc);
	char what[96];

	heap_check_access((uintptr_t)lock, 1, false, pc);
	if (!h || h->section || h->mode != mode) {
		thing_describe(t, what, sizeof(what));
		violation_at(BAD_SECTION, pc, "%s unlocks %s, which it does not hold%s", f->name,
			     what,
			     !h			 ? ""
			     : mode == MODE_READ ? " for reading"
						 : " for writing");
	}
	op.object = t->o.id;
	op.key = t->o.key;
	if (!lock_unlock_point(t, pc))
		engine_note(&op);
	lock_release(f, t, pc);
}

void explore_mutex_lock(void *lock)
{
	lock_lock(lock, OP_MUTEX_LOCK, PC);
}

void explore_mutex_unlock(void *lock)
{
	lock_unlock(lock, MODE_WRITE, PC);
}

void explore_read_lock(void *lock)
{
	lock_lock(lock, OP_READ_LOCK, PC);
}

void explore_read_unlock(void *lock)
{
	lock_unlock(lock, MODE_READ, PC);
}

void explore_write_lock(void *lock)
{
	lock_lock(lock, OP_WRITE_LOCK, PC);
}

void explore_write_unlock(void *lock)
{
	lock_unlock(lock, MODE_WRITE, PC);
}

bool explore_mutex_trylock(void *lock)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(lock);
	struct lock *l = lock_of(t);
	char what[96];

	if (!(l->flags & EXPLORE_TRY)) {
		thing_describe(t, what, sizeof(what));
		violation_at(BAD_ASSERTION, PC,
			     "%s is tried, but explore_lock_init was not told so by EXPLORE_TRY",
			     what);
	}
	op_do(op_make(OP_MUTEX_TRYLOCK, ACCESS_WRITE, lock, PC), NULL, NULL);
	if (!lock_is_free(l, OP_MUTEX_TRYLOCK, f->id)) {
		engine_outcome("= busy");
		return false;
	}
	engine_outcome("= taken");
	lock_take(f, t, MODE_WRITE, PC);
	return true;
}

/* A waiter may come at any time: whether one is there now is left to the search. */
bool explore_lock_contended(void *lock)
{
	return engine_concurrent && explore_choose(2, "somebody waits for the lock");
}
