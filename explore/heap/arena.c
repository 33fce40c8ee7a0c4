/* SPDX-License-Identifier: MIT */
/*
 * The arena: allocation and freeing. Freed memory is not handed out again within an execution, so that each stale pointer is
 * known as one; with EXPLORE_REUSE it may be, as a choice, which shows what a program does when the address is taken again.
 * Memory is zeroed when it is handed out, and only where an earlier execution used it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap/heap.h"

/* Free in every address space of 39 bits or more, and far from where programs and the kernel put things. */
#define PREFERRED_BASE 0x2000000000ul
#define NR_SIZES       256
#define READY_STEP     (1ul << 20)
#define LARGE	       (128ul << 10)

struct heap heap;
uintptr_t heap_start;

void *heap_reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("explore: cannot reserve memory");
		exit(2);
	}
	return p;
}

static void reserve_arena(void)
{
	void *p = mmap((void *)PREFERRED_BASE, ARENA_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != MAP_FAILED && p != (void *)PREFERRED_BASE) {
		munmap(p, ARENA_SIZE);
		p = MAP_FAILED;
		errno = EEXIST;
	}
	if (p == MAP_FAILED && errno == EEXIST) {
		fprintf(stderr,
			"explore: the heap's addresses from %#lx on are taken: programs that order "
			"by address may run "
			"differently in another process\n",
			PREFERRED_BASE);
		p = mmap(NULL, ARENA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	}
	if (p == MAP_FAILED) {
		perror("explore: cannot reserve the heap");
		exit(2);
	}
	heap.base = heap_start = (uintptr_t)p;
}

static void add_span(const struct explore_region *r)
{
	struct span *s = &heap.span[heap.nr_spans];

	if (heap.nr_spans == MAX_SPANS) {
		heap.no_checkpoints = true;
		return;
	}
	s->start = (uintptr_t)r->start;
	s->end = s->start + r->size;
	s->epoch = heap_reserve((r->size / CHUNK + 2) * sizeof(*s->epoch));
	heap.nr_spans++;
}

void heap_init(const struct explore_suite *suite)
{
	heap.suite = suite;
	heap.page_size = sysconf(_SC_PAGESIZE);
	reserve_arena();
	for (int i = 0; i < MAX_FIBERS; i++) {
		heap.extent[i].dirty = heap.extent[i].ready = heap.part[i].next =
			heap.base + i * PART_SIZE;
	}
	heap.epoch = heap_reserve(ARENA_SIZE / CHUNK * sizeof(*heap.epoch));
	for (size_t i = 0; i < suite->nr_regions; i++)
		add_span(&suite->region[i]);
	for (size_t i = 0; i < suite->nr_fixed; i++)
		add_span(&suite->fixed[i]);
	heap.page = heap_reserve(ARENA_SIZE / PAGE * sizeof(*heap.page));
	heap.granule = heap_reserve(ARENA_SIZE / GRANULE * sizeof(*heap.granule));
	heap.block = heap_reserve(MAX_BLOCKS * sizeof(*heap.block));
	heap_types_init();
	context_init();
	shadow_init();
}

static void note_dirty(void)
{
	for (int i = 0; i < MAX_FIBERS; i++)
		if (heap.part[i].next > heap.extent[i].dirty)
			heap.extent[i].dirty = heap.part[i].next;
}

static void chunks_forget(void)
{
	madvise(heap.epoch, ARENA_SIZE / CHUNK * sizeof(*heap.epoch), MADV_DONTNEED);
	for (unsigned i = 0; i < heap.nr_spans; i++)
		memset(heap.span[i].epoch, 0,
		       ((heap.span[i].end - heap.span[i].start) / CHUNK + 2) * sizeof(uint32_t));
}

void heap_begin(const struct explore_scenario *s)
{
	heap.scenario = s;
	if (undo.epoch >= UNDO_LAST_EPOCH) {
		undo.epoch = 0;
		shadow_forget();
		types_forget();
		atomics_forget();
		chunks_forget();
	}
	heap.run = ++undo.epoch;
	heap.nr_blocks = heap.nr_live = heap.freed = 0;
	note_dirty();
	for (int i = 0; i < MAX_FIBERS; i++) {
		heap.part[i].next = heap.base + i * PART_SIZE;
		heap.part[i].seq = 0;
	}
	context_begin();
	shadow_begin();
}

bool heap_can_resume(void)
{
	return !heap.no_checkpoints && undo.epoch < UNDO_LAST_EPOCH && !context_full();
}

void heap_keep(void (*keep)(void *p, size_t size))
{
	keep(&heap.nr_blocks, sizeof(heap.nr_blocks));
	keep(&heap.nr_live, sizeof(heap.nr_live));
	keep(&heap.freed, sizeof(heap.freed));
	keep(heap.part, sizeof(heap.part));
	for (int i = 0; i < MAX_FIBERS; i++)
		heap.extent[i].saved = heap.part[i].next;
	shadow_keep(keep);
}

void heap_digest(struct digest *d)
{
	for (int i = 0; i < MAX_FIBERS; i++) {
		uintptr_t start = heap.base + i * PART_SIZE, end = heap.part[i].next;

		saved_hash(&d->part[DIGEST_MEMORY], (void *)start, end - start);
		saved_hash(&d->part[DIGEST_BLOCKS],
			   &heap.granule[(start - heap.base) >> GRANULE_SHIFT],
			   ((end - start) >> GRANULE_SHIFT) * sizeof(*heap.granule));
		saved_hash(&d->part[DIGEST_BLOCKS], &heap.page[(start - heap.base) >> PAGE_SHIFT],
			   ((end - start) >> PAGE_SHIFT) * sizeof(*heap.page));
	}
	for (unsigned i = 0; i < heap.suite->nr_regions; i++)
		saved_hash(&d->part[DIGEST_REGIONS], heap.suite->region[i].start,
			   heap.suite->region[i].size);
	for (uint32_t i = 1; i <= heap.nr_blocks; i++)
		saved_hash(&d->part[DIGEST_BLOCKS], &heap.block[i], sizeof(heap.block[i]));
	shadow_digest(d);
}

void heap_resume(const struct explore_scenario *s)
{
	heap.scenario = s;
	note_dirty();
}

void heap_resumed(void)
{
	for (int i = 0; i < MAX_FIBERS; i++)
		heap.extent[i].saved = heap.part[i].next;
	shadow_resumed();
}

static void save_chunk(uint32_t *epoch, uintptr_t from, uintptr_t to)
{
	undo_touch(epoch, (void *)from, to - from);
}

static void save_in_span(struct span *s, uintptr_t addr, size_t size)
{
	uintptr_t base = s->start & ~(CHUNK - 1);

	for (uintptr_t at = addr & ~(CHUNK - 1); at < addr + size; at += CHUNK)
		save_chunk(&s->epoch[(at - base) >> CHUNK_SHIFT], at < s->start ? s->start : at,
			   at + CHUNK > s->end ? s->end : at + CHUNK);
}

void heap_save_chunks(uintptr_t addr, size_t size)
{
	if (heap_contains(addr)) {
		uintptr_t saved = heap.extent[(addr - heap.base) >> PART_SHIFT].saved;

		for (uintptr_t at = addr & ~(CHUNK - 1); at < addr + size && at < saved;
		     at += CHUNK)
			save_chunk(&heap.epoch[(at - heap.base) >> CHUNK_SHIFT], at, at + CHUNK);
		return;
	}
	for (unsigned i = 0; i < heap.nr_spans; i++)
		if (addr - heap.span[i].start < heap.span[i].end - heap.span[i].start)
			save_in_span(&heap.span[i], addr, size);
}

void explore_will_store(void *p, size_t size)
{
	heap_will_store((uintptr_t)p, size);
}

struct block *heap_block(uintptr_t addr)
{
	static uint32_t latest; /* mostly that of the next address as well */
	uintptr_t off = addr - heap.base;
	struct block *b = &heap.block[latest];
	uint32_t nr;

	/* Live blocks of this execution do not overlap. */
	if (latest && latest <= heap.nr_blocks && b->live && addr - b->start < b->size)
		return b;
	if (off >= ARENA_SIZE || addr >= heap.part[off >> PART_SHIFT].next)
		return NULL;
	nr = heap.page[off >> PAGE_SHIFT];
	if (!nr)
		nr = heap.granule[off >> GRANULE_SHIFT];
	if (!nr)
		return NULL;
	latest = nr;
	return &heap.block[nr];
}

/* Notes whose memory it is from start to end. A page that is not all of one block is looked up by its granules. */
static void mark(uintptr_t start, uintptr_t end, uint32_t nr)
{
	uintptr_t off = start - heap.base, last = end - heap.base;

	while (off < last) {
		uintptr_t next = (off | (PAGE - 1)) + 1;

		if (!(off & (PAGE - 1)) && next <= last && nr) {
			heap.page[off >> PAGE_SHIFT] = nr;
			off = next;
			continue;
		}
		heap.page[off >> PAGE_SHIFT] = 0;
		for (; off < next && off < last; off += GRANULE)
			heap.granule[off >> GRANULE_SHIFT] = nr;
	}
}

static void mark_save(uintptr_t start, uintptr_t end)
{
	uintptr_t off = start - heap.base, last = end - 1 - heap.base;

	undo_push(&heap.page[off >> PAGE_SHIFT],
		  ((last >> PAGE_SHIFT) - (off >> PAGE_SHIFT) + 1) * sizeof(*heap.page));
	undo_push(&heap.granule[off >> GRANULE_SHIFT],
		  ((last >> GRANULE_SHIFT) - (off >> GRANULE_SHIFT) + 1) * sizeof(*heap.granule));
}

/* Fresh memory of the part; 0 without. The gap to the block before is marked, and one behind it. */
static uintptr_t take_fresh(int fiber, size_t size, size_t align, uint32_t nr)
{
	struct arena_part *part = &heap.part[fiber];
	struct arena_extent *extent = &heap.extent[fiber];
	uintptr_t end_of_part = heap.base + (fiber + 1) * PART_SIZE;
	uintptr_t start = (part->next + align - 1) & ~(align - 1);
	uintptr_t end, next;

	if (size > PART_SIZE || start + size + 2 * GRANULE > end_of_part)
		return 0;
	end = (start + size + GRANULE - 1) & ~(GRANULE - 1);
	next = end + GRANULE;
	if (next > extent->ready) {
		uintptr_t ready = (next + READY_STEP - 1) & ~(READY_STEP - 1);

		if (ready > end_of_part)
			ready = end_of_part;
		if (mprotect((void *)extent->ready, ready - extent->ready, PROT_READ | PROT_WRITE))
			return 0;
		extent->ready = ready;
	}
	mark(part->next, start, 0);
	mark(start, end, nr);
	mark(end, next, 0);
	part->next = next;
	return start;
}

static void zero(uintptr_t start, uintptr_t end, uintptr_t dirty)
{
	uintptr_t page = heap.page_size, from = (start + page - 1) & ~(page - 1), to;

	if (end > dirty)
		end = dirty;
	if (start >= end)
		return;
	to = end & ~(page - 1);
	if (to < from + LARGE) {
		memset((void *)start, 0, end - start);
		return;
	}
	memset((void *)start, 0, from - start);
	madvise((void *)from, to - from, MADV_DONTNEED);
	memset((void *)to, 0, end - to);
}

/*
 * Where memory is handed out again, freeing and allocating one size do not commute: operations on one object, the free memory of
 * that size.
 */
static void announce_reuse(struct fiber *f, size_t size, const char *name, uintptr_t pc)
{
	static char free_memory[NR_SIZES];
	char *m = &free_memory[(size + GRANULE - 1) / GRANULE % NR_SIZES];
	struct object *o;
	struct op op;

	if (!engine_concurrent || !(heap.scenario->flags & EXPLORE_REUSE))
		return;
	explore_name(m, "free memory of %zu bytes", size);
	o = engine_object(m);
	op = (struct op){.kind = OP_WRITE,
			 .access = ACCESS_WRITE,
			 .object = o->id,
			 .addr = (uintptr_t)m,
			 .pc = pc,
			 .name = name,
			 .key = o->key};
	engine_point(&op, NULL, NULL);
}

/* The most recently freed block of that size, taken off the list; NULL if there is none or a fresh one was chosen. */
static struct block *take_freed(size_t size, size_t align)
{
	uint32_t *link = &heap.freed;

	for (; *link; link = &heap.block[*link].older) {
		struct block *b = &heap.block[*link];

		if (b->size != size || (b->start & (align - 1)))
			continue;
		if (!explore_choose(2, "freed memory is handed out again"))
			return NULL;
		undo_push(link, sizeof(*link));
		*link = b->older;
		return b;
	}
	return NULL;
}

static uintptr_t take(int fiber, size_t size, size_t align, uint32_t nr)
{
	struct block *old = NULL;
	uintptr_t start;

	if (engine_concurrent && (heap.scenario->flags & EXPLORE_REUSE))
		old = take_freed(size, align);
	if (!old) {
		start = take_fresh(fiber, size, align, nr);
		if (start)
			zero(start, start + size, heap.extent[fiber].dirty);
		return start;
	}
	start = old->start;
	mark_save(start, (start + size + GRANULE - 1) & ~(GRANULE - 1));
	mark(start, (start + size + GRANULE - 1) & ~(GRANULE - 1), nr);
	memset((void *)start, 0, size);
	return start;
}

static void *allocate(struct fiber *f, size_t size, size_t align, const char *type_name,
		      uintptr_t pc)
{
	struct op op = {.kind = OP_ALLOC, .pc = pc, .name = type_name};
	struct block *b;
	uintptr_t start;

	if (heap.nr_blocks + 1 >= MAX_BLOCKS)
		return NULL;
	if (align < GRANULE)
		align = GRANULE;
	start = take(f->id, size ? size : 1, align, heap.nr_blocks + 1);
	if (!start)
		return NULL;
	b = &heap.block[++heap.nr_blocks];
	b->start = start;
	b->size = size ? size : 1;
	b->type = heap_type(type_name);
	b->seq = ++heap.part[f->id].seq;
	undo_push(&b->type->count[f->id], sizeof(b->type->count[0]));
	b->number = ++b->type->count[f->id];
	b->epoch = undo.epoch;
	b->lo = UINT32_MAX;
	b->hi = 0;
	b->things = 0;
	b->fiber = f->id;
	guard_block(b, engine_concurrent ? f->id : NOBODY);
	b->live = true;
	heap.nr_live++;
	b->allocated = context_place(f, pc);
	op.addr = start;
	op.key = heap_key(start);
	engine_note(&op);
	return (void *)start;
}

void *explore_alloc(size_t size, size_t align, const char *type, bool fallible)
{
	return heap_alloc(size, align, type, fallible, (uintptr_t)__builtin_return_address(0));
}

void *heap_alloc(size_t size, size_t align, const char *type, bool fallible, uintptr_t pc)
{
	struct fiber *f = engine_current;
	void *p = NULL;

	f->in_runtime++;
	announce_reuse(f, size, "allocate", pc);
	if (!fallible || !engine_concurrent || !heap.scenario->faults ||
	    !explore_choose(2, "allocation fails"))
		p = allocate(f, size, align, type, pc);
	f->in_runtime--;
	return p;
}

void explore_free(void *p)
{
	struct fiber *f = engine_current;
	uintptr_t addr = (uintptr_t)p, pc = (uintptr_t)__builtin_return_address(0);
	struct op op = {.kind = OP_FREE, .addr = addr, .pc = pc};
	struct block *b;

	if (!p)
		return;
	f->in_runtime++;
	b = heap_block(addr);
	if (!b || b->start != addr) {
		struct use a = {.word = addr, .how = HOW_WRITE, .pc = pc};

		blame_wild(f, &a);
	}
	announce_reuse(f, b->size, "free", pc);
	op.key = heap_key(addr);
	op.name = b->type->name;
	engine_note(&op);
	shadow_free(f, b, pc);
	block_change(b);
	b->live = false;
	heap.nr_live--;
	b->freed = context_place(f, pc);
	if (b->things)
		engine_objects_freed(b->things);
	if (heap.scenario->flags & EXPLORE_REUSE) {
		b->older = heap.freed;
		heap.freed = b - heap.block;
	}
	f->in_runtime--;
}

bool explore_is_live(const void *p)
{
	struct block *b = heap_block((uintptr_t)p);

	/* Freeing is no operation, so the other answer would not be looked for. */
	if (engine_concurrent)
		explore_fail(
			"explore_is_live is asked while threads run: only setup and finish may");
	return b && b->live && (uintptr_t)p - b->start < b->size;
}
