/* SPDX-License-Identifier: MIT */
/*
 * What a search in parts has to do in its first round and, beyond what follows from the results, in later ones.
 */
#include "search/part.h"

#include <stdlib.h>

#include "search/memory.h"
#include "search/plan.h"

#define RANDOM_RUNS	   1000
#define RANDOM_EVENTS	   1000000 /* of each of random and PCT */
#define RANDOM_FIRST	   30	   /* in the first round, of each of random and PCT of that depth */
#define RANDOM_FIRST_DEPTH 3
#define RANDOM_LEAST	   50
#define RANDOM_PIECES	   4
#define PCT_DEPTH	   4
#define EASY_BOUNDS	   3 /* 0, 1, 2 come before the rest of DPOR */
#define SAMPLING_ROUND	   1
#define BOUNDS_ROUND	   2	  /* at the earliest: many scenarios are proved by DPOR before */
#define RUNS_IN_REACH	   150000 /* DPOR goes on alone while it looks as if it were done with so many */
#define PIECES		   128
#define FIRST_RUNS	   1024
#define ROUND_RUNS	   65536 /* of all items of trees together, about; grows with the rounds */
#define LEAST_RUNS	   32
#define MOST_RUNS	   4096

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#define NO_END (1ull << 40)

/* Runs first to first + runs - 1. */
static void add_random(struct plan *p, uint64_t depth, uint64_t first, uint64_t runs)
{
	unsigned pieces = runs < RANDOM_PIECES * RANDOM_LEAST ? 1 : RANDOM_PIECES;

	for (unsigned i = 0; i < pieces; i++) {
		struct plan_item *it = plan_add_item(p);

		it->kind = ITEM_RANDOM;
		it->depth = depth;
		it->seed = p->o.mode == SEARCH_PORTFOLIO ? p->o.seed + depth : p->o.seed;
		it->first = first + runs * i / pieces;
		it->runs = first + runs * (i + 1) / pieces - it->first;
		it->vertex = NO_VERTEX;
	}
}

static void add_serial(struct plan *p)
{
	struct plan_item *it = plan_add_item(p);

	it->kind = ITEM_SERIAL;
	it->vertex = NO_VERTEX;
}

void plan_add_branch(struct plan *p, uint64_t tree, uint32_t vertex, uint32_t take, uint32_t asleep,
		     uint64_t weight)
{
	struct plan_item *it = plan_add_item(p);

	it->kind = ITEM_TREE;
	it->tree = tree;
	it->vertex = vertex;
	it->take = take;
	it->asleep = asleep;
	it->weight = weight;
}

static void add_tree(struct plan *p, enum tree_kind kind, unsigned bound)
{
	if (p->nr_trees == PLAN_TREES)
		return;
	p->tree[p->nr_trees] = (struct plan_tree){.kind = kind, .bound = bound};
	plan_add_branch(p, p->nr_trees++, NO_VERTEX, 0, 0, WHOLE_TREE);
}

static uint64_t random_runs(const struct plan *p, uint64_t length)
{
	uint64_t runs = p->o.runs ? p->o.runs : RANDOM_RUNS;

	if (length && runs > RANDOM_EVENTS / length)
		runs = RANDOM_EVENTS / length;
	if (runs < RANDOM_LEAST && (!p->o.runs || p->o.runs >= RANDOM_LEAST))
		runs = RANDOM_LEAST;
	return runs;
}

static void add_first(struct plan *p)
{
	uint64_t runs = p->o.runs ? p->o.runs : RANDOM_RUNS;

	switch (p->o.mode) {
	case SEARCH_PORTFOLIO:
		add_serial(p);
		add_random(p, 0, 0, least(RANDOM_FIRST, runs));
		add_random(p, RANDOM_FIRST_DEPTH, 0, least(RANDOM_FIRST, runs));
		add_tree(p, TREE_DPOR, 0);
		break;
	case SEARCH_SERIAL:
		add_serial(p);
		break;
	case SEARCH_RANDOM:
		add_random(p, 0, 0, runs);
		break;
	case SEARCH_PCT:
		add_random(p, p->o.bound ? p->o.bound : 1, 0, runs);
		break;
	case SEARCH_PREEMPTIONS:
		add_tree(p, TREE_PREEMPTIONS, p->o.bound);
		break;
	case SEARCH_DELAYS:
		add_tree(p, TREE_DELAYS, p->o.bound);
		break;
	case SEARCH_DPOR:
		add_tree(p, TREE_DPOR, 0);
		break;
	case SEARCH_NAIVE:
		add_tree(p, TREE_NAIVE, 0);
		break;
	}
}

