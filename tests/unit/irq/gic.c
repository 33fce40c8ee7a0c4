/* SPDX-License-Identifier: MIT */
/* The model as a guest sees it: acknowledge and EOI, SGIs, lines, priorities, affinity, register
 * views. */
#include "rig.h"

#include "../../test.h"

#define SPI(n)		    (32 + (n))
#define SGI_LIST(sgi, list) ((u64)(sgi) << 24 | (list))
#define LINE(n)		    (KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (n))
#define PPI_LINE(cpu, n) \
	(KVM_ARM_IRQ_TYPE_PPI << KVM_ARM_IRQ_TYPE_SHIFT | (cpu) << KVM_ARM_IRQ_VCPU_SHIFT | (n))

static void eoi(struct rig *r, u32 cpu, u64 intid)
{
	rig_msr(r, cpu, EOIR1, intid);
}

static u64 active(struct rig *r, u32 intid)
{
	return rig_read(r, RIG_DIST + 0x300 + intid / 32 * 4, 4) >> intid % 32 & 1;
}

static u64 pending(struct rig *r, u32 intid)
{
	return rig_read(r, RIG_DIST + 0x200 + intid / 32 * 4, 4) >> intid % 32 & 1;
}

TEST(identification_registers_read_as_in_kvm)
{
	struct rig *r = rig_create_gic(2, 96);

	EXPECT_EQ(rig_read(r, RIG_DIST + 0x0, 4), 0x50);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x4, 4), 9u << 19 | 2);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x8, 4), 0x4b00343b);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0xc, 4), 0);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x10, 4), 0xffffffff);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0xffe8, 4), 0x3b);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x0, 4), 6);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x4, 4), 0x4b00043b);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x8, 8), 0);
	EXPECT_EQ(rig_read(r, rig_redist(1) + 0x8, 8), 1ull << 32 | 1 << 8 | BIT(4));
	EXPECT_EQ(rig_read(r, rig_redist(1) + 0xc, 4), 1);
	EXPECT_EQ(rig_read(r, rig_redist(1) + 0x14, 4), 0);
	EXPECT_EQ(rig_read(r, rig_redist(1) + 0xffe8, 4), 0x3b);
	EXPECT_EQ(rig_mrs(r, 0, SRE), 7);
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0xff);
	EXPECT_EQ(rig_mrs(r, 0, BPR0), 2);
	EXPECT_EQ(rig_mrs(r, 0, BPR1), 3);
	rig_destroy(r);
}

TEST(accesses_outside_the_frames_are_nobodys)
{
	struct rig *r = rig_create_gic(2, 64);
	u64 v;

	EXPECT_EQ(irq_mmio_read(&r->vi, &r->v[0], RIG_DIST - 4, 4, &v), -EOPNOTSUPP);
	EXPECT_EQ(irq_mmio_read(&r->vi, &r->v[0], RIG_DIST + 0x10000, 4, &v), -EOPNOTSUPP);
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], rig_redist(2), 4, 0), -EOPNOTSUPP);
	/* Wrong width or no register: zero, ignored. */
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x4, 2), 0);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x4, 8), 0);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x2000, 4), 0);
	/* Interrupts beyond the configured number. */
	rig_write(r, RIG_DIST + 0x100 + 8, 4, ~0u);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x100 + 8, 4), 0);
	rig_destroy(r);
}

TEST(sgi_goes_to_the_listed_cpus_only)
{
	struct rig *r = rig_create_gic(4, 64);

	rig_enable_all(r);
	rig_msr(r, 0, SGI1R, SGI_LIST(5, 0x6));
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT(rig_pin(r, 1, PIN_IRQ));
	EXPECT(rig_pin(r, 2, PIN_IRQ));
	EXPECT(!rig_pin(r, 3, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 1, HPPIR1), 5);
	EXPECT_EQ(rig_mrs(r, 1, IAR1), 5);
	EXPECT(!rig_pin(r, 1, PIN_IRQ));
	EXPECT(rig_pin(r, 2, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 1, IAR1), SPURIOUS);
	eoi(r, 1, 5);
	EXPECT_EQ(rig_mrs(r, 1, RPR), 0xff);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_destroy(r);
}

TEST(broadcast_sgi_leaves_the_sender_out)
{
	struct rig *r = rig_create_gic(3, 64);

	rig_enable_all(r);
	rig_msr(r, 1, SGI1R, BIT(40) | 3ull << 24);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 3);
	EXPECT_EQ(rig_mrs(r, 1, IAR1), SPURIOUS);
	EXPECT_EQ(rig_mrs(r, 2, IAR1), 3);
	rig_destroy(r);
}

