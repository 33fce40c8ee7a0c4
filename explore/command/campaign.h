/* SPDX-License-Identifier: MIT */
/* All scenarios of one command, searched by one pool of workers; and the files in which a round of them travels. */
#ifndef ANYKVM_EXPLORE_CAMPAIGN_H
#define ANYKVM_EXPLORE_CAMPAIGN_H

#include "command/output.h"

struct campaign {
	const struct options *o;
	struct item *item;
	size_t nr;
	unsigned round; /* of the plan file */
};

/* An item for each chosen scenario. */
bool campaign_init(struct campaign *c, const struct options *o);
void campaign_free(struct campaign *c);
/* Does all rounds of all items, prints each item when those before it are over. */
void campaign_run(struct campaign *c);
/* Does the pieces of this round that belong to part of parts, and no more. */
void campaign_run_part(struct campaign *c, unsigned part, unsigned parts);
/* What comes after the last item: inversions between scenarios, the last line, files. Returns the exit status. */
int campaign_finish(struct campaign *c);

/*
 * Files. A plan has what a worker machine must know: the options that matter, and for each scenario the plan of its round, or what it
 * came to. Results have the pieces that one command did. Both name the program by the hash of its machine code, and results name their
 * plan: what does not belong together is not united.
 */
bool plan_write(const struct campaign *c, const char *path);
/* Sets o's options and chooses its scenarios by the plan. hash: of the file. */
bool plan_read(struct campaign *c, struct options *o, const char *path, uint64_t *hash);
bool results_write(const struct campaign *c, const char *path, uint64_t plan_hash, unsigned part,
		   unsigned parts);
/* Adds the pieces in path to c's items. */
bool results_read(struct campaign *c, const char *path, uint64_t plan_hash);
/* Whether path is a plan (1), results (2), neither (0) after a message. */
int file_kind(const char *path);

#endif
