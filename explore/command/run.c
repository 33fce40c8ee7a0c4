/* SPDX-License-Identifier: MIT */
/* explore run: a worker for each scenario, reports in the suite's order, progress on a terminal. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/output.h"
#include "command/pool.h"

#define PROGRESS_AFTER_S 1.0

struct run {
	const struct options *o;
	struct item *item;
	size_t nr, printed, ended;
	struct tally tally;
	bool on_terminal, line_open;
	double began, next_line;
};

static void clear_progress(struct run *r)
{
	if (r->line_open)
		fputs("\r\033[K", stderr);
	r->line_open = false;
}

static void on_tick(void *arg)
{
	struct run *r = arg;
	double now = seconds_now();
	char line[256];
	size_t i;
	int n = 0;

	if (!r->on_terminal || now < r->began + PROGRESS_AFTER_S || now < r->next_line)
		return;
	for (i = r->printed; i < r->nr && r->item[i].state != ITEM_RUNNING; i++)
		;
	if (i == r->nr)
		return;
	if (r->nr > 1)
		n = snprintf(line, sizeof(line), "%zu of %zu done; ", r->ended, r->nr);
	report_progress(line + n, sizeof(line) - n, &r->item[i].scenario, &r->item[i].result);
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
	r->line_open = true;
	r->next_line = now + 0.2;
}

static void on_work(void *arg, size_t i, int fd)
{
	struct run *r = arg;

	item_work(&r->item[i], fd);
}

static void on_message(void *arg, size_t i, uint32_t type, const void *data, size_t size)
{
	struct run *r = arg;

	item_message(&r->item[i], type, data, size);
}

/* The one place where speed is told: it is another each time, so no report has it. */
static void print_stats(const struct item *it)
{
	const struct search_result *r = &it->result;

	if (!it->has_result)
		return;
	fprintf(stderr,
		"{\"scenario\": \"%s\", \"executions\": %llu, \"redundant\": %llu, \"steps\": "
		"%llu, "
		"\"classes\": %llu, \"found_at\": %llu, \"seconds\": %.6f}\n",
		it->scenario.name, (unsigned long long)r->runs, (unsigned long long)r->abandoned,
		(unsigned long long)r->events, (unsigned long long)r->classes,
		(unsigned long long)r->found_at, r->seconds);
}

static void on_ended(void *arg, size_t i, int signal, int status)
{
	struct run *r = arg;

	item_ended(&r->item[i], signal, status);
	r->ended++;
	for (; r->printed < r->nr && r->item[r->printed].state > ITEM_RUNNING; r->printed++) {
		clear_progress(r);
		output_item(r->o, &r->item[r->printed], r->nr == 1);
		if (r->o->stats)
			print_stats(&r->item[r->printed]);
	}
}

static bool on_wanted(void *arg, size_t i)
{
	struct run *r = arg;

	r->item[i].state = ITEM_RUNNING;
	return true;
}

/* Without names a broken form picks the scenarios that should find it. */
static void choose_by_mutant(struct options *o)
{
	o->scenario = calloc(o->suite->nr_scenarios + 1, sizeof(*o->scenario));
	for (size_t i = 0; o->scenario && i < o->suite->nr_scenarios; i++)
		if (list_has(o->suite->scenario[i]->mutants, o->mutated))
			o->scenario[o->nr_scenarios++] = o->suite->scenario[i];
}

static bool choose(struct options *o)
{
	if (o->nr_words || o->all)
		return scenarios_choose(o);
	if (o->mutated)
		choose_by_mutant(o);
	if (o->nr_scenarios)
		return true;
	if (o->mutated)
		say("no scenario names %s as a fault that it finds; give SCENARIO or --all",
		    o->mutated);
	else
		say("run what? Give scenarios or --all; %s list names them", o->suite->program);
	return false;
}

int run_main(struct options *o)
{
	struct run r = {
		.o = o, .on_terminal = !o->quiet && isatty(STDERR_FILENO), .began = seconds_now()};
	struct pool pool = {.jobs = o->jobs,
			    .arg = &r,
			    .work = on_work,
			    .message = on_message,
			    .ended = on_ended,
			    .tick = on_tick,
			    .wanted = on_wanted};
	struct order *order;
	bool written;

	if (!choose(o))
		return STATUS_MISUSE;
	r.nr = pool.nr = o->nr_scenarios;
	r.item = calloc(r.nr, sizeof(*r.item));
	if (!r.item) {
		say("out of memory");
		return STATUS_MISUSE;
	}
	for (size_t i = 0; i < r.nr; i++)
		item_init(&r.item[i], o, o->scenario[i]);
	stop_watch();
	pool_run(&pool);
	clear_progress(&r);
	order = order_new();
	for (size_t i = 0; i < r.nr; i++) {
		output_count(&r.tally, &r.item[i]);
		if (r.item[i].order)
			order_add(order, r.item[i].order);
	}
	for (; r.printed < r.nr; r.printed++)
		output_item(o, &r.item[r.printed], r.nr == 1);
	if (r.nr > 1) {
		r.tally.violations += order_count(order);
		order_print(order, o->out);
		output_tally(o, &r.tally);
	}
	written = output_files(o, r.item, r.nr, order);
	order_free(order);
	for (size_t i = 0; i < r.nr; i++)
		item_free(&r.item[i]);
	free(r.item);
	return written ? output_status(&r.tally) : STATUS_MISUSE;
}
