/* SPDX-License-Identifier: MIT */
/* The walk of a guest hypervisor's stage 2: what it says of each address, against a second walker, and its faults. */
#include "mem/nested_walk.h"
#include "rig.h"
#include "test.h"

static struct rig r;

/* Guest memory: 64 MiB at 1 GiB. */
#define MEM_GPA	 GIB
#define MEM_SIZE (64 * MIB)

#define D_TABLE 3ull
#define D_BLOCK 1ull
#define D_PAGE	3ull
#define D_AF	BIT(10)
#define D_R	BIT(6)
#define D_W	BIT(7)
#define D_XN(n) ((u64)(n) << 53)

static char *mem;

static u64 *at(u64 gpa)
{
	return (u64 *)(mem + (gpa - MEM_GPA));
}

static void start(void)
{
	rig_start(&r);
	mem = rig_map(MEM_SIZE, 0);
	if (rig_slot(&r.m, 0, MEM_GPA, MEM_SIZE, mem, 0))
		abort();
}

static void stop(void)
{
	EXPECT(rig_stop(&r));
	munmap(mem, MEM_SIZE);
}

static int walk(u64 vttbr, u64 vtcr, u64 ipa, struct nested_walk *w)
{
	struct nested_key key = {.vttbr = vttbr, .vtcr = vtcr, .s2 = true};
	int cookie = srcu_read_lock(&r.m.srcu);
	int ret = nested_walk(&r.m, &r.v.mem, &key, ipa, w);

	srcu_read_unlock(&r.m.srcu, cookie);
	return ret;
}

/* tg0: 0 4 KiB, 1 64 KiB, 2 16 KiB; ps 5: 48 bits. */
static u64 vtcr_of(unsigned tg0, unsigned sl0, unsigned ia_bits, unsigned ps)
{
	return (64 - ia_bits) | sl0 << 6 | tg0 << 14 | (u64)ps << 16;
}

static void expect_fault(u64 vttbr, u64 vtcr, u64 ipa, enum nested_fault fault, unsigned level)
{
	struct nested_walk w;

	EXPECT_EQ(walk(vttbr, vtcr, ipa, &w), 0);
	EXPECT_EQ(w.fault, fault);
	EXPECT_EQ(w.level, level);
}

TEST(a_block_and_a_page_are_found_with_their_rights)
{
	u64 vtcr = vtcr_of(0, 1, 40, 5), l1 = MEM_GPA + 2 * MIB, l2 = MEM_GPA + MIB,
	    l3 = MEM_GPA + MIB + PAGE;
	struct nested_walk w;

	start();
	/* 40 bits at level 1: two tables side by side; the second one's first entry is 512 GiB. */
	at(l1)[0] = l2 | D_TABLE;
	at(l1)[512] = 5 * GIB | D_BLOCK | D_AF | D_R;
	at(l2)[3] = 0x12345600000 | D_BLOCK | D_AF | D_R | D_W | D_XN(2);
	at(l2)[4] = l3 | D_TABLE;
	at(l3)[7] = 0xabc000 | D_PAGE | D_AF | D_W | D_XN(1);
	EXPECT_EQ(walk(l1 | 5ull << 48, vtcr, 6 * MIB + 0x1234, &w), 0);
	EXPECT(!w.fault && w.level == 2 && w.size == 2 * MIB && w.ipa == 0x12345601234);
	EXPECT(w.r && w.w && !w.x_el0 && !w.x_el1);
	EXPECT_EQ(walk(l1, vtcr, 8 * MIB + 7 * PAGE + 8, &w), 0);
	EXPECT(!w.fault && w.level == 3 && w.size == PAGE && w.ipa == 0xabc008);
	EXPECT(!w.r && w.w && w.x_el0 && !w.x_el1);
	EXPECT_EQ(walk(l1, vtcr, 512 * GIB + 0x777000, &w), 0);
	EXPECT(!w.fault && w.level == 1 && w.size == GIB && w.ipa == 5 * GIB + 0x777000);
	EXPECT(w.r && !w.w && w.x_el0 && w.x_el1);
	/* Bits of the base below the size of both tables are not looked at, CnP among them. */
	EXPECT_EQ(walk(l1 | PAGE | 1, vtcr, 512 * GIB, &w), 0);
	EXPECT(!w.fault && w.ipa == 5 * GIB);
	stop();
}

