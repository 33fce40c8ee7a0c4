/* SPDX-License-Identifier: MIT */
/*
 * PCT (Burckhardt and others, ASPLOS 2010): random ranks, and depth - 1 places at which the one that runs falls behind all. A bug that
 * needs d orderings among n threads of k events shows with a probability of at least 1 / (n k^(d - 1)).
 */
#include "search/wander.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"

#define FAULT_ODDS 8 /* one failure in so many questions */

/* A step of splitmix64. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t wander_seed(uint64_t seed, uint64_t n)
{
	uint64_t state = seed ^ n * 0xd1342543de82ef95u;

	return next_random(&state);
}

static uint32_t below(struct wander *w, uint32_t n)
{
	return (uint32_t)((next_random(&w->random) >> 32) * n >> 32);
}

/* Without a call, which it is for processors that may lack the instruction. */
static uint32_t count_fibers(uint32_t set)
{
	set -= set >> 1 & 0x5555;
	set = (set & 0x3333) + (set >> 2 & 0x3333);
	set = (set + (set >> 4)) & 0x0f0f;
	return (set + (set >> 8)) & 0x1f;
}
_Static_assert(MAX_FIBERS <= 16, "sets of fibers have that many bits");

static int nth_of(uint32_t set, uint32_t n)
{
	while (n--)
		set &= set - 1;
	return __builtin_ctz(set);
}

static int highest_ranked(const struct wander *w, uint32_t set)
{
	int best = __builtin_ctz(set);

	for (uint32_t left = set; left; left &= left - 1)
		if (w->rank[__builtin_ctz(left)] > w->rank[best])
			best = __builtin_ctz(left);
	return best;
}

static int wander_pick(struct strategy *s, const struct point *p)
{
	struct wander *w = (struct wander *)s;

	if (!p->step && !engine_checkpoints())
		s->checkpoint = w->after_setup = true;
	if (w->keep && p->current != NO_FIBER && p->enabled & 1u << p->current)
		return p->current;
	if (!w->by_rank)
		return nth_of(p->enabled, below(w, count_fibers(p->enabled)));
	for (unsigned i = 0; i < w->nr_changes && p->current != NO_FIBER; i++)
		if (w->change[i] == p->step)
			w->rank[p->current] = i;
	return highest_ranked(w, p->enabled);
}

static unsigned wander_choose(struct strategy *s, unsigned n, bool fault, const char *what)
{
	struct wander *w = (struct wander *)s;
	unsigned value;

	(void)what;
	if (w->keep || (fault && below(w, FAULT_ODDS)))
		value = 0;
	else
		value = fault ? 1 + below(w, n - 1) : below(w, n);
	if (w->nr_choices == w->room)
		w->choice = memory_grow(w->choice, &w->room, sizeof(*w->choice));
	return w->choice[w->nr_choices++] = value;
}

void wander_init(struct wander *w)
{
	memset(w, 0, sizeof(*w));
	w->strategy.pick = wander_pick;
	w->strategy.choose = wander_choose;
}

void wander_free(struct wander *w)
{
	free(w->choice);
	w->choice = NULL;
}

void wander_begin_random(struct wander *w, uint64_t seed)
{
	w->random = seed;
	w->by_rank = w->keep = false;
	w->nr_choices = 0;
}

void wander_begin_pct(struct wander *w, uint64_t seed, unsigned depth, uint32_t length)
{
	wander_begin_random(w, seed);
	w->by_rank = true;
	for (int f = 0; f < MAX_FIBERS; f++)
		w->rank[f] = PCT_MAX_DEPTH + below(w, 1u << 30);
	w->nr_changes = depth > PCT_MAX_DEPTH ? PCT_MAX_DEPTH - 1 : depth ? depth - 1 : 0;
	for (unsigned i = 0; i < w->nr_changes; i++)
		w->change[i] = 1 + below(w, length ? length : 1);
}

void wander_resume(struct wander *w, const struct explore_scenario *sc)
{
	if (w->after_setup)
		w->after_setup = engine_resume(sc, &w->strategy, 0);
}

bool wander_begin_serial(struct wander *w, unsigned nr_threads, uint32_t n, bool helpers_first)
{
	uint32_t left = ((1u << nr_threads) - 1) << 1;

	wander_begin_random(w, 0);
	w->by_rank = w->keep = true;
	w->nr_changes = 0;
	for (int f = 0; f < MAX_FIBERS; f++)
		w->rank[f] = (helpers_first ? 2 * MAX_FIBERS : MAX_FIBERS) - f;
	for (unsigned i = nr_threads; i > 0; i--) {
		int f = nth_of(left, n % i);

		w->rank[f] = MAX_FIBERS + i;
		left &= ~(1u << f);
		n /= i;
	}
	return !n;
}
