/* SPDX-License-Identifier: MIT */
/* Life of a VM's interrupt part, the interface to the run loop, and the lines that user space
 * drives. */
#include <errno.h>

#include <anykvm/kvm.h>

#include "host/alloc.h"
#include "host/clock.h"
#include "irq/irq.h"
#include "irq/its.h"
#include "vcpu/sysreg.h"

/* --- vcpu_irq_ops --- */

/*
 * KVM's registers go into the hardware when the vCPU runs and are read back from there: bits that timers have not are gone, binary
 * points are no smaller than the priorities' bits make them.
 */
static void op_regs_changed(struct vcpu *v)
{
	struct irq_cpu *cpu = irq_cpu_of(v);

	timer_regs_changed(cpu);
	/* Mostly nothing was written, and then the lock is not taken: only this thread and those that stop all vCPUs write them. */
	if (!irq_gic_exists(cpu->vi) ||
	    (cpu->bpr0 == gic_cpu_bpr0(cpu) && cpu->bpr1 == gic_cpu_bpr1(cpu)))
		return;
	mutex_lock(&cpu->lock);
	cpu->bpr0 = (u8)gic_cpu_bpr0(cpu);
	cpu->bpr1 = (u8)gic_cpu_bpr1(cpu);
	mutex_unlock(&cpu->lock);
}

static void op_before_run(struct vcpu *v)
{
	timer_update(irq_cpu_of(v));
	if (unlikely(pmu_present(v)))
		pmu_update(irq_cpu_of(v));
}

static void op_after_run(struct vcpu *v)
{
	if (unlikely(v->counting))
		pmu_count(v, false);
}

/*
 * As hardware: what is signalled to the CPU ends WFI, whatever PSTATE masks. (KVM also returns from
 * WFI for an interrupt that a disabled group or the running priority holds back, so that a CPU
 * parked inside a handler spins there.)
 */
static bool op_wfi_pending(struct vcpu *v)
{
	timer_update(irq_cpu_of(v));
	return a32_load_acquire(&v->pins) != 0 || user_irq_changed(irq_cpu_of(v));
}

static bool op_show_levels(struct vcpu *v)
{
	return user_irq_show(irq_cpu_of(v));
}

static u64 op_next_deadline(struct vcpu *v)
{
	return timer_next_deadline(irq_cpu_of(v));
}

static void op_timer_poll(struct vcpu *v)
{
	timer_update(irq_cpu_of(v));
}

static bool op_work(struct vcpu *v)
{
	return its_work(irq_cpu_of(v)->vi, v);
}

/* Lines that the VMM drives itself are KVM's HCR_EL2.VI and VF: initialised again only as long as the vCPU never ran. */
static void op_reset(struct vcpu *v)
{
	struct irq_cpu *cpu = irq_cpu_of(v);

	if (!v->has_run) {
		mutex_lock(&cpu->lock);
		vcpu_set_pin(v, PIN_IRQ, cpu->pin_bits & 1u << PIN_IRQ);
		vcpu_set_pin(v, PIN_FIQ, cpu->pin_bits & 1u << PIN_FIQ);
		mutex_unlock(&cpu->lock);
	}
	timer_reset(cpu);
	if (pmu_present(v))
		pmu_reset(cpu);
}

static const struct vcpu_irq_ops irq_ops = {
	.regs_changed = op_regs_changed,
	.before_run = op_before_run,
	.after_run = op_after_run,
	.wfi_pending = op_wfi_pending,
	.show_levels = op_show_levels,
	.next_deadline = op_next_deadline,
	.timer_poll = op_timer_poll,
	.reset = op_reset,
	.count = pmu_count,
	.work = op_work,
};

/* --- life --- */

