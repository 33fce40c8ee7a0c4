/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/campaign.h"
#include "command/pool.h"

#define PROGRESS_AFTER_S 1.0
#define PROGRESS_EVERY_S 0.2

/* A piece that a worker does. */
struct slot {
	struct item *item; /* NULL: free */
	size_t piece;
	struct search_result progress;
};

struct run {
	struct campaign *c;
	struct slot slot[MAX_JOBS];
	unsigned part, parts; /* parts 0: everything */
	size_t printed;
	bool on_terminal, line_open, prints;
	double began, next_line;
};

static void clear_progress(struct run *r)
{
	if (r->line_open)
		fputs("\r\033[K", stderr);
	r->line_open = false;
}

/* The account of an item while it is searched: rounds that ended, pieces that ended, pieces under way. */
static struct search_result account(const struct run *r, const struct item *it)
{
	struct search_result sum = it->result;

	sum.runs += it->latest.runs;
	for (unsigned k = 0; k < MAX_JOBS; k++) {
		if (r->slot[k].item != it)
			continue;
		sum.runs += r->slot[k].progress.runs;
		if (r->slot[k].progress.done > sum.done && it->nr_pieces == 1)
			sum.done = r->slot[k].progress.done;
	}
	sum.seconds = item_seconds(it);
	return sum;
}

static void on_tick(void *arg)
{
	struct run *r = arg;
	struct campaign *c = r->c;
	double now = seconds_now();
	struct search_result sum;
	char line[256];
	size_t i, over = 0;
	int n = 0;

	if (!r->on_terminal || now < r->began + PROGRESS_AFTER_S || now < r->next_line)
		return;
	for (i = 0; i < c->nr; i++)
		over += item_over(&c->item[i]);
	for (i = 0; i < c->nr && !(c->item[i].running && !item_over(&c->item[i])); i++)
		;
	if (i == c->nr)
		return;
	if (c->nr > 1)
		n = snprintf(line, sizeof(line), "%zu of %zu done; ", over, c->nr);
	sum = account(r, &c->item[i]);
	report_progress(line + n, sizeof(line) - n, &c->item[i].scenario, &sum);
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
	r->line_open = true;
	r->next_line = now + PROGRESS_EVERY_S;
}

/* The one place where speed is told: it is another each time, so no report has it. */
static void print_stats(const struct item *it)
{
	const struct search_result *r = &it->result;

	fprintf(stderr,
		"{\"scenario\": \"%s\", \"executions\": %llu, \"redundant\": %llu, \"steps\": "
		"%llu, \"classes\": %llu, "
		"\"found_at\": %llu, \"seconds\": %.6f, \"clock_seconds\": %.6f}\n",
		it->scenario.name, (unsigned long long)r->runs, (unsigned long long)r->abandoned,
		(unsigned long long)r->events, (unsigned long long)r->classes,
		(unsigned long long)r->found_at, it->seconds, item_seconds(it));
}

static void print_ready(struct run *r)
{
	struct campaign *c = r->c;

	for (; r->prints && r->printed < c->nr && item_over(&c->item[r->printed]); r->printed++) {
		clear_progress(r);
		output_item(c->o, &c->item[r->printed], c->nr == 1);
		if (c->o->stats)
			print_stats(&c->item[r->printed]);
	}
}

/* The next piece of an item that belongs to this part; the others are passed over. The tale is told by who merges. */
static bool next_of_part(struct run *r, struct item *it, size_t *piece)
{
	while ((!r->parts || it->state == ITEM_SEARCHING) && item_next(it, piece)) {
		if (!r->parts || (it->first + *piece) % r->parts == r->part)
			return true;
		item_pass(it);
	}
	return false;
}

