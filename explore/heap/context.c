/* SPDX-License-Identifier: MIT */
/*
 * Call stacks by number, so that a shadow cell can say from where a word was used. Each function's entry extends a hash of the
 * path that led to it; hash and program counter find the stack that was kept when they were first seen together. Numbers depend
 * on what the process ran before, but nobody sees them: only the stacks.
 */
#include <stdio.h>
#include <stdlib.h>

#include "heap/heap.h"

#define NR_CONTEXTS (1u << 18) /* a power of two */
#define MAX_DEPTH   (sizeof(((struct fiber *)0)->call) / sizeof(uintptr_t))

struct context {
	uint64_t hash; /* 0: unused */
	uintptr_t pc[MAX_STACK];
};

static struct context *table;
static uint32_t nr_contexts;
static uint64_t path[MAX_FIBERS][MAX_DEPTH + 1];

void context_init(void)
{
	table = heap_reserve(NR_CONTEXTS * sizeof(*table));
}

static inline uint64_t extend(uint64_t hash, uintptr_t pc)
{
	hash = (hash ^ pc) * 0x9e3779b97f4a7c15u;
	return hash ^ (hash >> 29);
}

static void keep_context(struct context *c, uint64_t hash, const struct fiber *f, uintptr_t pc)
{
	struct site s;

	if (++nr_contexts > NR_CONTEXTS / 2) {
		fprintf(stderr, "explore: the code under test is called in more than %u ways\n",
			NR_CONTEXTS / 2);
		exit(2);
	}
	engine_site(f, pc, &s);
	for (unsigned i = 0; i < MAX_STACK; i++)
		c->pc[i] = s.pc[i];
	c->hash = hash;
}

uint32_t context_of(const struct fiber *f, uintptr_t pc)
{
	uint32_t depth = f->depth < MAX_DEPTH ? f->depth : MAX_DEPTH;
	uint64_t hash = extend(path[f->id][depth], pc) | 1;

	for (uint32_t i = hash >> 32;; i++) {
		struct context *c = &table[i % NR_CONTEXTS];

		if (LIKELY(c->hash == hash))
			return i % NR_CONTEXTS;
		if (c->hash)
			continue;
		keep_context(c, hash, f, pc);
		return i % NR_CONTEXTS;
	}
}

void context_site(uint32_t context, int fiber, struct site *out)
{
	for (unsigned i = 0; i < MAX_STACK; i++)
		out->pc[i] = table[context].pc[i];
	out->fiber = fiber;
}

HOOK void __tsan_func_entry(void *caller);
HOOK void __tsan_func_exit(void);

void __tsan_func_entry(void *caller)
{
	struct fiber *f = engine_current;
	uint32_t depth;

	if (!f)
		return;
	depth = f->depth++;
	if (UNLIKELY(depth >= MAX_DEPTH))
		return;
	f->call[depth] = (uintptr_t)caller;
	path[f->id][depth + 1] = extend(path[f->id][depth], (uintptr_t)caller);
}

void __tsan_func_exit(void)
{
	struct fiber *f = engine_current;

	if (f && f->depth)
		f->depth--;
}
