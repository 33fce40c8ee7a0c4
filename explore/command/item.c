/* SPDX-License-Identifier: MIT */
/* The parent's side: rounds, and what workers sent. work.c is the worker's. */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "command/message.h"
#include "command/pool.h"
#include "search/part.h"

#define PORTFOLIO_SECONDS 60.0

void item_init(struct item *it, const struct options *o, const struct explore_scenario *sc)
{
	memset(it, 0, sizeof(*it));
	it->suite = o->suite;
	it->mutant = o->mutated;
	it->scenario = *sc;
	if (o->faults >= 0)
		it->scenario.faults = o->faults;
	it->options = o->search;
	if (it->options.mode == SEARCH_PORTFOLIO && !it->options.seconds)
		it->options.seconds = PORTFOLIO_SECONDS;
	it->out = fileno(o->out);
	it->want_json = o->json;
	it->want_html = o->html;
	it->result.verdict = SEARCH_SEARCHED;
	it->result.mode = it->options.mode;
	it->result.bound = ~0u;
}

void item_continue(struct item *it, char *plan)
{
	free(it->plan);
	free(it->results);
	it->plan = plan;
	it->plan_hash = plan ? part_hash(plan) : 0;
	it->round++;
	it->results = NULL;
	it->nr_pieces = plan ? part_items(plan, NULL) : 0;
	it->given = it->ended = 0;
	free(it->has_ended);
	it->has_ended = calloc(it->nr_pieces + 1, sizeof(*it->has_ended));
	memset(&it->latest, 0, sizeof(it->latest));
}

void item_plan(struct item *it)
{
	item_continue(it, part_plan(&it->options));
}

void item_free(struct item *it)
{
	free(it->plan);
	free(it->results);
	free(it->order);
	free(it->has_ended);
	free(it->early);
	free(it->found);
	free(it->broken);
	tale_free(&it->tale);
}

bool item_over(const struct item *it)
{
	return it->state >= ITEM_DONE;
}

void item_break(struct item *it, const char *fmt, ...)
{
	va_list arguments;

	if (item_over(it))
		return;
	va_start(arguments, fmt);
	if (vasprintf(&it->broken, fmt, arguments) < 0)
		it->broken = NULL;
	va_end(arguments);
	it->state = ITEM_BROKEN;
}

static void append(char **text, const char *more)
{
	size_t old = *text ? strlen(*text) : 0, n = strlen(more);
	char *grown = realloc(*text, old + n + 1);

	if (!grown) {
		say("out of memory");
		exit(STATUS_MISUSE);
	}
	memcpy(grown + old, more, n + 1);
	*text = grown;
}

void item_add_results(struct item *it, const char *text)
{
	append(&it->results, text);
}

