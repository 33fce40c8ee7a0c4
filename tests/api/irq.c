/* SPDX-License-Identifier: MIT */
/* The GICv3 device, interrupt lines, timers, and eventfds on both sides. */
#include "vmm.h"

#include <poll.h>
#include <sys/eventfd.h>

#define GICD 0x08000000ull
#define GICR 0x080a0000ull

static int gic_attr(int fd, unsigned long request, unsigned group, uint64_t attr, void *value)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return ioctl(fd, request, &a);
}

static int gic_set(int fd, unsigned group, uint64_t attr, uint64_t value)
{
	return gic_attr(fd, KVM_SET_DEVICE_ATTR, group, attr, &value);
}

static int gic_create(struct machine *m)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	ASSERT_EQ(ioctl(m->vm, KVM_CREATE_DEVICE, &cd), 0);
	return cd.fd;
}

/* Initialised, with 64 interrupts. */
static int gic_give(struct machine *m)
{
	uint32_t irqs = 64;
	int gic = gic_create(m);

	ASSERT_EQ(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs), 0);
	ASSERT_EQ(gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD), 0);
	ASSERT_EQ(gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR), 0);
	ASSERT_EQ(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL),
		  0);
	return gic;
}

static struct machine machine_with_gic(int nr, int *gic)
{
	struct machine m = machine_new(nr);

	*gic = gic_give(&m);
	return m;
}

TEST(the_gic_is_created_and_set_up_once)
{
	struct machine m = machine_new(1);
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3,
				       .flags = KVM_CREATE_DEVICE_TEST};
	uint32_t irqs = 64, odd = 40, few = 32, many = 2048, got = 0;
	uint64_t addr = 0;
	int gic;

	EXPECT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), 0);
	cd.type = 99;
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), ENODEV);
	cd.type = KVM_DEV_TYPE_XICS;
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), ENODEV);
	gic = gic_create(&m);
	cd = (struct kvm_create_device){.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), EEXIST);
	/* attributes that are not there */
	EXPECT_ERRNO(gic_attr(gic, KVM_HAS_DEVICE_ATTR, 55, 0, NULL), ENXIO);
	EXPECT_ERRNO(gic_attr(gic, KVM_HAS_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, 77, NULL),
		     ENXIO);
	EXPECT_ERRNO(gic_set(gic, 55, 0, 0), ENXIO);
	EXPECT_EQ(gic_attr(gic, KVM_HAS_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR,
			   KVM_VGIC_V3_ADDR_TYPE_DIST, NULL),
		  0);
	EXPECT_EQ(gic_attr(gic, KVM_HAS_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL),
		  0);
	/* numbers of interrupts */
	EXPECT_ERRNO(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &odd),
		     EINVAL);
	EXPECT_ERRNO(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &few),
		     EINVAL);
	EXPECT_ERRNO(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &many),
		     EINVAL);
	EXPECT_ERRNO(
		gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, bad_pointer()),
		EFAULT);
	EXPECT_EQ(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs), 0);
	EXPECT_ERRNO(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs),
		     EBUSY);
	EXPECT_EQ(gic_attr(gic, KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &got), 0);
	EXPECT_EQ(got, 64);
	/* addresses */
	EXPECT_ERRNO(
		gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD + 0x1000),
		EINVAL);
	EXPECT_ERRNO(
		gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 1ull << 40),
		E2BIG);
	EXPECT_ERRNO(gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, GICD),
		     ENXIO);
	EXPECT_EQ(gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD), 0);
	EXPECT_ERRNO(gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD),
		     EEXIST);
	EXPECT_EQ(gic_set(gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR), 0);
	EXPECT_EQ(gic_attr(gic, KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR,
			   KVM_VGIC_V3_ADDR_TYPE_DIST, &addr),
		  0);
	EXPECT_EQ(addr, GICD);
	EXPECT_EQ(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL),
		  0);
	/* no more vCPUs now */
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, 1), EBUSY);
	close(gic);
	machine_free(&m);
}

TEST(a_gic_without_addresses_stops_the_first_run)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	int gic = gic_create(&m);

	b_to(&c, RAM);
	code_done(&m);
	EXPECT_EQ(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL),
		  0);
	EXPECT_ERRNO(run(&m, 0), ENXIO);
	close(gic);
	machine_free(&m);
}

