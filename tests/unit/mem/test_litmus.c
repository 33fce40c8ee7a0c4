/* SPDX-License-Identifier: MIT */
/*
 * The orders that dirty logs rest on, each as a race of two steps that is run many times: the library's own code on both sides,
 * begun together, looked at when both are over. (What has a name of its own in sync/ is in tests/unit/sync/litmus.c.)
 *
 * In each a write of the library's own (mem_write_guest: no lock but SRCU) meets user space's harvest. Forbidden is always the
 * same: the harvest returned, the page read after it is the old one, and nothing is left that would name the page again. Where
 * a whole call would hide the moment, its two steps that matter stand alone.
 */
#include <sched.h>

#include "mem/dirty_bitmap.h"
#include "rig.h"
#include "test.h"

#if defined(ANYKVM_SANITIZED)
#define ROUNDS ((u32)test_rounds(1000, 100000))
#define STEPS  (INSTANCES * (u32)test_rounds(8, 1000))
#else
#define ROUNDS ((u32)test_rounds(2000, 1000000))
#define STEPS  (INSTANCES * (u32)test_rounds(40, 10000))
#endif

static struct rig r;
static u64 bits[1], mask[1];
static u32 read_back, written;
static char *mem;
static struct a32 go, ended;
static void (*other_side)(void);

/* Spins: who gives its core away here is not there when the other comes. Only so long, for there may be one core. */
static void meet(struct a32 *w, u32 round)
{
	a32_fetch_add(w, 1);
	for (int i = 0; a32_load(w) < 2 * round; i++) {
		cpu_relax();
		if (i > 2000)
			sched_yield();
	}
}

static void other_main(void *arg)
{
	for (u32 i = 1; i <= ROUNDS; i++) {
		meet(&go, i);
		other_side();
		meet(&ended, i);
	}
}

/* A little later in each round, so that the write falls on every part of the harvest. */
static void delay(u32 round)
{
	for (u32 i = round * 7919 % 4096; i; i--)
		__asm__ volatile("" ::: "memory");
}

/* before: alone; then the write and harvest at once; then lost says whether something was. */
static void race(void (*before)(void), void (*harvest)(void), bool (*lost)(void))
{
	struct helper h;
	u32 bad = 0;

	a32_store(&go, 0);
	a32_store(&ended, 0);
	other_side = harvest;
	helper_start(&h, other_main, NULL);
	for (u32 i = 1; i <= ROUNDS; i++) {
		before();
		written = i;
		meet(&go, i);
		delay(i);
		mem_write_guest(&r.m, &r.v.mem, 0, &written, 4);
		meet(&ended, i);
		bad += lost();
	}
	helper_join(&h);
	EXPECT_EQ(bad, 0);
}

static void read_page_0(void)
{
	read_back = 0;
	guarded_load32(mem, &read_back);
}

/* --- bitmap: live bit and summary bit against GET and CLEAR ---------------------------------------------------------------- */

static void get(void)
{
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), 0);
	read_page_0();
}

/* By the call that user space would make next: it goes by the summary. */
static bool nothing_reported(void)
{
	u32 old = read_back;

	get();
	return old != written && !(bits[0] & 1);
}

static void start(u64 manual)
{
	mem = rig_map(64 * PAGE, 0);
	rig_start(&r);
	ASSERT_EQ(mem_set_manual_protect(&r.m, manual), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 64 * PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
}

static void stop(void)
{
	EXPECT(rig_stop(&r));
	munmap(mem, 64 * PAGE);
}

static void dirty_already(void)
{
	u32 x = 0;

	mem_write_guest(&r.m, NULL, 0, &x, 4);
}

TEST(I22_litmus_get_takes_a_bit_that_is_set_again)
{
	start(0);
	race(dirty_already, get, nothing_reported);
	stop();
}

static void dirty_neighbour(void)
{
	u32 x = 0;

	mem_write_guest(&r.m, NULL, PAGE, &x, 4);
}

TEST(I22_litmus_get_takes_a_summary_that_seemed_set)
{
	start(0);
	race(dirty_neighbour, get, nothing_reported);
	stop();
}

static void clear(void)
{
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 0, mask), 0);
	read_page_0();
}

static bool nothing_left(void)
{
	u32 old = read_back;

	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), 0);
	return old != written && !(bits[0] & 1);
}

TEST(I22_litmus_clear_takes_a_bit_that_is_set_again)
{
	mask[0] = ~0ull;
	start(1);
	race(dirty_already, clear, nothing_left);
	stop();
}

static void only_neighbour_dirty(void)
{
	mask[0] = ~0ull;
	clear();
	mask[0] = 2;
	dirty_neighbour();
}

static bool page_0_forgotten(void)
{
	EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), 0);
	return !(bits[0] & 1);
}

/* The neighbour alone is cleared, whereupon the word is empty, or not. */
TEST(I22_litmus_clear_empties_a_word_that_is_filled_again)
{
	start(1);
	race(only_neighbour_dirty, clear, page_0_forgotten);
	stop();
}

/* --- ring: the entry that is still there ----------------------------------------------------------------------------------- */

static void collect_page_0(void)
{
	u32 slot, x = 0;
	u64 page;

	mem_write_guest(&r.m, &r.v.mem, 0, &x, 4);
	while (rig_collect(&r.v, &slot, &page))
		;
}

static void reset(void)
{
	EXPECT_CMP(mem_reset_dirty_rings(&r.m), >=, 1);
	read_page_0();
}

static bool no_entry(void)
{
	bool lost = read_back != written && !dirty_ring_used(&r.v.mem.ring);

	collect_page_0();
	mem_reset_dirty_rings(&r.m);
	return lost;
}

