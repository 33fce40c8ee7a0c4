/* SPDX-License-Identifier: MIT */
/*
 * The shadow: for each word, the uses that a later one may race with.
 *
 * A use is a fiber, the fiber's own clock when it happened, the bytes, and whether it wrote and was atomic. It came before what
 * a fiber does now if the fiber's clock of happens-before has caught up with it. Two uses of one byte race if neither came
 * before the other, one writes, and not both are atomic. A use need not be kept once another one came after it that races with
 * everything that the first would race with: it writes if the first did, and is plain if the first was. Nothing else is ever
 * dropped, so no race of this execution is missed.
 *
 * Freeing is checked against every use, atomic or not. A block's cells are the ones between its lo and hi; they are given up
 * when it is freed, so that the next access finds no cell and asks for the block.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap/heap.h"

#define MAX_MORE (1u << 22)

struct more {
	uint32_t clock, context, next;
	uint16_t step;
	uint8_t who, mask;
};

/* Of this execution. */
static bool is_valid(const struct cell *c)
{
	return c->run >= heap.run;
}

static struct more *more; /* 1... */
static uint32_t nr_more;
static uint32_t saved_more; /* as many at the last checkpoint */

static size_t region_words(const struct explore_region *r)
{
	uintptr_t start = (uintptr_t)r->start & ~(WORD - 1);

	return ((uintptr_t)r->start + r->size - start + WORD - 1) / WORD;
}

void shadow_init(void)
{
	const struct explore_suite *suite = heap.suite;

	heap.cell = heap_reserve(ARENA_SIZE / WORD * sizeof(*heap.cell));
	more = heap_reserve(MAX_MORE * sizeof(*more));
	for (size_t i = 0; i < suite->nr_locals; i++) {
		uintptr_t start = (uintptr_t)suite->local[i].start;
		uintptr_t end = start + suite->local[i].size;

		if (!heap.local_start || start < heap.local_start)
			heap.local_start = start;
		if (end > heap.local_end)
			heap.local_end = end;
	}
	if (!suite->nr_regions)
		return;
	heap.region_cell = heap_reserve(suite->nr_regions * sizeof(*heap.region_cell));
	heap.region_start = UINTPTR_MAX;
	for (size_t i = 0; i < suite->nr_regions; i++) {
		uintptr_t start = (uintptr_t)suite->region[i].start & ~(WORD - 1);
		uintptr_t end = (uintptr_t)suite->region[i].start + suite->region[i].size;

		heap.region_cell[i] =
			heap_reserve(region_words(&suite->region[i]) * sizeof(struct cell));
		if (start < heap.region_start)
			heap.region_start = start;
		if (end > heap.region_end)
			heap.region_end = end;
	}
}

void shadow_begin(void)
{
	nr_more = 0;
}

static void digest_cells(struct digest *d, const struct cell *c, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		if (is_valid(&c[i]))
			saved_hash(&d->part[DIGEST_SHADOW], &c[i], sizeof(c[i]));
}

void shadow_digest(struct digest *d)
{
	const struct explore_suite *suite = heap.suite;

	for (uint32_t i = 1; i <= heap.nr_blocks; i++) {
		const struct block *b = &heap.block[i];

		digest_cells(d, &heap.cell[(b->start - heap.base) >> WORD_SHIFT], b->lo, b->hi);
	}
	for (size_t i = 0; i < suite->nr_regions; i++)
		digest_cells(d, heap.region_cell[i], 0, region_words(&suite->region[i]));
	saved_hash(&d->part[DIGEST_SHADOW], more, (nr_more + 1) * sizeof(*more));
}

void shadow_keep(void (*keep)(void *p, size_t size))
{
	keep(&nr_more, sizeof(nr_more));
	saved_more = nr_more;
}

void shadow_resumed(void)
{
	saved_more = nr_more;
}

void shadow_forget(void)
{
	const struct explore_suite *suite = heap.suite;

	madvise(heap.cell, ARENA_SIZE / WORD * sizeof(*heap.cell), MADV_DONTNEED);
	for (size_t i = 0; i < suite->nr_regions; i++)
		memset(heap.region_cell[i], 0,
		       region_words(&suite->region[i]) * sizeof(struct cell));
}

static uint32_t take_more(void)
{
	if (++nr_more < MAX_MORE)
		return nr_more;
	fprintf(stderr, "explore: an execution uses too many words in too many ways\n");
	exit(2);
}

static struct cell *region_cell(uintptr_t word)
{
	const struct explore_suite *suite = heap.suite;

