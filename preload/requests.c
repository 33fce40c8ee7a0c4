/* SPDX-License-Identifier: MIT */
#include "requests.h"

#include <sys/ioctl.h>

#include <anykvm.h>

#define NR(array) (sizeof(array) / sizeof((array)[0]))
#define F(type, member, format)                                                                    \
	{                                                                                          \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member), format \
	}

static const struct field region[] = {
	F(kvm_userspace_memory_region2, slot, FIELD_DECIMAL),
	F(kvm_userspace_memory_region2, flags, FIELD_SLOT_FLAGS),
	F(kvm_userspace_memory_region2, guest_phys_addr, FIELD_HEX),
	F(kvm_userspace_memory_region2, memory_size, FIELD_HEX),
	F(kvm_userspace_memory_region2, userspace_addr, FIELD_HEX),
	/* The rest only of the second request. */
	F(kvm_userspace_memory_region2, guest_memfd_offset, FIELD_HEX),
	F(kvm_userspace_memory_region2, guest_memfd, FIELD_SIGNED),
	F(kvm_userspace_memory_region2, pad1, FIELD_ZERO),
	F(kvm_userspace_memory_region2, pad2, FIELD_ZERO),
};
#define NR_REGION_1 5

static const struct field dirty_log[] = {
	F(kvm_dirty_log, slot, FIELD_DECIMAL),
	F(kvm_dirty_log, dirty_bitmap, FIELD_HEX),
	F(kvm_dirty_log, padding1, FIELD_ZERO),
};
static const struct field clear_dirty_log[] = {
	F(kvm_clear_dirty_log, slot, FIELD_DECIMAL),
	F(kvm_clear_dirty_log, first_page, FIELD_HEX),
	F(kvm_clear_dirty_log, num_pages, FIELD_DECIMAL),
};
static const struct field one_reg[] = {F(kvm_one_reg, id, FIELD_REGISTER)};
static const struct field reg_list[] = {F(kvm_reg_list, n, FIELD_DECIMAL)};
static const struct field vcpu_init[] = {
	F(kvm_vcpu_init, target, FIELD_DECIMAL),
	F(kvm_vcpu_init, features[0], FIELD_FEATURES),
};
static const struct field mp_state[] = {F(kvm_mp_state, mp_state, FIELD_MP_STATE)};
static const struct field vcpu_events[] = {
	F(kvm_vcpu_events, exception.serror_pending, FIELD_DECIMAL),
	F(kvm_vcpu_events, exception.serror_has_esr, FIELD_DECIMAL),
	F(kvm_vcpu_events, exception.ext_dabt_pending, FIELD_DECIMAL),
	F(kvm_vcpu_events, exception.serror_esr, FIELD_HEX),
	F(kvm_vcpu_events, exception.pad, FIELD_ZERO),
	F(kvm_vcpu_events, reserved, FIELD_ZERO),
};
static const struct field guest_debug[] = {
	F(kvm_guest_debug, control, FIELD_DEBUG),
	F(kvm_guest_debug, pad, FIELD_ZERO),
};
static const struct field create_device[] = {
	F(kvm_create_device, type, FIELD_DEVICE),
	F(kvm_create_device, flags, FIELD_DEVICE_FLAGS),
	F(kvm_create_device, fd, FIELD_OUT),
};
static const struct field device_attr[] = {
	F(kvm_device_attr, group, FIELD_DECIMAL),
	F(kvm_device_attr, attr, FIELD_HEX),
	F(kvm_device_attr, addr, FIELD_HEX),
	F(kvm_device_attr, flags, FIELD_ZERO),
};
static const struct field irq_level[] = {
	F(kvm_irq_level, irq, FIELD_IRQ_LINE),
	F(kvm_irq_level, level, FIELD_DECIMAL),
};
static const struct field irqfd[] = {
	F(kvm_irqfd, fd, FIELD_SIGNED),		F(kvm_irqfd, gsi, FIELD_DECIMAL),
	F(kvm_irqfd, flags, FIELD_IRQFD_FLAGS), F(kvm_irqfd, resamplefd, FIELD_SIGNED),
	F(kvm_irqfd, pad, FIELD_ZERO),
};
static const struct field ioeventfd[] = {
	F(kvm_ioeventfd, addr, FIELD_HEX),	F(kvm_ioeventfd, len, FIELD_DECIMAL),
	F(kvm_ioeventfd, fd, FIELD_SIGNED),	F(kvm_ioeventfd, flags, FIELD_IOEVENTFD_FLAGS),
	F(kvm_ioeventfd, datamatch, FIELD_HEX), F(kvm_ioeventfd, pad, FIELD_ZERO),
};
static const struct field zone[] = {
	F(kvm_coalesced_mmio_zone, addr, FIELD_HEX),
	F(kvm_coalesced_mmio_zone, size, FIELD_HEX),
	F(kvm_coalesced_mmio_zone, pad, FIELD_ZERO),
};
static const struct field msi[] = {
	F(kvm_msi, address_lo, FIELD_HEX), F(kvm_msi, address_hi, FIELD_HEX),
	F(kvm_msi, data, FIELD_HEX),	   F(kvm_msi, flags, FIELD_MSI_FLAGS),
	F(kvm_msi, devid, FIELD_HEX),	   F(kvm_msi, pad, FIELD_ZERO),
};
static const struct field routing[] = {
	F(kvm_irq_routing, nr, FIELD_DECIMAL),
	F(kvm_irq_routing, flags, FIELD_HEX),
};
static const struct field device_addr[] = {
	F(kvm_arm_device_addr, id, FIELD_HEX),
	F(kvm_arm_device_addr, addr, FIELD_HEX),
};
static const struct field enable_cap[] = {
	F(kvm_enable_cap, cap, FIELD_CAP),
	F(kvm_enable_cap, flags, FIELD_HEX),
	F(kvm_enable_cap, args[0], FIELD_HEX),
	F(kvm_enable_cap, pad, FIELD_ZERO),
};
static const struct field guest_memfd[] = {
	F(kvm_create_guest_memfd, size, FIELD_HEX),
	F(kvm_create_guest_memfd, flags, FIELD_HEX),
	F(kvm_create_guest_memfd, reserved, FIELD_ZERO),
};
static const struct field attributes[] = {
	F(kvm_memory_attributes, address, FIELD_HEX),
	F(kvm_memory_attributes, size, FIELD_HEX),
	F(kvm_memory_attributes, attributes, FIELD_HEX),
	F(kvm_memory_attributes, flags, FIELD_ZERO),
};
static const struct field counter_offset[] = {
	F(kvm_arm_counter_offset, counter_offset, FIELD_HEX),
	F(kvm_arm_counter_offset, reserved, FIELD_ZERO),
};
static const struct field copy_tags[] = {
	F(kvm_arm_copy_mte_tags, guest_ipa, FIELD_HEX), F(kvm_arm_copy_mte_tags, length, FIELD_HEX),
	F(kvm_arm_copy_mte_tags, addr, FIELD_HEX),	F(kvm_arm_copy_mte_tags, flags, FIELD_HEX),
	F(kvm_arm_copy_mte_tags, reserved, FIELD_ZERO),
};
static const struct field mask_range[] = {
	F(reg_mask_range, addr, FIELD_HEX),
	F(reg_mask_range, range, FIELD_DECIMAL),
	F(reg_mask_range, reserved, FIELD_ZERO),
};
static const struct field pre_fault[] = {
	F(kvm_pre_fault_memory, gpa, FIELD_HEX),
	F(kvm_pre_fault_memory, size, FIELD_HEX),
	F(kvm_pre_fault_memory, flags, FIELD_HEX),
	F(kvm_pre_fault_memory, padding, FIELD_ZERO),
};
static const struct field finalize[] = {{"feature", 0, sizeof(int), FIELD_FEATURE}};
static const struct field smccc_filter[] = {
	F(kvm_smccc_filter, base, FIELD_HEX),
	F(kvm_smccc_filter, nr_functions, FIELD_DECIMAL),
	F(kvm_smccc_filter, action, FIELD_SMCCC_ACTION),
};
static const struct field pmu_filter[] = {
	F(kvm_pmu_event_filter, base_event, FIELD_HEX),
	F(kvm_pmu_event_filter, nevents, FIELD_DECIMAL),
	F(kvm_pmu_event_filter, action, FIELD_PMU_ACTION),
};
static const struct field signal_mask[] = {F(kvm_signal_mask, len, FIELD_DECIMAL)};