/* The share is an estimate, and a bold one early on; as it is 1 at most, this ends. */
static bool proof_in_reach(const struct plan *p)
{
	return p->tree[0].account.runs < RUNS_IN_REACH * plan_share(p, 0);
}

/*
 * DPOR alone is not enough: what else the portfolio has. Bounds come when DPOR is far from its end, one when the one before is
 * exhausted.
 */
void plan_add_more(struct plan *p)
{
	const struct plan_tree *last = &p->tree[p->nr_trees - 1];

	if (p->o.mode != SEARCH_PORTFOLIO)
		return;
	if (p->round == SAMPLING_ROUND) {
		uint64_t runs = random_runs(p, p->tree[0].account.max_events);

		for (unsigned depth = 0; depth <= PCT_DEPTH; depth++)
			add_random(p, depth, RANDOM_FIRST, runs);
	}
	if (p->nr_trees == 1 && p->round >= BOUNDS_ROUND && !proof_in_reach(p))
		add_tree(p, TREE_PREEMPTIONS, 0);
	else if (p->nr_trees > 1 && last->state == TREE_EXHAUSTED && !last->account.limit_hit)
		add_tree(p, TREE_PREEMPTIONS, last->bound + 1);
}

/* Whether something is done for that tree in this round: DPOR waits for the first bounds. */
static bool has_turn(const struct plan *p, unsigned tree)
{
	const struct plan_tree *last = &p->tree[p->nr_trees - 1];

	if (p->tree[tree].state != TREE_OPEN)
		return false;
	return tree == p->nr_trees - 1u || last->state != TREE_OPEN || last->bound >= EASY_BOUNDS;
}

/* Gives the items of a tree what they may do; those that get nothing rest until a later round. */
static void allow(struct plan *p, unsigned tree, uint64_t allowance)
{
	uint64_t nr = 0, runs;

	for (uint32_t i = 0; i < p->nr_items; i++)
		nr += p->item[i].kind == ITEM_TREE && p->item[i].tree == tree;
	runs = allowance / (nr ? nr : 1);
	runs = runs < LEAST_RUNS ? LEAST_RUNS : runs > MOST_RUNS ? MOST_RUNS : runs;
	/* Every interleaving comes to the same classes again and again, which only one set can count: it is one item to its end. */
	if (p->tree[tree].kind == TREE_NAIVE)
		runs = allowance = NO_END;
	for (uint32_t i = 0; i < p->nr_items; i++) {
		struct plan_item *it = &p->item[i];

		if (it->kind != ITEM_TREE || it->tree != tree)
			continue;
		it->runs = allowance ? runs : 0;
		allowance -= least(allowance, runs);
	}
}

void plan_arrange(struct plan *p)
{
	struct plan_item *in_order = memory_get(p->nr_items * sizeof(*in_order));
	uint64_t allowance = p->round ? ROUND_RUNS * (1 + p->round / 2) : FIRST_RUNS;
	uint32_t n = 0, turns = 0;

	for (unsigned i = 0; i < p->nr_trees; i++)
		turns += has_turn(p, i);
	for (unsigned i = 0; i < p->nr_trees; i++)
		allow(p, i, has_turn(p, i) ? allowance / turns : 0);
	/* Sampling first: it finds early. */
	for (uint32_t i = 0; i < p->nr_items; i++)
		if (p->item[i].kind != ITEM_TREE)
			in_order[n++] = p->item[i];
	for (uint32_t i = 0; i < p->nr_items; i++)
		if (p->item[i].kind == ITEM_TREE && p->item[i].runs)
			in_order[n++] = p->item[i];
	p->nr_active = n;
	for (uint32_t i = 0; i < p->nr_items; i++)
		if (!p->item[i].runs && p->item[i].kind == ITEM_TREE)
			in_order[n++] = p->item[i];
	free(p->item);
	p->item = in_order;
	p->item_room = p->nr_items;
}

size_t plan_pieces(size_t nr_active)
{
	return nr_active < PIECES ? nr_active : PIECES;
}

bool plan_piece(size_t nr_active, size_t piece, size_t *first, size_t *end)
{
	size_t pieces = plan_pieces(nr_active);

	if (piece >= pieces)
		return false;
	*first = nr_active * piece / pieces;
	*end = nr_active * (piece + 1) / pieces;
	return true;
}

char *part_plan(const struct search_options *o)
{
	struct plan p = {.o = *o};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	add_first(&p);
	plan_arrange(&p);
	plan_print(out, &p);
	fclose(out);
	plan_free(&p);
	return text;
}

size_t part_items(const char *plan, unsigned *round)
{
	struct plan p;
	size_t n;

	if (!plan_parse(&p, plan))
		return 0;
	n = plan_pieces(p.nr_active);
	if (round)
		*round = p.round;
	plan_free(&p);
	return n;
}
