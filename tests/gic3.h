/* SPDX-License-Identifier: MIT */
/* A GICv3 by its steps, for tests that may stop before the last; after a header with ioctl and the KVM ABI. */
#ifndef ANYKVM_TESTS_GIC3_H
#define ANYKVM_TESTS_GIC3_H

/* Its device, and of the three steps (distributor, redistributors, init) the first nr, whatever they answer. Its descriptor or -1. */
static int gic3_begin(int vm, unsigned nr)
{
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3, .fd = -1};
	uint64_t dist = 0x8000000, redist = 0x80a0000;
	struct kvm_device_attr steps[] = {
		{.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
		 .attr = KVM_VGIC_V3_ADDR_TYPE_DIST,
		 .addr = (uintptr_t)&dist},
		{.group = KVM_DEV_ARM_VGIC_GRP_ADDR,
		 .attr = KVM_VGIC_V3_ADDR_TYPE_REDIST,
		 .addr = (uintptr_t)&redist},
		{.group = KVM_DEV_ARM_VGIC_GRP_CTRL, .attr = KVM_DEV_ARM_VGIC_CTRL_INIT},
	};

	ioctl(vm, KVM_CREATE_DEVICE, &cd);
	for (unsigned i = 0; i < nr; i++)
		ioctl(cd.fd, KVM_SET_DEVICE_ATTR, &steps[i]);
	return cd.fd;
}

#endif
