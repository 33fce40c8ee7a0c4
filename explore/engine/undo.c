/* SPDX-License-Identifier: MIT */
#include "engine/undo.h"

#include <stdio.h>
#include <stdlib.h>

#define SHADOW_SIZE 32 /* of what is saved most often */

struct undo undo;

void saved_grow(struct saved *s, size_t needed)
{
	while (s->room < needed)
		s->room = s->room ? 2 * s->room : 4096;
	s->data = realloc(s->data, s->room);
	if (s->data)
		return;
	fprintf(stderr, "explore: no memory for checkpoints\n");
	exit(2);
}

void saved_undo(struct saved *s, size_t from)
{
	while (s->used > from) {
		const struct saved_entry *e = (const struct saved_entry *)(s->data + s->used) - 1;

		s->used -= sizeof(*e) + saved_padded(e->size);
		if (e->size == SHADOW_SIZE)
			__builtin_memcpy(e->start, s->data + s->used, SHADOW_SIZE);
		else
			__real_memcpy(e->start, s->data + s->used, e->size);
	}
}

void saved_copy_back(const struct saved *s)
{
	struct saved all = *s;

	saved_undo(&all, 0);
}

void saved_hash(uint64_t *hash, const void *p, size_t size)
{
	const unsigned char *byte = p;

	for (size_t i = 0; i < size; i++)
		*hash = (*hash ^ byte[i]) * 0x100000001b3u;
	*hash = (*hash ^ size) * 0x100000001b3u;
}
