/* SPDX-License-Identifier: MIT */
/* Tables of names, in the words of KVM's header and of the Arm manual. */
#include "names.h"

#include <anykvm.h>

#define NR(array) (sizeof(array) / sizeof((array)[0]))

/* Those of all machines: the library itself names only what means something on arm64. */
static const char *const caps[] = {
#include "cap_names.inc"
};

void name_cap(struct line *l, uint64_t cap)
{
	if (cap < NR(caps) && caps[cap])
		line_add(l, "KVM_CAP_%s", caps[cap]);
	else
		line_add(l, "%llu", (unsigned long long)cap);
}

struct names {
	bool bits; /* a name for each bit, not for each value */
	const char *name[20];
};

static const struct names by_format[] = {
	[FIELD_FEATURES] = {true,
			    {"POWER_OFF", "EL1_32BIT", "PSCI_0_2", "PMU_V3", "SVE",
			     "PTRAUTH_ADDRESS", "PTRAUTH_GENERIC", "HAS_EL2", "HAS_EL2_E2H0"}},
	[FIELD_FEATURE] = {false, {[KVM_ARM_VCPU_SVE] = "SVE"}}, /* no other is finalized */
	[FIELD_SLOT_FLAGS] = {true, {"LOG_DIRTY_PAGES", "READONLY", "GUEST_MEMFD"}},
	[FIELD_IRQFD_FLAGS] = {true, {"DEASSIGN", "RESAMPLE"}},
	[FIELD_IOEVENTFD_FLAGS] = {true, {"DATAMATCH", "PIO", "DEASSIGN", "VIRTIO_CCW_NOTIFY"}},
	[FIELD_DEBUG] = {true,
			 {[0] = "ENABLE", [1] = "SINGLESTEP", [16] = "USE_SW_BP", [17] = "USE_HW"}},
	[FIELD_MSI_FLAGS] = {true, {"VALID_DEVID"}},
	[FIELD_DEVICE_FLAGS] = {true, {"TEST"}},
	[FIELD_DEVICE] = {false,
			  {[KVM_DEV_TYPE_VFIO] = "VFIO",
			   [KVM_DEV_TYPE_ARM_VGIC_V2] = "ARM_VGIC_V2",
			   [KVM_DEV_TYPE_ARM_VGIC_V3] = "ARM_VGIC_V3",
			   [KVM_DEV_TYPE_ARM_VGIC_ITS] = "ARM_VGIC_ITS",
			   [KVM_DEV_TYPE_ARM_PV_TIME] = "ARM_PV_TIME",
			   [KVM_DEV_TYPE_ARM_VGIC_V5] = "ARM_VGIC_V5"}},
	[FIELD_SMCCC_ACTION] = {false,
				{[KVM_SMCCC_FILTER_HANDLE] = "HANDLE",
				 [KVM_SMCCC_FILTER_DENY] = "DENY",
				 [KVM_SMCCC_FILTER_FWD_TO_USER] = "FWD_TO_USER"}},
	[FIELD_PMU_ACTION] = {false,
			      {[KVM_PMU_EVENT_ALLOW] = "ALLOW", [KVM_PMU_EVENT_DENY] = "DENY"}},
	[FIELD_MP_STATE] = {false,
			    {[KVM_MP_STATE_RUNNABLE] = "RUNNABLE",
			     [KVM_MP_STATE_HALTED] = "HALTED",
			     [KVM_MP_STATE_STOPPED] = "STOPPED",
			     [KVM_MP_STATE_SUSPENDED] = "SUSPENDED"}},
};

static void name_bits(struct line *l, const struct names *names, uint64_t value)
{
	const char *between = "";

	for (unsigned bit = 0; bit < NR(names->name); bit++) {
		if (!(value >> bit & 1) || !names->name[bit])
			continue;
		line_add(l, "%s%s", between, names->name[bit]);
		value &= ~(1ull << bit);
		between = "|";
	}
	if (value || !*between)
		line_add(l, "%s0x%llx", between, (unsigned long long)value);
}

void name_value(struct line *l, enum field_format format, uint64_t value)
{
	const struct names *names = format < NR(by_format) ? &by_format[format] : NULL;

	if (names && names->bits)
		name_bits(l, names, value);
	else if (names && value < NR(names->name) && names->name[value])
		line_add(l, "%s", names->name[value]);
	else
		line_add(l, "0x%llx", (unsigned long long)value);
}

const char *device_name(unsigned type)
{
	switch (type) {
	case KVM_DEV_TYPE_ARM_VGIC_V2:
		return "gicv2";
	case KVM_DEV_TYPE_ARM_VGIC_V3:
		return "gicv3";
	case KVM_DEV_TYPE_ARM_VGIC_ITS:
		return "its";
	default:
		return NULL;
	}
}