TEST(sgi_again_while_active_is_pending_until_eoi)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_msr(r, 0, SGI1R, SGI_LIST(1, 1));
	rig_msr(r, 0, SGI1R, SGI_LIST(1, 1));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 1);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_msr(r, 0, SGI1R, SGI_LIST(1, 1));
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x10200, 4), 2);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x10300, 4), 2);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	eoi(r, 0, 1);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 1);
	rig_destroy(r);
}

TEST(group_0_sgis_come_from_sgi0r_and_signal_fiq)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_msr(r, 0, IGRPEN0, 1);
	/* SGI 2 is group 0, SGI 3 group 1. */
	rig_write(r, rig_redist(0) + 0x10080, 4, ~4u);
	rig_msr(r, 0, SGI0R, SGI_LIST(3, 1));
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_msr(r, 0, ASGI1R, SGI_LIST(3, 1));
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_msr(r, 0, SGI0R, SGI_LIST(2, 1));
	EXPECT(rig_pin(r, 0, PIN_FIQ));
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, HPPIR1), SPURIOUS);
	EXPECT_EQ(rig_mrs(r, 0, HPPIR0), 2);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	EXPECT_EQ(rig_mrs(r, 0, IAR0), 2);
	EXPECT(!rig_pin(r, 0, PIN_FIQ));
	EXPECT_EQ(rig_mrs(r, 0, AP0R0), 1);
	rig_msr(r, 0, EOIR0, 2);
	EXPECT_EQ(rig_mrs(r, 0, AP0R0), 0);
	/* ICC_SGI1R makes what the target configured. */
	rig_msr(r, 0, SGI1R, SGI_LIST(2, 1));
	EXPECT_EQ(rig_mrs(r, 0, IAR0), 2);
	rig_destroy(r);
}

TEST(edge_spi_is_latched_and_taken_once)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(4), 0, 0xa0, true);
	EXPECT_EQ(irq_line(&r->vi, LINE(SPI(4)), 1), 0);
	EXPECT_EQ(irq_line(&r->vi, LINE(SPI(4)), 0), 0);
	EXPECT_EQ(pending(r, SPI(4)), 1);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(4));
	EXPECT_EQ(pending(r, SPI(4)), 0);
	EXPECT_EQ(active(r, SPI(4)), 1);
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0xa0);
	eoi(r, 0, SPI(4));
	EXPECT_EQ(active(r, SPI(4)), 0);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_destroy(r);
}

TEST(level_spi_comes_again_until_the_line_falls)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(0), 0, 0xa0, false);
	irq_line(&r->vi, LINE(SPI(0)), 1);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(0));
		EXPECT_EQ(pending(r, SPI(0)), 1);
		EXPECT(!rig_pin(r, 0, PIN_IRQ));
		eoi(r, 0, SPI(0));
		EXPECT(rig_pin(r, 0, PIN_IRQ));
	}
	irq_line(&r->vi, LINE(SPI(0)), 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_destroy(r);
}

TEST(software_pending_of_a_level_spi_ends_with_its_handling)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(0), 0, 0xa0, false);
	rig_write(r, RIG_DIST + 0x204, 4, 1);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(0));
	eoi(r, 0, SPI(0));
	EXPECT_EQ(pending(r, SPI(0)), 0);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	/* ICPENDR takes the latch away, not the line. */
	rig_write(r, RIG_DIST + 0x204, 4, 1);
	irq_line(&r->vi, LINE(SPI(0)), 1);
	rig_write(r, RIG_DIST + 0x284, 4, 1);
	EXPECT_EQ(pending(r, SPI(0)), 1);
	irq_line(&r->vi, LINE(SPI(0)), 0);
	EXPECT_EQ(pending(r, SPI(0)), 0);
	rig_destroy(r);
}

