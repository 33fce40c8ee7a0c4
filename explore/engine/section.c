/* SPDX-License-Identifier: MIT */
/*
 * Reader sections and grace periods. Beginnings and ends of sections commute with each other and with everything else, except that
 * it matters whether a section began before a grace period did. A grace period ends when the sections that were open at its
 * beginning have: later ones do not delay it. In the dependence order its end comes after the end of every section that began
 * before it, whether or not that one was still open: in any equivalent execution it may be.
 */
#include <stdio.h>

#include "engine/internal.h"

static struct domain *domain_make(struct thing *t, const char *name, unsigned flags)
{
	struct domain *d = pool_alloc(sizeof(*d));
	char callbacks[64];

	d->flags = flags;
	d->class = class_intern(name, 0);
	snprintf(callbacks, sizeof(callbacks), "%.48s callbacks", name);
	d->callback_class = class_intern(callbacks, 0);
	d->fiber = NO_FIBER;
	t->domain = d;
	t->o.state = d;
	return d;
}

struct domain *domain_of(struct thing *t)
{
	char name[64];

	if (t->domain)
		return t->domain;
	snprintf(name, sizeof(name), "domain %016llx", (unsigned long long)t->o.key);
	return domain_make(t, name, 0);
}

void explore_domain_init(void *domain, const char *class_name, unsigned flags)
{
	struct thing *t = thing_of(domain);
	struct domain *d;
	char why[200];

	if (t->domain && thing_in_use(t, why, sizeof(why)))
		violation_at(BAD_SECTION, PC, "%s is initialised while %s", class_name, why);
	d = domain_make(t, class_name, flags);
	t->o.class_name = class_name;
	/* So that the search need not order the first callbacks of several domains. */
	if (!engine_concurrent && engine.now.next_fiber < MAX_FIBERS)
		d->fiber = fiber_reserve();
}

void explore_domain_fini(void *domain)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(domain);
	struct domain *d = domain_of(t);
	char why[200], what[96];

	if (thing_in_use(t, why, sizeof(why))) {
		thing_describe(t, what, sizeof(what));
		violation_at(BAD_SECTION, PC, "%s is destroyed while %s", what, why);
	}
	/* In another order the callback is still queued; its end is no operation, so that one need not be tried. */
	if (d->latest && f->sync.t[d->fiber] < d->latest->sync.t[d->fiber]) {
		thing_describe(t, what, sizeof(what));
		violation_at(BAD_SECTION, PC,
			     "%s is destroyed, but nobody waited for its callbacks", what);
	}
	if (!d->started && d->fiber == engine.now.next_fiber - 1)
		engine.now.next_fiber--;
	t->domain = NULL;
}

void explore_section_enter(void *domain)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(domain);
	struct domain *d = domain_of(t);
	struct held *h = held_find(f, t);

	heap_check_access((uintptr_t)domain, 1, false, PC);
	if (h) {
		h->nest++;
		return;
	}
	op_do(op_make(OP_ENTER, ACCESS_ENTER, domain, PC), NULL, NULL);
	class_acquire(f, d->class, MODE_READ, t, PC);
	d->readers |= BIT(f->id);
	/* What was published before a grace period that this section does not delay. */
	order_acquire(f, &d->begin_sync);
	held_push(f, t, MODE_READ, true, d->class, PC);
}

/* The grace periods that wait for f have one reader less. */
static void grace_readers_drop(struct domain *d, struct fiber *f)
{
	struct grace **link = &d->grace;

	while (*link) {
		struct grace *g = *link;

		undo_push(g, sizeof(*g));
		if (g->readers & BIT(f->id)) {
			g->readers &= ~BIT(f->id);
			clock_join(&g->sync, &f->sync);
			clock_join(&g->order, &f->order);
		}
		if (g->readers)
			link = &g->next;
		else
			*link = g->next;
	}
}

void explore_section_exit(void *domain)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(domain);
	struct held *h = held_find(f, t);
	struct op op = op_make(OP_EXIT, ACCESS_NONE, domain, PC);
	char what[96];

	heap_check_access((uintptr_t)domain, 1, false, PC);
	if (!h || !h->section) {
		thing_describe(t, what, sizeof(what));
		violation_at(BAD_SECTION, PC, "%s leaves a section of %s without being in one",
			     f->name, what);
	}
	if (--h->nest)
		return;
	op.object = t->o.id;
	engine_note(&op);
	t->domain->readers &= ~BIT(f->id);
	grace_readers_drop(t->domain, f);
	clock_join(&t->domain->exit_order, &f->order);
	order_release(f, &t->domain->exit_sync);
	held_drop(f, h);
}

bool explore_section_held(const void *domain)
{
	const struct held *h = held_find(engine_current, thing_of(domain));

	return h && h->section;
}

void grace_begin(struct fiber *f, struct domain *d, struct grace *g)
{
	g->readers = d->readers;
	g->order = d->exit_order;
	g->sync = d->exit_sync;
	order_release(f, &d->begin_sync);
	if (!g->readers)
		return;
	g->next = d->grace;
	d->grace = g;
}

__attribute__((noreturn, noinline)) static void
section_bad(struct fiber *f, struct thing *t, const struct held *h, const char *what, uintptr_t pc)
{
	struct violation v = {.kind = BAD_SECTION};

	thing_describe(t, v.object, sizeof(v.object));
	snprintf(v.message, sizeof(v.message),
		 "%s of %s inside a section of it: %s would wait for itself", what, v.object,
		 f->name);
	violation_add_site(&v, "section entered by", h, f->id);
	engine_site(f, pc, &v.site);
	engine_violation(&v);
}

void section_check_outside(struct fiber *f, struct thing *t, const char *what, uintptr_t pc)
{
	const struct held *h = held_find(f, t);

	if (h)
		section_bad(f, t, h, what, pc);
}

static bool grace_over(const struct op *op, struct fiber *f, void *arg)
{
	return !((const struct grace *)arg)->readers;
}

void explore_synchronize(void *domain)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(domain);
	struct domain *d = domain_of(t);
	struct op op = op_make(OP_SYNC_END, ACCESS_NONE, domain, PC);
	struct grace g;

	heap_check_access((uintptr_t)domain, 1, false, PC);
	section_check_outside(f, t, "synchronize", PC);
	held_check_sleep(f, "synchronize", PC);
	op_do(op_make(OP_SYNC_BEGIN, ACCESS_SYNC, domain, PC), NULL, NULL);
	class_acquire(f, d->class, MODE_WRITE, t, PC);
	grace_begin(f, d, &g);
	f->p->grace = &g;
	op.object = t->o.id;
	engine_point(&op, grace_over, &g);
	f->p->grace = NULL;
	order_acquire(f, &g.sync);
}

void explore_dereference(const void *domain, const void *lock)
{
	struct fiber *f = engine_current;
	struct thing *t = thing_of(domain);
	char what[96], guard[96];

	if (held_find(f, t) || !engine_concurrent)
		return;
	if (lock && held_find(f, thing_of(lock)))
		return;
	thing_describe(t, what, sizeof(what));
	if (!lock)
		violation_at(BAD_GUARD, PC, "a pointer is read outside a section of %s", what);
	thing_describe(thing_of(lock), guard, sizeof(guard));
	violation_at(BAD_GUARD, PC, "a pointer is read outside a section of %s and without %s",
		     what, guard);
}
