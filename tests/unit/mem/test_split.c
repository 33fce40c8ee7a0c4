/* SPDX-License-Identifier: MIT */
/* Eager splitting of blocks, and whose the pages for it are. */
#include <errno.h>

#include "host/alloc.h"
#include "mem/stage2_split.h"
#include "rig.h"
#include "test.h"

#define BLOCK_PAGES (2 * MIB / PAGE)
#define GIB_PAGES   (GIB / PAGE)

static struct rig r;
static char *mem;
static u64 ask[GIB_PAGES / 64];

/* Leaves of each level. */
static u64 leaves[4];

static int count_leaf(struct s2_visit *v, enum s2_visit_kind kind)
{
	if (s2_is_leaf(v->old, v->level))
		leaves[v->level]++;
	return 0;
}

static void walk(int (*visit)(struct s2_visit *, enum s2_visit_kind), void *arg)
{
	struct s2_walker w = {.visit = visit, .kinds = S2_VISIT_LEAF, .arg = arg};

	write_lock(&r.m.mmu_lock);
	EXPECT_EQ(stage2_walk(aptr_load_relaxed(&r.m.mmu.pgt), 0, BIT(40), &w), 0);
	write_unlock(&r.m.mmu_lock);
}

static void expect_leaves(u64 l1, u64 l2, u64 l3)
{
	memset(leaves, 0, sizeof(leaves));
	walk(count_leaf, NULL);
	EXPECT_EQ(leaves[1], l1);
	EXPECT_EQ(leaves[2], l2);
	EXPECT_EQ(leaves[3], l3);
}

static void write_at(u64 ipa)
{
	u32 x = 1;

	EXPECT_EQ(fake_access(&r.v, ipa, FAKE_WRITE, &x), 0);
}

/* A slot of size at 1 GiB, mapped by one block. */
static void start_with_block(u64 size, u64 chunk)
{
	mem = rig_map(size, size);
	rig_start(&r);
	ASSERT_EQ(mem_set_split_chunk(&r.m, chunk), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, GIB, size, mem, 0), 0);
	write_at(GIB);
	expect_leaves(size == GIB, size == 2 * MIB, 0);
}

static int log_on(u64 size)
{
	return rig_slot(&r.m, 0, GIB, size, mem, MEMSLOT_LOG_DIRTY);
}

static void split(u64 start, u64 end)
{
	mutex_lock(&r.m.slots_lock);
	stage2_split(&r.m, &r.m.mmu, start, end);
	mutex_unlock(&r.m.slots_lock);
}

TEST(chunk_sizes_are_those_of_leaves_and_set_before_slots)
{
	char *p = rig_map(PAGE, 0);

	rig_start(&r);
	EXPECT_EQ(mem_split_chunk(&r.m), 0);
	EXPECT_EQ(mem_set_split_chunk(&r.m, PAGE), 0);
	EXPECT_EQ(mem_set_split_chunk(&r.m, GIB), 0);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 8192), -EINVAL);
	EXPECT_EQ(mem_set_split_chunk(&r.m, PAGE | 2 * MIB), -EINVAL);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 2 * GIB), -EINVAL);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 1), -EINVAL);
	EXPECT_EQ(mem_split_chunk(&r.m), GIB);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 0), 0);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 2 * MIB), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 2 * MIB), -EINVAL);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 0), -EINVAL);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 0, p, 0), 0);
	EXPECT_EQ(mem_set_split_chunk(&r.m, 0), 0);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- what comes out (I-24) ------------------------------------------------------------------------------------------ */

static u64 block_pte;

/* Changes the only leaf to what no fault makes: software bits, read-only, not accessed. */
static int change_leaf(struct s2_visit *v, enum s2_visit_kind kind)
{
	const u64 *bits = v->arg;

	if (!s2_is_leaf(v->old, v->level))
		return 0;
	block_pte = (v->old & ~bits[0]) | bits[1];
	a64_store(v->entry, block_pte);
	return 0;
}

static int compare_leaf(struct s2_visit *v, enum s2_visit_kind kind)
{
	u64 wanted;

	if (!v->old)
		return 0;
	wanted = block_pte + ALIGN_DOWN(v->ipa - GIB, s2_size(v->level));
	if (v->level == 3)
		wanted |= S2_TABLE;
	if (v->old != wanted && !test_failed)
		TEST_FAIL("ipa 0x%llx level %u is 0x%llx, expected 0x%llx", (long long)v->ipa,
			  v->level, (long long)v->old, (long long)wanted);
	return 0;
}

