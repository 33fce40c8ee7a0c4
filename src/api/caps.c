/* SPDX-License-Identifier: MIT */
/*
 * Capabilities that mean something on arm64. A number that is not in the table answers 0, and so does a feature that does not
 * work yet: to a VMM that is a KVM host without it.
 */
#include <errno.h>

#include "api/api.h"
#include "host/cpus.h"
#include "vcpu/breakpoint.h"
#include "vcpu/onereg.h"

struct cap_row {
	u32 cap;
	const char *name;
	s64 value;
	/* Instead of value, if set. vm is NULL on the system handle. */
	s64 (*get)(struct vm *vm);
};

static s64 nr_vcpus(struct vm *vm)
{
	return MIN(host_nr_cpus(), (u32)VCPU_MAX);
}

static s64 max_vcpus(struct vm *vm)
{
	return vm ? irq_max_vcpus(&vm->irq) : VCPU_MAX;
}

/* Only a VM can tell. */
static s64 msi_devid(struct vm *vm)
{
	return vm ? irq_has_its(&vm->irq) : -EINVAL;
}

/* Only a VM can tell. */
static s64 vm_only_zero(struct vm *vm)
{
	return vm ? 0 : -EINVAL;
}

static s64 guest_debug_flags(struct vm *vm)
{
	return vcpu_guest_debug_mask();
}

/* Off until a VM turns it on. */
static s64 split_chunk(struct vm *vm)
{
	return vm ? mem_split_chunk(&vm->mem) : 0;
}

