/* SPDX-License-Identifier: MIT */
/* Decoded code against pairs and slots: none outlives the mapping it was read through (I-37). */
#include "rig.h"
#include "test.h"

static struct rig r;

static bool mapped(u64 ipa)
{
	struct s2_result out;
	struct mem_fault f = {0};

	return !s2_lookup(&r.m.mmu, ipa, false, false, false, &out, &f);
}

static void put_code(void *p, u32 word)
{
	*(u32 *)p = word;
}

/* munmap and mmap of other memory at the same place, announced. */
static void replace_page(char *p)
{
	struct mem_inval_token t;

	mem_invalidate_start((uintptr_t)p, (uintptr_t)p + PAGE, 0, &t);
	munmap(p, PAGE);
	if (mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	    p)
		abort();
	mem_invalidate_end(&t);
}

TEST(I37_code_dies_with_the_mapping_it_was_read_through)
{
	char *p = rig_map(PAGE, 0);
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	put_code(p, 0x11111111);
	fake_enter(&r.v);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	put_code(p, 0x22222222);
	/* No instruction cache maintenance: what was decoded may still run. The test needs to see that. */
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	EXPECT_EQ(x, 0x11111111);
	fake_leave(&r.v);
	replace_page(p);
	put_code(p, 0x33333333);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	EXPECT_EQ(x, 0x33333333);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

TEST(I37_code_dies_even_if_its_leaf_went_before)
{
	char *p = rig_map(2 * MIB, 2 * MIB);
	u32 x = 1;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, 0), 0);
	put_code(p + PAGE, 0x11111111);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_EXEC, &x), 0);
	/* Logging, then a write to a neighbour: the block is broken, the page of the code has no leaf now. */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 2 * MIB, p, MEMSLOT_LOG_DIRTY), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	EXPECT(!mapped(PAGE));
	replace_page(p + PAGE);
	put_code(p + PAGE, 0x33333333);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_EXEC, &x), 0);
	EXPECT_EQ(x, 0x33333333);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * MIB);
}

TEST(I37_code_dies_with_its_slot)
{
	char *p = rig_map(PAGE, 0);
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	put_code(p, 0x11111111);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 0, p, 0), 0);
	/* No slot here now: this pair is not for the VM. */
	replace_page(p);
	put_code(p, 0x33333333);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	EXPECT_EQ(x, 0x33333333);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

TEST(I37_code_dies_when_its_page_is_found_gone)
{
	char *p = rig_map(PAGE, 0);
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	put_code(p, 0x11111111);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	munmap(p, PAGE);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), -EFAULT);
	ASSERT(mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == p);
	put_code(p, 0x33333333);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), 0);
	EXPECT_EQ(x, 0x33333333);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}
