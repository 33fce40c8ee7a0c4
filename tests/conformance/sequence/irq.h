/* SPDX-License-Identifier: MIT */
/* Interrupt controllers, interrupt lines and their routes, and what is signalled by eventfds. */
#ifndef ANYKVM_TESTS_SEQUENCE_IRQ_H
#define ANYKVM_TESTS_SEQUENCE_IRQ_H

#include "machine.h"
#include "vcpu.h"

/* --- devices ------------------------------------------------------------------------------------------------------------- */

static void create_device(struct vm *vm, unsigned n, unsigned type, unsigned flags)
{
	struct kvm_create_device c = {.type = type, .flags = flags, .fd = -1};
	int r;

	say_vm("CREATE_DEVICE", vm);
	say(" as %u type %u flags %x", n, type, flags);
	r = ioctl(vm->fd, KVM_CREATE_DEVICE, argument(&c));
	say_answer(r);
	end_line();
	if (r || c.flags & KVM_CREATE_DEVICE_TEST || (int)c.fd < 0)
		return;
	close_fd(&vm->dev[n].fd);
	vm->dev[n] = (struct device){c.fd, type};
}

static unsigned gic_type(void)
{
	return gic_v2 ? KVM_DEV_TYPE_ARM_VGIC_V2 : KVM_DEV_TYPE_ARM_VGIC_V3;
}

static void step_create_device(struct target *t)
{
	static const unsigned odd[] = {0, 1, 2, 3, 6, 9, 11, 100};
	struct vm *vm = t->vm;
	unsigned n = below(NR_DEVS);
	unsigned type = one_in(8) ? PICK(odd) : one_in(2) ? gic_type() : KVM_DEV_TYPE_ARM_VGIC_ITS;
	unsigned flags = one_in(6) ? below(4) : 0;

	/* Hosts with a GICv2 have none. */
	if (gic_v2 && type == KVM_DEV_TYPE_ARM_VGIC_ITS)
		type = KVM_DEV_TYPE_ARM_VGIC_V2;
	create_device(vm, n, type, flags);
}

static void step_create_irqchip(struct target *t)
{
	struct vm *vm = t->vm;

	if (!gic_v2 && !one_in(8))
		return;
	if (!gic_v2) /* the host's controller decides */
		return;
	say_vm("CREATE_IRQCHIP", vm);
	say_answer(ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	end_line();
}

static void step_device_addr(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_arm_device_addr a;

	a.id = one_in(8) ? draw_word() : below(6);
	a.addr = one_in(8) ? draw_word() : GIC_DIST + below(16) * 0x1000;
	say_vm("ARM_SET_DEVICE_ADDR", vm);
	say_hex("id", a.id);
	say_hex("addr", a.addr);
	say_answer(ioctl(vm->fd, KVM_ARM_SET_DEVICE_ADDR, argument(&a)));
	end_line();
}

/* --- attributes ---------------------------------------------------------------------------------------------------------- */

static uint64_t gic_addr_attr(uint64_t *value)
{
	uint64_t attr = one_in(12) ? below(8) : gic_v2 ? below(2) : 2 + below(4);

	*value = GIC_DIST + below(64) * 0x10000ull;
	if (attr == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION) {
		uint64_t count = one_in(8) ? below(256) : below(3);

		*value |= count << 52;
		*value |= one_in(2) ? below(3) : 0;
		if (one_in(8))
			*value |= 1ull << (12 + below(4));
	}
	if (one_in(10))
		*value = draw_word();
	return attr;
}

/* The GIC register that is named by an offset, and the vCPU it is of. */
static uint64_t gic_reg_attr(unsigned group)
{
	static const unsigned dist[] = {
		0x0,	0x4,	0x8,   0x10,   0x40,   0x48,   0x80,   0x84,  0x88,  0x100, 0x104,
		0x180,	0x184,	0x200, 0x204,  0x280,  0x284,  0x300,  0x304, 0x380, 0x400, 0x404,
		0x420,	0x800,	0x820, 0xc00,  0xc04,  0xc08,  0xd00,  0xe00, 0xf00, 0xf10, 0xf20,
		0xffd0, 0xffe8, 0xfe8, 0x6000, 0x6004, 0x6100, 0x7fd8, 0xfffc};
	static const unsigned redist[] = {0x0,	   0x4,	    0x8,     0xc,     0x10,    0x14,
					  0x40,	   0x70,    0x74,    0x78,    0x7c,    0xa0,
					  0xb0,	   0xc0,    0xffe8,  0x10080, 0x10100, 0x10180,
					  0x10200, 0x10280, 0x10300, 0x10380, 0x10400, 0x10404,
					  0x1041c, 0x10c00, 0x10c04, 0x10d00, 0x10e00, 0x20000};
	/* ICC_PMR, ICC_BPR0, ICC_AP0Rn, ICC_AP1Rn, ICC_BPR1, ICC_CTLR, ICC_SRE, ICC_IGRPEN0, ICC_IGRPEN1, ICC_IAR1, ICC_SGI1R */
	static const unsigned cpu[] = {0xc230, 0xc644, 0xc645, 0xc647, 0xc648, 0xc649, 0xc64b,
				       0xc664, 0xc665, 0xc666, 0xc667, 0xc660, 0xc65d, 0xc668};
	static const unsigned cpu_v2[] = {0x0,	0x4,  0x8,  0xc,  0x10, 0x14,  0x18,
					  0x1c, 0x28, 0xd0, 0xd4, 0xfc, 0x1000};
	uint64_t who = one_in(16) ? below(256) : below(NR_CPUS);
	uint64_t offset = 0;

	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
		offset = PICK(dist);
		break;
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS:
		offset = PICK(cpu_v2);
		break;
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
		offset = PICK(redist);
		break;
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
		offset = PICK(cpu);
		break;
	default:
		offset = below(5) * 32;
		offset += one_in(8) ? 1 << 10 : 0;
		break;
	}
	if (one_in(16))
		offset ^= 1u << below(16);
	return who << 32 | offset;
}

