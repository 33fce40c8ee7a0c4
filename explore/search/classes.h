/* SPDX-License-Identifier: MIT */
/* A set of class hashes. */
#ifndef ANYKVM_EXPLORE_CLASSES_H
#define ANYKVM_EXPLORE_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

struct classes {
	uint64_t *slot; /* 0: free */
	uint64_t nr, room;
	uint64_t hash; /* of the set, whatever the order */
};

/* False: it was there. */
bool classes_add(struct classes *c, uint64_t hash);
void classes_free(struct classes *c);

#endif
