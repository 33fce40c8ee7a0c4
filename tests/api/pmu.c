/* SPDX-License-Identifier: MIT */
/* Performance counters: registers, attributes, what they count, overflow and its interrupt. */
#include <errno.h>

#include "pmu.h"

/* --- ioctls --- */

TEST(attributes_need_the_feature)
{
	struct machine m = machine_with(0);
	int irq = 23;

	EXPECT_EQ(ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3), 1);
	for (uint64_t a = 0; a < 6; a++) {
		EXPECT_ERRNO(attr(m.vcpu[0], KVM_HAS_DEVICE_ATTR, a, NULL), ENXIO);
		EXPECT_ERRNO(set_pmu(&m, a, &irq), ENODEV);
	}
	EXPECT_EQ(get_reg(m.vcpu[0], REG_DFR0) >> 8 & 15, 0);
	machine_free(&m);
	m = machine_with(FEATURE);
	for (uint64_t a = 0; a < 5; a++)
		EXPECT_EQ(attr(m.vcpu[0], KVM_HAS_DEVICE_ATTR, a, NULL), 0);
	EXPECT_ERRNO(attr(m.vcpu[0], KVM_HAS_DEVICE_ATTR, 5, NULL), ENXIO);
	EXPECT_ERRNO(set_pmu(&m, 5, &irq), ENXIO);
	EXPECT(get_reg(m.vcpu[0], REG_DFR0) >> 8 & 15);
	machine_free(&m);
}

TEST(attributes_without_an_interrupt_controller)
{
	struct machine m = machine_with(FEATURE);
	int irq = 23, none = 0x7fffffff;

	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), EINVAL);
	EXPECT_ERRNO(attr(m.vcpu[0], KVM_GET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), EINVAL);
	EXPECT_ERRNO(attr(m.vcpu[0], KVM_GET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_INIT, &irq), ENXIO);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_SET_PMU, &none), ENXIO);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_SET_PMU, NULL), EFAULT);
	EXPECT_ERRNO(run(&m, 0), EINVAL);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), EBUSY);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), EBUSY);
	machine_free(&m);
}

TEST(attributes_with_an_interrupt_controller)
{
	struct machine m = machine_without_vcpus();
	int gic, irq, ppi = 23, spi = 40, other = 41;

	add_vcpu(&m);
	add_vcpu(&m);
	init_vcpu(&m, 0, FEATURE);
	init_vcpu(&m, 1, FEATURE);
	gic = make_gic(&m);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), ENODEV);
	irq = 15;
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), EINVAL);
	irq = 1020;
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), EINVAL);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, NULL), EFAULT);
	EXPECT_ERRNO(attr(m.vcpu[0], KVM_GET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), ENXIO);
	init_gic(gic);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), ENXIO);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &spi), 0);
	EXPECT_EQ(attr(m.vcpu[0], KVM_GET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), 0);
	EXPECT_EQ(irq, 40);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &other), EBUSY);
	/* An SPI belongs to one vCPU, a PPI to all. */
	EXPECT_ERRNO(attr(m.vcpu[1], KVM_SET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_IRQ, &spi), EINVAL);
	EXPECT_ERRNO(attr(m.vcpu[1], KVM_SET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_IRQ, &ppi), EINVAL);
	EXPECT_EQ(attr(m.vcpu[1], KVM_SET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_IRQ, &other), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	EXPECT_EQ(close(gic), 0);
	machine_free(&m);
}

TEST(the_number_of_counters)
{
	struct machine m = machine_with(FEATURE);
	unsigned n = (unsigned)(get_reg(m.vcpu[0], REG_PMCR) >> 11 & 31), more = n + 1, two = 2;

	EXPECT(n > 2);
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMCNTENSET) & ~(CYCLE | ((1ull << n) - 1)), 0);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, &more), EINVAL);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, &two), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMCR) >> 11 & 31, 2);
	EXPECT_EQ(set_reg(m.vcpu[0], REG_PMCNTENSET, ~0ull), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMCNTENSET), CYCLE | 3);
	/* PMCR_EL0 chooses it, too; more than there are is not taken. */
	EXPECT_EQ(set_reg(m.vcpu[0], REG_PMCR, 3u << 11), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMCR) >> 11 & 31, 3);
	EXPECT_EQ(set_reg(m.vcpu[0], REG_PMCR, (uint64_t)more << 11), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMCR) >> 11 & 31, 3);
	machine_free(&m);
}