#define PLAIN(number, capability)                                            \
	{                                                                    \
		.request = number, .cap = capability, .argument = FIELD_ZERO \
	}
#define NUMBER(number, capability, format)                               \
	{                                                                \
		.request = number, .cap = capability, .argument = format \
	}
#define STRUCT_N(number, capability, members, count)                                             \
	{                                                                                        \
		.request = number, .cap = capability, .argument = FIELD_ZERO, .fields = members, \
		.nr_fields = count                                                               \
	}
#define STRUCT(number, capability, members) STRUCT_N(number, capability, members, NR(members))
#define ANSWER(number, capability, members)                                                      \
	{                                                                                        \
		.request = number, .cap = capability, .argument = FIELD_ZERO, .fields = members, \
		.nr_fields = NR(members), .out = true                                            \
	}

static const struct request_info system_requests[] = {
	PLAIN(KVM_GET_API_VERSION, NO_CAP),
	NUMBER(KVM_CREATE_VM, NO_CAP, FIELD_HEX),
	NUMBER(KVM_CHECK_EXTENSION, NO_CAP, FIELD_CAP),
	PLAIN(KVM_GET_VCPU_MMAP_SIZE, NO_CAP),
};

static const struct request_info vm_requests[] = {
	NUMBER(KVM_CREATE_VCPU, NO_CAP, FIELD_DECIMAL),
	NUMBER(KVM_CHECK_EXTENSION, KVM_CAP_CHECK_EXTENSION_VM, FIELD_CAP),
	STRUCT_N(KVM_SET_USER_MEMORY_REGION, KVM_CAP_USER_MEMORY, region, NR_REGION_1),
	STRUCT(KVM_SET_USER_MEMORY_REGION2, KVM_CAP_USER_MEMORY2, region),
	STRUCT(KVM_CREATE_GUEST_MEMFD, KVM_CAP_GUEST_MEMFD, guest_memfd),
	STRUCT(KVM_SET_MEMORY_ATTRIBUTES, KVM_CAP_MEMORY_ATTRIBUTES, attributes),
	STRUCT(KVM_GET_DIRTY_LOG, NO_CAP, dirty_log),
	STRUCT(KVM_CLEAR_DIRTY_LOG, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, clear_dirty_log),
	PLAIN(KVM_RESET_DIRTY_RINGS, KVM_CAP_DIRTY_LOG_RING_ACQ_REL),
	PLAIN(KVM_CREATE_IRQCHIP, KVM_CAP_IRQCHIP),
	STRUCT(KVM_CREATE_DEVICE, KVM_CAP_DEVICE_CTRL, create_device),
	STRUCT(KVM_IRQ_LINE, KVM_CAP_IRQCHIP, irq_level),
	STRUCT(KVM_IRQ_LINE_STATUS, KVM_CAP_IRQCHIP, irq_level),
	STRUCT(KVM_IRQFD, KVM_CAP_IRQFD, irqfd),
	STRUCT(KVM_IOEVENTFD, KVM_CAP_IOEVENTFD, ioeventfd),
	STRUCT(KVM_REGISTER_COALESCED_MMIO, KVM_CAP_COALESCED_MMIO, zone),
	STRUCT(KVM_UNREGISTER_COALESCED_MMIO, KVM_CAP_COALESCED_MMIO, zone),
	STRUCT(KVM_SIGNAL_MSI, KVM_CAP_SIGNAL_MSI, msi),
	STRUCT(KVM_SET_GSI_ROUTING, KVM_CAP_IRQ_ROUTING, routing),
	STRUCT(KVM_ENABLE_CAP, KVM_CAP_ENABLE_CAP_VM, enable_cap),
	/* KVM_CAP_VM_ATTRIBUTES is not of arm64, where these are there all the same. */
	STRUCT(KVM_SET_DEVICE_ATTR, NO_CAP, device_attr),
	STRUCT(KVM_HAS_DEVICE_ATTR, NO_CAP, device_attr),
	STRUCT(KVM_ARM_SET_DEVICE_ADDR, KVM_CAP_ARM_SET_DEVICE_ADDR, device_addr),
	ANSWER(KVM_ARM_PREFERRED_TARGET, NO_CAP, vcpu_init),
	STRUCT(KVM_ARM_SET_COUNTER_OFFSET, KVM_CAP_COUNTER_OFFSET, counter_offset),
	STRUCT(KVM_ARM_GET_REG_WRITABLE_MASKS, KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES, mask_range),
	STRUCT(KVM_ARM_MTE_COPY_TAGS, KVM_CAP_ARM_MTE, copy_tags),
	PLAIN(KVM_GET_STATS_FD, KVM_CAP_BINARY_STATS_FD),
};

