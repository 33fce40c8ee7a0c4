// SPDX-License-Identifier: MIT
/* Stage 1: every granule and level, fault codes, rights, hardware updates of descriptors, AT; MMU
 * off; alignment. */
#include "rig.h"
#include "test.h"

#define EC_IABT_LOW 0x20
#define EC_IABT	    0x21
#define EC_DABT_LOW 0x24
#define EC_DABT	    0x25
#define WNR	    0x40
#define CM	    0x100

/* Reads and writes at va of the low half; result of the read. */
static void expect_maps(struct rig *r, u64 va, u64 ipa)
{
	rig_write64(r, ipa, 0x1122334455667788 ^ va);
	rig_x(r, 0)[1] = va;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	EXPECT_EQ(rig_x(r, 0)[0], 0x1122334455667788 ^ va);
}

/* A data access from EL1 that must fault with this syndrome. */
static void expect_data_fault(struct rig *r, u32 piece, u64 va, u32 ec, u32 iss)
{
	rig_x(r, 0)[1] = va;
	EXPECT_EQ(rig_run(r, 0, piece),
		  EXIT_VECTOR + (ec == EC_DABT_LOW ? VECTOR_SYNC_EL0 : VECTOR_SYNC_EL1));
	EXPECT_EQ(rig_ec(r, 0), ec);
	EXPECT_EQ(rig_iss(r, 0), iss);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_FAR_EL1], va);
}

/* Code runs in the low half through its own 1:1 mapping in the tree under test. */
static struct tables tree(struct rig *r, unsigned granule, unsigned bits)
{
	struct tables t = tables_new(r, granule, bits);

	for (u64 at = 0; at < sizeof(guest_code); at += 1ull << granule)
		tables_map(r, &t, RAM + at, RAM + at, 3, D_NORMAL | D_RO);
	rig_set_mmu(r, 0, t.root, 0, tables_tcr(&t, NULL));
	return t;
}

static void check_granule(unsigned granule, unsigned bits)
{
	unsigned stride = granule - 3, levels = (bits - granule + stride - 1) / stride,
		 start = 4 - levels;
	struct rig *r = rig_create(1);
	struct tables t = tree(r, granule, bits);
	/* Where the code is not: the upper part of what the input size can name, but not in the
	 * same top entry as RAM. */
	u64 va = 1ull << (bits - 1);

	for (unsigned level = start; level <= 3; level++) {
		unsigned shift = (3 - level) * stride + granule;
		u64 at = va + (level < 3 ? 1ull << shift : 0), ipa;
		bool block = level == 3 || (granule == 12 ? level >= 1 : level == 2);

		if (at >> bits || level == start)
			continue;
		ipa = DATA & ~((1ull << shift) - 1);
		if (ipa < RAM && level < 3)
			ipa = RAM & ~((1ull << shift) - 1);
		/* Nothing there: the walk ends at this level. */
		tables_map(r, &t, at, ipa, level, D_NORMAL);
		rig_write64(r, tables_entry(r, &t, at, level), 0);
		expect_data_fault(r, G_load64, at + (DATA - ipa), EC_DABT,
				  FSC_TRANSLATION_L | level);
		tables_map(r, &t, at, ipa, level, D_NORMAL);
		if (!block) {
			expect_data_fault(r, G_load64, at + (DATA - ipa), EC_DABT,
					  FSC_TRANSLATION_L | level);
			continue;
		}
		rig_write64(r, DATA, 0xabc0 + level);
		rig_x(r, 0)[1] = at + (DATA - ipa);
		EXPECT_EQ(rig_run(r, 0, G_tlbi_vmalle1), 1);
		rig_x(r, 0)[1] = at + (DATA - ipa);
		EXPECT_EQ(rig_run(r, 0, G_load64), 1);
		EXPECT_EQ(rig_x(r, 0)[0], 0xabc0 + level);
		/* Reserved type at level 3, no access flag, no right to write. */
		rig_run(r, 0, G_tlbi_vmalle1);
		if (level == 3) {
			rig_write64(r, tables_entry(r, &t, at, level), ipa | D_NORMAL | 1);
			expect_data_fault(r, G_load64, at, EC_DABT, FSC_TRANSLATION_L | 3);
		}
		tables_map(r, &t, at, ipa, level, D_NORMAL & ~D_AF);
		expect_data_fault(r, G_load64, at + (DATA - ipa), EC_DABT,
				  FSC_ACCESS_FLAG_L | level);
		tables_map(r, &t, at, ipa, level, D_NORMAL | D_RO);
		expect_data_fault(r, G_store64, at + (DATA - ipa), EC_DABT,
				  FSC_PERMISSION_L | level | WNR);
		rig_run(r, 0, G_tlbi_vmalle1);
		rig_write64(r, tables_entry(r, &t, at, level), 0);
	}
	rig_destroy(r);
}

