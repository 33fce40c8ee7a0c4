// SPDX-License-Identifier: MIT
/* Matching rules of breakpoint and watchpoint registers. */
#include "test.h"
#include "vcpu/breakpoint.h"

#define HIGH 0xffff000012345678ull
#define LOW  0x0000000012345678ull

#define E	  1ull
#define EL(n)	  ((n) ? 1ull << 1 : 1ull << 2)
#define BAS(n)	  ((u64)(n) << 5)
#define BP	  (E | EL(0) | EL(1) | BAS(0xf))
#define TYPE(n)	  ((u64)(n) << 20)
#define LINK(n)	  ((u64)(n) << 16)
#define SSC(n)	  ((u64)(n) << 14)
#define HMC	  BIT(13)
#define LSC(n)	  ((u64)(n) << 3)
#define MASK(n)	  ((u64)(n) << 24)
#define WP	  (E | EL(0) | EL(1) | LSC(3))
#define LINKED_WP BIT(20)

static u64 bvr[16], bcr[16], wvr[16], wcr[16];
static const struct debug_regs regs = {bvr, bcr, wvr, wcr};

static bool bp(unsigned n, unsigned el, u32 contextidr, u64 va)
{
	return breakpoint_matches(&regs, n, (struct debug_context){contextidr, (u8)el}, va);
}

/* The offset from va of the first byte that is watched; -1: none. */
static int wp(unsigned n, unsigned kinds, u64 va, u64 size)
{
	struct debug_context c = {0, 1};
	u64 at;

	return watchpoint_matches(&regs, n, c, kinds, va, size, &at) ? (int)(at - va) : -1;
}

TEST(breakpoints_match_by_address)
{
	bvr[3] = LOW;
	bcr[3] = BP;
	EXPECT(bp(3, 1, 0, LOW));
	EXPECT(bp(3, 0, 0, LOW));
	EXPECT(!bp(3, 1, 0, LOW + 4));
	EXPECT(!bp(3, 1, 0, LOW - 4));
	EXPECT(!bp(3, 1, 0, HIGH));
	EXPECT(!bp(2, 1, 0, LOW));
	/* Bits that hardware need not store do not count; the sign does. */
	bvr[3] = HIGH ^ GENMASK(63, 49);
	EXPECT(bp(3, 1, 0, HIGH));
	EXPECT(!bp(3, 1, 0, HIGH ^ BIT(48)));
	bvr[3] = HIGH | 3;
	EXPECT(bp(3, 1, 0, HIGH));
	bcr[3] = BP & ~E;
	EXPECT(!bp(3, 1, 0, HIGH));
	bcr[3] = BP & ~BAS(1);
	EXPECT(!bp(3, 1, 0, HIGH));
	for (unsigned type = 0; type < 16; type++) {
		bcr[3] = BP | TYPE(type);
		EXPECT_EQ(bp(3, 1, 0, HIGH), type == 0);
	}
	bcr[3] = 0;
}

TEST(breakpoints_match_by_exception_level_and_security)
{
	bvr[0] = LOW;
	bcr[0] = BP & ~EL(0);
	EXPECT(bp(0, 1, 0, LOW));
	EXPECT(!bp(0, 0, 0, LOW));
	bcr[0] = BP & ~EL(1);
	EXPECT(!bp(0, 1, 0, LOW));
	EXPECT(bp(0, 0, 0, LOW));
	bcr[0] = BP & ~(EL(0) | EL(1));
	EXPECT(!bp(0, 1, 0, LOW));
	EXPECT(!bp(0, 0, 0, LOW));
	for (unsigned ssc = 0; ssc < 4; ssc++) {
		bcr[0] = BP | SSC(ssc);
		EXPECT_EQ(bp(0, 1, 0, LOW), ssc < 2);
		bcr[0] = BP | SSC(ssc) | HMC;
		EXPECT_EQ(bp(0, 1, 0, LOW), ssc != 2);
	}
	bcr[0] = 0;
}

