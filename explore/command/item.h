/* SPDX-License-Identifier: MIT */
/*
 * The search of one scenario as the command sees it: rounds of pieces (search/part.h), each done in a worker, and at the end one more
 * piece that tells of a violation. What comes of it does not depend on who did the pieces, or when.
 */
#ifndef ANYKVM_EXPLORE_ITEM_H
#define ANYKVM_EXPLORE_ITEM_H

#include "command/command.h"
#include "report/report.h"

enum item_state {
	ITEM_SEARCHING,
	ITEM_TELLING, /* a violation is cut down and written about */
	/* It is over: */
	ITEM_DONE,
	ITEM_BROKEN,  /* a worker crashed, or the scenario does not repeat */
	ITEM_STOPPED, /* by a signal, before there was anything to say */
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
	bool want_json, want_html;
	int out; /* file descriptor that the text is for: its width and colours */
	enum item_state state;
	char *plan; /* of this round; NULL: there is none left */
	uint64_t plan_hash;
	unsigned round;			/* 1... for each plan that it went on with */
	size_t nr_pieces, given, ended; /* of this round */
	size_t first; /* number of its first piece among those of all items in a plan */
	unsigned running;
	char *results;	 /* of its pieces that ended */
	char *order;	 /* edges of the lock order graph seen by all pieces: sorted lines */
	double since;	 /* running is not 0, on the clock */
	double spent;	 /* seconds with a worker at it, before that */
	bool *has_ended; /* which pieces of this round */
	bool cut;	 /* no more pieces: time is over or a signal came */
	char *early;	 /* schedule of a violation that a piece of the round under way found */
	size_t early_piece;
	struct search_result
		result; /* of the rounds that ended; schedule and violation are not kept */
	char *found;	/* its schedule as text, if a violation was found */
	double seconds; /* that its pieces took together */
	struct search_result latest; /* of the pieces of this round that ended: for progress */
	char *broken;		     /* why, in words */
	struct tale tale;
};

void item_init(struct item *it, const struct options *o, const struct explore_scenario *sc);
/* Begins with round 0. */
void item_plan(struct item *it);
/* Goes on with a plan; takes it over. */
void item_continue(struct item *it, char *plan);
void item_free(struct item *it);
bool item_over(const struct item *it);

/* What a worker can do for it now: a piece of the search, or the tale. False: nothing. */
/* Seconds in which some worker was at it: what --seconds limits, so that scenarios do not take each other's time. */
double item_seconds(const struct item *it);
/* The piece that item_next() just gave is for somebody else. */
void item_pass(struct item *it);
#define PIECE_TALE ((size_t)-1)
bool item_next(struct item *it, size_t *piece);
/* Whether what the worker does at this piece is of no use any more. */
bool item_needs(const struct item *it, size_t piece);
/* In the worker. True: it can do another piece of the same round. */
bool item_work(struct item *it, size_t piece, int fd);
/* In the parent. *progress gets what the worker says of itself. */
void item_message(struct item *it, size_t piece, uint32_t type, const void *data, size_t size,
		  struct search_result *progress);
/* unites: this process has all pieces of a round, so the end of the last is the end of the round. */
void item_ended(struct item *it, size_t piece, int signal, int status, bool unites);
/* When there is no piece for it and none runs: time may have ended it between two rounds. */
void item_settle(struct item *it);
/* After the pool ended: what is not over yet was stopped. */
void item_stop(struct item *it);
/*
 * After the last piece of a round was added to it->results (by workers, or from files): the next round, the tale or the end. False: the
 * results are not those of this plan; why is in it->broken.
 */
bool item_unite(struct item *it);
void item_break(struct item *it, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds edges to it->order. */
void item_add_order(struct item *it, const char *lines);
void item_add_results(struct item *it, const char *text);

/* Writes the tale of the execution that s makes; false if it shows no violation. Runs it in this process. */
bool tale_make(struct tale *t, const struct item *it, const struct schedule *s);
void tale_free(struct tale *t);

#endif
