/* SPDX-License-Identifier: MIT */
/* The GICv2: creation both ways, its frames, interrupts with their source, and state in and out. Skipped where KVM has none. */
#include "vmm.h"

#define GICD 0x08000000ull
#define GICC 0x08010000ull

#define ADDR	KVM_DEV_ARM_VGIC_GRP_ADDR
#define DISTR	KVM_DEV_ARM_VGIC_GRP_DIST_REGS
#define CPUR	KVM_DEV_ARM_VGIC_GRP_CPU_REGS
#define CONTROL KVM_DEV_ARM_VGIC_GRP_CTRL
#define CPU(n)	((uint64_t)(n) << 32)

static bool offered(struct machine *m)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V2,
				       .flags = KVM_CREATE_DEVICE_TEST};

	return !ioctl(m->vm, KVM_CREATE_DEVICE, &cd);
}

#define SKIP_WITHOUT_GICV2(m)                               \
	do {                                                \
		if (!offered(m)) {                          \
			machine_free(m);                    \
			SKIP("this KVM emulates no GICv2"); \
		}                                           \
	} while (0)

static int attr(int fd, unsigned long request, unsigned group, uint64_t number, void *value)
{
	struct kvm_device_attr a = {.group = group, .attr = number, .addr = (uintptr_t)value};

	return ioctl(fd, request, &a);
}

static int set32(int fd, unsigned group, uint64_t number, uint32_t value)
{
	return attr(fd, KVM_SET_DEVICE_ATTR, group, number, &value);
}

static int set64(int fd, unsigned group, uint64_t number, uint64_t value)
{
	return attr(fd, KVM_SET_DEVICE_ATTR, group, number, &value);
}

static uint32_t get32(int fd, unsigned group, uint64_t number)
{
	uint32_t value = ~0u;

	EXPECT_EQ(attr(fd, KVM_GET_DEVICE_ATTR, group, number, &value), 0);
	return value;
}

static int gic_create(struct machine *m)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V2};

	ASSERT_EQ(ioctl(m->vm, KVM_CREATE_DEVICE, &cd), 0);
	return cd.fd;
}

static int gic_setup(struct machine *m)
{
	int gic = gic_create(m);

	ASSERT_EQ(set32(gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 64), 0);
	ASSERT_EQ(set64(gic, ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD), 0);
	ASSERT_EQ(set64(gic, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, GICC), 0);
	ASSERT_EQ(set32(gic, CONTROL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	return gic;
}

TEST(creation_and_attributes_answer_as_kvm)
{
	struct machine m = machine_new(2);
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V2};
	uint64_t addr;
	int gic;

	SKIP_WITHOUT_GICV2(&m);
	gic = gic_create(&m);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), EEXIST);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_IRQCHIP, 0), EEXIST);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS), 8);
	EXPECT_ERRNO(set64(gic, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD), ENXIO);
	EXPECT_ERRNO(set64(gic, ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD + 0x100), EINVAL);
	EXPECT_ERRNO(set64(gic, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, 1ull << 40), E2BIG);
	EXPECT_EQ(set64(gic, ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD), 0);
	EXPECT_ERRNO(set64(gic, ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD), EEXIST);
	EXPECT_EQ(set64(gic, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, GICC), 0);
	EXPECT_EQ(attr(gic, KVM_GET_DEVICE_ATTR, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, &addr), 0);
	EXPECT_EQ(addr, GICC);
	EXPECT_ERRNO(attr(gic, KVM_HAS_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0, NULL),
		     ENXIO);
	EXPECT_ERRNO(attr(gic, KVM_HAS_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 0, NULL),
		     ENXIO);
	EXPECT_ERRNO(
		attr(gic, KVM_HAS_DEVICE_ATTR, CONTROL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL),
		ENXIO);
	EXPECT_ERRNO(attr(gic, KVM_HAS_DEVICE_ATTR, DISTR, CPU(5), NULL), EINVAL);
	EXPECT_ERRNO(attr(gic, KVM_HAS_DEVICE_ATTR, DISTR, 2, NULL), ENXIO);
	EXPECT_ERRNO(attr(gic, KVM_HAS_DEVICE_ATTR, DISTR, 0x10, NULL), ENXIO);
	EXPECT_EQ(attr(gic, KVM_HAS_DEVICE_ATTR, DISTR, CPU(1) | 0xf20, NULL), 0);
	EXPECT_EQ(attr(gic, KVM_HAS_DEVICE_ATTR, CPUR, 4, NULL), 0);
	EXPECT_ERRNO(attr(gic, KVM_HAS_DEVICE_ATTR, CPUR, 0xc, NULL), ENXIO);
	/* The first access to a register initialises it: no more vCPUs. */
	EXPECT_EQ(get32(gic, DISTR, 4), 7 | 1 << 5);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, 2), EBUSY);
	EXPECT_EQ(get32(gic, DISTR, 8), 0x4b00343b);
	EXPECT_EQ(get32(gic, CPUR, 0xfc), 0x04b2043b);
	/* GICC_BPR, GICC_ABPR: nothing has limited them yet. */
	EXPECT_EQ(get32(gic, CPUR, 8), 0);
	EXPECT_EQ(get32(gic, CPUR, 0x1c), 0);
	EXPECT_EQ(get32(gic, DISTR, 0x800), 0x01010101);
	EXPECT_EQ(get32(gic, DISTR, CPU(1) | 0x800), 0x02020202);
	EXPECT_EQ(get32(gic, DISTR, 0x820), 0);
	close(gic);
	machine_free(&m);
}