/* An extension, offered to VMs of handles that asked for it. */
static s64 memory_attributes(struct vm *vm)
{
	return vm && vm->mem.attributes_on ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

static s64 pre_fault_memory(struct vm *vm)
{
	return vm && vm->mem.attributes_on;
}

#define ROUTES 4096
#define SLOTS  32767

static const struct cap_row rows[] = {
	{KVM_CAP_IRQCHIP, "IRQCHIP", 1, NULL},
	{KVM_CAP_USER_MEMORY, "USER_MEMORY", 1, NULL},
	{KVM_CAP_NR_VCPUS, "NR_VCPUS", 0, nr_vcpus},
	{KVM_CAP_NR_MEMSLOTS, "NR_MEMSLOTS", SLOTS, NULL},
	{KVM_CAP_MP_STATE, "MP_STATE", 1, NULL},
	{KVM_CAP_COALESCED_MMIO, "COALESCED_MMIO", KVM_COALESCED_MMIO_PAGE_OFFSET, NULL},
	{KVM_CAP_SYNC_MMU, "SYNC_MMU", 1, NULL},
	{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "DESTROY_MEMORY_REGION_WORKS", 1, NULL},
	{KVM_CAP_SET_GUEST_DEBUG, "SET_GUEST_DEBUG", 1, NULL},
	{KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING", ROUTES, NULL},
	{KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "JOIN_MEMORY_REGIONS_WORKS", 1, NULL},
	{KVM_CAP_IRQFD, "IRQFD", 1, NULL},
	{KVM_CAP_IOEVENTFD, "IOEVENTFD", 1, NULL},
	{KVM_CAP_INTERNAL_ERROR_DATA, "INTERNAL_ERROR_DATA", 1, NULL},
	{KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS", 1, NULL},
	{KVM_CAP_MAX_VCPUS, "MAX_VCPUS", 0, max_vcpus},
	{KVM_CAP_ONE_REG, "ONE_REG", 1, NULL},
	{KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI", 1, NULL},
	{KVM_CAP_READONLY_MEM, "READONLY_MEM", 1, NULL},
	{KVM_CAP_IRQFD_RESAMPLE, "IRQFD_RESAMPLE", 1, NULL},
	{KVM_CAP_ARM_PSCI, "ARM_PSCI", 1, NULL},
	{KVM_CAP_ARM_SET_DEVICE_ADDR, "ARM_SET_DEVICE_ADDR", 1, NULL},
	{KVM_CAP_DEVICE_CTRL, "DEVICE_CTRL", 1, NULL},
	{KVM_CAP_ARM_EL1_32BIT, "ARM_EL1_32BIT", 0, NULL},
	{KVM_CAP_ENABLE_CAP_VM, "ENABLE_CAP_VM", 1, NULL},
	{KVM_CAP_ARM_PSCI_0_2, "ARM_PSCI_0_2", 1, NULL},
	{KVM_CAP_CHECK_EXTENSION_VM, "CHECK_EXTENSION_VM", 1, NULL},
	{KVM_CAP_GUEST_DEBUG_HW_BPS, "GUEST_DEBUG_HW_BPS", NR_BRPS, NULL},
	{KVM_CAP_GUEST_DEBUG_HW_WPS, "GUEST_DEBUG_HW_WPS", NR_WRPS, NULL},
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, "IOEVENTFD_ANY_LENGTH", 1, NULL},
	{KVM_CAP_ARM_PMU_V3, "ARM_PMU_V3", 1, NULL},
	{KVM_CAP_VCPU_ATTRIBUTES, "VCPU_ATTRIBUTES", 1, NULL},
	{KVM_CAP_MAX_VCPU_ID, "MAX_VCPU_ID", VCPU_MAX, NULL},
	{KVM_CAP_MSI_DEVID, "MSI_DEVID", 0, msi_devid},
	{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT", 1, NULL},
	{KVM_CAP_ARM_USER_IRQ, "ARM_USER_IRQ", 1, NULL},
	{KVM_CAP_ARM_INJECT_SERROR_ESR, "ARM_INJECT_SERROR_ESR", 1, NULL},
	{KVM_CAP_COALESCED_PIO, "COALESCED_PIO", 1, NULL},
	{KVM_CAP_ARM_VM_IPA_SIZE, "ARM_VM_IPA_SIZE", VM_IPA_BITS_MAX, NULL},
	{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, "MANUAL_DIRTY_LOG_PROTECT2",
	 KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET, NULL},
	{KVM_CAP_ARM_SVE, "ARM_SVE", 0, NULL},
	{KVM_CAP_ARM_PTRAUTH_ADDRESS, "ARM_PTRAUTH_ADDRESS", 1, NULL},
	{KVM_CAP_ARM_PTRAUTH_GENERIC, "ARM_PTRAUTH_GENERIC", 1, NULL},
	{KVM_CAP_ARM_IRQ_LINE_LAYOUT_2, "ARM_IRQ_LINE_LAYOUT_2", 1, NULL},
	{KVM_CAP_ARM_NISV_TO_USER, "ARM_NISV_TO_USER", 1, NULL},
	{KVM_CAP_ARM_INJECT_EXT_DABT, "ARM_INJECT_EXT_DABT", 1, NULL},
	{KVM_CAP_HALT_POLL, "HALT_POLL", 1, NULL},
	{KVM_CAP_STEAL_TIME, "STEAL_TIME", 1, NULL},
	{KVM_CAP_SET_GUEST_DEBUG2, "SET_GUEST_DEBUG2", 0, guest_debug_flags},
	{KVM_CAP_PTP_KVM, "PTP_KVM", 1, NULL},
	{KVM_CAP_BINARY_STATS_FD, "BINARY_STATS_FD", 1, NULL},
	{KVM_CAP_ARM_MTE, "ARM_MTE", 0, NULL},
	{KVM_CAP_SYSTEM_EVENT_DATA, "SYSTEM_EVENT_DATA", 1, NULL},
	{KVM_CAP_ARM_SYSTEM_SUSPEND, "ARM_SYSTEM_SUSPEND", 1, NULL},
	{KVM_CAP_DIRTY_LOG_RING_ACQ_REL, "DIRTY_LOG_RING_ACQ_REL",
	 DIRTY_RING_MAX_ENTRIES * sizeof(struct kvm_dirty_gfn), NULL},
	{KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, "DIRTY_LOG_RING_WITH_BITMAP", 1, NULL},
	{KVM_CAP_COUNTER_OFFSET, "COUNTER_OFFSET", 1, NULL},
	{KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, "ARM_EAGER_SPLIT_CHUNK_SIZE", 0, split_chunk},
	{KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES, "ARM_SUPPORTED_BLOCK_SIZES", MEM_BLOCK_SIZES, NULL},
	{KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES, "ARM_SUPPORTED_REG_MASK_RANGES",
	 BIT(KVM_ARM_FEATURE_ID_RANGE), NULL},
	{KVM_CAP_USER_MEMORY2, "USER_MEMORY2", 1, NULL},
	{KVM_CAP_MEMORY_ATTRIBUTES, "MEMORY_ATTRIBUTES", 0, memory_attributes},
	{KVM_CAP_GUEST_MEMFD, "GUEST_MEMFD", 1, NULL},
	{KVM_CAP_PRE_FAULT_MEMORY, "PRE_FAULT_MEMORY", 0, pre_fault_memory},
	{KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, "ARM_WRITABLE_IMP_ID_REGS", 1, NULL},
	{KVM_CAP_ARM_EL2, "ARM_EL2", 0, NULL},
	{KVM_CAP_ARM_EL2_E2H0, "ARM_EL2_E2H0", 0, NULL},
	{KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED, "ARM_CACHEABLE_PFNMAP_SUPPORTED", 0, vm_only_zero},
	{KVM_CAP_GUEST_MEMFD_FLAGS, "GUEST_MEMFD_FLAGS",
	 GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED, NULL},
	{KVM_CAP_ARM_SEA_TO_USER, "ARM_SEA_TO_USER", 0, NULL},
};

static const struct cap_row *caps_find(u64 cap)
{
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].cap == cap)
			return &rows[i];
	return NULL;
}

s64 caps_check(struct vm *vm, u64 cap)
{
	const struct cap_row *row = caps_find(cap);

	if (!row)
		return 0;
	return row->get ? row->get(vm) : row->value;
}

const char *anykvm_cap_name(unsigned int cap)
{
	const struct cap_row *row = caps_find(cap);

	return row ? row->name : NULL;
}