/*
 * Guest set-up: vectors at RAM + 0x1000, group 1 on, priority mask open, INTID `intid` enabled and set to group 1. The IRQ vector
 * acknowledges, reports the INTID at DEVICE, ends the interrupt and returns.
 */
static void gic_guest_setup(struct machine *m, struct code *c, unsigned intid)
{
	struct code v = code_at(m, RAM + 0x1000 + 0x280);
	uint64_t base = intid < 32 ? GICR + 0x10000 : GICD;
	unsigned word = intid < 32 ? 0 : intid / 32 * 4;

	li(c, 0, RAM + 0x1000);
	msr(c, SYS_VBAR_EL1, 0);
	li(c, 0, 1);
	msr(c, SYS_ICC_SRE_EL1, 0);
	put(c, A64_ISB);
	li(c, 0, 0xf0);
	msr(c, SYS_ICC_PMR_EL1, 0);
	li(c, 0, 1);
	msr(c, SYS_ICC_IGRPEN1, 0);
	/* GICD_CTLR: ARE, group 1 */
	li(c, 1, GICD);
	li(c, 0, 0x12);
	str(c, 4, 0, 1, 0);
	/* the redistributor wakes up */
	li(c, 1, GICR);
	str(c, 4, 31, 1, 0x14);
	li(c, 1, base);
	li(c, 0, 1u << (intid % 32));
	str(c, 4, 0, 1, 0x80 + word);
	str(c, 4, 0, 1, 0x100 + word);
	put(c, A64_ISB);

	mrs(&v, 10, SYS_ICC_IAR1_EL1);
	report(&v, 10, 0);
	msr(&v, SYS_ICC_EOIR1_EL1, 10);
	put(&v, A64_ISB);
	put(&v, A64_ERET);
}

#define CPU_REG(crn, crm, op2) (3ull << 14 | (crn) << 7 | (crm) << 3 | (op2)) /* S3_0_crn_crm_op2 */

static uint64_t cpu_reg(int gic, uint64_t reg)
{
	uint64_t value = ~0ull;

	EXPECT_EQ(gic_attr(gic, KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, reg, &value),
		  0);
	return value;
}

static int set_cpu_reg(int gic, uint64_t reg, uint64_t value)
{
	return gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, reg, &value);
}

/* ICC_BPR0_EL1 and ICC_BPR1_EL1: five bits of priority. */
TEST(user_space_sees_the_limits_of_binary_points_once_a_vcpu_ran)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	struct code c = code_at(&m, RAM);

	report(&c, 31, 0);
	report(&c, 31, 8);
	code_done(&m);
	EXPECT_EQ(cpu_reg(gic, CPU_REG(12, 8, 3)), 0);
	EXPECT_EQ(cpu_reg(gic, CPU_REG(12, 12, 3)), 0);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(cpu_reg(gic, CPU_REG(12, 8, 3)), 2);
	EXPECT_EQ(cpu_reg(gic, CPU_REG(12, 12, 3)), 3);
	/* and so at each run */
	EXPECT_EQ(set_cpu_reg(gic, CPU_REG(12, 8, 3), 1), 0);
	EXPECT_EQ(set_cpu_reg(gic, CPU_REG(12, 12, 3), 6), 0);
	EXPECT_EQ(cpu_reg(gic, CPU_REG(12, 8, 3)), 1);
	EXPECT_REPORT(&m, 0, 8, 0);
	EXPECT_EQ(cpu_reg(gic, CPU_REG(12, 8, 3)), 2);
	EXPECT_EQ(cpu_reg(gic, CPU_REG(12, 12, 3)), 6);
	close(gic);
	machine_free(&m);
}

/* The binary point counts for what runs, too, even if it was acknowledged with another one. */
TEST(a_binary_point_that_grew_keeps_what_is_in_the_group_from_preempting)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	struct code c = code_at(&m, RAM);

	gic_guest_setup(&m, &c, 20);
	li(&c, 1, GICR + 0x10000);
	li(&c, 0, ~0u);
	str(&c, 4, 0, 1, 0x80);
	li(&c, 0, 0x808800); /* SGI 1: 0x88, SGI 2: 0x80 */
	str(&c, 4, 0, 1, 0x400);
	li(&c, 0, 1 << 24 | 1);
	msr(&c, SYS(3, 0, 12, 11, 5), 0);
	put(&c, A64_ISB);
	mrs(&c, 2, SYS_ICC_IAR1_EL1);
	report(&c, 2, 0);
	li(&c, 0, 5);
	msr(&c, SYS(3, 0, 12, 12, 3), 0);
	li(&c, 0, 2 << 24 | 1);
	msr(&c, SYS(3, 0, 12, 11, 5), 0);
	put(&c, A64_ISB);
	mrs(&c, 2, SYS_ICC_IAR1_EL1);
	report(&c, 2, 8);
	msr(&c, SYS(3, 0, 12, 12, 3), 31);
	put(&c, A64_ISB);
	mrs(&c, 2, SYS_ICC_IAR1_EL1);
	report(&c, 2, 0x10);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 1);
	EXPECT_REPORT(&m, 0, 8, 1023);
	EXPECT_REPORT(&m, 0, 0x10, 2);
	close(gic);
	machine_free(&m);
}

