/* SPDX-License-Identifier: MIT */
/* Counters count what their names say. */
#include "rig.h"
#include "test.h"

static struct rig r;

static void access_ok(u64 ipa, enum fake_op op)
{
	u32 x = 1;

	EXPECT_EQ(fake_access(&r.v, ipa, op, &x), 0);
}

#define HVA(p) ((unsigned long long)(uintptr_t)(p))

/* Pages [first, 512) of the 2 MiB at ipa, one leaf each; the next fault makes a block of it. */
static void map_pages(u64 ipa, unsigned first)
{
	r.m.block_policy = BLOCK_NONE;
	for (unsigned i = first; i < 512; i++)
		access_ok(ipa + i * PAGE, FAKE_WRITE);
	r.m.block_policy = BLOCK_LINEAR;
}

TEST(table_pages_are_those_of_now)
{
	char *mem = rig_map(2 * MIB, 2 * MIB);
	struct mem_inval_token t;

	rig_start(&r);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 2);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	map_pages(0, 511);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 4);
	/* a block displaces the table of level 3 */
	access_ok(0, FAKE_WRITE);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 3);
	/* unmapping frees empty tables */
	mem_invalidate_start(HVA(mem), HVA(mem) + PAGE, MEM_INVAL_KEEP_VMA, &t);
	mem_invalidate_end(&t);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 2);
	map_pages(0, 511);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 4);
	mem_flush_all(&r.m);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 0);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(counters_count_what_their_names_say)
{
	char *mem = rig_map(4 * MIB, 2 * MIB);
	struct mem_inval_token t;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, GIB, 2 * MIB, mem + 2 * MIB, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(a64_load(&r.m.stats.slot_changes), 2);
	EXPECT_EQ(a64_load(&r.m.stats.slot_swaps), 2);
	/* the same again is no change; deleting swaps twice */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, GIB, 0, NULL, 0), 0);
	EXPECT_EQ(a64_load(&r.m.stats.slot_changes), 3);
	EXPECT_EQ(a64_load(&r.m.stats.slot_swaps), 4);
	EXPECT_EQ(a64_load(&r.m.stats.slot_swap_waits), 0);
	map_pages(0, 509);
	EXPECT_EQ(a64_load(&r.m.stats.unmaps), 0);
	mem_invalidate_start(HVA(mem), HVA(mem) + 510 * PAGE, MEM_INVAL_KEEP_VMA, &t);
	mem_invalidate_end(&t);
	EXPECT_EQ(a64_load(&r.m.stats.unmaps), 1);
	EXPECT_EQ(a64_load(&r.m.stats.inval_pages), 1);
	access_ok(0, FAKE_WRITE);
	/* one leaf, 512 pages */
	mem_invalidate_start(HVA(mem), HVA(mem) + PAGE, MEM_INVAL_KEEP_VMA, &t);
	mem_invalidate_end(&t);
	EXPECT_EQ(a64_load(&r.m.stats.unmaps), 2);
	EXPECT_EQ(a64_load(&r.m.stats.inval_pages), 513);
	/* whole tables, unlinked without a look at each leaf */
	map_pages(0, 500);
	mem_invalidate_start(HVA(mem), HVA(mem) + 2 * MIB, MEM_INVAL_KEEP_VMA, &t);
	mem_invalidate_end(&t);
	EXPECT_EQ(a64_load(&r.m.stats.unmaps), 14);
	EXPECT_EQ(a64_load(&r.m.stats.inval_pages), 525);
	/* of no slot's memory */
	mem_invalidate_start(HVA(mem + 2 * MIB), HVA(mem + 4 * MIB), 0, &t);
	mem_invalidate_end(&t);
	EXPECT_EQ(a64_load(&r.m.stats.inval_pairs), 3);
	EXPECT_EQ(a64_load(&r.m.tlb.drains), 0);
	EXPECT(rig_stop(&r));
	munmap(mem, 4 * MIB);
}

TEST(logged_pages_and_splits_are_counted)
{
	char *mem = rig_map(2 * MIB, 2 * MIB);

	rig_start(&r);
	ASSERT_EQ(mem_set_split_chunk(&r.m, 2 * MIB), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, 0), 0);
	access_ok(0, FAKE_WRITE);
	EXPECT_EQ(a64_load(&r.m.stats.dirty_pages), 0);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 3);
	/* one block becomes a table */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, mem, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(a64_load(&r.m.stats.splits), 1);
	EXPECT_EQ(stage2_table_pages(&r.m.mmu), 4);
	/* two pages are written, one of them twice; one is read */
	access_ok(0, FAKE_WRITE);
	access_ok(0, FAKE_WRITE);
	access_ok(PAGE, FAKE_WRITE);
	access_ok(2 * PAGE, FAKE_READ);
	EXPECT_EQ(a64_load(&r.m.stats.dirty_pages), 2);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}
