/* SPDX-License-Identifier: MIT */
/* The ITS as a guest and a VMM see it: registers, commands, MSIs, LPIs of the redistributors. */
#include "its_rig.h"

#include "../../test.h"

#define ADDR	KVM_DEV_ARM_VGIC_GRP_ADDR
#define CONTROL KVM_DEV_ARM_VGIC_GRP_CTRL
#define REGS	KVM_DEV_ARM_VGIC_GRP_ITS_REGS
#define LPI	8192

#define DISCARD 0x0f
#define CLEAR	0x04
#define INV	0x0c
#define INT	0x03

/* Device 7 with 32 events, collections 0 to 2 on CPUs 0 to 2, event 1 of it is LPI 8193 in collection 0. */
static struct rig *mapped(struct its **its)
{
	struct rig *r = rig_create_its(3, its);

	rig_its_boot(r);
	rig_mapd(r, 7, RIG_ITT(0), 5);
	for (u32 i = 0; i < 3; i++)
		rig_mapc(r, i, i);
	rig_mapti(r, 7, 1, LPI + 1, 0);
	return r;
}

TEST(registers_before_anything_is_set_up)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);

	EXPECT_EQ(rig_read(r, RIG_DIST + 4, 4), 1 | BIT(17) | 15u << 19);
	EXPECT_EQ(rig_read(r, RIG_REDIST + 8, 8) & 1, 1);
	EXPECT_EQ(rig_read(r, RIG_REDIST, 4), 6);
	EXPECT_EQ(rig_read(r, RIG_REDIST + 0x70, 8), 0x580);
	EXPECT_EQ(rig_read(r, RIG_REDIST + 0x78, 8), 0x580);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CTLR, 4), BIT(31));
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_IIDR, 4), 0x4b00043b);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_TYPER, 8), 0x1ef71);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_TYPER, 4), 0x1ef71);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_TYPER + 4, 4), 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER0, 8), 0x1907000000000600);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER1, 8), 0x1c07000000000600);
	EXPECT_EQ(rig_read(r, RIG_ITS + 0x110, 8), 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CBASER, 8), 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + 0xffe8, 4), 0x3b);
	EXPECT_EQ(rig_read(r, RIG_ITS + 0xfff4, 4), 0xf0);
	/* wrong widths, holes, the translation frame */
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CTLR, 8), 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_TYPER, 1), 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + 0x4000, 4), 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + 0x10040, 4), 0);
	rig_write(r, RIG_ITS + 0x10040, 4, 1);
	u64 value;
	EXPECT_EQ(its_mmio_read(&r->vi, &r->v[0], RIG_ITS + ITS_FRAME_SIZE, 4, &value),
		  -EOPNOTSUPP);
	rig_destroy(r);
}

TEST(table_registers_keep_what_they_can_and_freeze_while_the_its_is_on)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);

	rig_write(r, RIG_ITS + GITS_BASER0, 8, ~0ull);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER0, 8), 0xf907fffffffffeff);
	rig_write(r, RIG_ITS + GITS_BASER1, 8, ~0ull);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER1, 8), 0xbc07fffffffffeff);
	rig_write(r, RIG_ITS + GITS_BASER0, 4, 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER0, 8), 0xf907ffff00000200);
	rig_write(r, RIG_ITS + GITS_BASER0 + 4, 4, 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER0, 8), 0x1907000000000200);
	rig_write(r, RIG_ITS + GITS_CBASER, 8, RIG_QUEUE | 0xf0ff);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CBASER, 8), 0x18000000400800ff);
	/* Not all tables are valid: it stays off. */
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CTLR, 4), BIT(31));
	rig_its_boot(r);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CTLR, 4), BIT(31) | 1);
	rig_write(r, RIG_ITS + GITS_BASER0, 8, 0);
	rig_write(r, RIG_ITS + GITS_CBASER, 8, 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER0, 8) >> 63, 1);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CBASER, 8) >> 63, 1);
	/* So do the redistributor's while LPIs are on. */
	rig_write(r, RIG_REDIST + 0x70, 8, 0);
	EXPECT_EQ(rig_read(r, RIG_REDIST + 0x70, 8), RIG_PROP | 15 | 0x180);
	EXPECT_EQ(rig_read(r, RIG_REDIST, 4), 7);
	rig_destroy(r);
}

