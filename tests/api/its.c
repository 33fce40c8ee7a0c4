/* SPDX-License-Identifier: MIT */
/* The ITS: a guest that sets it up and takes LPIs, MSIs from the VMM by call, route and eventfd, tables saved and restored. */
#include "its.h"

#include <sys/eventfd.h>

/* Device 7 with 32 events; events 1 to 3 are LPIs 8193 to 8195 at collection 4, which is vCPU 0. */
static unsigned queue_setup(struct machine *m)
{
	unsigned nr = 0;

	command(m, &nr, 0x08 | (uint64_t)DEVICE_ID << 32, 4, VALID | ITT); /* MAPD */
	command(m, &nr, 0x09, 0, VALID | 4);				   /* MAPC */
	for (unsigned i = 1; i <= 3; i++)
		command(m, &nr, 0x0a | (uint64_t)DEVICE_ID << 32, /* MAPTI */
			i | (uint64_t)(LPI + i) << 32, 4);
	command(m, &nr, 0x05, 0, 0); /* SYNC */
	return nr;
}

/* The CPU interface; vectors at RAM + 0x1000, whose IRQ entry reports what it acknowledged at DEVICE. */
static void guest_interrupts(struct machine *m, struct code *c)
{
	struct code v = code_at(m, RAM + 0x1000 + 0x280);

	li(c, 0, RAM + 0x1000);
	msr(c, SYS_VBAR_EL1, 0);
	li(c, 0, 7);
	msr(c, SYS_ICC_SRE_EL1, 0);
	put(c, A64_ISB);
	li(c, 0, 0xf0);
	msr(c, SYS_ICC_PMR_EL1, 0);
	li(c, 0, 1);
	msr(c, SYS_ICC_IGRPEN1, 0);
	put_reg(c, 4, GICD, 0x12);
	put(c, A64_ISB);

	mrs(&v, 10, SYS_ICC_IAR1_EL1);
	msr(&v, SYS_ICC_EOIR1_EL1, 10);
	report(&v, 10, 0);
	put(&v, A64_ISB);
	put(&v, A64_ERET);
}

/* What a driver does at boot, then nr commands, a report, and a rest in WFI. */
static void guest_its(struct machine *m, struct code *c, unsigned nr)
{
	memset(m->ram + (PROP - RAM), 0xa1, 0x1000);
	guest_interrupts(m, c);
	put_reg(c, 8, GICR + 0x70, PROP | 15);
	put_reg(c, 8, GICR + 0x78, PEND | 1ull << 62);
	put_reg(c, 4, GICR, 1);
	put_reg(c, 8, ITS + 0x100, VALID | DEVTAB);
	put_reg(c, 8, ITS + 0x108, VALID | COLTAB);
	put_reg(c, 8, ITS + 0x80, VALID | QUEUE);
	put_reg(c, 4, ITS, 1);
	put_reg(c, 8, ITS + 0x88, 32 * nr);
	/* The doorbell is not for CPUs: nothing happens. */
	put_reg(c, 4, ITS + 0x10040, 1);
	li(c, 1, ITS);
	ldr(c, 8, 2, 1, 0x90);
	report(c, 2, 8); /* CREADR */
	daifclr(c, 2);
	put(c, A64_WFI);
	b_to(c, c->pc - 4);
	code_done(m);
}

static int msi(struct machine *m, unsigned device, unsigned event)
{
	struct kvm_msi k = {.address_lo = (uint32_t)ITS + 0x10040,
			    .data = event,
			    .flags = KVM_MSI_VALID_DEVID,
			    .devid = device};

	return ioctl(m->vm, KVM_SIGNAL_MSI, &k);
}

