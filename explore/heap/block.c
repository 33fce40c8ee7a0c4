/* SPDX-License-Identifier: MIT */
/*
 * Blocks by name: types, numbers, keys, and what is left at the end. Numbers count per type and allocating fiber, so that an
 * object has the same name in every order in which its fiber does the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap.h"

#define MAX_TYPES 512
#define MAX_ALIAS 2048 /* a power of two: addresses of names */

static struct type type_table[MAX_TYPES];
static unsigned nr_types;
static struct alias {
	const char *name;
	struct type *type;
} alias[MAX_ALIAS];
static unsigned nr_aliases;

static struct type *find_type(const char *name)
{
	for (unsigned i = 0; i < nr_types; i++)
		if (!strcmp(type_table[i].name, name))
			return &type_table[i];
	if (nr_types == MAX_TYPES) {
		fprintf(stderr, "explore: more than %u types of objects\n", MAX_TYPES);
		exit(2);
	}
	type_table[nr_types].name = name;
	return &type_table[nr_types++];
}

struct type *heap_type(const char *name)
{
	unsigned i = ((uintptr_t)name >> 2) * 2654435761u;
	struct type *t;

	for (;; i++) {
		struct alias *a = &alias[i % MAX_ALIAS];

		if (!a->name) {
			if (nr_aliases++ == MAX_ALIAS / 2) {
				fprintf(stderr, "explore: more than %u names of types\n",
					MAX_ALIAS / 2);
				exit(2);
			}
			a->name = name;
			a->type = find_type(name);
		}
		if (a->name == name) {
			t = a->type;
			break;
		}
	}
	if (t->run != heap.run) {
		t->run = heap.run;
		memset(t->count, 0, sizeof(t->count));
	}
	return t;
}

void types_forget(void)
{
	for (unsigned i = 0; i < nr_types; i++)
		type_table[i].run = 0;
}

/* Guards name types before any object of them exists. */
void heap_types_init(void)
{
	const struct explore_guard *guard = heap.suite->guard;

	if (!heap.suite->nr_guards)
		return;
	heap.next_guard = heap_reserve((heap.suite->nr_guards + 1) * sizeof(*heap.next_guard));
	for (size_t i = heap.suite->nr_guards; i > 0; i--) {
		struct type *t = heap_type(guard[i - 1].type);

		heap.next_guard[i] = t->guards;
		t->guards = i;
	}
	for (unsigned i = 0; i < nr_types; i++)
		guard_init(&type_table[i]);
}

void heap_block_name(const struct block *b, char *buf, size_t size)
{
	if (b->fiber)
		snprintf(buf, size, "%s #T%u.%" PRIu32, b->type->name, b->fiber, b->number);
	else
		snprintf(buf, size, "%s #%" PRIu32, b->type->name, b->number);
}

bool heap_describe(uintptr_t addr, char *buf, size_t size)
{
	struct block *b = heap_block(addr);
	size_t n;

	if (!b)
		return false;
	heap_block_name(b, buf, size);
	n = strlen(buf);
	if (addr != b->start)
		snprintf(buf + n, size - n, "+%#lx", (unsigned long)(addr - b->start));
	return true;
}

static uint64_t key_in(const struct block *b, uintptr_t addr)
{
	uint64_t h;

	h = ((uint64_t)(b->fiber + 1) << 56) ^ ((uint64_t)b->seq << 32) ^ (addr - b->start);
	h ^= h >> 31;
	h *= 0x7fb5d329728ea185u;
	h ^= h >> 27;
	h *= 0x81dadef4bc2dd44du;
	h ^= h >> 33;
	return h ? h : 1;
}

uint64_t heap_key(uintptr_t addr)
{
	const struct block *b = heap_block(addr);

	return b ? key_in(b, addr) : 0;
}

uint64_t heap_name(uintptr_t addr, uint32_t thing, uint32_t *next)
{
	struct block *b = heap_block(addr);

	if (!b)
		return 0;
	block_change(b);
	*next = b->things;
	b->things = thing;
	return key_in(b, addr);
}

static bool before(const struct block *a, const struct block *b)
{
	return a->fiber != b->fiber ? a->fiber < b->fiber : a->seq < b->seq;
}

/* "2 struct foo, 1 struct bar" of all that live, by name; the first of them. */
static const struct block *list_leaks(char *buf, size_t size)
{
	const struct block *first = NULL;
	const struct type *last = NULL;
	size_t n = 0;

	buf[0] = '\0';
	for (;;) {
		const struct type *type = NULL;
		unsigned count = 0;

		for (uint32_t i = 1; i <= heap.nr_blocks; i++) {
			const struct block *b = &heap.block[i];

			if (!b->live || (last && strcmp(b->type->name, last->name) <= 0))
				continue;
			if (!type || strcmp(b->type->name, type->name) < 0) {
				type = b->type;
				count = 0;
			}
			count += b->type == type;
			if (!first || before(b, first))
				first = b;
		}
		if (!type)
			return first;
		if (n < size)
			n += snprintf(buf + n, size - n, "%s%u %s", n ? ", " : "", count,
				      type->name);
		last = type;
	}
}

__attribute__((noreturn, noinline)) static void blame_leaks(void)
{
	struct violation v = {.kind = BAD_LEAK};
	const struct block *first;
	char list[400];

	first = list_leaks(list, sizeof(list));
	snprintf(v.message, sizeof(v.message), "never freed: %s", list);
	heap_block_name(first, v.object, sizeof(v.object));
	place_site(&first->allocated, &v.other[0]);
	v.site = v.other[0];
	v.other_what[0] = "allocated by";
	v.nr_others = 1;
	engine_violation(&v);
}

void heap_check_leaks(void)
{
	if (heap.nr_live && !(heap.scenario->flags & EXPLORE_LEAKS_ALLOWED))
		blame_leaks();
}