static const struct request_info vcpu_requests[] = {
	PLAIN(KVM_RUN, NO_CAP),
	STRUCT(KVM_ARM_VCPU_INIT, NO_CAP, vcpu_init),
	STRUCT(KVM_ARM_VCPU_FINALIZE, NO_CAP, finalize),
	STRUCT(KVM_PRE_FAULT_MEMORY, KVM_CAP_PRE_FAULT_MEMORY, pre_fault),
	STRUCT(KVM_GET_ONE_REG, KVM_CAP_ONE_REG, one_reg),
	STRUCT(KVM_SET_ONE_REG, KVM_CAP_ONE_REG, one_reg),
	STRUCT(KVM_GET_REG_LIST, KVM_CAP_ONE_REG, reg_list),
	ANSWER(KVM_GET_MP_STATE, KVM_CAP_MP_STATE, mp_state),
	STRUCT(KVM_SET_MP_STATE, KVM_CAP_MP_STATE, mp_state),
	ANSWER(KVM_GET_VCPU_EVENTS, KVM_CAP_VCPU_EVENTS, vcpu_events),
	STRUCT(KVM_SET_VCPU_EVENTS, KVM_CAP_VCPU_EVENTS, vcpu_events),
	STRUCT(KVM_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG, guest_debug),
	STRUCT(KVM_SET_SIGNAL_MASK, NO_CAP, signal_mask),
	STRUCT(KVM_ENABLE_CAP, KVM_CAP_ENABLE_CAP, enable_cap),
	STRUCT(KVM_SET_DEVICE_ATTR, KVM_CAP_VCPU_ATTRIBUTES, device_attr),
	STRUCT(KVM_GET_DEVICE_ATTR, KVM_CAP_VCPU_ATTRIBUTES, device_attr),
	STRUCT(KVM_HAS_DEVICE_ATTR, KVM_CAP_VCPU_ATTRIBUTES, device_attr),
	PLAIN(KVM_GET_STATS_FD, KVM_CAP_BINARY_STATS_FD),
};

