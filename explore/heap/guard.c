/* SPDX-License-Identifier: MIT */
/*
 * Guards: fields that the suite declares to be protected by a lock of their object. A write without it is wrong once a second
 * thread has used the object, or the part of it that the guard is of; until then, nobody else has found it and its maker may fill it
 * in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap.h"

/* Which of the type's parts the guard is of; made if need be. */
static uint32_t part_of(struct type *t, const struct explore_guard *g)
{
	uint32_t i = 1;

	if (!g->part_size)
		return 0;
	while (i <= t->nr_parts && t->part[i] != g->part_offset)
		i++;
	if (i == MAX_PARTS) {
		fprintf(stderr, "explore: %s has guards in more than %u parts\n", t->name,
			MAX_PARTS - 1);
		exit(2);
	}
	if (i > t->nr_parts)
		t->part[t->nr_parts = i] = g->part_offset;
	return i;
}

/* Objects are aligned to more than a word, so a word of the type is a word of each. */
void guard_init(struct type *t)
{
	size_t end = 0;

	for (uint32_t i = t->guards; i; i = heap.next_guard[i]) {
		const struct explore_guard *g = &heap.suite->guard[i - 1];

		if (g->offset + g->size > end)
			end = g->offset + g->size;
		if (g->part_offset + g->part_size > end)
			end = g->part_offset + g->part_size;
	}
	if (!end)
		return;
	t->nr_words = (end + WORD - 1) >> WORD_SHIFT;
	t->word = heap_reserve(t->nr_words);
	t->word_part = heap_reserve(t->nr_words);
	memset(t->word, CELL_TRACKED, t->nr_words);
	for (uint32_t i = t->guards; i; i = heap.next_guard[i]) {
		const struct explore_guard *g = &heap.suite->guard[i - 1];

		for (size_t w = g->offset >> WORD_SHIFT; w << WORD_SHIFT < g->offset + g->size; w++)
			t->word[w] |= CELL_GUARDED;
		if (g->part_size)
			memset(t->word_part + (g->part_offset >> WORD_SHIFT), part_of(t, g),
			       (g->part_size + WORD - 1) >> WORD_SHIFT);
	}
}

uint8_t guard_flags(const struct block *b, uintptr_t word)
{
	const struct type *t = b->type;
	size_t i = (word - b->start) >> WORD_SHIFT;

	if (!t->word)
		return 0;
	return i < t->nr_words ? t->word[i] : CELL_TRACKED;
}

static bool overlaps(const struct use *a, uintptr_t start, size_t size)
{
	for (unsigned i = 0; i < WORD; i++)
		if ((a->mask & (1u << i)) && a->word + i - start < size)
			return true;
	return false;
}

__attribute__((noreturn)) static void blame_guard(struct fiber *f, const struct block *b,
						  const struct explore_guard *g,
						  const struct use *a)
{
	struct violation v = {.kind = BAD_GUARD};
	char name[80];

	heap_block_name(b, name, sizeof(name));
	snprintf(v.object, sizeof(v.object), "%s", name);
	snprintf(v.message, sizeof(v.message), "%s of %s is used without %s", g->field, name,
		 g->lock);
	engine_site(f, a->pc, &v.site);
	place_site(&b->allocated, &v.other[0]);
	v.other_what[0] = "allocated by";
	v.nr_others = 1;
	engine_violation(&v);
}

static void use_part(struct block *b, unsigned part, int fiber)
{
	if (b->owner[part] == fiber || b->published & 1u << part)
		return;
	block_change(b);
	if (b->owner[part] == NOBODY)
		b->owner[part] = fiber;
	else
		b->published |= 1u << part;
}

void guard_block(struct block *b, uint8_t owner)
{
	memset(b->owner, owner, sizeof(b->owner));
	b->published = 0;
}

void guard_access(struct fiber *f, const struct use *a, uint8_t flags)
{
	struct block *b = heap_block(a->word);
	size_t word;

	if (!engine_concurrent || !b)
		return;
	word = (a->word - b->start) >> WORD_SHIFT;
	use_part(b, 0, f->id);
	if (word < b->type->nr_words && b->type->word_part[word])
		use_part(b, b->type->word_part[word], f->id);
	if (!b->published || !(flags & CELL_GUARDED) || (a->how & HOW_ATOMIC))
		return;
	for (uint32_t i = b->type->guards; i; i = heap.next_guard[i]) {
		const struct explore_guard *g = &heap.suite->guard[i - 1];
		int needed = a->how & HOW_WRITE ? 2 : g->read_too;

		if (!needed || !(b->published & 1u << part_of(b->type, g)) ||
		    !overlaps(a, b->start + g->offset, g->size))
			continue;
		if (explore_lock_held((void *)(b->start + g->lock_offset)) < needed)
			blame_guard(f, b, g, a);
	}
}

void heap_own(uintptr_t addr)
{
	struct block *b = heap_block(addr);

	if (!b || !engine_concurrent)
		return;
	block_change(b);
	guard_block(b, engine_current->id);
}
