/* SPDX-License-Identifier: MIT */
/* Shadow MMUs: growth, keys, recycling, counts, and what the host takes away. */
#include "host/alloc.h"
#include "hypervisor.h"
#include "test.h"

static struct rig r;
static struct hypervisor h;

/* --- growth ---------------------------------------------------------------------------------------------------------- */

TEST(there_are_two_shadow_mmus_for_each_vcpu_and_no_more)
{
	static struct fake_vcpu second, third;

	rig_start(&r);
	EXPECT_EQ(r.m.nested.nr, 0);
	EXPECT_EQ(nested_mmu_grow(&r.m), 0);
	EXPECT_EQ(r.m.nested.nr, 2);
	/* The same vCPU, initialised again. */
	EXPECT_EQ(nested_mmu_grow(&r.m), 0);
	EXPECT_EQ(r.m.nested.nr, 2);
	fake_vcpu_init(&second, &r.m);
	fake_vcpu_init(&third, &r.m);
	EXPECT_EQ(nested_mmu_grow(&r.m), 0);
	EXPECT_EQ(r.m.nested.nr, 4);
	for (unsigned i = 0; i < 10; i++)
		EXPECT_EQ(nested_mmu_grow(&r.m), 0);
	EXPECT_EQ(r.m.nested.nr, 6);
	fake_vcpu_fini(&second);
	fake_vcpu_fini(&third);
	EXPECT(rig_stop(&r));
}

TEST(I17_growth_that_fails_changes_nothing)
{
	u64 objects;

	rig_start(&r);
	rcu_barrier();
	objects = host_alloc_objects();
	for (u64 nth = 1;; nth++) {
		int ret;

		host_alloc_fail_at(nth);
		ret = nested_mmu_grow(&r.m);
		if (host_alloc_fail_at(0)) {
			EXPECT_EQ(ret, 0);
			/* The chunk, and for each of the two a table and its root page. */
			EXPECT_EQ(nth, 6);
			break;
		}
		EXPECT_EQ(ret, -ENOMEM);
		EXPECT_EQ(r.m.nested.nr, 0);
		EXPECT_EQ(host_alloc_objects(), objects);
	}
	EXPECT_EQ(r.m.nested.nr, 2);
	EXPECT(rig_stop(&r));
}

static int grow_result;

static void grow_once(void *arg)
{
	grow_result = nested_mmu_grow(&r.m);
}

TEST(I04_growth_that_meets_the_flush_leaves_no_table_behind_it)
{
	struct helper grower;
	struct gate g;

	rig_start(&r);
	gate_arm(&g, HOOK_NESTED_GROW, 0);
	helper_start(&grower, grow_once, NULL);
	ASSERT(gate_wait(&g));
	mem_flush_all(&r.m);
	gate_open(&g);
	helper_join(&grower);
	gate_disarm(&g);
	EXPECT_EQ(grow_result, -EIO);
	EXPECT_EQ(r.m.nested.nr, 0);
	EXPECT_EQ(nested_mmu_grow(&r.m), -EIO);
	EXPECT(rig_stop(&r));
}

TEST(two_vcpus_that_grow_at_once_do_not_pass_the_bound)
{
	struct helper grower;
	struct gate g;

	rig_start(&r);
	gate_arm(&g, HOOK_NESTED_GROW, 0);
	helper_start(&grower, grow_once, NULL);
	ASSERT(gate_wait(&g));
	EXPECT_EQ(nested_mmu_grow(&r.m), 0);
	gate_open(&g);
	helper_join(&grower);
	gate_disarm(&g);
	EXPECT_EQ(grow_result, 0);
	EXPECT_EQ(r.m.nested.nr, 2);
	EXPECT(rig_stop(&r));
}

/* --- keys and recycling ---------------------------------------------------------------------------------------------- */

