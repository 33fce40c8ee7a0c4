/* SPDX-License-Identifier: MIT */
/*
 * Uniting the results of a round. Everything happens in the order of the items, so the next plan does not depend on who did them.
 *
 * Branches of a node are ordered by when they were added: a later one may leave out what an earlier one covers, even though both are
 * walked at the same time. Since no branch relies on a later one, this is the same as walking them one after another. A race whose
 * first event lies above an item's root was handed back as a need; it is met if one of its fibers is among the branches of that node
 * or asleep there, else it gets a new branch, which is an item of the next round.
 */
#include "search/part.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"
#include "search/plan.h"

#define BIT(f) (1u << (f))

struct merge {
	struct plan *p;	     /* this round's */
	struct plan next;    /* its vertices are taken from p */
	const char **result; /* of each item, behind the account */
	struct search_result *r;
};

/* Whether this result has a violation. */
static bool has_found(const char *result)
{
	struct scanner s = {.at = result, .ok = true};

	while (scan_line(&s) && !scan_word(&s, "end"))
		if (scan_word(&s, "found"))
			return true;
	return false;
}

/* The results must be all those of this plan, each once, up to one with a violation. */
static bool find_results(struct merge *m, const char *plan, const char *results, char *err,
			 size_t size)
{
	struct scanner s = {.at = results, .ok = true};
	uint64_t hash = plan_hash(plan);

	while (s.ok && *s.at) {
		const char *line = s.at;
		uint64_t item, of;

		if (!scan_word(&s, "result")) {
			scan_line(&s);
			continue;
		}
		item = scan_number(&s);
		of = scan_number(&s);
		if (!s.ok || of != hash || item >= m->p->nr_active || m->result[item]) {
			snprintf(err, size, "%s: %.40s",
				 of != hash ? "the result is of another plan"
					    : "this result is there twice, or damaged",
				 line);
			return false;
		}
		m->result[item] = s.at;
		scan_line(&s);
	}
	for (uint32_t i = 0; i < m->p->nr_active; i++) {
		if (!m->result[i]) {
			snprintf(err, size, "the result of item %u is missing", i);
			return false;
		}
		if (has_found(m->result[i]))
			return true; /* the search is over: what comes after does not count */
	}
	return true;
}

static uint32_t branches(const struct node *n)
{
	return n->choice ? n->enabled : (uint32_t)__builtin_popcount(n->todo & ~n->sleep);
}

/* The branches of a node that are still to be tried become items. now: the one taken was not tried yet. */
static void add_branches(struct merge *m, const struct plan_item *it, uint32_t vertex,
			 const struct node *n, bool now, uint64_t weight)
{
	enum tree_kind kind = m->p->tree[it->tree].kind;
	uint32_t tried = n->done, left;

	if (n->choice) {
		for (uint32_t value = n->taken + !now; value < n->enabled; value++)
			plan_add_branch(&m->next, it->tree, vertex, value, n->sleep, weight);
		return;
	}
	if (now)
		plan_add_branch(&m->next, it->tree, vertex, n->taken, tree_asleep(kind, n, tried),
				weight);
	tried |= BIT(n->taken);
	for (left = n->todo & ~tried & ~n->sleep; left; left &= left - 1) {
		int f = __builtin_ctz(left);

		plan_add_branch(&m->next, it->tree, vertex, f, tree_asleep(kind, n, tried), weight);
		tried |= BIT(f);
	}
}

static bool scan_node(struct scanner *s, struct node *n)
{
	memset(n, 0, sizeof(*n));
	n->choice = scan_number(s);
	n->taken = scan_number(s);
	n->enabled = scan_number(s);
	n->before = scan_number(s);
	n->todo = scan_number(s);
	n->done = scan_number(s);
	n->sleep = scan_number(s);
	n->step = scan_number(s);
	if (n->before >= MAX_FIBERS)
		n->before = NO_FIBER;
	return s->ok && n->enabled &&
	       (n->choice ? (uint32_t)n->taken < n->enabled : n->enabled >> n->taken & 1);
}

