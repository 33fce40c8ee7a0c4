/* SPDX-License-Identifier: MIT */
/*
 * Depth-first search of a tree of decisions, with the sleep sets of Godefroid and, for TREE_DPOR, the source sets of Abdulla, Aronis,
 * Jonsson and Sagonas.
 *
 * A sleep set holds fibers that need not go on here: what would come of it was seen in a branch tried before, because all that was
 * done since commutes with their next step. A fiber wakes when a step is done that does not commute with its own.
 *
 * With a bound on preemptions, leaving out an execution is right only if its equivalent that comes earlier in the walk needs no more
 * preemptions. That one has the sleeper's step moved to the end of the sleeper's block, right before the node at which it was tried
 * first. This costs nothing if (1) the sleeper had been the one that ran and so went on there for free, and (2) no switch between
 * was free because its fiber was blocked, since that fiber might not be so after the step. Hence only the fiber that ran is put to
 * sleep, and all wake up when a fiber blocks.
 */
#include "search/tree.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"

#define BIT(f) (1u << (f))
/* Between two checkpoints: about as many as one costs. */
#define STEPS_BETWEEN 4

static bool has(uint32_t set, int f)
{
	return f >= 0 && set & BIT(f);
}

static int lowest(uint32_t set)
{
	return __builtin_ctz(set);
}

/* Preemptions or delays that it costs to let f go on at n. */
static uint32_t cost(const struct tree *t, const struct node *n, int f)
{
	uint32_t above, passed;
	int from = n->before == NO_FIBER ? 0 : n->before;

	if (t->kind == TREE_PREEMPTIONS)
		return has(n->enabled, n->before) && f != n->before;
	if (t->kind != TREE_DELAYS)
		return 0;
	/* Those from the one that ran (included) on, and around, up to f. */
	above = n->enabled & ~(BIT(from) - 1);
	if (f >= from)
		passed = above & (BIT(f) - 1);
	else
		passed = above | (n->enabled & (BIT(f) - 1));
	return __builtin_popcount(passed);
}

static uint32_t affordable(const struct tree *t, const struct node *n)
{
	uint32_t set = 0;

	if (t->kind == TREE_NAIVE)
		return n->enabled;
	for (uint32_t left = n->enabled; left; left &= left - 1)
		if (n->used + cost(t, n, lowest(left)) <= t->bound)
			set |= BIT(lowest(left));
	return set;
}

static struct node *push(struct tree *t)
{
	struct node *n;

	if (t->nr == t->room)
		t->node = memory_grow(t->node, &t->room, sizeof(*t->node));
	n = &t->node[t->nr++];
	memset(n, 0, sizeof(*n));
	n->before = n->taken = NO_FIBER;
	return n;
}

/* What the path to the root has here, or otherwise. */
static uint32_t path_take(struct tree *t, bool choice, uint32_t at, uint32_t otherwise)
{
	const struct schedule *path = &t->root.path;

	for (uint32_t i = 0; i < path->nr; i++)
		if (path->deviation[i].choice == choice && path->deviation[i].at == at)
			return path->deviation[i].take;
	return otherwise;
}

/* The branch to try first of set: whoever runs goes on. */
static int prefer(const struct tree *t, const struct node *n, uint32_t set)
{
	uint32_t behind;

	if (has(set, n->before))
		return n->before;
	behind = t->kind == TREE_DELAYS && n->before != NO_FIBER ? set & ~(BIT(n->before) - 1) : 0;
	return lowest(behind ? behind : set);
}

/* A node of the path to the root: other parts see to its other branches. */
static void fill_path(struct tree *t, struct node *n, const struct point *p)
{
	n->taken = path_take(t, false, p->step,
			     has(n->enabled, n->before) ? n->before : lowest(n->enabled));
	if (!has(n->enabled, n->taken)) {
		t->diverged = true;
		n->taken = NO_FIBER;
		return;
	}
	n->todo = BIT(n->taken);
	if (t->nr < t->root.nodes)
		return;
	n->sleep = t->root.asleep & ~n->todo;
	t->fresh = p->step;
}