TEST(I24_parts_of_a_block_have_its_address_rights_and_flags)
{
	static const struct {
		u64 size, bits[2];
	} c[] = {
		{2 * MIB, {0, 0}},
		{GIB, {0, 0}},
		{2 * MIB, {S2_AF | S2_W, 5ull << 55}},
		{GIB, {S2_W | S2_XN, 9ull << 55 | 3ull << 53}},
		{2 * MIB, {S2_XN | S2_AF, 0}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		start_with_block(c[i].size, GIB);
		walk(change_leaf, (void *)c[i].bits);
		split(GIB, GIB + c[i].size);
		expect_leaves(0, 0, c[i].size / PAGE);
		walk(compare_leaf, NULL);
		EXPECT(rig_stop(&r));
		munmap(mem, c[i].size);
	}
}

TEST(I24_only_what_the_range_reaches_is_split)
{
	static const u64 as_it_is[2];

	start_with_block(GIB, PAGE);
	walk(change_leaf, (void *)as_it_is);
	split(GIB + 5 * 2 * MIB + 7 * PAGE, GIB + 5 * 2 * MIB + 8 * PAGE);
	expect_leaves(0, 511, 512);
	walk(compare_leaf, NULL);
	split(GIB + 6 * 2 * MIB - PAGE, GIB + 6 * 2 * MIB + PAGE);
	expect_leaves(0, 510, 1024);
	EXPECT(rig_stop(&r));
	munmap(mem, GIB);
}

static void split_2m(void *arg)
{
	split(GIB, GIB + 2 * MIB);
}

TEST(I20_no_vcpu_has_the_block_any_more_when_its_table_is_there)
{
	struct helper h;

	start_with_block(2 * MIB, GIB);
	fake_enter(&r.v);
	write_at(GIB + 3 * PAGE);
	ASSERT(fake_tlb_find(&r.v, GIB + 3 * PAGE));
	EXPECT_EQ(fake_tlb_find(&r.v, GIB + 3 * PAGE)->level, 2);
	helper_start(&h, split_2m, NULL);
	/* Until this vCPU has answered, the block is neither block nor table. */
	for (unsigned i = 0; i < 10000 && !a32_load(&r.v.tlb.attention); i++)
		sleep_ms(1);
	EXPECT(!helper_ended_within(&h, 20));
	while (!helper_ended_within(&h, 1))
		fake_poll(&r.v);
	fake_poll(&r.v);
	EXPECT(!fake_tlb_find(&r.v, GIB + 3 * PAGE));
	fake_leave(&r.v);
	helper_join(&h);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

/* --- when it happens ------------------------------------------------------------------------------------------------ */

TEST(logging_splits_the_slot_whatever_the_chunk)
{
	static const u64 chunks[] = {0, PAGE, 2 * MIB, GIB};

	for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++) {
		start_with_block(GIB, chunks[i]);
		ASSERT_EQ(log_on(GIB), 0);
		if (chunks[i])
			expect_leaves(0, 0, GIB_PAGES);
		else
			expect_leaves(1, 0, 0);
		EXPECT(rig_stop(&r));
		munmap(mem, GIB);
	}
}

TEST(clear_splits_what_it_clears_if_all_was_set_initially)
{
	start_with_block(GIB, 2 * MIB);
	ASSERT_EQ(mem_set_manual_protect(&r.m, 3), 0);
	ASSERT_EQ(log_on(GIB), 0);
	expect_leaves(1, 0, 0);
	memset(ask, 0, sizeof(ask));
	ask[0] = 1;
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, GIB_PAGES, 0, ask), 0);
	expect_leaves(0, 511, 512);
	/* Nothing to clear any more: nothing to split. */
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, 64, 0, ask), 0);
	expect_leaves(0, 511, 512);
	memset(ask, 0, sizeof(ask));
	ask[2 * BLOCK_PAGES / 64] = BIT(63);
	ask[3 * BLOCK_PAGES / 64] = 1;
	ask[GIB_PAGES / 64 - 1] = BIT(63);
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, GIB_PAGES, 0, ask), 0);
	expect_leaves(0, 508, 4 * 512);
	memset(ask, 0xff, sizeof(ask));
	EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, GIB_PAGES, 0, ask), 0);
	expect_leaves(0, 0, GIB_PAGES);
	EXPECT(rig_stop(&r));
	munmap(mem, GIB);
}

