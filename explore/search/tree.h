/* SPDX-License-Identifier: MIT */
/*
 * The tree of decisions of a scenario, walked depth first: what is on the stack is the path to the execution at hand, and in each
 * node which of its branches were tried and which are still to be. A node is a point (which fiber goes on) or a choice (which
 * value). The next execution goes the path again from the last checkpoint on it (engine/checkpoint.c), or from the start.
 */
#ifndef ANYKVM_EXPLORE_TREE_H
#define ANYKVM_EXPLORE_TREE_H

#include "search/schedule.h"

enum tree_kind {
	TREE_DPOR,	  /* branches are added by races (race.c); sleeping fibers are left out */
	TREE_NAIVE,	  /* every fiber at every point */
	TREE_PREEMPTIONS, /* paths with at most bound switches away from a fiber that could go on */
	TREE_DELAYS,	  /* paths with at most bound fibers passed over in the round-robin order */
};

#define NO_STEP (~0u) /* before the first event; + 1 is 0 */

struct node {
	uint32_t enabled; /* fibers that could go on; of a choice: how many values */
	uint32_t todo;	  /* branches wanted, those tried included */
	uint32_t done;	  /* tried before the one taken */
	uint32_t
		sleep; /* fibers whose next step leads only to what was seen in branches tried before */
	uint32_t step; /* events before it; of a choice: number of the event it is part of */
	uint32_t used; /* preemptions or delays before it */
	int before;    /* fiber of the event before */
	int taken;     /* fiber or value */
	bool choice;
};

/* A race whose first event lies above the root of a part: one of these fibers must be tried at that node. */
struct need {
	uint32_t node;
	uint32_t fibers;
	bool all; /* each of them */
};

/* Where a part of a tree begins. Zero: at the top. */
struct tree_root {
	uint32_t nodes;	      /* length of the path to it */
	struct schedule path; /* that path, as departures from the default */
	uint32_t
		asleep; /* at the last node of the path: sleeping, or tried before the branch that the path takes */
};

struct tree {
	struct strategy strategy; /* must be first */
	enum tree_kind kind;
	unsigned bound;
	struct tree_root root;
	struct node *node;
	uint32_t nr, room;
	uint32_t *at_step; /* index of the node of each event */
	uint32_t at_room;
	/* of the execution under way */
	uint32_t pos;
	uint32_t fresh; /* events from here on were not in the execution before */
	uint32_t step;
	uint32_t nr_choices, deviation; /* while the path to the root is made */
	uint32_t sleep;
	/* Checkpoints of the execution before that the next may go on from: where they are in the path. */
	struct tree_checkpoint {
		uint32_t pos, step, nr_choices;
	} * checkpoint;
	uint32_t nr_checkpoints, checkpoint_room;
	bool exhausted;
	bool limit_hit; /* an execution was cut short: kept by whoever runs them */
	bool diverged;	/* the code did not do again what it did before */
	/* positions of each fiber's events, for race.c */
	struct {
		uint32_t *at, nr, room;
	} fiber[MAX_FIBERS];
	struct need *need;
	uint32_t nr_needs, need_room;
};

void tree_init(struct tree *t, enum tree_kind kind, unsigned bound, const struct tree_root *root);
void tree_free(struct tree *t);
/* Gets ready for the execution of the present path by sc: from the last checkpoint on it that is left, or from the setup. */
void tree_begin(struct tree *t, const struct explore_scenario *sc);
/* After it: learns from its races. */
void tree_learn(struct tree *t, const struct execution *x);
/* Moves on to the next path; false: there is none left, t is exhausted. */
bool tree_next(struct tree *t);
/* The choices made in the execution that just ended. malloc'ed. */
unsigned *tree_choices(const struct tree *t, uint32_t *nr);
/* What made it. malloc'ed. */
struct schedule tree_schedule(const struct tree *t, const struct execution *x);
/* Estimated share of the tree that is behind us, 0 to 1: each branch of a node counts the same. */
double tree_done(const struct tree *t);

/* Who is asleep in a branch of n that is tried after those in tried. */
uint32_t tree_asleep(enum tree_kind kind, const struct node *n, uint32_t tried);

/* race.c */
void tree_add_races(struct tree *t, const struct execution *x);

#endif