TEST(the_its_is_a_device_of_its_own)
{
	struct machine m = machine_new(1);
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_ITS,
				       .flags = KVM_CREATE_DEVICE_TEST};
	int gic, its, second;

	EXPECT_ERRNO(ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_MSI_DEVID), EINVAL);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_MSI_DEVID), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_MSI_DEVID), 0);
	gic = create(&m, KVM_DEV_TYPE_ARM_VGIC_V3);
	its = create(&m, KVM_DEV_TYPE_ARM_VGIC_ITS);
	second = create(&m, KVM_DEV_TYPE_ARM_VGIC_ITS);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_MSI_DEVID), 1);
	EXPECT_EQ(get64(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE), ~0ull);
	EXPECT_ERRNO(set64(its, REGS, 0, 0), ENXIO);
	EXPECT_ERRNO(set64(its, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, ITS), ENODEV);
	EXPECT_ERRNO(set64(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS + 0x1000), EINVAL);
	EXPECT_ERRNO(set64(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, 1ull << 40), E2BIG);
	EXPECT_ERRNO(attr(its, KVM_SET_DEVICE_ATTR, ADDR, KVM_VGIC_ITS_ADDR_TYPE, bad_pointer()),
		     EFAULT);
	EXPECT_EQ(set64(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS), 0);
	EXPECT_ERRNO(set64(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS), EEXIST);
	EXPECT_EQ(get64(its, ADDR, KVM_VGIC_ITS_ADDR_TYPE), ITS);
	EXPECT_EQ(set64(second, ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS + 0x1000000), 0);
	EXPECT_EQ(attr(its, KVM_HAS_DEVICE_ATTR, ADDR, KVM_VGIC_ITS_ADDR_TYPE, NULL), 0);
	EXPECT_ERRNO(attr(its, KVM_HAS_DEVICE_ATTR, ADDR, 2, NULL), ENXIO);
	for (unsigned i = 0; i < 6; i++) {
		int has = i <= 2 || i == KVM_DEV_ARM_ITS_CTRL_RESET;

		EXPECT_EQ(attr(its, KVM_HAS_DEVICE_ATTR, CONTROL, i, NULL), has ? 0 : -1);
		EXPECT_EQ(set64(its, CONTROL, i, 0), has ? 0 : -1);
	}
	EXPECT_ERRNO(attr(its, KVM_HAS_DEVICE_ATTR, REGS, 0xc, NULL), EINVAL);
	EXPECT_ERRNO(attr(its, KVM_HAS_DEVICE_ATTR, REGS, 0x40, NULL), ENXIO);
	EXPECT_ERRNO(set64(its, REGS, 0xc, 0), EINVAL);
	EXPECT_ERRNO(set64(its, REGS, 0x40, 0), ENXIO);
	EXPECT_ERRNO(set64(its, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 64), ENXIO);
	close(second);
	close(its);
	close(gic);
	machine_free(&m);
}

TEST(registers_read_as_kvm_shows_them)
{
	struct its_machine im = its_machine_new(1);
	uint32_t word = 0;

	EXPECT_EQ(get64(im.its, REGS, 0x0), 1u << 31);
	EXPECT_EQ(get64(im.its, REGS, 0x4), 0x4b00043b);
	EXPECT_EQ(get64(im.its, REGS, 0x8), 0x1ef71);
	EXPECT_EQ(get64(im.its, REGS, 0x80), 0);
	EXPECT_EQ(get64(im.its, REGS, 0x100), 0x1907000000000600);
	EXPECT_EQ(get64(im.its, REGS, 0x108), 0x1c07000000000600);
	EXPECT_EQ(get64(im.its, REGS, 0x110), 0);
	EXPECT_EQ(get64(im.its, REGS, 0xffd0), 0x40);
	EXPECT_EQ(get64(im.its, REGS, 0xffe8), 0x3b);
	EXPECT_EQ(set64(im.its, REGS, 0x100, ~0ull), 0);
	EXPECT_EQ(get64(im.its, REGS, 0x100), 0xf907fffffffffeff);
	EXPECT_EQ(set64(im.its, REGS, 0x108, ~0ull), 0);
	EXPECT_EQ(get64(im.its, REGS, 0x108), 0xbc07fffffffffeff);
	EXPECT_EQ(set64(im.its, REGS, 0x80, VALID | QUEUE | 0xf001), 0);
	EXPECT_EQ(get64(im.its, REGS, 0x80), (VALID | QUEUE | 1) + (3ull << 59));
	EXPECT_EQ(set64(im.its, REGS, 0x90, 0x1fe0), 0);
	EXPECT_ERRNO(set64(im.its, REGS, 0x90, 0x2000), EINVAL);
	EXPECT_ERRNO(set64(im.its, REGS, 0x4, 0x1000), EINVAL);
	/* of the GIC, with LPIs */
	EXPECT_EQ(attr(im.gic, KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 4, &word), 0);
	EXPECT_EQ(word, 1 | 1u << 17 | 15u << 19);
	EXPECT_EQ(attr(im.gic, KVM_GET_DEVICE_ATTR, REDIST, 8, &word), 0);
	EXPECT_EQ(word & 1, 1);
	EXPECT_EQ(attr(im.gic, KVM_GET_DEVICE_ATTR, REDIST, 0x70, &word), 0);
	EXPECT_EQ(word, 0x580);
	EXPECT_EQ(attr(im.gic, KVM_GET_DEVICE_ATTR, REDIST, 0, &word), 0);
	EXPECT_EQ(word, 6);
	its_machine_free(&im);
}

