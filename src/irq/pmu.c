// SPDX-License-Identifier: MIT
/* Counting, overflow and the vCPU attributes of the performance counters: see pmu.h. */
#include "irq/pmu.h"

#include <errno.h>

#include <anykvm/kvm.h>

#include "host/guarded.h"
#include "irq/irq.h"
#include "vcpu/idregs.h"

/* Bits of PMEVTYPER that KVM adds where EL3 exists: they invert P and U. */
#define TYPE_NSK BIT(29)
#define TYPE_NSU BIT(28)

bool pmu_present(const struct vcpu *v)
{
	return v->features & BIT(KVM_ARM_VCPU_PMU_V3);
}

unsigned pmu_version(const struct irq_cpu *cpu)
{
	return bits_get(cpu->vi->group->idreg[ID_AA64DFR0], 8, 4);
}

bool pmu_long_counters(const struct irq_cpu *cpu)
{
	return pmu_version(cpu) >= PMUVER_3P5;
}

static u64 event_mask(const struct irq_cpu *cpu)
{
	return pmu_version(cpu) >= PMUVER_3P1 ? GENMASK(15, 0) : GENMASK(9, 0);
}

u64 pmu_type_mask(const struct irq_cpu *cpu)
{
	return PMU_TYPE_P | PMU_TYPE_U | event_mask(cpu);
}

u64 pmu_counter_mask(const struct irq_cpu *cpu)
{
	return BIT(PMU_CYCLE) | (BIT(cpu->vi->pmu.nr_counters) - 1);
}

bool pmu_event_allowed(const struct vm_irq *vi, u32 event)
{
	if (!vi->pmu.filtered)
		return true;
	return event < 128 && (vi->pmu.allowed[event / 64] >> event % 64 & 1);
}

/* --- counting --- */

static u32 counter_event(const struct irq_cpu *cpu, unsigned n)
{
	return n == PMU_CYCLE ? EVENT_CPU_CYCLES : (u32)(cpu->pmu.type[n] & event_mask(cpu));
}

static bool counts_here(const struct irq_pmu *p, unsigned n, unsigned el)
{
	u64 type = p->type[n];

	return el ? !(type & PMU_TYPE_P) == !(type & TYPE_NSK)
		  : !(type & PMU_TYPE_U) == !(type & TYPE_NSU);
}

static bool overflows_at_64(const struct irq_cpu *cpu, unsigned n)
{
	return cpu->pmu.pmcr & (n == PMU_CYCLE ? PMCR_LC : PMCR_LP);
}

/* Adds to one counter, with its overflow and what is chained to it. */
static void add(struct irq_cpu *cpu, unsigned n, u64 by)
{
	struct irq_pmu *p = &cpu->pmu;
	u64 old = p->count[n], wraps;

	if (overflows_at_64(cpu, n))
		wraps = __builtin_add_overflow(old, by, &p->count[n]);
	else {
		wraps = ((u64)(u32)old + by) >> 32;
		p->count[n] = old + by;
	}
	if (n != PMU_CYCLE && !pmu_long_counters(cpu))
		p->count[n] = (u32)p->count[n];
	if (!wraps)
		return;
	p->overflow |= BIT(n);
	/* An odd counter counts the overflows of its even neighbour, if those are of 32 bits. */
	if (n + 1 >= PMU_CYCLE || n % 2 || overflows_at_64(cpu, n))
		return;
	if ((p->enabled >> (n + 1) & 1) && counter_event(cpu, n + 1) == EVENT_CHAIN)
		add(cpu, n + 1, wraps);
}

/* What counter n gains from these, if it is on. */
static u64 gain(struct irq_cpu *cpu, unsigned n, u64 cycles, u64 retired)
{
	u32 event = counter_event(cpu, n);

	if (!counts_here(&cpu->pmu, n, cpu->v->arch.el) || !pmu_event_allowed(cpu->vi, event))
		return 0;
	return event == EVENT_CPU_CYCLES ? cycles : event == EVENT_INST_RETIRED ? retired : 0;
}

