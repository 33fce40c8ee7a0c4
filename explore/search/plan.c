/* SPDX-License-Identifier: MIT */
/*
 * Plans as text: a line for each tree, item and vertex. Items come before vertices and have their paths in full, so that doing one
 * needs no more than its line; vertices are for whoever unites the results.
 */
#include "search/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search/memory.h"

#define HEAD "explore-plan-1"

void plan_free(struct plan *p)
{
	for (uint32_t i = 0; i < p->nr_items; i++)
		schedule_free(&p->item[i].root.path);
	free(p->item);
	free(p->vertex);
	memset(p, 0, sizeof(*p));
}

struct plan_item *plan_add_item(struct plan *p)
{
	struct plan_item *it;

	if (p->nr_items == p->item_room)
		p->item = memory_grow(p->item, &p->item_room, sizeof(*p->item));
	it = &p->item[p->nr_items++];
	memset(it, 0, sizeof(*it));
	return it;
}

uint32_t plan_add_vertex(struct plan *p, const struct vertex *v)
{
	if (p->nr_vertices == p->vertex_room)
		p->vertex = memory_grow(p->vertex, &p->vertex_room, sizeof(*p->vertex));
	p->vertex[p->nr_vertices] = *v;
	return p->nr_vertices++;
}

void account_add(struct account *to, const struct account *a)
{
	to->runs += a->runs;
	to->abandoned += a->abandoned;
	to->events += a->events;
	to->classes += a->classes;
	to->classes_hash += a->classes_hash;
	to->max_events = a->max_events > to->max_events ? a->max_events : to->max_events;
	to->limit_hit |= a->limit_hit;
}

uint64_t plan_hash(const char *text)
{
	size_t left = strlen(text);
	uint64_t h = 0xcbf29ce484222325u ^ left;

	/* Eight bytes at a time, as each piece of work asks for it and plans are long. */
	while (left) {
		size_t n = left < 8 ? left : 8;
		uint64_t word = 0;

		memcpy(&word, text, n);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
		text += n;
		left -= n;
	}
	return h;
}

double plan_share(const struct plan *p, unsigned tree)
{
	uint64_t left = 0;

	if (p->tree[tree].state == TREE_EXHAUSTED)
		return 1;
	for (uint32_t i = 0; i < p->nr_items; i++)
		if (p->item[i].kind == ITEM_TREE && p->item[i].tree == tree)
			left += p->item[i].weight;
	return (double)p->tree[tree].finished / (p->tree[tree].finished + left + 1);
}

static int default_branch(const struct vertex *v)
{
	if (v->choice)
		return 0;
	return v->before < MAX_FIBERS && v->enabled & 1u << v->before ? (int)v->before
								      : __builtin_ctz(v->enabled);
}

/* The path to branch take of vertex v. */
static struct tree_root path_of(const struct plan *p, uint32_t v, uint32_t take)
{
	struct tree_root root = {0};
	uint32_t n, picks = 0, choices = 0, nr_choices = 0;
	struct deviation *d;

	if (v == NO_VERTEX)
		return root;
	root.nodes = n = p->vertex[v].depth + 1;
	/* From the end: picks to the front half, choices to the back half, each backwards. */
	d = memory_get(2 * n * sizeof(*d));
	for (; v != NO_VERTEX; take = p->vertex[v].take, v = p->vertex[v].parent) {
		const struct vertex *at = &p->vertex[v];
		bool departs = take != (uint32_t)default_branch(at);

		if (at->choice)
			nr_choices++;
		if (departs && at->choice)
			d[2 * n - ++choices] =
				(struct deviation){.at = nr_choices, .take = take, .choice = true};
		else if (departs)
			d[n - ++picks] = (struct deviation){.at = at->step, .take = take};
	}
	for (uint32_t i = 2 * n - choices; i < 2 * n; i++)
		d[i].at = nr_choices - d[i].at; /* counted from the first */
	memmove(d, d + n - picks, picks * sizeof(*d));
	memmove(d + picks, d + 2 * n - choices, choices * sizeof(*d));
	root.path = (struct schedule){.deviation = d, .nr = picks + choices};
	return root;
}

void account_print(FILE *out, const struct account *a)
{
	fprintf(out,
		" %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		"\n",
		a->runs, a->abandoned, a->events, a->classes, a->classes_hash, a->max_events,
		a->limit_hit);
}

