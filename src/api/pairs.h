/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_API_PAIRS_H
#define ANYKVM_API_PAIRS_H

#include "mem/notifier.h"

/* Above this many ranges one pair covers all memory instead: right, only dearer. */
#define PAIRS_MAX 16

struct pairs {
	u32 nr, nr_open;
	struct {
		u64 start, end;
	} range[PAIRS_MAX];
	struct mem_inval_token t[PAIRS_MAX];
};

void pairs_init(struct pairs *p);
/* False: all memory is covered now, and there is nothing more to add. */
bool pairs_add(struct pairs *p, u64 start, u64 end);
void pairs_add_all(struct pairs *p);
/* Opens a pair over each range; flags as mem_invalidate_start's. */
void pairs_start(struct pairs *p, u32 flags);
void pairs_end(struct pairs *p);
/* file_calls.c: pairs where [from, to) of the file dev:inode is mapped in this process. */
void pairs_start_of_file(struct pairs *pairs, u64 dev, u64 inode, u64 from, u64 to);

#endif
