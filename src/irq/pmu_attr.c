// SPDX-License-Identifier: MIT
/* Attributes of a vCPU that concern its performance counters. */
#include <errno.h>

#include <anykvm/kvm.h>

#include "host/guarded.h"
#include "irq/irq.h"

#define LAST_SPI 1019u

/* PPIs have one number in all vCPUs, SPIs one in each. vi->config held. */
static bool irq_fits(struct vm_irq *vi, u32 irq)
{
	u32 nr = a32_load_acquire(&vi->group->nr);

	for (u32 i = 0; i < nr; i++) {
		const struct irq_cpu *other = irq_cpu_of(vcpu_group_get(vi->group, i));
		u32 set = other->pmu.irq;

		if (set && (irq < GIC_NR_PRIVATE ? set != irq : set == irq))
			return false;
	}
	return true;
}

static int set_irq(struct irq_cpu *cpu, const void *user)
{
	struct vm_irq *vi = cpu->vi;
	u32 irq;

	if (!irq_gic_exists(vi))
		return -EINVAL;
	if (!guarded_copy_from(&irq, user, sizeof(irq)))
		return -EFAULT;
	if (irq < GIC_NR_SGI || irq > LAST_SPI || !irq_fits(vi, irq))
		return -EINVAL;
	if (cpu->pmu.irq)
		return -EBUSY;
	cpu->pmu.irq = irq;
	return 0;
}

/* Makes the counters the owner of their interrupt. */
static int init(struct irq_cpu *cpu)
{
	struct irq_pmu *p = &cpu->pmu;
	struct gic_irq *irq;
	struct irq_cpu *home;
	int err = 0;

	if (irq_gic_exists(cpu->vi)) {
		if (!irq_gic_initialized(cpu->vi))
			return -ENODEV;
		if (!p->irq)
			return -ENXIO;
		irq = gic_irq_get(cpu, p->irq);
		if (!irq)
			return -EINVAL;
		home = gic_irq_lock(irq);
		if (irq->owner && irq->owner != p)
			err = -EEXIST;
		else
			irq->owner = p;
		gic_irq_unlock_unchanged(home);
	}
	if (!err)
		p->created = true;
	return err;
}

/* Events beyond those of the bits kept are never counted. The first filter decides about what no filter names. */
static int set_filter(struct vm_irq *vi, const void *user)
{
	struct kvm_pmu_event_filter f;

	if (!guarded_copy_from(&f, user, sizeof(f)))
		return -EFAULT;
	if ((u32)f.base_event + f.nevents > 0x10000 ||
	    (f.action != KVM_PMU_EVENT_ALLOW && f.action != KVM_PMU_EVENT_DENY))
		return -EINVAL;
	if (vcpu_group_ran(vi->group))
		return -EBUSY;
	if (!vi->pmu.filtered)
		vi->pmu.allowed[0] = vi->pmu.allowed[1] =
			f.action == KVM_PMU_EVENT_ALLOW ? 0 : ~0ull;
	vi->pmu.filtered = true;
	for (u32 e = f.base_event; e < 128u && e < (u32)f.base_event + f.nevents; e++) {
		if (f.action == KVM_PMU_EVENT_ALLOW)
			vi->pmu.allowed[e / 64] |= BIT(e % 64);
		else
			vi->pmu.allowed[e / 64] &= ~BIT(e % 64);
	}
	return 0;
}

static int set_nr_counters(struct vm_irq *vi, const void *user)
{
	u32 nr;

	if (!guarded_copy_from(&nr, user, sizeof(nr)))
		return -EFAULT;
	if (nr > PMU_MAX_COUNTERS)
		return -EINVAL;
	vi->pmu.nr_counters = (u8)nr;
	return 0;
}

static int set_pmu(const void *user)
{
	u32 id;

	/* No PMU of the host has a number here. */
	return guarded_copy_from(&id, user, sizeof(id)) ? -ENXIO : -EFAULT;
}

int irq_pmu_set_attr(struct vcpu *v, u64 attr, void *user)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	struct vm_irq *vi = cpu->vi;
	int err = -ENXIO;

	if (!pmu_present(v))
		return -ENODEV;
	mutex_lock(&vi->config);
	if (cpu->pmu.created)
		err = -EBUSY;
	else if (attr == KVM_ARM_VCPU_PMU_V3_IRQ)
		err = set_irq(cpu, user);
	else if (attr == KVM_ARM_VCPU_PMU_V3_INIT)
		err = init(cpu);
	else if (attr == KVM_ARM_VCPU_PMU_V3_FILTER)
		err = set_filter(vi, user);
	else if (attr == KVM_ARM_VCPU_PMU_V3_SET_PMU)
		err = set_pmu(user);
	else if (attr == KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS)
		err = set_nr_counters(vi, user);
	mutex_unlock(&vi->config);
	return err;
}

int irq_pmu_get_attr(struct vcpu *v, u64 attr, void *user)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	u32 irq = cpu->pmu.irq;

	if (attr != KVM_ARM_VCPU_PMU_V3_IRQ)
		return -ENXIO;
	if (!irq_gic_exists(cpu->vi))
		return -EINVAL;
	if (!pmu_present(v))
		return -ENODEV;
	if (!irq)
		return -ENXIO;
	return guarded_copy_to(user, &irq, sizeof(irq)) ? 0 : -EFAULT;
}

int irq_pmu_has_attr(struct vcpu *v, u64 attr)
{
	return pmu_present(v) && attr <= KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS ? 0 : -ENXIO;
}
