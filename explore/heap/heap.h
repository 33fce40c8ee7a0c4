/* SPDX-License-Identifier: MIT */
/*
 * Inside the heap: the arena, its blocks, the shadow of its words.
 *
 * The arena is one reservation, cut into as many parts as there are fibers. Each part is a bump allocator, so that an address
 * depends on what its fiber allocated before and on nothing else. An execution's blocks have numbers; a map of the arena's
 * 16-byte granules, and one of its pages for large blocks, gives the number for an address. Nothing of this is cleared between executions: granules below the bump
 * pointer were written by this execution, and a shadow cell counts only if it carries the number of this execution.
 */
#ifndef ANYKVM_EXPLORE_HEAP_H
#define ANYKVM_EXPLORE_HEAP_H

#include "engine/engine.h"
#include "engine/undo.h"

#define LIKELY(c)   __builtin_expect(!!(c), 1)
#define HOOK	    __attribute__((visibility("default"), used)) /* called by compilers */
#define UNLIKELY(c) __builtin_expect(!!(c), 0)

#define PART_SHIFT 28
#define PART_SIZE  (1ul << PART_SHIFT)
#define ARENA_SIZE (PART_SIZE * MAX_FIBERS)
_Static_assert(ARENA_SIZE == HEAP_SIZE, "the heap is the arena");
#define GRANULE_SHIFT 4
#define GRANULE	      (1ul << GRANULE_SHIFT)
#define PAGE_SHIFT    12
#define PAGE	      (1ul << PAGE_SHIFT)
#define WORD_SHIFT    3
#define WORD	      (1ul << WORD_SHIFT)
#define MAX_BLOCKS    (1u << 20)
#define NOBODY	      0xffu
#define MAX_PARTS     8

struct type {
	const char *name;
	uint32_t run; /* execution that count is of */
	uint32_t count[MAX_FIBERS];
	uint32_t guards;    /* first of the suite's guards for this type, from 1; 0: none */
	uint8_t *word;	    /* flags of the first nr_words words' cells; NULL without guards */
	uint8_t *word_part; /* which part each is in */
	uint32_t nr_words;
	size_t part
		[MAX_PARTS]; /* offsets of parts with guards of their own, from 1; part 0 is the whole */
	uint32_t nr_parts;
};

/* Where something was done: a site, in short. */
struct place {
	uint32_t context;
	uint32_t step;
	uint8_t fiber;
};

struct block {
	uintptr_t start;
	size_t size;
	struct type *type;
	uint32_t seq;	 /* of that fiber: 1, 2... */
	uint32_t number; /* of that type and fiber: 1, 2... */
	uint32_t lo, hi; /* words that have cells in this execution: from, up to */
	uint32_t things; /* first of the engine's objects in it, 0: none */
	uint32_t older;	 /* freed block that may be handed out again */
	uint32_t epoch;	 /* in which it was saved last */
	uint8_t fiber;	 /* that allocated it */
	uint8_t owner
		[MAX_PARTS]; /* the only fiber that used the part while threads ran, or NOBODY yet */
	bool live;
	uint8_t published; /* a second fiber used the part: bits */
	struct place allocated, freed;
};

/* How a word was used. Besides the fiber's number in a byte. */
enum {
	HOW_READ = 0,
	HOW_WRITE = 0x40,
	HOW_ATOMIC = 0x80,
	HOW_FIBER = 0x0f,
};

/*
 * The shadow of one word: who used it last, as far as a later access may race with it. Slot 0 is usually a write, slot 1 a read;
 * what does not fit is in a list.
 */
struct cell {
	uint32_t
		run; /* epoch in which it was saved last: before heap.run, it is of another execution */
	uint32_t clock[2];
	uint32_t context[2]; /* call stack */
	uint16_t step[2];    /* 1 + number of the event, 0: unknown */
	uint8_t who[2];
	uint8_t mask[2];    /* bytes; 0: unused */
	uint32_t more : 24; /* first of the list, 0: none */
	uint32_t flags : 8;
};
_Static_assert(sizeof(struct cell) == 32, "four words of shadow for one");

enum {
	CELL_GUARDED = 1,  /* some guard is about this word */
	CELL_TRACKED = 2,  /* in a block whose type has guards */
	CELL_QUIET = 4,	   /* atomic operations on it are none of the explorer's */
	CELL_WHOLE = 8,	   /* used by atomic operations of its size or more */
	CELL_HALF = 16,	   /* its second half was used by atomic operations of that half */
	CELL_PARTIAL = 32, /* not all of it belongs to the block, or to the state of the process */
};

struct use {
	uintptr_t word; /* address of the word */
	uint8_t mask;
	uint8_t how;
	uintptr_t pc;
};

struct arena_part {
	uintptr_t next; /* bump pointer */
	uint32_t seq;
};

