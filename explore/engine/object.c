/* SPDX-License-Identifier: MIT */
/*
 * The table of objects: anything whose address an operation names, numbered in order of first use. Those of the heap are found by a map
 * of its words of four bytes, others by a hash. Neither is cleared between executions: what the map says counts if the object that it
 * names is one of this execution and is there; heads of the hash carry the number of the execution. Objects of a word are a chain,
 * oldest first, so that what is in the map need not be put back on the return to a checkpoint.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/internal.h"

#define BUCKETS	    256u
#define NAMED_SHIFT 2
#define MAX_THINGS  (1u << 18)
#define POOL_SIZE   ((size_t)256 << 20)
#define BLOCK_BITS  2

extern const char __ehdr_start[] __attribute__((weak, visibility("hidden")));

static struct {
	uint32_t generation;
	uint32_t first;
} head[BUCKETS];
static uint32_t generation;
static uint32_t *of_word;     /* of the heap's words of four bytes: the first object there */
static struct thing *thing;   /* [MAX_THINGS], 0 is none */
static struct latest *latest; /* of each */
static uintptr_t *place;      /* of each: its address, for the map to look at without the rest */
static uint32_t nr_things;
static char *pool;
static size_t pool_used;

static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "explorer: no memory for objects\n");
		exit(2);
	}
	return p;
}

void objects_init(void)
{
	thing = reserve(MAX_THINGS * sizeof(*thing));
	place = reserve(MAX_THINGS * sizeof(*place));
	latest = reserve(MAX_THINGS * sizeof(*latest));
	of_word = reserve((HEAP_SIZE >> NAMED_SHIFT) * sizeof(*of_word));
	pool = reserve(POOL_SIZE);
	objects_reset();
}

void objects_reset(void)
{
	if (!++generation) {
		memset(head, 0, sizeof(head));
		generation = 1;
	}
	nr_things = 1;
	pool_used = 0;
}

void objects_keep(void (*keep)(void *p, size_t size))
{
	keep(&nr_things, sizeof(nr_things));
	keep(&pool_used, sizeof(pool_used));
}

void objects_digest(struct digest *d)
{
	for (uint32_t i = 1; i < nr_things; i++)
		saved_hash(&d->part[DIGEST_OBJECTS], &thing[i], sizeof(*thing));
	for (uint32_t i = 1; i < nr_things && engine.wants_order; i++)
		saved_hash(&d->part[DIGEST_OBJECTS], &latest[i], sizeof(*latest));
	for (unsigned b = 0; b < BUCKETS; b++)
		if (head[b].generation == generation && head[b].first)
			saved_hash(&d->part[DIGEST_OBJECTS], &head[b], sizeof(head[b]));
	saved_hash(&d->part[DIGEST_POOL], pool, pool_used);
}

void thing_save(struct thing *t)
{
	undo_push(t, sizeof(*t));
	if (engine.wants_order)
		undo_push(t->latest, sizeof(*t->latest));
	if (t->lock)
		undo_push(t->lock, sizeof(*t->lock));
	if (t->domain)
		undo_push(t->domain, sizeof(*t->domain));
	t->epoch = undo.epoch;
}

void *pool_alloc(size_t size)
{
	void *p = pool + pool_used;

	size = (size + 15) & ~(size_t)15;
	if (pool_used + size > POOL_SIZE)
		engine_violation_text(BAD_ASSERTION, "too many objects for one execution");
	pool_used += size;
	return memset(p, 0, size);
}

char *pool_format(const char *fmt, va_list ap)
{
	char buf[128];
	int n = vsnprintf(buf, sizeof(buf), fmt, ap);
	size_t size = n < 0 ? 1 : n < (int)sizeof(buf) ? n + 1 : sizeof(buf);

	return memcpy(pool_alloc(size), buf, size);
}

static uint32_t *bucket_of(uintptr_t addr)
{
	uint32_t b = (uint32_t)((addr >> BLOCK_BITS) * 0x9e3779b97f4a7c15ull >> 32) % BUCKETS;

	if (head[b].generation != generation) {
		head[b].generation = generation;
		head[b].first = 0;
	}
	return &head[b].first;
}

/* The same for the same object in all executions and processes: no address of this process goes into it. */
static uint64_t key_of(uintptr_t addr, uint32_t id, uint32_t *neighbour)
{
	const struct explore_suite *s = engine.suite;
	size_t offset;
	uint64_t key = heap_name(addr, id, neighbour);
	int fiber;

	if (key)
		return key;
	for (size_t i = 0; s && i < s->nr_regions; i++)
		if (addr - (uintptr_t)s->region[i].start < s->region[i].size)
			return hash_mix(1000 + i, addr - (uintptr_t)s->region[i].start);
	for (size_t i = 0; s && i < s->nr_fixed; i++)
		if (addr - (uintptr_t)s->fixed[i].start < s->fixed[i].size)
			return hash_mix(5000 + i, addr - (uintptr_t)s->fixed[i].start);
	fiber = fiber_of_stack(addr, &offset);
	if (fiber != NO_FIBER)
		return hash_mix(2000 + fiber, offset);
	if (__ehdr_start && addr - (uintptr_t)__ehdr_start < (size_t)1 << 30)
		return hash_mix(3000, addr - (uintptr_t)__ehdr_start);
	return hash_mix(4000, id);
}

