// SPDX-License-Identifier: MIT
/* TLB maintenance: what each form must drop, what may stay, and that DSB waits for the other vCPUs.
 */
#include "rig.h"
#include "test.h"

#define ASID(n) ((u64)(n) << 48)

/* Gives vCPU n an entry for va, then changes the descriptor behind its back. */
static void plant(struct rig *r, unsigned n, u64 va, u64 at, u64 new_desc)
{
	rig_x(r, n)[1] = va;
	EXPECT_EQ(rig_run(r, n, G_load64), 1);
	rig_write64(r, at, new_desc);
}

static u64 load(struct rig *r, unsigned n, u64 va)
{
	rig_x(r, n)[1] = va;
	EXPECT_EQ(rig_run(r, n, G_load64), 1);
	return rig_x(r, n)[0];
}

struct two_pages {
	struct tables t;
	u64 at, old, new;
};

#define VA (BIT(40) + 0x5000)

/* VA maps DATA (holds 1); the other descriptor maps DATA + 4096 (holds 2). */
static struct two_pages two_pages(struct rig *r, u64 attrs)
{
	struct two_pages p = {.t = rig_mmu(r)};

	rig_write64(r, DATA, 1);
	rig_write64(r, DATA + 4096, 2);
	p.at = tables_map(r, &p.t, VA, DATA, 3, D_NORMAL | attrs);
	p.old = rig_read64(r, p.at);
	p.new = (DATA + 4096) | D_NORMAL | attrs | D_PAGE;
	return p;
}

TEST(without_tlbi_the_old_translation_may_stay_and_here_does)
{
	struct rig *r = rig_create(1);
	struct two_pages p = two_pages(r, 0);

	plant(r, 0, VA, p.at, p.new);
	EXPECT_EQ(load(r, 0, VA), 1);
	rig_destroy(r);
}

TEST(every_broadcast_form_reaches_both_vcpus)
{
	static const u32 piece[] = {G_tlbi_vmalle1is, G_tlbi_vmalle1os, G_tlbi_vae1is,
				    G_tlbi_vae1os,    G_tlbi_vale1is,	G_tlbi_vaae1is};
	struct rig *r = rig_create(2);
	struct two_pages p = two_pages(r, D_NG);

	for (unsigned i = 0; i < ARRAY_SIZE(piece); i++) {
		rig_write64(r, p.at, p.old);
		rig_run(r, 1, G_tlbi_vmalle1is);
		plant(r, 0, VA, p.at, p.old);
		plant(r, 1, VA, p.at, p.new);
		EXPECT_EQ(load(r, 0, VA), 1);
		EXPECT_EQ(load(r, 1, VA), 1);
		rig_x(r, 1)[1] = VA >> 12;
		EXPECT_EQ(rig_run(r, 1, piece[i]), 1);
		EXPECT_EQ(load(r, 0, VA), 2);
		EXPECT_EQ(load(r, 1, VA), 2);
	}
	rig_destroy(r);
}

TEST(local_forms_are_local)
{
	struct rig *r = rig_create(2);
	struct two_pages p = two_pages(r, D_NG);

	plant(r, 0, VA, p.at, p.old);
	plant(r, 1, VA, p.at, p.new);
	rig_x(r, 1)[1] = VA >> 12;
	EXPECT_EQ(rig_run(r, 1, G_tlbi_vae1), 1);
	EXPECT_EQ(load(r, 1, VA), 2);
	EXPECT_EQ(load(r, 0, VA), 1);
	EXPECT_EQ(rig_run(r, 0, G_tlbi_vmalle1), 1);
	EXPECT_EQ(load(r, 0, VA), 2);
	rig_destroy(r);
}

/* Operand of a range form: base in pages of 4 KiB, (num + 1) << (5 * scale + 1) pages. */
static u64 range(u64 va, unsigned num, unsigned scale, unsigned asid)
{
	return (va >> 12 & GENMASK(36, 0)) | (u64)num << 39 | (u64)scale << 44 | 1ull << 46 |
	       ASID(asid);
}

