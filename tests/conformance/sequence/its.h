/* SPDX-License-Identifier: MIT */
/* Message-signalled interrupts: an ITS with its tables and commands in the guest's memory, saved and restored. */
#ifndef ANYKVM_TESTS_SEQUENCE_ITS_H
#define ANYKVM_TESTS_SEQUENCE_ITS_H

#include "irq.h"
#include "machine.h"

#define ITS_TABLES   0x180000ull /* of devices, behind them of collections; offsets in RAM */
#define ITS_QUEUE    0x1a0000ull
#define ITS_ITTS     0x1a8000ull /* a page a device */
#define LPI_TABLE    0x1c0000ull
#define PENDING	     0x1d0000ull /* 64 KiB a vCPU */
#define ITS_DEVICES  4
#define FIRST_LPI    8192
#define GITS_CTLR    0x0
#define GITS_CBASER  0x80
#define GITS_CWRITER 0x88
#define GITS_CREADR  0x90
#define GITS_BASER   0x100

static int its_access(struct vm *vm, bool set, uint64_t offset, uint64_t *value)
{
	struct kvm_device_attr a = {
		.group = KVM_DEV_ARM_VGIC_GRP_ITS_REGS, .attr = offset, .addr = (uintptr_t)value};

	return ioctl(vm->dev[1].fd, set ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &a);
}

static void set_its(struct vm *vm, uint64_t offset, uint64_t value)
{
	say("ITS register %llx %llx", (unsigned long long)offset, (unsigned long long)value);
	say_answer(its_access(vm, true, offset, &value));
	end_line();
}

static void set_redist(struct vm *vm, unsigned cpu, uint64_t offset, uint64_t value)
{
	say("redistributor");
	ask_attribute(vm->dev[0].fd, 1, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
		      (uint64_t)cpu << 32 | offset, value);
}

static void put_command(uint64_t at, const uint64_t command[4])
{
	memcpy(arena + ITS_QUEUE + at, command, 4 * sizeof(command[0]));
}

/* All devices, each with 32 events, and a collection a vCPU. */
static void map_devices(struct vm *vm)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < ITS_DEVICES; i++, at += 32)
		put_command(at, (uint64_t[4]){0x8 | (uint64_t)i << 32, 4,
					      1ull << 63 | (RAM + ITS_ITTS + i * PAGE)});
	for (unsigned i = 0; i < 2; i++, at += 32)
		put_command(at, (uint64_t[4]){0x9, 0, 1ull << 63 | i << 16 | i});
	set_its(vm, GITS_CWRITER, at);
}

/* Tables, queue, LPIs on: what a guest's driver does. */
static void start_its(struct vm *vm)
{
	set_its(vm, GITS_BASER, 1ull << 63 | (RAM + ITS_TABLES));
	set_its(vm, GITS_BASER + 8, 1ull << 63 | (RAM + ITS_TABLES + 0x10000));
	set_its(vm, GITS_CBASER, 1ull << 63 | (RAM + ITS_QUEUE));
	set_its(vm, GITS_CTLR, 1);
	memset(arena + LPI_TABLE, 0xa1, 256);
	for (unsigned i = 0; i < 2; i++) {
		set_redist(vm, i, 0x70, (RAM + LPI_TABLE) | 15);
		set_redist(vm, i, 0x78, (RAM + PENDING + i * 0x10000) & 0xffffffff);
		set_redist(vm, i, 0, 1);
	}
	map_devices(vm);
}

/* Some commands at the end of the queue, and the queue let go to there. */
static void step_its_commands(struct target *t)
{
	/* MOVI, INT, CLEAR, SYNC, MAPD, MAPC, MAPTI, MAPI, INV, INVALL, MOVALL, DISCARD */
	static const uint8_t numbers[] = {0x1, 0x3, 0x3, 0x4, 0x5, 0x8, 0xa, 0xa, 0x9,
					  0xa, 0xa, 0xa, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf};
	struct vm *vm = t->vm;
	unsigned nr = 1 + below(4);
	uint64_t at = 0;

	say("ITS commands");
	its_access(vm, false, GITS_CWRITER, &at);
	at &= 0xfe0;
	for (unsigned i = 0; i < nr; i++) {
		uint64_t command[4] = {0};
		unsigned number = one_in(24) ? below(256) : PICK(numbers);
		uint64_t device = one_in(12) ? below(65536) : below(ITS_DEVICES);
		uint64_t event = one_in(12) ? below(64) : below(6);
		uint64_t collection = one_in(12) ? below(20) : below(3);
		uint64_t target = one_in(12) ? below(8) : below(2);
		uint64_t valid = one_in(6) ? 0 : 1ull << 63;

		command[0] = number | device << 32;
		command[1] = number == 0x8 ? below(6) : event;
		command[2] = collection;
		if (number == 0x8)
			command[2] = valid | (RAM + ITS_ITTS + (device % ITS_DEVICES) * PAGE);
		if (number == 0x9)
			command[2] = valid | target << 16 | collection;
		if (number == 0xa)
			command[1] |= (FIRST_LPI + device % ITS_DEVICES * 8 + event) << 32;
		if (number == 0xb)
			command[1] = event | (FIRST_LPI + event) << 32;
		if (number == 0xe) {
			command[2] = target << 16;
			command[3] = (1 - target) << 16;
		}
		say(" %x:%llx.%llx.%llx", number, (unsigned long long)device,
		    (unsigned long long)command[1], (unsigned long long)command[2]);
		put_command(at, command);
		at = (at + 32) & 0xfe0;
	}
	say_answer(its_access(vm, true, GITS_CWRITER, &at));
	its_access(vm, false, GITS_CREADR, &at);
	say_hex("done", at);
	end_line();
}

