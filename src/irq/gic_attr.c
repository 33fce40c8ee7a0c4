/* SPDX-License-Identifier: MIT */
/*
 * The KVM device interface of the GICv2 and GICv3: creation and attributes. The errno table is in
 * docs/interrupts.md.
 *
 * Register access needs all vCPUs at rest: it takes every vcpu->mutex without waiting (-EBUSY).
 * vm->lock, held by the caller, keeps the set of vCPUs stable and makes taking several of these
 * locks legal.
 */
#include <errno.h>

#include <anykvm/kvm.h>

#include "host/guarded.h"
#include "irq/irq.h"
#include "vcpu/sysreg.h"

#define IDREG_PFR0	     24 /* ID_AA64PFR0_EL1: CRm 4, op2 0 */
#define IDREG_PFR0_GIC_SHIFT 24

void irq_vcpus_unlock(struct vcpu_group *g, u32 nr) NO_THREAD_SAFETY_ANALYSIS
{
	while (nr--)
		mutex_unlock(&vcpu_group_get(g, nr)->mutex);
}

bool irq_vcpus_trylock(struct vcpu_group *g, u32 *nr) NO_THREAD_SAFETY_ANALYSIS
{
	*nr = a32_load_acquire(&g->nr);
	for (u32 i = 0; i < *nr; i++) {
		if (!mutex_trylock(&vcpu_group_get(g, i)->mutex)) {
			irq_vcpus_unlock(g, i);
			return false;
		}
	}
	return true;
}

int irq_gic_create(struct vm_irq *vi, u32 type)
{
	struct vcpu_group *g = vi->group;
	u32 nr;
	int err = 0;

	if (type != KVM_DEV_TYPE_ARM_VGIC_V2 && type != KVM_DEV_TYPE_ARM_VGIC_V3)
		return -ENODEV;
	if (!irq_vcpus_trylock(g, &nr))
		return -EBUSY;
	mutex_lock(&vi->config);
	if (a32_load_acquire(&vi->in_library)) {
		err = -EEXIST;
		goto out;
	}
	for (u32 i = 0; i < nr; i++) {
		if (vcpu_group_get(g, i)->has_run) {
			err = -EBUSY;
			goto out;
		}
	}
	if (type == KVM_DEV_TYPE_ARM_VGIC_V2 && nr > GIC_V2_MAX_CPUS) {
		err = -E2BIG;
		goto out;
	}
	a64_store(&vi->dist_base, GIC_ADDR_UNDEF);
	vi->revision = 3;
	vi->v2 = type == KVM_DEV_TYPE_ARM_VGIC_V2;
	if (!vi->v2) {
		g->idreg[IDREG_PFR0] = bits_set(g->idreg[IDREG_PFR0], IDREG_PFR0_GIC_SHIFT, 4, 1);
		g->has_gicv3 = true;
	}
	a32_store_release(&vi->in_library, 1);
	for (u32 i = 0; i < nr && vi->v2; i++) {
		gic_cpu_setup_private(irq_cpu_of(vcpu_group_get(g, i)));
		gic_cpu_reset_interface(irq_cpu_of(vcpu_group_get(g, i)));
	}
out:
	mutex_unlock(&vi->config);
	irq_vcpus_unlock(g, nr);
	return err;
}

static int get_u32(const void *user, u32 *v)
{
	return guarded_copy_from(v, user, sizeof(*v)) ? 0 : -EFAULT;
}

static int put_u32(void *user, u32 v)
{
	return guarded_copy_to(user, &v, sizeof(v)) ? 0 : -EFAULT;
}

int irq_get_user64(const void *user, u64 *v)
{
	return guarded_copy_from(v, user, sizeof(*v)) ? 0 : -EFAULT;
}

int irq_put_user64(void *user, u64 v)
{
	return guarded_copy_to(user, &v, sizeof(v)) ? 0 : -EFAULT;
}

/* --- ADDR --- */

/* KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: index 11:0, flags 15:12, base 51:16, count 63:52. */
static int region_set(struct vm_irq *vi, u64 word)
{
	u32 count = (u32)bits_get(word, 52, 12);

	if (!count || bits_get(word, 12, 4))
		return -EINVAL;
	/* KVM keeps only the low eight bits of the index. */
	return gic_region_add(vi, (u8)word, word & GENMASK(51, 16), count);
}

