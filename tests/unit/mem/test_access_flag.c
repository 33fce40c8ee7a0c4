/* SPDX-License-Identifier: MIT */
/* The access flag fault path, which a walk that sets the flag itself never reaches: this program has a walk that does not. */
#define S2_HARDWARE_AF 0
#include "../../../src/mem/stage2_lookup.c"
#include "rig.h"
#include "test.h"

static struct rig r;

TEST(an_access_flag_fault_makes_the_leaf_young_and_the_access_succeeds)
{
	char *p = rig_map(PAGE, 0);
	u64 a = (uintptr_t)p;
	struct mem_fault f = {0};
	struct s2_result out;
	u32 x = 3;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	EXPECT(mem_age(a, a + PAGE, true, true));
	EXPECT_EQ(s2_lookup(&r.m.mmu, 0, false, false, false, &out, &f), -EFAULT);
	EXPECT_EQ(f.type, MEM_FAULT_ACCESS_FLAG);
	EXPECT_EQ(f.level, 3);
	EXPECT(!mem_age(a, a + PAGE, false, false));
	x = 0;
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 3);
	EXPECT(mem_age(a, a + PAGE, false, false));
	EXPECT_EQ(r.v.faults, 2);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}