TEST(event_filters)
{
	struct machine m = machine_with(FEATURE);
	struct kvm_pmu_event_filter f = {.base_event = INST_RETIRED, .nevents = 1, .action = 2};
	struct code c = code_at(&m, RAM);

	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_FILTER, &f), EINVAL);
	f = (struct kvm_pmu_event_filter){
		.base_event = 0xffff, .nevents = 2, .action = KVM_PMU_EVENT_ALLOW};
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_FILTER, &f), EINVAL);
	EXPECT_ERRNO(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_FILTER, NULL), EFAULT);
	/* The first one allows: all else is denied. */
	f = (struct kvm_pmu_event_filter){
		.base_event = CPU_CYCLES, .nevents = 14, .action = KVM_PMU_EVENT_ALLOW};
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_FILTER, &f), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	all_off(&c);
	mrs(&c, 1, SYS_PMCEID0);
	put_sys(&c, SYS_PMEVTYPER(0), INST_RETIRED);
	put_sys(&c, SYS_PMEVCNTR(0), 0);
	put_sys(&c, SYS_PMCNTENSET, 1);
	put_sys(&c, SYS_PMCR, 1);
	for (int i = 0; i < 100; i++)
		put(&c, A64_NOP);
	mrs(&c, 2, SYS_PMEVCNTR(0));
	report(&c, 2, 8);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 8, 0);
	EXPECT_EQ(get_x(m.vcpu[0], 1) & (1ull << INST_RETIRED | 1ull << CHAIN | 1ull << CPU_CYCLES),
		  1ull << CHAIN | 1ull << CPU_CYCLES);
	machine_free(&m);
}

/* --- registers of the guest --- */

static void handler(struct machine *m)
{
	struct code v;

	/* Undefined instructions report 0xdead and are skipped. */
	for (uint64_t at = VECTORS + 0x200; at <= VECTORS + 0x400; at += 0x200) {
		v = code_at(m, at);
		mrs(&v, 28, SYS_ESR_EL1);
		report(&v, 28, 16);
		mrs(&v, 28, SYS_ELR_EL1);
		add_imm(&v, 28, 28, 4);
		msr(&v, SYS_ELR_EL1, 28);
		put(&v, A64_ERET);
	}
	EXPECT_EQ(set_reg(m->vcpu[0], ARM64_SYS_REG(3, 0, 12, 0, 0), VECTORS), 0);
}

#define EXPECT_UNDEFINED(m) EXPECT_REPORT(m, 0, 16, 0x2000000)

TEST(without_the_feature_there_are_no_registers)
{
	struct machine m = machine_with(0);
	struct code c = code_at(&m, RAM);
	struct kvm_one_reg r = {.id = REG_PMCR, .addr = (uintptr_t)&m};

	handler(&m);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_ONE_REG, &r), ENOENT);
	mrs(&c, 1, SYS_PMCR);
	mrs(&c, 1, SYS_PMEVCNTR(3));
	mrs(&c, 1, SYS(3, 0, 9, 14, 6)); /* PMMIR_EL1 */
	report(&c, 31, 0);
	code_done(&m);
	for (int i = 0; i < 3; i++)
		EXPECT_UNDEFINED(&m);
	EXPECT_REPORT(&m, 0, 0, 0);
	machine_free(&m);
}