TEST(range_and_outer_shareable_forms_reach_other_vcpus)
{
	static const u32 piece[] = {G_tlbi_rvae1is, G_tlbi_rvae1os};
	struct rig *r = rig_create(2);
	struct two_pages p = two_pages(r, D_NG);

	for (unsigned i = 0; i < ARRAY_SIZE(piece); i++) {
		/* Two pages from the one before VA: hit. Two pages from the one after: miss. 64
		 * pages around: hit. */
		static const struct {
			s64 page;
			unsigned num, scale;
			u64 expect;
		} row[] = {{1, 0, 0, 1},   {-2, 0, 0, 1},  {-1, 0, 0, 2},
			   {-60, 0, 1, 2}, {-64, 0, 1, 1}, {-100, 1, 2, 2}};

		for (unsigned k = 0; k < ARRAY_SIZE(row); k++) {
			rig_write64(r, p.at, p.old);
			rig_run(r, 1, G_tlbi_vmalle1is);
			plant(r, 0, VA, p.at, p.new);
			rig_x(r, 1)[1] =
				range(VA + (u64)(row[k].page * 4096), row[k].num, row[k].scale, 0);
			EXPECT_EQ(rig_run(r, 1, piece[i]), 1);
			EXPECT_EQ(load(r, 0, VA), row[k].expect);
		}
	}
	/* The local form, all ASIDs, last level. */
	rig_write64(r, p.at, p.old);
	rig_run(r, 1, G_tlbi_vmalle1is);
	plant(r, 1, VA, p.at, p.new);
	rig_x(r, 1)[1] = range(VA, 0, 0, 77);
	EXPECT_EQ(rig_run(r, 1, G_tlbi_rvaale1), 1);
	EXPECT_EQ(load(r, 1, VA), 2);
	rig_destroy(r);
}

/* Neighbours are merged into one record; nothing of the range may get lost, at the top of the
 * address space neither. */
TEST(runs_of_pages_are_dropped_whole)
{
	struct rig *r = rig_create(2);
	struct tables low = rig_mmu(r), high = tables_new(r, 12, 48);
	const u64 first = ~0ull << 14; /* the last four pages */

	(void)low;
	rig_arch(r, 0)->sys[SR_TTBR1_EL1] = rig_arch(r, 1)->sys[SR_TTBR1_EL1] = high.root;
	for (u64 i = 0; i < 8; i++)
		rig_write64(r, DATA + i * 4096, i);
	for (u64 i = 0; i < 4; i++) {
		tables_map(r, &high, first + i * 4096, DATA + i * 4096, 3, D_NORMAL);
		EXPECT_EQ(load(r, 0, first + i * 4096), i);
	}
	for (u64 i = 0; i < 4; i++)
		tables_map(r, &high, first + i * 4096, DATA + (4 + i) * 4096, 3, D_NORMAL);
	rig_x(r, 1)[1] = first >> 12;
	EXPECT_EQ(rig_run(r, 1, G_tlbi_four_pages), 1);
	for (u64 i = 0; i < 4; i++)
		EXPECT_EQ(load(r, 0, first + i * 4096), 4 + i);
	rig_destroy(r);
}

TEST(level_hints_are_accepted)
{
	struct rig *r = rig_create(1);
	struct two_pages p = two_pages(r, D_NG);

	plant(r, 0, VA, p.at, p.new);
	/* TTL in bits 47:44: 4 KiB granule, level 3. */
	rig_x(r, 0)[1] = VA >> 12 | 7ull << 44;
	EXPECT_EQ(rig_run(r, 0, G_tlbi_vae1is), 1);
	EXPECT_EQ(load(r, 0, VA), 2);
	rig_destroy(r);
}

TEST(asid_selects_what_is_not_global)
{
	struct rig *r = rig_create(1);
	struct two_pages p = two_pages(r, D_NG);
	u64 *ttbr = &rig_arch(r, 0)->sys[SR_TTBR0_EL1], root = *ttbr;

	*ttbr = root | ASID(5);
	plant(r, 0, VA, p.at, p.new);
	rig_x(r, 0)[1] = ASID(6);
	rig_run(r, 0, G_tlbi_aside1is);
	EXPECT_EQ(load(r, 0, VA), 1);
	rig_x(r, 0)[1] = ASID(6) | VA >> 12;
	rig_run(r, 0, G_tlbi_vae1is);
	EXPECT_EQ(load(r, 0, VA), 1);
	rig_x(r, 0)[1] = ASID(5);
	rig_run(r, 0, G_tlbi_aside1is);
	EXPECT_EQ(load(r, 0, VA), 2);
	/* A global entry is hit by VA whatever the ASID, and not by ASID alone. */
	rig_write64(r, p.at, p.old & ~D_NG);
	rig_run(r, 0, G_tlbi_vmalle1);
	plant(r, 0, VA, p.at, p.new & ~D_NG);
	rig_x(r, 0)[1] = ASID(5);
	rig_run(r, 0, G_tlbi_aside1is);
	EXPECT_EQ(load(r, 0, VA), 1);
	rig_x(r, 0)[1] = ASID(6) | VA >> 12;
	rig_run(r, 0, G_tlbi_vae1is);
	EXPECT_EQ(load(r, 0, VA), 2);
	rig_destroy(r);
}

