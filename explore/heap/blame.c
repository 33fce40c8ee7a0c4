/* SPDX-License-Identifier: MIT */
/*
 * Violations of the heap in words: what was done to which object, where, and where the other side is. A use is called a use,
 * not a read or a write, where compilers differ: gcc tells of the read in x++, clang of the write only.
 */
#include <stdio.h>
#include <string.h>

#include "heap/heap.h"

static void add_other(struct violation *v, const char *what, const struct site *site)
{
	v->other_what[v->nr_others] = what;
	v->other[v->nr_others++] = *site;
}

static void add_place(struct violation *v, const char *what, const struct place *place)
{
	struct site s;

	place_site(place, &s);
	add_other(v, what, &s);
}

static void add_use(struct violation *v, const char *what, const struct past_use *past)
{
	struct site s;

	context_site(past->context, past->who & HOW_FIBER, &s);
	s.step = past->step - 1u;
	add_other(v, what, &s);
}

static const char *past_what(uint8_t how)
{
	static const char *const whats[] = {"read by", "written by", "read atomically by",
					    "written atomically by"};

	return whats[!!(how & HOW_WRITE) + 2 * !!(how & HOW_ATOMIC)];
}

void blame_race(struct fiber *f, const struct use *a, const struct past_use *past)
{
	struct violation v = {.kind = BAD_DATA_RACE};
	uintptr_t addr = a->word + __builtin_ctz(a->mask | 0x100u);
	const struct block *b = heap_block(a->word);
	char name[96];

	engine_describe(addr, name, sizeof(name));
	snprintf(v.message, sizeof(v.message),
		 "%s is %s by one thread and %s by another, and nothing orders the two", name,
		 past->who & HOW_WRITE ? "written" : "read",
		 past->who & HOW_WRITE ? "used" : "written");
	snprintf(v.object, sizeof(v.object), "%s", name);
	engine_site(f, a->pc, &v.site);
	add_use(&v, past_what(past->who), past);
	if (b)
		add_place(&v, "allocated by", &b->allocated);
	engine_violation(&v);
}

void blame_unordered_free(struct fiber *f, struct block *b, uintptr_t pc,
			  const struct past_use *past)
{
	struct violation v = {.kind = BAD_USE_AFTER_FREE};
	char name[96];

	heap_block_name(b, name, sizeof(name));
	snprintf(v.message, sizeof(v.message),
		 "%s may be used after it is freed: nothing orders the two", name);
	snprintf(v.object, sizeof(v.object), "%s", name);
	engine_site(f, pc, &v.site);
	add_use(&v, past_what(past->who), past);
	add_place(&v, "allocated by", &b->allocated);
	engine_violation(&v);
}

void blame_freed(struct fiber *f, const struct block *b, const struct use *a)
{
	struct violation v = {.kind = a->mask ? BAD_USE_AFTER_FREE : BAD_DOUBLE_FREE};
	char name[96];

	heap_block_name(b, name, sizeof(name));
	snprintf(v.object, sizeof(v.object), "%s", name);
	if (!a->mask)
		snprintf(v.message, sizeof(v.message), "%s is freed twice", name);
	else if (a->word == b->start)
		snprintf(v.message, sizeof(v.message), "%s is used after it was freed", name);
	else
		snprintf(v.message, sizeof(v.message), "%s is used at +%#lx after it was freed",
			 name, (unsigned long)(a->word - b->start));
	engine_site(f, a->pc, &v.site);
	add_place(&v, "freed by", &b->freed);
	add_place(&v, "allocated by", &b->allocated);
	engine_violation(&v);
}

/* The block that ends before addr: what it went beyond, most likely. */
static const struct block *block_before(uintptr_t addr)
{
	for (uintptr_t g = addr & ~(GRANULE - 1); heap_contains(g) && addr - g < 4096;
	     g -= GRANULE) {
		const struct block *b = heap_block(g);

		if (b)
			return b;
	}
	return NULL;
}

void blame_wild(struct fiber *f, const struct use *a)
{
	struct violation v = {.kind = BAD_WILD_ACCESS};
	const struct block *b = block_before(a->word);
	const char *what = a->mask ? "used" : "freed";
	char name[96];

	engine_site(f, a->pc, &v.site);
	if (!b) {
		snprintf(v.message, sizeof(v.message), "memory that was never allocated is %s",
			 what);
		engine_violation(&v);
	}
	heap_block_name(b, name, sizeof(name));
	snprintf(v.object, sizeof(v.object), "%s", name);
	if (a->word < b->start + b->size && !a->mask)
		snprintf(v.message, sizeof(v.message), "the inside of %s is freed", name);
	else
		snprintf(v.message, sizeof(v.message), "%s has %zu bytes and is %s beyond them",
			 name, b->size, what);
	add_place(&v, "allocated by", &b->allocated);
	engine_violation(&v);
}

void blame_sizes(uintptr_t addr)
{
	char name[96];

	engine_describe(addr & ~(WORD - 1), name, sizeof(name));
	engine_violation_text(BAD_ASSERTION,
			      "%s is used by atomic operations on all of it and on its second "
			      "half, which is not supported",
			      name);
}