TEST(a_key_finds_its_context_again)
{
	struct nested_mmu *a, *b;
	u64 id;

	hyp_start(&h, &r, 0);
	ASSERT_EQ(fake_load(&r.v, 0x1000, HYP_VTCR, true), 0);
	a = r.v.mem.nested;
	id = a->mmu.id;
	EXPECT_NE(id, r.m.mmu.id);
	fake_put(&r.v);
	ASSERT_EQ(fake_load(&r.v, 0x2000, HYP_VTCR, true), 0);
	b = r.v.mem.nested;
	EXPECT(b != a);
	fake_put(&r.v);
	/* CnP says nothing about which translation it is. */
	ASSERT_EQ(fake_load(&r.v, 0x1001, HYP_VTCR, true), 0);
	EXPECT(r.v.mem.nested == a && a->mmu.id == id && !r.v.mem.unmap_nested);
	fake_put(&r.v);
	/* VMID, base, VTCR, stage 2 on or off: each makes another one. */
	ASSERT_EQ(fake_load(&r.v, 1ull << 48 | 0x1000, HYP_VTCR, true), 0);
	EXPECT(r.v.mem.nested == a && a->mmu.id != id);
	id = a->mmu.id;
	fake_put(&r.v);
	ASSERT_EQ(fake_load(&r.v, 1ull << 48 | 0x1000, HYP_VTCR | VTCR_HA, true), 0);
	EXPECT(r.v.mem.nested == b);
	fake_put(&r.v);
	ASSERT_EQ(fake_load(&r.v, 1ull << 48 | 0x1000, HYP_VTCR, true), 0);
	EXPECT(r.v.mem.nested == a && a->mmu.id == id);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(a_vmid_has_as_many_bits_as_vtcr_says)
{
	EXPECT_EQ(nested_vmid(0x12ull << 48 | 0xab000, 0), 0x12);
	EXPECT_EQ(nested_vmid(0x1234ull << 48, 0), 0x34);
	EXPECT_EQ(nested_vmid(0x1234ull << 48, VTCR_VS), 0x1234);
}

TEST(I29_no_guest_sees_what_its_context_held_before)
{
	u64 guest[3], pa[3] = {0x10000, 0x20000, 0x30000};
	u32 x;

	hyp_start(&h, &r, 0);
	for (unsigned i = 0; i < 3; i++) {
		guest[i] = hyp_new_guest(&h, i);
		/* One page each that all have, one that only this one has. */
		hyp_map(&h, guest[i], 0x5000, pa[i], 3, HYP_RWX);
		hyp_map(&h, guest[i], (16 + i) * PAGE, pa[i], 3, HYP_RWX);
		*hyp_word(&h, pa[i]) = 100 + i;
	}
	for (unsigned round = 0; round < test_rounds(3000, 300000); round++) {
		unsigned i = round % 3;

		ASSERT_EQ(fake_load(&r.v, guest[i], HYP_VTCR, true), 0);
		fake_enter(&r.v);
		for (unsigned k = 0; k < 2; k++) {
			ASSERT_EQ(fake_access(&r.v, 0x5000, FAKE_READ, &x), 0);
			ASSERT_EQ(x, 100 + i);
		}
		ASSERT_EQ(fake_access(&r.v, (16 + i) * PAGE, FAKE_READ, &x), 0);
		ASSERT_EQ(x, 100 + i);
		ASSERT_EQ(fake_access(&r.v, (16 + (i + 1) % 3) * PAGE, FAKE_READ, &x),
			  FAKE_ACTION(MEM_FAULT_INJECT_NESTED));
		fake_leave(&r.v);
		fake_put(&r.v);
	}
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(I29_whoever_loads_a_recycled_context_finds_it_empty)
{
	static struct fake_vcpu second;
	u64 guest[5];
	u32 x;

	hyp_start(&h, &r, 0);
	hyp_add_vcpu(&h, &second);
	for (unsigned i = 0; i < 5; i++) {
		guest[i] = hyp_new_guest(&h, i);
		hyp_map(&h, guest[i], 0x5000, 0x10000 + i * PAGE, 3, HYP_RWX);
		*hyp_word(&h, 0x10000 + i * PAGE) = i;
	}
	for (unsigned i = 0; i < 4; i++) {
		ASSERT_EQ(fake_load(&r.v, guest[i], HYP_VTCR, true), 0);
		EXPECT_EQ(fake_access(&r.v, 0x5000, FAKE_READ, &x), 0);
		fake_put(&r.v);
	}
	EXPECT_EQ(shadow_leaves_all(&r.m), 4);
	/* One recycles and never enters; the other, with the same key, must not rely on it. */
	ASSERT_EQ(fake_load(&r.v, guest[4], HYP_VTCR, true), 0);
	ASSERT_EQ(fake_load(&second, guest[4], HYP_VTCR, true), 0);
	EXPECT(second.mem.nested == r.v.mem.nested);
	EXPECT(second.mem.nested->pending_unmap && second.mem.unmap_nested);
	EXPECT_EQ(a32_load(&second.mem.nested->refcnt), 2);
	fake_put(&r.v);
	/* On the canonical MMU it owes nothing. */
	nested_mmu_sync(&r.m, &r.v.mem);
	EXPECT(second.mem.nested->pending_unmap);
	EXPECT_EQ(fake_access(&second, 0x5000, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 4);
	EXPECT(!second.mem.nested->pending_unmap);
	/* And the first, if it comes after all, does not empty it once more. */
	ASSERT_EQ(fake_load(&r.v, guest[4], HYP_VTCR, true), 0);
	EXPECT(!r.v.mem.unmap_nested);
	EXPECT_EQ(shadow_leaves(second.mem.nested), 1);
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

/* --- I-30 ------------------------------------------------------------------------------------------------------------ */

#define STORM_VCPUS 4
#define STORM_KEYS  16

static struct fake_vcpu storm[STORM_VCPUS];
static u64 storm_guest[STORM_KEYS];
static struct a32 storm_wrong;

static void load_put_storm(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = (uintptr_t)v;
	u32 x;

	for (unsigned i = 0; i < test_rounds(3000, 300000); i++) {
		unsigned k = next_random(&seed) % STORM_KEYS;

		if (fake_load(v, storm_guest[k], HYP_VTCR, true)) {
			a32_fetch_add(&storm_wrong, 1);
			return;
		}
		/* Whoever shares the context has the same key: nobody else changes it while it is used. */
		if (v->mem.nested->key.vttbr != storm_guest[k])
			a32_fetch_add(&storm_wrong, 1);
		if (next_random(&seed) % 4) {
			fake_enter(v);
			if (fake_access(v, 0x5000, FAKE_READ, &x) || x != k)
				a32_fetch_add(&storm_wrong, 1);
			fake_leave(v);
		}
		if (v->mem.nested->key.vttbr != storm_guest[k])
			a32_fetch_add(&storm_wrong, 1);
		fake_put(v);
	}
}

TEST(I30_contexts_are_shared_only_by_equal_keys_and_counts_recount)
{
	struct helper helper[STORM_VCPUS];
	struct fake_vcpu *all[STORM_VCPUS + 1] = {&r.v};

	hyp_start(&h, &r, 0);
	a32_store(&storm_wrong, 0);
	for (unsigned i = 0; i < STORM_KEYS; i++) {
		storm_guest[i] = hyp_new_guest(&h, i);
		hyp_map(&h, storm_guest[i], 0x5000, 0x10000 + i * PAGE, 3, HYP_RWX);
		*hyp_word(&h, 0x10000 + i * PAGE) = i;
	}
	for (unsigned i = 0; i < STORM_VCPUS; i++) {
		hyp_add_vcpu(&h, &storm[i]);
		all[i + 1] = &storm[i];
	}
	for (unsigned i = 0; i < STORM_VCPUS; i++)
		helper_start(&helper[i], load_put_storm, &storm[i]);
	for (unsigned i = 0; i < STORM_VCPUS; i++)
		helper_join(&helper[i]);
	EXPECT_EQ(a32_load(&storm_wrong), 0);
	EXPECT(refcnts_recount(&r.m, all, STORM_VCPUS + 1));
	/* With some loaded as well: all on one key, then each on its own. */
	for (unsigned same = 0; same < 2; same++) {
		for (unsigned i = 0; i < STORM_VCPUS; i++)
			ASSERT_EQ(fake_load(&storm[i], storm_guest[same ? 3 : i], HYP_VTCR, true),
				  0);
		EXPECT(refcnts_recount(&r.m, all, STORM_VCPUS + 1));
		for (unsigned i = 1; i < STORM_VCPUS; i++)
			EXPECT_EQ(storm[i].mem.nested == storm[0].mem.nested, same);
		for (unsigned i = 0; i < STORM_VCPUS; i++)
			fake_put(&storm[i]);
		EXPECT(refcnts_recount(&r.m, all, STORM_VCPUS + 1));
	}
	for (unsigned i = 0; i < STORM_VCPUS; i++)
		fake_vcpu_fini(&storm[i]);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(I30_a_context_in_use_is_not_recycled)
{
	static struct fake_vcpu second;
	struct nested_mmu *held;

	hyp_start(&h, &r, 0);
	hyp_add_vcpu(&h, &second);
	ASSERT_EQ(fake_load(&second, 0x1000, HYP_VTCR, true), 0);
	held = second.mem.nested;
	for (unsigned i = 2; i < 20; i++) {
		ASSERT_EQ(fake_load(&r.v, i * PAGE, HYP_VTCR, true), 0);
		EXPECT(r.v.mem.nested != held);
		fake_put(&r.v);
	}
	EXPECT_EQ(held->key.vttbr, 0x1000);
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

/* --- I-31 ------------------------------------------------------------------------------------------------------------ */

/* Far from each other in the table, each in its own entry of a TLB. */
#define I31_IPA(k) ((k)*GIB + (k)*PAGE)

TEST(I31_what_the_host_takes_is_in_no_shadow_table)
{
	static struct fake_vcpu second;
	u64 guest[3];
	u32 x = 0;

	hyp_start(&h, &r, 0);
	hyp_add_vcpu(&h, &second);
	for (unsigned i = 0; i < 3; i++) {
		guest[i] = hyp_new_guest(&h, i);
		for (unsigned k = 0; k < 4; k++)
			hyp_map(&h, guest[i], I31_IPA(k), 0x10000 + k * PAGE, 3, HYP_RWX);
	}
	for (unsigned i = 0; i < 3; i++) {
		ASSERT_EQ(fake_load(&r.v, guest[i], HYP_VTCR, true), 0);
		for (unsigned k = 0; k < 4; k++)
			EXPECT_EQ(fake_access(&r.v, I31_IPA(k), FAKE_WRITE, &x), 0);
		fake_put(&r.v);
	}
	/* One is in the guest of the last, with all of it in its TLB. */
	ASSERT_EQ(fake_load(&second, guest[2], HYP_VTCR, true), 0);
	for (unsigned k = 0; k < 4; k++)
		EXPECT_EQ(fake_access(&second, I31_IPA(k), FAKE_READ, &x), 0);
	EXPECT_EQ(shadow_leaves_all(&r.m), 12);
	EXPECT(fake_tlb_find(&second, I31_IPA(1)));
	rig_unmap(h.mem + 0x10000 + PAGE, PAGE);
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	fake_enter(&second);
	EXPECT(!fake_tlb_find(&second, I31_IPA(1)));
	fake_leave(&second);
	EXPECT_EQ(fake_access(&second, 0, FAKE_READ, &x), 0);
	EXPECT_EQ(fake_access(&second, I31_IPA(1), FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(shadow_leaves_all(&r.m), 1);
	/* A slot that goes: as the host's change. */
	EXPECT_EQ(rig_slot(&r.m, 0, 0, 0, h.mem, 0), 0);
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

static struct a32 stop_hammer;

static void hammer_inner(void *arg)
{
	struct fake_vcpu *v = arg;
	u32 x = 0;

	fake_enter(v);
	while (!a32_load(&stop_hammer)) {
		for (unsigned i = 0; i < 50; i++) {
			struct mem_fault f = {0};

			if (fake_try(v, i % 2 * PAGE, i & 4 ? FAKE_READ : FAKE_WRITE, &x, &f) &&
			    f.hva)
				v->host_faults++;
		}
		/* EFAULT while the test has the memory forbidden. */
		for (unsigned i = 0; i < 2; i++)
			fake_access(v, i * PAGE, FAKE_WRITE, &x);
		fake_poll(v);
	}
	fake_leave(v);
}

TEST(I11_when_start_returns_no_inner_guest_uses_the_old_translation)
{
	static struct fake_vcpu second;
	struct helper helper[2];
	u64 guest;
	char *p;

	hyp_start(&h, &r, 0);
	hyp_add_vcpu(&h, &second);
	p = h.mem + 0x10000;
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0x10000, 3, HYP_RWX);
	hyp_map(&h, guest, PAGE, 0x11000, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	ASSERT_EQ(fake_load(&second, guest, HYP_VTCR, true), 0);
	a32_store(&stop_hammer, 0);
	helper_start(&helper[0], hammer_inner, &r.v);
	helper_start(&helper[1], hammer_inner, &second);
	/* Until the vCPUs have met it often enough. */
	for (unsigned i = 0; i < 100000 && (i < 300 || a64_load(&r.m.stats.faults) < 100); i++) {
		struct mem_inval_token t;

		mem_invalidate_start((uintptr_t)p, (uintptr_t)p + 2 * PAGE, 0, &t);
		mprotect(p, 2 * PAGE, PROT_NONE);
		for (volatile unsigned spin = 0; spin < 20000; spin++)
			;
		mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE);
		mem_invalidate_end(&t);
		for (volatile unsigned spin = 0; spin < 20000; spin++)
			;
	}
	a32_store(&stop_hammer, 1);
	helper_join(&helper[0]);
	helper_join(&helper[1]);
	EXPECT_EQ(r.v.host_faults, 0);
	EXPECT_EQ(second.host_faults, 0);
	EXPECT_CMP(a64_load(&r.m.stats.faults), >=, 100);
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(aging_does_not_look_at_shadow_tables)
{
	u64 guest, a;
	u32 x;

	hyp_start(&h, &r, 0);
	a = (uintptr_t)h.mem + 0x10000;
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0x10000, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT(!mem_age(a, a + PAGE, true, true));
	EXPECT_EQ(shadow_leaves_all(&r.m), 1);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}
