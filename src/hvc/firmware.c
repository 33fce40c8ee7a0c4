/* SPDX-License-Identifier: MIT */
/* Firmware pseudo-registers: PSCI version, workaround levels (coprocessor 0x14), feature bitmaps
 * (0x16). */
#include <errno.h>

#include <anykvm/kvm.h>

#include "hvc/internal.h"
#include "vcpu/onereg.h"

#define LEVEL_MASK 0xf
#define IDREG_PFR1 25 /* ID_AA64PFR1_EL1: CRm 4, op2 1; SSBS is bits 7:4 */

static const u64 bmap_all[NR_HVC_BMAPS] = {
	[HVC_STD] = 1,	      /* TRNG 1.0 */
	[HVC_STD_HYP] = 1,    /* stolen time */
	[HVC_VENDOR_HYP] = 3, /* features and UID, PTP */
	[HVC_VENDOR_HYP_2] = 3,
};

void firmware_init(struct vm_hvc *h)
{
	a64_store(&h->bmap[HVC_STD], bmap_all[HVC_STD]);
	a64_store(&h->bmap[HVC_STD_HYP], bmap_all[HVC_STD_HYP]);
	a64_store(&h->bmap[HVC_VENDOR_HYP], bmap_all[HVC_VENDOR_HYP]);
	/* Implementation lists must be asked for. */
	a64_store(&h->bmap[HVC_VENDOR_HYP_2], 0);
}

u64 firmware_workaround_level(const struct vcpu *v, enum workaround n)
{
	switch (n) {
	case WORKAROUND_1:
		return KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1_NOT_REQUIRED;
	case WORKAROUND_2:
		/* With SSBS the guest has its own switch, and no firmware call is offered. */
		return bits_get(v->group->idreg[IDREG_PFR1], 4, 4)
			       ? KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_NOT_AVAIL
			       : KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_NOT_REQUIRED;
	default:
		return KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3_NOT_REQUIRED;
	}
}

static int fw_get(struct vcpu *v, u64 id, u64 *value)
{
	switch (id) {
	case KVM_REG_ARM_PSCI_VERSION:
		*value = psci_version(v);
		return 0;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1:
		*value = firmware_workaround_level(v, WORKAROUND_1);
		return 0;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2:
		*value = firmware_workaround_level(v, WORKAROUND_2);
		return 0;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3:
		*value = firmware_workaround_level(v, WORKAROUND_3);
		return 0;
	default:
		return -ENOENT;
	}
}

static int psci_version_set(struct vcpu *v, u64 value)
{
	bool wants_0_2 = v->features & BIT(KVM_ARM_VCPU_PSCI_0_2);

	switch (value) {
	case PSCI_VERSION_OF(0, 1):
		if (wants_0_2)
			return -EINVAL;
		break;
	case PSCI_VERSION_OF(0, 2):
	case PSCI_VERSION_OF(1, 0):
	case PSCI_VERSION_OF(1, 1):
	case PSCI_VERSION_OF(1, 2):
	case PSCI_VERSION_OF(1, 3):
		if (!wants_0_2)
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	a32_store_relaxed(&hvc_of(v)->psci_version, (u32)value);
	return 0;
}

/* A guest may be restored where it is protected at least as well. */
static int workaround_set(struct vcpu *v, enum workaround n, u64 value)
{
	u64 level = value & LEVEL_MASK;

	if (n != WORKAROUND_2)
		return value & ~LEVEL_MASK || firmware_workaround_level(v, n) < value ? -EINVAL : 0;
	if (value & ~(u64)(LEVEL_MASK | KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_ENABLED))
		return -EINVAL;
	if (value & KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_ENABLED &&
	    level != KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_AVAIL)
		return -EINVAL;
	/* Only two states count: there or not. */
	if (level > KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_NOT_REQUIRED)
		return -EINVAL;
	if (level <= KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_UNKNOWN)
		return 0;
	return firmware_workaround_level(v, n) < KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_NOT_REQUIRED
		       ? -EINVAL
		       : 0;
}

static int fw_set(struct vcpu *v, u64 id, u64 value)
{
	switch (id) {
	case KVM_REG_ARM_PSCI_VERSION:
		return psci_version_set(v, value);
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1:
		return workaround_set(v, WORKAROUND_1, value);
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2:
		return workaround_set(v, WORKAROUND_2, value);
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3:
		return workaround_set(v, WORKAROUND_3, value);
	default:
		return -ENOENT;
	}
}

static u32 fw_list(struct vcpu *v, u64 *ids)
{
	(void)v;
	for (u32 i = 0; ids && i < 4; i++)
		ids[i] = KVM_REG_ARM_FW_REG(i);
	return 4;
}

static int bmap_index(u64 id)
{
	for (int i = 0; i < NR_HVC_BMAPS; i++)
		if (id == KVM_REG_ARM_FW_FEAT_BMAP_REG((u64)i))
			return i;
	return -ENOENT;
}

static int bmap_get(struct vcpu *v, u64 id, u64 *value)
{
	int i = bmap_index(id);

	if (i < 0)
		return i;
	*value = a64_load_relaxed(&hvc_of(v)->bmap[i]);
	return 0;
}

static int bmap_set(struct vcpu *v, u64 id, u64 value)
{
	struct vm_hvc *h = hvc_of(v);
	int i = bmap_index(id), err = 0;

	if (i < 0)
		return i;
	if (value & ~bmap_all[i])
		return -EINVAL;
	mutex_lock(&h->group->config);
	if (vcpu_group_ran(h->group) && value != a64_load_relaxed(&h->bmap[i]))
		err = -EBUSY;
	else
		a64_store(&h->bmap[i], value);
	mutex_unlock(&h->group->config);
	return err;
}

static u32 bmap_list(struct vcpu *v, u64 *ids)
{
	(void)v;
	for (u32 i = 0; ids && i < NR_HVC_BMAPS; i++)
		ids[i] = KVM_REG_ARM_FW_FEAT_BMAP_REG((u64)i);
	return NR_HVC_BMAPS;
}

static const struct onereg_group fw_group = {
	.coproc = 0x14, .get = fw_get, .set = fw_set, .list = fw_list};
static const struct onereg_group bmap_group = {
	.coproc = 0x16, .get = bmap_get, .set = bmap_set, .list = bmap_list};

int firmware_add_onereg(struct vm_hvc *h)
{
	int err = vcpu_group_add_onereg(h->group, &fw_group);

	return err ? err : vcpu_group_add_onereg(h->group, &bmap_group);
}
