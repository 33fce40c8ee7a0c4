/* SPDX-License-Identifier: MIT */
/* What the tests of performance counters share. */
#ifndef ANYKVM_TESTS_API_PMU_H
#define ANYKVM_TESTS_API_PMU_H

#include "vmm.h"

#define SYS_PMCR	 SYS(3, 3, 9, 12, 0)
#define SYS_PMCNTENSET	 SYS(3, 3, 9, 12, 1)
#define SYS_PMCNTENCLR	 SYS(3, 3, 9, 12, 2)
#define SYS_PMOVSCLR	 SYS(3, 3, 9, 12, 3)
#define SYS_PMSWINC	 SYS(3, 3, 9, 12, 4)
#define SYS_PMSELR	 SYS(3, 3, 9, 12, 5)
#define SYS_PMCEID0	 SYS(3, 3, 9, 12, 6)
#define SYS_PMCEID1	 SYS(3, 3, 9, 12, 7)
#define SYS_PMCCNTR	 SYS(3, 3, 9, 13, 0)
#define SYS_PMXEVTYPER	 SYS(3, 3, 9, 13, 1)
#define SYS_PMXEVCNTR	 SYS(3, 3, 9, 13, 2)
#define SYS_PMUSERENR	 SYS(3, 3, 9, 14, 0)
#define SYS_PMOVSSET	 SYS(3, 3, 9, 14, 3)
#define SYS_PMINTENSET	 SYS(3, 0, 9, 14, 1)
#define SYS_PMINTENCLR	 SYS(3, 0, 9, 14, 2)
#define SYS_PMEVCNTR(n)	 SYS(3, 3, 14, 8 + (n) / 8, (n) % 8)
#define SYS_PMEVTYPER(n) SYS(3, 3, 14, 12 + (n) / 8, (n) % 8)
#define SYS_PMCCFILTR	 SYS(3, 3, 14, 15, 7)
#define SYS_SPSR_EL1	 SYS(3, 0, 4, 0, 0)

#define REG_PMCR	 ARM64_SYS_REG(3, 3, 9, 12, 0)
#define REG_PMCNTENSET	 ARM64_SYS_REG(3, 3, 9, 12, 1)
#define REG_PMCCNTR	 ARM64_SYS_REG(3, 3, 9, 13, 0)
#define REG_PMOVSSET	 ARM64_SYS_REG(3, 3, 9, 14, 3)
#define REG_PMEVCNTR(n)	 ARM64_SYS_REG(3, 3, 14, 8 + (n) / 8, (n) % 8)
#define REG_PMEVTYPER(n) ARM64_SYS_REG(3, 3, 14, 12 + (n) / 8, (n) % 8)
#define REG_DFR0	 ARM64_SYS_REG(3, 0, 0, 5, 0)

#define SW_INCR	     0x00
#define INST_RETIRED 0x08
#define CPU_CYCLES   0x11
#define CHAIN	     0x1e
#define NOT_EL1	     (1u << 31)
#define NOT_EL0	     (1u << 30)
#define CYCLE	     (1u << 31)
#define FEATURE	     (1u << KVM_ARM_VCPU_PMU_V3)
#define VECTORS	     (RAM + 0x2000)
#define USER	     (RAM + 0x1000)

static inline int attr(int fd, unsigned request, uint64_t which, void *value)
{
	struct kvm_device_attr a = {
		.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = which, .addr = (uintptr_t)value};

	return ioctl(fd, request, &a);
}

static inline int set_pmu(struct machine *m, uint64_t which, void *value)
{
	return attr(m->vcpu[0], KVM_SET_DEVICE_ATTR, which, value);
}

static inline struct machine machine_with(unsigned features)
{
	struct machine m = machine_without_vcpus();

	add_vcpu(&m);
	init_vcpu(&m, 0, features);
	EXPECT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	return m;
}

/* Without an interrupt controller, so without an interrupt. */
static inline struct machine pmu_machine(void)
{
	struct machine m = machine_with(FEATURE);

	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	return m;
}

static inline void put_sys(struct code *c, uint32_t reg, uint64_t value)
{
	li(c, 0, value);
	msr(c, reg, 0);
}

/* What is open after a reset: nothing on, no overflow, no interrupt. */
static inline void all_off(struct code *c)
{
	put_sys(c, SYS_PMCNTENCLR, ~0ull);
	put_sys(c, SYS_PMOVSCLR, ~0ull);
	put_sys(c, SYS_PMINTENCLR, ~0ull);
}

static inline int make_gic(struct machine *m)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	uint64_t dist = 0x8000000, redist = 0x80a0000;
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
				    .attr = KVM_VGIC_V3_ADDR_TYPE_DIST,
				    .addr = (uintptr_t)&dist};

	ASSERT_EQ(ioctl(m->vm, KVM_CREATE_DEVICE, &d), 0);
	EXPECT_EQ(ioctl(d.fd, KVM_SET_DEVICE_ATTR, &a), 0);
	a.attr = KVM_VGIC_V3_ADDR_TYPE_REDIST;
	a.addr = (uintptr_t)&redist;
	EXPECT_EQ(ioctl(d.fd, KVM_SET_DEVICE_ATTR, &a), 0);
	return d.fd;
}

static inline void init_gic(int gic)
{
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL,
				    .attr = KVM_DEV_ARM_VGIC_CTRL_INIT};

	EXPECT_EQ(ioctl(gic, KVM_SET_DEVICE_ATTR, &a), 0);
}

/* Guest part: interrupt 23 of a GICv3 is enabled, in group 1; x1 and x2 are lost. */
static inline void irq_on(struct code *c)
{
	li(c, 1, 0x8000000);
	li(c, 2, 2);
	str(c, 4, 2, 1, 0); /* GICD_CTLR */
	li(c, 1, 0x80a0000);
	li(c, 2, 0);
	str(c, 4, 2, 1, 0x14); /* GICR_WAKER */
	li(c, 1, 0x80b0000);
	li(c, 2, 1u << 23);
	str(c, 4, 2, 1, 0x80);
	str(c, 4, 2, 1, 0x100);
	li(c, 2, 0xf0);
	msr(c, SYS_ICC_PMR_EL1, 2);
	li(c, 2, 1);
	msr(c, SYS_ICC_IGRPEN1, 2);
	put(c, A64_ISB);
}

#endif
