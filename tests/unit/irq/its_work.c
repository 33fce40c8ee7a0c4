/* SPDX-License-Identifier: MIT */
/*
 * The most work that a guest can ask an ITS for, with as many translations as there are events and all LPIs: it is done in slices whose
 * size is bounded in units of work, goes on where it was, and looks to the guest as if it had been done at once.
 */
#include <errno.h>

#include "its_rig.h"

#include "../../test.h"

#define LPI	   8192
#define DEVICE	   7
#define EVENTS	   0x10000u
#define BIG_ITT	   (RIG_RAM + 0x100000) /* 512 KiB */
#define CONTROL	   KVM_DEV_ARM_VGIC_GRP_CTRL
#define REGS	   KVM_DEV_ARM_VGIC_GRP_ITS_REGS
#define FEWER	   (3 * ITS_SLICE + 100)
#define LAST_EVENT (EVENTS - 1)
#define TOO_MANY   1000 /* slices: it goes round in a circle */
#define SOME	   256	/* one command more than the limit, and a long chain of a hash table */

static u32 lpi_of(u32 event)
{
	return LPI + event % GIC_NR_LPI;
}

static u32 nr_events;

/*
 * Device 7 with nr events, all in collection 0; collections 0 to 2 are CPUs 0 to 2. With EVENTS each LPI is used. From tables, which is
 * quicker than commands.
 */
static struct rig *filled(struct its **its, u32 nr)
{
	struct rig *r = rig_create_its(3, its);

	nr_events = nr;
	rig_its_boot(r);
	rig_set_ram64(r, RIG_DEVTAB + 8 * DEVICE, TABLE_VALID | BIG_ITT >> 8 << 5 | 15);
	for (u32 i = 0; i < 3; i++)
		rig_set_ram64(r, RIG_COLTAB + 8 * i, TABLE_VALID | i << 16 | i);
	for (u32 i = 0; i < nr; i++)
		rig_set_ram64(r, BIG_ITT + 8 * i,
			      (i < nr - 1 ? 1ull << 48 : 0) | (u64)lpi_of(i) << 16);
	EXPECT_EQ(rig_its_set(r, *its, CONTROL, KVM_DEV_ARM_ITS_RESTORE_TABLES, 0), 0);
	EXPECT_EQ((*its)->nr_entries, nr);
	return r;
}

/* Puts a command into the queue, for queue_go. */
static void queue(struct rig *r, u64 *end, u64 w0, u64 w1, u64 w2, u64 w3)
{
	u64 words[] = {w0, w1, w2, w3};

	for (u32 i = 0; i < 4; i++)
		rig_set_ram64(r, RIG_QUEUE + *end + i * 8, words[i]);
	*end = (*end + sizeof(words)) % 0x10000;
}

static u64 creadr(struct rig *r, struct its *its)
{
	u64 value = ~0ull;

	EXPECT_EQ(rig_its_get(r, its, REGS, GITS_CREADR, &value), 0);
	return value;
}

static u32 last_slice(struct its *its) NO_THREAD_SAFETY_ANALYSIS
{
	return its->last_slice;
}

static bool wants_work(struct rig *r, u32 cpu)
{
	return a32_load(&r->v[cpu].requests) & VCPU_REQ_WORK;
}

/* The vCPU writes CWRITER and does the rest. The number of slices; each was bounded. */
static u32 queue_go(struct rig *r, struct its *its, u64 end)
{
	u32 slices = 1;

	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	EXPECT_CMP(last_slice(its), <=, ITS_SLICE + SOME);
	EXPECT_EQ(wants_work(r, 0), creadr(r, its) != end);
	for (; slices < TOO_MANY && a32_xchg(&r->v[0].requests, 0); slices++) {
		if (its_work(&r->vi, &r->v[0]))
			vcpu_request(&r->v[0], VCPU_REQ_WORK);
		EXPECT_CMP(last_slice(its), <=, ITS_SLICE + SOME);
		EXPECT_CMP(last_slice(its), >=, 1u);
	}
	EXPECT_EQ(creadr(r, its), end);
	return slices;
}

static u64 cwriter(struct rig *r)
{
	return rig_read(r, RIG_ITS + GITS_CWRITER, 8);
}

/* Events that tell where LPIs went: the first, the last, and some in the middle, of different slices. */
static const u32 samples[] = {0, 1, 8191, 8192, 8193, 20000, 40001, GIC_NR_LPI - 1};