TEST(asid_switch_needs_no_flush)
{
	struct rig *r = rig_create(1);
	struct two_pages p = two_pages(r, D_NG);
	struct tables other = tables_new(r, 12, 48);
	u64 *x = rig_x(r, 0), root = rig_arch(r, 0)->sys[SR_TTBR0_EL1];

	tables_map(r, &other, VA, DATA + 4096, 3, D_NORMAL | D_NG);
	for (u64 at = 0; at < sizeof(guest_code); at += 4096)
		tables_map(r, &other, RAM + at, RAM + at, 3, D_NORMAL | D_RO);
	x[1] = VA;
	for (unsigned asid = 1; asid < 0x10000; asid = asid * 3 + 1) {
		x[0] = root | ASID(asid);
		x[2] = other.root | ASID(asid + 1);
		EXPECT_EQ(rig_run(r, 0, G_switch_asid), 1);
		EXPECT_EQ(x[3], 1);
		EXPECT_EQ(x[4], 2);
	}
	/* Both are still cached: a stale one shows that no flush happened. */
	x[0] = root | ASID(1);
	x[2] = other.root | ASID(2);
	EXPECT_EQ(rig_run(r, 0, G_switch_asid), 1);
	rig_write64(r, p.at, p.new);
	EXPECT_EQ(rig_run(r, 0, G_switch_asid), 1);
	EXPECT_EQ(x[3], 1);
	/* Two of them with one table but different ASIDs do not share. */
	x[2] = root | ASID(3);
	EXPECT_EQ(rig_run(r, 0, G_switch_asid), 1);
	EXPECT_EQ(x[3], 1);
	EXPECT_EQ(x[4], 2);
	rig_destroy(r);
}

TEST(local_entries_of_the_upper_half_die_with_the_asid)
{
	struct rig *r = rig_create(1);
	struct tables low = rig_mmu(r), high = tables_new(r, 12, 48);
	u64 va = HIGH + BIT(40), at = tables_map(r, &high, va, DATA, 3, D_NORMAL | D_NG);
	u64 *x = rig_x(r, 0);

	(void)low;
	rig_write64(r, DATA, 1);
	rig_write64(r, DATA + 4096, 2);
	rig_arch(r, 0)->sys[SR_TTBR1_EL1] = high.root;
	x[0] = rig_arch(r, 0)->sys[SR_TTBR0_EL1] | ASID(1);
	x[1] = va;
	EXPECT_EQ(rig_run(r, 0, G_set_ttbr0), 1);
	EXPECT_EQ(x[2], 1);
	rig_write64(r, at, (DATA + 4096) | D_NORMAL | D_NG | D_PAGE);
	x[0] = rig_arch(r, 0)->sys[SR_TTBR0_EL1] ^ ASID(3);
	EXPECT_EQ(rig_run(r, 0, G_set_ttbr0), 1);
	EXPECT_EQ(x[2], 2);
	rig_destroy(r);
}