TEST(the_old_calls_make_one_too)
{
	struct machine m = machine_new(1);
	struct kvm_arm_device_addr a = {.id = KVM_VGIC_V2_ADDR_TYPE_DIST, .addr = GICD};
	struct kvm_irq_level l = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 40,
				  .level = 1};
	struct code c = code_at(&m, RAM);

	SKIP_WITHOUT_GICV2(&m);
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), ENODEV);
	EXPECT_EQ(ioctl(m.vm, KVM_CREATE_IRQCHIP, 0), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), 0);
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), EEXIST);
	a.id = 7;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), ENODEV);
	a.id = KVM_VGIC_V2_ADDR_TYPE_CPU | 1 << 16;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), ENODEV);
	a = (struct kvm_arm_device_addr){.id = KVM_VGIC_V2_ADDR_TYPE_CPU, .addr = GICC};
	EXPECT_EQ(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), 0);
	/* A line, too, initialises it. */
	EXPECT_EQ(ioctl(m.vm, KVM_IRQ_LINE, &l), 0);
	li(&c, 1, GICD);
	ldr(&c, 4, 2, 1, 4);
	report(&c, 2, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 7);
	machine_free(&m);
}

static void put_reg(struct code *c, uint64_t addr, uint32_t value)
{
	li(c, 1, addr & ~0xfffull);
	li(c, 0, value);
	str(c, 4, 0, 1, addr & 0xfff);
}

/* Group 0 on, no mask; the IRQ vector acknowledges, ends, and reports what it acknowledged. */
static void guest_setup(struct machine *m, struct code *c)
{
	struct code v = code_at(m, RAM + 0x1000 + 0x280);

	li(c, 0, RAM + 0x1000);
	msr(c, SYS_VBAR_EL1, 0);
	put_reg(c, GICC + 4, 0xf0);
	put_reg(c, GICC, 1);
	put_reg(c, GICD, 1);
	put_reg(c, GICD + 0x100, 0xffffffff);
	li(&v, 11, GICC);
	ldr(&v, 4, 10, 11, 0xc);
	str(&v, 4, 10, 11, 0x10);
	report(&v, 10, 0);
	put(&v, A64_ERET);
}

TEST(an_spi_reaches_the_cpu_of_its_target_mask)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_irq_level l = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 40,
				  .level = 1};
	int gic;

	SKIP_WITHOUT_GICV2(&m);
	gic = gic_setup(&m);
	guest_setup(&m, &c);
	put_reg(&c, GICD + 0x104, 1 << 8);
	put_reg(&c, GICD + 0x828, 0xff); /* of 40: only vCPU 0 exists */
	put_reg(&c, GICD + 0xc08, 0);	 /* level */
	li(&c, 1, GICD);
	ldr(&c, 4, 2, 1, 0x828);
	report(&c, 2, 8);
	daifclr(&c, 2);
	put(&c, A64_WFI);
	b_to(&c, c.pc - 4);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 8, 1);
	EXPECT_EQ(ioctl(m.vm, KVM_IRQ_LINE, &l), 0);
	EXPECT_REPORT(&m, 0, 0, 40);
	EXPECT_REPORT(&m, 0, 0, 40);
	l.level = 0;
	EXPECT_EQ(ioctl(m.vm, KVM_IRQ_LINE, &l), 0);
	close(gic);
	machine_free(&m);
}