/* The nodes on which an item paused. */
static bool add_nodes(struct merge *m, const struct plan_item *it, struct scanner *s)
{
	uint32_t vertex = it->vertex, take = it->take;
	uint64_t weight = it->weight;

	while (scan_word(s, "node")) {
		struct node n;
		struct vertex v;

		if (!scan_node(s, &n))
			return false;
		v = (struct vertex){.parent = vertex,
				    .depth = vertex == NO_VERTEX ? 0
								 : m->next.vertex[vertex].depth + 1,
				    .take = take,
				    .enabled = n.enabled,
				    .todo = n.todo,
				    .sleep = n.sleep,
				    .step = n.step,
				    .before = n.before == NO_FIBER ? MAX_FIBERS : n.before,
				    .choice = n.choice,
				    .weight = weight / (branches(&n) ? branches(&n) : 1)};
		weight = v.weight;
		vertex = plan_add_vertex(&m->next, &v);
		take = n.taken;
		scan_line(s);
		add_branches(m, it, vertex, &n, strncmp(s->at, "node ", 5), weight);
	}
	return s->ok;
}

static void meet_need(struct merge *m, const struct plan_item *it, uint32_t vertex, uint32_t fibers,
		      bool all)
{
	struct vertex *v = &m->next.vertex[vertex];
	struct node n = {.enabled = v->enabled,
			 .sleep = v->sleep,
			 .before = v->before == MAX_FIBERS ? NO_FIBER : (int)v->before};

	if (!all && fibers & (v->todo | v->sleep))
		return;
	for (uint32_t left = fibers & v->enabled & ~v->todo & ~v->sleep; left; left &= left - 1) {
		int f = __builtin_ctz(left);

		plan_add_branch(&m->next, it->tree, vertex, f,
				tree_asleep(m->p->tree[it->tree].kind, &n, v->todo), v->weight);
		v->todo |= BIT(f);
		if (!all)
			return;
	}
}

static bool meet_needs(struct merge *m, const struct plan_item *it, struct scanner *s)
{
	while (scan_word(s, "need")) {
		uint64_t depth = scan_number(s), fibers = scan_number(s), all = scan_number(s);
		uint32_t v = it->vertex;

		while (v != NO_VERTEX && m->next.vertex[v].depth > depth)
			v = m->next.vertex[v].parent;
		if (!s->ok || v == NO_VERTEX || m->next.vertex[v].choice)
			return false;
		meet_need(m, it, v, fibers, all);
		scan_line(s);
	}
	return s->ok;
}

static bool take_found(struct merge *m, struct scanner *s, uint64_t runs_before)
{
	struct search_result *r = m->r;
	char name[256], why[128], *text;
	const char *end;
	bool ok;

	if (!scan_word(s, "found"))
		return true;
	r->verdict = SEARCH_FOUND;
	r->violation.kind = scan_number(s);
	r->violation.signature = scan_number(s);
	r->found_at = runs_before + scan_number(s);
	end = strchr(s->at, '\n');
	if (!s->ok || !end || *s->at != ' ')
		return false;
	text = strndup(s->at + 1, end - s->at - 1);
	ok = text && schedule_parse(text, name, sizeof(name), &r->schedule, why, sizeof(why));
	free(text);
	if (!ok || !scan_line(s) || !scan_word(s, "says"))
		return false;
	snprintf(r->violation.message, sizeof(r->violation.message), "%.*s",
		 (int)strcspn(s->at, "\n") - 1, s->at + 1);
	return scan_line(s);
}

static uint64_t weights_from(const struct plan *p, uint32_t first)
{
	uint64_t sum = 0;

	for (uint32_t i = first; i < p->nr_items; i++)
		sum += p->item[i].weight;
	return sum;
}

/* One part of every result at a time: nodes before needs, since a need is met by what another item has added. */
static bool unite(struct merge *m)
{
	for (uint32_t i = 0; i < m->p->nr_active; i++) {
		const struct plan_item *it = &m->p->item[i];
		struct scanner s = {.at = m->result[i], .ok = true};
		struct account a;
		uint64_t before = m->r->runs;
		uint32_t added;

		scan_account(&s, &a);
		scan_line(&s);
		account_add(it->kind == ITEM_TREE ? &m->next.tree[it->tree].account
						  : &m->next.account,
			    &a);
		m->r->runs += a.runs;
		added = m->next.nr_items;
		if (!add_nodes(m, it, &s))
			return false;
		if (it->kind == ITEM_TREE)
			m->next.tree[it->tree].finished +=
				it->weight - weights_from(&m->next, added);
		m->result[i] = s.at;
		while (scan_word(&s, "need"))
			scan_line(&s);
		if (!take_found(m, &s, before))
			return false;
		if (m->r->verdict == SEARCH_FOUND)
			return true;
	}
	for (uint32_t i = 0; i < m->p->nr_active; i++) {
		struct scanner s = {.at = m->result[i], .ok = true};

		if (!meet_needs(m, &m->p->item[i], &s))
			return false;
	}
	for (uint32_t i = m->p->nr_active; i < m->p->nr_items; i++) {
		const struct plan_item *it = &m->p->item[i];

		plan_add_branch(&m->next, it->tree, it->vertex, it->take, it->asleep, it->weight);
	}
	return true;
}

