/* SPDX-License-Identifier: MIT */
#include "rig.h"
#include "test.h"

static struct rig r;

TEST(create_and_delete_leave_nothing)
{
	void *p = rig_map(16 * PAGE, 0);

	rig_start(&r);
	EXPECT_EQ(rig_slot(&r.m, 3, 0, 16 * PAGE, p, 0), 0);
	EXPECT(rig_at_rest(&r.m));
	EXPECT_EQ(rig_slot(&r.m, 3, 0, 0, p, 0), 0);
	EXPECT(rig_stop(&r));
	munmap(p, 16 * PAGE);
}