TEST(registers_select_set_and_clear)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM);

	put_sys(&c, SYS_PMCR, 2 | 4); /* both resets */
	all_off(&c);
	put_sys(&c, SYS_PMSELR, 1);
	put_sys(&c, SYS_PMXEVTYPER, NOT_EL1 | 0x3f);
	put_sys(&c, SYS_PMXEVCNTR, 0x123);
	put_sys(&c, SYS_PMSELR, 31);
	put_sys(&c, SYS_PMXEVTYPER, NOT_EL0);
	put_sys(&c, SYS_PMCNTENSET, CYCLE | 2);
	put_sys(&c, SYS_PMCNTENCLR, CYCLE);
	put_sys(&c, SYS_PMOVSSET, 3);
	put_sys(&c, SYS_PMOVSCLR, 1);
	mrs(&c, 1, SYS_PMEVTYPER(1));
	mrs(&c, 2, SYS_PMEVCNTR(1));
	mrs(&c, 3, SYS_PMCCFILTR);
	mrs(&c, 4, SYS_PMCNTENSET);
	mrs(&c, 5, SYS_PMOVSCLR);
	mrs(&c, 6, SYS_PMCCNTR);
	mrs(&c, 7, SYS_PMCR);
	mrs(&c, 8, SYS_PMCEID0);
	mrs(&c, 9, SYS_PMCEID1);
	report(&c, 1, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, NOT_EL1 | 0x3f);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 0x123);
	EXPECT_EQ(get_x(m.vcpu[0], 3), NOT_EL0);
	EXPECT_EQ(get_x(m.vcpu[0], 4), 2);
	EXPECT_EQ(get_x(m.vcpu[0], 5), 2);
	EXPECT_EQ(get_x(m.vcpu[0], 6), 0);
	EXPECT_EQ(get_x(m.vcpu[0], 7) & 7, 0);
	/* Software increments, cycles, chains; an emulated PMU has no instructions. */
	EXPECT_EQ(get_x(m.vcpu[0], 8) & 0x40020001, 0x40020001);
#ifndef ANYKVM_REAL
	EXPECT_EQ(get_x(m.vcpu[0], 8), 0x580a6fc1);
	EXPECT_EQ(get_x(m.vcpu[0], 9), 0x1000001a);
#endif
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMEVCNTR(1)), 0x123);
	EXPECT_EQ(get_reg(m.vcpu[0], REG_PMOVSSET), 2);
	machine_free(&m);
}

/*
 * What PMUSERENR_EL0 leaves to EL0: nothing; reads of the cycle counter; all. The emulator of the reference machine lets EL0 read
 * counters and increment them without asking KVM.
 */
TEST(el0_needs_a_right)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM), u = code_at(&m, USER);
	int denied = 3;

	handler(&m);
	li(&c, 0, USER);
	msr(&c, SYS_ELR_EL1, 0);
	put_sys(&c, SYS_SPSR_EL1, 0x3c0);
	put(&c, A64_ERET);
#ifndef ANYKVM_REAL
	denied += 3;
	mrs(&u, 1, SYS_PMCCNTR);
	mrs(&u, 1, SYS_PMEVCNTR(0));
	msr(&u, SYS_PMSWINC, 1);
#endif
	mrs(&u, 1, SYS_PMCR);
	msr(&u, SYS_PMUSERENR, 1);
	mrs(&u, 1, SYS_PMINTENSET);
	mrs(&u, 1, SYS_PMUSERENR);
	report(&u, 1, 0);
	mrs(&u, 1, SYS_PMCCNTR);
#ifndef ANYKVM_REAL
	mrs(&u, 1, SYS_PMEVCNTR(0));
#endif
	msr(&u, SYS_PMCCNTR, 1);
	report(&u, 31, 0);
	mrs(&u, 1, SYS_PMCR);
	msr(&u, SYS_PMCCNTR, 1);
	report(&u, 31, 8);
	code_done(&m);
	for (int i = 0; i < denied; i++)
		EXPECT_UNDEFINED(&m);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(set_reg(m.vcpu[0], ARM64_SYS_REG(3, 3, 9, 14, 0), 4), 0);
#ifndef ANYKVM_REAL
	EXPECT_UNDEFINED(&m);
#endif
	EXPECT_UNDEFINED(&m);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(set_reg(m.vcpu[0], ARM64_SYS_REG(3, 3, 9, 14, 0), 1), 0);
	EXPECT_REPORT(&m, 0, 8, 0);
	machine_free(&m);
}