TEST(a_reset_splits_what_it_protects_if_all_was_set_initially)
{
	u32 x = 1, slot;
	u64 page;

	mem = rig_map(4 * MIB, 4 * MIB);
	rig_start_rings(&r, 4096, true);
	ASSERT_EQ(mem_set_split_chunk(&r.m, 2 * MIB), 0);
	ASSERT_EQ(mem_set_manual_protect(&r.m, 3), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, GIB, 4 * MIB, mem, 0), 0);
	write_at(GIB);
	write_at(GIB + 2 * MIB);
	ASSERT_EQ(log_on(4 * MIB), 0);
	expect_leaves(0, 2, 0);
	/* A write of the library's own on the vCPU's thread: the guest's do not fault yet. */
	EXPECT_EQ(mem_write_guest(&r.m, &r.v.mem, GIB + 5 * PAGE, &x, 4), 0);
	ASSERT(rig_collect(&r.v, &slot, &page));
	EXPECT_EQ(page, 5);
	EXPECT_EQ(mem_reset_dirty_rings(&r.m), 1);
	expect_leaves(0, 1, 512);
	EXPECT(rig_stop(&r));
	munmap(mem, 4 * MIB);
}

TEST(manual_protection_alone_splits_when_logging_begins)
{
	start_with_block(2 * MIB, GIB);
	ASSERT_EQ(mem_set_manual_protect(&r.m, 1), 0);
	ASSERT_EQ(log_on(2 * MIB), 0);
	expect_leaves(0, 0, 512);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(a_split_without_memory_leaves_the_block_and_the_log_right)
{
	u64 bits[BLOCK_PAGES / 64];

	for (unsigned n = 1; n < 20; n++) {
		int ret;

		start_with_block(2 * MIB, GIB);
		/* The slot and its bitmap are needed; of the pages one will do. */
		host_alloc_fail_at(n);
		ret = log_on(2 * MIB);
		host_alloc_fail_at(0);
		ASSERT_EQ(ret, n < 3 ? -ENOMEM : 0);
		expect_leaves(0, n <= 3, n <= 3 ? 0 : 512);
		if (ret)
			ASSERT_EQ(log_on(2 * MIB), 0);
		write_at(GIB + 9 * PAGE);
		EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bits), 0);
		EXPECT_EQ(bits[0], BIT(9));
		EXPECT(rig_stop(&r));
		munmap(mem, 2 * MIB);
	}
}

TEST(a_clear_whose_split_finds_no_memory_has_cleared_all_the_same)
{
	for (unsigned n = 1; n < 100; n++) {
		start_with_block(GIB, GIB);
		ASSERT_EQ(mem_set_manual_protect(&r.m, 3), 0);
		ASSERT_EQ(log_on(GIB), 0);
		memset(ask, 0xff, sizeof(ask));
		host_alloc_fail_at(n);
		EXPECT_EQ(mem_clear_dirty_log(&r.m, 0, GIB_PAGES, 0, ask), 0);
		host_alloc_fail_at(0);
		memset(leaves, 0, sizeof(leaves));
		walk(count_leaf, NULL);
		EXPECT_EQ(leaves[1] * GIB_PAGES + leaves[2] * BLOCK_PAGES + leaves[3], GIB_PAGES);
		EXPECT_EQ(leaves[1], n == 1);
		/* It ends where a refill brings nothing. */
		EXPECT_EQ(leaves[1] + leaves[2] != 0, (n - 1) % SPLIT_CACHE_CAPACITY == 0);
		EXPECT_EQ(mem_get_dirty_log(&r.m, 0, ask), 0);
		for (unsigned i = 0; i < GIB_PAGES / 64; i++)
			EXPECT_EQ(ask[i], 0);
		EXPECT(rig_stop(&r));
		munmap(mem, GIB);
	}
}

/* --- whose the cache is (I-03) -------------------------------------------------------------------------------------- */

/* The mistake that the analysis would find. */
static void drain_without_the_lock(void) NO_THREAD_SAFETY_ANALYSIS
{
	split_cache_drain(&r.m);
}