	for (size_t i = 0; i < suite->nr_regions; i++) {
		uintptr_t start = (uintptr_t)suite->region[i].start;

		if (word + WORD > start && word < start + suite->region[i].size)
			return &heap.region_cell[i][(word - (start & ~(WORD - 1))) >> WORD_SHIFT];
	}
	return NULL;
}

static uint8_t valid_bytes_in(const struct block *b, uintptr_t word)
{
	uintptr_t left = b->start + b->size - word;

	return left < WORD ? (1u << left) - 1 : 0xff;
}

/* Bytes of the word that belong to its block, or to the state of the process. */
static uint8_t valid_bytes(uintptr_t word)
{
	const struct explore_suite *suite = heap.suite;
	uint8_t bytes = 0;

	if (heap_contains(word))
		return valid_bytes_in(heap_block(word), word);
	for (size_t i = 0; i < suite->nr_regions; i++)
		for (unsigned k = 0; k < WORD; k++)
			if (word + k - (uintptr_t)suite->region[i].start < suite->region[i].size)
				bytes |= 1u << k;
	return bytes;
}

/* Of one that is valid. */
static void cell_change(struct cell *c)
{
	undo_touch(&c->run, c, sizeof(*c));
}

static void reset_cell(struct cell *c)
{
	undo_push(&c->run, sizeof(c->run));
	c->run = undo.epoch;
	c->mask[0] = c->mask[1] = 0;
	c->more = 0;
	c->flags = 0;
}

/* The first use of a word in this execution. */
static void enter_cell(struct fiber *f, struct cell *c, const struct use *a)
{
	struct block *b;
	uint32_t index;

	reset_cell(c);
	if (!heap_contains(a->word)) {
		c->flags = valid_bytes(a->word) == 0xff ? 0 : CELL_PARTIAL;
		return;
	}
	c->run = 0;
	b = heap_block(a->word);
	/* The last granule of a block may end in words that are not the block's. */
	if (!b || (b->live && a->word >= b->start + b->size))
		blame_wild(f, a);
	if (!b->live)
		blame_freed(f, b, a);
	c->run = undo.epoch;
	c->flags =
		guard_flags(b, a->word) | (valid_bytes_in(b, a->word) == 0xff ? 0 : CELL_PARTIAL);
	index = (a->word - b->start) >> WORD_SHIFT;
	if (index < b->lo || index >= b->hi)
		block_change(b);
	if (index < b->lo)
		b->lo = index;
	if (index + 1 > b->hi)
		b->hi = index + 1;
}

static struct cell *cell_of(uintptr_t word)
{
	return heap_contains(word) ? &heap.cell[(word - heap.base) >> WORD_SHIFT]
				   : region_cell(word);
}

bool shadow_is_quiet(uintptr_t addr)
{
	const struct cell *c = cell_of(addr & ~(WORD - 1));

	return c && is_valid(c) && (c->flags & CELL_QUIET);
}

void shadow_note_size(uintptr_t addr, size_t size)
{
	struct cell *c = cell_of(addr & ~(WORD - 1));
	uint8_t both = CELL_WHOLE | CELL_HALF;

	if (!c || !is_valid(c))
		return;
	cell_change(c);
	if (size >= WORD)
		c->flags |= CELL_WHOLE;
	else if (addr & 4)
		c->flags |= CELL_HALF;
	if (UNLIKELY((c->flags & both) == both))
		blame_sizes(addr);
}

void explore_quiet(const void *p, size_t size)
{
	uintptr_t start = (uintptr_t)p & ~(WORD - 1), end = (uintptr_t)p + size;
	struct fiber *f = engine_current;

	f->in_runtime++;
	for (uintptr_t word = start; word < end; word += WORD) {
		struct use a = {.word = word,
				.mask = 0xff,
				.how = HOW_ATOMIC,
				.pc = (uintptr_t)__builtin_return_address(0)};
		struct cell *c = cell_of(word);

		if (!c)
			continue;
		if (is_valid(c))
			cell_change(c);
		else
			enter_cell(f, c, &a);
		c->flags |= CELL_QUIET;
	}
	f->in_runtime--;
}

static bool came_before(const struct fiber *f, uint8_t who, uint32_t clock)
{
	return (who & HOW_FIBER) == f->id || clock <= f->sync.t[who & HOW_FIBER];
}

/* Whether the new use makes the old one superfluous: it came before, and all that races with it races with the new one. */
static bool replaces(uint8_t how, uint8_t who)
{
	return ((how & HOW_WRITE) || !(who & HOW_WRITE)) &&
	       (!(how & HOW_ATOMIC) || (who & HOW_ATOMIC));
}

