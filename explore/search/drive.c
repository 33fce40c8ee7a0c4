/* SPDX-License-Identifier: MIT */
/*
 * Runs executions for all modes and keeps the account. Time decides only when to stop; what is claimed afterwards follows from what
 * was exhausted by then.
 */
#include "search/drive.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TICK_SECONDS 0.02
/* The clock is looked at after so many executions, if they have fewer events than that. */
#define RUNS_A_LOOK 16u
#define LONG_RUN    200u

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

double drive_seconds(const struct drive *d)
{
	return now() - d->began;
}

void drive_init(struct drive *d, const struct explore_scenario *sc, const struct search_options *o,
		struct search_result *r)
{
	memset(d, 0, sizeof(*d));
	d->sc = sc;
	d->o = o;
	d->r = r;
	d->began = now();
	memset(r, 0, sizeof(*r));
	r->verdict = SEARCH_SEARCHED;
	r->mode = o->mode;
	r->bound = ~0u;
}

void drive_fini(struct drive *d)
{
	d->r->seconds = drive_seconds(d);
	classes_free(&d->classes);
}

__attribute__((format(printf, 2, 3))) static void break_off(struct drive *d, const char *fmt, ...)
{
	va_list arguments;

	va_start(arguments, fmt);
	vsnprintf(d->r->broken, sizeof(d->r->broken), fmt, arguments);
	va_end(arguments);
	d->over = true;
}

static void tick(struct drive *d)
{
	double passed;

	if (d->r->runs & (d->r->events < d->r->runs * LONG_RUN ? RUNS_A_LOOK - 1 : 0))
		return;
	passed = drive_seconds(d);
	if (passed < d->next_tick)
		return;
	d->next_tick = passed + TICK_SECONDS;
	d->r->seconds = passed;
	if (d->tree)
		d->r->done = tree_done(d->tree);
	if (d->o->seconds > 0 && passed >= d->o->seconds)
		d->r->out_of_time = d->over = true;
	if (d->o->progress && !d->o->progress(d->o->arg, d->r))
		d->r->interrupted = d->over = true;
}

/* Counts x. True: it is a violation. */
static bool account(struct drive *d, const struct execution *x, bool classes)
{
	struct search_result *r = d->r;

	r->runs++;
	r->events += x->nr_events;
	r->max_events = x->nr_events > r->max_events ? x->nr_events : r->max_events;
	r->abandoned += x->outcome == RUN_ABANDONED;
	r->limit_hit |= x->outcome == RUN_LIMIT;
	d->nr_fibers = x->nr_fibers > d->nr_fibers ? x->nr_fibers : d->nr_fibers;
	if (classes && x->outcome == RUN_CLEAN) {
		classes_add(&d->classes, x->class_hash);
		r->classes = d->classes.nr;
		r->classes_hash = d->classes.hash;
	}
	tick(d);
	return x->outcome == RUN_VIOLATION;
}

/* x is a violation that s makes: only if it makes it again. */
static void found(struct drive *d, const struct violation *violation, const struct schedule *s)
{
	struct search_result *r = d->r;
	const struct execution *x;
	bool followed;

	r->violation = *violation;
	r->schedule = *s;
	d->over = true;
	x = schedule_run(d->sc, s, &d->o->limits, false, &followed);
	if (x->outcome != RUN_VIOLATION || x->violation.kind != r->violation.kind) {
		break_off(d,
			  "executions are not repeatable: a %s that was found (%.120s) does not "
			  "come back",
			  violation_name(r->violation.kind), r->violation.message);
		return;
	}
	r->verdict = SEARCH_FOUND;
	r->found_at = r->runs;
}

void drive_gate(struct drive *d)
{
	struct schedule none = {0};
	bool followed;
	const struct execution *x = schedule_run(d->sc, &none, &d->o->limits, false, &followed);
	uint64_t hash = x->steps_hash;
	uint32_t events = x->nr_events;

	d->length = events;
	x = schedule_run(d->sc, &none, &d->o->limits, false, &followed);
	if (x->steps_hash != hash || x->nr_events != events)
		break_off(d,
			  "executions are not repeatable: the same schedule gave %u events, then "
			  "%u others",
			  events, x->nr_events);
}

static enum walk_end walk(struct drive *d, struct tree *t, uint64_t runs, uint64_t events,
			  double until)
{
	bool classes = t->kind == TREE_DPOR || t->kind == TREE_NAIVE || d->o->count_classes;
	uint64_t last = d->r->runs + runs, last_event = d->r->events + events;

	t->strategy.wants_order |= classes;
	while (!d->over && !t->exhausted) {
		const struct execution *x;
		bool violation;

		if ((runs && d->r->runs >= last) || (events && d->r->events >= last_event) ||
		    (until > 0 && drive_seconds(d) >= until))
			return WALK_PAUSED;
		tree_begin(t, d->sc);
		x = engine_run(d->sc, &t->strategy, &d->o->limits, false);
		if (t->diverged) {
			break_off(d,
				  "executions are not repeatable: event %u came out differently in "
				  "another "
				  "execution with the same beginning",
				  t->step);
			return WALK_OVER;
		}
		violation = account(d, x, classes);
		if (violation) {
			struct violation v = x->violation;
			struct schedule s = tree_schedule(t, x);

			found(d, &v, &s);
			return WALK_OVER;
		}
		tree_learn(t, x);
		t->limit_hit |= x->outcome == RUN_LIMIT;
		tree_next(t);
	}
	return t->exhausted ? WALK_EXHAUSTED : WALK_OVER;
}

enum walk_end drive_walk(struct drive *d, struct tree *t, uint64_t runs, uint64_t events,
			 double until)
{
	uint64_t before = d->r->runs;
	enum walk_end end;

	d->tree = t;
	end = walk(d, t, runs, events, until);
	d->tree = NULL;
	if (d->r->runs > before)
		d->r->done = tree_done(t);
	return end;
}

/* Runs w; false: it is over. */
static bool wander_run(struct drive *d, struct wander *w)
{
	const struct execution *x;
	struct violation v;
	struct schedule s;

	w->strategy.wants_order = d->o->count_classes;
	wander_resume(w, d->sc);
	x = engine_run(d->sc, &w->strategy, &d->o->limits, false);
	if (!account(d, x, d->o->count_classes))
		return !d->over;
	v = x->violation;
	s = schedule_of(x, w->choice, w->nr_choices);
	found(d, &v, &s);
	return false;
}

static unsigned count_threads(const struct explore_scenario *sc)
{
	unsigned n = 0;

	while (n < EXPLORE_MAX_THREADS && sc->thread[n].fn)
		n++;
	return n;
}

void drive_serial(struct drive *d)
{
	unsigned threads = count_threads(d->sc);
	struct wander w;

	wander_init(&w);
	for (int helpers_first = 0; !d->over && helpers_first < 2; helpers_first++) {
		if (helpers_first && d->nr_fibers <= (int)threads + 1)
			break; /* there are none */
		for (uint32_t n = 0; !d->over && wander_begin_serial(&w, threads, n, helpers_first);
		     n++)
			wander_run(d, &w);
	}
	wander_free(&w);
}

void drive_random(struct drive *d, unsigned depth, uint64_t seed, uint64_t first, uint64_t runs)
{
	struct wander w;

	wander_init(&w);
	for (uint64_t i = first; !d->over && i < first + runs; i++) {
		if (depth)
			wander_begin_pct(&w, wander_seed(seed, i), depth, d->length);
		else
			wander_begin_random(&w, wander_seed(seed, i));
		if (!wander_run(d, &w))
			break;
	}
	wander_free(&w);
}