TEST(a_timer_interrupt_wakes_the_guest)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x280);

	gic_guest_setup(&m, &c, 27);
	/* the handler must silence the timer before the end of the interrupt */
	mrs(&v, 10, SYS_ICC_IAR1_EL1);
	msr(&v, SYS_CNTV_CTL_EL0, 31);
	report(&v, 10, 0);
	msr(&v, SYS_ICC_EOIR1_EL1, 10);
	put(&v, A64_ISB);
	put(&v, A64_ERET);

	mrs(&c, 0, SYS(3, 3, 14, 0, 0)); /* CNTFRQ: 1/64 of a second */
	put(&c, 0xd346fc00u);		 /* lsr x0, x0, #6 */
	msr(&c, SYS_CNTV_TVAL_EL0, 0);
	li(&c, 0, 1);
	msr(&c, SYS_CNTV_CTL_EL0, 0);
	daifclr(&c, 2);
	put(&c, A64_WFI);
	report(&c, 31, 8);
	code_done(&m);
	uint64_t start = now_ns();
	EXPECT_REPORT(&m, 0, 0, 27);
	EXPECT(now_ns() - start >= 10000000);
	EXPECT_REPORT(&m, 0, 8, 0);
	close(gic);
	machine_free(&m);
}

#ifndef ANYKVM_REAL /* hardware gives the interrupt some time */
TEST(a_timer_that_the_guest_saw_expire_has_interrupted)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x280);
	uint64_t round, loop;

	gic_guest_setup(&m, &c, 27);
	mrs(&v, 10, SYS_ICC_IAR1_EL1);
	msr(&v, SYS_CNTV_CTL_EL0, 31);
	add_imm(&v, 11, 11, 1);
	msr(&v, SYS_ICC_EOIR1_EL1, 10);
	put(&v, A64_ISB);
	put(&v, A64_ERET);

	daifclr(&c, 2);
	round = c.pc;
	li(&c, 11, 0);
	li(&c, 0, 20000);
	msr(&c, SYS_CNTV_TVAL_EL0, 0);
	li(&c, 0, 1);
	msr(&c, SYS_CNTV_CTL_EL0, 0);
	mrs(&c, 1, SYS_CNTV_CVAL_EL0);
	loop = c.pc;
	mrs(&c, 0, SYS_CNTVCT_EL0);
	put(&c, 0xeb01001f); /* cmp x0, x1 */
	put(&c, 0x54000003 | ((uint32_t)((int64_t)(loop - c.pc) >> 2) & 0x7ffff) << 5); /* b.lo */
	mov(&c, 2, 11);
	report(&c, 2, 0);
	b_to(&c, round);
	code_done(&m);
	for (int i = 0; i < 50; i++)
		EXPECT_REPORT(&m, 0, 0, 1);
	close(gic);
	machine_free(&m);
}
#endif

static int irq_line(struct machine *m, unsigned type, unsigned cpu, unsigned nr, unsigned level)
{
	struct kvm_irq_level l = {.irq = type << KVM_ARM_IRQ_TYPE_SHIFT |
					 cpu << KVM_ARM_IRQ_VCPU_SHIFT | nr,
				  .level = level};

	return ioctl(m->vm, KVM_IRQ_LINE, &l);
}