/* What is left of mask, the bytes of a use before a. True in *race: the two race. */
static inline uint8_t check_past(const struct fiber *f, const struct use *a, uint8_t mask,
				 uint8_t who, uint32_t clock, bool *race)
{
	if (!(mask & a->mask))
		return mask;
	if (came_before(f, who, clock))
		return replaces(a->how, who) ? mask & ~a->mask : mask;
	*race = ((a->how | who) & HOW_WRITE) && !(a->how & who & HOW_ATOMIC);
	return mask;
}

static struct past_use past_of(const struct cell *c, unsigned slot)
{
	return (struct past_use){c->who[slot], c->step[slot], c->context[slot]};
}

static struct past_use past_more(const struct more *m)
{
	return (struct past_use){m->who, m->step, m->context};
}

static inline void check_slot(struct fiber *f, const struct use *a, struct cell *c, unsigned slot)
{
	struct past_use past;
	bool race = false;

	c->mask[slot] = check_past(f, a, c->mask[slot], c->who[slot], c->clock[slot], &race);
	if (LIKELY(!race))
		return;
	past = past_of(c, slot);
	blame_race(f, a, &past);
}

/* Those taken since the last checkpoint are given up by a return to it. */
static void more_change(uint32_t nr)
{
	if (nr <= saved_more)
		undo_push(&more[nr], sizeof(more[nr]));
}

static uint32_t check_list(struct fiber *f, const struct use *a, uint32_t first)
{
	uint32_t *link = &first, from = 0;

	while (*link) {
		struct more *m = &more[*link];

		bool race = false;
		uint8_t mask = check_past(f, a, m->mask, m->who, m->clock, &race);
		struct past_use past;

		if (race) {
			past = past_more(m);
			blame_race(f, a, &past);
		}
		if (mask != m->mask) {
			more_change(*link);
			m->mask = mask;
		}
		if (mask) {
			link = &m->next;
			from = m - more;
			continue;
		}
		if (from)
			more_change(from);
		*link = m->next;
	}
	return first;
}

static void keep_use(struct fiber *f, const struct use *a, struct cell *c)
{
	uint8_t who = f->id | a->how;
	unsigned slot = !(a->how & HOW_WRITE);
	uint32_t step = engine_step() + 1;

	/* The other slot will do, unless it is the one that a use of this kind looks for first. */
	if (c->mask[slot] && !c->mask[!slot])
		slot = !slot;
	if (c->mask[slot] && (c->who[slot] != who || c->clock[slot] != f->sync.t[f->id])) {
		uint32_t nr = take_more();

		slot = !(a->how & HOW_WRITE);
		more[nr] = (struct more){.clock = c->clock[slot],
					 .context = c->context[slot],
					 .next = c->more,
					 .step = c->step[slot],
					 .who = c->who[slot],
					 .mask = c->mask[slot]};
		c->more = nr;
		c->mask[slot] = 0;
	}
	c->mask[slot] |= a->mask;
	c->who[slot] = who;
	c->clock[slot] = f->sync.t[f->id];
	c->step[slot] = step <= UINT16_MAX ? step : 0;
	c->context[slot] = context_of(f, a->pc);
}

static void use_cell(struct fiber *f, struct cell *c, const struct use *given)
{
	struct use a = *given;

	if (UNLIKELY(c->run != undo.epoch)) {
		if (is_valid(c))
			cell_change(c);
		else
			enter_cell(f, c, &a);
	}
	if (UNLIKELY(c->flags & CELL_PARTIAL)) {
		uint8_t valid = valid_bytes(a.word);

		if ((a.mask & ~valid) && heap_contains(a.word))
			blame_wild(f, &a);
		a.mask &= valid;
	}
	if (UNLIKELY(c->flags & CELL_TRACKED))
		guard_access(f, &a, c->flags);
	check_slot(f, &a, c, 0);
	check_slot(f, &a, c, 1);
	if (UNLIKELY(c->more))
		c->more = check_list(f, &a, c->more);
	if (LIKELY(a.mask))
		keep_use(f, &a, c);
}

/* The same fiber used these bytes the same way since its clock moved: nothing new can be learnt. */
static bool seen(const struct cell *c, const struct fiber *f, const struct use *a)
{
	uint32_t now = f->sync.t[f->id];

	if (UNLIKELY(c->run != undo.epoch) || c->flags & CELL_GUARDED)
		return false;
	if (c->who[0] == (f->id | HOW_WRITE) && c->clock[0] == now && !(a->mask & ~c->mask[0]))
		return true;
	return !a->how && c->who[1] == f->id && c->clock[1] == now && !(a->mask & ~c->mask[1]);
}