TEST(an_msi_becomes_an_lpi)
{
	struct its *its;
	struct rig *r = mapped(&its);

	for (int i = 0; i < 3; i++) { /* the second time on by the cache */
		EXPECT_EQ(rig_msi(r, 7, 1), 1);
		EXPECT(rig_pin(r, 0, PIN_IRQ));
		EXPECT_EQ(rig_mrs(r, 0, IAR1), LPI + 1);
		EXPECT_EQ(rig_mrs(r, 0, RPR), 0xa0);
		/* It has no active state: it can come again before the end. */
		EXPECT_EQ(rig_msi(r, 7, 1), 1);
		EXPECT(!rig_pin(r, 0, PIN_IRQ));
		rig_msr(r, 0, EOIR1, LPI + 1);
		EXPECT_EQ(rig_mrs(r, 0, RPR), 0xff);
		EXPECT_EQ(rig_take(r, 0), LPI + 1);
		EXPECT_EQ(rig_take(r, 0), SPURIOUS);
	}
	EXPECT_EQ(rig_msi(r, 7, 2), 0);
	EXPECT_EQ(rig_msi(r, 8, 1), 0);
	EXPECT_EQ(rig_msi(r, 7 | 1u << 16, 1), 0);
	EXPECT_EQ(rig_msi(r, 7, 1 | 1u << 16), 0);
	rig_destroy(r);
}

TEST(the_best_of_many_lpis_and_spis_comes_first)
{
	struct its *its;
	struct rig *r = mapped(&its);

	*rig_ram(r, RIG_PROP + 3) = 0x81;
	rig_mapti(r, 7, 3, LPI + 3, 0);
	rig_mapti(r, 7, 2, LPI + 2, 0);
	rig_setup_spi(r, 40, 0, 0xa0, true);
	EXPECT_EQ(rig_msi(r, 7, 2), 1);
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	EXPECT_EQ(rig_msi(r, 7, 3), 1);
	irq_line(&r->vi, 1u << 24 | 40, 1);
	EXPECT_EQ(rig_take(r, 0), LPI + 3);
	EXPECT_EQ(rig_take(r, 0), 40);
	/* Of equals the one that came first. */
	EXPECT_EQ(rig_take(r, 0), LPI + 2);
	EXPECT_EQ(rig_take(r, 0), LPI + 1);
	EXPECT_EQ(rig_take(r, 0), SPURIOUS);
	rig_destroy(r);
}

TEST(signal_msi_tells_why_not)
{
	struct kvm_msi msi = {.address_lo = (u32)RIG_ITS, .data = 1, .devid = 7};
	struct its *its;
	struct rig *r = rig_create(1);

	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -EINVAL);
	rig_destroy(r);
	r = rig_create_gic(1, 64);
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -ENODEV);
	rig_destroy(r);
	r = rig_create_its(1, &its);
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -EINVAL);
	msi.flags = 2;
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -EINVAL);
	msi.flags = KVM_MSI_VALID_DEVID;
	msi.address_lo = RIG_DIST;
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -EINVAL);
	msi.address_lo = (u32)RIG_ITS;
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -EBUSY);
	rig_its_boot(r);
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), 0);
	rig_mapd(r, 7, RIG_ITT(0), 5);
	rig_mapc(r, 0, 0);
	rig_mapti(r, 7, 1, LPI, 0);
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), 1);
	rig_write(r, RIG_REDIST, 4, 0);
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -EBUSY);
	rig_write(r, RIG_REDIST, 4, 1);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
	EXPECT_EQ(irq_signal_msi(&r->vi, &msi), -EBUSY);
	rig_destroy(r);
}