static void print_item(FILE *out, const struct plan *p, const struct plan_item *it)
{
	fprintf(out, "item %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, it->kind, it->depth,
		it->seed, it->first, it->runs);
	if (it->kind == ITEM_TREE) {
		struct tree_root root = path_of(p, it->vertex, it->take);
		char nodes[16], *path;

		snprintf(nodes, sizeof(nodes), "%" PRIu32, root.nodes);
		path = schedule_format(nodes, &root.path);
		fprintf(out, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s",
			it->tree,
			(uint64_t)(it->vertex == NO_VERTEX ? NO_VERTEX
							   : p->vertex[it->vertex].kept),
			it->take, it->asleep, it->weight, path);
		free(path);
		schedule_free(&root.path);
	}
	fputc('\n', out);
}

/* Those with an item below them stay; they keep their order, parents first. */
static void number_vertices(struct plan *p)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < p->nr_vertices; i++)
		p->vertex[i].kept = NO_VERTEX;
	for (uint32_t i = 0; i < p->nr_items; i++) {
		uint32_t v = p->item[i].kind == ITEM_TREE ? p->item[i].vertex : NO_VERTEX;

		for (; v != NO_VERTEX && p->vertex[v].kept; v = p->vertex[v].parent)
			p->vertex[v].kept = 0;
	}
	for (uint32_t i = 0; i < p->nr_vertices; i++)
		if (p->vertex[i].kept != NO_VERTEX)
			p->vertex[i].kept = nr++;
}

static void print_vertex(FILE *out, const struct plan *p, const struct vertex *v)
{
	fprintf(out, "vertex %u %u %u %u %u %u %u %u %u %" PRIu64 "\n",
		v->parent == NO_VERTEX ? NO_VERTEX : p->vertex[v->parent].kept, v->depth, v->take,
		v->enabled, v->todo, v->sleep, v->step, v->before, v->choice, v->weight);
}

void plan_print(FILE *out, struct plan *p)
{
	number_vertices(p);
	fprintf(out, HEAD " %u %u %u %" PRIu64 " %" PRIu64 " %u %u\n", p->round, p->o.mode,
		p->o.bound, p->o.seed, p->o.runs, p->nr_items, p->nr_active);
	fprintf(out, "account");
	account_print(out, &p->account);
	for (unsigned i = 0; i < p->nr_trees; i++) {
		fprintf(out, "tree %u %u %u %" PRIu64, p->tree[i].kind, p->tree[i].bound,
			p->tree[i].state, p->tree[i].finished);
		account_print(out, &p->tree[i].account);
	}
	for (uint32_t i = 0; i < p->nr_items; i++)
		print_item(out, p, &p->item[i]);
	for (uint32_t i = 0; i < p->nr_vertices; i++)
		if (p->vertex[i].kept != NO_VERTEX)
			print_vertex(out, p, &p->vertex[i]);
}

bool scan_word(struct scanner *s, const char *word)
{
	size_t n = strlen(word);

	if (!s->ok || strncmp(s->at, word, n) || s->at[n] != ' ')
		return false;
	s->at += n;
	return true;
}

uint64_t scan_number(struct scanner *s)
{
	uint64_t v = 0;

	if (!s->ok || s->at[0] != ' ' || s->at[1] < '0' || s->at[1] > '9') {
		s->ok = false;
		return 0;
	}
	for (s->at++; *s->at >= '0' && *s->at <= '9'; s->at++)
		v = v * 10 + (*s->at - '0');
	return v;
}

void scan_account(struct scanner *s, struct account *a)
{
	a->runs = scan_number(s);
	a->abandoned = scan_number(s);
	a->events = scan_number(s);
	a->classes = scan_number(s);
	a->classes_hash = scan_number(s);
	a->max_events = scan_number(s);
	a->limit_hit = scan_number(s);
}

bool scan_line(struct scanner *s)
{
	const char *end = strchr(s->at, '\n');

	if (!end)
		s->ok = false;
	else
		s->at = end + 1;
	return s->ok && *s->at;
}

