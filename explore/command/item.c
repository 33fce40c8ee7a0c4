/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/item.h"
#include "command/pool.h"

#define SHRINK_RUNS \
	20000u /* a fixed number: the shrunk order must not depend on the machine's speed */
#define PORTFOLIO_SECONDS 60.0
#define ORDER_SIZE	  (1u << 20)
#define TELL_EVERY_S	  0.2

enum message_type {
	MSG_PROGRESS, /* struct search_result */
	MSG_RESULT,
	MSG_ORDER,
	MSG_SCHEDULE,
	MSG_VERDICT,
	MSG_ID,
	MSG_TEXT,
	MSG_JSON,
	MSG_HTML,
	MSG_BROKEN,
};

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
}

void tale_free(struct tale *t)
{
	free(t->schedule);
	free(t->verdict);
	free(t->id);
	free(t->text);
	free(t->json);
	free(t->html);
	memset(t, 0, sizeof(*t));
}

void item_free(struct item *it)
{
	free(it->broken);
	free(it->order);
	tale_free(&it->tale);
}

static FILE *open_text(char **text, size_t *size)
{
	FILE *f = open_memstream(text, size);

	if (f)
		return f;
	say("out of memory");
	_exit(STATUS_MISUSE);
}

static char *capture(void (*print)(FILE *f, const struct report_violation *v),
		     const struct report_violation *v)
{
	char *text;
	size_t size;
	FILE *f = open_text(&text, &size);

	print(f, v);
	fclose(f);
	return text;
}

static char *capture_text(const struct report_violation *v, int out)
{
	struct report_style style = report_style_of(out);
	char *text;
	size_t size;
	FILE *f = open_text(&text, &size);

	report_text(f, v, &style);
	fclose(f);
	return text;
}

bool tale_make(struct tale *t, const struct item *it, const struct schedule *s)
{
	char verdict[2048], id[REPORT_ID];
	bool followed;
	struct report_violation v = {
		.suite = it->suite, .scenario = &it->scenario, .schedule = s, .mutant = it->mutant};

	v.x = schedule_run(&it->scenario, s, &it->options.limits, true, &followed);
	if (v.x->outcome != RUN_VIOLATION)
		return false;
	report_verdict(verdict, sizeof(verdict), &v);
	report_id(id, sizeof(id), &v);
	t->schedule = schedule_format(it->scenario.name, s);
	t->verdict = strdup(verdict);
	t->id = strdup(id);
	t->text = capture_text(&v, it->out);
	if (it->want_json)
		t->json = capture(report_json, &v);
	if (it->want_html)
		t->html = capture(report_html, &v);
	return true;
}

static void send_text(int fd, uint32_t type, const char *text)
{
	if (text)
		pool_send(fd, type, text, strlen(text) + 1);
}

__attribute__((format(printf, 2, 3))) static void send_broken(int fd, const char *fmt, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, fmt);
	vsnprintf(text, sizeof(text), fmt, arguments);
	va_end(arguments);
	send_text(fd, MSG_BROKEN, text);
}

struct teller {
	int fd;
	double next;
};

static bool on_progress(void *arg, const struct search_result *so_far)
{
	struct teller *t = arg;
	double now = seconds_now();

	if (now >= t->next) {
		pool_send(t->fd, MSG_PROGRESS, so_far, sizeof(*so_far));
		t->next = now + TELL_EVERY_S;
	}
	return !stop_signal();
}

/*
 * The same schedule twice has to give the same steps. If it does not, something outside the explorer's control takes part, and no
 * verdict would be worth anything.
 */
static bool repeats(const struct item *it)
{
	struct schedule none = {0};
	bool followed;
	uint64_t hash = schedule_run(&it->scenario, &none, &it->options.limits, false, &followed)
				->steps_hash;

	return schedule_run(&it->scenario, &none, &it->options.limits, false, &followed)
		       ->steps_hash == hash;
}

static void send_tale(struct item *it, const struct schedule *s, int fd)
{
	struct tale t = {0};

	if (!tale_make(&t, it, s)) {
		send_broken(fd, "the order that was found breaks no rule when it is run again: "
				"something outside "
				"the explorer's control takes part in this scenario");
		return;
	}
	send_text(fd, MSG_SCHEDULE, t.schedule);
	send_text(fd, MSG_VERDICT, t.verdict);
	send_text(fd, MSG_ID, t.id);
	send_text(fd, MSG_TEXT, t.text);
	send_text(fd, MSG_JSON, t.json);
	send_text(fd, MSG_HTML, t.html);
	tale_free(&t);
}

static void send_order(int fd)
{
	char *order = malloc(ORDER_SIZE);
	size_t n = order ? engine_lock_order_export(order, ORDER_SIZE) : 0;

	if (n && n < ORDER_SIZE)
		send_text(fd, MSG_ORDER, order);
	free(order);
}

static void replay_in_worker(struct item *it, int fd)
{
	char name[128], why[256];
	struct schedule s = {0};

	if (!schedule_parse(it->replay, name, sizeof(name), &s, why, sizeof(why))) {
		send_broken(fd, "%s: %s", it->replay, why);
		return;
	}
	send_tale(it, &s, fd);
	schedule_free(&s);
}

void item_work(struct item *it, int fd)
{
	struct teller teller = {.fd = fd};
	struct search_result r = {0};

	engine_init(it->suite);
	if (it->replay) {
		replay_in_worker(it, fd);
		return;
	}
	if (!repeats(it)) {
		send_broken(fd, "two runs of one order differ: something outside the explorer's "
				"control (time, "
				"addresses, random numbers) takes part in this scenario");
		return;
	}
	it->options.progress = on_progress;
	it->options.arg = &teller;
	search_run(&it->scenario, &it->options, &r);
	pool_send(fd, MSG_RESULT, &r, sizeof(r));
	send_order(fd);
	if (r.verdict == SEARCH_FOUND) {
		schedule_shrink(&it->scenario, &r.schedule, &r.violation, &it->options.limits,
				SHRINK_RUNS);
		send_tale(it, &r.schedule, fd);
	}
	search_result_free(&r);
}

static char **text_of(struct item *it, uint32_t type)
{
	switch (type) {
	case MSG_ORDER:
		return &it->order;
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
		return &it->broken;
	}
}

void item_message(struct item *it, uint32_t type, const void *data, size_t size)
{
	char **text;

	if (type == MSG_PROGRESS || type == MSG_RESULT) {
		memcpy(&it->result, data, size < sizeof(it->result) ? size : sizeof(it->result));
		it->has_result |= type == MSG_RESULT;
		return;
	}
	text = text_of(it, type);
	free(*text);
	*text = strdup(data);
}

void item_ended(struct item *it, int sig, int status)
{
	bool complete = it->replay ||
			(it->has_result && (it->result.verdict != SEARCH_FOUND || it->tale.text));
	char text[256];

	it->state = ITEM_BROKEN;
	if (it->broken)
		return;
	if (!sig && !status && complete) {
		it->state = ITEM_DONE;
		return;
	}
	if (stop_signal() && (sig == SIGKILL || sig == stop_signal() || (!sig && !status))) {
		it->state = ITEM_STOPPED;
		return;
	}
	if (sig)
		snprintf(text, sizeof(text),
			 "the worker process was ended by signal %d (%s): the code under test or "
			 "its scenario "
			 "brought the process down",
			 sig, strsignal(sig));
	else
		snprintf(text, sizeof(text),
			 "the worker process ended with status %d before it had a result", status);
	it->broken = strdup(text);
}