static const struct request_info device_requests[] = {
	STRUCT(KVM_SET_DEVICE_ATTR, NO_CAP, device_attr),
	STRUCT(KVM_GET_DEVICE_ATTR, NO_CAP, device_attr),
	STRUCT(KVM_HAS_DEVICE_ATTR, NO_CAP, device_attr),
};

static const struct {
	const struct request_info *info;
	size_t nr;
} by_kind[] = {
	[ANYKVM_FD_SYSTEM] = {system_requests, NR(system_requests)},
	[ANYKVM_FD_VM] = {vm_requests, NR(vm_requests)},
	[ANYKVM_FD_VCPU] = {vcpu_requests, NR(vcpu_requests)},
	[ANYKVM_FD_DEVICE] = {device_requests, NR(device_requests)},
};

const struct request_info *request_info_find(int kind, unsigned long request)
{
	if (kind < 0 || (size_t)kind >= NR(by_kind))
		return NULL;
	for (size_t i = 0; i < by_kind[kind].nr; i++)
		if (by_kind[kind].info[i].request == (uint32_t)request)
			return &by_kind[kind].info[i];
	return NULL;
}

const char *request_name(uint32_t request)
{
	static const struct {
		uint32_t request;
		const char *name;
	} names[] = {
#include "request_names.inc"
	};

	for (size_t i = 0; i < NR(names); i++)
		if (names[i].request == request)
			return names[i].name;
	return NULL;
}

const struct layout *attribute_layout(int kind, const struct kvm_device_attr *attr)
{
	static const struct layout smccc = {smccc_filter, NR(smccc_filter),
					    sizeof(struct kvm_smccc_filter)};
	static const struct layout pmu = {pmu_filter, NR(pmu_filter),
					  sizeof(struct kvm_pmu_event_filter)};

	if (kind == ANYKVM_FD_VM && attr->group == KVM_ARM_VM_SMCCC_CTRL &&
	    attr->attr == KVM_ARM_VM_SMCCC_FILTER)
		return &smccc;
	if (kind == ANYKVM_FD_VCPU && attr->group == KVM_ARM_VCPU_PMU_V3_CTRL &&
	    attr->attr == KVM_ARM_VCPU_PMU_V3_FILTER)
		return &pmu;
	return NULL;
}

unsigned vcpu_feature_cap(unsigned bit)
{
	static const uint16_t caps[] = {
		[KVM_ARM_VCPU_POWER_OFF] = NO_CAP,
		[KVM_ARM_VCPU_EL1_32BIT] = KVM_CAP_ARM_EL1_32BIT,
		[KVM_ARM_VCPU_PSCI_0_2] = KVM_CAP_ARM_PSCI_0_2,
		[KVM_ARM_VCPU_PMU_V3] = KVM_CAP_ARM_PMU_V3,
		[KVM_ARM_VCPU_SVE] = KVM_CAP_ARM_SVE,
		[KVM_ARM_VCPU_PTRAUTH_ADDRESS] = KVM_CAP_ARM_PTRAUTH_ADDRESS,
		[KVM_ARM_VCPU_PTRAUTH_GENERIC] = KVM_CAP_ARM_PTRAUTH_GENERIC,
		[KVM_ARM_VCPU_HAS_EL2] = KVM_CAP_ARM_EL2,
		[KVM_ARM_VCPU_HAS_EL2_E2H0] = KVM_CAP_ARM_EL2_E2H0,
	};

	return bit < NR(caps) ? caps[bit] : NO_CAP;
}
