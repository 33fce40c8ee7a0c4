/* SPDX-License-Identifier: MIT */
/* What the first KVM_ARM_VCPU_INIT of a vCPU makes of it, and what a later one leaves as it is. */
#include "vmm.h"

static void start_over(struct machine *m)
{
	init_vcpu(m, 0, 0);
	ASSERT_EQ(set_reg(m->vcpu[0], CORE_REG(regs.pc), RAM), 0);
}

/* The VMM did not run the vCPU again after the access: its end comes upon the new beginning. */
TEST(an_access_that_is_not_finished_is_finished_after_the_reset)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	const uint64_t value = 0x123456789abcdef0;

	li(&c, 1, DEVICE);
	ldr(&c, 8, 5, 1, 0);
	c = code_at(&m, RAM + 0x100);
	put(&c, A64_NOP);
	report(&c, 5, 8);
	code_done(&m);
	ASSERT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m.run[0]->mmio.is_write, 0);
	memcpy(m.run[0]->mmio.data, &value, 8);
	start_over(&m);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM + 0x100), 0);
	m.run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(&m, 0), EINTR);
	m.run[0]->immediate_exit = 0;
	EXPECT_EQ(get_x(m.vcpu[0], 5), value);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pc)), RAM + 0x104);
	EXPECT_REPORT(&m, 0, 8, value);
	machine_free(&m);
}

/* Unknown after a reset, says the architecture; the rest of the core registers are 0. */
TEST(what_an_exception_left_outlives_the_reset)
{
	struct machine m = machine_new(1);
	static const uint64_t kept[] = {CORE_REG(sp_el1), CORE_REG(elr_el1), CORE_REG(spsr[0])};

	for (unsigned i = 0; i < 3; i++)
		ASSERT_EQ(set_reg(m.vcpu[0], kept[i], 0x3c0 + i), 0);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.sp), 5), 0);
	init_vcpu(&m, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		EXPECT_EQ(get_reg(m.vcpu[0], kept[i]), 0x3c0 + i);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.sp)), 0);
	machine_free(&m);
}

static int get_redist(int gic, uint64_t mpidr, uint32_t *value)
{
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
				    .attr = mpidr << 32,
				    .addr = (uintptr_t)value};

	return ioctl(gic, KVM_GET_DEVICE_ATTR, &a);
}

/* Its affinity is 0 till then, whatever its number is. */
TEST(a_vcpu_has_its_affinity_from_its_first_initialisation_on)
{
	struct machine m = machine_new(1);
	struct kvm_create_device gic = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	uint64_t where[2] = {0x08000000, 0x080a0000};
	uint32_t value;

	add_vcpu(&m);
	ASSERT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &gic), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
					    .attr = i ? KVM_VGIC_V3_ADDR_TYPE_REDIST
						      : KVM_VGIC_V3_ADDR_TYPE_DIST,
					    .addr = (uintptr_t)&where[i]};

		ASSERT_EQ(ioctl(gic.fd, KVM_SET_DEVICE_ATTR, &a), 0);
	}
	ASSERT_EQ(ioctl(gic.fd, KVM_SET_DEVICE_ATTR,
			&(struct kvm_device_attr){.group = KVM_DEV_ARM_VGIC_GRP_CTRL}),
		  0);
	EXPECT_EQ(get_redist(gic.fd, 0, &value), 0);
	EXPECT_ERRNO(get_redist(gic.fd, 1, &value), EINVAL);
	init_vcpu(&m, 1, 0);
	EXPECT_EQ(get_redist(gic.fd, 1, &value), 0);
	EXPECT_ERRNO(get_redist(gic.fd, 2, &value), EINVAL);
	close(gic.fd);
	machine_free(&m);
}

/* Features are the machine's. */
TEST(a_vcpu_that_is_not_initialised_has_the_counters_of_its_machine)
{
	struct machine m = machine_without_vcpus();
	struct kvm_device_attr a = {.group = KVM_ARM_VCPU_PMU_V3_CTRL,
				    .attr = KVM_ARM_VCPU_PMU_V3_IRQ};

	if (!ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3)) {
		machine_free(&m);
		SKIP("no performance counters");
	}
	add_vcpu(&m);
	add_vcpu(&m);
	EXPECT_ERRNO(ioctl(m.vcpu[1], KVM_HAS_DEVICE_ATTR, &a), ENXIO);
	init_vcpu(&m, 0, 1u << KVM_ARM_VCPU_PMU_V3);
	EXPECT_EQ(ioctl(m.vcpu[1], KVM_HAS_DEVICE_ATTR, &a), 0);
	machine_free(&m);
}
