/* SPDX-License-Identifier: MIT */
/* The KVM device interface of the ITS. The errno table is in docs/interrupts.md. */
#include <errno.h>

#include <anykvm/kvm.h>

#include "irq/irq.h"
#include "irq/its.h"

static int base_set(struct its *its, void *user)
{
	struct vm_irq *vi = its->vi;
	u64 addr;
	int err = irq_get_user64(user, &addr);

	if (err)
		return err;
	mutex_lock(&vi->config);
	err = gic_check_range(vi, a64_load_relaxed(&its->base), addr, 0x10000, ITS_FRAME_SIZE);
	if (!err)
		a64_store_release(&its->base, addr);
	mutex_unlock(&vi->config);
	return err;
}

static int reg_access(struct its *its, u64 offset, bool write, u64 *value)
{
	struct vm_irq *vi = its->vi;
	int err = its_user_has(offset);
	u32 nr;

	if (err == -EINVAL)
		return err;
	if (!irq_vcpus_trylock(vi->group, &nr))
		return -EBUSY;
	mutex_lock(&vi->config);
	if (a64_load_relaxed(&its->base) == GIC_ADDR_UNDEF)
		err = -ENXIO;
	if (!err)
		err = write ? its_user_write(its, offset, *value)
			    : its_user_read(its, offset, value);
	mutex_unlock(&vi->config);
	irq_vcpus_unlock(vi->group, nr);
	return err;
}

static int tables_access(struct its *its, bool save)
{
	int err;

	mutex_lock(&its->vi->its_lock);
	err = save ? its_save_tables(its) : its_restore_tables(its);
	mutex_unlock(&its->vi->its_lock);
	return err;
}

static int ctrl_set(struct its *its, u64 attr)
{
	struct vm_irq *vi = its->vi;
	int err = 0;
	u32 nr;

	if (attr == KVM_DEV_ARM_VGIC_CTRL_INIT) /* nothing is left to do */
		return 0;
	if (!irq_vcpus_trylock(vi->group, &nr))
		return -EBUSY;
	mutex_lock(&vi->config);
	switch (attr) {
	case KVM_DEV_ARM_ITS_CTRL_RESET:
		its_reset(its);
		break;
	case KVM_DEV_ARM_ITS_SAVE_TABLES:
	case KVM_DEV_ARM_ITS_RESTORE_TABLES:
		err = tables_access(its, attr == KVM_DEV_ARM_ITS_SAVE_TABLES);
		break;
	default:
		err = -ENXIO;
	}
	mutex_unlock(&vi->config);
	irq_vcpus_unlock(vi->group, nr);
	return err;
}

int irq_its_set_attr(struct its *its, u32 group, u64 attr, void *user)
{
	u64 value;
	int err;

	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return attr == KVM_VGIC_ITS_ADDR_TYPE ? base_set(its, user) : -ENODEV;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return ctrl_set(its, attr);
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		err = irq_get_user64(user, &value);
		return err ? err : reg_access(its, attr, true, &value);
	default:
		return -ENXIO;
	}
}

int irq_its_get_attr(struct its *its, u32 group, u64 attr, void *user)
{
	u64 value = 0;
	int err = 0;

	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		if (attr != KVM_VGIC_ITS_ADDR_TYPE)
			return -ENODEV;
		value = a64_load_acquire(&its->base);
		break;
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		err = reg_access(its, attr, false, &value);
		break;
	default:
		return -ENXIO;
	}
	return err ? err : irq_put_user64(user, value);
}

int irq_its_has_attr(u32 group, u64 attr)
{
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return attr == KVM_VGIC_ITS_ADDR_TYPE ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return attr == KVM_DEV_ARM_VGIC_CTRL_INIT || attr == KVM_DEV_ARM_ITS_CTRL_RESET ||
				       attr == KVM_DEV_ARM_ITS_SAVE_TABLES ||
				       attr == KVM_DEV_ARM_ITS_RESTORE_TABLES
			       ? 0
			       : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		return its_user_has(attr);
	default:
		return -ENXIO;
	}
}