TEST(an_spi_raised_by_user_space_reaches_a_waiting_guest)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	struct code c = code_at(&m, RAM);
	struct runner r;
	uint64_t got = 0;

	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_SPI, 0, 31, 1), EINVAL);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_SPI, 0, 2000, 1), EINVAL);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_PPI, 0, 40, 1), EINVAL);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_PPI, 0, 3, 1), EINVAL);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_PPI, 9, 20, 1), EINVAL);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_CPU, 0, 0, 1), ENXIO);
	EXPECT_ERRNO(irq_line(&m, 7, 0, 0, 1), EINVAL);
	gic_guest_setup(&m, &c, 40);
	/* level triggered: KVM's SPIs start as edges */
	li(&c, 1, GICD + 0xc00 + 8);
	str(&c, 4, 31, 1, 0);
	report(&c, 31, 8);
	daifclr(&c, 2);
	put(&c, A64_WFI);
	b_to(&c, c.pc - 4);
	code_done(&m);
	/* set up before the line goes up: to an edge it would be one event, not a level */
	EXPECT_REPORT(&m, 0, 8, 0);
	runner_start(&r, &m, 0);
	sleep_ms(50);
	EXPECT_EQ(r.done, 0);
	EXPECT_EQ(irq_line(&m, KVM_ARM_IRQ_TYPE_SPI, 0, 40, 1), 0);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	memcpy(&got, m.run[0]->mmio.data, 8);
	EXPECT_EQ(got, 40);
	/* a level: again, as long as it is up */
	EXPECT_REPORT(&m, 0, 0, 40);
	EXPECT_EQ(irq_line(&m, KVM_ARM_IRQ_TYPE_SPI, 0, 40, 0), 0);
	close(gic);
	machine_free(&m);
}

TEST(lines_without_a_gic_are_the_cpus_own)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x280);

	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_SPI, 0, 40, 1), ENXIO);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_PPI, 0, 27, 1), ENXIO);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_CPU, 0, 2, 1), EINVAL);
	EXPECT_ERRNO(irq_line(&m, KVM_ARM_IRQ_TYPE_CPU, 5, 0, 1), EINVAL);
	li(&c, 0, RAM + 0x1000);
	msr(&c, SYS_VBAR_EL1, 0);
	report(&c, 0, 0);
	daifclr(&c, 2);
	b_to(&c, c.pc);
	li(&v, 0, 7);
	report(&v, 0, 8);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, RAM + 0x1000);
	ASSERT_EQ(irq_line(&m, KVM_ARM_IRQ_TYPE_CPU, 0, KVM_ARM_IRQ_CPU_IRQ, 1), 0);
	EXPECT_REPORT(&m, 0, 8, 7);
	machine_free(&m);
}

/* An initialisation lowers the lines of a vCPU that has not run, and of no other. */
TEST(a_line_stays_up_over_the_initialisation_of_a_vcpu_that_ran)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x280);

	li(&c, 0, RAM + 0x1000);
	msr(&c, SYS_VBAR_EL1, 0);
	daifclr(&c, 2);
	report(&c, 0, 0);
	b_to(&c, c.pc);
	li(&v, 0, 7);
	report(&v, 0, 8);
	code_done(&m);
	ASSERT_EQ(irq_line(&m, KVM_ARM_IRQ_TYPE_CPU, 0, KVM_ARM_IRQ_CPU_IRQ, 1), 0);
	for (int ran = 0; ran < 2; ran++) {
		init_vcpu(&m, 0, 0);
		EXPECT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
		if (ran)
			EXPECT_REPORT(&m, 0, 8, 7);
		else
			EXPECT_REPORT(&m, 0, 0, RAM + 0x1000);
		complete(&m, 0);
		ASSERT_EQ(irq_line(&m, KVM_ARM_IRQ_TYPE_CPU, 0, KVM_ARM_IRQ_CPU_IRQ, 1), 0);
	}
	machine_free(&m);
}

TEST(a_line_that_was_raised_before_the_gic_came_is_lowered_by_the_initialisation)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x280);
	int gic;

	li(&c, 0, RAM + 0x1000);
	msr(&c, SYS_VBAR_EL1, 0);
	daifclr(&c, 2);
	report(&c, 0, 0);
	b_to(&c, c.pc);
	report(&v, 0, 8);
	code_done(&m);
	ASSERT_EQ(irq_line(&m, KVM_ARM_IRQ_TYPE_CPU, 0, KVM_ARM_IRQ_CPU_IRQ, 1), 0);
	gic = gic_give(&m);
	init_vcpu(&m, 0, 0);
	EXPECT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	EXPECT_REPORT(&m, 0, 0, RAM + 0x1000);
	close(gic);
	machine_free(&m);
}

