/* SPDX-License-Identifier: MIT */
#include "its_rig.h"

#include <string.h>

#include "base/bug.h"

struct rig *rig_create_its(u32 nr_cpus, struct its **its)
{
	struct rig *r = rig_create_gic(nr_cpus, 64);

	*its = its_alloc(&r->vi);
	BUG_ON(!*its);
	mutex_lock(&r->vm_lock);
	its_publish(*its);
	mutex_unlock(&r->vm_lock);
	BUG_ON(rig_its_set(r, *its, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, RIG_ITS));
	BUG_ON(rig_its_set(r, *its, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0));
	return r;
}

void rig_its_boot(struct rig *r)
{
	memset(rig_ram(r, RIG_PROP), 0xa1, 0x10000 - 8192);
	rig_write(r, rig_redist(0) + 0x70, 8, RIG_PROP | 15);
	for (u32 i = 0; i < r->nr; i++) {
		rig_write(r, rig_redist(i) + 0x78, 8, RIG_PEND(i));
		rig_write(r, rig_redist(i), 4, 1);
	}
	rig_write(r, RIG_ITS + GITS_BASER0, 8, TABLE_VALID | RIG_DEVTAB);
	rig_write(r, RIG_ITS + GITS_BASER1, 8, TABLE_VALID | RIG_COLTAB);
	rig_write(r, RIG_ITS + GITS_CBASER, 8, TABLE_VALID | RIG_QUEUE | 15);
	rig_write(r, RIG_ITS + GITS_CTLR, 4, 1);
	rig_enable_all(r);
}

void rig_its_command(struct rig *r, u64 w0, u64 w1, u64 w2, u64 w3)
{
	u64 offset = rig_read(r, RIG_ITS + GITS_CWRITER, 8), words[] = {w0, w1, w2, w3};

	memcpy(rig_ram(r, RIG_QUEUE + offset), words, sizeof(words));
	offset = (offset + sizeof(words)) % 0x10000;
	rig_write(r, RIG_ITS + GITS_CWRITER, 8, offset);
	BUG_ON(rig_read(r, RIG_ITS + GITS_CREADR, 8) != offset);
}

void rig_mapd(struct rig *r, u32 device, u64 itt, u32 event_bits)
{
	rig_its_command(r, 0x08 | (u64)device << 32, event_bits - 1, TABLE_VALID | itt, 0);
}

void rig_unmapd(struct rig *r, u32 device)
{
	rig_its_command(r, 0x08 | (u64)device << 32, 0, 0, 0);
}

void rig_mapc(struct rig *r, u32 collection, u32 cpu)
{
	rig_its_command(r, 0x09, 0, TABLE_VALID | cpu << 16 | collection, 0);
}

void rig_unmapc(struct rig *r, u32 collection)
{
	rig_its_command(r, 0x09, 0, collection, 0);
}

void rig_mapti(struct rig *r, u32 device, u32 event, u32 lpi, u32 collection)
{
	rig_its_command(r, 0x0a | (u64)device << 32, event | (u64)lpi << 32, collection, 0);
}

void rig_mapi(struct rig *r, u32 device, u32 event, u32 collection)
{
	rig_its_command(r, 0x0b | (u64)device << 32, event, collection, 0);
}

void rig_movi(struct rig *r, u32 device, u32 event, u32 collection)
{
	rig_its_command(r, 0x01 | (u64)device << 32, event, collection, 0);
}

void rig_movall(struct rig *r, u32 from, u32 to)
{
	rig_its_command(r, 0x0e, 0, (u64)from << 16, (u64)to << 16);
}

void rig_event_command(struct rig *r, u32 command, u32 device, u32 event)
{
	rig_its_command(r, command | (u64)device << 32, event, 0, 0);
}

void rig_invall(struct rig *r, u32 collection)
{
	rig_its_command(r, 0x0d, 0, collection, 0);
}

int rig_msi(struct rig *r, u32 device, u32 event)
{
	struct kvm_msi msi = {.address_lo = (u32)RIG_ITS + 0x10040,
			      .data = event,
			      .flags = KVM_MSI_VALID_DEVID,
			      .devid = device};

	return irq_signal_msi(&r->vi, &msi);
}

u64 rig_take(struct rig *r, u32 cpu)
{
	u64 id = rig_mrs(r, cpu, IAR1);

	if (id != SPURIOUS)
		rig_msr(r, cpu, EOIR1, id);
	return id;
}

u64 rig_ram64(struct rig *r, u64 gpa)
{
	u64 value;

	memcpy(&value, rig_ram(r, gpa), sizeof(value));
	return value;
}

void rig_set_ram64(struct rig *r, u64 gpa, u64 value)
{
	memcpy(rig_ram(r, gpa), &value, sizeof(value));
}

int rig_its_set(struct rig *r, struct its *its, u32 group, u64 attr, u64 value)
{
	int err;

	mutex_lock(&r->vm_lock);
	err = irq_its_set_attr(its, group, attr, &value);
	mutex_unlock(&r->vm_lock);
	return err;
}

int rig_its_get(struct rig *r, struct its *its, u32 group, u64 attr, u64 *value)
{
	int err;

	mutex_lock(&r->vm_lock);
	err = irq_its_get_attr(its, group, attr, value);
	mutex_unlock(&r->vm_lock);
	return err;
}
