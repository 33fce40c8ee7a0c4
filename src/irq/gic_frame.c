/* SPDX-License-Identifier: MIT */
/* Registers with a field per interrupt, and the few of the distributor that GICv2 and GICv3 have alike. */
#include <errno.h>

#include "irq/gic_frame.h"

bool gic_access_decode(struct access *a, const struct reg *regs, u32 nr)
{
	const struct reg *r = NULL;

	for (u32 i = 0; i < nr && !r; i++)
		if (a->offset >= regs[i].start && a->offset < regs[i].end)
			r = &regs[i];
	if (!r || !(r->widths & a->size) || !IS_ALIGNED(a->offset, a->size))
		return false;
	a->reg = r;
	if (r->bits) {
		a->first = r->first + (a->offset - r->start) * 8 / r->bits;
		a->nr = MAX(a->size * 8 / r->bits, 1u);
		if (a->first >= a->vi->nr_spi + GIC_NR_PRIVATE)
			return false;
	}
	return true;
}

/* --- registers with a field per interrupt --- */

static u64 irq_field_read(const struct gic_irq *irq, const struct access *a)
{
	switch (a->reg->kind) {
	case REG_GROUP:
		return irq->group1;
	case REG_SENABLE:
	case REG_CENABLE:
		return irq->enabled;
	case REG_SPENDING:
		return a->user ? irq->pending_latch : gic_irq_is_pending(irq);
	case REG_CPENDING:
		if (!a->user)
			return gic_irq_is_pending(irq);
		return gic_is_v2(a->vi) && irq->pending_latch;
	case REG_TARGET:
		return irq->targets;
	case REG_SGI_CLEAR:
	case REG_SGI_SET:
		return irq->source;
	case REG_SACTIVE:
	case REG_CACTIVE:
		return irq->active;
	case REG_PRIORITY:
		return irq->priority;
	case REG_CONFIG:
		return irq->edge ? 2 : 0;
	default:
		return 0;
	}
}

/* User space restores all of ISPENDR, and nothing by ICPENDR. */
static bool pending_write(struct gic_irq *irq, const struct access *a, u64 field)
{
	bool set = a->reg->kind == REG_SPENDING;

	if (a->user ? !set : !field)
		return false;
	irq->pending_latch = a->user ? field : set;
	return true;
}

/* Both set or clear. SGIs have a source, so the guest has other registers for them; user space's is the vCPU itself. */
static bool pending_write_v2(struct gic_irq *irq, const struct access *a, u64 field)
{
	bool set = a->reg->kind == REG_SPENDING, sgi = irq->intid < GIC_NR_SGI;

	if (!field || (sgi && !a->user))
		return false;
	irq->pending_latch = set;
	if (sgi)
		irq->source = set ? (u8)(irq->source | 1u << a->cpu->v->index) : 0;
	return true;
}

/* ITARGETSR: the first vCPU of the mask, vCPU 0 if there is none. SGIs and PPIs have theirs. */
static bool target_write(struct gic_irq *irq, const struct access *a, u8 targets)
{
	u32 nr = a32_load_acquire(&a->vi->group->nr);

	if (irq->intid < GIC_NR_PRIVATE)
		return false;
	irq->targets = targets & (u8)((1u << nr) - 1);
	irq->target = irq_cpu_of(
		vcpu_group_get(a->vi->group, irq->targets ? (u32)__builtin_ctz(irq->targets) : 0));
	return true;
}

/* Returns whether anything may have changed. */
static bool irq_field_write(struct gic_irq *irq, const struct access *a, u64 field)
{
	enum reg_kind kind = a->reg->kind;

	switch (kind) {
	case REG_GROUP:
		/* Of a GICv2 user space restores groups only after it wrote GICD_IIDR: older KVM reported them wrongly. */
		if (a->user && gic_is_v2(a->vi) && !a->vi->v2_groups_writable)
			return false;
		irq->group1 = field;
		return true;
	case REG_SENABLE:
	case REG_CENABLE:
		if (field)
			irq->enabled = kind == REG_SENABLE;
		return field;
	case REG_SPENDING:
	case REG_CPENDING:
		return gic_is_v2(a->vi) ? pending_write_v2(irq, a, field)
					: pending_write(irq, a, field);
	case REG_TARGET:
		return target_write(irq, a, (u8)field);
	case REG_SGI_CLEAR:
		irq->source &= (u8)~field;
		irq->pending_latch &= !!irq->source;
		return true;
	case REG_SGI_SET:
		irq->source |= (u8)field;
		irq->pending_latch |= !!irq->source;
		return true;
	case REG_SACTIVE:
	case REG_CACTIVE:
		if (field)
			irq->active = kind == REG_SACTIVE;
		return field;
	case REG_PRIORITY:
		irq->priority = field & GIC_PRI_MASK;
		return true;
	case REG_CONFIG:
		if (irq->intid < GIC_NR_PRIVATE) /* fixed: SGIs edge, PPIs level */
			return false;
		irq->edge = field & 2;
		return true;
	default:
		return false;
	}
}

u64 gic_irqs_read(const struct access *a)
{
	u64 value = 0;

	for (u32 i = 0; i < a->nr; i++) {
		struct gic_irq *irq = gic_irq_get(a->cpu, a->first + i);
		struct irq_cpu *home;

		if (!irq)
			break;
		home = gic_irq_lock(irq);
		value |= irq_field_read(irq, a) << (i * a->reg->bits);
		gic_irq_unlock_unchanged(home);
	}
	return value;
}

void gic_irqs_write(const struct access *a, u64 value)
{
	u64 mask = ~0ull >> (64 - a->reg->bits);

	for (u32 i = 0; i < a->nr; i++) {
		struct gic_irq *irq = gic_irq_get(a->cpu, a->first + i);
		struct irq_cpu *home;

		if (!irq)
			break;
		home = gic_irq_lock(irq);
		if (irq_field_write(irq, a, value >> (i * a->reg->bits) & mask))
			gic_irq_unlock(irq, home);
		else
			gic_irq_unlock_unchanged(home);
	}
}

/* --- distributor --- */

void gic_dist_enable(struct vm_irq *vi, bool on)
{
	mutex_lock(&vi->dist_lock);
	if (a32_xchg(&vi->enabled, on) != on)
		gic_update_all(vi);
	mutex_unlock(&vi->dist_lock);
}

int gic_iidr_restore(struct vm_irq *vi, u32 value)
{
	u32 rev = (value & GICD_IIDR_REV) >> 12;

	if ((value ^ GICD_IIDR_BASE) & ~GICD_IIDR_REV || (rev != 2 && rev != 3))
		return -EINVAL;
	mutex_lock(&vi->dist_lock);
	vi->revision = rev;
	mutex_unlock(&vi->dist_lock);
	return 0;
}

u32 gic_iidr(struct vm_irq *vi)
{
	u32 value;

	mutex_lock(&vi->dist_lock);
	value = GICD_IIDR_BASE | vi->revision << 12;
	mutex_unlock(&vi->dist_lock);
	return value;
}
