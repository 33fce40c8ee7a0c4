/* SPDX-License-Identifier: MIT */
/* The worker's side: pieces of one round of a search, or the tale of a violation. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command/message.h"
#include "command/pool.h"
#include "search/part.h"

#define SHRINK_RUNS \
	20000u /* a fixed number: the shrunk order must not depend on the machine's speed */
#define ORDER_SIZE   (1u << 20)
#define TELL_EVERY_S 0.2

struct teller {
	int fd;
	double next, end; /* end: 0: never */
};

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

static bool on_progress(void *arg, const struct search_result *so_far)
{
	struct teller *t = arg;
	double now = seconds_now();

	if (now >= t->next) {
		pool_send(t->fd, MSG_PROGRESS, so_far, sizeof(*so_far));
		t->next = now + TELL_EVERY_S;
	}
	return !stop_signal() && (!t->end || now < t->end);
}

/* Of this process since the piece before, or since it began: speed is told without what else the machine did. */
static double processor_seconds(void)
{
	static double before;
	double since = before;
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	before = t.tv_sec + t.tv_nsec * 1e-9;
	return before - since;
}

static void send_order(int fd)
{
	char *order = malloc(ORDER_SIZE);
	size_t n = order ? engine_lock_order_export(order, ORDER_SIZE) : 0;

	if (n && n < ORDER_SIZE)
		send_text(fd, MSG_ORDER, order);
	else if (n)
		send_broken(fd, "the graph of lock orders is too large");
	free(order);
}

static bool search_piece(struct item *it, size_t piece, int fd)
{
	struct teller teller = {.fd = fd};
	struct search_options o = it->options;
	struct search_result r = {0};
	char *text, *schedule;
	bool clean;

	/* What it finds must not depend on the pieces that this process did before. */
	engine_lock_order_forget();
	if (it->options.seconds > 0)
		teller.end = seconds_now() + it->options.seconds - item_seconds(it);
	o.progress = on_progress;
	o.arg = &teller;
	o.seconds = 0;
	text = part_run(&it->scenario, &o, it->plan, it->plan_hash, piece, &r);
	r.seconds = processor_seconds();
	pool_send(fd, MSG_PROGRESS, &r, sizeof(r));
	send_order(fd);
	if (r.broken[0]) {
		send_text(fd, MSG_BROKEN, r.broken);
	} else if (r.verdict == SEARCH_FOUND) {
		schedule = schedule_format(it->scenario.name, &r.schedule);
		send_text(fd, MSG_FOUND, schedule);
		free(schedule);
	}
	send_text(fd, MSG_PIECE, text);
	clean = text && r.verdict != SEARCH_FOUND;
	free(text);
	search_result_free(&r);
	return clean;
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
	send_text(fd, MSG_JSON, t.json);
	send_text(fd, MSG_HTML, t.html);
	send_text(fd, MSG_TEXT, t.text);
	tale_free(&t);
}

static void tell(struct item *it, int fd)
{
	char name[128], why[256];
	const struct execution *x;
	struct violation v;
	struct schedule s = {0};
	bool followed;

	if (!schedule_parse(it->found, name, sizeof(name), &s, why, sizeof(why))) {
		send_broken(fd, "%s: %s", it->found, why);
		return;
	}
	x = schedule_run(&it->scenario, &s, &it->options.limits, false, &followed);
	if (x->outcome == RUN_VIOLATION) {
		v = x->violation;
		schedule_shrink(&it->scenario, &s, &v, &it->options.limits, SHRINK_RUNS);
	}
	send_tale(it, &s, fd);
	schedule_free(&s);
}

bool item_work(struct item *it, size_t piece, int fd)
{
	if (piece != PIECE_TALE)
		return search_piece(it, piece, fd);
	tell(it, fd);
	return false;
}
