/* SPDX-License-Identifier: MIT */
#include "engine/undo.h"

#include <stdio.h>
#include <stdlib.h>

#define ALIGN 8u

/* Not the memory functions that the code under test calls: what is copied here is not looked at. */
void *__real_memcpy(void *to, const void *from, size_t size);

struct undo undo;

/* Behind its bytes, so that the entries can be read from the end. */
struct entry {
	void *start;
	size_t size;
};

static size_t padded(size_t size)
{
	return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void grow(struct saved *s, size_t needed)
{
	while (s->room < needed)
		s->room = s->room ? 2 * s->room : 4096;
	s->data = realloc(s->data, s->room);
	if (s->data)
		return;
	fprintf(stderr, "explore: no memory for checkpoints\n");
	exit(2);
}

void saved_add(struct saved *s, const void *p, size_t size)
{
	size_t end = s->used + padded(size);
	struct entry e = {(void *)p, size};

	if (end + sizeof(e) > s->room)
		grow(s, end + sizeof(e));
	__real_memcpy(s->data + s->used, p, size);
	__real_memcpy(s->data + end, &e, sizeof(e));
	s->used = end + sizeof(e);
}

void saved_undo(struct saved *s, size_t from)
{
	while (s->used > from) {
		const struct entry *e = (const struct entry *)(s->data + s->used) - 1;

		s->used -= sizeof(*e) + padded(e->size);
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