static void fill_node(struct tree *t, struct node *n, const struct point *p)
{
	const struct node *above = t->nr > 1 ? n - 1 : NULL;
	uint32_t awake;

	n->enabled = p->enabled;
	n->before = p->current;
	n->step = p->step;
	if (above)
		n->used = above->used + (above->choice ? 0 : cost(t, above, above->taken));
	if (t->nr <= t->root.nodes) {
		fill_path(t, n, p);
		return;
	}
	n->sleep = t->sleep;
	if (t->kind == TREE_PREEMPTIONS && p->current != NO_FIBER && !has(p->enabled, p->current) &&
	    p->pending[p->current].kind != OP_NONE)
		n->sleep = 0;
	n->todo = t->kind == TREE_DPOR ? n->enabled : affordable(t, n);
	awake = n->todo & ~n->sleep;
	if (!awake)
		return;
	n->taken = prefer(t, n, awake);
	if (t->kind == TREE_DPOR)
		n->todo = BIT(n->taken);
}

uint32_t tree_asleep(enum tree_kind kind, const struct node *n, uint32_t tried)
{
	if (kind == TREE_NAIVE || kind == TREE_DELAYS || n->choice)
		return n->sleep;
	if (kind == TREE_PREEMPTIONS)
		tried &= has(n->enabled, n->before) ? BIT(n->before) : 0;
	return n->sleep | tried;
}

/* Those of them that still do after the step that p->pending says. */
static uint32_t asleep_after(const struct tree *t, const struct node *n, const struct point *p)
{
	uint32_t set = tree_asleep(t->kind, n, n->done) & ~BIT(n->taken);

	for (uint32_t left = set; left; left &= left - 1)
		if (op_dependent(&p->pending[n->taken], &p->pending[lowest(left)]))
			set &= ~BIT(lowest(left));
	return set;
}

static void note_step(struct tree *t, uint32_t step, uint32_t node)
{
	while (step >= t->at_room)
		t->at_step = memory_grow(t->at_step, &t->at_room, sizeof(*t->at_step));
	t->at_step[step] = node;
}

/* Branches of n that are to be tried after the one taken, as far as is known. */
static bool is_fork(const struct tree *t, const struct node *n)
{
	uint32_t tried = n->done | BIT(n->taken);

	/* Of these, races will tell. */
	if (t->kind == TREE_DPOR)
		return n->enabled & ~n->sleep & ~tried;
	return n->todo & ~n->sleep & ~tried;
}

/* Whether it is worth its price to be able to go back to node n, the one at pos. */
static bool wants_checkpoint(const struct tree *t, const struct node *n, const struct point *p)
{
	const struct tree_checkpoint *last =
		t->nr_checkpoints ? &t->checkpoint[t->nr_checkpoints - 1] : NULL;

	if (!last)
		return !p->step;
	return t->pos + 1 >= t->nr && p->step - last->step >= STEPS_BETWEEN && is_fork(t, n);
}

static void note_checkpoint(struct tree *t, const struct point *p)
{
	/* One that the engine did not make. */
	t->nr_checkpoints = engine_checkpoints();
	if (t->nr_checkpoints == t->checkpoint_room)
		t->checkpoint =
			memory_grow(t->checkpoint, &t->checkpoint_room, sizeof(*t->checkpoint));
	t->checkpoint[t->nr_checkpoints++] = (struct tree_checkpoint){
		.pos = t->pos, .step = p->step, .nr_choices = t->nr_choices};
	t->strategy.checkpoint = true;
}

static int tree_pick(struct strategy *s, const struct point *p)
{
	struct tree *t = (struct tree *)s;
	struct node *n;

	t->step = p->step;
	if (t->pos < t->nr) {
		n = &t->node[t->pos];
		t->diverged |= n->choice || n->step != p->step || n->enabled != p->enabled;
		if (t->diverged)
			return NO_FIBER;
	} else {
		n = push(t);
		fill_node(t, n, p);
		note_step(t, p->step, t->nr - 1);
		if (n->taken == NO_FIBER) {
			t->nr--;
			return NO_FIBER;
		}
	}
	if (wants_checkpoint(t, n, p))
		note_checkpoint(t, p);
	if (++t->pos == t->nr)
		t->sleep = asleep_after(t, n, p);
	return n->taken;
}