TEST(one_address_of_a_block_or_contiguous_set_drops_all_of_it)
{
	struct rig *r = rig_create(1);
	struct tables t = rig_mmu(r);
	u64 at = tables_map(r, &t, BIT(40), DATA, 2, D_NORMAL);

	rig_write64(r, DATA + 0x3000, 1);
	rig_write64(r, DATA + 0x203000, 2);
	plant(r, 0, BIT(40) + 0x3000, at, (DATA + 0x200000) | D_NORMAL | D_BLOCK);
	EXPECT_EQ(load(r, 0, BIT(40) + 0x3000), 1);
	rig_x(r, 0)[1] = (BIT(40) + 0x1ff000) >> 12;
	rig_run(r, 0, G_tlbi_vae1is);
	EXPECT_EQ(load(r, 0, BIT(40) + 0x3000), 2);
	/* 16 pages with the contiguous bit. */
	for (u64 i = 0; i < 16; i++)
		tables_map(r, &t, BIT(41) + i * 4096, DATA + i * 4096, 3, D_NORMAL | D_CONT);
	plant(r, 0, BIT(41) + 0x3000, tables_entry(r, &t, BIT(41) + 0x3000, 3),
	      (DATA + 0x203000) | D_NORMAL | D_CONT | D_PAGE);
	rig_x(r, 0)[1] = (BIT(41) + 0xf000) >> 12;
	rig_run(r, 0, G_tlbi_vae1is);
	EXPECT_EQ(load(r, 0, BIT(41) + 0x3000), 2);
	rig_destroy(r);
}

TEST(tagged_addresses_are_dropped_by_their_plain_one)
{
	struct rig *r = rig_create(1);
	struct two_pages p = two_pages(r, 0);

	rig_arch(r, 0)->sys[SR_TCR_EL1] |= TCR_TBI0;
	plant(r, 0, VA | 0x7full << 56, p.at, p.new);
	EXPECT_EQ(load(r, 0, VA | 0x7full << 56), 1);
	rig_x(r, 0)[1] = VA >> 12;
	rig_run(r, 0, G_tlbi_vae1is);
	EXPECT_EQ(load(r, 0, VA | 0x7full << 56), 2);
	rig_destroy(r);
}

TEST(tlbi_at_el0_is_undefined)
{
	struct rig *r = rig_create(1);

	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_tlbi_vae1is), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0);
	rig_destroy(r);
}

/*
 * One vCPU stores to a page for ever, looking for requests rarely, while the other turns its
 * descriptor: after the DSB nothing lands in the page that was left.
 */
TEST(dsb_waits_for_a_running_vcpu)
{
	struct rig *r = rig_create(2);
	struct two_pages p = two_pages(r, D_NG);
	struct rig_thread t;
	unsigned stale = 0;

	rig_x(r, 0)[1] = VA;
	rig_start(r, 0, G_count_up_straight, &t);
	while (!rig_read64(r, DATA) || rig_read64(r, DATA) == 1)
		rig_sleep_ms(1);
	for (unsigned i = 0; i < 300; i++) {
		bool to_new = !(i & 1);

		rig_write64(r, p.at, to_new ? p.new : p.old);
		rig_x(r, 1)[1] = VA >> 12;
		rig_x(r, 1)[3] = HIGH + (to_new ? DATA : DATA + 4096);
		EXPECT_EQ(rig_run(r, 1, G_tlbi_and_watch), 1);
		stale += rig_x(r, 1)[5] != rig_x(r, 1)[6];
	}
	EXPECT_EQ(stale, 0);
	vcpu_request(&r->vcpu[0], VCPU_REQ_EXIT);
	EXPECT_EQ(rig_join(&t), -EINTR);
	EXPECT_EQ(r->vcpu[0].run->exit_reason, KVM_EXIT_INTR);
	rig_destroy(r);
}

TEST(instruction_cache_maintenance_shows_new_code)
{
	struct rig *r = rig_create(2);
	u32 *code;

	rig_mmu(r);
	memcpy(rig_mem(r, DATA), rig_mem(r, RAM + G_code_value), 16);
	code = rig_mem(r, DATA);
	for (unsigned n = 0; n < 2; n++) {
		rig_x(r, n)[1] = HIGH + DATA;
		EXPECT_EQ(rig_run(r, n, G_call_x1), 1);
		EXPECT_EQ(rig_x(r, n)[0], 0x1234);
	}
	/* mov w0, #0x5678 */
	code[0] = 0x52800000 | 0x5678 << 5;
	EXPECT_EQ(rig_run(r, 1, G_sync_icache), 1);
	for (unsigned n = 0; n < 2; n++) {
		rig_x(r, n)[1] = HIGH + DATA;
		EXPECT_EQ(rig_run(r, n, G_call_x1), 1);
		EXPECT_EQ(rig_x(r, n)[0], 0x5678);
	}
	rig_destroy(r);
}