static void expect_all_at(struct rig *r, u32 cpu)
{
	for (u32 i = 0; i < ARRAY_SIZE(samples) && samples[i] < nr_events; i++) {
		EXPECT_EQ(rig_msi(r, DEVICE, samples[i]), 1);
		EXPECT_EQ(rig_take(r, cpu), lpi_of(samples[i]));
	}
}

TEST(many_commands_are_done_in_slices)
{
	struct its *its;
	struct rig *r = filled(&its, EVENTS);
	u64 end = cwriter(r);
	u32 slices;

	for (u32 i = 0; i < 9; i++)
		queue(r, &end, 0x0e, 0, (u64)(i % 2) << 16, (u64)(1 - i % 2) << 16); /* MOVALL */
	slices = queue_go(r, its, end);
	EXPECT_CMP(slices, >=, 9 * GIC_NR_LPI / (ITS_SLICE + SOME));
	EXPECT_CMP(slices, <=, 9 * GIC_NR_LPI / ITS_SLICE + 10);
	expect_all_at(r, 1);
	/* Short ones count as well. */
	for (u32 i = 0; i < 300; i++)
		queue(r, &end, 0x0c | (u64)DEVICE << 32, i, 0, 0); /* INV */
	EXPECT_CMP(queue_go(r, its, end), >=, 2);
	rig_destroy(r);
}

TEST(a_command_that_visits_all_is_done_in_slices)
{
	struct its *its;
	struct rig *r = filled(&its, EVENTS);
	u64 end = cwriter(r);

	/* MOVALL from CPU 0 to 2 */
	queue(r, &end, 0x0e, 0, 0, 2ull << 16);
	EXPECT_CMP(queue_go(r, its, end), >=, GIC_NR_LPI / ITS_SLICE);
	expect_all_at(r, 2);
	/* MAPC: collection 0 is CPU 1 now */
	queue(r, &end, 0x09, 0, TABLE_VALID | 1 << 16, 0);
	EXPECT_CMP(queue_go(r, its, end), >=, EVENTS / ITS_SLICE);
	expect_all_at(r, 1);
	EXPECT_EQ(its_find_collection(its, 0)->nr_entries, EVENTS);
	/* INVALL: none is enabled now; and then all are */
	for (int on = 0; on < 2; on++) {
		memset(rig_ram(r, RIG_PROP), 0xa0 | on, 0x10000 - 8192);
		queue(r, &end, 0x0d, 0, 0, 0);
		EXPECT_CMP(queue_go(r, its, end), >=, GIC_NR_LPI / ITS_SLICE);
		for (u32 i = 0; i < ARRAY_SIZE(samples); i++) {
			EXPECT_EQ(rig_msi(r, DEVICE, samples[i]), 1);
			EXPECT_EQ(rig_pin(r, 1, PIN_IRQ), on);
			if (on)
				rig_take(r, 1);
			else
				rig_event_command(r, 0x04, DEVICE, samples[i]); /* CLEAR */
		}
		end = cwriter(r);
	}
	/* MAPC, not valid: nothing leads anywhere */
	queue(r, &end, 0x09, 0, 0, 0);
	EXPECT_CMP(queue_go(r, its, end), >=, EVENTS / ITS_SLICE);
	EXPECT_EQ(its_find_collection(its, 0), NULL);
	EXPECT_EQ(rig_msi(r, DEVICE, LAST_EVENT), 0);
	EXPECT_EQ(its_find_entry(its, DEVICE, LAST_EVENT)->collection, NULL);
	/* MAPD, valid: the device starts anew */
	queue(r, &end, 0x08 | (u64)DEVICE << 32, 4, TABLE_VALID | RIG_ITT(0), 0);
	EXPECT_CMP(queue_go(r, its, end), >=, EVENTS / ITS_SLICE);
	EXPECT_EQ(its->nr_entries, 0u);
	EXPECT_EQ(its_find_device(its, DEVICE)->event_bits, 5u);
	rig_destroy(r);
}