TEST(walks_of_every_granule)
{
	static const u8 granule[] = {12, 14, 16};

	for (unsigned i = 0; i < ARRAY_SIZE(granule); i++)
		for (unsigned bits = 33; bits <= 48; bits += 3)
			check_granule(granule[i], bits);
}

TEST(smallest_and_largest_input_size)
{
	struct rig *r = rig_create(1);
	struct tables high = tables_new(r, 12, 25), low = rig_mmu(r);

	/* T1SZ 39: 25 bits at the very top. */
	tables_map(r, &high, BIT(25) - 4096, DATA, 3, D_NORMAL);
	rig_set_mmu(r, 0, low.root, high.root, tables_tcr(&low, &high));
	expect_maps(r, ~0ull << 12, DATA);
	expect_data_fault(r, G_load64, ~0ull << 25, EC_DABT, FSC_TRANSLATION_L | 2);
	expect_data_fault(r, G_load64, (~0ull << 25) - 8, EC_DABT, FSC_TRANSLATION_L);
	/* T1SZ beyond 39 and below 16 fault. */
	rig_arch(r, 0)->sys[SR_TCR_EL1] = (tables_tcr(&low, &high) & ~(63ull << 16)) | 40ull << 16;
	expect_data_fault(r, G_load64, ~0ull << 12, EC_DABT, FSC_TRANSLATION_L);
	rig_arch(r, 0)->sys[SR_TCR_EL1] = (tables_tcr(&low, &high) & ~(63ull << 16)) | 15ull << 16;
	expect_data_fault(r, G_load64, ~0ull << 12, EC_DABT, FSC_TRANSLATION_L);
	rig_destroy(r);
}

TEST(addresses_between_the_halves_fault_and_tags_are_ignored)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	u64 *tcr = &rig_arch(r, 0)->sys[SR_TCR_EL1];

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	expect_maps(r, DATA, DATA);
	expect_data_fault(r, G_load64, BIT(48) | DATA, EC_DABT, FSC_TRANSLATION_L);
	expect_data_fault(r, G_load64, BIT(60) | DATA, EC_DABT, FSC_TRANSLATION_L);
	*tcr |= TCR_TBI0;
	expect_maps(r, BIT(60) | DATA, DATA);
	expect_maps(r, 0xffull << 56 | DATA, DATA);
	expect_data_fault(r, G_load64, BIT(50) | DATA, EC_DABT, FSC_TRANSLATION_L);
	expect_maps(r, HIGH + DATA, DATA);
	expect_data_fault(r, G_load64, (HIGH + DATA) & ~BIT(60), EC_DABT, FSC_TRANSLATION_L);
	*tcr |= TCR_TBI1;
	expect_maps(r, (HIGH + DATA) & ~BIT(60), DATA);
	rig_destroy(r);
}

TEST(disabled_walks_fault_at_level_0)
{
	struct rig *r = rig_create(1);

	rig_mmu(r);
	expect_maps(r, HIGH + DATA, DATA);
	rig_arch(r, 0)->sys[SR_TCR_EL1] |= TCR_EPD1;
	expect_data_fault(r, G_load64, HIGH + DATA, EC_DABT, FSC_TRANSLATION_L);
	rig_destroy(r);
}