static uint64_t its_attr(void)
{
	static const unsigned regs[] = {0x0,  0x4,   0x8,   0xc,   0x80,  0x84,	  0x88,
					0x90, 0x100, 0x104, 0x108, 0x110, 0xffe8, 0xffd0};

	return one_in(16) ? draw_word() : PICK(regs);
}

static uint64_t draw_its_value(void)
{
	uint64_t at = RAM + (256 + below(64)) * PAGE;

	switch (below(6)) {
	case 0:
		return 1ull << 63 | at;
	case 1:
		return 1ull << 63 | at | below(4);
	case 2:
		return below(8) * 32;
	case 3:
		return below(2);
	case 4:
		return 0;
	default:
		return draw_word();
	}
}

static void step_device_attribute(struct target *t)
{
	static const unsigned groups_v3[] = {0, 1, 1, 1, 3, 4, 5, 5, 5, 6, 6, 6, 7, 9, 2, 8};
	static const unsigned groups_v2[] = {0, 1, 1, 1, 3, 4, 2, 2, 2, 5, 6, 7};
	static const unsigned groups_its[] = {0, 4, 4, 8, 8, 8, 8, 8, 1};
	struct vm *vm = t->vm;
	struct device *dev = t->dev;
	unsigned what = one_in(5) ? 0 : 1 + below(2);
	uint64_t value = one_in(2) ? draw() : draw_word();
	bool its = dev->type == KVM_DEV_TYPE_ARM_VGIC_ITS;
	unsigned group = its ? PICK(groups_its) : gic_v2 ? PICK(groups_v2) : PICK(groups_v3);
	uint64_t attr = 0;

	if (one_in(30))
		group = draw();
	if (group == KVM_DEV_ARM_VGIC_GRP_ADDR) {
		attr = gic_addr_attr(&value);
	} else if (group == KVM_DEV_ARM_VGIC_GRP_NR_IRQS) {
		value = one_in(3) ? below(1100) : below(34) * 32;
		attr = one_in(8);
	} else if (group == KVM_DEV_ARM_VGIC_GRP_CTRL) {
		attr = below(7);
	} else if (group == KVM_DEV_ARM_VGIC_GRP_ITS_REGS) {
		attr = its_attr();
		value = draw_its_value();
	} else if (group == KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ) {
		value = below(40);
		attr = one_in(8);
	} else {
		attr = gic_reg_attr(group);
	}
	vm->signalled |= what == 1;
	say("attribute vm%u.dev%u", vm_number(vm), (unsigned)(dev - vm->dev));
	ask_attribute(dev->fd, what, group, attr, value);
}

/* --- lines and routes ---------------------------------------------------------------------------------------------------- */

static void step_irq_line(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_irq_level l = {0};
	unsigned type = one_in(12) ? below(16) : below(3),
		 cpu = one_in(12) ? below(256) : below(NR_CPUS);
	unsigned id = type == 1 ? 32 + below(96) : type == 2 ? 16 + below(16) : below(2);
	int status = one_in(3), r;

	if (one_in(10))
		id = one_in(2) ? below(64) : below(65536);
	l.irq = type << 24 | cpu << 16 | id;
	if (one_in(24))
		l.irq |= 1u << (28 + below(4));
	l.level = one_in(12) ? draw() : below(2);
	say_vm(status ? "IRQ_LINE_STATUS" : "IRQ_LINE", vm);
	say_hex("irq", l.irq);
	say(" level %x", l.level);
	r = ioctl(vm->fd, status ? KVM_IRQ_LINE_STATUS : KVM_IRQ_LINE, argument(&l));
	say_answer(r);
	end_line();
	vm->signalled = true;
}

#define MOST_ROUTES 6

