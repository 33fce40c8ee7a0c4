/* SPDX-License-Identifier: MIT */
/* A round of a search in parts, in memory and as text (part.h says what it is for). */
#ifndef ANYKVM_EXPLORE_PLAN_H
#define ANYKVM_EXPLORE_PLAN_H

#include <stdio.h>

#include "search/search.h"
#include "search/tree.h"

#define PLAN_TREES   64
#define WHOLE_TREE   (1ull << 56) /* weight of all of a tree */
#define NO_VERTEX    (~0u)
#define MAX_VERTICES (1u << 28)

struct account {
	uint64_t runs, abandoned, events, classes, classes_hash, max_events, limit_hit;
};

enum tree_state { TREE_OPEN, TREE_EXHAUSTED, TREE_STOPPED };

struct plan_tree {
	unsigned kind, bound, state;
	uint64_t finished; /* weight of what is behind us */
	struct account account;
};

/* A node that some item lies below, or did in this round: races may still add branches to it. */
struct vertex {
	uint32_t parent; /* NO_VERTEX: the top of its tree */
	uint32_t depth;	 /* nodes above it */
	uint32_t take;	 /* the parent's branch that it is reached by */
	uint32_t enabled, todo, sleep, step;
	uint32_t before; /* fiber, MAX_FIBERS: none */
	uint32_t choice;
	uint64_t weight; /* of each branch */
	uint32_t kept;	 /* not text: in the next plan under this number */
};

enum item_kind { ITEM_SERIAL, ITEM_RANDOM, ITEM_TREE, NR_ITEM_KINDS };

struct plan_item {
	unsigned kind;
	/* random: depth 0, PCT: its depth */
	uint64_t depth, seed, first, runs; /* tree: at most that many runs, too */
	/* tree: branch take of vertex (NO_VERTEX: all of the tree) */
	uint64_t tree, vertex, take, asleep, weight;
	/* found again from the vertices */
	struct tree_root root;
};

struct plan {
	unsigned round;
	struct search_options o; /* mode, bound, seed, runs */
	struct account account;	 /* of what is no tree */
	struct plan_tree tree[PLAN_TREES];
	unsigned nr_trees;
	struct plan_item *item;
	uint32_t nr_items, item_room;
	uint32_t nr_active; /* the first of them: to be done in this round; the others rest */
	struct vertex *vertex;
	uint32_t nr_vertices, vertex_room;
};

void plan_free(struct plan *p);
struct plan_item *plan_add_item(struct plan *p);
uint32_t plan_add_vertex(struct plan *p, const struct vertex *v);
/* An item for branch take of vertex, with what is asleep in it. */
void plan_add_branch(struct plan *p, uint64_t tree, uint32_t vertex, uint32_t take, uint32_t asleep,
		     uint64_t weight);
/* A new round's items that no result asked for. */
void plan_add_more(struct plan *p);
/* Puts the items in order and says how much each may do. */
void plan_arrange(struct plan *p);
/* The items of a piece of work: from *first up to *end. False: there is no such piece. */
bool plan_piece(size_t nr_active, size_t piece, size_t *first, size_t *end);
size_t plan_pieces(size_t nr_active);

/* Share of a tree that no item is left for, estimated. */
double plan_share(const struct plan *p, unsigned tree);

void plan_print(FILE *out, struct plan *p);
bool plan_parse(struct plan *p, const char *text);
/* Only what is needed to do these items. */
bool plan_parse_items(struct plan *p, const char *text, size_t first, size_t end);
/* How many there are to do; 0: text is no plan. */
size_t plan_count(const char *text);
uint64_t plan_hash(const char *text);

void account_print(FILE *out, const struct account *a);
void account_add(struct account *to, const struct account *a);

/* ---- words of a line, which are all numbers but the first ---- */
struct scanner {
	const char *at;
	bool ok;
};
/* The next line begins with that word and a space: goes behind both. */
bool scan_word(struct scanner *s, const char *word);
uint64_t scan_number(struct scanner *s);
void scan_account(struct scanner *s, struct account *a);
/* To the start of the next line; false: there is none. */
bool scan_line(struct scanner *s);

#endif