TEST(output_beyond_the_address_size_faults)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	u64 *tcr = &rig_arch(r, 0)->sys[SR_TCR_EL1];
	u64 at = tables_map(r, &t, DATA, DATA, 3, D_NORMAL);

	/* 32 bits out. */
	*tcr &= ~(7ull << 32);
	expect_maps(r, DATA, DATA);
	rig_write64(r, at, BIT(32) | DATA | D_NORMAL | D_PAGE);
	rig_run(r, 0, G_tlbi_vmalle1);
	expect_data_fault(r, G_load64, DATA, EC_DABT, FSC_ADDRESS_SIZE_L | 3);
	rig_write64(r, tables_entry(r, &t, DATA, 2), BIT(40) | D_TABLE);
	expect_data_fault(r, G_load64, DATA, EC_DABT, FSC_ADDRESS_SIZE_L | 2);
	rig_arch(r, 0)->sys[SR_TTBR1_EL1] |= BIT(33);
	expect_data_fault(r, G_load64, HIGH + DATA, EC_DABT, FSC_ADDRESS_SIZE_L);
	/* Inside 48 bits but beyond the VM's address space (40): an external abort, and the address that was too large. */
	*tcr |= 5ull << 32;
	tables_map(r, &t, BIT(30) * 8, BIT(41), 1, D_NORMAL);
	rig_x(r, 0)[1] = BIT(30) * 8;
	EXPECT_EQ(rig_run(r, 0, G_load64), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), EC_DABT);
	EXPECT_EQ(rig_iss(r, 0), FSC_EXTERNAL);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_FAR_EL1], BIT(41));
	rig_destroy(r);
}

TEST(table_outside_memory_is_an_external_abort_on_the_walk)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	rig_write64(r, tables_entry(r, &t, DATA, 2), 0x9000000 | D_TABLE);
	expect_data_fault(r, G_load64, DATA, EC_DABT, FSC_EXTERNAL_TTW_L | 3);
	rig_x(r, 0)[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), EC_IABT);
	EXPECT_EQ(rig_iss(r, 0), FSC_EXTERNAL_TTW_L | 3);
	rig_destroy(r);
}