static int irqfd(struct machine *m, int fd, unsigned gsi, unsigned flags)
{
	struct kvm_irqfd a = {.fd = fd, .gsi = gsi, .flags = flags};

	return ioctl(m->vm, KVM_IRQFD, &a);
}

TEST(an_eventfd_raises_an_interrupt)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	struct code c = code_at(&m, RAM);
	int fd = eventfd(0, 0), second = eventfd(0, 0);
	struct runner r;
	uint64_t one = 1, got = 0;

	EXPECT_ERRNO(irqfd(&m, -1, 8, 0), EBADF);
	EXPECT_ERRNO(irqfd(&m, m.vm, 8, 0), EINVAL);
	EXPECT_ERRNO(irqfd(&m, fd, 8, 4), EINVAL);
	/* GSI 8 is SPI 8: INTID 40 */
	ASSERT_EQ(irqfd(&m, fd, 8, 0), 0);
	EXPECT_ERRNO(irqfd(&m, fd, 9, 0), EBUSY);
	EXPECT_EQ(irqfd(&m, second, 8, 0), 0);
	gic_guest_setup(&m, &c, 40);
	/* edge triggered: ICFGR of 40 */
	li(&c, 1, GICD + 0xc00 + 8);
	li(&c, 0, 2u << 16);
	str(&c, 4, 0, 1, 0);
	daifclr(&c, 2);
	put(&c, A64_WFI);
	b_to(&c, c.pc - 4);
	code_done(&m);
	runner_start(&r, &m, 0);
	sleep_ms(50);
	EXPECT_EQ(r.done, 0);
	EXPECT_EQ(write(fd, &one, 8), 8);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	memcpy(&got, m.run[0]->mmio.data, 8);
	EXPECT_EQ(got, 40);
	/* once: asleep again until the other signals */
	runner_start(&r, &m, 0);
	sleep_ms(50);
	EXPECT_EQ(r.done, 0);
	EXPECT_EQ(write(second, &one, 8), 8);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	EXPECT_EQ(irqfd(&m, fd, 8, KVM_IRQFD_FLAG_DEASSIGN), 0);
	EXPECT_EQ(irqfd(&m, fd, 8, KVM_IRQFD_FLAG_DEASSIGN), 0);
	close(fd);
	close(second);
	close(gic);
	machine_free(&m);
}

/* A guest that takes INTID 40, level-triggered, and says when it is ready. */
static void level_guest(struct machine *m)
{
	struct code c = code_at(m, RAM);

	gic_guest_setup(m, &c, 40);
	li(&c, 1, GICD + 0xc00 + 8);
	str(&c, 4, 31, 1, 0);
	report(&c, 31, 8);
	daifclr(&c, 2);
	put(&c, A64_WFI);
	b_to(&c, c.pc - 4);
	code_done(m);
	EXPECT_REPORT(m, 0, 8, 0);
}

TEST(a_resampling_eventfd_lowers_the_line_at_the_end_of_the_interrupt_and_tells)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	int fd = eventfd(0, 0), back = eventfd(0, EFD_NONBLOCK);
	struct kvm_irqfd a = {
		.fd = fd, .gsi = 8, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = back};
	struct pollfd wait = {.fd = back, .events = POLLIN};
	struct runner r;
	uint64_t one = 1, count = 0, got = 0;

	a.resamplefd = -1;
	EXPECT_ERRNO(ioctl(m.vm, KVM_IRQFD, &a), EBADF);
	a.resamplefd = back;
	ASSERT_EQ(ioctl(m.vm, KVM_IRQFD, &a), 0);
	EXPECT_ERRNO(ioctl(m.vm, KVM_IRQFD, &a), EBUSY);
	level_guest(&m);
	for (int i = 0; i < 3; i++) {
		runner_start(&r, &m, 0);
		if (i) { /* told of the end of the one before */
			EXPECT_EQ(poll(&wait, 1, 60000), 1);
			EXPECT_EQ(read(back, &count, 8), 8);
		}
		EXPECT_EQ(write(fd, &one, 8), 8);
		runner_join(&r);
		EXPECT_EQ(r.result, 0);
		memcpy(&got, m.run[0]->mmio.data, 8);
		EXPECT_EQ(got, 40);
		/* This one is not over. */
		EXPECT_ERRNO(read(back, &count, 8), EAGAIN);
	}
	/* Told of the end while the guest sleeps: the line has fallen, so it does not come again. */
	runner_start(&r, &m, 0);
	EXPECT_EQ(poll(&wait, 1, 60000), 1);
	EXPECT_EQ(read(back, &count, 8), 8);
	sleep_ms(20);
	EXPECT_EQ(r.done, 0);
	EXPECT_EQ(write(fd, &one, 8), 8);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	a.flags = KVM_IRQFD_FLAG_DEASSIGN;
	EXPECT_EQ(ioctl(m.vm, KVM_IRQFD, &a), 0);
	close(fd);
	close(back);
	close(gic);
	machine_free(&m);
}

