/* SPDX-License-Identifier: MIT */
/* Schedules: made from an execution, kept, run again. */
#include "search/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"

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

struct replay {
	struct strategy strategy; /* must be first */
	const struct schedule *s;
	uint32_t pick, choice; /* next deviation of each sort */
	uint32_t nr_choices, left_out;
};

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

	if (d && d->take < MAX_FIBERS && p->enabled & BIT(d->take))
		return d->take;
	r->left_out += d != NULL;
	return default_fiber(p->current, p->enabled);
}

static unsigned replay_choose(struct strategy *strategy, unsigned n, bool fault, const char *what)
{
	struct replay *r = (struct replay *)strategy;
	const struct deviation *d = deviation_at(r, true, r->nr_choices++, &r->choice);

	(void)fault;
	(void)what;
	if (d && d->take < n)
		return d->take;
	r->left_out += d != NULL;
	return 0;
}

const struct execution *schedule_run(const struct explore_scenario *sc, const struct schedule *s,
				     const struct engine_limits *limits, bool record,
				     bool *followed)
{
	struct replay r = {.strategy = {.pick = replay_pick, .choose = replay_choose}, .s = s};
	const struct execution *x = engine_run(sc, &r.strategy, limits, record);
	bool all = !r.left_out;

	for (uint32_t i = 0; i < s->nr; i++)
		all &= i < (s->deviation[i].choice ? r.choice : r.pick);
	*followed = all;
	return x;
}