/* AP, UXN, PXN of one page, for each kind of access of each EL. */
TEST(rights_of_a_page)
{
	static const struct {
		u64 attrs;
		bool r1, w1, x1, r0, w0, x0;
	} row[] = {
		{0, 1, 1, 1, 0, 0, 1},
		{D_EL0, 1, 1, 0, 1, 1, 1},
		{D_RO, 1, 0, 1, 0, 0, 1},
		{D_EL0 | D_RO, 1, 0, 1, 1, 0, 1},
		{D_PXN, 1, 1, 0, 0, 0, 1},
		{D_UXN, 1, 1, 1, 0, 0, 0},
		{D_EL0 | D_RO | D_UXN, 1, 0, 1, 1, 0, 0},
		{D_EL0 | D_RO | D_PXN, 1, 0, 0, 1, 0, 1},
	};
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	memcpy(rig_mem(r, DATA), rig_mem(r, RAM), sizeof(guest_code));
	for (unsigned i = 0; i < ARRAY_SIZE(row) * 2; i++) {
		bool wxn = i >= ARRAY_SIZE(row);
		unsigned k = i % ARRAY_SIZE(row);
		bool x1 = row[k].x1 && !(wxn && row[k].w1), x0 = row[k].x0 && !(wxn && row[k].w0);

		if (wxn)
			rig_arch(r, 0)->sys[SR_SCTLR_EL1] |= SCTLR_WXN;
		for (u64 at = 0; at < sizeof(guest_code); at += 4096)
			tables_map(r, &t, DATA + at, DATA + at, 3, D_NORMAL | row[k].attrs);
		rig_set_el(r, 0, 1);
		rig_run(r, 0, G_tlbi_vmalle1);
		rig_x(r, 0)[1] = DATA;
		EXPECT_EQ(rig_run(r, 0, G_load64), row[k].r1 ? 1 : EXIT_VECTOR + VECTOR_SYNC_EL1);
		rig_x(r, 0)[0] = *(u64 *)(void *)rig_mem(r, DATA);
		EXPECT_EQ(rig_run(r, 0, G_store64), row[k].w1 ? 1 : EXIT_VECTOR + VECTOR_SYNC_EL1);
		rig_x(r, 0)[1] = DATA + G_done;
		EXPECT_EQ(rig_run(r, 0, G_branch_x1), x1 ? 1 : EXIT_VECTOR + VECTOR_SYNC_EL1);
		rig_x(r, 0)[1] = DATA;
		rig_set_el(r, 0, 0);
		EXPECT_EQ(rig_run(r, 0, G_load64_at_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
		EXPECT_EQ(rig_ec(r, 0), row[k].r0 ? 0x15 : EC_DABT_LOW);
		rig_x(r, 0)[0] = *(u64 *)(void *)rig_mem(r, DATA);
		rig_set_el(r, 0, 0);
		EXPECT_EQ(rig_run(r, 0, G_store64_at_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
		EXPECT_EQ(rig_ec(r, 0), row[k].w0 ? 0x15 : EC_DABT_LOW);
		if (!row[k].w0)
			EXPECT_EQ(rig_iss(r, 0), FSC_PERMISSION_L | 3 | WNR);
		rig_x(r, 0)[1] = DATA + G_el0_done;
		rig_set_el(r, 0, 0);
		EXPECT_EQ(rig_run(r, 0, G_branch_x1), EXIT_VECTOR + VECTOR_SYNC_EL0);
		EXPECT_EQ(rig_ec(r, 0), x0 ? 0x15 : EC_IABT_LOW);
		if (!x0)
			EXPECT_EQ(rig_iss(r, 0), FSC_PERMISSION_L | 3);
	}
	rig_destroy(r);
}

TEST(hierarchical_permissions_can_be_disabled)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	u64 at, desc;

	tables_map(r, &t, BIT(40), DATA, 3, D_NORMAL | D_EL0);
	at = tables_entry(r, &t, BIT(40), 1);
	desc = rig_read64(r, at);
	expect_maps(r, BIT(40), DATA);
	/* APTable: read-only below. */
	rig_write64(r, at, desc | BIT(62));
	rig_run(r, 0, G_tlbi_vmalle1);
	expect_data_fault(r, G_store64, BIT(40), EC_DABT, FSC_PERMISSION_L | 3 | WNR);
	/* No EL0 below. */
	rig_write64(r, at, desc | BIT(61));
	rig_run(r, 0, G_tlbi_vmalle1);
	rig_set_el(r, 0, 0);
	expect_data_fault(r, G_load64_at_el0, BIT(40), EC_DABT_LOW, FSC_PERMISSION_L | 3);
	rig_set_el(r, 0, 1);
	rig_write64(r, at, desc | BIT(62) | BIT(61) | BIT(60) | BIT(59));
	rig_arch(r, 0)->sys[SR_TCR_EL1] |= TCR_HPD0;
	rig_x(r, 0)[1] = BIT(40);
	EXPECT_EQ(rig_run(r, 0, G_store64), 1);
	rig_destroy(r);
}

TEST(pan_keeps_el1_out_of_user_pages)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL | D_EL0);
	tables_map(r, &t, DATA + 4096, DATA + 4096, 3, D_NORMAL);
	expect_maps(r, DATA, DATA);
	EXPECT_EQ(rig_run(r, 0, G_pan_on), 1);
	expect_data_fault(r, G_load64, DATA, EC_DABT, FSC_PERMISSION_L | 3);
	expect_maps(r, DATA + 4096, DATA + 4096);
	/* Unprivileged accesses are EL0's. */
	rig_x(r, 0)[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_ldtr), 1);
	rig_x(r, 0)[1] = DATA + 4096;
	EXPECT_EQ(rig_run(r, 0, G_ldtr), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_iss(r, 0), FSC_PERMISSION_L | 3);
	rig_x(r, 0)[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_dc_cvau), 1);
	EXPECT_EQ(rig_run(r, 0, G_pan_off), 1);
	expect_maps(r, DATA, DATA);
	rig_destroy(r);
}

TEST(uao_gives_unprivileged_accesses_el1_rights)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	expect_data_fault(r, G_sttr, DATA, EC_DABT, FSC_PERMISSION_L | 3 | WNR);
	EXPECT_EQ(rig_run(r, 0, G_uao_on), 1);
	rig_x(r, 0)[1] = DATA;
	rig_x(r, 0)[0] = 0x99;
	EXPECT_EQ(rig_run(r, 0, G_sttr), 1);
	EXPECT_EQ(rig_read64(r, DATA), 0x99);
	rig_destroy(r);
}

TEST(e0pd_hides_a_half_from_el0)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL | D_EL0);
	rig_arch(r, 0)->sys[SR_TCR_EL1] |= TCR_E0PD1;
	rig_set_el(r, 0, 0);
	expect_data_fault(r, G_load64_at_el0, HIGH + DATA, EC_DABT_LOW, FSC_TRANSLATION_L);
	rig_set_el(r, 0, 1);
	expect_maps(r, HIGH + DATA, DATA);
	rig_arch(r, 0)->sys[SR_TCR_EL1] |= TCR_E0PD0;
	/* LDTR is EL0's too. */
	expect_data_fault(r, G_ldtr, DATA, EC_DABT, FSC_TRANSLATION_L);
	expect_maps(r, DATA, DATA);
	rig_destroy(r);
}