TEST(a_plain_eventfd_leaves_the_line_of_a_level_interrupt_up)
{
	int gic;
	struct machine m = machine_with_gic(1, &gic);
	int fd = eventfd(0, 0);
	struct runner r;
	uint64_t one = 1, got = 0;

	ASSERT_EQ(irqfd(&m, fd, 8, 0), 0);
	level_guest(&m);
	runner_start(&r, &m, 0);
	sleep_ms(20);
	EXPECT_EQ(write(fd, &one, 8), 8);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	memcpy(&got, m.run[0]->mmio.data, 8);
	EXPECT_EQ(got, 40);
	EXPECT_REPORT(&m, 0, 0, 40);
	EXPECT_EQ(irq_line(&m, KVM_ARM_IRQ_TYPE_SPI, 0, 40, 0), 0);
	close(fd);
	close(gic);
	machine_free(&m);
}

TEST(gsi_routing_takes_good_entries_with_and_without_a_gic)
{
	struct machine m = machine_new(1);
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[2];
	} t = {.head.nr = 1};
	int gic;

	t.entry[0] = (struct kvm_irq_routing_entry){
		.gsi = 3, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = 3};
	EXPECT_EQ(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), 0);
	gic = gic_create(&m);
	EXPECT_EQ(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), 0);
	t.head.flags = 1;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	t.head.flags = 0;
	t.head.nr = 4097;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	t.head.nr = 1;
	t.entry[0].type = 9;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	t.entry[0].type = KVM_IRQ_ROUTING_IRQCHIP;
	t.entry[0].u.irqchip.irqchip = 5;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	t.entry[0].u.irqchip.irqchip = 0;
	t.entry[0].gsi = 5000;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), EINVAL);
	t.head.nr = 0;
	EXPECT_EQ(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), 0);
	close(gic);
	machine_free(&m);
}

/* Initialising the controller puts the default table in the place of one that is there already. */
TEST(routes_set_before_the_gic_is_initialised_give_way_to_the_default)
{
	struct machine m = machine_new(1);
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} t = {.head.nr = 1,
	       .entry = {.gsi = 3, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = 9}};
	int gic = gic_create(&m), event = eventfd(0, 0);
	struct kvm_irqfd f = {.fd = event, .gsi = 7};

	ASSERT_EQ(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), 0);
	EXPECT_EQ(gic_attr(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL,
			   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL),
		  0);
	EXPECT_EQ(ioctl(m.vm, KVM_IRQFD, &f), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_SET_GSI_ROUTING, &t), 0);
	close(event);
	close(gic);
	machine_free(&m);
}

TEST(the_control_of_a_timer_is_kept_as_written_but_for_its_status)
{
	static const uint64_t ids[] = {KVM_REG_ARM_TIMER_CTL, KVM_REG_ARM_PTIMER_CTL};
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(set_reg(m.vcpu[0], ids[i], ~0ull), 0);
		EXPECT_EQ(get_reg(m.vcpu[0], ids[i]), ~4ull);
		EXPECT_EQ(set_reg(m.vcpu[0], ids[i], 0x10), 0);
		EXPECT_EQ(get_reg(m.vcpu[0], ids[i]), 0x10);
	}
	/* until the vCPU runs: a timer has no such bits */
	report(&c, 31, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(get_reg(m.vcpu[0], ids[i]), 0);
	machine_free(&m);
}

TEST(the_counter_offset_moves_the_counters)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_arm_counter_offset o = {.reserved = 1};
	uint64_t before, after;

	mrs(&c, 0, SYS_CNTVCT_EL0);
	report(&c, 0, 0);
	b_to(&c, RAM);
	code_done(&m);
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &o), EINVAL);
	o.reserved = 0;
	ASSERT_EQ(ioctl(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &o), 0);
	EXPECT_EQ(run(&m, 0), 0);
	memcpy(&before, m.run[0]->mmio.data, 8);
	o.counter_offset = before;
	ASSERT_EQ(ioctl(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &o), 0);
	EXPECT_EQ(run(&m, 0), 0);
	memcpy(&after, m.run[0]->mmio.data, 8);
	EXPECT(after < before);
	machine_free(&m);
}