static int region_get(struct vm_irq *vi, u64 *word)
{
	struct redist_region *r = gic_region_find(vi, (u8)*word);

	if (!r)
		return -ENOENT;
	*word = (u8)*word | r->base | (u64)r->count << 52;
	return 0;
}

/* The base of a GICv2's frame, NULL for another number. */
static struct a64 *v2_base(struct vm_irq *vi, u64 attr, u64 *size)
{
	bool dist = attr == KVM_VGIC_V2_ADDR_TYPE_DIST;

	*size = dist ? GIC_V2_DIST_SIZE : GIC_V2_CPUIF_SIZE;
	if (!gic_is_v2(vi) || (!dist && attr != KVM_VGIC_V2_ADDR_TYPE_CPU))
		return NULL;
	return dist ? &vi->dist_base : &vi->cpuif_base;
}

static int v2_addr_set(struct vm_irq *vi, u64 attr, u64 addr)
{
	u64 size;
	struct a64 *base = v2_base(vi, attr, &size);
	int err;

	if (!base)
		return -ENODEV;
	mutex_lock(&vi->config);
	err = gic_check_range(vi, a64_load_relaxed(base), addr, 0x1000, size);
	if (!err)
		a64_store_release(base, addr);
	mutex_unlock(&vi->config);
	return err;
}

int irq_set_legacy_addr(struct vm_irq *vi, u64 id, u64 addr)
{
	if ((id & KVM_ARM_DEVICE_ID_MASK) >> KVM_ARM_DEVICE_ID_SHIFT != KVM_ARM_DEVICE_VGIC_V2)
		return -ENODEV;
	return v2_addr_set(vi, id & KVM_ARM_DEVICE_TYPE_MASK, addr);
}

static int addr_set(struct vm_irq *vi, u64 attr, void *user)
{
	u64 addr;
	int err = irq_get_user64(user, &addr);

	if (err)
		return err;
	if (gic_is_v2(vi)) {
		err = v2_addr_set(vi, attr, addr);
		return err == -ENODEV ? -ENXIO : err;
	}
	mutex_lock(&vi->config);
	switch (attr) {
	case KVM_VGIC_V3_ADDR_TYPE_DIST:
		err = gic_check_range(vi, a64_load_relaxed(&vi->dist_base), addr, 0x10000,
				      GIC_DIST_SIZE);
		if (!err)
			a64_store_release(&vi->dist_base, addr);
		break;
	case KVM_VGIC_V3_ADDR_TYPE_REDIST:
		err = gic_region_add(vi, 0, addr, 0);
		break;
	case KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION:
		err = region_set(vi, addr);
		break;
	default:
		err = -ENXIO;
	}
	mutex_unlock(&vi->config);
	return err;
}

static int addr_get(struct vm_irq *vi, u64 attr, void *user)
{
	struct redist_region *r;
	u64 addr = 0, size;
	struct a64 *base = v2_base(vi, attr, &size);
	int err = 0;

	if (gic_is_v2(vi))
		return base ? irq_put_user64(user, a64_load_acquire(base)) : -ENXIO;
	if (attr == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)
		err = irq_get_user64(user, &addr); /* names the index */
	if (err)
		return err;
	mutex_lock(&vi->config);
	switch (attr) {
	case KVM_VGIC_V3_ADDR_TYPE_DIST:
		addr = a64_load_relaxed(&vi->dist_base);
		break;
	case KVM_VGIC_V3_ADDR_TYPE_REDIST:
		r = list_first(&vi->regions, struct redist_region, link);
		addr = r ? r->base : GIC_ADDR_UNDEF;
		break;
	case KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION:
		err = region_get(vi, &addr);
		break;
	default:
		err = -ENXIO;
	}
	mutex_unlock(&vi->config);
	return err ? err : irq_put_user64(user, addr);
}

/* --- registers --- */

static struct irq_cpu *attr_cpu(struct vm_irq *vi, u32 group, u64 attr)
{
	struct vcpu *v;