TEST(disabled_interrupts_stay_pending_and_come_when_enabled)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(1), 0, 0xa0, true);
	rig_write(r, RIG_DIST + 0x184, 4, 2);
	irq_line(&r->vi, LINE(SPI(1)), 1);
	EXPECT_EQ(pending(r, SPI(1)), 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_write(r, RIG_DIST + 0x104, 4, 2);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	/* Distributor off, group off, mask: each holds it back. */
	rig_write(r, RIG_DIST, 4, 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_write(r, RIG_DIST, 4, 2);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_msr(r, 0, IGRPEN1, 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_msr(r, 0, IGRPEN1, 1);
	rig_msr(r, 0, PMR, 0xa0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_msr(r, 0, PMR, 0xa8);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(1));
	rig_destroy(r);
}

TEST(the_highest_priority_comes_first_and_the_lowest_number_among_equals)
{
	struct rig *r = rig_create_gic(1, 128);
	static const struct {
		u32 intid;
		u8 prio;
	} set[] = {
		{SPI(7), 0xa0}, {SPI(3), 0xa0}, {SPI(70), 0x40}, {SPI(9), 0xc0}, {SPI(71), 0x40}};
	static const u32 order[] = {SPI(70), SPI(71), SPI(3), SPI(7), SPI(9)};

	rig_enable_all(r);
	for (u32 i = 0; i < ARRAY_SIZE(set); i++) {
		rig_setup_spi(r, set[i].intid, 0, set[i].prio, true);
		irq_line(&r->vi, LINE(set[i].intid), 1);
	}
	for (u32 i = 0; i < ARRAY_SIZE(order); i++) {
		EXPECT_EQ(rig_mrs(r, 0, IAR1), order[i]);
		eoi(r, 0, order[i]);
	}
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_destroy(r);
}

TEST(a_higher_priority_preempts_and_an_equal_one_waits)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(0), 0, 0xa0, true);
	rig_setup_spi(r, SPI(1), 0, 0xa0, true);
	rig_setup_spi(r, SPI(2), 0, 0x80, true);
	irq_line(&r->vi, LINE(SPI(0)), 1);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(0));
	irq_line(&r->vi, LINE(SPI(1)), 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	/* Visible as the highest pending one all the same. */
	EXPECT_EQ(rig_mrs(r, 0, HPPIR1), SPI(1));
	irq_line(&r->vi, LINE(SPI(2)), 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(2));
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0x80);
	EXPECT_EQ(rig_mrs(r, 0, AP1R0), BIT(0xa0 >> 3) | BIT(0x80 >> 3));
	eoi(r, 0, SPI(2));
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0xa0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	eoi(r, 0, SPI(0));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(1));
	eoi(r, 0, SPI(1));
	EXPECT_EQ(rig_mrs(r, 0, AP1R0), 0);
	rig_destroy(r);
}

TEST(binary_point_groups_priorities_that_do_not_preempt)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(0), 0, 0xb0, true);
	rig_setup_spi(r, SPI(1), 0, 0xa0, true);
	rig_msr(r, 0, BPR1, 6); /* groups: bits 7:6 */
	irq_line(&r->vi, LINE(SPI(0)), 1);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(0));
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0x80);
	irq_line(&r->vi, LINE(SPI(1)), 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_msr(r, 0, BPR1, 3);
	/* Now 0xa0 is a group of its own, but the running priority was taken with the old grouping.
	 */
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_msr(r, 0, BPR1, 6);
	eoi(r, 0, SPI(0));
	EXPECT_EQ(active(r, SPI(0)), 0);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(1));
	/* Minimum values, and the common binary point. */
	rig_msr(r, 0, BPR0, 0);
	EXPECT_EQ(rig_mrs(r, 0, BPR0), 2);
	rig_msr(r, 0, BPR1, 0);
	EXPECT_EQ(rig_mrs(r, 0, BPR1), 3);
	rig_msr(r, 0, BPR0, 5);
	rig_msr(r, 0, CTLR, 1);
	EXPECT_EQ(rig_mrs(r, 0, BPR1), 6);
	rig_msr(r, 0, BPR1, 4);
	EXPECT_EQ(rig_mrs(r, 0, BPR1), 6);
	rig_msr(r, 0, CTLR, 0);
	EXPECT_EQ(rig_mrs(r, 0, BPR1), 3);
	rig_destroy(r);
}