TEST(commands_change_where_an_event_goes)
{
	struct its *its;
	struct rig *r = mapped(&its);

	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	/* MOVI takes a pending LPI along. */
	rig_movi(r, 7, 1, 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_take(r, 1), LPI + 1);
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	EXPECT_EQ(rig_take(r, 1), LPI + 1);
	/* MAPC moves all of a collection. */
	rig_mapc(r, 1, 2);
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	EXPECT_EQ(rig_take(r, 2), LPI + 1);
	/* MOVALL moves all of a CPU, pending or not. */
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	rig_movall(r, 2, 0);
	EXPECT_EQ(rig_take(r, 0), LPI + 1);
	EXPECT_EQ(rig_take(r, 2), SPURIOUS);
	/* INT, CLEAR */
	rig_event_command(r, INT, 7, 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_event_command(r, CLEAR, 7, 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	/* INV, INVALL read the configuration again. */
	*rig_ram(r, RIG_PROP + 1) = 0xa0;
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_event_command(r, INV, 7, 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	*rig_ram(r, RIG_PROP + 1) = 0x41;
	rig_invall(r, 1); /* collection 1 is on CPU 2, and the LPI is not */
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_invall(r, 0);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), LPI + 1);
	EXPECT_EQ(rig_mrs(r, 0, RPR), 0x40);
	rig_msr(r, 0, EOIR1, LPI + 1);
	/* An unmapped collection has nowhere to send to; its LPI stays where it was. */
	rig_unmapc(r, 1);
	EXPECT_EQ(rig_msi(r, 7, 1), 0);
	rig_movi(r, 7, 1, 0);
	EXPECT_EQ(rig_msi(r, 7, 1), 0);
	rig_destroy(r);
}

TEST(discard_and_mapd_end_a_translation)
{
	struct its *its;
	struct rig *r = mapped(&its);

	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	rig_set_ram64(r, RIG_ITT(0) + 8, ~0ull);
	rig_event_command(r, DISCARD, 7, 1);
	EXPECT_EQ(rig_ram64(r, RIG_ITT(0) + 8), 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_msi(r, 7, 1), 0);
	/* The LPI starts anew when it is mapped again, by MAPI here. */
	rig_mapd(r, 9, RIG_RAM + 0x100000, 14);
	rig_mapi(r, 9, LPI + 1, 1);
	EXPECT_EQ(rig_take(r, 1), SPURIOUS);
	EXPECT_EQ(rig_msi(r, 9, LPI + 1), 1);
	EXPECT_EQ(rig_take(r, 1), LPI + 1);
	/* Nobody remembers where it came from before. */
	EXPECT_EQ(rig_msi(r, 7, 1), 0);
	EXPECT_EQ(rig_take(r, 1), SPURIOUS);
	/* MAPD of a mapped device drops its events; with V = 0 the table entry too. */
	rig_mapti(r, 7, 1, LPI + 2, 0);
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	rig_mapd(r, 7, RIG_ITT(1), 5);
	EXPECT_EQ(rig_msi(r, 7, 1), 0);
	EXPECT_EQ(rig_take(r, 0), SPURIOUS);
	rig_set_ram64(r, RIG_DEVTAB + 7 * 8, ~0ull);
	rig_unmapd(r, 7);
	EXPECT_EQ(rig_ram64(r, RIG_DEVTAB + 7 * 8), 0);
	rig_mapti(r, 7, 1, LPI + 2, 0);
	EXPECT_EQ(rig_msi(r, 7, 1), 0);
	rig_destroy(r);
}

TEST(commands_that_make_no_sense_are_stepped_over)
{
	struct its *its;
	struct rig *r = mapped(&its);

	rig_mapti(r, 7, 32, LPI + 2, 0);      /* beyond the device's events */
	rig_mapti(r, 7, 2, LPI - 1, 0);	      /* no LPI */
	rig_mapti(r, 7, 2, 1u << 16, 0);      /* beyond PROPBASER */
	rig_mapti(r, 6, 2, LPI + 2, 0);	      /* no such device */
	rig_mapti(r, 7, 2, LPI + 2, 8192);    /* the table has no room for it */
	rig_mapd(r, 8192, RIG_ITT(1), 5);     /* likewise */
	rig_mapd(r, 1u << 16, RIG_ITT(1), 5); /* beyond GITS_TYPER */
	rig_mapd(r, 5, RIG_ITT(1), 17);	      /* likewise */
	rig_mapd(r, 4, 0x1000, 5);	      /* no memory there: no event can be mapped */
	rig_mapti(r, 4, 0, LPI + 2, 0);
	rig_mapc(r, 3, 3); /* no such CPU */
	rig_movi(r, 7, 1, 3);
	rig_movi(r, 7, 2, 0);
	rig_movall(r, 0, 3);
	rig_invall(r, 77);
	rig_event_command(r, DISCARD, 7, 2);
	rig_event_command(r, CLEAR, 7, 2);
	rig_event_command(r, INV, 7, 2);
	rig_event_command(r, INT, 7, 2);
	rig_event_command(r, 0xee, 7, 2);
	rig_event_command(r, 0x05, 0, 0); /* SYNC */
	rig_mapti(r, 7, 1, LPI + 5, 0);	  /* mapped already: nothing happens */
	EXPECT_EQ(its->nr_entries, 1);
	EXPECT_EQ(rig_msi(r, 7, 2), 0);
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	EXPECT_EQ(rig_take(r, 0), LPI + 1);
	/* A queue that is no memory is run through. */
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
	rig_write(r, RIG_ITS + GITS_CBASER, 8, TABLE_VALID | 0x1000000);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
	rig_write(r, RIG_ITS + GITS_CWRITER, 8, 0xfe0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CREADR, 8), 0xfe0);
	rig_write(r, RIG_ITS + GITS_CWRITER, 8, 0x1000);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CWRITER, 8), 0xfe0);
	rig_destroy(r);
}

