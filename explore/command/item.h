/* SPDX-License-Identifier: MIT */
/* A piece of work: one scenario (or a part of its search) done in a worker, and what came back. */
#ifndef ANYKVM_EXPLORE_ITEM_H
#define ANYKVM_EXPLORE_ITEM_H

#include "command/command.h"
#include "report/report.h"

enum item_state {
	ITEM_WAITING,
	ITEM_RUNNING,
	ITEM_DONE,
	ITEM_BROKEN,  /* the worker crashed, or the scenario does not repeat */
	ITEM_STOPPED, /* by a signal, before there was a result */
};

/* What is told of a violation; each malloc'ed, NULL if there is none. */
struct tale {
	char *schedule; /* shrunk, as text */
	char *verdict;	/* first line */
	char *id;
	char *text, *json, *html;
};

struct item {
	const struct explore_suite *suite;
	const char *mutant;
	struct explore_scenario scenario; /* of the suite, with the faults that were asked for */
	struct search_options options;
	const char *replay; /* a schedule to tell of instead of a search */
	bool want_json, want_html;
	int out; /* file descriptor that the text is for: its width and colours */
	enum item_state state;
	bool has_result;
	struct search_result
		result; /* its schedule and violation's pointers are the worker's: not to be used */
	double began;
	char *broken; /* why, in words */
	char *order;  /* lock order graph, as engine_lock_order_export() */
	struct tale tale;
};

void item_init(struct item *it, const struct options *o, const struct explore_scenario *sc);
void item_free(struct item *it);
/* In the worker. */
void item_work(struct item *it, int fd);
/* In the parent: what came from the worker, and its end. */
void item_message(struct item *it, uint32_t type, const void *data, size_t size);
void item_ended(struct item *it, int signal, int status);
/* Writes the tale of the execution that s makes; false if it shows no violation. Runs it in this process. */
bool tale_make(struct tale *t, const struct item *it, const struct schedule *s);
void tale_free(struct tale *t);

#endif