/* As KVM_IRQ_LINE has it: a kind, a number, and for what is private of a vCPU that vCPU. */
void name_irq_line(struct line *l, uint64_t irq)
{
	static const char *const kinds[] = {"cpu", "spi", "ppi"};
	unsigned kind = irq >> KVM_ARM_IRQ_TYPE_SHIFT & KVM_ARM_IRQ_TYPE_MASK;
	unsigned number = irq & KVM_ARM_IRQ_NUM_MASK;
	unsigned vcpu = (irq >> KVM_ARM_IRQ_VCPU_SHIFT & KVM_ARM_IRQ_VCPU_MASK) +
			(irq >> KVM_ARM_IRQ_VCPU2_SHIFT & KVM_ARM_IRQ_VCPU2_MASK) *
				(KVM_ARM_IRQ_VCPU_MASK + 1);

	if (kind >= NR(kinds))
		line_add(l, "0x%llx", (unsigned long long)irq);
	else if (kind == KVM_ARM_IRQ_TYPE_SPI)
		line_add(l, "spi[%u]", number);
	else
		line_add(l, "vcpu%u.%s[%u]", vcpu, kinds[kind], number);
}

/* --- attributes --- */

struct group {
	const char *name;
	unsigned size; /* of what is at addr; 0: nothing, or not a number */
	const char *attributes[6];
};

static const struct group gic_groups[] = {
	[KVM_DEV_ARM_VGIC_GRP_ADDR] = {"ADDR",
				       8,
				       {"V2_DIST", "V2_CPU", "V3_DIST", "V3_REDIST", "ITS",
					"V3_REDIST_REGION"}},
	[KVM_DEV_ARM_VGIC_GRP_DIST_REGS] = {"DIST_REGS", 4},
	[KVM_DEV_ARM_VGIC_GRP_CPU_REGS] = {"CPU_REGS", 4},
	[KVM_DEV_ARM_VGIC_GRP_NR_IRQS] = {"NR_IRQS", 4},
	[KVM_DEV_ARM_VGIC_GRP_CTRL] = {"CTRL",
				       0,
				       {"INIT", "ITS_SAVE_TABLES", "ITS_RESTORE_TABLES",
					"SAVE_PENDING_TABLES", "ITS_RESET"}},
	[KVM_DEV_ARM_VGIC_GRP_REDIST_REGS] = {"REDIST_REGS", 4},
	[KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS] = {"CPU_SYSREGS", 8},
	[KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO] = {"LEVEL_INFO", 4},
	[KVM_DEV_ARM_VGIC_GRP_ITS_REGS] = {"ITS_REGS", 8},
	[KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ] = {"MAINT_IRQ", 4},
};
static const struct group vcpu_groups[] = {
	[KVM_ARM_VCPU_PMU_V3_CTRL] = {"PMU_V3_CTRL",
				      4,
				      {"IRQ", "INIT", "FILTER", "SET_PMU", "SET_NR_COUNTERS"}},
	[KVM_ARM_VCPU_TIMER_CTRL] = {"TIMER_CTRL",
				     4,
				     {"IRQ_VTIMER", "IRQ_PTIMER", "IRQ_HVTIMER", "IRQ_HPTIMER"}},
	[KVM_ARM_VCPU_PVTIME_CTRL] = {"PVTIME_CTRL", 8, {"IPA"}},
};

static const struct group vm_groups[] = {
	[KVM_ARM_VM_SMCCC_CTRL] = {"SMCCC_CTRL", 0, {"SMCCC_FILTER"}},
};

static const struct group *group_of(int kind, unsigned device, unsigned group)
{
	if (kind == ANYKVM_FD_VCPU)
		return group < NR(vcpu_groups) ? &vcpu_groups[group] : NULL;
	if (kind == ANYKVM_FD_VM)
		return group < NR(vm_groups) ? &vm_groups[group] : NULL;
	if (kind == ANYKVM_FD_DEVICE && device_name(device) && group < NR(gic_groups))
		return &gic_groups[group];
	return NULL;
}

void name_attribute(struct line *l, int kind, unsigned device, const struct kvm_device_attr *attr)
{
	const struct group *g = group_of(kind, device, attr->group);

	if (g)
		line_add(l, "group=%s, attr=", g->name);
	else
		line_add(l, "group=%u, attr=", attr->group);
	if (g && attr->attr < NR(g->attributes) && g->attributes[attr->attr])
		line_add(l, "%s", g->attributes[attr->attr]);
	else if (g == &gic_groups[KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS])
		name_register(l, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG |
					 (attr->attr & 0xffff));
	else
		line_add(l, "0x%llx", (unsigned long long)attr->attr);
}

unsigned attribute_size(int kind, unsigned device, const struct kvm_device_attr *attr)
{
	const struct group *g = group_of(kind, device, attr->group);

	/* It has no value, in a group where all others have. */
	if (g == &vcpu_groups[KVM_ARM_VCPU_PMU_V3_CTRL] && attr->attr == KVM_ARM_VCPU_PMU_V3_INIT)
		return 0;
	return g ? g->size : 0;
}