/*
 * The use that this one would take the place of differs by no more than where it was: since then nothing came to the word that this one
 * races with and that one did not.
 */
static bool renewed(struct cell *c, const struct fiber *f, const struct use *a)
{
	unsigned slot = !(a->how & HOW_WRITE);
	uint32_t step = engine_step() + 1;

	if (c->run != undo.epoch || c->who[slot] != (f->id | a->how) || c->mask[slot] != a->mask ||
	    c->clock[slot] != f->sync.t[f->id] || c->flags & CELL_GUARDED)
		return false;
	c->step[slot] = step <= UINT16_MAX ? step : 0;
	c->context[slot] = context_of(f, a->pc);
	return true;
}

/*
 * Setup and finish are alone: what they do comes before, or after, all that threads do, and races with nothing. So only what they
 * reach is looked at, and no cell is touched.
 */
static void reach_alone(struct fiber *f, uintptr_t addr, size_t size, uint8_t how, uintptr_t pc)
{
	struct use a = {.word = addr & ~(WORD - 1), .mask = 0xff, .how = how, .pc = pc};
	const struct block *b;

	if (!heap_contains(addr))
		return;
	b = heap_block(addr);
	if (LIKELY(b && b->live && addr + size <= b->start + b->size))
		return;
	f->in_runtime++;
	if (b && !b->live)
		blame_freed(f, b, &a);
	blame_wild(f, &a);
}

void shadow_access(struct fiber *f, const struct use *a)
{
	struct cell *c;

	if (!engine_concurrent) {
		unsigned from = __builtin_ctz(a->mask), to = 32 - __builtin_clz(a->mask);

		reach_alone(f, a->word + from, to - from, a->how, a->pc);
		return;
	}
	c = cell_of(a->word);
	if (UNLIKELY(!c))
		return;
	if (seen(c, f, a) || renewed(c, f, a))
		return;
	f->in_runtime++;
	use_cell(f, c, a);
	f->in_runtime--;
}

void shadow_range(struct fiber *f, uintptr_t addr, size_t size, uint8_t how, uintptr_t pc)
{
	struct use a = {.how = how, .pc = pc};
	uintptr_t end = addr + size;

	if (!engine_concurrent) {
		reach_alone(f, addr, size, how, pc);
		return;
	}
	while (addr < end) {
		uintptr_t next = (addr | (WORD - 1)) + 1;
		unsigned from = addr & (WORD - 1), to = next <= end ? WORD : end & (WORD - 1);

		a.word = addr & ~(WORD - 1);
		a.mask = (0xffu << from) & (0xffu >> (WORD - to));
		shadow_access(f, &a);
		addr = next;
	}
}

static void check_free(struct fiber *f, struct block *b, uintptr_t pc, uint8_t mask, uint32_t clock,
		       struct past_use past)
{
	if (mask && !came_before(f, past.who, clock))
		blame_unordered_free(f, b, pc, &past);
}

void shadow_free(struct fiber *f, struct block *b, uintptr_t pc)
{
	struct cell *c = &heap.cell[(b->start - heap.base) >> WORD_SHIFT];

	if (!b->live) {
		struct use a = {.word = b->start, .how = HOW_WRITE, .pc = pc};

		blame_freed(f, b, &a);
	}
	if (heap_in_finish(f))
		return;
	for (uint32_t i = b->lo; i < b->hi; i++) {
		if (!is_valid(&c[i]))
			continue;
		cell_change(&c[i]);
		check_free(f, b, pc, c[i].mask[0], c[i].clock[0], past_of(&c[i], 0));
		check_free(f, b, pc, c[i].mask[1], c[i].clock[1], past_of(&c[i], 1));
		for (uint32_t m = c[i].more; m; m = more[m].next)
			check_free(f, b, pc, more[m].mask, more[m].clock, past_more(&more[m]));
		c[i].run = 0;
	}
}

void heap_check_plain_write(uintptr_t addr, size_t size, uintptr_t pc)
{
	struct fiber *f = engine_current;

	if (f)
		shadow_range(f, addr, size, HOW_WRITE, pc);
}

void heap_check_access(uintptr_t addr, size_t size, bool write, uintptr_t pc)
{
	struct fiber *f = engine_current;

	if (!f)
		return;
	shadow_range(f, addr, size, HOW_ATOMIC | (write ? HOW_WRITE : HOW_READ), pc);
	/* Counts and words that are slept on; of a lock only the address matters. */
	if (size > 1 && engine_concurrent)
		shadow_note_size(addr, size);
}
