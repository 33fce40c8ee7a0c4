/* SPDX-License-Identifier: MIT */
/* Faults of a guest's guest: two translations in one table. */
#include "host/alloc.h"
#include "hypervisor.h"
#include "mem/page_cache.h"
#include "test.h"

static struct rig r;
static struct hypervisor h;

static void expect_inject(struct fake_vcpu *v, u64 ipa, enum fake_op op, enum nested_fault fault,
			  unsigned level)
{
	u32 x = 0;

	EXPECT_EQ(fake_access(v, ipa, op, &x), FAKE_ACTION(MEM_FAULT_INJECT_NESTED));
	EXPECT_EQ(v->mem.walk.fault, fault);
	EXPECT_EQ(v->mem.walk.level, level);
}

TEST(an_inner_guest_reaches_what_both_stages_map)
{
	u64 guest;
	u32 x = 7;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0x5000, 0x9000, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0x5004, FAKE_WRITE, &x), 0);
	EXPECT_EQ(*hyp_word(&h, 0x9004), 7);
	*hyp_word(&h, 0x9008) = 8;
	EXPECT_EQ(fake_access(&r.v, 0x5008, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 8);
	EXPECT_EQ(fake_access(&r.v, 0x5008, FAKE_EXEC, &x), 0);
	expect_inject(&r.v, 0x6000, FAKE_READ, NESTED_FAULT_TRANSLATION, 3);
	expect_inject(&r.v, BIT(39), FAKE_READ, NESTED_FAULT_TRANSLATION, 0);
	/* The hypervisor itself uses its own addresses, and other translations of the TLB. */
	fake_put(&r.v);
	EXPECT_EQ(fake_access(&r.v, 0x5004, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(addresses_without_memory_are_mmio_under_the_vm_s_own_name)
{
	u64 guest;
	u32 x = 7;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0x5000, 3 * GIB + 0x7000, 3, HYP_RWX);
	hyp_map(&h, guest, 0x6000, BIT(41), 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0x5004, FAKE_WRITE, &x), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT_EQ(r.v.mem.walk.ipa, 3 * GIB + 0x7004);
	EXPECT_EQ(fake_access(&r.v, 0x5004, FAKE_EXEC, &x), FAKE_ACTION(MEM_FAULT_INJECT_IABT));
	/* Beyond the VM's 40 bits. */
	EXPECT_EQ(fake_access(&r.v, 0x6000, FAKE_READ, &x), FAKE_ACTION(MEM_FAULT_INJECT_DABT));
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(rights_are_what_the_hypervisor_and_the_slot_both_grant)
{
	u64 guest;
	u32 x = 7;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0x1000, 0x1000, 3, HYP_R);
	hyp_map(&h, guest, 0x2000, 0x2000, 3, HYP_W);
	hyp_map(&h, guest, 0x3000, 0x3000, 3, HYP_X);
	hyp_map(&h, guest, 0x4000, 0x4000, 3, HYP_R | HYP_X_EL1_ONLY);
	hyp_map(&h, guest, 0x5000, 0x5000, 3, HYP_R);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0x1000, FAKE_READ, &x), 0);
	expect_inject(&r.v, 0x1000, FAKE_WRITE, NESTED_FAULT_PERMISSION, 3);
	expect_inject(&r.v, 0x1000, FAKE_EXEC, NESTED_FAULT_PERMISSION, 3);
	expect_inject(&r.v, 0x2000, FAKE_READ, NESTED_FAULT_PERMISSION, 3);
	EXPECT_EQ(fake_access(&r.v, 0x2000, FAKE_WRITE, &x), 0);
	expect_inject(&r.v, 0x2000, FAKE_READ, NESTED_FAULT_PERMISSION, 3);
	expect_inject(&r.v, 0x3000, FAKE_READ, NESTED_FAULT_PERMISSION, 3);
	EXPECT_EQ(fake_access(&r.v, 0x3000, FAKE_EXEC, &x), 0);
	/* Fetches from EL1 here; from EL0 it is refused. */
	EXPECT_EQ(fake_access(&r.v, 0x4000, FAKE_EXEC, &x), 0);
	{
		struct mem_fault f = {.ipa = 0x4000, .exec = true, .el0 = true};
		enum mem_fault_action action;
		struct s2_result out;

		EXPECT(s2_lookup(&r.v.mem.nested->mmu, 0x4000, false, true, true, &out, &f));
		EXPECT_EQ(mem_fault_handle(&r.m, &r.v.mem, &f, &action), 0);
		EXPECT_EQ(action, MEM_FAULT_INJECT_NESTED);
		EXPECT_EQ(r.v.mem.walk.fault, NESTED_FAULT_PERMISSION);
	}
	/* More rights need no invalidation. */
	EXPECT_EQ(fake_access(&r.v, 0x5000, FAKE_READ, &x), 0);
	hyp_map(&h, guest, 0x5000, 0x5000, 3, HYP_RWX);
	EXPECT_EQ(fake_access(&r.v, 0x5000, FAKE_WRITE, &x), 0);
	EXPECT_EQ(fake_access(&r.v, 0x5000, FAKE_EXEC, &x), 0);
	/* A slot that nobody writes stays so, whatever the hypervisor grants. */
	fake_put(&r.v);
	nested_tlbi_all(&r.m);
	EXPECT_EQ(rig_slot(&r.m, 0, 0, 0, h.mem, 0), 0);
	EXPECT_EQ(rig_slot(&r.m, 0, 0, HYP_SIZE, h.mem, MEMSLOT_READONLY), 0);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0x5000, FAKE_READ, &x), 0);
	EXPECT_EQ(fake_access(&r.v, 0x5000, FAKE_WRITE, &x), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(a_leaf_is_as_large_as_all_three_allow)
{
	unsigned level;
	u64 guest, pte;
	u32 x;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0, 1, HYP_RWX);			/* 1 GiB */
	hyp_map(&h, guest, GIB + 4 * MIB, 2 * MIB, 2, HYP_RWX); /* 2 MiB */
	hyp_map(&h, guest, 2 * GIB, 2 * MIB, 3, HYP_RWX);	/* 4 KiB */
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0x3000, FAKE_READ, &x), 0);
	pte = shadow_leaf(r.v.mem.nested, 0x3000, &level);
	EXPECT(level == 2 && s2_guest_level(pte) == 1);
	EXPECT_EQ(fake_access(&r.v, GIB + 4 * MIB + 0x5000, FAKE_READ, &x), 0);
	pte = shadow_leaf(r.v.mem.nested, GIB + 4 * MIB, &level);
	EXPECT(level == 2 && s2_guest_level(pte) == 2);
	EXPECT_EQ(pte & S2_OA, (uintptr_t)h.mem + 2 * MIB);
	EXPECT_EQ(fake_access(&r.v, 2 * GIB, FAKE_READ, &x), 0);
	pte = shadow_leaf(r.v.mem.nested, 2 * GIB, &level);
	EXPECT(level == 3 && s2_guest_level(pte) == 3);
	/* The host has the last word. */
	r.m.block_policy = BLOCK_NONE;
	EXPECT_EQ(fake_access(&r.v, 4 * MIB + 0x3000, FAKE_READ, &x), 0);
	pte = shadow_leaf(r.v.mem.nested, 4 * MIB + 0x3000, &level);
	EXPECT(level == 3 && s2_guest_level(pte) == 1);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(without_a_stage_2_of_its_own_a_guest_has_the_hypervisor_s_addresses)
{
	struct nested_mmu *n;
	unsigned level;
	u64 guest;
	u32 x = 9;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 3);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, false), 0);
	n = r.v.mem.nested;
	EXPECT_EQ(fake_access(&r.v, 0x5000, FAKE_WRITE, &x), 0);
	EXPECT_EQ(*hyp_word(&h, 0x5000), 9);
	EXPECT_EQ(s2_guest_level(shadow_leaf(n, 0x5000, &level)), 0);
	EXPECT_EQ(fake_access(&r.v, GIB, FAKE_WRITE, &x), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT_EQ(fake_access(&r.v, BIT(40), FAKE_WRITE, &x), FAKE_ACTION(MEM_FAULT_INJECT_DABT));
	fake_put(&r.v);
	/* Only the VMID counts: another base is the same context. */
	ASSERT_EQ(fake_load(&r.v, 3ull << 48 | 0x123000, 0, false), 0);
	EXPECT(r.v.mem.nested == n && !r.v.mem.unmap_nested);
	fake_put(&r.v);
	/* With stage 2 on it is another one. */
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT(r.v.mem.nested != n);
	expect_inject(&r.v, 0x5000, FAKE_READ, NESTED_FAULT_TRANSLATION, 1);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(an_output_changed_in_silence_gains_no_rights_on_the_old_page)
{
	char *rom = rig_map(PAGE, 0);
	u64 guest;
	u32 x = 1;

	hyp_start(&h, &r, 0);
	ASSERT_EQ(rig_slot(&r.m, 1, GIB, PAGE, rom, MEMSLOT_READONLY), 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, GIB, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	/* No TLBI, as it would have to: the fault on the old leaf finds the new, writable output. */
	hyp_map(&h, guest, 0, 0x7000, 3, HYP_RWX);
	x = 1;
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	EXPECT_EQ(*(u32 *)(void *)rom, 0);
	EXPECT_EQ(*hyp_word(&h, 0x7000), 1);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
	munmap(rom, PAGE);
}

static u64 dirty_word(unsigned i)
{
	return a64_load(&memslot_find_id(memslot_active(&r.m), 0)->dirty_bitmap[i]);
}

TEST(I22_writes_of_an_inner_guest_are_logged_under_the_vm_s_own_pages)
{
	static u64 bitmap[HYP_SIZE / PAGE / 64];
	unsigned level;
	u64 guest;
	u32 x = 1;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 2 * MIB, 0, 2, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	fake_enter(&r.v);
	EXPECT_EQ(fake_access(&r.v, 2 * MIB + 5 * PAGE, FAKE_WRITE, &x), 0);
	EXPECT(shadow_leaf(r.v.mem.nested, 2 * MIB, &level) & S2_W && level == 2);
	fake_leave(&r.v);
	/* Logging begins: no shadow leaf may be written through unseen. */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, HYP_SIZE, h.mem, MEMSLOT_LOG_DIRTY), 0);
	EXPECT(!(shadow_leaf(r.v.mem.nested, 2 * MIB, &level) & S2_W));
	EXPECT_EQ(dirty_word(0), 0);
	for (unsigned round = 0; round < 3; round++) {
		EXPECT_EQ(fake_access(&r.v, 2 * MIB + 5 * PAGE, FAKE_WRITE, &x), 0);
		EXPECT_EQ(fake_access(&r.v, 2 * MIB + 70 * PAGE, FAKE_WRITE, &x), 0);
		EXPECT_EQ(dirty_word(0), BIT(5));
		EXPECT_EQ(dirty_word(1), BIT(6));
		EXPECT(shadow_leaf(r.v.mem.nested, 2 * MIB + 5 * PAGE, &level) & S2_W &&
		       level == 3);
		EXPECT_EQ(mem_get_dirty_log(&r.m, 0, bitmap), 0);
		EXPECT(bitmap[0] == BIT(5) && bitmap[1] == BIT(6));
		EXPECT(!(shadow_leaf(r.v.mem.nested, 2 * MIB + 5 * PAGE, &level) & S2_W));
		EXPECT(!(shadow_leaf(r.v.mem.nested, 2 * MIB + 70 * PAGE, &level) & S2_W));
	}
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

TEST(a_shadow_leaf_without_memory_behind_it_is_asked_again)
{
	u64 guest;
	u32 x = 1;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0x3000, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	/* Unannounced. */
	munmap(h.mem + 0x3000, PAGE);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), -EFAULT);
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	EXPECT(mmap(h.mem + 0x3000, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 0);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

/* --- what changes while a fault is under way ------------------------------------------------------------------------- */

static int fault_result;
static enum mem_fault_action fault_action;

static void one_fault(void *arg)
{
	struct mem_fault f = {.type = MEM_FAULT_TRANSLATION, .level = 3};

	fault_result = mem_fault_handle(&r.m, &r.v.mem, &f, &fault_action);
}

TEST(I09_a_fault_that_walked_tables_the_host_took_away_installs_nothing)
{
	struct mem_inval_token t;
	struct helper helper;
	struct gate g;
	u64 guest;
	u32 x;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0x3000, 3, HYP_RWX);
	*hyp_word(&h, 0x3000) = 3;
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	gate_arm(&g, HOOK_NESTED_WALKED, 0);
	helper_start(&helper, one_fault, NULL);
	ASSERT(gate_wait(&g));
	/* Only the pages of the tables go; the memory that they named stays. */
	mem_invalidate_start((uintptr_t)h.mem + HYP_SIZE / 2, (uintptr_t)h.mem + HYP_SIZE, 0, &t);
	EXPECT(mmap(h.mem + HYP_SIZE / 2, HYP_SIZE / 2, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	mem_invalidate_end(&t);
	gate_open(&g);
	helper_join(&helper);
	gate_disarm(&g);
	EXPECT_EQ(fault_result, 0);
	EXPECT_EQ(fault_action, MEM_FAULT_RETRY);
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	expect_inject(&r.v, 0, FAKE_READ, NESTED_FAULT_TRANSLATION, 1);
	h.next_table = HYP_SIZE / 2 + PAGE;
	hyp_map(&h, guest, 0, 0x3000, 3, HYP_RWX);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 3);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

static void tlbi_during_fault(void (*tlbi)(struct vm_mem *m))
{
	struct helper helper;
	struct gate g;
	u64 guest;
	u32 x;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0x3000, 3, HYP_RWX);
	ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
	gate_arm(&g, HOOK_NESTED_WALKED, 0);
	helper_start(&helper, one_fault, NULL);
	ASSERT(gate_wait(&g));
	hyp_unmap(&h, guest, 0);
	tlbi(&r.m);
	gate_open(&g);
	helper_join(&helper);
	gate_disarm(&g);
	EXPECT_EQ(fault_result, 0);
	EXPECT_EQ(fault_action, MEM_FAULT_RETRY);
	/* The hypervisor was told that the translation is gone: it must not come back. */
	EXPECT_EQ(shadow_leaves_all(&r.m), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), FAKE_ACTION(MEM_FAULT_INJECT_NESTED));
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}