TEST(hardware_sets_access_flag_and_dirty_state)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	u64 *tcr = &rig_arch(r, 0)->sys[SR_TCR_EL1];
	u64 at = tables_map(r, &t, DATA, DATA, 3, (D_NORMAL & ~D_AF) | D_RO | D_DBM);
	u64 desc = rig_read64(r, at);

	expect_data_fault(r, G_load64, DATA, EC_DABT, FSC_ACCESS_FLAG_L | 3);
	EXPECT_EQ(rig_read64(r, at), desc);
	*tcr |= TCR_HA;
	expect_maps(r, DATA, DATA);
	EXPECT_EQ(rig_read64(r, at), desc | D_AF);
	/* HA alone does not make it writable. */
	expect_data_fault(r, G_store64, DATA, EC_DABT, FSC_PERMISSION_L | 3 | WNR);
	EXPECT_EQ(rig_read64(r, at), desc | D_AF);
	*tcr |= TCR_HD;
	rig_run(r, 0, G_tlbi_vmalle1);
	expect_maps(r, DATA, DATA);
	EXPECT_EQ(rig_read64(r, at), desc | D_AF);
	rig_x(r, 0)[1] = DATA;
	rig_x(r, 0)[0] = 5;
	EXPECT_EQ(rig_run(r, 0, G_store64), 1);
	EXPECT_EQ(rig_read64(r, at), (desc | D_AF) & ~D_RO);
	EXPECT_EQ(rig_read64(r, DATA), 5);
	/* Without DBM read-only stays read-only. */
	tables_map(r, &t, DATA + 4096, DATA + 4096, 3, D_NORMAL | D_RO);
	expect_data_fault(r, G_store64, DATA + 4096, EC_DABT, FSC_PERMISSION_L | 3 | WNR);
	/* A fetch sets the access flag too. */
	at = tables_map(r, &t, DATA + 8192, RAM + (G_done & ~0xfffu), 3, (D_NORMAL & ~D_AF) | D_RO);
	rig_x(r, 0)[1] = DATA + 8192 + (G_done & 0xfff);
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), 1);
	EXPECT_EQ(rig_read64(r, at) & D_AF, D_AF);
	rig_destroy(r);
}

TEST(descriptor_update_in_read_only_memory_is_not_lost)
{
	struct rig *r = rig_create(1);
	struct mem_region ro = {
		.slot = 1, .flags = 2, .guest_phys_addr = RAM + RAM_SIZE, .memory_size = 1u << 20};
	struct tables t = rig_mmu(r);
	u64 *host, dummy = 0;

	/* The level 3 table lies in a read-only slot: setting the flag there is an external abort
	 * on the walk. */
	tables_map(r, &t, DATA, DATA, 3, D_NORMAL & ~D_AF);
	host = rig_mem(r, RAM + (RAM_SIZE / 2));
	memcpy(host, rig_mem(r, tables_entry(r, &t, DATA & ~0x1fffffull, 3)), 4096);
	ro.userspace_addr = (u64)(uintptr_t)host;
	ASSERT_EQ(mem_set_region(&r->mem, &ro), 0);
	rig_write64(r, tables_entry(r, &t, DATA, 2), (RAM + RAM_SIZE) | D_TABLE);
	rig_arch(r, 0)->sys[SR_TCR_EL1] |= TCR_HA;
	expect_data_fault(r, G_load64, DATA, EC_DABT, FSC_EXTERNAL_TTW_L | 3);
	(void)dummy;
	rig_destroy(r);
}

TEST(common_not_private_is_not_part_of_the_base)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	rig_arch(r, 0)->sys[SR_TTBR0_EL1] |= 1;
	rig_arch(r, 0)->sys[SR_TTBR1_EL1] |= 1;
	expect_maps(r, DATA, DATA);
	expect_maps(r, HIGH + DATA, DATA);
	rig_destroy(r);
}