TEST(a_collection_may_be_mapped_after_its_events)
{
	struct its *its;
	struct rig *r = mapped(&its);

	rig_mapti(r, 7, 4, LPI + 4, 9);
	EXPECT_EQ(rig_msi(r, 7, 4), 0);
	rig_mapc(r, 9, 2);
	EXPECT_EQ(rig_msi(r, 7, 4), 1);
	EXPECT_EQ(rig_take(r, 2), LPI + 4);
	rig_destroy(r);
}

TEST(commands_wait_for_the_its_to_be_on)
{
	struct its *its;
	struct rig *r = mapped(&its);
	u64 words[4] = {INT | 7ull << 32, 1};

	rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
	u64 at = rig_read(r, RIG_ITS + GITS_CWRITER, 8);
	memcpy(rig_ram(r, RIG_QUEUE + at), words, sizeof(words));
	rig_write(r, RIG_ITS + GITS_CWRITER, 8, at + 32);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CREADR, 8), at);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CTLR, 4), 0);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CREADR, 8), at + 32);
	EXPECT_EQ(rig_take(r, 0), LPI + 1);
	rig_destroy(r);
}

TEST(pending_lpis_come_from_the_table_when_a_cpu_turns_them_on)
{
	struct its *its;
	struct rig *r = mapped(&its);

	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	rig_write(r, RIG_REDIST, 4, 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_read(r, RIG_REDIST, 4), 6);
	*rig_ram(r, RIG_PEND(0) + (LPI + 1) / 8) = 2;
	/* PTZ: the guest says that it is all zeros; the bit does not read back. */
	rig_write(r, RIG_REDIST + 0x78, 8, RIG_PEND(0) | BIT(62));
	EXPECT_EQ(rig_read(r, RIG_REDIST + 0x78, 8), RIG_PEND(0) | 0x180);
	rig_write(r, RIG_REDIST, 4, 1);
	EXPECT_EQ(rig_take(r, 0), SPURIOUS);
	rig_write(r, RIG_REDIST, 4, 0);
	rig_write(r, RIG_REDIST + 0x78, 8, RIG_PEND(0));
	rig_write(r, RIG_REDIST, 4, 1);
	EXPECT_EQ(rig_take(r, 0), LPI + 1);
	/* An LPI that is mapped takes its bit and clears it. */
	*rig_ram(r, RIG_PEND(1) + (LPI + 9) / 8) = 6;
	rig_mapti(r, 7, 9, LPI + 9, 1);
	EXPECT_EQ(rig_take(r, 1), LPI + 9);
	EXPECT_EQ(*rig_ram(r, RIG_PEND(1) + (LPI + 9) / 8), 4);
	rig_destroy(r);
}