	if (gic_is_v2(vi))
		v = irq_vcpu_by_id(vi->group, (u32)bits_get(attr, KVM_DEV_ARM_VGIC_CPUID_SHIFT, 8));
	else if (group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS)
		v = a32_load_acquire(&vi->group->nr) ? vcpu_group_get(vi->group, 0) : NULL;
	else /* affinity in the upper half: Aff3.Aff2.Aff1.Aff0 */
		v = vcpu_group_by_mpidr(vi->group, bits_get(attr, 32, 24) | bits_get(attr, 56, 8)
										    << 32);
	return v ? irq_cpu_of(v) : NULL;
}

static bool allowed_before_init(u32 group, u32 offset)
{
	return group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS && (offset == 0x8 || offset == 0xc);
}

/* The access itself, all vCPUs at rest. */
static int reg_access(struct irq_cpu *cpu, u32 group, u64 attr, bool write, void *user, u32 *val)
{
	u32 offset = (u32)attr;
	u64 wide;
	int err;

	if (gic_is_v2(cpu->vi))
		return write ? gic_v2_user_write(cpu, group, offset, *val)
			     : gic_v2_user_read(cpu, group, offset, val);
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
		return write ? gic_user_write(cpu, GIC_FRAME_DIST, offset, *val)
			     : gic_user_read(cpu, GIC_FRAME_DIST, offset, val);
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
		return write ? gic_user_write(cpu, GIC_FRAME_REDIST, offset, *val)
			     : gic_user_read(cpu, GIC_FRAME_REDIST, offset, val);
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
		if (write) {
			err = irq_get_user64(user, &wide);
			return err ? err : gic_cpuif_set(cpu, (u16)attr, wide);
		}
		err = gic_cpuif_get(cpu, (u16)attr, &wide);
		return err ? err : irq_put_user64(user, wide);
	default: /* LEVEL_INFO */
		if (bits_get(attr, KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT, 22) !=
		    VGIC_LEVEL_INFO_LINE_LEVEL)
			return -EINVAL;
		offset &= KVM_DEV_ARM_VGIC_LINE_LEVEL_INTID_MASK;
		if (offset % 32)
			return -EINVAL;
		if (write)
			gic_line_levels_set(cpu, offset, *val);
		else
			*val = gic_line_levels_get(cpu, offset);
		return 0;
	}
}

static int regs_attr(struct vm_irq *vi, u32 group, u64 attr, bool write, void *user)
{
	struct irq_cpu *cpu = attr_cpu(vi, group, attr);
	struct irq_routing *old = NULL;
	bool narrow = group != KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
	u32 nr, val = 0;
	int err = 0;

	if (!cpu)
		return -EINVAL;
	if (narrow && write)
		err = get_u32(user, &val);
	if (err)
		return err;
	if (!irq_vcpus_trylock(vi->group, &nr))
		return -EBUSY;
	mutex_lock(&vi->config);
	if (gic_is_v2(vi))
		err = gic_init(vi, &old);
	if (err)
		goto out;
	if (!a32_load_acquire(&vi->initialized) && !allowed_before_init(group, (u32)attr))
		err = -EBUSY;
	else
		err = reg_access(cpu, group, attr, write, user, &val);
out:
	mutex_unlock(&vi->config);
	irq_vcpus_unlock(vi->group, nr);
	route_drop(vi, old);
	if (!err && narrow && !write)
		err = put_u32(user, val);
	return err;
}

/* --- the rest --- */

static int nr_irqs_set(struct vm_irq *vi, void *user)
{
	u32 val;
	int err = get_u32(user, &val);

	if (err)
		return err;
	if (val < GIC_NR_PRIVATE + 32 || val > 1023 || val & 31)
		return -EINVAL;
	mutex_lock(&vi->config);
	if (vi->nr_spi)
		err = -EBUSY;
	else
		vi->nr_spi = val - GIC_NR_PRIVATE;
	mutex_unlock(&vi->config);
	return err;
}

static int maint_irq_set(struct vm_irq *vi, void *user)
{
	u32 val;
	int err = get_u32(user, &val);

	if (err)
		return err;
	mutex_lock(&vi->config);
	if (a32_load_acquire(&vi->initialized))
		err = -EBUSY;
	else if (val < GIC_NR_SGI || val >= GIC_NR_PRIVATE)
		err = -EINVAL;
	else
		vi->mi_intid = val;
	mutex_unlock(&vi->config);
	return err;
}