TEST(an_msi_reaches_the_guest_as_an_lpi)
{
	struct its_machine im = its_machine_new(1);
	struct machine *m = &im.m;
	struct code c = code_at(m, RAM);
	unsigned nr = queue_setup(m);
	struct kvm_msi k = {.address_lo = (uint32_t)ITS, .data = 1, .devid = DEVICE_ID};
	struct runner r;
	uint64_t got = 0;

	guest_its(m, &c, nr);
	EXPECT_ERRNO(ioctl(m->vm, KVM_SIGNAL_MSI, &k), EINVAL);
	k.flags = KVM_MSI_VALID_DEVID;
	k.address_lo = GICD;
	EXPECT_ERRNO(ioctl(m->vm, KVM_SIGNAL_MSI, &k), EINVAL);
	EXPECT_ERRNO(msi(m, DEVICE_ID, 1), EBUSY);
	EXPECT_REPORT(m, 0, 8, 32 * nr);
	EXPECT_EQ(msi(m, DEVICE_ID, 4), 0);
	EXPECT_EQ(msi(m, DEVICE_ID + 1, 1), 0);
	for (unsigned i = 0; i < 4; i++) {
		EXPECT_EQ(msi(m, DEVICE_ID, 1 + i % 3), 1);
		EXPECT_REPORT(m, 0, 0, LPI + 1 + i % 3);
	}
	/* One that sleeps wakes up. */
	runner_start(&r, m, 0);
	sleep_ms(50);
	EXPECT_EQ(r.done, 0);
	EXPECT_EQ(msi(m, DEVICE_ID, 2), 1);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	memcpy(&got, m->run[0]->mmio.data, 8);
	EXPECT_EQ(got, LPI + 2);
	/* Commands by attribute: DISCARD event 2, INT of event 3. */
	command(m, &nr, 0x0f | (uint64_t)DEVICE_ID << 32, 2, 0);
	command(m, &nr, 0x03 | (uint64_t)DEVICE_ID << 32, 3, 0);
	EXPECT_EQ(set64(im.its, REGS, 0x88, 32 * nr), 0);
	EXPECT_EQ(get64(im.its, REGS, 0x90), 32 * nr);
	EXPECT_EQ(msi(m, DEVICE_ID, 2), 0);
	EXPECT_REPORT(m, 0, 0, LPI + 3);
	its_machine_free(&im);
}

/* LPIs that are pending, as SAVE_PENDING_TABLES writes them: bit n for LPI + n. */
static unsigned pending(struct its_machine *im)
{
	EXPECT_EQ(set64(im->gic, CONTROL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, 0), 0);
	return im->m.ram[PEND - RAM + LPI / 8];
}

