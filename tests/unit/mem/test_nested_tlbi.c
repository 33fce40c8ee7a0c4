/* SPDX-License-Identifier: MIT */
/* TLB maintenance by a guest hypervisor: what each class takes, and what it leaves. */
#include <stdio.h>

#include "hypervisor.h"
#include "test.h"

static struct rig r;
static struct hypervisor h;
static u64 guest[3]; /* 0 and 1 have VMID 1, 2 has VMID 2 */
static struct nested_mmu *mmu[3];
static struct fake_vcpu second;

#define TTL_4K(level)  (1u << 2 | (level))
#define TTL_16K(level) (2u << 2 | (level))
#define TTL_64K(level) (3u << 2 | (level))

/* Each guest has a 2 MiB leaf at 2 MiB and a 4 KiB leaf at 6 MiB; the host grants 4 KiB at a time. */
static void start(void)
{
	hyp_start(&h, &r, 0);
	hyp_add_vcpu(&h, &second);
	r.m.block_policy = BLOCK_NONE;
	for (unsigned i = 0; i < 3; i++) {
		guest[i] = hyp_new_guest(&h, i == 2 ? 2 : 1);
		hyp_map(&h, guest[i], 2 * MIB, 4 * MIB, 2, HYP_RWX);
		hyp_map(&h, guest[i], 6 * MIB, 0x10000, 3, HYP_RWX);
		hyp_map(&h, guest[i], 6 * MIB + PAGE, 0x11000, 3, HYP_RWX);
	}
}

