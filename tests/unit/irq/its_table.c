/* SPDX-License-Identifier: MIT */
/* The tables that SAVE_TABLES writes, byte for byte, and what RESTORE_TABLES makes of good and of bad ones. */
#include "its_rig.h"

#include "host/alloc.h"

#include "../../test.h"

#define CONTROL KVM_DEV_ARM_VGIC_GRP_CTRL
#define REGS	KVM_DEV_ARM_VGIC_GRP_ITS_REGS
#define LPI	8192

static int save(struct rig *r, struct its *its)
{
	return rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0);
}

static int restore(struct rig *r, struct its *its)
{
	return rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_RESTORE_TABLES, 0);
}

/* A guest with three devices and a few events. */
static struct rig *busy(struct its **its)
{
	struct rig *r = rig_create_its(2, its);

	rig_its_boot(r);
	rig_mapc(r, 5, 1);
	rig_mapc(r, 0, 0);
	rig_mapd(r, 9, RIG_ITT(9), 5);
	rig_mapd(r, 2, RIG_ITT(2), 3);
	rig_mapd(r, 3000, RIG_ITT(3), 1);
	rig_mapti(r, 9, 31, LPI + 31, 0);
	rig_mapti(r, 9, 4, LPI + 4, 5);
	rig_mapti(r, 2, 0, LPI + 100, 5);
	rig_mapti(r, 2, 1, LPI + 101, 77); /* a collection that nobody mapped */
	return r;
}

static u64 device_entry(u64 next, u64 itt, u32 bits)
{
	return TABLE_VALID | next << 49 | itt >> 8 << 5 | (bits - 1);
}

static u64 event_entry(u64 next, u64 lpi, u64 collection)
{
	return next << 48 | lpi << 16 | collection;
}

static u64 collection_entry(u64 cpu, u64 collection)
{
	return TABLE_VALID | cpu << 16 | collection;
}

TEST(saved_tables_have_kvm_s_format)
{
	struct its *its;
	struct rig *r = busy(&its);

	rig_set_ram64(r, RIG_COLTAB + 3 * 8, ~0ull);
	EXPECT_EQ(save(r, its), 0);
	EXPECT_EQ(rig_ram64(r, RIG_DEVTAB + 2 * 8), device_entry(7, RIG_ITT(2), 3));
	EXPECT_EQ(rig_ram64(r, RIG_DEVTAB + 9 * 8), device_entry(2991, RIG_ITT(9), 5));
	EXPECT_EQ(rig_ram64(r, RIG_DEVTAB + 3000 * 8), device_entry(0, RIG_ITT(3), 1));
	EXPECT_EQ(rig_ram64(r, RIG_ITT(9) + 4 * 8), event_entry(27, LPI + 4, 5));
	EXPECT_EQ(rig_ram64(r, RIG_ITT(9) + 31 * 8), event_entry(0, LPI + 31, 0));
	EXPECT_EQ(rig_ram64(r, RIG_ITT(2)), event_entry(1, LPI + 100, 5));
	EXPECT_EQ(rig_ram64(r, RIG_ITT(2) + 8), event_entry(0, LPI + 101, 77));
	EXPECT_EQ(rig_ram64(r, RIG_COLTAB), collection_entry(1, 5));
	EXPECT_EQ(rig_ram64(r, RIG_COLTAB + 8), collection_entry(0, 0));
	EXPECT_EQ(rig_ram64(r, RIG_COLTAB + 16), collection_entry(0xffffffff, 77));
	EXPECT_EQ(rig_ram64(r, RIG_COLTAB + 24), 0);
	/* Events whose collection is gone are saved as nothing. */
	rig_unmapc(r, 5);
	EXPECT_EQ(save(r, its), 0);
	EXPECT_EQ(rig_ram64(r, RIG_ITT(9) + 4 * 8), 0);
	EXPECT_EQ(rig_ram64(r, RIG_ITT(2)), 0);
	EXPECT_EQ(rig_ram64(r, RIG_COLTAB), collection_entry(0, 0));
	rig_destroy(r);
}

/* Copies memory and registers of one machine to a new one, in the order that the documentation gives. */
static struct rig *migrate(struct rig *from, struct its *its, struct its **to_its)
{
	static const u32 regs[] = {GITS_CBASER, GITS_BASER0, GITS_BASER1, GITS_CWRITER,
				   GITS_CREADR};
	struct rig *to = rig_create_its(2, to_its);
	u64 value;