TEST(what_is_pending_when_lpis_are_turned_off_is_lost_if_it_was_enabled)
{
	struct its_machine im = its_machine_new(1);
	struct machine *m = &im.m;
	struct code c = code_at(m, RAM);
	unsigned nr = queue_setup(m);

	guest_its(m, &c, nr);
	m->ram[PROP - RAM + 3] = 0xa0;
	EXPECT_REPORT(m, 0, 8, 32 * nr);
	for (unsigned i = 1; i <= 3; i++)
		EXPECT_EQ(msi(m, DEVICE_ID, i), 1);
	EXPECT_EQ(pending(&im), 0xe);
	EXPECT_EQ(set64(im.gic, REDIST, 0, 0), 0);
	EXPECT_EQ(pending(&im), 8);
	/* With an empty table it is still there, and with another one that says what is. */
	EXPECT_EQ(set64(im.gic, REDIST, 0x7c, PEND >> 32 | 1u << 30), 0);
	EXPECT_EQ(set64(im.gic, REDIST, 0, 1), 0);
	EXPECT_EQ(pending(&im), 8);
	EXPECT_EQ(set64(im.gic, REDIST, 0, 0), 0);
	EXPECT_EQ(set64(im.gic, REDIST, 0x7c, PEND >> 32), 0);
	m->ram[PEND - RAM + LPI / 8] = 4;
	EXPECT_EQ(set64(im.gic, REDIST, 0, 1), 0);
	EXPECT_EQ(pending(&im), 4);
	EXPECT_REPORT(m, 0, 0, LPI + 2);
	its_machine_free(&im);
}