TEST(I22_litmus_a_reset_gives_back_the_entry_that_a_write_relies_on)
{
	mem = rig_map(64 * PAGE, 0);
	rig_start_rings(&r, 4096, false);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 64 * PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
	race(collect_page_0, reset, no_entry);
	stop();
}

/* --- the steps that matter alone ------------------------------------------------------------------------------------------- */

/* So many instances side by side are made ready at once, and looked at at once. */
#define INSTANCES 1024u

static struct instance {
	_Alignas(64) struct a32 data;
	u32 found;
	struct dirty_ring ring;
} instance[INSTANCES];

static struct memslot *slot;
static void (*step)(u32 i);

/* One side a little later than the other, or the other way round. */
static void jitter(u32 i)
{
	for (i = i % 64; i; i--)
		__asm__ volatile("" ::: "memory");
}

static void other_steps(void *arg)
{
	for (u32 n = 0; n < STEPS; n++) {
		meet(&go, n + 1);
		jitter(n / 64);
		step(n % INSTANCES);
		if (n % INSTANCES == INSTANCES - 1)
			meet(&ended, n / INSTANCES + 1);
	}
}

static void race_steps(void (*before)(u32), void (*left)(u32), void (*right)(u32),
		       bool (*lost)(u32))
{
	struct helper h;
	u32 bad = 0;

	a32_store(&go, 0);
	a32_store(&ended, 0);
	step = right;
	for (u32 n = 0; n < STEPS; n++) {
		if (n % INSTANCES == 0) {
			for (u32 i = 0; i < INSTANCES; i++) {
				a32_store(&instance[i].data, 0);
				before(i);
			}
		}
		if (n == 0)
			helper_start(&h, other_steps, NULL);
		meet(&go, n + 1);
		jitter(n);
		left(n % INSTANCES);
		if (n % INSTANCES != INSTANCES - 1)
			continue;
		meet(&ended, n / INSTANCES + 1);
		for (u32 i = 0; i < INSTANCES; i++)
			bad += lost(i);
	}
	helper_join(&h);
	EXPECT_EQ(bad, 0);
}

/* Instance i has word i of the bitmap. */
static void start_steps(void)
{
	start(0);
	ASSERT_EQ(rig_slot(&r.m, 1, GIB, INSTANCES * 64 * PAGE, mem, MEMSLOT_LOG_DIRTY), 0);
	slot = memslot_find_id(memslot_active(&r.m), 1);
}

static void set_first(u32 i)
{
	bitmap_set(slot, i * 64);
}
static void set_neighbour(u32 i)
{
	bitmap_set(slot, i * 64 + 1);
}
static u64 live(u32 i)
{
	return a64_load(&slot->dirty_bitmap[i]);
}
static bool not_in_summary(u32 i)
{
	return live(i) && !(a64_load(&bitmap_summary(slot)[i / 64]) & BIT(i % 64));
}

static void take(u32 i)
{
	if (a64_fetch_and(&bitmap_summary(slot)[i / 64], ~BIT(i % 64)) & BIT(i % 64))
		bitmap_take(slot, i);
}
TEST(I22_litmus_what_a_taker_of_the_summary_misses_is_in_it_again)
{
	start_steps();
	race_steps(set_neighbour, set_first, take, not_in_summary);
	stop();
}

static void before_clear(u32 i)
{
	bitmap_take(slot, i);
	set_neighbour(i);
}
static void clear_neighbour(u32 i)
{
	bool empty;

	bitmap_clear(slot, i, 2, &empty);
	if (empty)
		bitmap_words_emptied(slot, i / 64, BIT(i % 64));
}
TEST(I22_litmus_a_word_that_is_filled_as_it_is_emptied_is_in_the_summary)
{
	start_steps();
	race_steps(before_clear, set_first, clear_neighbour, not_in_summary);
	stop();
}

/* The page was written before: its bit is set. */
static void write_and_mark(u32 i)
{
	a32_store_relaxed(&instance[i].data, 1);
	bitmap_set(slot, i * 64);
}
static void take_and_read(u32 i)
{
	bitmap_take(slot, i);
	instance[i].found = a32_load_relaxed(&instance[i].data);
}
static bool bit_lost(u32 i)
{
	return !instance[i].found && !live(i);
}
TEST(I22_litmus_a_bit_that_is_set_is_set_again_after_the_data)
{
	start_steps();
	race_steps(set_first, write_and_mark, take_and_read, bit_lost);
	stop();
}

static struct dirty_ring_entry entries[128];

static void entry_is_there(u32 i)
{
	instance[i].ring = (struct dirty_ring){.entry = entries, .nr = ARRAY_SIZE(entries)};
	dirty_ring_push(&instance[i].ring, 0, 0);
}
static void write_and_push(u32 i)
{
	a32_store_relaxed(&instance[i].data, 1);
	dirty_ring_push(&instance[i].ring, 0, 0);
}
/* As mem_reset_dirty_rings: given back, fence, and then the reader. */
static void give_back_and_read(u32 i)
{
	a32_store_release(&instance[i].ring.reset, 1);
	fence_full();
	instance[i].found = a32_load_relaxed(&instance[i].data);
}
static bool entry_lost(u32 i)
{
	return !instance[i].found && !dirty_ring_used(&instance[i].ring);
}
TEST(I22_litmus_an_entry_that_is_there_is_relied_on_after_the_data)
{
	rig_start(&r);
	race_steps(entry_is_there, write_and_push, give_back_and_read, entry_lost);
	EXPECT(rig_stop(&r));
}