	EXPECT_EQ(rig_set(from, CONTROL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), 0);
	EXPECT_EQ(save(from, its), 0);
	memcpy(to->guest, from->guest, sizeof(to->guest));
	for (u32 i = 0; i < 2; i++) {
		for (u32 off = 0x70; off < 0x80; off += 4) {
			u32 word;
			u64 attr = (u64)i << 32 | off;

			EXPECT_EQ(rig_get(from, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, attr, &word), 0);
			EXPECT_EQ(rig_set(to, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, attr, &word), 0);
		}
	}
	for (u32 i = 0; i < 2; i++) {
		u32 on = 1;

		EXPECT_EQ(rig_set(to, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, (u64)i << 32, &on), 0);
	}
	for (u32 i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		EXPECT_EQ(rig_its_get(from, its, REGS, regs[i], &value), 0);
		EXPECT_EQ(rig_its_set(to, *to_its, REGS, regs[i], value), 0);
	}
	EXPECT_EQ(restore(to, *to_its), 0);
	EXPECT_EQ(rig_its_get(from, its, REGS, GITS_CTLR, &value), 0);
	EXPECT_EQ(rig_its_set(to, *to_its, REGS, GITS_CTLR, value), 0);
	rig_enable_all(to);
	return to;
}

TEST(a_restored_its_goes_on_where_it_was)
{
	struct its *its, *its2;
	struct rig *r = busy(&its), *r2;

	EXPECT_EQ(rig_msi(r, 9, 4), 1);
	EXPECT_EQ(rig_msi(r, 9, 31), 1);
	EXPECT_EQ(rig_take(r, 0), LPI + 31);
	r2 = migrate(r, its, &its2);
	EXPECT_EQ(its2->nr_entries, its->nr_entries);
	/* What was pending is, once, and the table no longer says so. */
	EXPECT_EQ(rig_take(r2, 1), LPI + 4);
	EXPECT_EQ(rig_take(r2, 1), SPURIOUS);
	EXPECT_EQ(rig_take(r2, 0), SPURIOUS);
	EXPECT_EQ(*rig_ram(r2, RIG_PEND(1) + (LPI + 4) / 8), 0);
	EXPECT_EQ(rig_msi(r2, 2, 0), 1);
	EXPECT_EQ(rig_take(r2, 1), LPI + 100);
	EXPECT_EQ(rig_msi(r2, 2, 1), 0);
	EXPECT_EQ(rig_read(r2, RIG_ITS + GITS_CREADR, 8), rig_read(r, RIG_ITS + GITS_CREADR, 8));
	/* Both save the same bytes from here. */
	EXPECT_EQ(rig_take(r, 1), LPI + 4);
	EXPECT_EQ(rig_set(r, CONTROL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), 0);
	EXPECT_EQ(rig_set(r2, CONTROL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), 0);
	EXPECT_EQ(save(r2, its2), 0);
	EXPECT_EQ(memcmp(r->guest, r2->guest, sizeof(r->guest)), 0);
	/* Its queue works. */
	rig_mapti(r2, 9, 5, LPI + 5, 0);
	EXPECT_EQ(rig_msi(r2, 9, 5), 1);
	EXPECT_EQ(rig_take(r2, 0), LPI + 5);
	rig_destroy(r);
	rig_destroy(r2);
}

TEST(an_indirect_device_table_is_followed)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);

	rig_its_boot(r);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
	rig_write(r, RIG_ITS + GITS_BASER0, 8, TABLE_VALID | BIT(62) | RIG_DEVTAB);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
	rig_mapc(r, 0, 0);
	rig_mapd(r, 8192 * 2 + 5, RIG_ITT(0), 5); /* its page is not there yet */
	EXPECT(list_empty(&its->devices));
	rig_set_ram64(r, RIG_DEVTAB + 2 * 8, TABLE_VALID | RIG_L2);
	rig_mapd(r, 8192 * 2 + 5, RIG_ITT(0), 5);
	rig_mapti(r, 8192 * 2 + 5, 3, LPI, 0);
	rig_set_ram64(r, RIG_DEVTAB + 7 * 8, TABLE_VALID | (RIG_RAM + 0x180000));
	rig_mapd(r, 8192 * 7, RIG_ITT(1), 5);
	rig_mapti(r, 8192 * 7, 0, LPI + 1, 0);
	EXPECT_EQ(save(r, its), 0);
	/* The distance does not fit its field: one reads on from where it leads. */
	EXPECT_EQ(rig_ram64(r, RIG_L2 + 5 * 8), device_entry(0x3fff, RIG_ITT(0), 5));
	EXPECT_EQ(rig_ram64(r, RIG_RAM + 0x180000), device_entry(0, RIG_ITT(1), 5));
	its_reset(its);
	rig_its_boot(r);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
	rig_write(r, RIG_ITS + GITS_BASER0, 8, TABLE_VALID | BIT(62) | RIG_DEVTAB);
	EXPECT_EQ(restore(r, its), 0);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
	EXPECT_EQ(rig_msi(r, 8192 * 2 + 5, 3), 1);
	EXPECT_EQ(rig_take(r, 0), LPI);
	EXPECT_EQ(rig_msi(r, 8192 * 7, 0), 1);
	EXPECT_EQ(rig_take(r, 0), LPI + 1);
	rig_destroy(r);
}