static int ctrl_set(struct vm_irq *vi, u64 attr)
{
	struct irq_routing *old = NULL;
	u32 nr;
	int err;

	switch (attr) {
	case KVM_DEV_ARM_VGIC_CTRL_INIT:
		mutex_lock(&vi->config);
		err = gic_init(vi, &old);
		mutex_unlock(&vi->config);
		route_drop(vi, old);
		return err;
	case KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES:
		if (!irq_vcpus_trylock(vi->group, &nr))
			return -EBUSY;
		mutex_lock(&vi->config);
		err = a32_load_acquire(&vi->initialized) ? lpi_save_pending(vi) : -ENXIO;
		mutex_unlock(&vi->config);
		irq_vcpus_unlock(vi->group, nr);
		return err;
	default:
		return -ENXIO;
	}
}

/* Groups that only one of both controllers has. */
static bool group_exists(const struct vm_irq *vi, u32 group, u64 attr)
{
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS:
		return gic_is_v2(vi);
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
	case KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ:
		return !gic_is_v2(vi);
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return attr == KVM_DEV_ARM_VGIC_CTRL_INIT || !gic_is_v2(vi);
	default:
		return true;
	}
}

int irq_gic_set_attr(struct vm_irq *vi, u32 group, u64 attr, void *user)
{
	if (!group_exists(vi, group, attr))
		return -ENXIO;
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return addr_set(vi, attr, user);
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS:
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
		return regs_attr(vi, group, attr, true, user);
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
		return nr_irqs_set(vi, user);
	case KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ:
		return maint_irq_set(vi, user);
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return ctrl_set(vi, attr);
	default:
		return -ENXIO;
	}
}

int irq_gic_get_attr(struct vm_irq *vi, u32 group, u64 attr, void *user)
{
	u32 val;

	if (!group_exists(vi, group, attr))
		return -ENXIO;
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return addr_get(vi, attr, user);
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS:
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
		return regs_attr(vi, group, attr, false, user);
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
	case KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ:
		mutex_lock(&vi->config);
		val = group == KVM_DEV_ARM_VGIC_GRP_NR_IRQS ? vi->nr_spi + GIC_NR_PRIVATE
							    : vi->mi_intid;
		mutex_unlock(&vi->config);
		return put_u32(user, val);
	default:
		return -ENXIO;
	}
}

static int regs_has(struct vm_irq *vi, u32 group, u64 attr)
{
	struct irq_cpu *cpu = attr_cpu(vi, group, attr);
	u32 offset = (u32)attr;

	if (!cpu)
		return -EINVAL;
	if (group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS)
		return gic_cpuif_has((u16)attr) ? 0 : -ENXIO;
	if (offset & 3)
		return -ENXIO;
	if (gic_is_v2(vi))
		return gic_v2_user_has(cpu, group, offset) ? 0 : -ENXIO;
	return gic_user_has(cpu,
			    group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS ? GIC_FRAME_DIST
								    : GIC_FRAME_REDIST,
			    offset)
		       ? 0
		       : -ENXIO;
}

int irq_gic_has_attr(struct vm_irq *vi, u32 group, u64 attr)
{
	u64 size;

	if (!group_exists(vi, group, attr))
		return -ENXIO;
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		if (gic_is_v2(vi))
			return v2_base(vi, attr, &size) ? 0 : -ENXIO;
		return attr == KVM_VGIC_V3_ADDR_TYPE_DIST || attr == KVM_VGIC_V3_ADDR_TYPE_REDIST ||
				       attr == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION
			       ? 0
			       : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS:
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
		return regs_has(vi, group, attr);
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
	case KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ:
		return 0;
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
		return bits_get(attr, KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT, 22) ==
				       VGIC_LEVEL_INFO_LINE_LEVEL
			       ? 0
			       : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return attr == KVM_DEV_ARM_VGIC_CTRL_INIT ||
				       attr == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES
			       ? 0
			       : -ENXIO;
	default:
		return -ENXIO;
	}
}
