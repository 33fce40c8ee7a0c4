/* SPDX-License-Identifier: MIT */
/*
 * The orders that dirty logs rest on, each as a race of two steps that is run many times: the library's own code on both sides,
 * begun together, looked at when both are over. (What has a name of its own in sync/ is in tests/unit/sync/litmus.c.)
 *
 * In each a write of the library's own (mem_write_guest: no lock but SRCU) meets user space's harvest. Forbidden is always the
 * same: the harvest returned, the page read after it is the old one, and nothing is left that would name the page again.
 */
#include <sched.h>

#include "mem/dirty_bitmap.h"
#include "rig.h"
#include "test.h"

#define ROUNDS ((u32)test_rounds(20000, 2000000))

static struct rig r;
static u64 bits[1], mask[1];
static u32 read_back, written;
static char *mem;
static struct a32 go, ended;
static void (*other_side)(void);

static void meet(struct a32 *w, u32 round)
{
	a32_fetch_add(w, 1);
	for (int i = 0; a32_load(w) < 2 * round; i++)
		if (i > 100)
			sched_yield();
}

static void other_main(void *arg)
{
	for (u32 i = 1; i <= ROUNDS; i++) {
		meet(&go, i);
		other_side();
		meet(&ended, i);
	}
}

/* before: alone; then write_page_0 and harvest at once; then lost says whether something was. */
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