static void fill(unsigned i)
{
	u32 x;

	ASSERT_EQ(fake_load(&r.v, guest[i], HYP_VTCR, true), 0);
	mmu[i] = r.v.mem.nested;
	for (unsigned k = 0; k < 3; k++)
		EXPECT_EQ(fake_access(&r.v, 2 * MIB + k * 5 * PAGE, FAKE_READ, &x), 0);
	for (unsigned k = 0; k < 2; k++)
		EXPECT_EQ(fake_access(&r.v, 6 * MIB + k * PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(shadow_leaves(mmu[i]), 5);
	fake_put(&r.v);
}

static void fill_all(void)
{
	for (unsigned i = 0; i < 3; i++)
		fill(i);
	EXPECT_EQ(shadow_leaves_all(&r.m), 15);
}

static void stop(void)
{
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(alle1_takes_all_of_every_guest)
{
	start();
	fill_all();
	nested_tlbi_all(&r.m);
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	stop();
}

TEST(vmalls12e1_takes_every_context_of_the_vmid)
{
	start();
	fill_all();
	nested_tlbi_vmid(&r.m, 1);
	EXPECT(!shadow_leaves(mmu[0]) && !shadow_leaves(mmu[1]));
	EXPECT_EQ(shadow_leaves(mmu[2]), 5);
	nested_tlbi_vmid(&r.m, 3);
	EXPECT_EQ(shadow_leaves(mmu[2]), 5);
	nested_tlbi_vmid(&r.m, 2);
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	stop();
}

/* What a vCPU in the guest has in its TLB goes with the tables. */
static void expect_flush(void (*tlbi)(void))
{
	u32 x;

	start();
	fill_all();
	ASSERT_EQ(fake_load(&second, guest[1], HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&second, 6 * MIB, FAKE_READ, &x), 0);
	EXPECT(fake_tlb_find(&second, 6 * MIB));
	tlbi();
	fake_enter(&second);
	EXPECT(!fake_tlb_find(&second, 6 * MIB));
	fake_leave(&second);
	fake_put(&second);
	stop();
}

static void tlbi_of_all(void)
{
	nested_tlbi_all(&r.m);
}

static void tlbi_of_the_vmid(void)
{
	nested_tlbi_vmid(&r.m, 1);
}

TEST(alle1_flushes_the_tlb_of_a_vcpu_in_the_guest)
{
	expect_flush(tlbi_of_all);
}

TEST(vmalls12e1_flushes_the_tlb_of_a_vcpu_in_the_guest)
{
	expect_flush(tlbi_of_the_vmid);
}

TEST(T4_a_tlbi_after_the_end_of_the_mm_finds_no_tables)
{
	start();
	fill_all();
	mem_flush_all(&r.m);
	nested_tlbi_ipa(&r.m, 1, 6 * MIB, 0);
	nested_tlbi_vmid(&r.m, 1);
	nested_tlbi_all(&r.m);
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	stop();
}

TEST(ipas2e1_takes_the_leaf_of_the_hypervisor_that_held_the_address)
{
	start();
	fill_all();
	/* The level comes from the shadow leaf: of a page one page. */
	nested_tlbi_ipa(&r.m, 1, 6 * MIB + 8, 0);
	EXPECT(shadow_leaves(mmu[0]) == 4 && shadow_leaves(mmu[1]) == 4);
	EXPECT_EQ(shadow_leaves(mmu[2]), 5);
	/* Of a block all its parts. */
	nested_tlbi_ipa(&r.m, 1, 2 * MIB + 5 * PAGE, 0);
	EXPECT(shadow_leaves(mmu[0]) == 1 && shadow_leaves(mmu[1]) == 1);
	/* No shadow leaf there to tell: parts of the same leaf may be elsewhere, so the most it can be. */
	nested_tlbi_ipa(&r.m, 2, 2 * MIB + 7 * PAGE, 0);
	EXPECT_EQ(shadow_leaves(mmu[2]), 0);
	stop();
}

TEST(ipas2e1_believes_a_hint)
{
	start();
	fill_all();
	nested_tlbi_ipa(&r.m, 2, 2 * MIB + 5 * PAGE, TTL_4K(3));
	EXPECT_EQ(shadow_leaves(mmu[2]), 4);
	nested_tlbi_ipa(&r.m, 2, 2 * MIB + 7 * PAGE, TTL_4K(2));
	EXPECT_EQ(shadow_leaves(mmu[2]), 2);
	nested_tlbi_ipa(&r.m, 2, 6 * MIB, TTL_16K(3));
	EXPECT_EQ(shadow_leaves(mmu[2]), 0);
	/* Levels without leaves are no hint. */
	nested_tlbi_ipa(&r.m, 1, 6 * MIB, TTL_4K(0));
	EXPECT_EQ(shadow_leaves(mmu[0]), 4);
	nested_tlbi_ipa(&r.m, 1, 6 * MIB + PAGE, TTL_16K(1));
	EXPECT_EQ(shadow_leaves(mmu[0]), 3);
	fill(0);
	nested_tlbi_ipa(&r.m, 1, 31 * MIB, TTL_16K(2));
	EXPECT_EQ(shadow_leaves(mmu[0]), 0);
	fill(0);
	nested_tlbi_ipa(&r.m, 1, 511 * MIB, TTL_64K(2));
	EXPECT_EQ(shadow_leaves(mmu[0]), 0);
	fill(0);
	nested_tlbi_ipa(&r.m, 1, GIB, TTL_4K(1));
	EXPECT_EQ(shadow_leaves(mmu[0]), 5);
	nested_tlbi_ipa(&r.m, 1, GIB - 1, TTL_4K(1));
	EXPECT_EQ(shadow_leaves(mmu[0]), 0);
	/* No address of any guest. */
	nested_tlbi_ipa(&r.m, 1, BIT(48), 0);
	nested_tlbi_ipa(&r.m, 1, ~0ull, 0);
	stop();
}

TEST(without_hint_and_leaf_a_granule_gives_its_largest)
{
	static const struct {
		u64 tg0, span;
	} of[] = {{0, GIB}, {2, 32 * MIB}, {1, 512 * MIB}};
	u32 x;

	start();
	for (unsigned i = 0; i < 3; i++) {
		/* Identity, so that no table of that granule is needed; the level of its leaves is not known. */
		for (unsigned k = 0; k < 2; k++) {
			u64 vtcr = HYP_VTCR | of[i].tg0 << 14, far = (2 - k) * of[i].span - PAGE;

			ASSERT_EQ(fake_load(&r.v, (10ull + i) << 48, vtcr, false), 0);
			EXPECT_EQ(fake_access(&r.v, 3 * PAGE, FAKE_READ, &x), 0);
			nested_tlbi_ipa(&r.m, 10 + i, far, 0);
			EXPECT_EQ(shadow_leaves(r.v.mem.nested), !k);
			fake_put(&r.v);
		}
	}
	stop();
}

TEST(ripas2e1_takes_the_range_and_no_more)
{
	start();
	fill_all();
	nested_tlbi_ipa_range(&r.m, 1, 2 * MIB + 5 * PAGE, 6 * MIB + PAGE);
	EXPECT_EQ(shadow_leaves(mmu[0]), 2);
	EXPECT_EQ(shadow_leaves(mmu[1]), 2);
	EXPECT_EQ(shadow_leaves(mmu[2]), 5);
	nested_tlbi_ipa_range(&r.m, 1, 6 * MIB + PAGE, ~0ull);
	EXPECT_EQ(shadow_leaves(mmu[0]), 1);
	nested_tlbi_ipa_range(&r.m, 1, 0, 0);
	nested_tlbi_ipa_range(&r.m, 1, BIT(48), BIT(50));
	EXPECT_EQ(shadow_leaves(mmu[0]), 1);
	nested_tlbi_ipa_range(&r.m, 2, 0, BIT(60));
	EXPECT_EQ(shadow_leaves(mmu[2]), 0);
	stop();
}

TEST(stage_1_classes_empty_caches_and_leave_tables)
{
	u32 x;

	start();
	fill_all();
	ASSERT_EQ(fake_load(&second, guest[2], HYP_VTCR, true), 0);
	ASSERT_EQ(fake_load(&r.v, guest[0], HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&second, 6 * MIB, FAKE_READ, &x), 0);
	EXPECT_EQ(fake_access(&r.v, 6 * MIB, FAKE_READ, &x), 0);
	nested_tlbi_stage1(&r.m, 1);
	fake_enter(&r.v);
	fake_enter(&second);
	EXPECT(!fake_tlb_find(&r.v, 6 * MIB));
	EXPECT(fake_tlb_find(&second, 6 * MIB));
	fake_leave(&second);
	fake_leave(&r.v);
	EXPECT_EQ(shadow_leaves_all(&r.m), 15);
	stop();
}

TEST(the_el2_regime_s_own_empties_what_is_cached_of_the_canonical_mmu)
{
	u64 seq;
	u32 x;

	start();
	EXPECT_EQ(fake_access(&second, 6 * MIB, FAKE_READ, &x), 0);
	ASSERT_EQ(fake_load(&r.v, guest[0], HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 6 * MIB, FAKE_READ, &x), 0);
	seq = a64_load(&r.m.inv_seq);
	nested_tlbi_el2(&r.m);
	EXPECT_CMP(a64_load(&r.m.inv_seq), >, seq);
	fake_enter(&r.v);
	fake_enter(&second);
	EXPECT(fake_tlb_find(&r.v, 6 * MIB));
	EXPECT(!fake_tlb_find(&second, 6 * MIB));
	fake_leave(&second);
	fake_leave(&r.v);
	EXPECT_EQ(shadow_leaves_all(&r.m), 1);
	stop();
}

/* --- an inner guest that runs meanwhile ------------------------------------------------------------------------------ */

static struct a32 over, wrong, expected_min;

static void read_on(void *arg)
{
	struct fake_vcpu *v = arg;
	u32 x, min;

	fake_enter(v);
	while (!a32_load(&over)) {
		min = a32_load(&expected_min);
		/* Pages only go up in number; what was invalidated before the look must not be seen after it. */
		if (fake_access(v, 6 * MIB, FAKE_READ, &x) || x < min)
			a32_fetch_add(&wrong, 1);
		fake_poll(v);
	}
	fake_leave(v);
}

TEST(a_completed_invalidation_is_seen_by_a_guest_that_runs)
{
	struct helper reader;

	start();
	for (u32 i = 0; i < 64; i++)
		*hyp_word(&h, 0x20000 + i * PAGE) = i;
	hyp_map(&h, guest[0], 6 * MIB, 0x20000, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&second, guest[0], HYP_VTCR, true), 0);
	a32_store(&over, 0);
	a32_store(&wrong, 0);
	for (unsigned round = 0; round < test_rounds(50, 5000); round++) {
		a32_store(&expected_min, 0);
		hyp_map(&h, guest[0], 6 * MIB, 0x20000, 3, HYP_RWX);
		nested_tlbi_vmid(&r.m, 1);
		a32_store(&over, 0);
		helper_start(&reader, read_on, &second);
		for (u32 i = 1; i < 64; i++) {
			hyp_map(&h, guest[0], 6 * MIB, 0x20000 + i * PAGE, 3, HYP_RWX);
			if (i % 3 == 0)
				nested_tlbi_ipa(&r.m, 1, 6 * MIB, TTL_4K(3));
			else if (i % 3 == 1)
				nested_tlbi_ipa_range(&r.m, 1, 0, GIB);
			else
				nested_tlbi_vmid(&r.m, 1);
			a32_store(&expected_min, i);
		}
		a32_store(&over, 1);
		helper_join(&reader);
	}
	EXPECT_EQ(a32_load(&wrong), 0);
	stop();
}

/* --- whatever the hypervisor does, as long as it invalidates --------------------------------------------------------- */

struct agreement {
	u64 vttbr, leaves;
	bool ok;
};

/* Each page of a shadow leaf is where both stages say, with no right that one of them does not grant. */
static int agree_visit(struct s2_visit *v, enum s2_visit_kind kind)
{
	struct agreement *a = v->arg;
	struct nested_key key = {.vttbr = a->vttbr & ~VTTBR_CNP, .vtcr = HYP_VTCR, .s2 = true};
	u64 start = ALIGN_DOWN(v->ipa, s2_size(v->level));

	if (!s2_is_leaf(v->old, v->level))
		return 0;
	a->leaves++;
	for (u64 off = 0; off < s2_size(v->level); off += PAGE) {
		struct nested_walk w;
		int cookie = srcu_read_lock(&r.m.srcu);

		nested_walk(&r.m, &r.v.mem, &key, start + off, &w);
		srcu_read_unlock(&r.m.srcu, cookie);
		if (w.fault || w.ipa >= HYP_SIZE ||
		    (v->old & S2_OA) + off != (uintptr_t)h.mem + w.ipa ||
		    w.level != s2_guest_level(v->old) || (v->old & S2_R && !w.r) ||
		    (v->old & S2_W && !w.w)) {
			printf("# leaf 0x%llx of level %u at 0x%llx: not what both stages say\n",
			       (long long)v->old, v->level, (long long)start);
			a->ok = false;
			return -EINVAL;
		}
	}
	return 0;
}

static bool agrees(u64 vttbr, struct nested_mmu *n, u64 *leaves)
{
	struct agreement a = {.vttbr = vttbr, .ok = true};
	struct s2_walker w = {.visit = agree_visit, .kinds = S2_VISIT_LEAF, .arg = &a};

	/* Nobody else is there: the walk of guest tables needs SRCU, so mmu_lock stays free. */
	stage2_walk(aptr_load_relaxed(&n->mmu.pgt), 0, BIT(39), &w);
	*leaves += a.leaves;
	return a.ok;
}

/* As an operating system does it: break, invalidate, make. */
static void remap(u64 vttbr, u64 *seed)
{
	u64 n = next_random(seed), block = (n & 7) * 2 * MIB;
	u64 ipa = n & BIT(8) ? block : block + (n >> 9 & 7) * PAGE;
	unsigned level = n & BIT(8) ? 2 : 3;
	u64 pa = level == 2 ? (n >> 16 & 15) * 2 * MIB : (n >> 16 & 8191) * PAGE;
	u16 vmid = vttbr >> 48;
	bool had_table;
	u64 *l2;

	/* The level-2 entry of the block, in the one table that hyp_map made for this gigabyte. */
	hyp_map(&h, vttbr, GIB - PAGE, 0, 3, 0);
	l2 = (u64 *)(void *)(h.mem + (*(u64 *)(void *)(h.mem + (vttbr & GENMASK(47, 12))) &
				      GENMASK(47, 12))) +
	     block / (2 * MIB);
	had_table = (*l2 & 3) == 3;
	if (level == 3 && had_table) {
		hyp_unmap(&h, vttbr, ipa);
	} else {
		*l2 = 0;
		ipa = block;
	}
	if (level == 2 || !had_table) {
		/* Size changes: all that the entry mapped. */
		if (n & BIT(40))
			nested_tlbi_ipa_range(&r.m, vmid, block, block + 2 * MIB);
		else if (n & BIT(41))
			nested_tlbi_ipa(&r.m, vmid, block + (n >> 42 & 511) * PAGE, TTL_4K(2));
		else
			nested_tlbi_vmid(&r.m, vmid);
		/* Tables would run out. */
		if (level == 3 && h.next_table > HYP_SIZE - 64 * PAGE)
			return;
	} else if (n & BIT(40)) {
		nested_tlbi_ipa(&r.m, vmid, ipa, n & BIT(41) ? TTL_4K(3) : 0);
	} else {
		nested_tlbi_ipa_range(&r.m, vmid, ipa, ipa + PAGE);
	}
	hyp_map(&h, vttbr, ipa, pa, level, n >> 60 & 7);
}

TEST(random_changes_with_their_invalidations_leave_no_shadow_that_lies)
{
	u64 seed = 31, leaves = 0, ok = 0;

	start();
	r.m.block_policy = BLOCK_LINEAR;
	for (unsigned i = 0; i < test_rounds(20000, 2000000); i++) {
		u64 n = next_random(&seed), ipa = (n & 7) * 2 * MIB + (n >> 9 & 7) * PAGE;
		unsigned k = n >> 20 & 1 ? 2 : 0;
		u32 x = 0;

		r.m.block_policy = n & BIT(50) ? BLOCK_LINEAR : BLOCK_NONE;
		if (n % 64 == 0) {
			u64 gone = (uintptr_t)h.mem + (n >> 24 & 4095) * PAGE;
			struct mem_inval_token t;

			mem_invalidate_start(gone, gone + PAGE, 0, &t);
			mem_invalidate_end(&t);
			EXPECT_EQ(shadow_leaves_all(&r.m), 0);
		}
		if (n & BIT(30))
			remap(guest[k], &seed);
		ASSERT_EQ(fake_load(&r.v, guest[k], HYP_VTCR, true), 0);
		ok += !fake_access(&r.v, ipa, (n >> 32) % 3, &x);
		if (i % 16 == 0)
			ASSERT(agrees(guest[k], r.v.mem.nested, &leaves));
		fake_put(&r.v);
	}
	/* It was not all faults. */
	EXPECT_CMP(ok, >, 1000);
	EXPECT_CMP(leaves, >, 1000);
	stop();
}
