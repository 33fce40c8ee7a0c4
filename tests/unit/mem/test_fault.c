/* SPDX-License-Identifier: MIT */
/* The fault path: what it installs, what it answers. */
#include "rig.h"
#include "test.h"

static struct rig r;

TEST(first_write_maps_and_second_hits)
{
	void *p = rig_map(PAGE, 0);
	u32 x = 0x12345678;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0x1000, PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0x1004, FAKE_WRITE, &x), 0);
	EXPECT_EQ(((u32 *)p)[1], 0x12345678);
	EXPECT_EQ(r.v.faults, 1);
	x = 0;
	EXPECT_EQ(fake_access(&r.v, 0x1004, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0x12345678);
	EXPECT_EQ(r.v.faults, 1);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}
