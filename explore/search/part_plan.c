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
#define EASY_BOUNDS	   3 /* 0, 1, 2 are walked side by side */
#define SAMPLING_ROUND	   1
#define BOUNDS_ROUND	   2 /* many scenarios are proved by DPOR before */
#define PIECES		   128
#define FIRST_RUNS	   1024
/* Of all items of trees together, about; twice as many in each round, but not more often than that. */
#define ROUND_RUNS     16384
#define MOST_DOUBLINGS 5
#define LEAST_RUNS     32
#define MOST_RUNS      4096

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

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

/* DPOR alone is not enough: what else the portfolio has. */
void plan_add_more(struct plan *p)
{
	unsigned last = p->nr_trees - 1;

	if (p->o.mode != SEARCH_PORTFOLIO)
		return;
	if (p->round == SAMPLING_ROUND) {
		uint64_t runs = random_runs(p, p->tree[0].account.max_events);

		for (unsigned depth = 0; depth <= PCT_DEPTH; depth++)
			add_random(p, depth, RANDOM_FIRST, runs);
	}
	if (p->round < BOUNDS_ROUND)
		return;
	if (p->round == BOUNDS_ROUND) {
		for (unsigned bound = 0; bound < EASY_BOUNDS; bound++)
			add_tree(p, TREE_PREEMPTIONS, bound);
		return;
	}
	for (unsigned i = 1; i <= last; i++)
		if (p->tree[i].state != TREE_EXHAUSTED || p->tree[i].account.limit_hit)
			return;
	add_tree(p, TREE_PREEMPTIONS, p->tree[last].bound + 1);
}

void plan_arrange(struct plan *p)
{
	uint32_t samples = 0, trees = 0;
	struct plan_item *in_order = memory_get(p->nr_items * sizeof(*in_order));
	uint64_t runs;

	for (uint32_t i = 0; i < p->nr_items; i++)
		samples += p->item[i].kind != ITEM_TREE;
	trees = p->nr_items - samples;
	runs = ROUND_RUNS << (p->round < MOST_DOUBLINGS ? p->round : MOST_DOUBLINGS);
	runs = p->round ? runs / (trees ? trees : 1) : FIRST_RUNS;
	runs = runs < LEAST_RUNS ? LEAST_RUNS : runs > MOST_RUNS ? MOST_RUNS : runs;
	samples = trees = 0;
	/* Sampling first: it finds early. */
	for (uint32_t i = 0; i < p->nr_items; i++)
		if (p->item[i].kind != ITEM_TREE)
			in_order[samples++] = p->item[i];
	for (uint32_t i = 0; i < p->nr_items; i++) {
		if (p->item[i].kind != ITEM_TREE)
			continue;
		in_order[samples + trees] = p->item[i];
		in_order[samples + trees++].runs = runs;
	}
	free(p->item);
	p->item = in_order;
	p->item_room = p->nr_items;
}

size_t plan_pieces(size_t nr_items)
{
	return nr_items < PIECES ? nr_items : PIECES;
}

bool plan_piece(size_t nr_items, size_t piece, size_t *first, size_t *end)
{
	size_t pieces = plan_pieces(nr_items);

	if (piece >= pieces)
		return false;
	*first = nr_items * piece / pieces;
	*end = nr_items * (piece + 1) / pieces;
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
	n = plan_pieces(p.nr_items);
	if (round)
		*round = p.round;
	plan_free(&p);
	return n;
}
