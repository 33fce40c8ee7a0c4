/* SPDX-License-Identifier: MIT */
/*
 * What people and programs read after a search: the story of a violation as text, JSON and HTML, the certificate of a search that
 * found none, the line of progress, the table of a campaign.
 *
 * Nothing printed here depends on addresses, time, or how often something was tried, but where its name says so: the same schedule
 * gives the same bytes.
 */
#ifndef ANYKVM_EXPLORE_REPORT_H
#define ANYKVM_EXPLORE_REPORT_H

#include "search/search.h"

#include <stdio.h>

struct report_violation {
	const struct explore_suite *suite;
	const struct explore_scenario *scenario;
	const struct execution *x;	 /* run again with recording on */
	const struct schedule *schedule; /* what made x: for the replay line */
	const char *mutant;		 /* name of the broken form, NULL: none */
};

struct report_style {
	unsigned width; /* columns, 80 to 200 */
	bool colour;
};

/* From the terminal on fd: its width and whether to colour it (not with NO_COLOR set); 100 columns if it is none. */
struct report_style report_style_of(int fd);

void report_text(FILE *out, const struct report_violation *v, const struct report_style *style);
void report_json(FILE *out, const struct report_violation *v);
void report_html(FILE *out, const struct report_violation *v);
/* The first line of the text, without its newline. */
void report_verdict(char *buf, size_t size, const struct report_violation *v);
/*
 * "gmem-dying-file-3f2a91c0": the scenario, and a hash of the kind of violation, the type of its object and the functions where it
 * showed: the same for the same fault in another order, with another compiler, after lines have moved. size: REPORT_ID.
 */
#define REPORT_ID 96
void report_id(char *buf, size_t size, const struct report_violation *v);

/* A search that found nothing: proved or searched. */
struct report_search {
	const struct explore_suite *suite;
	const struct explore_scenario *scenario;
	const struct search_options *options; /* NULL: not known (a merged campaign) */
	const struct search_result *result;
	const char *mutant;
};
void report_certificate(FILE *out, const struct report_search *s, const struct report_style *style);
void report_certificate_json(FILE *out, const struct report_search *s);
/* One line: "gmem-dying-file: proved: 27 classes", "...: searched: bound 2 exhausted, 41 % covered". */
void report_search_line(char *buf, size_t size, const struct report_search *s);

/* Of what a scenario says about itself, and of the machine code of the program: 16 hex digits each. */
uint64_t report_scenario_hash(const struct explore_scenario *sc);
uint64_t report_code_hash(void);

/*
 * While a search runs: "gmem-dying-file: 1,204,000 runs, 251 k/s, 37 % covered, about 8 s left". This line has time in it. Returns
 * its length.
 */
size_t report_progress(char *buf, size_t size, const struct explore_scenario *sc,
		       const struct search_result *so_far);

#endif
