/* SPDX-License-Identifier: MIT */
/*
 * Doing some items of a plan. The result of each is lines of numbers:
 *
 *	result ITEM PLAN... account		PLAN: hash of the plan's text
 *	node CHOICE TAKEN ENABLED BEFORE TODO DONE SLEEP STEP
 *	need NODE FIBERS ALL			NODE: number on the path to the item
 *	found KIND SIGNATURE AT SCHEDULE	and on the next line: says MESSAGE
 *	end ITEM
 *
 * Nodes are those between the item's root and where it paused, top down; the branch taken of the last one is yet to be tried.
 */
#include "search/part.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search/drive.h"
#include "search/plan.h"

#define EVENTS_PER_RUN 250 /* a budget of executions is one of so many events each */

static void print_node(FILE *out, const struct node *n)
{
	fprintf(out, "node %u %d %u %u %u %u %u %u\n", n->choice, n->taken, n->enabled,
		n->before == NO_FIBER ? MAX_FIBERS : (unsigned)n->before, n->todo, n->done,
		n->sleep, n->step);
}

static void walk_item(FILE *out, struct drive *d, const struct plan *p, const struct plan_item *it)
{
	struct tree t;

	tree_init(&t, p->tree[it->tree].kind, p->tree[it->tree].bound, &it->root);
	drive_walk(d, &t, it->runs, it->runs * EVENTS_PER_RUN, 0);
	for (uint32_t i = t.root.nodes; !t.exhausted && i < t.nr; i++)
		print_node(out, &t.node[i]);
	for (uint32_t i = 0; i < t.nr_needs; i++)
		fprintf(out, "need %u %u %u\n", t.need[i].node, t.need[i].fibers, t.need[i].all);
	tree_free(&t);
}

static void do_item(FILE *out, struct drive *d, const struct plan *p, const struct plan_item *it)
{
	if (it->kind != ITEM_TREE || !p->round)
		drive_gate(d);
	if (d->over)
		return;
	switch (it->kind) {
	case ITEM_SERIAL:
		drive_serial(d);
		break;
	case ITEM_RANDOM:
		drive_random(d, it->depth, it->seed, it->first, it->runs);
		break;
	default:
		walk_item(out, d, p, it);
	}
}

static void print_found(FILE *out, const struct explore_scenario *sc, const struct search_result *r)
{
	char *schedule = schedule_format(sc->name, &r->schedule);

	fprintf(out, "found %u %" PRIu64 " %" PRIu64 " %s\nsays %s\n", r->violation.kind,
		r->violation.signature, r->found_at, schedule, r->violation.message);
	free(schedule);
}

/* Progress of a piece is that of the item under way and of those done. */
struct piece {
	const struct search_options *o;
	struct search_result *sum;
};

static void add_up(struct search_result *sum, const struct search_result *r)
{
	sum->runs += r->runs;
	sum->abandoned += r->abandoned;
	sum->events += r->events;
	sum->classes += r->classes;
	sum->seconds += r->seconds;
	sum->max_events = r->max_events > sum->max_events ? r->max_events : sum->max_events;
	sum->limit_hit |= r->limit_hit;
	sum->interrupted |= r->interrupted;
}

static bool tell_progress(void *arg, const struct search_result *so_far)
{
	struct piece *piece = arg;
	struct search_result all = *piece->sum;

	add_up(&all, so_far);
	return !piece->o->progress || piece->o->progress(piece->o->arg, &all);
}

static void print_account(FILE *out, const struct search_result *r)
{
	struct account a = {.runs = r->runs,
			    .abandoned = r->abandoned,
			    .events = r->events,
			    .classes = r->classes,
			    .classes_hash = r->classes_hash,
			    .max_events = r->max_events,
			    .limit_hit = r->limit_hit};

	account_print(out, &a);
}

/* False: nothing more is to be done in this piece. */
static bool run_item(FILE *out, const struct explore_scenario *sc, struct piece *piece,
		     const struct plan *p, uint32_t i, size_t item, uint64_t hash)
{
	struct search_options options = {.limits = piece->o->limits,
					 .progress = tell_progress,
					 .arg = piece,
					 .mode = SEARCH_PORTFOLIO};
	struct search_result r;
	struct drive d;
	char *body = NULL;
	size_t size;
	FILE *lines = open_memstream(&body, &size);

	drive_init(&d, sc, &options, &r);
	do_item(lines, &d, p, &p->item[i]);
	fclose(lines);
	drive_fini(&d);
	add_up(piece->sum, &r);
	memcpy(piece->sum->broken, r.broken, sizeof(r.broken));
	if (!r.broken[0] && !r.interrupted) {
		fprintf(out, "result %zu %" PRIu64, item, hash);
		print_account(out, &r);
		fputs(body, out);
		if (r.verdict == SEARCH_FOUND)
			print_found(out, sc, &r);
		fprintf(out, "end %zu\n", item);
	}
	free(body);
	if (r.verdict == SEARCH_FOUND) {
		piece->sum->verdict = SEARCH_FOUND;
		piece->sum->violation = r.violation;
		piece->sum->schedule = r.schedule;
		piece->sum->found_at = piece->sum->runs;
		return false;
	}
	search_result_free(&r);
	return !piece->sum->broken[0] && !piece->sum->interrupted;
}

uint64_t part_hash(const char *plan)
{
	return plan_hash(plan);
}

char *part_run(const struct explore_scenario *sc, const struct search_options *o, const char *plan,
	       uint64_t hash, size_t number, struct search_result *r)
{
	struct piece piece = {.o = o, .sum = r};
	size_t size, first = 0, end = 0;
	char *text = NULL;
	struct plan p;
	FILE *out;

	memset(r, 0, sizeof(*r));
	r->verdict = SEARCH_SEARCHED;
	r->bound = ~0u;
	if (!plan_piece(plan_count(plan), number, &first, &end) ||
	    !plan_parse_items(&p, plan, first, end)) {
		snprintf(r->broken, sizeof(r->broken), "the plan has no piece %zu", number);
		return NULL;
	}
	out = open_memstream(&text, &size);
	for (uint32_t i = 0; i < p.nr_items && run_item(out, sc, &piece, &p, i, first + i, hash);
	     i++)
		;
	fclose(out);
	plan_free(&p);
	if (!r->broken[0] && !r->interrupted)
		return text;
	free(text);
	return NULL;
}