TEST(split_eoi_drops_priority_and_dir_deactivates)
{
	struct rig *r = rig_create_gic(2, 64);

	rig_enable_all(r);
	rig_msr(r, 0, CTLR, 2);
	rig_msr(r, 1, CTLR, 2);
	rig_setup_spi(r, SPI(0), 0, 0xa0, true);
	irq_line(&r->vi, LINE(SPI(0)), 1);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(0));
	eoi(r, 0, SPI(0));
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0xff);
	EXPECT_EQ(active(r, SPI(0)), 1);
	irq_line(&r->vi, LINE(SPI(0)), 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	/* Any CPU may deactivate an SPI. */
	rig_msr(r, 1, DIR, SPI(0));
	EXPECT_EQ(active(r, SPI(0)), 0);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(0));
	/* With EOImode 0 a write of DIR does nothing. */
	rig_msr(r, 0, CTLR, 0);
	rig_msr(r, 0, DIR, SPI(0));
	EXPECT_EQ(active(r, SPI(0)), 1);
	/* Numbers that name nothing. */
	rig_msr(r, 0, CTLR, 2);
	rig_msr(r, 0, DIR, 500);
	rig_msr(r, 0, DIR, 0xffffff);
	eoi(r, 0, 1023);
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0xa0);
	rig_destroy(r);
}

TEST(active_state_can_be_set_and_cleared_by_the_distributor)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(3), 0, 0xa0, false);
	rig_write(r, RIG_DIST + 0x304, 4, 8);
	irq_line(&r->vi, LINE(SPI(3)), 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x384, 4), 8);
	rig_write(r, RIG_DIST + 0x384, 4, 8);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	/* The same in the redistributor. */
	rig_write(r, rig_redist(0) + 0x10300, 4, BIT(4));
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x10300, 4), BIT(4));
	rig_write(r, rig_redist(0) + 0x10380, 4, BIT(4));
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x10300, 4), 0);
	rig_destroy(r);
}

TEST(affinity_change_moves_a_pending_spi_but_not_an_active_one)
{
	struct rig *r = rig_create_gic(2, 64);

	rig_enable_all(r);
	rig_setup_spi(r, SPI(0), 0, 0xa0, false);
	irq_line(&r->vi, LINE(SPI(0)), 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_write(r, RIG_DIST + 0x6000 + SPI(0) * 8, 8, 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT(rig_pin(r, 1, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 1, IAR1), SPI(0));
	rig_write(r, RIG_DIST + 0x6000 + SPI(0) * 8, 4, 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	eoi(r, 1, SPI(0));
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	EXPECT(!rig_pin(r, 1, PIN_IRQ));
	/* Nowhere: Aff2.Aff1.Aff0 that no vCPU has; Aff3 and the upper word are ignored. */
	rig_write(r, RIG_DIST + 0x6000 + SPI(0) * 8, 8, 0x1280000777ull);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x6000 + SPI(0) * 8, 8), 0x777);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x6004 + SPI(0) * 8, 4), 0);
	EXPECT_EQ(pending(r, SPI(0)), 1);
	rig_write(r, RIG_DIST + 0x6004 + SPI(0) * 8, 4, 1);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x6000 + SPI(0) * 8, 8), 0x777);
	rig_write(r, RIG_DIST + 0x6000 + SPI(0) * 8, 8, 1);
	EXPECT(rig_pin(r, 1, PIN_IRQ));
	rig_destroy(r);
}

TEST(ppis_are_private_level_lines)
{
	struct rig *r = rig_create_gic(2, 64);

	rig_enable_all(r);
	rig_write(r, rig_redist(1) + 0x10100, 4, BIT(22));
	EXPECT_EQ(irq_line(&r->vi, PPI_LINE(1, 22), 1), 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT(rig_pin(r, 1, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 1, IAR1), 22);
	EXPECT_EQ(irq_line(&r->vi, PPI_LINE(1, 22), 0), 0);
	eoi(r, 1, 22);
	EXPECT_EQ(rig_mrs(r, 1, IAR1), SPURIOUS);
	/* The trigger of SGIs and PPIs is fixed. */
	rig_write(r, rig_redist(1) + 0x10c04, 4, ~0u);
	EXPECT_EQ(rig_read(r, rig_redist(1) + 0x10c04, 4), 0);
	EXPECT_EQ(rig_read(r, rig_redist(1) + 0x10c00, 4), 0xaaaaaaaa);
	rig_destroy(r);
}

TEST(priority_bytes_keep_five_bits_in_every_width)
{
	struct rig *r = rig_create_gic(1, 64);

	rig_write(r, RIG_DIST + 0x400 + SPI(0), 4, 0xff7f3f1f);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x400 + SPI(0), 4), 0xf8783818);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x400 + SPI(1), 1), 0x38);
	rig_write(r, RIG_DIST + 0x400 + SPI(2), 1, 0x91);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x400 + SPI(0), 4), 0xf8903818);
	/* Private part of the distributor's array: nothing there. */
	rig_write(r, RIG_DIST + 0x400, 4, ~0u);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x400, 4), 0);
	rig_write(r, rig_redist(0) + 0x10400 + 28, 4, 0x80808080);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x10400 + 28, 4), 0x80808080);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x10400 + 31, 1), 0x80);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x820, 4), 0); /* ITARGETSR */
	rig_msr(r, 0, PMR, 0xff);
	EXPECT_EQ(rig_mrs(r, 0, PMR), 0xf8);
	rig_destroy(r);
}