static void on_kick(int sig)
{
}

TEST(an_offset_of_the_vm_freezes_the_counters_of_its_vcpus)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_arm_counter_offset o = {.counter_offset = 0};
	const uint64_t cntvct = ARM64_SYS_REG(3, 3, 14, 3, 2),
		       cntpct = ARM64_SYS_REG(3, 3, 14, 0, 1);
	struct sigaction kick = {.sa_handler = on_kick}, before;
	struct runner r;

	b_to(&c, RAM);
	code_done(&m);
	/* writes set a count until the VM has an offset, then they do nothing */
	EXPECT_EQ(set_reg(m.vcpu[0], cntvct, 1ull << 60), 0);
	EXPECT(get_reg(m.vcpu[0], cntvct) >= 1ull << 60);
	EXPECT_EQ(set_reg(m.vcpu[0], cntpct, 1ull << 59), 0);
	EXPECT(get_reg(m.vcpu[0], cntpct) >= 1ull << 59);
	ASSERT_EQ(ioctl(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &o), 0);
	EXPECT(get_reg(m.vcpu[0], cntvct) < 1ull << 58);
	EXPECT_EQ(set_reg(m.vcpu[0], cntvct, 1ull << 60), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], cntpct, 1ull << 60), 0);
	EXPECT(get_reg(m.vcpu[0], cntvct) < 1ull << 58);
	EXPECT(get_reg(m.vcpu[0], cntpct) < 1ull << 58);
	/* not while a vCPU runs */
	sigaction(SIGUSR2, &kick, &before);
	runner_start(&r, &m, 0);
	while (!ioctl(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &o))
		sleep_ms(1);
	EXPECT_EQ(errno, EBUSY);
	runner_interrupt(&r, SIGUSR2);
	EXPECT_EQ(ioctl(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &o), 0);
	sigaction(SIGUSR2, &before, NULL);
	machine_free(&m);
}

TEST(an_msi_needs_an_its)
{
	struct machine m = machine_new(1);
	struct kvm_msi msi = {.address_lo = 0x8080040, .data = 1};
	int gic;

	EXPECT_ERRNO(ioctl(m.vm, KVM_SIGNAL_MSI, &msi), EINVAL);
	gic = gic_create(&m);
	EXPECT_ERRNO(ioctl(m.vm, KVM_SIGNAL_MSI, &msi), ENODEV);
	close(gic);
	machine_free(&m);
}

TEST(software_generated_interrupts_reach_the_other_vcpu)
{
	int gic;
	struct machine m = machine_with_gic(2, &gic);
	struct code c = code_at(&m, RAM), s = code_at(&m, RAM + 0x3000);
	struct runner r;
	uint64_t got = 0;

	/* vCPU 1 (its redistributor is the second) sleeps; vCPU 0 sends SGI 5 to affinity 0.0.0.1 */
	gic_guest_setup(&m, &s, 5);
	li(&s, 1, GICR + 0x20000);
	str(&s, 4, 31, 1, 0x14);
	li(&s, 1, GICR + 0x30000);
	li(&s, 0, 1u << 5);
	str(&s, 4, 0, 1, 0x80);
	str(&s, 4, 0, 1, 0x100);
	daifclr(&s, 2);
	put(&s, A64_WFI);
	b_to(&s, s.pc - 4);
	li(&c, 0, 5ull << 24 | 1ull << 1);
	msr(&c, SYS_ICC_SGI1R_EL1, 0);
	put(&c, A64_ISB);
	report(&c, 0, 8);
	code_done(&m);
	init_vcpu(&m, 1, 0);
	ASSERT_EQ(set_reg(m.vcpu[1], CORE_REG(regs.pc), RAM + 0x3000), 0);
	runner_start(&r, &m, 1);
	sleep_ms(50);
	EXPECT_EQ(r.done, 0);
	EXPECT_REPORT(&m, 0, 8, 5ull << 24 | 1ull << 1);
	runner_join(&r);
	EXPECT_EQ(r.result, 0);
	memcpy(&got, m.run[1]->mmio.data, 8);
	EXPECT_EQ(got, 5);
	close(gic);
	machine_free(&m);
}