TEST(the_redistributor_invalidates_without_the_its)
{
	struct its *its;
	struct rig *r = mapped(&its);

	*rig_ram(r, RIG_PROP + 1) = 0;
	rig_write(r, RIG_REDIST + 0xa4, 4, LPI + 1);
	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_write(r, RIG_REDIST + 0xa0, 8, LPI + 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	*rig_ram(r, RIG_PROP + 1) = 0xa1;
	rig_write(r, rig_redist(1) + 0xb0, 8, 0); /* not that CPU's */
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	rig_write(r, RIG_REDIST + 0xb0, 8, 0);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_write(r, RIG_REDIST + 0xa0, 8, 77777);
	rig_write(r, RIG_REDIST + 0xa0, 8, LPI + 100);
	EXPECT_EQ(rig_read(r, RIG_REDIST + 0xc0, 4), 0);
	rig_destroy(r);
}

TEST(msi_routes_lead_through_the_its)
{
	struct its *its;
	struct rig *r = mapped(&its);
	struct kvm_irq_routing_entry e[2] = {
		{.gsi = 0, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = 8},
		{.gsi = 5,
		 .type = KVM_IRQ_ROUTING_MSI,
		 .flags = KVM_MSI_VALID_DEVID,
		 .u.msi = {.address_lo = (u32)RIG_ITS, .data = 1, .devid = 7}}};

	EXPECT_EQ(irq_set_routing(&r->vi, e, 2), 0);
	EXPECT_EQ(irq_set_gsi(&r->vi, 5, true), 1);
	EXPECT_EQ(irq_set_gsi(&r->vi, 5, false), 0);
	EXPECT_EQ(rig_take(r, 0), LPI + 1);
	EXPECT_EQ(irq_set_gsi(&r->vi, 4, true), -EINVAL);
	e[1].flags = 2;
	EXPECT_EQ(irq_set_routing(&r->vi, e, 2), -EINVAL);
	rig_destroy(r);
}

TEST(attributes_answer_as_kvm)
{
	struct its *its;
	struct rig *r = rig_create_gic(1, 64);
	u64 value;

	its = its_alloc(&r->vi);
	its_publish(its);
	EXPECT(irq_has_its(&r->vi));
	EXPECT_EQ(rig_its_get(r, its, ADDR, 4, &value), 0);
	EXPECT_EQ(value, ~0ull);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CTLR, 0), -ENXIO);
	EXPECT_EQ(rig_its_get(r, its, ADDR, 2, &value), -ENODEV);
	EXPECT_EQ(rig_its_set(r, its, ADDR, 2, 0), -ENODEV);
	EXPECT_EQ(irq_its_set_attr(its, ADDR, 4, (void *)8), -EFAULT);
	EXPECT_EQ(rig_its_set(r, its, ADDR, 4, 0x08081000), -EINVAL);
	EXPECT_EQ(rig_its_set(r, its, ADDR, 4, BIT(40)), -E2BIG);
	EXPECT_EQ(rig_its_set(r, its, ADDR, 4, BIT(40) - 0x10000), -E2BIG);
	EXPECT_EQ(rig_its_set(r, its, ADDR, 4, RIG_ITS), 0);
	EXPECT_EQ(rig_its_set(r, its, ADDR, 4, RIG_ITS), -EEXIST);
	EXPECT_EQ(irq_its_has_attr(ADDR, 4), 0);
	EXPECT_EQ(irq_its_has_attr(ADDR, 2), -ENXIO);
	EXPECT_EQ(irq_its_has_attr(CONTROL, 0), 0);
	EXPECT_EQ(irq_its_has_attr(CONTROL, 1), 0);
	EXPECT_EQ(irq_its_has_attr(CONTROL, 2), 0);
	EXPECT_EQ(irq_its_has_attr(CONTROL, 3), -ENXIO);
	EXPECT_EQ(irq_its_has_attr(CONTROL, 4), 0);
	EXPECT_EQ(irq_its_has_attr(REGS, GITS_IIDR), 0);
	EXPECT_EQ(irq_its_has_attr(REGS, 2), -EINVAL);
	EXPECT_EQ(irq_its_has_attr(REGS, GITS_TYPER + 4), -EINVAL);
	EXPECT_EQ(irq_its_has_attr(REGS, 0xffd4), 0);
	EXPECT_EQ(irq_its_has_attr(REGS, 0x40), -ENXIO);
	EXPECT_EQ(irq_its_has_attr(REGS, 0x10040), -ENXIO);
	EXPECT_EQ(irq_its_has_attr(3, 0), -ENXIO);
	EXPECT_EQ(rig_its_set(r, its, CONTROL, 3, 0), -ENXIO);
	EXPECT_EQ(rig_its_set(r, its, 3, 0, 0), -ENXIO);
	EXPECT_EQ(rig_its_get(r, its, CONTROL, 0, &value), -ENXIO);
	EXPECT_EQ(rig_its_get(r, its, REGS, 0x40, &value), -ENXIO);
	EXPECT_EQ(rig_its_get(r, its, REGS, 0xc, &value), -EINVAL);
	EXPECT_EQ(rig_its_get(r, its, REGS, GITS_TYPER, &value), 0);
	EXPECT_EQ(value, 0x1ef71);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_IIDR, 0x4b00043b), 0);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_IIDR, 0x1000), -EINVAL);
	mutex_lock(&r->v[0].mutex);
	EXPECT_EQ(irq_its_set_attr(its, CONTROL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	mutex_unlock(&r->v[0].mutex);
	/* CREADR: not while it is on, not beyond the queue. */
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CBASER, TABLE_VALID | RIG_QUEUE), 0);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CREADR, 0x1000), -EINVAL);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CREADR, 0xfe0), 0);
	EXPECT_EQ(rig_its_get(r, its, REGS, GITS_CREADR, &value), 0);
	EXPECT_EQ(value, 0xfe0);
	rig_its_boot(r);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CREADR, 0), -EBUSY);
	rig_destroy(r);
}

