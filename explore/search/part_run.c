/* SPDX-License-Identifier: MIT */
/*
 * Doing one item of a plan. The result is lines of numbers:
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

char *part_run(const struct explore_scenario *sc, const struct search_options *o, const char *plan,
	       size_t item, struct search_result *r)
{
	struct search_options options = {.limits = o->limits,
					 .progress = o->progress,
					 .arg = o->arg,
					 .mode = SEARCH_PORTFOLIO};
	char *body = NULL, *text = NULL;
	size_t size;
	struct plan p;
	struct plan_item it = {0};
	struct drive d;
	FILE *out;

	drive_init(&d, sc, &options, r);
	if (!plan_parse_item(&p, plan, item, &it)) {
		snprintf(r->broken, sizeof(r->broken), "the plan has no item %zu", item);
		return NULL;
	}
	out = open_memstream(&body, &size);
	do_item(out, &d, &p, &it);
	fclose(out);
	drive_fini(&d);
	if (!r->broken[0] && !r->interrupted) {
		struct account a = {.runs = r->runs,
				    .abandoned = r->abandoned,
				    .events = r->events,
				    .classes = r->classes,
				    .classes_hash = r->classes_hash,
				    .max_events = r->max_events,
				    .limit_hit = r->limit_hit};

		out = open_memstream(&text, &size);
		fprintf(out, "result %zu %" PRIu64, item, plan_hash(plan));
		account_print(out, &a);
		fputs(body, out);
		if (r->verdict == SEARCH_FOUND)
			print_found(out, sc, r);
		fprintf(out, "end %zu\n", item);
		fclose(out);
	}
	free(body);
	schedule_free(&it.root.path);
	return text;
}
