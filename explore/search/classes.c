/* SPDX-License-Identifier: MIT */
/* Open addressing, at most half full. Hashes are good as they are. */
#include "search/classes.h"

#include <stdlib.h>
#include <string.h>

#include "search/memory.h"

static void insert(struct classes *c, uint64_t hash)
{
	uint64_t i = hash & (c->room - 1);

	while (c->slot[i] && c->slot[i] != hash)
		i = (i + 1) & (c->room - 1);
	if (c->slot[i])
		return;
	c->slot[i] = hash;
	c->nr++;
}

static void grow(struct classes *c)
{
	struct classes old = *c;

	c->room = old.room ? 2 * old.room : 1024;
	c->slot = memory_get(c->room * sizeof(*c->slot));
	c->nr = 0;
	for (uint64_t i = 0; i < old.room; i++)
		if (old.slot[i])
			insert(c, old.slot[i]);
	free(old.slot);
}

bool classes_add(struct classes *c, uint64_t hash)
{
	uint64_t before;

	hash += !hash;
	if (2 * c->nr >= c->room)
		grow(c);
	before = c->nr;
	insert(c, hash);
	if (c->nr == before)
		return false;
	c->hash += (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
	return true;
}

void classes_free(struct classes *c)
{
	free(c->slot);
	memset(c, 0, sizeof(*c));
}