TEST(an_eventfd_and_a_route_lead_to_an_lpi)
{
	struct its_machine im = its_machine_new(1);
	struct machine *m = &im.m;
	struct code c = code_at(m, RAM);
	unsigned nr = queue_setup(m);
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} t = {.head.nr = 1,
	       .entry = {.gsi = 1000,
			 .type = KVM_IRQ_ROUTING_MSI,
			 .flags = KVM_MSI_VALID_DEVID,
			 .u.msi = {.address_lo = (uint32_t)ITS + 0x10040,
				   .data = 3,
				   .devid = DEVICE_ID}}};
	int fd = eventfd(0, 0);
	struct kvm_irqfd f = {.fd = fd, .gsi = 1000};
	uint64_t one = 1, got = 0;

	guest_its(m, &c, nr);
	EXPECT_EQ(ioctl(m->vm, KVM_SET_GSI_ROUTING, &t), 0);
	EXPECT_EQ(ioctl(m->vm, KVM_IRQFD, &f), 0);
	EXPECT_REPORT(m, 0, 8, 32 * nr);
	for (int i = 0; i < 3; i++) {
		struct runner r;

		runner_start(&r, m, 0);
		sleep_ms(20);
		EXPECT_EQ(r.done, 0);
		EXPECT_EQ(write(fd, &one, 8), 8);
		runner_join(&r);
		EXPECT_EQ(r.result, 0);
		memcpy(&got, m->run[0]->mmio.data, 8);
		EXPECT_EQ(got, LPI + t.entry.u.msi.data);
		/* The route changes under the irqfd. */
		t.entry.u.msi.data = 1 + i % 3;
		EXPECT_EQ(ioctl(m->vm, KVM_SET_GSI_ROUTING, &t), 0);
	}
	t.entry.flags = 2;
	EXPECT_ERRNO(ioctl(m->vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	close(fd);
	its_machine_free(&im);
}

/* Registers and memory of one machine to another, in the documented order. */
static void its_machine_copy(struct its_machine *to, struct its_machine *from)
{
	static const uint32_t redist[] = {0x70, 0x74, 0x78, 0x7c, 0x0};
	static const uint32_t regs[] = {0x80, 0x100, 0x108, 0x88, 0x90};
	uint32_t word;

	memcpy(to->m.ram, from->m.ram, RAM_SIZE);
	/* The distributor's switch comes first: KVM does not look again at what was made pending while it was off. */
	EXPECT_EQ(attr(from->gic, KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, &word),
		  0);
	EXPECT_EQ(attr(to->gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, &word), 0);
	for (unsigned i = 0; i < 5; i++) {
		EXPECT_EQ(attr(from->gic, KVM_GET_DEVICE_ATTR, REDIST, redist[i], &word), 0);
		EXPECT_EQ(attr(to->gic, KVM_SET_DEVICE_ATTR, REDIST, redist[i], &word), 0);
	}
	for (unsigned i = 0; i < 5; i++)
		EXPECT_EQ(set64(to->its, REGS, regs[i], get64(from->its, REGS, regs[i])), 0);
	EXPECT_EQ(set64(to->its, CONTROL, KVM_DEV_ARM_ITS_RESTORE_TABLES, 0), 0);
	EXPECT_EQ(set64(to->its, REGS, 0, get64(from->its, REGS, 0)), 0);
}

TEST(tables_are_saved_in_kvm_s_format_and_restored)
{
	struct its_machine a = its_machine_new(1), b = its_machine_new(1);
	struct machine *m = &a.m;
	struct code c = code_at(m, RAM);
	unsigned nr = queue_setup(m);
	uint8_t *pending;

	guest_its(m, &c, nr);
	EXPECT_REPORT(m, 0, 8, 32 * nr);
	EXPECT_EQ(msi(m, DEVICE_ID, 2), 1);
	EXPECT_EQ(set64(a.gic, CONTROL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, 0), 0);
	EXPECT_EQ(set64(a.its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0), 0);
	pending = m->ram + (PEND - RAM) + (LPI + 2) / 8;
	EXPECT_EQ(*pending, 4);
	EXPECT_EQ(*ram64(m, DEVTAB + 8 * DEVICE_ID), VALID | ITT >> 8 << 5 | 4);
	EXPECT_EQ(*ram64(m, ITT + 8), 1ull << 48 | (LPI + 1) << 16 | 4);
	EXPECT_EQ(*ram64(m, ITT + 16), 1ull << 48 | (LPI + 2) << 16 | 4);
	EXPECT_EQ(*ram64(m, ITT + 24), (LPI + 3) << 16 | 4);
	EXPECT_EQ(*ram64(m, COLTAB), VALID | 4);
	EXPECT_EQ(*ram64(m, COLTAB + 8), 0);
	its_machine_copy(&b, &a);
	EXPECT_EQ(b.m.ram[(PEND - RAM) + (LPI + 2) / 8], 0);
	/* The second machine goes on: its guest only turns interrupts on. */
	struct code d = code_at(&b.m, RAM);
	guest_interrupts(&b.m, &d);
	daifclr(&d, 2);
	put(&d, A64_WFI);
	b_to(&d, d.pc - 4);
	code_done(&b.m);
	EXPECT_REPORT(&b.m, 0, 0, LPI + 2);
	EXPECT_EQ(msi(&b.m, DEVICE_ID, 3), 1);
	EXPECT_REPORT(&b.m, 0, 0, LPI + 3);
	EXPECT_EQ(msi(&b.m, DEVICE_ID, 4), 0);
	/* Reset: as new. */
	EXPECT_EQ(set64(b.its, CONTROL, KVM_DEV_ARM_ITS_CTRL_RESET, 0), 0);
	EXPECT_ERRNO(msi(&b.m, DEVICE_ID, 9), EBUSY);
	EXPECT_EQ(get64(b.its, REGS, 0x100) >> 63, 0);
	/* A table that names a vCPU which is not there. */
	*ram64(&b.m, COLTAB) = VALID | 5ull << 16 | 4;
	EXPECT_EQ(set64(b.its, REGS, 0x108, get64(a.its, REGS, 0x108)), 0);
	EXPECT_ERRNO(set64(b.its, CONTROL, KVM_DEV_ARM_ITS_RESTORE_TABLES, 0), EINVAL);
	its_machine_free(&a);
	its_machine_free(&b);
}

TEST(attributes_wait_for_running_vcpus_to_stop)
{
	struct its_machine im = its_machine_new(1);
	struct machine *m = &im.m;
	struct code c = code_at(m, RAM);
	unsigned nr = queue_setup(m);
	struct runner r;

	guest_its(m, &c, nr);
	EXPECT_REPORT(m, 0, 8, 32 * nr);
	runner_start(&r, m, 0);
	sleep_ms(50);
	EXPECT_ERRNO(set64(im.its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0), EBUSY);
	EXPECT_ERRNO(set64(im.its, REGS, 0x0, 0), EBUSY);
	EXPECT_ERRNO(set64(im.its, CONTROL, 77, 0), EBUSY);
	EXPECT_EQ(set64(im.its, CONTROL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	EXPECT_EQ(msi(m, DEVICE_ID, 1), 1);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	EXPECT_EQ(set64(im.its, CONTROL, KVM_DEV_ARM_ITS_SAVE_TABLES, 0), 0);
	its_machine_free(&im);
}