TEST(counters_beyond_the_number_are_undefined)
{
	struct machine m = machine_with(FEATURE);
	struct code c = code_at(&m, RAM);
	unsigned two = 2;

	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, &two), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	handler(&m);
	mrs(&c, 1, SYS_PMEVCNTR(1));
	mrs(&c, 1, SYS_PMEVCNTR(2));
	msr(&c, SYS_PMEVTYPER(30), 1);
	put_sys(&c, SYS_PMSELR, 2);
	mrs(&c, 1, SYS_PMXEVTYPER);
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_UNDEFINED(&m);
	EXPECT_UNDEFINED(&m);
	EXPECT_UNDEFINED(&m);
	EXPECT_REPORT(&m, 0, 0, 2);
	machine_free(&m);
}

/* --- counting --- */

TEST(software_increments_chain_and_overflow)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM);

	all_off(&c);
	put_sys(&c, SYS_PMEVTYPER(0), SW_INCR);
	put_sys(&c, SYS_PMEVTYPER(1), CHAIN);
	put_sys(&c, SYS_PMEVTYPER(2), SW_INCR);
	put_sys(&c, SYS_PMEVCNTR(0), 0xfffffffe);
	put_sys(&c, SYS_PMEVCNTR(1), 5);
	put_sys(&c, SYS_PMEVCNTR(2), 0);
	put_sys(&c, SYS_PMCNTENSET, 3);
	li(&c, 1, 7);
	msr(&c, SYS_PMSWINC, 1); /* not yet: PMCR_EL0.E is 0 */
	put_sys(&c, SYS_PMCR, 1);
	for (int i = 0; i < 3; i++)
		msr(&c, SYS_PMSWINC, 1);
	mrs(&c, 2, SYS_PMEVCNTR(0));
	mrs(&c, 3, SYS_PMEVCNTR(1));
	mrs(&c, 4, SYS_PMEVCNTR(2));
	mrs(&c, 5, SYS_PMOVSSET);
	report(&c, 5, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 1);
	EXPECT_EQ((uint32_t)get_x(m.vcpu[0], 2), 1);
	EXPECT_EQ(get_x(m.vcpu[0], 3), 6);
	EXPECT_EQ(get_x(m.vcpu[0], 4), 0);
	machine_free(&m);
}

/* FEAT_PMUv3p5; with PMCR_EL0.LP overflow is at 64 bits as well. */
TEST(counters_have_64_bits)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM);

	EXPECT(get_reg(m.vcpu[0], REG_DFR0) >> 8 & 15);
	if ((get_reg(m.vcpu[0], REG_DFR0) >> 8 & 15) < 6)
		SKIP("no FEAT_PMUv3p5");
	all_off(&c);
	put_sys(&c, SYS_PMEVTYPER(0), SW_INCR);
	put_sys(&c, SYS_PMEVTYPER(1), CHAIN);
	put_sys(&c, SYS_PMEVTYPER(2), SW_INCR);
	put_sys(&c, SYS_PMEVCNTR(0), 0xffffffff);
	put_sys(&c, SYS_PMEVCNTR(1), 0);
	put_sys(&c, SYS_PMEVCNTR(2), ~0ull);
	put_sys(&c, SYS_PMCNTENSET, 7);
	put_sys(&c, SYS_PMCR, 1 | 1 << 7);
	li(&c, 1, 5);
	msr(&c, SYS_PMSWINC, 1);
	mrs(&c, 2, SYS_PMEVCNTR(0));
	mrs(&c, 3, SYS_PMEVCNTR(1));
	mrs(&c, 4, SYS_PMEVCNTR(2));
	mrs(&c, 5, SYS_PMOVSSET);
	report(&c, 5, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 4);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 0x100000000ull);
	EXPECT_EQ(get_x(m.vcpu[0], 3), 0);
	EXPECT_EQ(get_x(m.vcpu[0], 4), 0);
	machine_free(&m);
}