TEST(tables_that_are_not_valid_are_left_alone)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);

	memset(r->guest, 0xff, sizeof(r->guest));
	EXPECT_EQ(save(r, its), 0);
	EXPECT_EQ(restore(r, its), 0);
	for (u32 i = 0; i < sizeof(r->guest); i++)
		if (r->guest[i] != 0xff)
			TEST_FAIL("byte %u was written", i);
	rig_destroy(r);
}

/* A saved machine whose tables are spoilt at one place: nothing of it may be restored, nor be left behind. */
static void expect_spoilt(u64 gpa, u64 entry, int error)
{
	struct its *its;
	struct rig *r = busy(&its);

	EXPECT_EQ(save(r, its), 0);
	its_reset(its);
	rig_its_boot(r);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
	rig_set_ram64(r, gpa, entry);
	EXPECT_EQ(restore(r, its), error);
	EXPECT(list_empty(&its->devices) && list_empty(&its->collections));
	EXPECT_EQ(its->nr_entries, 0);
	rig_destroy(r);
}

TEST(spoilt_tables_are_refused)
{
	/* collections: a CPU that is not there, one twice, an id beyond the table */
	expect_spoilt(RIG_COLTAB, collection_entry(2, 5), -EINVAL);
	expect_spoilt(RIG_COLTAB, collection_entry(0, 0), -EEXIST);
	expect_spoilt(RIG_COLTAB, collection_entry(0, 8192), -EINVAL);
	/* devices: too many events, a translation table that is no memory */
	expect_spoilt(RIG_DEVTAB + 2 * 8, device_entry(7, RIG_ITT(2), 17), -EINVAL);
	expect_spoilt(RIG_DEVTAB + 2 * 8, device_entry(7, 0x1000, 5), -EFAULT);
	/* events: no LPI, an LPI beyond all, no such collection, the next beyond the device's events */
	expect_spoilt(RIG_ITT(9) + 31 * 8, event_entry(0, 8191, 0), -EINVAL);
	expect_spoilt(RIG_ITT(9) + 31 * 8, event_entry(0, 65536, 0), -EINVAL);
	expect_spoilt(RIG_ITT(9) + 31 * 8, event_entry(0, LPI, 33), -EINVAL);
	expect_spoilt(RIG_ITT(9) + 4 * 8, event_entry(28, LPI, 0), -EINVAL);
}

/* All the devices there can be may have all the events there can be, on one piece of memory that says nothing. */
TEST(what_says_nothing_is_passed_over_in_pieces)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);

	rig_its_boot(r);
	rig_set_ram64(r, RIG_DEVTAB, device_entry(0, RIG_RAM + 0x100000, 16));
	a32_store(&r->nr_reads, 0);
	EXPECT_EQ(restore(r, its), 0);
	EXPECT(its_find_device(its, 0));
	EXPECT_CMP(a32_load(&r->nr_reads), <=, 0x10000 / 32);
	rig_destroy(r);
}

TEST(a_restore_without_memory_is_undone)
{
	struct its *its;
	struct rig *r = busy(&its);
	u32 nr = 0;
	int err;

	EXPECT_EQ(save(r, its), 0);
	do {
		its_reset(its);
		rig_its_boot(r);
		rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
		host_alloc_fail_at(++nr);
		err = restore(r, its);
		host_alloc_fail_at(0);
		if (err) {
			EXPECT_EQ(err, -ENOMEM);
			EXPECT(list_empty(&its->devices) && list_empty(&its->collections));
			EXPECT_EQ(its->nr_entries, 0);
		}
	} while (err && nr < 100);
	EXPECT(nr > 5 && nr < 100);
	EXPECT_EQ(its->nr_entries, 4);
	rig_destroy(r);
}
