/* SPDX-License-Identifier: MIT */
/*
 * Call stacks by number, so that a shadow cell can say from where a word was used. Each function's entry extends a hash of the
 * path that led to it; hash and program counter find the stack that was kept when they were first seen together. Numbers depend
 * on what the process ran before, but nobody sees them: only the stacks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap.h"

#define NR_SLOTS    (1u << 16) /* a power of two */
#define NR_CONTEXTS (NR_SLOTS / 2)
#define MAX_DEPTH   (sizeof(((struct fiber *)0)->call) / sizeof(uintptr_t))

struct slot {
	uint64_t hash; /* 0: unused */
	uint32_t context;
};

struct stack {
	uintptr_t pc[MAX_STACK];
};

static struct slot *slots;
static struct stack *stacks;
static uint32_t nr_contexts;
static uint64_t path[MAX_FIBERS][MAX_DEPTH + 1];

void context_init(void)
{
	slots = heap_reserve(NR_SLOTS * sizeof(*slots));
	stacks = heap_reserve(NR_CONTEXTS * sizeof(*stacks));
}

bool context_full(void)
{
	return nr_contexts > NR_CONTEXTS / 2;
}

/* Only cells of the running execution know numbers: between two, all may be forgotten. */
void context_begin(void)
{
	if (!context_full())
		return;
	memset(slots, 0, NR_SLOTS * sizeof(*slots));
	nr_contexts = 0;
}

static inline uint64_t extend(uint64_t hash, uintptr_t pc)
{
	hash = (hash ^ pc) * 0x9e3779b97f4a7c15u;
	return hash ^ (hash >> 29);
}

static uint32_t keep_stack(const struct fiber *f, uintptr_t pc)
{
	struct site s;

	if (nr_contexts == NR_CONTEXTS) {
		fprintf(stderr, "explore: an execution calls its code in more than %u ways\n",
			NR_CONTEXTS);
		exit(2);
	}
	engine_site(f, pc, &s);
	for (unsigned i = 0; i < MAX_STACK; i++)
		stacks[nr_contexts].pc[i] = s.pc[i];
	return nr_contexts++;
}

uint32_t context_of(const struct fiber *f, uintptr_t pc)
{
	uint32_t depth = f->depth < MAX_DEPTH ? f->depth : MAX_DEPTH;
	uint64_t hash = extend(path[f->id][depth], pc) | 1;

	for (uint32_t i = hash >> 32;; i++) {
		struct slot *s = &slots[i % NR_SLOTS];

		if (LIKELY(s->hash == hash))
			return s->context;
		if (s->hash)
			continue;
		s->hash = hash;
		s->context = keep_stack(f, pc);
		return s->context;
	}
}

void context_site(uint32_t context, int fiber, struct site *out)
{
	for (unsigned i = 0; i < MAX_STACK; i++)
		out->pc[i] = stacks[context].pc[i];
	out->fiber = fiber;
}

struct place context_place(const struct fiber *f, uintptr_t pc)
{
	return (struct place){.context = context_of(f, pc), .step = engine_step(), .fiber = f->id};
}

void place_site(const struct place *p, struct site *out)
{
	context_site(p->context, p->fiber, out);
	out->step = p->step;
}

void heap_keep_fiber(const struct fiber *f, void (*keep)(void *p, size_t size))
{
	uint32_t depth = f->depth < MAX_DEPTH ? f->depth : MAX_DEPTH;

	keep(path[f->id], (depth + 1) * sizeof(path[0][0]));
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