TEST(links_compare_the_context)
{
	bvr[0] = LOW;
	bcr[0] = BP | TYPE(1) | LINK(4);
	EXPECT(!bp(0, 1, 7, LOW)); /* the other end is off */
	bvr[4] = 0x100000007ull;
	bcr[4] = BP | TYPE(3);
	EXPECT(bp(0, 1, 7, LOW));
	EXPECT(!bp(0, 1, 8, LOW));
	EXPECT(!bp(0, 1, 7, LOW + 4));
	/* The other end alone stops nothing, and must be of the linked kind. */
	EXPECT(!bp(4, 1, 7, LOW));
	bcr[4] = BP | TYPE(2);
	EXPECT(!bp(0, 1, 7, LOW));
	EXPECT(bp(4, 1, 7, LOW));
	EXPECT(bp(4, 1, 7, HIGH));
	EXPECT(!bp(4, 1, 8, LOW));
	/* Only the last two compare contexts. */
	bcr[3] = BP | TYPE(3);
	bvr[3] = 7;
	bcr[0] = BP | TYPE(1) | LINK(3);
	EXPECT(!bp(0, 1, 7, LOW));
	bcr[3] = BP | TYPE(2);
	EXPECT(!bp(3, 1, 7, LOW));
	bcr[6] = BP | TYPE(3);
	bvr[6] = 7;
	bcr[0] = BP | TYPE(1) | LINK(6);
	EXPECT(!bp(0, 1, 7, LOW));
	/* A watchpoint's link. */
	bcr[5] = BP | TYPE(3);
	bvr[5] = 0;
	wvr[1] = LOW;
	wcr[1] = WP | BAS(0xff) | LINKED_WP | LINK(5);
	EXPECT_EQ(wp(1, WATCH_LOAD, LOW, 1), 0);
	bvr[5] = 1;
	EXPECT_EQ(wp(1, WATCH_LOAD, LOW, 1), -1);
	memset(bcr, 0, sizeof(bcr));
	wcr[1] = 0;
}

TEST(breakpoints_belong_to_pages)
{
	bvr[0] = HIGH;
	bcr[0] = BP;
	EXPECT(breakpoint_in_page(&regs, 0, HIGH & ~0xfffull));
	EXPECT(breakpoint_in_page(&regs, 0, HIGH | 0xfff));
	EXPECT(!breakpoint_in_page(&regs, 0, HIGH + 4096));
	bcr[0] = BP | TYPE(2);
	EXPECT(breakpoint_in_page(&regs, 0, 0));
	bcr[0] = BP | TYPE(3);
	EXPECT(!breakpoint_in_page(&regs, 0, HIGH));
	bcr[0] = 0;
}

TEST(watchpoints_select_bytes)
{
	u64 base = LOW & ~7ull;

	wvr[0] = base;
	for (unsigned bas = 0; bas < 256; bas++) {
		wcr[0] = WP | BAS(bas);
		for (unsigned start = 0; start < 9; start++)
			for (unsigned size = 1; size <= 16; size *= 2) {
				int want = -1;

				for (unsigned i = 0; i < size && want < 0; i++)
					if (start + i < 8 && (bas >> (start + i) & 1))
						want = (int)i;
				ASSERT_EQ(wp(0, WATCH_STORE, base + start, size), want);
			}
	}
	/* From before it. */
	wcr[0] = WP | BAS(0x80);
	EXPECT_EQ(wp(0, WATCH_STORE, base - 8, 16), 15);
	EXPECT_EQ(wp(0, WATCH_STORE, base - 16, 16), -1);
	/* A word address uses four bits of BAS. */
	wvr[0] = base + 4;
	wcr[0] = WP | BAS(0xf1);
	EXPECT_EQ(wp(0, WATCH_STORE, base + 4, 1), 0);
	EXPECT_EQ(wp(0, WATCH_STORE, base + 5, 3), -1);
	EXPECT_EQ(wp(0, WATCH_STORE, base + 8, 8), -1);
	EXPECT_EQ(wp(0, WATCH_STORE, base, 8), 4);
	/* Tags do not count, and *at keeps them. */
	EXPECT_EQ(wp(0, WATCH_STORE, (base + 4) | 0x5aull << 56, 1), 0);
	EXPECT_EQ(wp(0, WATCH_STORE, (base + 4) | 1ull << 48, 1), -1);
	wcr[0] = 0;
}