TEST(an_older_version_has_counters_of_32_bits)
{
	struct machine m = machine_with(FEATURE);
	struct code c = code_at(&m, RAM);
	uint64_t dfr0 = get_reg(m.vcpu[0], REG_DFR0);

	EXPECT_EQ(set_reg(m.vcpu[0], REG_DFR0, (dfr0 & ~0xf00ull) | 0x100), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	handler(&m);
	all_off(&c);
	put_sys(&c, SYS_PMEVTYPER(0), 0xffff);
	put_sys(&c, SYS_PMEVCNTR(0), 0x100000005ull);
	put_sys(&c, SYS_PMCR, 1 << 7);
	mrs(&c, 1, SYS_PMEVTYPER(0));
	mrs(&c, 2, SYS_PMEVCNTR(0));
	mrs(&c, 3, SYS_PMCR);
	mrs(&c, 4, SYS(3, 0, 9, 14, 6)); /* PMMIR_EL1 */
	report(&c, 1, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0x3ff);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 5);
	EXPECT_EQ(get_x(m.vcpu[0], 3) & 1 << 7, 0);
	machine_free(&m);
}

/* PMCR_EL0.LP that user space sets is there, and keeps counters from being chained; they overflow at 32 bits all the same. */
TEST(an_older_version_gets_no_long_counters_from_user_space)
{
	struct machine m = machine_with(FEATURE);
	struct code c = code_at(&m, RAM);
	uint64_t dfr0 = get_reg(m.vcpu[0], REG_DFR0), n = get_reg(m.vcpu[0], REG_PMCR) & 31 << 11;

	EXPECT_EQ(set_reg(m.vcpu[0], REG_PMCR, n | 1 << 7), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], REG_DFR0, (dfr0 & ~0xf00ull) | 0x100), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	for (int i = 0; i < 2; i++) {
		all_off(&c);
		mrs(&c, 1, SYS_PMCR);
		put_sys(&c, SYS_PMEVTYPER(0), SW_INCR);
		put_sys(&c, SYS_PMEVTYPER(1), CHAIN);
		put_sys(&c, SYS_PMEVCNTR(0), 0xffffffff);
		put_sys(&c, SYS_PMEVCNTR(1), 5);
		put_sys(&c, SYS_PMCNTENSET, 3);
		li(&c, 3, 1);
		msr(&c, SYS_PMSWINC, 3);
		mrs(&c, 4, SYS_PMOVSSET);
		mrs(&c, 5, SYS_PMEVCNTR(1));
		mrs(&c, 6, SYS_PMEVCNTR(2));
		report(&c, 4, 0);
	}
	code_done(&m);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(set_reg(m.vcpu[0], REG_PMEVCNTR(2), 0x500000007ull), 0);
		EXPECT_EQ(set_reg(m.vcpu[0], REG_PMOVSSET, 0), 0);
		EXPECT_EQ(set_reg(m.vcpu[0], REG_PMCR, n | 1 << 7 | 1), 0);
		EXPECT_REPORT(&m, 0, 0, 1);
		EXPECT_EQ(get_x(m.vcpu[0], 1) & 1 << 7, 1 << 7);
		EXPECT_EQ(get_x(m.vcpu[0], 5), 5);
		EXPECT_EQ(get_x(m.vcpu[0], 6), 7);
	}
	machine_free(&m);
}

