/* SPDX-License-Identifier: MIT */
/*
 * The story of a violation: what the text, the JSON and the page all tell, taken out of the record of an execution once. Lines are in the
 * order in which things happened; those that have nothing to do with the violation are folded.
 */
#ifndef ANYKVM_EXPLORE_REPORT_STORY_H
#define ANYKVM_EXPLORE_REPORT_STORY_H

#include "report/report.h"
#include "report/symbols.h"

#define MAX_FRAMES 12
#define MAX_TEXT   560

enum line_kind {
	LINE_PLAN,	/* a heading of its thread: the step of the plan that begins here */
	LINE_OPERATION, /* of the record */
	LINE_ACCESS, /* a plain load or store that a site of the violation names: not in the record */
	LINE_SWITCH,	/* another thread goes on */
	LINE_FOLD,	/* operations that do not matter */
	LINE_VIOLATION, /* where it showed */
};
const char *line_kind_name(enum line_kind kind);

struct stack {
	struct frame frame[MAX_FRAMES];
	unsigned nr;
};

struct line {
	enum line_kind kind;
	int fiber;
	char text[MAX_TEXT];
	const char *holds; /* locks and sections held behind it, "" if none or not known */
	struct stack stack;
	const struct record *record; /* LINE_OPERATION */
	uint32_t folded;	     /* LINE_FOLD: operations */
	int to;			     /* LINE_SWITCH: who goes on */
	bool preempted;		     /* LINE_SWITCH: the old one could have gone on */
	bool finish;		     /* of fiber 0: behind the threads, not before them */
	int edge_from;		     /* line whose order before this one made the difference; -1 */
};

struct story_site {
	char what[48]; /* "freed by" */
	int fiber;
	struct stack stack;
};

struct story {
	const struct report_violation *in;
	char id[REPORT_ID];
	char verdict[1024];
	struct line *line;
	size_t nr_lines, size_lines;
	bool column[MAX_FIBERS]; /* has lines */
	struct story_site site[4];
	unsigned nr_sites;
	char cycle_text[MAX_FIBERS][800];
	unsigned nr_cycle;
	char *missing;		      /* "X must come before Y", NULL if no order would help */
	int missing_from, missing_to; /* lines of X and Y, -1 */
	char *replay;		      /* command line */
};

struct story *story_new(const struct report_violation *v);
void story_free(struct story *s);

/* The name of the thread; of fiber 0 "setup", for a line behind the threads "finish". */
const char *story_fiber(const struct story *s, int fiber);
const char *story_line_fiber(const struct story *s, const struct line *l);
/* "freed by close(gmem)", "lock taken in vCPU". */
void story_site_head(const struct story *s, const struct story_site *site, char *buf, size_t size);
/* The frame that names the place; NULL if there is none. */
const struct frame *story_frame(const struct stack *stack);
/* "gmem_release (src/mem/gmem.c:212)", "" if the stack is empty. */
void story_place(const struct stack *stack, char *buf, size_t size);

/*
 * Which lines of the record matter (slice.c): keep[i] is set for those. All switches, what the violation is about, and what made the
 * switches matter; no more than a screen can show.
 */
void slice_record(const struct execution *x, bool *keep);
/* Whether name stands in text, whole: "struct vm #1" is not in "struct vm #10". An offset in name ("+0x8") does not count. */
bool slice_mentions(const char *text, const char *name);
/*
 * Where the plain access of the violation's other site i goes: the index of the record behind which, -2 - the index of that before which;
 * -1: it has a record, or its place is not known.
 */
int slice_access(const struct execution *x, unsigned i);
bool slice_same_site(const struct site *a, const struct site *b);

#endif
