/* SPDX-License-Identifier: MIT */
/* Schedules: made from an execution, kept, run again. */
#include "search/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"
#include "search/replay.h"

#define BIT(f) (1u << (f))

void schedule_free(struct schedule *s)
{
	free(s->deviation);
	memset(s, 0, sizeof(*s));
}

struct schedule schedule_copy(const struct schedule *s)
{
	struct schedule copy = {.nr = s->nr};

	if (!s->nr)
		return copy;
	copy.deviation = memory_get(s->nr * sizeof(*s->deviation));
	memcpy(copy.deviation, s->deviation, s->nr * sizeof(*s->deviation));
	return copy;
}

static int default_fiber(int before, uint32_t enabled)
{
	return before != NO_FIBER && enabled & BIT(before) ? before : __builtin_ctz(enabled);
}

struct schedule schedule_of(const struct execution *x, const unsigned *choice, uint32_t nr_choices)
{
	struct schedule s = {0};

	s.deviation = memory_get(((size_t)x->nr_events + nr_choices) * sizeof(*s.deviation));
	for (uint32_t i = 0; i < x->nr_events; i++) {
		const struct event *e = &x->event[i];

		if (e->fiber != default_fiber(e->before, e->enabled))
			s.deviation[s.nr++] = (struct deviation){.at = i, .take = e->fiber};
	}
	for (uint32_t i = 0; i < nr_choices; i++)
		if (choice[i])
			s.deviation[s.nr++] =
				(struct deviation){.at = i, .take = choice[i], .choice = true};
	return s;
}

/* The next deviation of that sort from *i on, if it is for at. */
static const struct deviation *deviation_at(const struct replay *r, bool choice, uint32_t at,
					    uint32_t *i)
{
	while (*i < r->s->nr && r->s->deviation[*i].choice != choice)
		++*i;
	if (*i == r->s->nr || r->s->deviation[*i].at != at)
		return NULL;
	return &r->s->deviation[(*i)++];
}

static int replay_pick(struct strategy *strategy, const struct point *p)
{
	struct replay *r = (struct replay *)strategy;
	const struct deviation *d = deviation_at(r, false, p->step, &r->pick);

	r->current = default_fiber(p->current, p->enabled);
	if (d && d->take < MAX_FIBERS && p->enabled & BIT(d->take))
		r->current = d->take;
	else
		r->left_out += d != NULL;
	return r->current;
}

static void note_choice(struct replay *r, unsigned value)
{
	uint32_t room = r->room;

	if (r->nr_choices == room) {
		r->made = memory_grow(r->made, &r->room, sizeof(*r->made));
		r->maker = memory_grow(r->maker, &room, sizeof(*r->maker));
	}
	r->made[r->nr_choices] = value;
	r->maker[r->nr_choices++] = r->current;
}

static unsigned replay_choose(struct strategy *strategy, unsigned n, bool fault, const char *what)
{
	struct replay *r = (struct replay *)strategy;
	const struct deviation *d = deviation_at(r, true, r->nr_choices, &r->choice);
	unsigned value = d && d->take < n ? d->take : 0;

	(void)fault;
	(void)what;
	r->left_out += d && d->take >= n;
	note_choice(r, value);
	return value;
}

const struct execution *replay_run(struct replay *r, const struct explore_scenario *sc,
				   const struct schedule *s, const struct engine_limits *limits,
				   bool record, bool order)
{
	memset(r, 0, sizeof(*r));
	r->strategy = (struct strategy){
		.pick = replay_pick, .choose = replay_choose, .wants_order = order};
	r->s = s;
	r->current = NO_FIBER;
	return engine_run(sc, &r->strategy, limits, record);
}

void replay_free(struct replay *r)
{
	free(r->made);
	free(r->maker);
	memset(r, 0, sizeof(*r));
}

const struct execution *schedule_run(const struct explore_scenario *sc, const struct schedule *s,
				     const struct engine_limits *limits, bool record,
				     bool *followed)
{
	struct replay r;
	const struct execution *x = replay_run(&r, sc, s, limits, record, false);
	bool all = !r.left_out;

	for (uint32_t i = 0; i < s->nr; i++)
		all &= i < (s->deviation[i].choice ? r.choice : r.pick);
	*followed = all;
	replay_free(&r);
	return x;
}