/* A loop of 1000 rounds of three instructions, one of them a system call: apart by exception level. */
TEST(instructions_are_counted_exactly)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM), u = code_at(&m, USER), v = code_at(&m, VECTORS + 0x400);
	uint64_t top, exit;

	all_off(&c);
	mrs(&c, 9, SYS_PMCEID0);
	put_sys(&c, SYS_PMEVTYPER(0), INST_RETIRED | NOT_EL1);
	put_sys(&c, SYS_PMEVTYPER(1), INST_RETIRED | NOT_EL0);
	put_sys(&c, SYS_PMEVTYPER(2), INST_RETIRED);
	for (int i = 0; i < 3; i++)
		put_sys(&c, SYS_PMEVCNTR(i), 0);
	li(&c, 1, 1000);
	li(&c, 2, USER);
	msr(&c, SYS_ELR_EL1, 2);
	put_sys(&c, SYS_SPSR_EL1, 0x3c0);
	put_sys(&c, SYS_PMCNTENSET, 7);
	put_sys(&c, SYS_PMCR, 1);
	put(&c, A64_ERET);
	top = u.pc;
	put(&u, 0xd4000001u); /* svc */
	sub_imm(&u, 1, 1, 1);
	cbnz_to(&u, 1, top);
	li(&u, 8, 1);
	put(&u, 0xd4000001u);
	/* The handler: off and report if x8 is set. */
	exit = v.pc + 8;
	cbnz_to(&v, 8, exit);
	put(&v, A64_ERET);
	put_sys(&v, SYS_PMCR, 0);
	mrs(&v, 3, SYS_PMEVCNTR(0));
	mrs(&v, 4, SYS_PMEVCNTR(1));
	mrs(&v, 5, SYS_PMEVCNTR(2));
	report(&v, 3, 0);
	EXPECT_EQ(set_reg(m.vcpu[0], ARM64_SYS_REG(3, 0, 12, 0, 0), VECTORS), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.regs[8]), 0), 0);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	if (!(get_x(m.vcpu[0], 9) >> INST_RETIRED & 1)) {
		machine_free(&m);
		SKIP("this PMU does not count instructions");
	}
	EXPECT_EQ(get_x(m.vcpu[0], 3), 3 * 1000 + 2);
	EXPECT_EQ(get_x(m.vcpu[0], 4), 1 + 2 * 1000 + 2);
	EXPECT_EQ(get_x(m.vcpu[0], 5), 5 * 1000 + 5);
	machine_free(&m);
}

TEST(cycles_are_counted_and_restored)
{
	struct machine m = pmu_machine();
	struct code c = code_at(&m, RAM);
	uint64_t top;

	EXPECT_EQ(set_reg(m.vcpu[0], REG_PMCCNTR, 0x123456789abcull), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], ARM64_SYS_REG(3, 3, 9, 12, 2), CYCLE), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], REG_PMOVSSET, 0), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], REG_PMCR, get_reg(m.vcpu[0], REG_PMCR) | 1), 0);
	li(&c, 1, 10000);
	top = c.pc;
	sub_imm(&c, 1, 1, 1);
	cbnz_to(&c, 1, top);
	mrs(&c, 2, SYS_PMCCNTR);
	report(&c, 2, 0);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT(get_x(m.vcpu[0], 2) > 0x123456789abcull + 100);
	EXPECT(get_reg(m.vcpu[0], REG_PMCCNTR) >= get_x(m.vcpu[0], 2));
#ifndef ANYKVM_REAL
	EXPECT_EQ(get_x(m.vcpu[0], 2), 0x123456789abcull + 1 + 20000);
#endif
	machine_free(&m);
}

/* The overflow interrupt is a level: up while an enabled overflow is set, down when it is cleared. */
TEST(overflow_raises_the_interrupt)
{
	struct machine m = machine_with(FEATURE);
	struct code c = code_at(&m, RAM), v = code_at(&m, VECTORS + 0x280);
	int gic = make_gic(&m), irq = 23;
	uint64_t spin;

	init_gic(gic);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), 0);
	EXPECT_EQ(set_pmu(&m, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], ARM64_SYS_REG(3, 0, 12, 0, 0), VECTORS), 0);
	irq_on(&c);
	all_off(&c);
	put_sys(&c, SYS_PMINTENSET, CYCLE);
	put_sys(&c, SYS_PMCCNTR, ~0ull - 100000);
	put_sys(&c, SYS_PMCCFILTR, 0);
	put_sys(&c, SYS_PMCNTENSET, CYCLE);
	put_sys(&c, SYS_PMCR, 1 | 1 << 6);
	daifclr(&c, 2);
	spin = c.pc;
	b_to(&c, spin);
	mrs(&v, 3, SYS_ICC_IAR1_EL1);
	mrs(&v, 4, SYS_PMOVSSET);
	report(&v, 3, 0);
	li(&v, 0, CYCLE);
	msr(&v, SYS_PMOVSCLR, 0);
	put(&v, A64_ISB);
	msr(&v, SYS_ICC_EOIR1_EL1, 3);
	put(&v, A64_ISB);
	daifclr(&v, 2);
	report(&v, 4, 8);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 23);
	EXPECT_REPORT(&m, 0, 8, CYCLE);
	EXPECT_EQ(close(gic), 0);
	machine_free(&m);
}