/* Of the same part, whatever the execution at hand does. */
struct arena_extent {
	uintptr_t ready; /* accessible up to here */
	uintptr_t dirty; /* used by some execution up to here */
	uintptr_t
		saved; /* bump pointer at the last checkpoint: what is beyond it need not be saved */
};

/* Memory that code under test stores to, in chunks that are saved before the first store to them. */
#define CHUNK_SHIFT 6
#define CHUNK	    (1ul << CHUNK_SHIFT)
struct span {
	uintptr_t start, end;
	uint32_t *epoch; /* of each chunk: when it was saved last */
};
#define MAX_SPANS 8

struct heap {
	size_t page_size;    /* of the system */
	uintptr_t base;	     /* of the arena */
	uint32_t run;	     /* first epoch of this execution */
	struct cell *cell;   /* of the arena's words */
	uint32_t *page;	     /* block of each page that is all of one block, 0: see the granule */
	uint32_t *granule;   /* block of each granule, 0: none */
	struct block *block; /* 1... */
	uint32_t nr_blocks;
	uint32_t nr_live;
	uint32_t freed; /* most recently freed block, if memory may be handed out again */
	struct arena_part part[MAX_FIBERS];
	struct arena_extent extent[MAX_FIBERS];
	uint32_t *epoch;	     /* of the arena's chunks */
	struct span span[MAX_SPANS]; /* registered memory */
	unsigned nr_spans;
	bool no_checkpoints; /* there are more regions than spans */
	const struct explore_scenario *scenario;
	const struct explore_suite *suite;
	uint32_t *next_guard; /* for the same type */
	/* process-wide state: each region has cells of its own */
	uintptr_t region_start, region_end; /* around all */
	struct cell **region_cell;
	uintptr_t local_start, local_end; /* around all that is a thread's own */
};
extern struct heap heap;

/* Memory that costs nothing until it is touched. Ends the process without. */
void *heap_reserve(size_t size);
/* The block that addr is in or was in; NULL in a gap or where nothing was allocated. */
struct block *heap_block(uintptr_t addr);
struct type *heap_type(const char *name);
void heap_types_init(void);
void heap_block_name(const struct block *b, char *buf, size_t size);

/* What an access is about to do to one word: violation or return. */
void shadow_access(struct fiber *f, const struct use *a);
/* A range: of any size and alignment. */
void shadow_range(struct fiber *f, uintptr_t addr, size_t size, uint8_t how, uintptr_t pc);
/* The block goes: each use of it must come before. */
void shadow_free(struct fiber *f, struct block *b, uintptr_t pc);
/* The running call stack by number, with pc as innermost; and back. */
uint32_t context_of(const struct fiber *f, uintptr_t pc);
void context_site(uint32_t context, int fiber, struct site *out);
void place_site(const struct place *p, struct site *out);
struct place context_place(const struct fiber *f, uintptr_t pc);
void context_init(void);
void context_begin(void);
/* Numbers may be running out. */
bool context_full(void);

void shadow_init(void);
void shadow_begin(void);
bool shadow_is_quiet(uintptr_t addr);
/* An atomic operation of that size: a violation if the search cannot tell that it depends on others there. */
void shadow_note_size(uintptr_t addr, size_t size);
/* Numbers of executions start again. */
void shadow_forget(void);
void types_forget(void);
void atomics_forget(void);
void shadow_digest(struct digest *d);
void shadow_keep(void (*keep)(void *p, size_t size));
void shadow_resumed(void);
static inline void block_change(struct block *b)
{
	undo_touch(&b->epoch, b, sizeof(*b));
}

/* An access by f to a block whose type has guards. */
void guard_access(struct fiber *f, const struct use *a, uint8_t flags);
void guard_init(struct type *t);
void guard_block(struct block *b, uint8_t owner);
uint8_t guard_flags(const struct block *b, uintptr_t word);

/* A word was used by what is in a cell: who, from where. */
struct past_use {
	uint8_t who;
	uint16_t step;
	uint32_t context;
};
__attribute__((noreturn)) void blame_race(struct fiber *f, const struct use *a,
					  const struct past_use *past);
__attribute__((noreturn)) void blame_unordered_free(struct fiber *f, struct block *b, uintptr_t pc,
						    const struct past_use *past);
__attribute__((noreturn)) void blame_freed(struct fiber *f, const struct block *b,
					   const struct use *a);
__attribute__((noreturn)) void blame_sizes(uintptr_t addr);
__attribute__((noreturn)) void blame_wild(struct fiber *f, const struct use *a);

/*
 * Whether f is fiber 0 before the threads exist, or after they have ended: its clock has then heard of the first. What it does there
 * comes before, or after, all that they do.
 */
static inline bool heap_in_setup(const struct fiber *f)
{
	return !engine_concurrent && !f->id && !f->sync.t[1];
}
static inline bool heap_in_finish(const struct fiber *f)
{
	return !engine_concurrent && !f->id && f->sync.t[1];
}

static inline bool heap_contains(uintptr_t addr)
{
	return addr - heap.base < ARENA_SIZE;
}
#endif
