/* SPDX-License-Identifier: MIT */
/*
 * A check of the shadow against the definition: random executions of a few fibers over two words, in which every access is
 * compared with all before it. The shadow, which forgets what it may, must find a race at the same access as the list of all,
 * and object to the same frees. The engine's part is played here: clocks only, nothing is scheduled.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/heap.h"

#define RUNS	  40000
#define MAX_STEPS 64
#define WORDS	  2
#define SYNCS	  4

struct fiber *engine_current;
bool engine_concurrent = true;

static struct fiber fibers[MAX_FIBERS];
static jmp_buf violated;

struct past {
	int fiber, word;
	uint32_t clock;
	uint8_t mask, how;
};

static struct past past[MAX_STEPS];
static int nr_past;
static struct clock sync_clock[SYNCS];
static uint64_t state;

struct object *engine_object(const void *addr)
{
	static struct object o;

	o.addr = (uintptr_t)addr;
	return &o;
}

void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memcpy(void *to, const void *from, size_t size)
{
	return memcpy(to, from, size);
}

struct object *engine_find_object(const void *addr)
{
	return engine_object(addr);
}

void engine_objects_freed(uint32_t first)
{
}

void engine_describe(uintptr_t addr, char *buf, size_t size)
{
	snprintf(buf, size, "word");
}

bool engine_recording;

void engine_record(const struct op *op)
{
}

uint32_t engine_step(void)
{
	return 0;
}

void engine_site(const struct fiber *f, uintptr_t pc, struct site *out)
{
	*out = (struct site){.pc = {pc}, .fiber = f->id};
}

void explore_fail(const char *fmt, ...)
{
	abort();
}

void engine_violation_text(enum violation_kind kind, const char *fmt, ...)
{
	abort();
}

void engine_violation(struct violation *v)
{
	engine_current->in_runtime = 0;
	longjmp(violated, 1);
}

void engine_point(struct op *op, bool (*enabled)(const struct op *op, struct fiber *f, void *arg),
		  void *arg)
{
}

void engine_record_outcome(const char *fmt, ...)
{
}

void explore_name(const void *addr, const char *fmt, ...)
{
}

unsigned explore_choose(unsigned n, const char *what)
{
	return 0;
}

int explore_lock_held(const void *lock)
{
	return 0;
}

static unsigned pick(unsigned n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % n;
}

static bool unordered(const struct fiber *f, const struct past *p)
{
	return p->fiber != f->id && p->clock > f->sync.t[p->fiber];
}

static bool races(const struct fiber *f, const struct past *now)
{
	for (int i = 0; i < nr_past; i++) {
		const struct past *p = &past[i];

		if (p->word == now->word && (p->mask & now->mask) && unordered(f, p) &&
		    ((p->how | now->how) & HOW_WRITE) && !(p->how & now->how & HOW_ATOMIC))
			return true;
	}
	return false;
}

/* An acquire, a release or both, of one of the objects. */
static void synchronize(struct fiber *f, unsigned nr_syncs)
{
	struct clock *o = &sync_clock[pick(nr_syncs)];
	unsigned what = pick(3);

	if (what != 0)
		clock_join(&f->sync, o);
	if (what != 1) {
		clock_join(o, &f->sync);
		f->sync.t[f->id]++;
	}
}

/* Whether the free ends the execution, which it does in any case; false in agreed if the two differ. */
static void free_block(struct fiber *f, void *block, bool *agreed)
{
	volatile bool expected = false;

	for (int i = 0; i < nr_past; i++)
		expected = expected || unordered(f, &past[i]);
	if (setjmp(violated)) {
		*agreed = expected;
		return;
	}
	explore_free(block);
	*agreed = !expected;
}

/* True if it was a race. */
static bool use_word(struct fiber *f, uintptr_t block, unsigned style, bool *agreed)
{
	static const uint8_t masks[] = {0xff, 0x0f, 0xf0, 0x01, 0x80, 0x30};
	struct past *now = &past[nr_past];
	struct use u;
	volatile bool expected;

	now->fiber = f->id;
	now->clock = f->sync.t[f->id];
	now->word = pick(WORDS);
	now->mask = masks[pick(sizeof(masks))];
	now->how = pick(style & 1 ? 2 : 5) ? HOW_READ : HOW_WRITE;
	if ((style & 2) && pick(2))
		now->how |= HOW_ATOMIC;
	expected = races(f, now);
	u = (struct use){block + now->word * WORD, now->mask, now->how, 1};
	if (setjmp(violated)) {
		*agreed = expected;
		return true;
	}
	shadow_access(f, &u);
	*agreed = !expected;
	nr_past++;
	return false;
}

static bool run(uint64_t seed, unsigned *nr_races)
{
	static const struct explore_scenario scenario;
	unsigned nr_fibers, nr_syncs, style, steps;
	uint8_t *block;
	bool agreed = true;

	state = seed * 0x9e3779b97f4a7c15u;
	nr_fibers = 2 + pick(4);
	nr_syncs = 1 + pick(SYNCS);
	style = pick(4);
	steps = pick(MAX_STEPS);
	nr_past = 0;
	memset(fibers, 0, sizeof(fibers));
	memset(sync_clock, 0, sizeof(sync_clock));
	for (int i = 0; i < MAX_FIBERS; i++) {
		fibers[i].id = i;
		fibers[i].sync.t[i] = 1;
	}
	heap_begin(&scenario);
	engine_current = &fibers[0];
	block = explore_alloc(WORDS * WORD, 0, "block", false);
	for (unsigned i = 0; i < steps && agreed; i++) {
		struct fiber *f = engine_current = &fibers[pick(nr_fibers)];

		if (pick(2)) {
			synchronize(f, nr_syncs);
		} else if (!pick(20)) {
			free_block(f, block, &agreed);
			return agreed;
		} else if (use_word(f, (uintptr_t)block, style, &agreed)) {
			++*nr_races;
			return agreed;
		}
	}
	return agreed;
}

int main(void)
{
	static const struct explore_suite suite;
	unsigned nr_races = 0;

	heap_init(&suite);
	undo.epoch = UNDO_LAST_EPOCH - RUNS / 2; /* the numbers start again on the way */
	for (unsigned seed = 1; seed <= RUNS; seed++) {
		if (run(seed, &nr_races))
			continue;
		printf("not ok - shadow and definition differ in execution %u\n", seed);
		return 1;
	}
	printf("ok - %u random executions, %u with a race\n", RUNS, nr_races);
	return nr_races < RUNS / 10;
}