TEST(mmu_off_is_flat_device_memory)
{
	struct rig *r = rig_create(1);

	rig_write64(r, DATA, 0x77);
	rig_x(r, 0)[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	EXPECT_EQ(rig_x(r, 0)[0], 0x77);
	expect_data_fault(r, G_load64, DATA + 4, EC_DABT, FSC_ALIGNMENT);
	expect_data_fault(r, G_store64, DATA + 1, EC_DABT, FSC_ALIGNMENT | WNR);
	expect_data_fault(r, G_load64, BIT(48), EC_DABT, FSC_ADDRESS_SIZE_L);
	expect_data_fault(r, G_dc_zva, DATA, EC_DABT, FSC_ALIGNMENT | WNR);
	/* Stage 1 comes first: nobody is asked what lies there. */
	expect_data_fault(r, G_dc_zva, RAM - 0x10000, EC_DABT, FSC_ALIGNMENT | WNR);
	rig_destroy(r);
}

TEST(alignment_is_checked_where_it_must_be)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	for (u64 i = 0; i < 3; i++)
		tables_map(r, &t, DATA + i * 4096, DATA + i * 4096, 3, D_NORMAL);
	tables_map(r, &t, DATA + 0x10000, DATA, 3, (D_NORMAL & ~D_ATTR(7)) | D_ATTR(ATTR_DEVICE));
	/* Ordinary accesses may be unaligned, over a page too. */
	rig_write64(r, DATA + 4096 - 8, 0x8877665544332211);
	rig_write64(r, DATA + 4096, 0xffeeddccbbaa9988);
	rig_x(r, 0)[1] = DATA + 4096 - 4;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	EXPECT_EQ(rig_x(r, 0)[0], 0xbbaa998888776655);
	rig_x(r, 0)[0] = 0x0102030405060708;
	EXPECT_EQ(rig_run(r, 0, G_store64), 1);
	EXPECT_EQ(rig_read64(r, DATA + 4096 - 8), 0x0506070844332211);
	EXPECT_EQ(rig_read64(r, DATA + 4096), 0xffeeddcc01020304);
	/* Device, acquire, exclusive, LSE: never. */
	expect_data_fault(r, G_load64, DATA + 0x10001, EC_DABT, FSC_ALIGNMENT);
	expect_data_fault(r, G_ldar, DATA + 4, EC_DABT, FSC_ALIGNMENT);
	expect_data_fault(r, G_ldxr, DATA + 4, EC_DABT, FSC_ALIGNMENT);
	expect_data_fault(r, G_ldadd, DATA + 4, EC_DABT, FSC_ALIGNMENT | WNR);
	expect_data_fault(r, G_cas_pair, DATA + 8, EC_DABT, FSC_ALIGNMENT | WNR);
	/* SCTLR.A: everything, and an access that was cached before. */
	rig_x(r, 0)[1] = DATA + 4;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	rig_arch(r, 0)->sys[SR_SCTLR_EL1] |= SCTLR_A;
	expect_data_fault(r, G_load64, DATA + 4, EC_DABT, FSC_ALIGNMENT);
	rig_x(r, 0)[1] = DATA + 8;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	rig_destroy(r);
}

/* A pair is two accesses, a structure as many as it has elements: each to its own size. */
TEST(alignment_is_that_of_each_register_or_element)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	static const struct {
		u32 piece;
		unsigned size, wnr;
	} cases[] = {
		{G_load_pair, 8, 0},
		{G_store_pair, 8, WNR},
		{G_load_simd_pair, 16, 0},
		{G_load_simd_halfwords, 2, 0},
	};

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	tables_map(r, &t, DATA + 0x10000, DATA, 3, (D_NORMAL & ~D_ATTR(7)) | D_ATTR(ATTR_DEVICE));
	rig_arch(r, 0)->sys[SR_CPACR_EL1] = 3u << 20;
	for (unsigned a = 0; a < 2; a++) {
		for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
			unsigned half = cases[i].size / 2;

			expect_data_fault(r, cases[i].piece, DATA + 0x10000 + half, EC_DABT,
					  FSC_ALIGNMENT | cases[i].wnr);
			rig_x(r, 0)[1] = DATA + 0x10000 + cases[i].size;
			EXPECT_EQ(rig_run(r, 0, cases[i].piece), 1);
			rig_x(r, 0)[1] = DATA + half;
			if (!a)
				EXPECT_EQ(rig_run(r, 0, cases[i].piece), 1);
			else
				expect_data_fault(r, cases[i].piece, DATA + half, EC_DABT,
						  FSC_ALIGNMENT | cases[i].wnr);
		}
		rig_arch(r, 0)->sys[SR_SCTLR_EL1] |= SCTLR_A;
	}
	rig_destroy(r);
}