TEST(each_way_to_fault_says_which_and_where)
{
	u64 vtcr = vtcr_of(0, 1, 39, 5), l1 = MEM_GPA, l2 = MEM_GPA + PAGE, l3 = MEM_GPA + 2 * PAGE;
	u64 ok = D_AF | D_R | D_W;
	struct nested_walk w;

	start();
	at(l1)[0] = l2 | D_TABLE;
	at(l2)[0] = l3 | D_TABLE;
	expect_fault(l1, vtcr, BIT(39), NESTED_FAULT_TRANSLATION, 0);
	expect_fault(l1, vtcr, GIB, NESTED_FAULT_TRANSLATION, 1);
	expect_fault(l1, vtcr, 2 * MIB, NESTED_FAULT_TRANSLATION, 2);
	expect_fault(l1, vtcr, PAGE, NESTED_FAULT_TRANSLATION, 3);
	/* Level 3 knows no blocks. */
	at(l3)[0] = 0x1000 | D_BLOCK | ok;
	expect_fault(l1, vtcr, 0, NESTED_FAULT_TRANSLATION, 3);
	at(l3)[0] = 0x1000 | D_PAGE | (ok & ~D_AF);
	expect_fault(l1, vtcr, 0, NESTED_FAULT_ACCESS_FLAG, 3);
	EXPECT_EQ(at(l3)[0], 0x1000 | D_PAGE | (ok & ~D_AF));
	/* Output sizes: 36 bits. A table's address counts as the output of the level that names it, the base of level 0. */
	vtcr = vtcr_of(0, 1, 39, 1);
	at(l3)[0] = BIT(36) | D_PAGE | ok;
	expect_fault(l1, vtcr, 0, NESTED_FAULT_ADDRESS_SIZE, 3);
	at(l2)[1] = BIT(36) | D_TABLE;
	expect_fault(l1, vtcr, 2 * MIB, NESTED_FAULT_ADDRESS_SIZE, 2);
	at(l1)[1] = BIT(40) | D_BLOCK | ok;
	expect_fault(l1, vtcr, GIB, NESTED_FAULT_ADDRESS_SIZE, 1);
	expect_fault(BIT(36), vtcr, 0, NESTED_FAULT_ADDRESS_SIZE, 0);
	vtcr = vtcr_of(0, 1, 39, 5);
	EXPECT_EQ(walk(l1, vtcr, GIB, &w), 0);
	EXPECT(!w.fault && w.ipa == BIT(40));
	/* Tables outside memory, and in memory that the host does not back. */
	expect_fault(BIT(36), vtcr, 0, NESTED_FAULT_WALK_ABORT, 1);
	at(l1)[2] = 16 * GIB | D_TABLE;
	expect_fault(l1, vtcr, 2 * GIB, NESTED_FAULT_WALK_ABORT, 2);
	rig_unmap(mem + PAGE, PAGE);
	expect_fault(l1, vtcr, 0, NESTED_FAULT_WALK_ABORT, 2);
	stop();
}

TEST(the_access_flag_is_set_if_the_hypervisor_has_it_set)
{
	u64 vtcr = vtcr_of(0, 2, 48, 5) | VTCR_HA, l0 = MEM_GPA, l1 = MEM_GPA + PAGE;
	u64 desc = 7 * GIB | D_BLOCK | D_R;
	struct nested_walk w;

	start();
	EXPECT_EQ(rig_slot(&r.m, 0, MEM_GPA, MEM_SIZE, mem, MEMSLOT_LOG_DIRTY), 0);
	at(l0)[511] = l1 | D_TABLE;
	at(l1)[511] = desc;
	EXPECT_EQ(walk(l0, vtcr, BIT(48) - 8, &w), 0);
	EXPECT(!w.fault && w.ipa == 8 * GIB - 8);
	EXPECT_EQ(at(l1)[511], desc | D_AF);
	/* That was a write to guest memory. */
	EXPECT_EQ(a64_load(&memslot_find_id(memslot_active(&r.m), 0)->dirty_bitmap[0]), 2);
	/* Not with tables that nobody may write. */
	EXPECT_EQ(rig_slot(&r.m, 0, 0, 0, mem, 0), 0);
	EXPECT_EQ(rig_slot(&r.m, 0, MEM_GPA, MEM_SIZE, mem, MEMSLOT_READONLY), 0);
	EXPECT_EQ(walk(l0, vtcr, BIT(48) - 8, &w), 0);
	EXPECT(!w.fault);
	at(l1)[511] = desc;
	expect_fault(l0, vtcr, BIT(48) - 8, NESTED_FAULT_WALK_ABORT, 1);
	EXPECT_EQ(at(l1)[511], desc);
	stop();
}

