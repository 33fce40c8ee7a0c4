/* SPDX-License-Identifier: MIT */
/* Interval tree as a treap: see itree.h. */
#include "base/bug.h"
#include "base/hash.h"
#include "base/itree.h"

/* A heap order that has nothing to do with the keys keeps the tree shallow. */
static u64 priority(const struct itree_node *n)
{
	return hash_u64((uintptr_t)n);
}

static void update(struct itree_node *n)
{
	n->max_end = n->end;
	if (n->left && n->left->max_end > n->max_end)
		n->max_end = n->left->max_end;
	if (n->right && n->right->max_end > n->max_end)
		n->max_end = n->right->max_end;
}

static void update_up(struct itree_node *n)
{
	for (; n; n = n->parent)
		update(n);
}

static void replace_child(struct itree *t, struct itree_node *parent, struct itree_node *old,
			  struct itree_node *new)
{
	if (!parent)
		t->root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

/* Turns n above its parent. */
static void rotate_up(struct itree *t, struct itree_node *n)
{
	struct itree_node *p = n->parent, *grand = p->parent;

	if (p->left == n) {
		p->left = n->right;
		if (p->left)
			p->left->parent = p;
		n->right = p;
	} else {
		p->right = n->left;
		if (p->right)
			p->right->parent = p;
		n->left = p;
	}
	replace_child(t, grand, p, n);
	p->parent = n;
	update(p);
	update(n);
}

void itree_insert(struct itree *t, struct itree_node *n, u64 start, u64 end)
{
	struct itree_node *p = NULL, **link = &t->root;

	BUG_ON(start >= end);
	while (*link) {
		p = *link;
		link = start < p->start ? &p->left : &p->right;
	}
	*n = (struct itree_node){.parent = p, .start = start, .end = end, .max_end = end};
	*link = n;
	t->nr++;
	update_up(p);
	while (n->parent && priority(n) > priority(n->parent))
		rotate_up(t, n);
}

void itree_remove(struct itree *t, struct itree_node *n)
{
	struct itree_node *parent;

	while (n->left && n->right)
		rotate_up(t, priority(n->left) > priority(n->right) ? n->left : n->right);
	parent = n->parent;
	replace_child(t, parent, n, n->left ? n->left : n->right);
	update_up(parent);
	n->parent = n->left = n->right = NULL;
	t->nr--;
}

static struct itree_node *leftmost(struct itree_node *n)
{
	while (n && n->left)
		n = n->left;
	return n;
}

static struct itree_node *rightmost(struct itree_node *n)
{
	while (n && n->right)
		n = n->right;
	return n;
}

struct itree_node *itree_first(const struct itree *t)
{
	return leftmost(t->root);
}

struct itree_node *itree_last(const struct itree *t)
{
	return rightmost(t->root);
}

struct itree_node *itree_next(const struct itree_node *n)
{
	if (n->right)
		return leftmost(n->right);
	while (n->parent && n->parent->right == n)
		n = n->parent;
	return n->parent;
}

struct itree_node *itree_prev(const struct itree_node *n)
{
	if (n->left)
		return rightmost(n->left);
	while (n->parent && n->parent->left == n)
		n = n->parent;
	return n->parent;
}

struct itree_node *itree_floor(const struct itree *t, u64 point)
{
	struct itree_node *n = t->root, *best = NULL;

	while (n) {
		if (n->start <= point) {
			best = n;
			n = n->right;
		} else {
			n = n->left;
		}
	}
	return best;
}

struct itree_node *itree_find(const struct itree *t, u64 point)
{
	struct itree_node *n = itree_floor(t, point);

	return n && point < n->end ? n : NULL;
}

/* The first node of the subtree, by start, that overlaps [start, end). */
static struct itree_node *subtree_first_overlap(struct itree_node *n, u64 start, u64 end)
{
	while (n && n->max_end > start) {
		if (n->left && n->left->max_end > start) {
			/*
			 * The left subtree has an end beyond start. If that node begins at or after end, so does everything
			 * to the right of it, n included: the answer is in the left subtree or nowhere.
			 */
			n = n->left;
			continue;
		}
		if (n->start >= end)
			return NULL;
		if (n->end > start)
			return n;
		n = n->right;
	}
	return NULL;
}

struct itree_node *itree_first_overlap(const struct itree *t, u64 start, u64 end)
{
	return start < end ? subtree_first_overlap(t->root, start, end) : NULL;
}

struct itree_node *itree_next_overlap(const struct itree_node *n, u64 start, u64 end)
{
	struct itree_node *found;

	for (;;) {
		found = subtree_first_overlap(n->right, start, end);
		if (found)
			return found;
		while (n->parent && n->parent->right == n)
			n = n->parent;
		n = n->parent;
		if (!n || n->start >= end)
			return NULL;
		if (n->end > start)
			return (struct itree_node *)n;
	}
}