TEST(who_looks_at_the_queue_waits_for_it_and_takes_part)
{
	struct its *its;
	struct rig *r = filled(&its, FEWER);
	u64 begin = cwriter(r), end = begin, value;
	static const u32 registers[] = {GITS_CREADR, GITS_CWRITER, GITS_CBASER, GITS_CTLR};
	int turns = 0;

	for (u32 i = 0; i < 3; i++)
		queue(r, &end, 0x0e, 0, (u64)(i % 2) << 16, (u64)(1 - i % 2) << 16); /* MOVALL */
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	/* User space sees where it is. */
	EXPECT_EQ(creadr(r, its), begin);
	EXPECT_EQ(rig_its_get(r, its, REGS, GITS_CTLR, &value), 0);
	EXPECT_EQ(value, 1);
	/* The vCPU that asked is stopped; another polls, or would change something. */
	a32_store(&r->v[0].requests, 0);
	for (u32 i = 0; i < ARRAY_SIZE(registers); i++) {
		EXPECT_EQ(irq_mmio_read(&r->vi, &r->v[1], RIG_ITS + registers[i], 4, &value),
			  -EAGAIN);
		EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[1], RIG_ITS + registers[i], 4, 0), -EAGAIN);
	}
	EXPECT_EQ(irq_mmio_read(&r->vi, &r->v[1], RIG_ITS + GITS_TYPER, 8, &value), 0);
	EXPECT_EQ(irq_mmio_read(&r->vi, &r->v[1], RIG_ITS + GITS_BASER0, 8, &value), 0);
	while (irq_mmio_read(&r->vi, &r->v[1], RIG_ITS + GITS_CREADR, 8, &value)) {
		EXPECT(wants_work(r, 1));
		its_work(&r->vi, &r->v[1]);
		EXPECT_CMP(++turns, <=, 3 * GIC_NR_LPI / ITS_SLICE + 4);
	}
	EXPECT_EQ(value, end);
	expect_all_at(r, 1);
	/* What user space asked for is done by the vCPU that runs first. */
	queue(r, &end, 0x0e, 0, 1 << 16, 2 << 16);
	for (u32 i = 0; i < 3; i++)
		a32_store(&r->v[i].requests, 0);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CWRITER, end), 0);
	EXPECT_NE(creadr(r, its), end);
	for (u32 i = 0; i < 3; i++)
		EXPECT(wants_work(r, i));
	while (its_work(&r->vi, &r->v[2]))
		;
	EXPECT_EQ(creadr(r, its), end);
	expect_all_at(r, 2);
	rig_destroy(r);
}

/* Another command stands where the ITS was, when it goes on: it is the one that is done, from its beginning. */
TEST(an_its_that_was_off_begins_a_command_anew)
{
	struct its *its;
	struct rig *r = filled(&its, FEWER);
	u64 begin = cwriter(r), end = begin, again = begin;

	queue(r, &end, 0x09, 0, TABLE_VALID | 1 << 16, 0); /* MAPC: collection 0 to CPU 1 */
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	EXPECT_EQ(creadr(r, its), begin);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CTLR, 0), 0);
	EXPECT(!its_work(&r->vi, &r->v[0]));
	queue(r, &again, 0x0e, 0, 1 << 16, 2 << 16); /* MOVALL: CPU 1 to 2 */
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CTLR, 1), 0);
	while (its_work(&r->vi, &r->v[0]))
		;
	EXPECT_EQ(creadr(r, its), end);
	/* What the MAPC had moved went on to CPU 2, the rest is where it was. */
	EXPECT_EQ(rig_msi(r, DEVICE, 0), 1);
	EXPECT_EQ(rig_take(r, 2), LPI);
	EXPECT_EQ(rig_msi(r, DEVICE, FEWER - 1), 1);
	EXPECT_EQ(rig_take(r, 0), lpi_of(FEWER - 1));
	/* In the middle of one, all is reset. */
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CTLR, 0), 0);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CTLR, 1), 0);
	queue(r, &end, 0x08 | (u64)DEVICE << 32, 0, 0, 0); /* MAPD, not valid */
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	EXPECT_CMP(its->nr_entries, >=, 1u);
	EXPECT_EQ(rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_CTRL_RESET, 0), 0);
	EXPECT_EQ(its->nr_entries, 0u);
	EXPECT(!its_work(&r->vi, &r->v[0]));
	rig_its_boot(r);
	rig_mapc(r, 2, 2);
	rig_destroy(r);
}

/* As does one whose queue user space emptied. */
TEST(a_command_that_is_taken_back_is_not_gone_on_with)
{
	struct its *its;
	struct rig *r = filled(&its, FEWER);
	u64 begin = cwriter(r), end = begin, again = begin;

	queue(r, &end, 0x09, 0, TABLE_VALID | 1 << 16, 0); /* MAPC: collection 0 to CPU 1 */
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	EXPECT_EQ(creadr(r, its), begin);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CWRITER, begin), 0);
	EXPECT(!its_work(&r->vi, &r->v[0]));
	queue(r, &again, 0x0e, 0, 1 << 16, 2 << 16); /* MOVALL: CPU 1 to 2 */
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CWRITER, again), 0);
	while (its_work(&r->vi, &r->v[0]))
		;
	EXPECT_EQ(creadr(r, its), again);
	EXPECT_EQ(rig_msi(r, DEVICE, 0), 1);
	EXPECT_EQ(rig_take(r, 2), LPI);
	EXPECT_EQ(rig_msi(r, DEVICE, FEWER - 1), 1);
	EXPECT_EQ(rig_take(r, 0), lpi_of(FEWER - 1));
	rig_destroy(r);
}