static bool has_items(const struct plan *p, unsigned tree)
{
	for (uint32_t i = 0; i < p->nr_items; i++)
		if (p->item[i].kind == ITEM_TREE && p->item[i].tree == tree)
			return true;
	return false;
}

static void drop_items(struct plan *p, unsigned tree)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->nr_items; i++)
		if (p->item[i].kind != ITEM_TREE || p->item[i].tree != tree)
			p->item[n++] = p->item[i];
	p->nr_items = n;
}

static void judge_trees(struct merge *m)
{
	struct plan *p = &m->next;

	for (unsigned i = 0; i < p->nr_trees; i++) {
		struct plan_tree *t = &p->tree[i];

		if (t->state != TREE_OPEN)
			continue;
		if (!has_items(p, i)) {
			t->state = TREE_EXHAUSTED;
		} else if (p->o.runs && t->account.runs >= p->o.runs) {
			t->state = TREE_STOPPED;
			drop_items(p, i);
		}
		if (t->state != TREE_EXHAUSTED || t->account.limit_hit)
			continue;
		if (t->kind == TREE_DPOR || t->kind == TREE_NAIVE)
			m->r->verdict =
				m->r->verdict == SEARCH_FOUND ? SEARCH_FOUND : SEARCH_PROVED;
	}
}

static void sum_up(struct merge *m)
{
	struct search_result *r = m->r;
	struct plan *p = &m->next;
	struct account all = p->account;

	r->mode = p->o.mode;
	r->bound = ~0u;
	r->done = 0;
	r->all = -1;
	for (unsigned i = 0; i < p->nr_trees; i++) {
		const struct plan_tree *t = &p->tree[i];

		account_add(&all, &t->account);
		r->done = plan_share(p, i);
		r->bounded = t->kind == TREE_PREEMPTIONS || t->kind == TREE_DELAYS;
		r->bound_under_way = t->bound;
		if (!r->bounded) {
			r->classes = t->account.classes;
			r->classes_hash = t->account.classes_hash;
			r->all = r->done;
		}
		if (r->bounded && t->state == TREE_EXHAUSTED && !t->account.limit_hit &&
		    (r->bound == ~0u || t->bound > r->bound))
			r->bound = t->bound;
		if (p->o.mode == SEARCH_PORTFOLIO)
			r->mode = t->kind == TREE_DPOR ? SEARCH_DPOR : SEARCH_PREEMPTIONS;
	}
	if (r->verdict == SEARCH_PROVED) {
		r->done = 1;
		r->bounded = false;
		r->mode = p->tree[0].kind == TREE_DPOR ? SEARCH_DPOR : SEARCH_NAIVE;
	}
	r->runs = all.runs;
	r->abandoned = all.abandoned;
	r->events = all.events;
	r->max_events = all.max_events;
	r->limit_hit = all.limit_hit;
}

static char *print_next(struct merge *m)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	plan_arrange(&m->next);
	plan_print(out, &m->next);
	fclose(out);
	return text;
}

bool part_merge(const char *plan, const char *results, char **next, struct search_result *r,
		char *err, size_t err_size)
{
	struct plan p;
	struct merge m = {.p = &p, .r = r};
	bool ok;

	*next = NULL;
	memset(r, 0, sizeof(*r));
	r->verdict = SEARCH_SEARCHED;
	if (!plan_parse(&p, plan)) {
		snprintf(err, err_size, "this is no plan");
		return false;
	}
	m.result = memory_get(p.nr_items * sizeof(*m.result));
	m.next = p;
	m.next.round++;
	m.next.item = NULL;
	m.next.nr_items = m.next.item_room = 0;
	p.vertex = NULL;
	r->runs = p.account.runs;
	for (unsigned i = 0; i < p.nr_trees; i++)
		r->runs += p.tree[i].account.runs;
	ok = find_results(&m, plan, results, err, err_size);
	if (ok && !unite(&m)) {
		snprintf(err, err_size, "a result is damaged");
		ok = false;
	}
	if (ok) {
		judge_trees(&m);
		if (r->verdict == SEARCH_SEARCHED)
			plan_add_more(&m.next);
		sum_up(&m);
		if (r->verdict == SEARCH_SEARCHED && m.next.nr_items)
			*next = print_next(&m);
	}
	free(m.result);
	plan_free(&m.next);
	plan_free(&p);
	return ok;
}