static void tlbi_vmid(struct vm_mem *m)
{
	nested_tlbi_vmid(m, 1);
}
static void tlbi_ipa(struct vm_mem *m)
{
	nested_tlbi_ipa(m, 1, 0, 0);
}
static void tlbi_range(struct vm_mem *m)
{
	nested_tlbi_ipa_range(m, 1, 0, PAGE);
}

TEST(a_fault_that_walked_before_an_invalidation_installs_nothing_after_it)
{
	tlbi_during_fault(nested_tlbi_all);
	tlbi_during_fault(tlbi_vmid);
	tlbi_during_fault(tlbi_ipa);
	tlbi_during_fault(tlbi_range);
	tlbi_during_fault(nested_tlbi_el2);
}

TEST(I17_each_allocation_of_a_fault_may_fail)
{
	u64 guest;
	u32 x = 5;

	hyp_start(&h, &r, 0);
	guest = hyp_new_guest(&h, 1);
	hyp_map(&h, guest, 0, 0x3000, 3, HYP_RWX);
	for (u64 nth = 1;; nth++) {
		int ret;

		page_cache_drain(&r.v.mem);
		ASSERT_EQ(fake_load(&r.v, guest, HYP_VTCR, true), 0);
		host_alloc_fail_at(nth);
		ret = fake_access(&r.v, 0, FAKE_WRITE, &x);
		if (host_alloc_fail_at(0)) {
			EXPECT_EQ(ret, 0);
			EXPECT_CMP(nth, >, 3);
			break;
		}
		fake_put(&r.v);
		/* The query of the host's mappings copes without memory; a table page is needed. */
		if (ret) {
			EXPECT_EQ(ret, -ENOMEM);
			EXPECT_EQ(shadow_leaves_all(&r.m), 0);
		}
		nested_tlbi_all(&r.m);
	}
	EXPECT_EQ(*hyp_word(&h, 0x3000), 5);
	EXPECT(rig_stop(&r));
	hyp_stop(&h);
}