/* "A<TAB>B" of "A<TAB>B<TAB>where" */
static size_t edge_length(const char *line)
{
	size_t n = strcspn(line, "\t\n");

	return line[n] == '\t' ? n + 1 + strcspn(line + n + 1, "\t\n") : n;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One line for each edge, the smallest of those that say where it was made: the same whichever piece came first. */
void item_add_order(struct item *it, const char *lines)
{
	size_t nr = 0;
	char **line, *text = NULL;

	append(&text, it->order ? it->order : "");
	append(&text, lines);
	line = calloc(strlen(text) + 1, sizeof(*line));
	for (char *p = strtok(text, "\n"); line && p; p = strtok(NULL, "\n"))
		line[nr++] = p;
	if (line)
		qsort(line, nr, sizeof(*line), compare_lines);
	free(it->order);
	it->order = NULL;
	append(&it->order, "");
	for (size_t i = 0; line && i < nr; i++) {
		size_t n = edge_length(line[i]);

		if (i && n == edge_length(line[i - 1]) && !memcmp(line[i], line[i - 1], n))
			continue;
		append(&it->order, line[i]);
		append(&it->order, "\n");
	}
	free(line);
	free(text);
}

double item_seconds(const struct item *it)
{
	return it->spent + (it->running ? seconds_now() - it->since : 0);
}

static void worker_comes(struct item *it)
{
	if (!it->running++)
		it->since = seconds_now();
}

static void worker_goes(struct item *it)
{
	it->spent = item_seconds(it);
	it->since = seconds_now();
	it->running--;
}

void item_pass(struct item *it)
{
	worker_goes(it);
}

bool item_next(struct item *it, size_t *piece)
{
	if (item_over(it))
		return false;
	if (it->state == ITEM_TELLING) {
		if (it->running)
			return false;
		worker_comes(it);
		*piece = PIECE_TALE;
		return true;
	}
	if (it->options.seconds > 0 && item_seconds(it) > it->options.seconds)
		it->cut = true;
	if (it->cut || it->given == it->nr_pieces || (it->early && it->given > it->early_piece))
		return false;
	worker_comes(it);
	*piece = it->given++;
	return true;
}

/* The end of the search: with what is known by then. */
static void conclude(struct item *it)
{
	if (it->early && !it->found) {
		it->found = it->early;
		it->early = NULL;
		it->result.verdict = SEARCH_FOUND;
	}
	if (it->found)
		it->state = ITEM_TELLING;
	else
		it->state = it->cut && stop_signal() && !it->result.runs ? ITEM_STOPPED : ITEM_DONE;
}

bool item_unite(struct item *it)
{
	struct search_result r = {0};
	char why[512], *next = NULL;

	if (!part_merge(it->plan, it->results ? it->results : "", &next, &r, why, sizeof(why))) {
		it->broken = strdup(why);
		return false;
	}
	if (r.broken[0]) {
		item_break(it, "%s", r.broken);
	} else if (r.verdict == SEARCH_FOUND) {
		it->found = schedule_format(it->scenario.name, &r.schedule);
	}
	it->result = r;
	memset(&it->result.schedule, 0, sizeof(it->result.schedule));
	search_result_free(&r);
	item_continue(it, next);
	if (!it->plan && !item_over(it))
		conclude(it);
	return true;
}

bool item_needs(const struct item *it, size_t piece)
{
	if (item_over(it))
		return false;
	/* The piece that found it as well: it has told so, but it is still at work on its account. */
	return piece == PIECE_TALE ||
	       (it->state == ITEM_SEARCHING && (!it->early || piece <= it->early_piece));
}

/*
 * A violation in a piece is the one to tell of once all pieces before it have ended without one: the same that uniting the whole
 * round would give.
 */
static bool first_is_known(const struct item *it)
{
	size_t i = 0;

	while (it->early && i < it->early_piece && it->has_ended[i])
		i++;
	return it->early && i == it->early_piece;
}

static char **text_of(struct item *it, uint32_t type)
{
	switch (type) {
	case MSG_SCHEDULE:
		return &it->tale.schedule;
	case MSG_VERDICT:
		return &it->tale.verdict;
	case MSG_ID:
		return &it->tale.id;
	case MSG_TEXT:
		return &it->tale.text;
	case MSG_JSON:
		return &it->tale.json;
	case MSG_HTML:
		return &it->tale.html;
	default:
		return NULL;
	}
}

/* The pieces before a violation decide which one is told of, whichever came first. */
static void found_early(struct item *it, size_t piece, const char *schedule)
{
	if (it->early && it->early_piece < piece)
		return;
	free(it->early);
	it->early = strdup(schedule);
	it->early_piece = piece;
}

static void take_account(struct item *it, const struct search_result *r)
{
	it->latest.runs += r->runs;
	it->latest.events += r->events;
	it->seconds += r->seconds;
}

void item_message(struct item *it, size_t piece, uint32_t type, const void *data, size_t size,
		  struct search_result *progress)
{
	char **text;

	switch (type) {
	case MSG_PROGRESS:
		memcpy(progress, data, size < sizeof(*progress) ? size : sizeof(*progress));
		break;
	case MSG_PIECE:
		item_add_results(it, data);
		it->ended++;
		it->has_ended[piece] = true;
		take_account(it, progress);
		break;
	case MSG_ORDER:
		item_add_order(it, data);
		break;
	case MSG_FOUND:
		found_early(it, piece, data);
		break;
	case MSG_BROKEN:
		item_break(it, "%s", (const char *)data);
		break;
	default:
		text = text_of(it, type);
		if (text) {
			free(*text);
			*text = strdup(data);
		}
	}
}

/* A worker that ended without what it was started for. */
static void account_for(struct item *it, int sig, int status)
{
	if (stop_signal() && (!sig || sig == SIGKILL || sig == stop_signal())) {
		it->cut = true;
		return;
	}
	if (sig)
		item_break(it,
			   "the worker process was ended by signal %d (%s): the code under test or "
			   "its scenario "
			   "brought the process down",
			   sig, strsignal(sig));
	else if (status)
		item_break(it, "the worker process ended with status %d before it had a result",
			   status);
	else
		it->cut = true; /* time is over */
}

void item_settle(struct item *it)
{
	if (!it->cut || it->running || it->state != ITEM_SEARCHING)
		return;
	it->result.interrupted = stop_signal();
	it->result.out_of_time = !stop_signal();
	conclude(it);
}

void item_stop(struct item *it)
{
	if (item_over(it))
		return;
	it->cut = true;
	item_settle(it);
	if (!item_over(it))
		it->state = ITEM_STOPPED;
}

static void tale_ended(struct item *it, int sig, int status)
{
	it->state = ITEM_DONE;
	if (it->tale.text && !sig && !status)
		return;
	it->state = ITEM_TELLING;
	account_for(it, sig, status);
	if (!item_over(it))
		it->state = ITEM_STOPPED;
}

void item_ended(struct item *it, size_t piece, int sig, int status, bool unites)
{
	worker_goes(it);
	if (item_over(it))
		return;
	if (piece == PIECE_TALE) {
		tale_ended(it, sig, status);
		return;
	}
	if (it->state == ITEM_TELLING || (unites && it->early && piece > it->early_piece))
		return; /* not needed any more */
	if (sig || status || !it->has_ended[piece])
		account_for(it, sig, status);
	if (!unites || item_over(it))
		return;
	if (first_is_known(it)) {
		it->result.runs += it->latest.runs;
		it->result.events += it->latest.events;
		it->result.found_at = it->result.runs;
		conclude(it);
		return;
	}
	if (it->running)
		return;
	if (it->ended == it->nr_pieces && !item_unite(it))
		it->state = ITEM_BROKEN;
	item_settle(it);
}