int irq_vm_init(struct vm_irq *vi, struct vcpu_group *g)
{
	int err;

	vi->group = g;
	vi->nobody = NEW(struct irq_cpu);
	if (!vi->nobody)
		return -ENOMEM;
	vi->nobody->vi = vi;
	mutex_init(&vi->nobody->lock, RANK_VGIC_CPU, "vgic nobody");
	for (u32 i = 0; i < GIC_LEVELS; i++)
		list_init(&vi->nobody->candidate_lpis[i]);
	mutex_init(&vi->its_lock, RANK_ITS, "its");
	mutex_init(&vi->config, RANK_CONFIG, "vgic config");
	mutex_init(&vi->dist_lock, RANK_VGIC_DIST, "vgic dist");
	a64_store(&vi->dist_base, GIC_ADDR_UNDEF);
	a64_store(&vi->cpuif_base, GIC_ADDR_UNDEF);
	list_init(&vi->regions);
	/* Virtual, physical, and the two of EL2, which no vCPU has yet. */
	vi->ppi[KVM_ARM_VCPU_TIMER_IRQ_VTIMER] = 27;
	vi->ppi[KVM_ARM_VCPU_TIMER_IRQ_PTIMER] = 30;
	vi->ppi[KVM_ARM_VCPU_TIMER_IRQ_HVTIMER] = 28;
	vi->ppi[KVM_ARM_VCPU_TIMER_IRQ_HPTIMER] = 26;
	vi->pmu.nr_counters = PMU_MAX_COUNTERS;
	route_init(vi);
	g->irq = vi;
	err = vcpu_group_add_rows(g, gic_sysreg_rows, gic_nr_sysreg_rows);
	if (!err)
		err = vcpu_group_add_rows(g, timer_sysreg_rows, timer_nr_sysreg_rows);
	if (!err)
		err = vcpu_group_add_rows(g, pmu_sysreg_rows, pmu_nr_sysreg_rows);
	if (err)
		irq_vm_fini(vi);
	return err;
}

void irq_vm_stop(struct vm_irq *vi)
{
	irqfd_stop(vi);
}

void irq_vm_fini(struct vm_irq *vi)
{
	struct redist_region *r, *tmp;

	route_fini(vi);
	its_fini(vi);
	list_for_each_safe(r, tmp, &vi->regions, link)
	{
		list_del(&r->link);
		DELETE(r);
	}
	if (vi->spi)
		host_free(vi->spi, vi->nr_spi * sizeof(*vi->spi));
	vi->spi = NULL;
	mutex_fini(&vi->dist_lock);
	mutex_fini(&vi->config);
	mutex_fini(&vi->nobody->lock);
	DELETE(vi->nobody);
}

u32 irq_max_vcpus(const struct vm_irq *vi)
{
	return gic_is_v2(vi) ? GIC_V2_MAX_CPUS : VCPU_MAX;
}

int irq_vcpu_precreate(struct vm_irq *vi)
{
	return irq_gic_initialized(vi) ? -EBUSY : 0;
}

int irq_vcpu_init(struct vm_irq *vi, struct vcpu *v)
{
	struct irq_cpu *cpu = NEW(struct irq_cpu);
	int err = 0;

	if (!cpu)
		return -ENOMEM;
	cpu->v = v;
	cpu->vi = vi;
	mutex_init(&cpu->lock, RANK_VGIC_CPU, "vgic cpu");
	for (u32 i = 0; i < GIC_LEVELS; i++)
		list_init(&cpu->candidate_lpis[i]);
	a64_store(&cpu->rd_base, GIC_ADDR_UNDEF);
	gic_cpu_setup_private(cpu);
	gic_cpu_reset_interface(cpu);
	v->irq = cpu;
	v->irq_ops = &irq_ops;
	if (!a32_load_acquire(&vi->offset_fixed)) {
		a64_store(&vi->voffset, host_clock_ns());
		a64_store(&vi->poffset, 0);
	}
	if (irq_gic_exists(vi) && !gic_is_v2(vi)) {
		mutex_lock(&vi->config);
		err = gic_redist_place(vi, cpu);
		mutex_unlock(&vi->config);
	}
	if (err)
		irq_vcpu_fini(v);
	return err;
}

void irq_vcpu_withdraw(struct vcpu *v)
{
	struct vm_irq *vi = irq_cpu_of(v)->vi;

	mutex_lock(&vi->config);
	gic_redist_withdraw(vi, irq_cpu_of(v));
	mutex_unlock(&vi->config);
	irq_vcpu_fini(v);
}