static void step_its_register(struct target *t)
{
	static const unsigned regs[] = {0x0,  0x4,   0x8,   0x80,  0x88,
					0x90, 0x100, 0x108, 0x110, 0xffe8};
	uint64_t attr = PICK(regs);
	unsigned what = one_in(4);
	uint64_t value = draw_its_value();

	/* Where the tables are is not changed often: all mappings go with them. */
	say("ITS");
	ask_attribute(t->vm->dev[1].fd, what || one_in(3) ? 2 : 1, KVM_DEV_ARM_VGIC_GRP_ITS_REGS,
		      attr, value);
}

static void say_tables(void)
{
	say_hex("devices", hash_of(arena + ITS_TABLES, 0x10000));
	say_hex("collections", hash_of(arena + ITS_TABLES + 0x10000, 0x10000));
	say_hex("events", hash_of(arena + ITS_ITTS, ITS_DEVICES * PAGE));
}

static void step_its_control(struct target *t)
{
	static const unsigned controls[] = {1, 1, 4, 0};
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL};

	a.attr = PICK(controls);
	say("ITS control %llu", (unsigned long long)a.attr);
	say_answer(ioctl(t->vm->dev[1].fd, KVM_SET_DEVICE_ATTR, &a));
	say_tables();
	end_line();
}

/* Saved, reset and restored, as a VMM that goes to another host does. */
static void step_its_migrate(struct target *t)
{
	static const uint64_t regs[] = {GITS_CBASER, GITS_CREADR, GITS_CWRITER, GITS_BASER,
					GITS_BASER + 8};
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL,
				    .attr = KVM_DEV_ARM_ITS_SAVE_TABLES};
	uint64_t saved[5] = {0}, ctlr = 0;

	say("ITS save");
	say_answer(ioctl(t->vm->dev[1].fd, KVM_SET_DEVICE_ATTR, &a));
	say_tables();
	end_line();
	its_access(t->vm, false, GITS_CTLR, &ctlr);
	for (unsigned i = 0; i < 5; i++)
		its_access(t->vm, false, regs[i], &saved[i]);
	a.attr = KVM_DEV_ARM_ITS_CTRL_RESET;
	say("ITS reset");
	say_answer(ioctl(t->vm->dev[1].fd, KVM_SET_DEVICE_ATTR, &a));
	end_line();
	for (unsigned i = 0; i < 5; i++)
		set_its(t->vm, regs[i], saved[i]);
	a.attr = KVM_DEV_ARM_ITS_RESTORE_TABLES;
	say("ITS restore");
	say_answer(ioctl(t->vm->dev[1].fd, KVM_SET_DEVICE_ATTR, &a));
	end_line();
	set_its(t->vm, GITS_CTLR, ctlr);
}

static void step_pending(struct target *t)
{
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL,
				    .attr = KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES};

	say("save pending tables");
	say_answer(ioctl(t->vm->dev[0].fd, KVM_SET_DEVICE_ATTR, &a));
	say_hex("first", hash_of(arena + PENDING, 0x10000));
	say_hex("second", hash_of(arena + PENDING + 0x10000, 0x10000));
	end_line();
}

static void step_its_msi(struct target *t)
{
	struct kvm_msi m = {.address_lo = GIC_ITS + 0x10040, .flags = KVM_MSI_VALID_DEVID};

	m.devid = below(ITS_DEVICES);
	m.data = below(6);
	t->vm->signalled = true;
	say("SIGNAL_MSI dev %u event %u", m.devid, m.data);
	say_answer(ioctl(t->vm->fd, KVM_SIGNAL_MSI, &m));
	end_line();
}

static void step_lpis(struct target *t)
{
	static const unsigned offsets[] = {0x0, 0x0, 0x10, 0x14, 0x70, 0x74, 0x78, 0x7c, 0x8, 0xc};
	unsigned cpu = below(2);
	unsigned offset = PICK(offsets);
	unsigned what = 1 + one_in(2);
	uint64_t value = below(2);

	if (offset == 0x70)
		value = (RAM + LPI_TABLE) | 15;
	else if (offset >= 0x78)
		value = offset == 0x78 ? (RAM + PENDING + cpu * 0x10000) | one_in(2) << 30 : 0;
	say("redistributor");
	ask_attribute(t->vm->dev[0].fd, what, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
		      (uint64_t)cpu << 32 | offset, value);
}

/* What the guest makes of its interrupts' properties; an ITS command tells the controller. */
static void step_properties(struct target *t)
{
	unsigned lpi = below(32), value = below(256);

	(void)t;
	arena[LPI_TABLE + lpi] = value;
	say("property %u %x", lpi, value);
	end_line();
}

#endif