static unsigned tree_choose(struct strategy *s, unsigned values, bool fault, const char *what)
{
	struct tree *t = (struct tree *)s;
	struct node *n;

	(void)fault;
	(void)what;
	if (t->pos < t->nr) {
		n = &t->node[t->pos];
		t->diverged |= !n->choice || n->enabled != values;
	} else {
		n = push(t);
		n->choice = true;
		n->enabled = values;
		n->step = t->step;
		n->taken = 0;
		n->sleep = t->sleep;
		if (t->nr > 1)
			n->used = n[-1].used + (n[-1].choice ? 0 : cost(t, n - 1, n[-1].taken));
		if (t->nr <= t->root.nodes)
			n->taken = path_take(t, true, t->nr_choices, 0);
		if (t->nr == t->root.nodes) {
			n->sleep = t->root.asleep;
			t->fresh = n->step + 1;
		}
	}
	t->nr_choices++;
	if (++t->pos == t->nr)
		t->sleep = n->sleep;
	return t->diverged ? 0 : n->taken;
}

void tree_init(struct tree *t, enum tree_kind kind, unsigned bound, const struct tree_root *root)
{
	memset(t, 0, sizeof(*t));
	t->kind = kind;
	t->bound = bound;
	if (root) {
		t->root = *root;
		t->root.path = schedule_copy(&root->path);
	}
	t->strategy.pick = tree_pick;
	t->strategy.choose = tree_choose;
	t->strategy.wants_order = kind == TREE_DPOR;
}

void tree_free(struct tree *t)
{
	for (int f = 0; f < MAX_FIBERS; f++)
		free(t->fiber[f].at);
	schedule_free(&t->root.path);
	free(t->node);
	free(t->at_step);
	free(t->need);
	free(t->checkpoint);
	memset(t, 0, sizeof(*t));
}

void tree_begin(struct tree *t, const struct explore_scenario *sc)
{
	const struct node *last = t->nr ? &t->node[t->nr - 1] : NULL;
	const struct tree_checkpoint *from;

	t->pos = t->nr_choices = t->sleep = 0;
	t->step = NO_STEP;
	t->fresh = !last ? 0 : last->step + last->choice;
	/* All nodes but the last are as they were. */
	while (t->nr_checkpoints && t->checkpoint[t->nr_checkpoints - 1].pos >= t->nr)
		t->nr_checkpoints--;
	if (!t->nr_checkpoints || !engine_resume(sc, &t->strategy, t->nr_checkpoints - 1)) {
		t->nr_checkpoints = 0;
		return;
	}
	from = &t->checkpoint[t->nr_checkpoints - 1];
	t->pos = from->pos;
	t->nr_choices = from->nr_choices;
}

void tree_learn(struct tree *t, const struct execution *x)
{
	if (t->kind == TREE_DPOR)
		tree_add_races(t, x);
}

static bool take_next(const struct tree *t, struct node *n)
{
	uint32_t left;

	if (n->choice)
		return (uint32_t)++n->taken < n->enabled;
	n->done |= BIT(n->taken);
	left = n->todo & ~n->done & ~n->sleep;
	if (!left)
		return false;
	n->taken = prefer(t, n, left);
	return true;
}

bool tree_next(struct tree *t)
{
	while (t->nr > t->root.nodes) {
		if (take_next(t, &t->node[t->nr - 1]))
			return true;
		t->nr--;
	}
	t->exhausted = true;
	return false;
}

double tree_done(const struct tree *t)
{
	double share = 0, weight = 1;

	for (uint32_t i = t->root.nodes; i < t->nr; i++) {
		const struct node *n = &t->node[i];
		int branches =
			n->choice ? (int)n->enabled : __builtin_popcount(n->todo & ~n->sleep);
		int tried = n->choice ? n->taken : __builtin_popcount(n->done & ~n->sleep);

		share += weight * tried / branches;
		weight /= branches;
	}
	return share;
}

unsigned *tree_choices(const struct tree *t, uint32_t *nr)
{
	unsigned *choice = memory_get(t->pos * sizeof(*choice));

	*nr = 0;
	for (uint32_t i = 0; i < t->pos; i++)
		if (t->node[i].choice)
			choice[(*nr)++] = t->node[i].taken;
	return choice;
}

struct schedule tree_schedule(const struct tree *t, const struct execution *x)
{
	uint32_t nr;
	unsigned *choice = tree_choices(t, &nr);
	struct schedule s = schedule_of(x, choice, nr);

	free(choice);
	return s;
}