static bool on_next(void *arg, struct job *job)
{
	struct run *r = arg;
	struct campaign *c = r->c;
	unsigned k = 0;

	while (r->slot[k].item)
		k++;
	for (size_t i = 0; i < c->nr; i++) {
		if (!next_of_part(r, &c->item[i], &r->slot[k].piece)) {
			/* Nothing more will come of it: time was over before the next round. */
			item_settle(&c->item[i]);
			continue;
		}
		r->slot[k].item = &c->item[i];
		memset(&r->slot[k].progress, 0, sizeof(r->slot[k].progress));
		*job = (struct job){.id = k, .item = i, .piece = r->slot[k].piece};
		job->family = job->piece == PIECE_TALE ? 0 : c->item[i].round;
		return true;
	}
	print_ready(r);
	return false;
}

static bool on_work(void *arg, const struct job *job, int fd)
{
	struct run *r = arg;

	return item_work(&r->c->item[job->item], job->piece, fd);
}

static void on_message(void *arg, size_t piece, uint32_t type, const void *data, size_t size)
{
	struct run *r = arg;
	struct slot *s = &r->slot[piece];

	item_message(s->item, s->piece, type, data, size, &s->progress);
}

static void on_ended(void *arg, size_t piece, int signal, int status)
{
	struct run *r = arg;
	struct slot *s = &r->slot[piece];

	item_ended(s->item, s->piece, signal, status, !r->parts);
	s->item = NULL;
	for (unsigned k = 0; !r->parts && k < MAX_JOBS; k++)
		if (r->slot[k].item && !item_needs(r->slot[k].item, r->slot[k].piece))
			pool_kill(k);
	print_ready(r);
}

static void run_pool(struct run *r, unsigned jobs)
{
	struct pool pool = {.jobs = jobs,
			    .arg = r,
			    .next = on_next,
			    .work = on_work,
			    .message = on_message,
			    .ended = on_ended,
			    .tick = on_tick};

	r->began = seconds_now();
	r->on_terminal = !r->c->o->quiet && isatty(STDERR_FILENO);
	engine_init(r->c->o->suite);
	stop_watch();
	pool_run(&pool);
	clear_progress(r);
}

bool campaign_init(struct campaign *c, const struct options *o)
{
	c->o = o;
	c->nr = o->nr_scenarios;
	c->round = 0;
	c->item = calloc(c->nr, sizeof(*c->item));
	if (!c->item) {
		say("out of memory");
		return false;
	}
	for (size_t i = 0; i < c->nr; i++)
		item_init(&c->item[i], o, o->scenario[i]);
	return true;
}

void campaign_free(struct campaign *c)
{
	for (size_t i = 0; i < c->nr; i++)
		item_free(&c->item[i]);
	free(c->item);
}

void campaign_run(struct campaign *c)
{
	struct run r = {.c = c, .prints = true};

	run_pool(&r, c->o->jobs);
	/* After a stop some never began. */
	for (size_t i = 0; i < c->nr; i++)
		item_stop(&c->item[i]);
	print_ready(&r);
}

void campaign_run_part(struct campaign *c, unsigned part, unsigned parts)
{
	struct run r = {.c = c, .part = part, .parts = parts};
	size_t first = 0;

	for (size_t i = 0; i < c->nr; i++) {
		c->item[i].first = first;
		first += c->item[i].state == ITEM_SEARCHING ? c->item[i].nr_pieces : 0;
	}
	run_pool(&r, c->o->jobs);
}

int campaign_finish(struct campaign *c)
{
	struct tally tally = {0};
	struct order *order = order_new();
	bool written;

	for (size_t i = 0; i < c->nr; i++) {
		output_count(&tally, &c->item[i]);
		if (c->item[i].order)
			order_add(order, c->item[i].order);
	}
	tally.violations += order_count(order);
	order_print(order, c->o->out);
	if (c->nr > 1)
		output_tally(c->o, &tally);
	written = output_files(c->o, c->item, c->nr, order);
	order_free(order);
	return written ? output_status(&tally) : STATUS_MISUSE;
}