static bool scan_head(struct scanner *s, struct plan *p, uint64_t *items)
{
	memset(p, 0, sizeof(*p));
	if (!scan_word(s, HEAD))
		return false;
	p->round = scan_number(s);
	p->o.mode = scan_number(s);
	p->o.bound = scan_number(s);
	p->o.seed = scan_number(s);
	p->o.runs = scan_number(s);
	*items = scan_number(s);
	p->nr_active = scan_number(s);
	if (!scan_line(s) || !scan_word(s, "account"))
		return false;
	scan_account(s, &p->account);
	while (scan_line(s) && scan_word(s, "tree") && p->nr_trees < PLAN_TREES) {
		struct plan_tree *t = &p->tree[p->nr_trees++];

		t->kind = scan_number(s);
		t->bound = scan_number(s);
		t->state = scan_number(s);
		t->finished = scan_number(s);
		scan_account(s, &t->account);
	}
	return s->ok && p->o.mode <= SEARCH_NAIVE && p->nr_active <= *items;
}

static bool scan_path(struct scanner *s, struct tree_root *root)
{
	const char *end = strchr(s->at, '\n');
	char nodes[16], why[128], *text;
	bool ok;

	if (!s->ok || !end)
		return false;
	text = strndup(s->at + 1, end - s->at - 1);
	ok = text && schedule_parse(text, nodes, sizeof(nodes), &root->path, why, sizeof(why));
	if (ok)
		root->nodes = strtoul(nodes, NULL, 10);
	free(text);
	return ok;
}

static bool scan_item(struct scanner *s, const struct plan *p, struct plan_item *it)
{
	memset(it, 0, sizeof(*it));
	if (!scan_word(s, "item"))
		return false;
	it->kind = scan_number(s);
	it->depth = scan_number(s);
	it->seed = scan_number(s);
	it->first = scan_number(s);
	it->runs = scan_number(s);
	it->vertex = NO_VERTEX;
	if (it->kind != ITEM_TREE)
		return s->ok && it->kind < NR_ITEM_KINDS;
	it->tree = scan_number(s);
	it->vertex = scan_number(s);
	it->take = scan_number(s);
	it->asleep = scan_number(s);
	it->weight = scan_number(s);
	it->root.asleep = it->asleep;
	return s->ok && it->tree < p->nr_trees && scan_path(s, &it->root);
}

/* Adds items first to end - 1 of those that follow here. */
static bool scan_items(struct scanner *s, struct plan *p, size_t first, size_t end)
{
	for (size_t i = 0; i < end; i++, scan_line(s)) {
		struct plan_item it;

		if (i < first)
			continue;
		if (!scan_item(s, p, &it)) {
			schedule_free(&it.root.path);
			return false;
		}
		*plan_add_item(p) = it;
	}
	return s->ok;
}

bool plan_parse_items(struct plan *p, const char *text, size_t first, size_t end)
{
	struct scanner s = {.at = text, .ok = true};
	uint64_t items;

	if (scan_head(&s, p, &items) && end <= items && scan_items(&s, p, first, end))
		return true;
	plan_free(p);
	return false;
}

size_t plan_count(const char *text)
{
	struct scanner s = {.at = text, .ok = true};
	struct plan p;
	uint64_t items;

	return scan_head(&s, &p, &items) ? p.nr_active : 0;
}

static bool scan_vertex(struct scanner *s, struct plan *p)
{
	struct vertex v = {0};

	v.parent = scan_number(s);
	v.depth = scan_number(s);
	v.take = scan_number(s);
	v.enabled = scan_number(s);
	v.todo = scan_number(s);
	v.sleep = scan_number(s);
	v.step = scan_number(s);
	v.before = scan_number(s);
	v.choice = scan_number(s);
	v.weight = scan_number(s);
	if (!s->ok || !v.enabled || (v.parent != NO_VERTEX && v.parent >= p->nr_vertices))
		return false;
	if (v.depth != (v.parent == NO_VERTEX ? 0 : p->vertex[v.parent].depth + 1))
		return false;
	return p->nr_vertices < MAX_VERTICES && plan_add_vertex(p, &v) != NO_VERTEX;
}

static bool scan_body(struct scanner *s, struct plan *p, uint64_t items)
{
	if (!scan_items(s, p, 0, items))
		return false;
	while (s->ok && scan_word(s, "vertex")) {
		if (!scan_vertex(s, p))
			return false;
		scan_line(s);
	}
	for (uint32_t i = 0; i < p->nr_items; i++)
		if (p->item[i].vertex != NO_VERTEX && p->item[i].vertex >= p->nr_vertices)
			return false;
	return s->ok && !*s->at;
}

bool plan_parse(struct plan *p, const char *text)
{
	struct scanner s = {.at = text, .ok = true};
	uint64_t items;

	if (scan_head(&s, p, &items) && scan_body(&s, p, items))
		return true;
	plan_free(p);
	return false;
}