TEST(a_queue_is_saved_where_it_is_and_goes_on_where_it_is_restored)
{
	static const u32 regs[] = {GITS_CBASER, GITS_CREADR, GITS_CWRITER, GITS_BASER0,
				   GITS_BASER1};
	struct its *from_its, *to_its;
	struct rig *from = filled(&from_its, FEWER), *to = rig_create_its(3, &to_its);
	u64 begin = cwriter(from), end = begin, value;

	queue(from, &end, 0x09, 0, TABLE_VALID | 2 << 16, 0); /* MAPC: collection 0 to CPU 2 */
	queue(from, &end, 0x08 | (u64)DEVICE << 32, 0, 0, 0); /* MAPD, not valid */
	queue(from, &end, 0x08 | 9ull << 32, 4, TABLE_VALID | RIG_ITT(1), 0); /* MAPD of another */
	queue(from, &end, 0x0a | 9ull << 32, 3 | (u64)(LPI + 5) << 32, 0, 0); /* MAPTI */
	EXPECT_EQ(irq_mmio_write(&from->vi, &from->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	for (u32 i = 0; i < 4; i++)
		its_work(&from->vi, &from->v[0]);
	/* In the middle of the second. */
	EXPECT_EQ(creadr(from, from_its), begin + ITS_COMMAND_SIZE);
	EXPECT_EQ(rig_its_set(from, from_its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0), 0);
	EXPECT_EQ(creadr(from, from_its), begin + ITS_COMMAND_SIZE);
	memcpy(to->guest, from->guest, RIG_RAM_SIZE);
	rig_write(to, rig_redist(0) + 0x70, 8, RIG_PROP | 15);
	for (u32 i = 0; i < 3; i++) {
		rig_write(to, rig_redist(i) + 0x78, 8, RIG_PEND(i));
		rig_write(to, rig_redist(i), 4, 1);
	}
	rig_enable_all(to);
	for (u32 i = 0; i < ARRAY_SIZE(regs); i++) {
		EXPECT_EQ(rig_its_get(from, from_its, REGS, regs[i], &value), 0);
		EXPECT_EQ(rig_its_set(to, to_its, REGS, regs[i], value), 0);
	}
	EXPECT_EQ(rig_its_set(to, to_its, CONTROL, KVM_DEV_ARM_ITS_RESTORE_TABLES, 0), 0);
	EXPECT_EQ(rig_its_set(to, to_its, REGS, GITS_CTLR, 1), 0);
	while (its_work(&to->vi, &to->v[1]))
		;
	while (its_work(&from->vi, &from->v[0]))
		;
	for (int i = 0; i < 2; i++) {
		struct rig *r = i ? to : from;
		struct its *its = i ? to_its : from_its;

		EXPECT_EQ(creadr(r, its), end);
		EXPECT_EQ(its->nr_entries, 1u);
		EXPECT_EQ(rig_msi(r, DEVICE, 1), 0);
		EXPECT_EQ(rig_msi(r, 9, 3), 1);
		EXPECT_EQ(rig_take(r, 2), LPI + 5);
	}
	rig_destroy(from);
	rig_destroy(to);
}

/* What a save before wrote of the events that are gone by now is not restored. */
TEST(a_device_that_is_being_freed_is_saved_without_what_is_gone)
{
	struct its *its;
	struct rig *r = filled(&its, FEWER);
	u64 end = cwriter(r);
	u32 left, first;

	EXPECT_EQ(rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0), 0);
	EXPECT_NE(rig_ram64(r, BIG_ITT), 0);
	queue(r, &end, 0x08 | (u64)DEVICE << 32, 0, 0, 0); /* MAPD, not valid */
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	left = its->nr_entries;
	first = FEWER - left;
	EXPECT_CMP(left, <, FEWER);
	EXPECT_CMP(left, >, 0u);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_CTLR, 0), 0);
	EXPECT_EQ(rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0), 0);
	EXPECT_EQ(rig_ram64(r, BIG_ITT), 0);
	EXPECT_EQ(rig_ram64(r, BIG_ITT + 8 * (first - 1)), 0);
	EXPECT_EQ(rig_ram64(r, BIG_ITT + 8 * first), 1ull << 48 | (u64)lpi_of(first) << 16);
	EXPECT_EQ(rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_CTRL_RESET, 0), 0);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_BASER0, TABLE_VALID | RIG_DEVTAB), 0);
	EXPECT_EQ(rig_its_set(r, its, REGS, GITS_BASER1, TABLE_VALID | RIG_COLTAB), 0);
	EXPECT_EQ(rig_its_set(r, its, CONTROL, KVM_DEV_ARM_ITS_RESTORE_TABLES, 0), 0);
	EXPECT_EQ(its->nr_entries, left);
	EXPECT_EQ(its_find_entry(its, DEVICE, first - 1), NULL);
	EXPECT_NE(its_find_entry(its, DEVICE, first), NULL);
	rig_destroy(r);
}