TEST(lpi_registers_hold_their_value_and_do_nothing)
{
	struct rig *r = rig_create_gic(1, 64);

	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x78, 8), 0x580);
	rig_write(r, rig_redist(0) + 0x70, 8, 0x12345000ull | 15);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x70, 8), 0x12345000ull | 3 << 7 | 15);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x74, 4), 0);
	rig_write(r, rig_redist(0) + 0x0, 4, 1);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x0, 4), 6);
	rig_destroy(r);
}

TEST(wfi_ends_for_what_is_signalled_only)
{
	struct rig *r = rig_create_gic(1, 64);
	const struct vcpu_irq_ops *ops = r->v[0].irq_ops;

	rig_enable_all(r);
	rig_setup_spi(r, SPI(0), 0, 0xa0, true);
	rig_setup_spi(r, SPI(1), 0, 0xa0, true);
	EXPECT(!ops->wfi_pending(&r->v[0]));
	rig_msr(r, 0, IGRPEN1, 0);
	irq_line(&r->vi, LINE(SPI(0)), 1);
	EXPECT(!ops->wfi_pending(&r->v[0]));
	rig_msr(r, 0, IGRPEN1, 1);
	EXPECT(ops->wfi_pending(&r->v[0]));
	/* A CPU that parks inside its handler sleeps, though another of the same priority is
	 * pending. */
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPI(0));
	irq_line(&r->vi, LINE(SPI(1)), 1);
	EXPECT(!ops->wfi_pending(&r->v[0]));
	eoi(r, 0, SPI(0));
	EXPECT(ops->wfi_pending(&r->v[0]));
	rig_destroy(r);
}

TEST(irq_line_refuses_what_does_not_fit)
{
	struct rig *r = rig_create_gic(1, 64), *bare = rig_create(1);

	EXPECT_EQ(irq_line(&r->vi, 0, 1), -ENXIO);
	EXPECT_EQ(irq_line(&r->vi, LINE(31), 1), -EINVAL);
	EXPECT_EQ(irq_line(&r->vi, LINE(64), 1), -EINVAL);
	EXPECT_EQ(irq_line(&r->vi, PPI_LINE(0, 15), 1), -EINVAL);
	EXPECT_EQ(irq_line(&r->vi, PPI_LINE(0, 32), 1), -EINVAL);
	EXPECT_EQ(irq_line(&r->vi, PPI_LINE(1, 20), 1), -EINVAL);
	EXPECT_EQ(irq_line(&r->vi, 3u << KVM_ARM_IRQ_TYPE_SHIFT, 1), -EINVAL);
	EXPECT_EQ(irq_line(&bare->vi, LINE(40), 1), -ENXIO);
	EXPECT_EQ(irq_line(&bare->vi, PPI_LINE(0, 20), 1), -ENXIO);
	EXPECT_EQ(irq_line(&bare->vi, 2, 1), -EINVAL);
	EXPECT_EQ(irq_line(&bare->vi, 1u << KVM_ARM_IRQ_VCPU_SHIFT, 1), -EINVAL);
	EXPECT_EQ(irq_line(&bare->vi, KVM_ARM_IRQ_CPU_FIQ, 1), 0);
	EXPECT(rig_pin(bare, 0, PIN_FIQ));
	EXPECT_EQ(irq_line(&bare->vi, KVM_ARM_IRQ_CPU_FIQ, 0), 0);
	EXPECT(!rig_pin(bare, 0, PIN_FIQ));
	/* Without a controller its registers do not exist. */
	EXPECT(!rig_row(bare, IAR1)->present(&bare->v[0], rig_row(bare, IAR1)));
	EXPECT(rig_row(r, IAR1)->present(&r->v[0], rig_row(r, IAR1)));
	rig_destroy(bare);
	rig_destroy(r);
}
