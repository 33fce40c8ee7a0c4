/* SPDX-License-Identifier: MIT */
/* What run, replay and merge print and write: in the order of the items, whenever each of them ended. */
#ifndef ANYKVM_EXPLORE_OUTPUT_H
#define ANYKVM_EXPLORE_OUTPUT_H

#include "command/item.h"
#include "command/order.h"

struct tally {
	size_t violations, broken, proved, searched, stopped;
};

/* One item: a violation's report, or a line or certificate (if it is the only one). */
void output_item(const struct options *o, const struct item *it, bool alone);
void output_count(struct tally *t, const struct item *it);
/* The last line of more than one item. */
void output_tally(const struct options *o, const struct tally *t);
/* Before a search: false after a message if --json or --html could not be written then. Makes no file. */
bool output_may_write(const struct options *o);
/* --json and --html; order: NULL with one item. False after a message. */
bool output_files(const struct options *o, const struct item *it, size_t nr,
		  const struct order *order);
/* Exit status of it all. */
int output_status(const struct tally *t);

#endif