TEST(an_sgi_tells_who_sent_it)
{
	struct machine m = machine_new(2);
	struct code c = code_at(&m, RAM), s = code_at(&m, RAM + 0x3000);
	int gic;

	SKIP_WITHOUT_GICV2(&m);
	gic = gic_setup(&m);
	/* vCPU 1 sends SGI 5 to vCPU 0, and itself; vCPU 0 adds its own before it takes them. */
	put_reg(&s, GICD + 0xf00, 3 << 16 | 5);
	report(&s, 31, 16);
	guest_setup(&m, &c);
	put_reg(&c, GICD + 0xf00, 2 << 24 | 5);
	li(&c, 1, GICD);
	ldr(&c, 4, 2, 1, 0xf24);
	report(&c, 2, 8);
	daifclr(&c, 2);
	put(&c, A64_WFI);
	b_to(&c, c.pc - 4);
	code_done(&m);
	init_vcpu(&m, 1, 0);
	ASSERT_EQ(set_reg(m.vcpu[1], CORE_REG(regs.pc), RAM + 0x3000), 0);
	EXPECT_REPORT(&m, 1, 16, 0);
	EXPECT_REPORT(&m, 0, 8, 3 << 8);
	EXPECT_REPORT(&m, 0, 0, 5);
	EXPECT_REPORT(&m, 0, 0, 1 << 10 | 5);
	EXPECT_EQ(get32(gic, DISTR, 0xf24), 0);
	EXPECT_EQ(get32(gic, DISTR, CPU(1) | 0xf24), 2 << 8);
	EXPECT_EQ(get32(gic, DISTR, CPU(1) | 0x200), 1 << 5);
	/* State in: KVM shows the mask in five bits. */
	EXPECT_EQ(get32(gic, CPUR, 4), 0xf0 >> 3);
	EXPECT_EQ(get32(gic, CPUR, 0), 1);
	EXPECT_EQ(set32(gic, CPUR, 4, 0x10), 0);
	EXPECT_EQ(get32(gic, CPUR, 4), 0x10);
	EXPECT_EQ(set32(gic, DISTR, 8, 0x4b00143b), -1);
	EXPECT_EQ(set32(gic, DISTR, 8, 0x4b00243b), 0);
	close(gic);
	machine_free(&m);
}

/* Interrupt n of SGIs that this vCPU sends itself. */
static void sgi_self(struct code *c, unsigned n)
{
	put_reg(c, GICD + 0xf00, 2 << 24 | n);
}

/* x2: of the CPU interface, reported at DEVICE + at. */
static void report_reg(struct code *c, unsigned offset, unsigned at)
{
	li(c, 1, GICC);
	ldr(c, 4, 2, 1, offset);
	report(c, 2, at);
}

/* Group 1 is off in the CPU interface: its interrupt comes first, hides those after it, and is not taken. */
TEST(an_interrupt_of_a_disabled_group_hides_those_after_it)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	int gic;

	SKIP_WITHOUT_GICV2(&m);
	gic = gic_setup(&m);
	guest_setup(&m, &c);
	put_reg(&c, GICD + 0x80, 1 << 3);
	put_reg(&c, GICD + 0x400, 0x40806060); /* SGI 3: 0x40, SGI 2: 0x80 */
	sgi_self(&c, 2);
	mrs(&c, 2, SYS(3, 0, 12, 1, 0)); /* ISR_EL1 */
	report(&c, 2, 0x20);
	sgi_self(&c, 3);
	mrs(&c, 2, SYS(3, 0, 12, 1, 0));
	report(&c, 2, 0x28);
	report_reg(&c, 0x18, 0x30); /* GICC_HPPIR */
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0x20, 0x80);
	EXPECT_REPORT(&m, 0, 0x28, 0);
	EXPECT_REPORT(&m, 0, 0x30, 1022);
	close(gic);
	machine_free(&m);
}

TEST(an_end_deactivates_whatever_the_priority_has_become)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	int gic;

	SKIP_WITHOUT_GICV2(&m);
	gic = gic_setup(&m);
	guest_setup(&m, &c);
	put_reg(&c, GICD + 0x400, 0x40806060);
	sgi_self(&c, 2);
	report_reg(&c, 0xc, 0x20); /* GICC_IAR */
	put_reg(&c, GICD + 0x400, 0x40206060);
	put_reg(&c, GICC + 0x10, 2); /* GICC_EOIR */
	li(&c, 1, GICD);
	ldr(&c, 4, 2, 1, 0x300);
	report(&c, 2, 0x28);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0x20, 2);
	EXPECT_REPORT(&m, 0, 0x28, 0);
	close(gic);
	machine_free(&m);
}