TEST(reset_forgets_all_but_where_it_is)
{
	struct its *its;
	struct rig *r = mapped(&its);
	u64 value;

	EXPECT_EQ(rig_msi(r, 7, 1), 1);
	EXPECT_EQ(rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_CTRL_RESET, 0), 0);
	EXPECT_EQ(rig_msi(r, 7, 1), -EBUSY);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CTLR, 4), BIT(31));
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_BASER0, 8) >> 63, 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CBASER, 8), 0);
	EXPECT_EQ(rig_read(r, RIG_ITS + GITS_CWRITER, 8), 0);
	EXPECT(list_empty(&its->devices) && list_empty(&its->collections));
	EXPECT_EQ(its->nr_entries, 0);
	EXPECT_EQ(rig_its_get(r, its, ADDR, 4, &value), 0);
	EXPECT_EQ(value, RIG_ITS);
	/* A second ITS is another device. */
	struct its *second = its_alloc(&r->vi);
	its_publish(second);
	EXPECT_EQ(rig_its_set(r, second, ADDR, 4, RIG_ITS - 0x40000), 0);
	EXPECT_EQ(its_find(&r->vi, RIG_ITS - 1), NULL);
	EXPECT_EQ(its_find(&r->vi, RIG_ITS - 0x40000 + 0x1ffff), second);
	EXPECT_EQ(its_find(&r->vi, RIG_ITS), its);
	rig_destroy(r);
}