/* The gain since the count that was seen; that stays if less is counted now, until the rest has come. */
static u64 since(u64 *seen, u64 now)
{
	u64 n = now - *seen;

	if ((s64)n <= 0)
		return 0;
	*seen = now;
	return n;
}

void pmu_count(struct vcpu *v, bool current)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	struct irq_pmu *p = &cpu->pmu;
	u64 now = vcpu_instructions(v) + current, cycles, retired;

	if (!v->counting)
		return;
	cycles = since(&p->seen_cycles, now);
	retired = since(&p->seen_retired, now - v->not_retired);
	if (!cycles && !retired)
		return;
	for (u64 left = p->enabled; left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctzll(left);
		u64 by = gain(cpu, n, cycles, retired);

		if (by)
			add(cpu, n, by);
	}
	pmu_update(cpu);
}

static bool counts_something(struct irq_cpu *cpu)
{
	const struct irq_pmu *p = &cpu->pmu;

	if (!(p->pmcr & PMCR_E))
		return false;
	for (unsigned n = 0; n <= PMU_CYCLE; n++) {
		u32 event = counter_event(cpu, n);

		if ((p->enabled >> n & 1) &&
		    (event == EVENT_CPU_CYCLES || event == EVENT_INST_RETIRED))
			return true;
	}
	return false;
}

void pmu_reconfigured(struct vcpu *v, bool current)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	u64 now = vcpu_instructions(v) + current;

	v->counting = counts_something(cpu);
	cpu->pmu.seen_cycles = now;
	cpu->pmu.seen_retired = now - v->not_retired;
	pmu_update(cpu);
}

void pmu_increment(struct irq_cpu *cpu, u64 mask, u32 event)
{
	struct irq_pmu *p = &cpu->pmu;

	if (!(p->pmcr & PMCR_E))
		return;
	for (u64 left = mask & p->enabled & ~BIT(PMU_CYCLE); left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctzll(left);

		if (counter_event(cpu, n) == event)
			add(cpu, n, 1);
	}
	pmu_update(cpu);
}

/* --- the interrupt --- */

void pmu_update(struct irq_cpu *cpu)
{
	const struct irq_pmu *p = &cpu->pmu;
	bool level = (p->pmcr & PMCR_E) && (p->overflow & p->interrupt);
	const struct gic_irq *irq;

	if (!p->created || !p->irq)
		return;
	irq = gic_irq_get(cpu, p->irq);
	/* Read without its lock: as for a timer's line, nobody else drives it. */
	if (irq && irq->line_level != level)
		gic_inject(cpu->vi, cpu, p->irq, level, p);
}

void pmu_reset(struct irq_cpu *cpu)
{
	/* What KVM puts where the architecture leaves it open. */
	const u64 unknown = 0x1de7ec7edbadc0deull;
	struct irq_pmu *p = &cpu->pmu;
	u64 mask = pmu_counter_mask(cpu) & unknown;

	p->pmcr = PMCR_LC;
	p->enabled = p->interrupt = p->overflow = mask;
	p->select = unknown & 0x1f;
	p->userenr = 0;
	for (unsigned n = 0; n < PMU_NR_EVENTERS; n++) {
		p->count[n] = (u32)unknown;
		p->type[n] = unknown & pmu_type_mask(cpu);
	}
	p->count[PMU_CYCLE] = unknown;
	p->type[PMU_CYCLE] = 0;
	cpu->v->counting = false;
	pmu_update(cpu);
}

int pmu_first_run(struct irq_cpu *cpu)
{
	struct irq_pmu *p = &cpu->pmu;
	u64 mask = pmu_counter_mask(cpu);

	if (!pmu_present(cpu->v))
		return 0;
	if (!p->created || (p->irq && !irq_gic_exists(cpu->vi)))
		return -EINVAL;
	if (irq_gic_exists(cpu->vi) && (!p->irq || !gic_irq_get(cpu, p->irq)))
		return -EINVAL;
	/* The number of counters may have been lowered since. */
	p->enabled &= mask;
	p->interrupt &= mask;
	p->overflow &= mask;
	pmu_reconfigured(cpu->v, false);
	return 0;
}

/* --- attributes --- */

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
