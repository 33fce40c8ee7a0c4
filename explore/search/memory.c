/* SPDX-License-Identifier: MIT */
#include "search/memory.h"

#include <stdio.h>
#include <stdlib.h>

static void *check(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "explore: no memory for the search\n");
	exit(2);
}

void *memory_get(size_t size)
{
	return check(calloc(1, size ? size : 1));
}

void *memory_grow(void *p, uint32_t *room, size_t size)
{
	*room = *room ? 2 * *room : 64;
	return check(realloc(p, *room * size));
}