void irq_vcpu_fini(struct vcpu *v)
{
	struct irq_cpu *cpu = irq_cpu_of(v);

	if (!cpu)
		return;
	v->irq = NULL;
	v->irq_ops = NULL;
	mutex_fini(&cpu->lock);
	DELETE(cpu);
}

int irq_vcpu_first_run(struct vcpu *v)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	struct vm_irq *vi = cpu->vi;
	struct irq_routing *old = NULL;
	int err;

	if (!irq_gic_exists(vi))
		return pmu_first_run(cpu);
	mutex_lock(&vi->config);
	err = gic_map(vi, &old);
	mutex_unlock(&vi->config);
	route_drop(vi, old);
	if (err) {
		a32_store(&vi->group->mem->dead, 1);
		return err;
	}
	err = timer_first_run(cpu);
	return err ? err : pmu_first_run(cpu);
}

/* --- lines --- */

struct vcpu *irq_vcpu_by_id(struct vcpu_group *g, u32 id)
{
	u32 nr = a32_load_acquire(&g->nr);
	struct vcpu *v = id < nr ? vcpu_group_get(g, id) : NULL;

	/* Mostly an id is an index. */
	if (v && v->id == id)
		return v;
	for (u32 i = 0; i < nr; i++) {
		v = vcpu_group_get(g, i);
		if (v->id == id)
			return v;
	}
	return NULL;
}

/* A GICv2 is initialised by the first use of a line; a GICv3 only by user space: -EBUSY. */
static int gic_v2_init_lazily(struct vm_irq *vi)
{
	struct irq_routing *old = NULL;
	int err;

	if (!gic_is_v2(vi))
		return -EBUSY;
	mutex_lock(&vi->config);
	err = gic_init(vi, &old);
	mutex_unlock(&vi->config);
	route_drop(vi, old);
	return err;
}

int irq_line(struct vm_irq *vi, u32 irq, u32 level)
{
	u32 type = irq >> KVM_ARM_IRQ_TYPE_SHIFT & KVM_ARM_IRQ_TYPE_MASK;
	u32 id = (irq >> KVM_ARM_IRQ_VCPU_SHIFT & KVM_ARM_IRQ_VCPU_MASK) +
		 (irq >> KVM_ARM_IRQ_VCPU2_SHIFT & KVM_ARM_IRQ_VCPU2_MASK) *
			 (KVM_ARM_IRQ_VCPU_MASK + 1);
	u32 nr = irq >> KVM_ARM_IRQ_NUM_SHIFT & KVM_ARM_IRQ_NUM_MASK;
	struct vcpu *v;
	int r = 0;

	switch (type) {
	case KVM_ARM_IRQ_TYPE_CPU:
		if (irq_gic_exists(vi))
			return -ENXIO;
		v = irq_vcpu_by_id(vi->group, id);
		if (!v || nr > KVM_ARM_IRQ_CPU_FIQ)
			return -EINVAL;
		vcpu_set_pin(v, nr == KVM_ARM_IRQ_CPU_IRQ ? PIN_IRQ : PIN_FIQ, level);
		return 0;
	case KVM_ARM_IRQ_TYPE_PPI:
	case KVM_ARM_IRQ_TYPE_SPI:
		if (!irq_gic_exists(vi))
			return -ENXIO;
		if (!irq_gic_initialized(vi))
			r = gic_v2_init_lazily(vi);
		if (r)
			return r;
		break;
	default:
		return -EINVAL;
	}
	if (type == KVM_ARM_IRQ_TYPE_SPI)
		return nr < GIC_NR_PRIVATE ? -EINVAL : gic_inject(vi, NULL, nr, level, NULL);
	v = irq_vcpu_by_id(vi->group, id);
	if (!v || nr < GIC_NR_SGI || nr >= GIC_NR_PRIVATE)
		return -EINVAL;
	return gic_inject(vi, irq_cpu_of(v), nr, level, NULL);
}

int irq_signal_msi(struct vm_irq *vi, const struct kvm_msi *msi)
{
	if (!irq_gic_exists(vi) || msi->flags & ~KVM_MSI_VALID_DEVID)
		return -EINVAL;
	return its_send_msi(vi, msi);
}