static void step_routing(struct target *t)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e[MOST_ROUTES];
	} table;
	struct vm *vm = t->vm;

	memset(&table, 0, sizeof(table));
	table.head.nr = below(MOST_ROUTES + 1);
	say_vm("SET_GSI_ROUTING", vm);
	for (unsigned i = 0; i < table.head.nr; i++) {
		struct kvm_irq_routing_entry *e = &table.e[i];

		e->gsi = one_in(10) ? draw_word() : below(64);
		e->type = one_in(12) ? below(6) : 1 + below(2);
		e->flags = one_in(12) ? below(4) : e->type == KVM_IRQ_ROUTING_MSI;
		if (e->type == KVM_IRQ_ROUTING_MSI) {
			e->u.msi.address_lo = GIC_ITS + 0x10040;
			e->u.msi.data = below(8);
			e->u.msi.devid = below(4);
		} else {
			e->u.irqchip.irqchip = one_in(12);
			e->u.irqchip.pin = one_in(6) ? draw_word() : below(64);
		}
		say(" %x:%u.%x.%x", e->gsi, e->type, e->flags, e->u.irqchip.pin);
	}
	if (one_in(20))
		table.head.flags = 1;
	if (one_in(20))
		table.head.nr = 4097;
	say(" nr %u flags %x", table.head.nr, table.head.flags);
	say_answer(ioctl(vm->fd, KVM_SET_GSI_ROUTING, argument(&table)));
	end_line();
}

static void step_irqfd(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_irqfd i = {0};
	unsigned a = below(NR_EVENTS + 1), b = below(NR_EVENTS + 1);

	i.fd = a < NR_EVENTS ? events[a] : one_in(2) ? -1 : kvm;
	i.resamplefd = b < NR_EVENTS ? events[b] : one_in(2) ? -1 : kvm;
	i.gsi = one_in(10) ? draw_word() : below(64);
	i.flags = one_in(6) ? below(8) : one_in(3) ? 2 : below(2);
	say_vm("IRQFD", vm);
	say(" fd %s%u gsi %x flags %x resample %s%u", i.fd == -1 ? "none" : "", a, i.gsi, i.flags,
	    (int)i.resamplefd == -1 ? "none" : "", b);
	say_answer(ioctl(vm->fd, KVM_IRQFD, argument(&i)));
	end_line();
	vm->signalled = true;
	if (a < NR_EVENTS)
		has_irqfd[a] = true;
}

static void step_ioeventfd(struct target *t)
{
	static const unsigned lens[] = {0, 1, 2, 4, 4, 4, 8, 3, 16};
	struct vm *vm = t->vm;
	struct kvm_ioeventfd e = {0};
	unsigned a = below(NR_EVENTS + 1);

	e.fd = a < NR_EVENTS ? events[a] : one_in(2) ? -1 : kvm;
	e.addr = one_in(12) ? draw_word() : DEVICE + below(6) * 4;
	e.len = PICK(lens);
	e.datamatch = one_in(8) ? draw_word() : below(3);
	e.flags = one_in(6) ? below(32) : one_in(3) ? 4 + below(2) : below(2);
	if (a < NR_EVENTS && has_irqfd[a])
		return;
	say_vm("IOEVENTFD", vm);
	say(" fd %s%u len %u flags %x", e.fd == -1 ? "none" : "", a, e.len, e.flags);
	say_hex("addr", e.addr);
	say_hex("match", e.datamatch);
	say_answer(ioctl(vm->fd, KVM_IOEVENTFD, argument(&e)));
	end_line();
}

static void step_msi(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_msi m = {0};

	m.address_lo = one_in(6) ? draw_word() : GIC_ITS + 0x10040;
	m.address_hi = one_in(20);
	m.data = one_in(6) ? draw_word() : below(8);
	m.flags = one_in(6) ? below(4) : 1;
	m.devid = one_in(6) ? draw_word() : below(4);
	m.pad[0] = one_in(20);
	say_vm("SIGNAL_MSI", vm);
	say(" at %x.%x data %x flags %x dev %x pad %u", m.address_hi, m.address_lo, m.data, m.flags,
	    m.devid, m.pad[0]);
	vm->signalled = true;
	say_answer(ioctl(vm->fd, KVM_SIGNAL_MSI, argument(&m)));
	end_line();
}

static void step_zone(struct target *t)
{
	struct vm *vm = t->vm;
	struct kvm_coalesced_mmio_zone z = {0};
	bool off = one_in(3);

	z.addr = one_in(12) ? draw_word() : DEVICE + below(4) * 8;
	z.size = one_in(12) ? draw_word() : below(5) * 8;
	z.pio = one_in(12) ? below(4) : one_in(6);
	say_vm(off ? "UNREGISTER_COALESCED_MMIO" : "REGISTER_COALESCED_MMIO", vm);
	say_hex("addr", z.addr);
	say(" size %x pio %u", z.size, z.pio);
	say_answer(ioctl(vm->fd, off ? KVM_UNREGISTER_COALESCED_MMIO : KVM_REGISTER_COALESCED_MMIO,
			 argument(&z)));
	end_line();
}

#endif