TEST(a_table_that_is_given_up_is_given_up_in_slices)
{
	struct its *its;
	u64 value;

	for (u32 table = 0; table < 2; table++) {
		struct rig *r = filled(&its, FEWER);
		u32 turns = 1;

		rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
		while (irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_BASER0 + 8 * table, 8, 0) ==
		       -EAGAIN) {
			EXPECT_EQ(irq_mmio_read(&r->vi, &r->v[0], RIG_ITS + GITS_BASER0 + 8 * table,
						8, &value),
				  0);
			EXPECT(value & TABLE_VALID);
			turns++;
		}
		EXPECT_CMP(turns, >=, FEWER / ITS_SLICE);
		EXPECT_CMP(turns, <=, FEWER / ITS_SLICE + 2);
		EXPECT(!(rig_read(r, RIG_ITS + GITS_BASER0 + 8 * table, 8) & TABLE_VALID));
		EXPECT(list_empty(table ? &its->collections : &its->devices));
		EXPECT_EQ(its->nr_entries, table ? FEWER : 0u);
		rig_destroy(r);
	}
}

/* A new device takes its place among the others: to look for it is work that is bounded and counted, however many there were. */
TEST(a_search_for_the_next_device_is_work)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);

	rig_its_boot(r);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 0);
	rig_write(r, RIG_ITS + GITS_BASER0, 8, RIG_DEVTAB | TABLE_VALID | GITS_BASER_INDIRECT);
	/* All pages of the second level are one, whose memory does not matter here. */
	for (u32 i = 0; i < 8; i++)
		rig_set_ram64(r, RIG_DEVTAB + 8 * i, TABLE_VALID | RIG_L2);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
	for (u32 id = 0; id < 0x10000; id += ITS_MAP_PAGE) {
		rig_mapd(r, id, RIG_ITT(0), 5);
		rig_unmapd(r, id);
	}
	EXPECT(list_empty(&its->devices));
	/* Pages without a device. */
	rig_mapd(r, 0xffff, RIG_ITT(0), 5);
	EXPECT_CMP(last_slice(its), >=, 16u);
	EXPECT_CMP(last_slice(its), <=, 16u + 2);
	/* A page whose only device is a higher one. */
	rig_mapd(r, 0xfffe, RIG_ITT(0), 5);
	EXPECT_CMP(last_slice(its), >=, 31u);
	EXPECT_CMP(last_slice(its), <=, 31u + 2);
	rig_unmapd(r, 0xfffe);
	rig_unmapd(r, 0xffff);
	rig_mapd(r, 0x102, RIG_ITT(0), 5);
	rig_mapd(r, 0x101, RIG_ITT(0), 5);
	EXPECT_EQ(list_first(&its->devices, struct its_device, link)->id, 0x101u);
	rig_destroy(r);
}

TEST(commands_rest_while_the_dirty_ring_is_full)
{
	struct its *its;
	struct rig *r = rig_create_its(1, &its);
	u64 begin, end;

	rig_its_boot(r);
	begin = end = cwriter(r);
	for (u32 i = 0; i < 3; i++)
		queue(r, &end, 0x08 | (u64)i << 32, 0, 0,
		      0); /* MAPD, not valid: writes the table */
	r->v[0].mem.ring.full = true;
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[0], RIG_ITS + GITS_CWRITER, 8, end), 0);
	EXPECT_EQ(creadr(r, its), begin + ITS_COMMAND_SIZE);
	EXPECT(wants_work(r, 0));
	r->v[0].mem.ring.full = false;
	EXPECT(!its_work(&r->vi, &r->v[0]));
	EXPECT_EQ(creadr(r, its), end);
	rig_destroy(r);
}