TEST(the_access_flag_waits_for_room_in_the_dirty_ring)
{
	u64 vtcr = vtcr_of(0, 1, 39, 5) | VTCR_HA, desc = D_PAGE | D_R;
	struct nested_walk w;
	unsigned set = 0;

	rig_start_rings(&r, PAGE, false);
	mem = rig_map(MEM_SIZE, 0);
	if (rig_slot(&r.m, 0, MEM_GPA, MEM_SIZE, mem, MEMSLOT_LOG_DIRTY))
		abort();
	at(MEM_GPA)[0] = (MEM_GPA + PAGE) | D_TABLE;
	for (unsigned i = 0; i < 512; i++) {
		at(MEM_GPA + PAGE)[i] = (MEM_GPA + (2 + i) * PAGE) | D_TABLE;
		at(MEM_GPA + (2 + i) * PAGE)[0] = desc;
	}
	while (!walk(MEM_GPA, vtcr, set * 2 * MIB, &w))
		set++;
	/* Nothing was written that the ring does not tell. */
	EXPECT_CMP(set, <=, PAGE / 16);
	for (unsigned i = 0; i < 512; i++)
		EXPECT_EQ(at(MEM_GPA + (2 + i) * PAGE)[0], i < set ? desc | D_AF : desc);
	for (unsigned i = 0; i < set; i++) {
		u64 page;
		u32 slot;

		EXPECT(rig_collect(&r.v, &slot, &page) && page == 2 + i);
	}
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), set);
	EXPECT_EQ(walk(MEM_GPA, vtcr, set * 2 * MIB, &w), 0);
	stop();
}

TEST(illegal_regimes_are_translation_faults_of_level_0)
{
	/* By granule and SL0: the start level, or -1, and the input sizes that fit it. */
	static const struct {
		unsigned tg0, sl0, min, max;
	} legal[] = {{0, 0, 25, 34}, {0, 1, 31, 43}, {0, 2, 40, 48}, {2, 0, 25, 29}, {2, 1, 26, 40},
		     {2, 2, 37, 48}, {1, 0, 25, 33}, {1, 1, 30, 46}, {1, 2, 43, 48}};

	start();
	for (unsigned tg0 = 0; tg0 < 4; tg0++)
		for (unsigned sl0 = 0; sl0 < 4; sl0++)
			for (unsigned t0sz = 0; t0sz < 64; t0sz++) {
				u64 vtcr = vtcr_of(tg0, sl0, 64 - t0sz, 5);
				bool ok = false;
				struct nested_walk w;

				for (unsigned i = 0; i < sizeof(legal) / sizeof(legal[0]); i++)
					ok |= legal[i].tg0 == (tg0 == 3 ? 1 : tg0) &&
					      legal[i].sl0 == sl0 && 64 - t0sz >= legal[i].min &&
					      64 - t0sz <= legal[i].max;
				EXPECT_EQ(walk(BIT(47), vtcr, 0, &w), 0);
				EXPECT_EQ(w.fault,
					  ok ? NESTED_FAULT_WALK_ABORT : NESTED_FAULT_TRANSLATION);
				EXPECT_EQ(w.level, !ok ? 0 : (tg0 == 0 ? 2 : 3) - sl0);
			}
	stop();
}

/* --- against a second walker --------------------------------------------------------------------------------------- */

/*
 * Written from the tables of the manual, not from the code: per granule the bits that each level resolves, most significant
 * first.
 */
struct level_bits {
	unsigned hi, lo;
};
static const struct level_bits levels_of[3][4] = {
	{{47, 39}, {38, 30}, {29, 21}, {20, 12}},
	{{47, 47}, {46, 36}, {35, 25}, {24, 14}},
	{{51, 52}, {47, 42}, {41, 29}, {28, 16}},
};

struct expected {
	enum nested_fault fault;
	unsigned level;
	u64 ipa, size, desc;
};

static struct expected second_walk(unsigned g, unsigned start_level, unsigned ia_bits,
				   unsigned oa_bits, u64 base, u64 ipa)
{
	static const u64 page_of[3] = {4096, 16384, 65536};
	u64 table = base;

	if (ipa >= 1ull << ia_bits)
		return (struct expected){NESTED_FAULT_TRANSLATION, 0, 0, 0, 0};
	for (unsigned level = start_level;; level++) {
		struct level_bits b = levels_of[g][level];
		u64 size = 1ull << b.lo, slot, desc, address;
		struct expected e = {NESTED_FAULT_NONE, level, 0, size, 0};

		if (level == start_level)
			b.hi = ia_bits - 1;
		slot = table + 8 * ((ipa / size) % (1ull << (b.hi - b.lo + 1)));
		if (slot < MEM_GPA || slot >= MEM_GPA + MEM_SIZE) {
			e.fault = NESTED_FAULT_WALK_ABORT;
			return e;
		}
		desc = *at(slot);
		e.desc = desc;
		address = desc % (1ull << 48) / page_of[g] * page_of[g];
		if (desc % 2 == 0 || (level == 3 && desc % 4 != 3)) {
			e.fault = NESTED_FAULT_TRANSLATION;
			return e;
		}
		if (level < 3 && desc % 4 == 3) {
			if (address >= 1ull << oa_bits) {
				e.fault = NESTED_FAULT_ADDRESS_SIZE;
				return e;
			}
			table = address;
			continue;
		}
		if (level == 0 || (level == 1 && g != 0))
			e.fault = NESTED_FAULT_TRANSLATION;
		else if (address >= 1ull << oa_bits)
			e.fault = NESTED_FAULT_ADDRESS_SIZE;
		else if (!(desc >> 10 & 1))
			e.fault = NESTED_FAULT_ACCESS_FLAG;
		e.ipa = address / size * size + ipa % size;
		return e;
	}
}

