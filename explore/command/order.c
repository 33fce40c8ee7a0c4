/* SPDX-License-Identifier: MIT */
/*
 * Each end of an edge is for reading ("r:srcu") or for writing ("w:slots_lock"). Where a path arrives at a class for reading and
 * leaves from it for reading nobody waits, so no cycle goes through there. An edge that closes a cycle is reported and not added:
 * what is found does not depend on what else was found before.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "command/order.h"

#define NONE ((size_t)-1)

struct end {
	char *class;
	bool write;
};

struct edge {
	struct end from, to;
	char *where;
};

struct inversion {
	char **line; /* "slots_lock, then srcu: vCPU of dying-file" */
	size_t nr;
};

struct order {
	struct edge *edge;
	size_t nr;
	struct inversion *found;
	size_t nr_found;
};

static void *grow(void *list, size_t nr, size_t size)
{
	void *grown = nr & (nr - 1) ? list : realloc(list, (nr ? 2 * nr : 1) * size);

	if (grown)
		return grown;
	fputs("explore: out of memory\n", stderr);
	exit(2);
}

static void edge_free(struct edge *e)
{
	free(e->from.class);
	free(e->to.class);
	free(e->where);
}

struct order *order_new(void)
{
	struct order *o = calloc(1, sizeof(*o));

	return o ? o : grow(NULL, 0, sizeof(*o));
}

void order_free(struct order *o)
{
	for (size_t i = 0; i < o->nr; i++)
		edge_free(&o->edge[i]);
	for (size_t i = 0; i < o->nr_found; i++) {
		for (size_t k = 0; k < o->found[i].nr; k++)
			free(o->found[i].line[k]);
		free(o->found[i].line);
	}
	free(o->edge);
	free(o->found);
	free(o);
}

/* "w:slots_lock" */
static bool end_parse(const char *text, size_t size, struct end *e)
{
	if (size < 3 || text[1] != ':')
		return false;
	e->write = text[0] == 'w';
	e->class = strndup(text + 2, size - 2);
	return e->class;
}

/* "A<TAB>B<TAB>where" */
static bool edge_parse(const char *line, size_t size, struct edge *e)
{
	const char *to = memchr(line, '\t', size), *where;

	memset(e, 0, sizeof(*e));
	if (!to)
		return false;
	to++;
	where = memchr(to, '\t', line + size - to);
	if (!where || !end_parse(line, to - 1 - line, &e->from) ||
	    !end_parse(to, where - to, &e->to))
		return false;
	where++;
	e->where = strndup(where, line + size - where);
	return e->where;
}

static bool same_end(const struct end *a, const struct end *b)
{
	return a->write == b->write && !strcmp(a->class, b->class);
}

/* Whether somebody who wants at waits for somebody who has held. */
static bool conflict(const struct end *wanted, const struct end *held)
{
	return !strcmp(wanted->class, held->class) && (wanted->write || held->write);
}

/*
 * The shortest chain of edges from what `e` acquires to what it holds: last is its last edge, before[] the one before each. NONE:
 * there is none.
 */
static size_t chain_find(const struct order *o, const struct edge *e, size_t *before)
{
	size_t *queue = calloc(o->nr + 1, sizeof(*queue)), head = 0, tail = 0, last = NONE;
	bool *seen = calloc(o->nr + 1, sizeof(*seen));

	for (size_t i = 0; queue && seen && i < o->nr; i++) {
		if (!conflict(&e->to, &o->edge[i].from))
			continue;
		seen[i] = true;
		before[i] = NONE;
		queue[tail++] = i;
	}
	while (head < tail && last == NONE) {
		size_t at = queue[head++];

		if (conflict(&o->edge[at].to, &e->from))
			last = at;
		for (size_t i = 0; last == NONE && i < o->nr; i++) {
			if (seen[i] || !conflict(&o->edge[at].to, &o->edge[i].from))
				continue;
			seen[i] = true;
			before[i] = at;
			queue[tail++] = i;
		}
	}
	free(queue);
	free(seen);
	return last;
}

static void line_add(struct inversion *v, const struct edge *e)
{
	v->line = grow(v->line, v->nr, sizeof(*v->line));
	if (asprintf(&v->line[v->nr], "%s, then %s: %s", e->from.class, e->to.class, e->where) >= 0)
		v->nr++;
}

/* The edges of the chain, first to last, then the one that closes it. */
static void report(struct order *o, const struct edge *e, size_t last, const size_t *before)
{
	size_t *chain = calloc(o->nr + 1, sizeof(*chain)), n = 0;
	struct inversion v = {0};

	for (size_t i = last; chain && i != NONE; i = before[i])
		chain[n++] = i;
	while (n)
		line_add(&v, &o->edge[chain[--n]]);
	line_add(&v, e);
	free(chain);
	o->found = grow(o->found, o->nr_found, sizeof(*o->found));
	o->found[o->nr_found++] = v;
}

static void add_edge(struct order *o, struct edge *e)
{
	size_t *before, last;

	for (size_t i = 0; i < o->nr; i++) {
		if (same_end(&o->edge[i].from, &e->from) && same_end(&o->edge[i].to, &e->to)) {
			edge_free(e);
			return;
		}
	}
	before = calloc(o->nr + 1, sizeof(*before));
	last = before ? chain_find(o, e, before) : NONE;
	if (last != NONE) {
		report(o, e, last, before);
		edge_free(e);
	} else {
		o->edge = grow(o->edge, o->nr, sizeof(*o->edge));
		o->edge[o->nr++] = *e;
	}
	free(before);
}

void order_add(struct order *o, const char *text)
{
	struct edge e;

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (edge_parse(text, n, &e))
			add_edge(o, &e);
		else
			edge_free(&e);
		text += n + (text[n] != 0);
	}
}

size_t order_count(const struct order *o)
{
	return o->nr_found;
}

void order_print(const struct order *o, FILE *f)
{
	for (size_t i = 0; i < o->nr_found; i++) {
		fprintf(f, "lock order inversion between scenarios: a deadlock if they run at the "
			   "same time\n");
		for (size_t k = 0; k < o->found[i].nr; k++)
			fprintf(f, "  %s\n", o->found[i].line[k]);
		fputc('\n', f);
	}
}

void json_quote(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		if ((unsigned char)*text >= ' ')
			fputc(*text, f);
	}
	fputc('"', f);
}

void order_print_json(const struct order *o, FILE *f, const char *before)
{
	for (size_t i = 0; i < o->nr_found; i++) {
		fprintf(f,
			"%s{\"format\": \"explore-order-1\", \"verdict\": \"lock order "
			"inversion\", \"cycle\": [",
			before);
		for (size_t k = 0; k < o->found[i].nr; k++) {
			fputs(k ? ", " : "", f);
			json_quote(f, o->found[i].line[k]);
		}
		fputs("]}", f);
	}
}