TEST(I03_the_cache_is_touched_under_slots_lock_only)
{
	start_with_block(2 * MIB, GIB);
	ASSERT_EQ(log_on(2 * MIB), 0);
	EXPECT(aborts(drain_without_the_lock));
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(I03_logging_off_and_deletion_free_nothing_early)
{
	unsigned nr;

	start_with_block(2 * MIB, GIB);
	ASSERT_EQ(log_on(2 * MIB), 0);
	nr = r.m.split_cache.nr;
	EXPECT_EQ(nr, SPLIT_CACHE_CAPACITY - 1);
	ASSERT_EQ(rig_slot(&r.m, 0, GIB, 2 * MIB, mem, 0), 0);
	EXPECT_EQ(r.m.split_cache.nr, nr);
	ASSERT_EQ(log_on(2 * MIB), 0);
	nr = r.m.split_cache.nr;
	ASSERT_EQ(rig_slot(&r.m, 0, GIB, 0, mem, 0), 0);
	EXPECT_EQ(r.m.split_cache.nr, nr);
	EXPECT(nr);
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

TEST(T2_a_vm_closed_while_logging_leaves_nothing_behind)
{
	start_with_block(2 * MIB, GIB);
	ASSERT_EQ(log_on(2 * MIB), 0);
	EXPECT(r.m.split_cache.nr);
	/* What is left of the library's objects is counted there. */
	EXPECT(rig_stop(&r));
	munmap(mem, 2 * MIB);
}

static void flush_all(void *arg)
{
	mem_flush_all(&r.m);
}

TEST(I03_two_teardowns_at_once_leave_the_cache_alone)
{
	struct helper h[2];

	for (unsigned round = 0; round < test_rounds(200, 100000); round++) {
		unsigned nr;

		start_with_block(2 * MIB, GIB);
		ASSERT_EQ(log_on(2 * MIB), 0);
		nr = r.m.split_cache.nr;
		helper_start(&h[0], flush_all, NULL);
		helper_start(&h[1], flush_all, NULL);
		helper_join(&h[0]);
		helper_join(&h[1]);
		EXPECT_EQ(r.m.split_cache.nr, nr);
		EXPECT(nr);
		EXPECT(rig_stop(&r));
		munmap(mem, 2 * MIB);
	}
}

static int clear_result;

static void clear_all(void *arg)
{
	clear_result = mem_clear_dirty_log(&r.m, 0, GIB_PAGES, 0, ask);
}

TEST(T3_release_amid_the_split_of_a_clear)
{
	struct helper h;
	struct gate g;

	start_with_block(GIB, GIB);
	ASSERT_EQ(mem_set_manual_protect(&r.m, 3), 0);
	ASSERT_EQ(log_on(GIB), 0);
	memset(ask, 0xff, sizeof(ask));
	gate_arm(&g, HOOK_SPLIT_UNLOCKED, 0);
	helper_start(&h, clear_all, NULL);
	ASSERT(gate_wait(&g));
	/* It has slots_lock, an empty cache and no mmu_lock. */
	EXPECT(a32_load(&r.m.slots_lock.state));
	mem_flush_all(&r.m);
	/* The table itself is gone. */
	rcu_barrier();
	gate_open(&g);
	helper_join(&h);
	gate_disarm(&g);
	EXPECT_EQ(clear_result, 0);
	EXPECT(!aptr_load_relaxed(&r.m.mmu.pgt));
	/* Filled, found nothing to split, kept. */
	EXPECT_EQ(r.m.split_cache.nr, SPLIT_CACHE_CAPACITY);
	EXPECT(rig_stop(&r));
	munmap(mem, GIB);
}

TEST(release_before_a_split_makes_it_do_nothing)
{
	start_with_block(GIB, GIB);
	mem_flush_all(&r.m);
	split(GIB, 2 * GIB);
	EXPECT_EQ(r.m.split_cache.nr, SPLIT_CACHE_CAPACITY);
	EXPECT(rig_stop(&r));
	munmap(mem, GIB);
}

/* Somebody waits for mmu_lock: he gets it at the end of a chunk. */
static void take_mmu_lock(void *arg)
{
	write_lock(&r.m.mmu_lock);
	memset(leaves, 0, sizeof(leaves));
	struct s2_walker w = {.visit = count_leaf, .kinds = S2_VISIT_LEAF};

	stage2_walk(aptr_load_relaxed(&r.m.mmu.pgt), 0, BIT(40), &w);
	write_unlock(&r.m.mmu_lock);
}

static void split_gib(void *arg)
{
	split(GIB, 2 * GIB);
}

TEST(whoever_waits_for_the_lock_gets_it_after_a_chunk)
{
	struct helper h, other;
	struct gate g;

	start_with_block(GIB, 2 * MIB);
	gate_arm(&g, HOOK_SPLIT_BROKEN, 0);
	helper_start(&h, split_gib, NULL);
	ASSERT(gate_wait(&g));
	helper_start(&other, take_mmu_lock, NULL);
	for (unsigned i = 0; i < 10000 && !rwlock_is_contended(&r.m.mmu_lock); i++)
		sleep_ms(1);
	gate_open(&g);
	helper_join(&other);
	helper_join(&h);
	gate_disarm(&g);
	/* The first chunk was done, and no more than that. */
	EXPECT_EQ(leaves[2], 511);
	EXPECT_EQ(leaves[3], 512);
	expect_leaves(0, 0, GIB_PAGES);
	EXPECT(rig_stop(&r));
	munmap(mem, GIB);
}