static u64 random_descriptor(u64 *seed, bool table_wanted)
{
	u64 n = next_random(seed), table = MEM_GPA + (n >> 8) % (MEM_SIZE / PAGE) * PAGE;

	if (n % 16 == 0)
		return 0;
	if (n % 16 == 1)
		return next_random(seed);
	if (table_wanted || n % 16 < 6)
		return ALIGN_DOWN(table, 65536) | D_TABLE;
	return (next_random(seed) & GENMASK(n % 8 ? 35 : 47, 12)) | (n & BIT(40) ? 1 : 3) |
	       (n >> 41 & 3) << 6 | (n & 0x700000 ? D_AF : 0) | D_XN(n >> 50);
}

TEST(random_tables_agree_with_a_second_walker)
{
	static const unsigned tg0_of[3] = {0, 2, 1}, oa[7] = {32, 36, 40, 42, 44, 48, 48};
	static const struct {
		unsigned g, sl0, level, min, max;
	} regimes[] = {{0, 0, 2, 25, 34}, {0, 1, 1, 31, 43}, {0, 2, 0, 40, 48},
		       {1, 0, 3, 25, 29}, {1, 1, 2, 26, 40}, {1, 2, 1, 37, 48},
		       {2, 0, 3, 25, 33}, {2, 1, 2, 30, 46}, {2, 2, 1, 43, 48}};
	unsigned seen[NESTED_FAULT_WALK_ABORT + 1] = {0};
	u64 seed = 77;

	start();
	for (unsigned i = 0; i < test_rounds(300000, 30000000); i++) {
		u64 n = next_random(&seed);
		unsigned k = n % 9, g = regimes[k].g, ps = (n >> 8) % 7;
		unsigned ia = regimes[k].min + (n >> 16) % (regimes[k].max - regimes[k].min + 1);
		u64 base = MEM_GPA + (n >> 24) % 4 * 16 * MIB;
		u64 ipa = next_random(&seed) >> (64 - ia) >> (n % 64 == 0 ? 0 : (n >> 32) % ia);
		struct expected e;
		struct nested_walk w;

		if (n % 128 == 0)
			ipa = next_random(&seed) >> 15;
		/* Put something there on the way, so that walks do not end at once: up to four descriptors. */
		for (unsigned j = 0; j < 4; j++) {
			u64 slot;

			e = second_walk(g, regimes[k].level, ia, oa[ps], base, ipa);
			if (e.fault != NESTED_FAULT_TRANSLATION || e.desc % 2 || ipa >> ia)
				break;
			/* Where the walk stopped: walk again with tables only, to find the place. */
			slot = base;
			for (unsigned l = regimes[k].level; l <= e.level; l++) {
				unsigned hi = l == regimes[k].level ? ia - 1 : levels_of[g][l].hi;
				u64 index = (ipa >> levels_of[g][l].lo) %
					    (1ull << (hi - levels_of[g][l].lo + 1));

				if (l > regimes[k].level)
					slot = *at(slot) & GENMASK(47, g == 0	? 12
								       : g == 1 ? 14
										: 16);
				slot += 8 * index;
			}
			*at(slot) = random_descriptor(&seed, e.level < 2 && n & 7);
		}
		e = second_walk(g, regimes[k].level, ia, oa[ps], base, ipa);
		ASSERT_EQ(walk(base | n << 48, vtcr_of(tg0_of[g], regimes[k].sl0, ia, ps), ipa, &w),
			  0);
		ASSERT_EQ(w.fault, e.fault);
		ASSERT_EQ(w.level, e.level);
		seen[e.fault]++;
		if (!e.fault) {
			unsigned xn = e.desc >> 53 & 3;

			ASSERT_EQ(w.ipa, e.ipa);
			ASSERT_EQ(w.size, e.size);
			ASSERT_EQ(w.r, e.desc >> 6 & 1);
			ASSERT_EQ(w.w, e.desc >> 7 & 1);
			ASSERT_EQ(w.x_el0, xn == 0 || xn == 1);
			ASSERT_EQ(w.x_el1, xn == 0 || xn == 3);
		}
		/* Begin anew before all is full. */
		if (i % 20000 == 19999)
			memset(mem, 0, MEM_SIZE);
	}
	for (unsigned i = 0; i <= NESTED_FAULT_WALK_ABORT; i++)
		if (i != NESTED_FAULT_PERMISSION)
			EXPECT_CMP(seen[i], >, 100);
	stop();
}
