/* SPDX-License-Identifier: MIT */
/*
 * Intrusive interval tree of half-open ranges [start, end) of u64, ordered by start (equal starts: insertion order). With
 * disjoint ranges it is an ordered map (itree_find); ranges may also overlap (itree_first_overlap). O(log n) expected: a treap
 * whose priorities come from a mixed node address. No locking, no allocation. Empty ranges are not allowed.
 */
#ifndef ANYKVM_BASE_ITREE_H
#define ANYKVM_BASE_ITREE_H

#include "base/types.h"

struct itree_node {
	struct itree_node *parent, *left, *right;
	u64 start, end;
	u64 max_end; /* largest end in the subtree */
};

struct itree {
	struct itree_node *root;
	u64 nr;
};

static inline void itree_init(struct itree *t)
{
	t->root = NULL;
	t->nr = 0;
}
static inline bool itree_empty(const struct itree *t)
{
	return !t->root;
}
void itree_insert(struct itree *t, struct itree_node *n, u64 start, u64 end);
void itree_remove(struct itree *t, struct itree_node *n);

/* In order of start; NULL at the end. */
struct itree_node *itree_first(const struct itree *t);
struct itree_node *itree_last(const struct itree *t);
struct itree_node *itree_next(const struct itree_node *n);
struct itree_node *itree_prev(const struct itree_node *n);

/* Only for trees of disjoint ranges: the node that holds point, or NULL. */
struct itree_node *itree_find(const struct itree *t, u64 point);
/* The last node with start <= point, or NULL. */
struct itree_node *itree_floor(const struct itree *t, u64 point);

/* Nodes that overlap [start, end), by start. */
struct itree_node *itree_first_overlap(const struct itree *t, u64 start, u64 end);
struct itree_node *itree_next_overlap(const struct itree_node *n, u64 start, u64 end);

#define itree_for_each(pos, t) for (pos = itree_first(t); pos; pos = itree_next(pos))
#define itree_for_each_overlap(pos, t, s, e) \
	for (pos = itree_first_overlap(t, s, e); pos; pos = itree_next_overlap(pos, s, e))

#endif