/* Alignment comes before the monitor is looked at. */
TEST(misaligned_store_exclusive_faults_without_a_monitor)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	expect_data_fault(r, G_stxr, DATA + 4, EC_DABT, FSC_ALIGNMENT | WNR);
	rig_x(r, 0)[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_stxr), 1);
	EXPECT_EQ(rig_x(r, 0)[0], 1);
	rig_destroy(r);
}

TEST(second_page_of_a_crossing_store_faults_with_nothing_written)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL);
	rig_write64(r, DATA + 4096 - 8, 0x1111111111111111);
	rig_x(r, 0)[0] = ~0ull;
	rig_x(r, 0)[1] = DATA + 4096 - 4;
	EXPECT_EQ(rig_run(r, 0, G_store64), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_FAR_EL1], DATA + 4096);
	EXPECT_EQ(rig_iss(r, 0), FSC_TRANSLATION_L | 3 | WNR);
	EXPECT_EQ(rig_read64(r, DATA + 4096 - 8), 0x1111111111111111);
	/* The same for the multi-register stores of SIMD. */
	EXPECT_EQ(rig_run(r, 0, G_store_simd_multiple), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_FAR_EL1] & ~0xfffull, DATA + 4096);
	EXPECT_EQ(rig_read64(r, DATA + 4096 - 8), 0x1111111111111111);
	rig_destroy(r);
}

TEST(atomics_report_the_first_right_that_is_missing)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	tables_map(r, &t, DATA, DATA, 3, D_NORMAL | D_RO);
	/* Readable, not writable: a write. Not there: a read. */
	expect_data_fault(r, G_ldadd, DATA, EC_DABT, FSC_PERMISSION_L | 3 | WNR);
	expect_data_fault(r, G_ldadd, DATA + 4096, EC_DABT, FSC_TRANSLATION_L | 3);
	rig_destroy(r);
}

TEST(at_reports_translations_and_faults)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	u64 at;

	tables_map(r, &t, DATA, DATA + 4096, 3, D_NORMAL | D_EL0 | D_RO);
	at = tables_map(r, &t, DATA + 4096, DATA, 3, D_NORMAL & ~D_AF);
	rig_x(r, 0)[1] = DATA + 0x123;
	EXPECT_EQ(rig_run(r, 0, G_at_s1e1r), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & (GENMASK(47, 12) | 1), DATA + 4096);
	EXPECT_EQ(rig_x(r, 0)[0] >> 56, 0xff);
	EXPECT_EQ(rig_x(r, 0)[0] >> 7 & 3, 3);
	EXPECT_EQ(rig_run(r, 0, G_at_s1e0r), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 1, 0);
	EXPECT_EQ(rig_run(r, 0, G_at_s1e1w), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 0x7f, 1 | (FSC_PERMISSION_L | 3) << 1);
	EXPECT_EQ(rig_run(r, 0, G_at_s1e0w), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 0x7f, 1 | (FSC_PERMISSION_L | 3) << 1);
	/* PAN counts for the P forms alone. */
	rig_run(r, 0, G_pan_on);
	rig_x(r, 0)[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_at_s1e1r), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 1, 0);
	EXPECT_EQ(rig_run(r, 0, G_at_s1e1rp), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 0x7f, 1 | (FSC_PERMISSION_L | 3) << 1);
	EXPECT_EQ(rig_run(r, 0, G_at_s1e1wp), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 1, 1);
	/* No access flag. */
	rig_x(r, 0)[1] = DATA + 4096;
	EXPECT_EQ(rig_run(r, 0, G_at_s1e1r), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 0x7f, 1 | (FSC_ACCESS_FLAG_L | 3) << 1);
	EXPECT_EQ(rig_read64(r, at) & D_AF, 0);
	rig_x(r, 0)[1] = BIT(47);
	EXPECT_EQ(rig_run(r, 0, G_at_s1e1r), 1);
	EXPECT_EQ(rig_x(r, 0)[0] & 0x7f, 1 | FSC_TRANSLATION_L << 1);
	rig_destroy(r);
}

TEST(instruction_aborts_have_the_level)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);

	rig_x(r, 0)[1] = DATA + 0x40;
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), EC_IABT);
	EXPECT_EQ(rig_iss(r, 0), FSC_TRANSLATION_L | 2);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_FAR_EL1], DATA + 0x40);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ELR_EL1], DATA + 0x40);
	tables_map(r, &t, DATA, DATA, 3, D_NORMAL & ~D_AF);
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_iss(r, 0), FSC_ACCESS_FLAG_L | 3);
	rig_destroy(r);
}
