/* SPDX-License-Identifier: MIT */
/* What the parts of the command share: its options, its exit statuses, finding scenarios by name. */
#ifndef ANYKVM_EXPLORE_COMMAND_H
#define ANYKVM_EXPLORE_COMMAND_H

#include "search/search.h"

#include <stdio.h>

enum command_status {
	STATUS_CLEAN = 0,      /* nothing found */
	STATUS_VIOLATION = 1,  /* a rule is broken, or a worker broke down */
	STATUS_MISUSE = 2,     /* the command line, a name or a file makes no sense */
	STATUS_UNFINISHED = 3, /* of merge: there is another round */
	STATUS_STOPPED =
		128, /* + number of the signal: stopped by it before the end, nothing found so far */
};

#define MAX_JOBS  256u
#define MAX_PARTS 65536u

struct options {
	const struct explore_suite *suite;
	const char *self; /* path of this program: what plan prints and what a stopped run names */
	int argc;	  /* the whole command line, unsorted */
	char **argv;
	FILE *out;	   /* of reports for people */
	const char **word; /* arguments that are no options */
	size_t nr_words;
	const struct explore_scenario **scenario; /* chosen by names, in the suite's order */
	size_t nr_scenarios;
	bool all, details, quiet, stats;
	const char *mutant;  /* to be built */
	const char *mutated; /* this program was built with it */
	bool mode_given, jobs_given;
	struct search_options search; /* mode, bound, seed, runs, seconds */
	int faults;		      /* -1: as each scenario says */
	unsigned jobs;
	unsigned parts, part;		  /* run --part K/N: part is K - 1, parts 0: all of it */
	const char *json, *html, *result; /* files to write */
	const char *plan;		  /* of run --part: the file with the plan */
	const char *folder;		  /* of plan: where the files of the campaign are */
	const char *next;		  /* of merge: file for the commands of the next round */
	bool stop;			  /* of merge: this was the last round */
};

/* Fills o in from the words behind the subcommand. -1, or the exit status with which it is over (--help, misuse). */
int options_parse(int argc, char **argv, struct options *o);
void options_free(struct options *o);
void help_print(const struct explore_suite *suite);

/* The scenarios that o->word names (shell patterns are allowed) or o->all means. False after a message. */
bool scenarios_choose(struct options *o);
/* The same for run and plan, where --mutant alone picks those that should find it. */
bool scenarios_to_run(struct options *o);
const struct explore_scenario *scenario_find(const struct explore_suite *suite, const char *name);
/* Whether the comma-separated list has this name. */
bool list_has(const char *list, const char *name);
/*
 * ", the nearest are a, b" in buf from the names that come closest to name, or "" if none is near. next gives the names one by
 * one, then NULL.
 */
void nearest_names(const char *name, const char *(*next)(void *arg, size_t i), void *arg, char *buf,
		   size_t size);

/* "explore: ..." on stderr. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int list_main(struct options *o);
int run_main(struct options *o);
int replay_main(struct options *o);
int plan_main(struct options *o);
int merge_main(struct options *o);
/*
 * Builds the program with o->mutant in it and becomes it, with the same arguments but --mutant. Returns the exit status if it
 * cannot.
 */
int mutant_exec(struct options *o);
/* The program that a command line for others names: not the one that was made for a fault. */
const char *own_program(const struct options *o);

#endif