TEST(watchpoints_select_ranges)
{
	u64 base = HIGH & ~0xffffull;

	wvr[0] = base;
	wcr[0] = WP | BAS(0xff) | MASK(12);
	EXPECT_EQ(wp(0, WATCH_LOAD, base, 1), 0);
	EXPECT_EQ(wp(0, WATCH_LOAD, base + 0xfff, 8), 0);
	EXPECT_EQ(wp(0, WATCH_LOAD, base + 0x1000, 8), -1);
	EXPECT_EQ(wp(0, WATCH_LOAD, base - 8, 8), -1);
	EXPECT_EQ(wp(0, WATCH_LOAD, base - 8, 16), 8);
	EXPECT_EQ(wp(0, WATCH_LOAD, base - 64, 64), -1);
	wcr[0] = WP | BAS(0xff) | MASK(31);
	EXPECT_EQ(wp(0, WATCH_LOAD, ALIGN_DOWN(HIGH, 1ull << 31), 1), 0);
	EXPECT_EQ(wp(0, WATCH_LOAD, ALIGN_DOWN(HIGH, 1ull << 31) - 1, 1), -1);
	EXPECT_EQ(wp(0, WATCH_LOAD, HIGH | 0x7fffffff, 1), 0);
	/* The last bytes of the address space. */
	wvr[0] = ~0xfffull;
	wcr[0] = WP | BAS(0xff) | MASK(12);
	EXPECT_EQ(wp(0, WATCH_LOAD, ~0ull - 15, 16), 0);
	EXPECT_EQ(wp(0, WATCH_LOAD, 0, 16), -1);
	wcr[0] = 0;
}

TEST(watchpoints_tell_loads_from_stores)
{
	wvr[0] = LOW;
	for (unsigned lsc = 0; lsc < 4; lsc++) {
		wcr[0] = (WP & ~LSC(3)) | BAS(0xff) | LSC(lsc);
		EXPECT_EQ(wp(0, WATCH_LOAD, LOW, 8), lsc & 1 ? 0 : -1);
		EXPECT_EQ(wp(0, WATCH_STORE, LOW, 8), lsc & 2 ? 0 : -1);
		EXPECT_EQ(wp(0, WATCH_LOAD | WATCH_STORE, LOW, 8), lsc ? 0 : -1);
	}
	wcr[0] = (WP & ~EL(1)) | BAS(0xff);
	EXPECT_EQ(wp(0, WATCH_LOAD, LOW, 8), -1);
	wcr[0] = (WP & ~E) | BAS(0xff);
	EXPECT_EQ(wp(0, WATCH_LOAD, LOW, 8), -1);
	wcr[0] = 0;
}

TEST(watchpoints_belong_to_pages)
{
	wvr[0] = 0x12348000;
	wcr[0] = WP | BAS(0xff) | MASK(13);
	EXPECT(watchpoint_in_page(&regs, 0, 0x12348123));
	EXPECT(watchpoint_in_page(&regs, 0, 0x12349fff));
	EXPECT(!watchpoint_in_page(&regs, 0, 0x1234a000));
	EXPECT(!watchpoint_in_page(&regs, 0, 0x12347fff));
	EXPECT(watchpoint_in_page(&regs, 0, 0x7e00000012348000ull));
	wcr[0] = 0;
}