static bool in_heap(uintptr_t addr)
{
	return addr - heap_start < HEAP_SIZE;
}

static bool same_word(uintptr_t a, uintptr_t b)
{
	return !((a ^ b) >> NAMED_SHIFT);
}

/* Where the chain for addr begins. */
static uint32_t *first_of(uintptr_t addr)
{
	uint32_t *first;

	if (!in_heap(addr))
		return bucket_of(addr);
	first = &of_word[(addr - heap_start) >> NAMED_SHIFT];
	if (*first && (*first >= nr_things || !same_word(place[*first], addr)))
		*first = 0;
	return first;
}

uint32_t thing_find(uintptr_t addr)
{
	uint32_t i = *first_of(addr);

	while (i && (thing[i].o.addr != addr || thing[i].freed))
		i = thing[i].next;
	return i;
}

static uint32_t thing_make(uintptr_t addr)
{
	uint32_t nr = nr_things;
	struct thing *t = &thing[nr];

	if (nr == MAX_THINGS)
		engine_violation_text(BAD_ASSERTION, "too many objects for one execution");
	t->neighbour = 0;
	t->o = (struct object){.id = nr, .addr = addr, .key = key_of(addr, nr, &t->neighbour)};
	t->next = 0;
	t->epoch = undo.epoch;
	t->freed = false;
	t->watchers = 0;
	t->users = 0;
	memset(t->mask, 0, sizeof(t->mask));
	place[nr] = addr;
	t->latest = &latest[nr];
	t->unlocked = NO_EVENT;
	t->name = NULL;
	t->lock = NULL;
	t->domain = NULL;
	nr_things++;
	return nr;
}

struct thing *thing_of(const void *p)
{
	uintptr_t addr = (uintptr_t)p;
	uint32_t *link = first_of(addr);

	for (uint32_t i = *link; i; i = *link) {
		thing_change(&thing[i]);
		if (thing[i].o.addr == addr && !thing[i].freed)
			return &thing[i];
		link = &thing[i].next;
	}
	/* Heads of the hash are not part of an object. */
	if (!in_heap(addr))
		undo_push(link, sizeof(*link));
	*link = thing_make(addr);
	return &thing[*link];
}

struct thing *thing_at(uint32_t id)
{
	return &thing[id];
}

struct object *engine_object(const void *addr)
{
	return &thing_of(addr)->o;
}

static void thing_freed(const struct thing *t)
{
	char why[200], what[96];

	if (!engine.running || !thing_in_use(t, why, sizeof(why)))
		return;
	thing_describe(t, what, sizeof(what));
	engine_violation_text(t->domain ? BAD_SECTION : BAD_USE_AFTER_FREE, "%s is freed while %s",
			      what, why);
}

/* Of several that are in use, the first in memory is told of. */
void engine_objects_freed(uint32_t first)
{
	const struct thing *used = NULL;
	char why[200];

	for (uint32_t i = first; i; i = thing[i].neighbour) {
		const struct thing *t = &thing[i];

		if (!t->freed && (t->lock || t->domain) && thing_in_use(t, why, sizeof(why)) &&
		    (!used || t->o.addr < used->o.addr))
			used = t;
	}
	if (used)
		thing_freed(used);
	for (uint32_t i = first; i; i = thing[i].neighbour) {
		thing_change(&thing[i]);
		thing[i].freed = true;
	}
}

struct object *engine_find_object(const void *addr)
{
	uint32_t i = thing_find((uintptr_t)addr);

	return i ? engine_object(addr) : NULL;
}

/* Where it is, without its own name. */
static void place_describe(uintptr_t addr, uint32_t id, char *buf, size_t size)
{
	const struct explore_suite *s = engine.suite;
	size_t offset;
	int fiber;

	if (heap_describe(addr, buf, size))
		return;
	for (size_t i = 0; s && i < s->nr_regions; i++) {
		if (addr - (uintptr_t)s->region[i].start < s->region[i].size) {
			snprintf(buf, size, "process+0x%zx",
				 (size_t)(addr - (uintptr_t)s->region[i].start));
			return;
		}
	}
	fiber = fiber_of_stack(addr, &offset);
	if (fiber != NO_FIBER)
		snprintf(buf, size, "a variable of %s", engine.fiber[fiber].name);
	else
		snprintf(buf, size, "object #%u", id);
}

void thing_describe(const struct thing *t, char *buf, size_t size)
{
	char place[64];
	char *plus;

	if (t->name) {
		snprintf(buf, size, "%s", t->name);
		return;
	}
	place_describe(t->o.addr, t->o.id, place, sizeof(place));
	if (!t->o.class_name) {
		snprintf(buf, size, "%s", place);
		return;
	}
	if (!heap_key(t->o.addr)) {
		snprintf(buf, size, "%s", t->o.class_name);
		return;
	}
	plus = strstr(place, "+0x");
	if (plus)
		*plus = 0;
	snprintf(buf, size, "%s of %s", t->o.class_name, place);
}

void engine_describe(uintptr_t addr, char *buf, size_t size)
{
	uint32_t id = thing_find(addr);

	if (id)
		thing_describe(&thing[id], buf, size);
	else
		place_describe(addr, 0, buf, size);
}
