// SPDX-License-Identifier: MIT
/*
 * A VM without an interrupt controller in the library (KVM_CAP_ARM_USER_IRQ): the levels of timers and performance counters are
 * shown to the VMM in kvm_run.s.regs.device_irq_level, for the controller that it emulates.
 *
 * As in KVM that word is the only record of what was shown: KVM_RUN brings it up to date whenever it ends, and ends with EINTR
 * before the guest goes on with a level that differs from it. Here, unlike there, a level that falls is noticed at once, too: each
 * change that an access of the guest makes is followed by an exit.
 */
#include <errno.h>

#include <anykvm/kvm.h>

#include "irq/irq.h"

#define SHOWN_LEVELS (KVM_ARM_DEV_EL1_VTIMER | KVM_ARM_DEV_EL1_PTIMER | KVM_ARM_DEV_PMU)

static u64 shown(const struct vcpu *v)
{
	return __atomic_load_n(&v->run->s.regs.device_irq_level, __ATOMIC_RELAXED);
}

/* The bits of the word that are wrong. */
static u64 changed(struct irq_cpu *cpu)
{
	u64 levels = 0;

	/* Nobody looks at a vCPU that has no kvm_run yet. */
	if (irq_gic_exists(cpu->vi) || !cpu->v->run)
		return 0;
	if (timer_level(cpu, TIMER_VIRT))
		levels |= KVM_ARM_DEV_EL1_VTIMER;
	if (timer_level(cpu, TIMER_PHYS))
		levels |= KVM_ARM_DEV_EL1_PTIMER;
	if (pmu_present(cpu->v) && pmu_level(cpu))
		levels |= KVM_ARM_DEV_PMU;
	return (levels ^ shown(cpu->v)) & SHOWN_LEVELS;
}

bool user_irq_timer_shown(const struct irq_cpu *cpu, enum irq_timer_id id)
{
	return !cpu->v->run ||
	       shown(cpu->v) & (id == TIMER_VIRT ? KVM_ARM_DEV_EL1_VTIMER : KVM_ARM_DEV_EL1_PTIMER);
}

bool user_irq_changed(struct irq_cpu *cpu)
{
	return changed(cpu);
}

bool user_irq_show(struct irq_cpu *cpu)
{
	u64 bits = changed(cpu);

	if (bits)
		__atomic_store_n(&cpu->v->run->s.regs.device_irq_level, shown(cpu->v) ^ bits,
				 __ATOMIC_RELAXED);
	return bits;
}

void user_irq_check(struct irq_cpu *cpu)
{
	if (changed(cpu))
		vcpu_request(cpu->v, VCPU_REQ_LEVELS);
}
