/* SPDX-License-Identifier: MIT */
/* Interrupt state, candidates and pins. gic.h says who guards what. */
#include <errno.h>

#include "base/bug.h"
#include "host/alloc.h"
#include "irq/gic.h"

struct gic_irq *gic_irq_get(struct irq_cpu *cpu, u32 intid)
{
	if (intid < GIC_NR_PRIVATE)
		return &cpu->priv[intid];
	if (a32_load_acquire(&cpu->vi->initialized) && intid - GIC_NR_PRIVATE < cpu->vi->nr_spi)
		return &cpu->vi->spi[intid - GIC_NR_PRIVATE];
	return NULL;
}

struct irq_cpu *gic_irq_lock(struct gic_irq *irq) NO_THREAD_SAFETY_ANALYSIS
{
	for (;;) {
		struct irq_cpu *home = aptr_load_acquire(&irq->home);

		mutex_lock(&home->lock);
		/*
		 * Acquire again: it may have moved away and back while we waited, and a move here
		 * is published by this pointer alone, not by this lock.
		 */
		if (likely(aptr_load_acquire(&irq->home) == home))
			return home;
		mutex_unlock(&home->lock);
	}
}

void gic_irq_unlock_unchanged(struct irq_cpu *home) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_unlock(&home->lock);
}

static void candidate_set(struct irq_cpu *cpu, struct gic_irq *irq, bool on)
{
	u32 intid = irq->intid, word = intid / 64;

	if (gic_irq_is_lpi(irq)) {
		list_del(&gic_lpi_of(irq)->candidate);
		if (on) {
			u32 level = irq->priority >> (8 - GIC_PRI_BITS);

			list_add_tail(&cpu->candidate_lpis[level], &gic_lpi_of(irq)->candidate);
			cpu->candidate_lpi_levels |= 1u << level;
		}
		return;
	}
	if (intid < GIC_NR_PRIVATE) {
		if (on)
			cpu->candidate_private |= 1u << intid;
		else
			cpu->candidate_private &= ~(1u << intid);
		return;
	}
	if (on)
		cpu->candidate_spi[word] |= BIT(intid % 64);
	else
		cpu->candidate_spi[word] &= ~BIT(intid % 64);
	if (cpu->candidate_spi[word])
		cpu->candidate_words |= 1u << word;
	else
		cpu->candidate_words &= ~(1u << word);
}

/* What the scan over the candidates of a vCPU finds. */
struct candidate_scan {
	struct gic_irq *best;
	u32 best_prio;
};

static bool group_enabled(const struct irq_cpu *cpu, const struct gic_irq *irq)
{
	return irq->group1 ? cpu->grpen1 : cpu->grpen0;
}

static void scan_one(const struct irq_cpu *cpu, struct gic_irq *irq, struct candidate_scan *s)
{
	/* One of a disabled group hides those that come after it in a GICv2 only. */
	if (!group_enabled(cpu, irq) && !gic_is_v2(cpu->vi))
		return;
	/* The lowest number wins among equals. */
	if (irq->priority < s->best_prio ||
	    (irq->priority == s->best_prio && irq->intid < s->best->intid)) {
		s->best = irq;
		s->best_prio = irq->priority;
	}
}

/* All are of group 1 and have as many bits of priority as there are levels: the first of the highest level is the best. */
static void scan_lpis(struct irq_cpu *cpu, struct candidate_scan *s)
{
	while (cpu->candidate_lpi_levels) {
		u32 level = (u32)__builtin_ctz(cpu->candidate_lpi_levels);
		struct gic_lpi *lpi =
			list_first(&cpu->candidate_lpis[level], struct gic_lpi, candidate);

		if (lpi) {
			scan_one(cpu, &lpi->irq, s);
			return;
		}
		cpu->candidate_lpi_levels &= ~(1u << level);
	}
}

static void scan_candidates(struct irq_cpu *cpu, struct candidate_scan *s)
{
	for (u32 m = cpu->candidate_private; m; m &= m - 1)
		scan_one(cpu, &cpu->priv[__builtin_ctz(m)], s);
	for (u32 w = cpu->candidate_words; w; w &= w - 1) {
		u32 word = (u32)__builtin_ctz(w);

		for (u64 m = cpu->candidate_spi[word]; m; m &= m - 1)
			scan_one(
				cpu,
				&cpu->vi->spi[word * 64 + (u32)__builtin_ctzll(m) - GIC_NR_PRIVATE],
				s);
	}
	scan_lpis(cpu, s);
}

u32 gic_cpu_running_priority(const struct irq_cpu *cpu)
{
	u32 ap = cpu->ap0r | cpu->ap1r;

	return ap ? (u32)__builtin_ctz(ap) << (8 - GIC_PRI_BITS) : GIC_IDLE_PRIO;
}

/* Group priority: the bits that take part in preemption. */
u32 gic_cpu_group_priority(const struct irq_cpu *cpu, u32 priority, bool group1)
{
	u32 bpr;

	if (!group1)
		bpr = gic_cpu_bpr0(cpu) + 1;
	else if (cpu->cbpr)
		bpr = MIN(gic_cpu_bpr0(cpu) + 1, 7u);
	else
		bpr = gic_cpu_bpr1(cpu);
	return priority & (0xffu << bpr) & 0xff;
}

/* By group priorities, as they are now: what runs may have been acknowledged with other binary points. */
static bool preempts(const struct irq_cpu *cpu, const struct gic_irq *irq)
{
	u32 running = gic_cpu_running_priority(cpu);

	return running == GIC_IDLE_PRIO ||
	       gic_cpu_group_priority(cpu, irq->priority, irq->group1) <
		       gic_cpu_group_priority(cpu, running, irq->group1);
}

void gic_cpu_update(struct irq_cpu *cpu)
{
	struct candidate_scan s = {.best_prio = 0x100};
	u32 pin_bit;

	if (!cpu->v)
		return;
	if (a32_load_relaxed(&cpu->vi->enabled))
		scan_candidates(cpu, &s);
	cpu->best = s.best;
	cpu->signalled = s.best && group_enabled(cpu, s.best) &&
			 s.best->priority < gic_cpu_pmr(cpu) && preempts(cpu, s.best);
	pin_bit = !cpu->signalled		  ? 0
		  : cpu->fiqen && !s.best->group1 ? 1u << PIN_FIQ
						  : 1u << PIN_IRQ;
	if (pin_bit != cpu->pin_bits) {
		u32 changed = pin_bit ^ cpu->pin_bits;

		cpu->pin_bits = pin_bit;
		if (changed & 1u << PIN_IRQ)
			vcpu_set_pin(cpu->v, PIN_IRQ, pin_bit & 1u << PIN_IRQ);
		if (changed & 1u << PIN_FIQ)
			vcpu_set_pin(cpu->v, PIN_FIQ, pin_bit & 1u << PIN_FIQ);
	}
}

void gic_cpu_refresh(struct irq_cpu *cpu, struct gic_irq *irq)
{
	candidate_set(cpu, irq,
		      irq->enabled && !irq->active && irq->target == cpu &&
			      gic_irq_is_pending(irq) &&
			      (!gic_irq_is_lpi(irq) || a32_load_relaxed(&cpu->lpis_enabled)));
	gic_cpu_update(cpu);
}

void gic_irq_unlock(struct gic_irq *irq, struct irq_cpu *home) NO_THREAD_SAFETY_ANALYSIS
{
	struct irq_cpu *to = irq->target;

	if (likely(to == home || !to || irq->active)) {
		gic_cpu_refresh(home, irq);
		mutex_unlock(&home->lock);
		return;
	}
	/* Not wanted here any more. From the store on the interrupt belongs to the new home's lock.
	 */
	candidate_set(home, irq, false);
	gic_cpu_update(home);
	aptr_store_release(&irq->home, to);
	mutex_unlock(&home->lock);
	/* Between the two locks others may have changed or moved it again; the last mover does the
	 * refresh. */
	mutex_lock(&to->lock);
	if (aptr_load_acquire(&irq->home) == to) /* acquire: as in gic_irq_lock */
		gic_cpu_refresh(to, irq);
	mutex_unlock(&to->lock);
}

void gic_irq_deactivate_unlock(struct gic_irq *irq, struct irq_cpu *home)
{
	/*
	 * The line that a resampling irqfd holds up falls first, as in KVM: else the interrupt would be pending for a moment, and
	 * another vCPU take it for nothing. It is active meanwhile, so a line that rises again is seen below.
	 */
	if (!irq->edge && irq->intid >= GIC_NR_PRIVATE &&
	    unlikely(a32_load_relaxed(&home->vi->nr_resamplers))) {
		gic_cpu_update(home);
		gic_irq_unlock_unchanged(home);
		irqfd_notify_deactivated(home->vi, irq->intid - GIC_NR_PRIVATE);
		home = gic_irq_lock(irq);
	}
	irq->active = false;
	/* Software made a level interrupt pending: that is over once it was handled. */
	if (!irq->edge)
		irq->pending_latch = false;
	gic_irq_unlock(irq, home);
}

int gic_inject(struct vm_irq *vi, struct irq_cpu *cpu, u32 intid, bool level, const void *owner)
{
	struct gic_irq *irq;
	struct irq_cpu *home;

	if (!a32_load_acquire(&vi->initialized))
		return 0;
	if (intid < GIC_NR_PRIVATE) {
		if (!cpu)
			return -EINVAL;
		irq = &cpu->priv[intid];
	} else {
		if (intid - GIC_NR_PRIVATE >= vi->nr_spi)
			return -EINVAL;
		irq = &vi->spi[intid - GIC_NR_PRIVATE];
	}
	home = gic_irq_lock(irq);
	if (irq->owner != owner || (irq->edge ? !level : irq->line_level == level)) {
		gic_irq_unlock_unchanged(home);
		return 0;
	}
	if (irq->edge)
		irq->pending_latch = true;
	else
		irq->line_level = level;
	gic_irq_unlock(irq, home);
	return 0;
}

void gic_update_all(struct vm_irq *vi) NO_THREAD_SAFETY_ANALYSIS
{
	u32 nr = a32_load_acquire(&vi->group->nr);

	for (u32 i = 0; i < nr; i++) {
		struct irq_cpu *cpu = irq_cpu_of(vcpu_group_get(vi->group, i));

		mutex_lock(&cpu->lock);
		gic_cpu_update(cpu);
		mutex_unlock(&cpu->lock);
	}
}

void gic_cpu_setup_private(struct irq_cpu *cpu)
{
	for (u32 i = 0; i < GIC_NR_PRIVATE; i++) {
		cpu->priv[i] = (struct gic_irq){
			.target = cpu,
			.intid = (u16)i,
			.enabled = i < GIC_NR_SGI,
			.edge = i < GIC_NR_SGI,
			.group1 = !gic_is_v2(cpu->vi),
			.targets = (u8)(1u << (cpu->v->index & 7)),
		};
		aptr_store_relaxed(&cpu->priv[i].home, cpu);
	}
}

/* The reset values of the CPU interface: what a zero VMCR gives. */
void gic_cpu_reset_interface(struct irq_cpu *cpu)
{
	cpu->pmr = cpu->bpr0 = cpu->bpr1 = 0;
	cpu->cbpr = cpu->eoimode = cpu->grpen0 = cpu->grpen1 = cpu->ackctl = false;
	cpu->fiqen = !gic_is_v2(cpu->vi);
	cpu->user_pri_bits = GIC_PRI_BITS;
	cpu->user_id_bits = GIC_ID_BITS;
	a64_store_relaxed(&cpu->pendbaser,
			  1u << 10 | 3u << 7); /* inner shareable, read-allocate write-back */
}

/* CTRL_INIT: freezes the number of SPIs. vi->config held; the caller drops *old after it. */
int gic_init(struct vm_irq *vi, struct irq_routing **old)
{
	struct irq_cpu *cpu0;
	u32 nr, spis;
	int err;

	if (a32_load_acquire(&vi->initialized))
		return 0;
	spis = vi->nr_spi ? vi->nr_spi : GIC_DEFAULT_NR_IRQ - GIC_NR_PRIVATE;
	vi->spi = host_alloc(spis * sizeof(*vi->spi));
	if (!vi->spi)
		return -ENOMEM;
	vi->nr_spi = spis;
	nr = a32_load_acquire(&vi->group->nr);
	cpu0 = nr ? irq_cpu_of(vcpu_group_get(vi->group, 0)) : NULL;
	for (u32 i = 0; i < spis; i++) {
		struct gic_irq *irq = &vi->spi[i];

		irq->intid = (u16)(i + GIC_NR_PRIVATE);
		irq->group1 = !gic_is_v2(vi);
		irq->edge = true;
		irq->target = cpu0;
		aptr_store_relaxed(&irq->home, cpu0 ? cpu0 : vi->nobody);
	}
	for (u32 i = 0; i < nr; i++)
		gic_cpu_reset_interface(irq_cpu_of(vcpu_group_get(vi->group, i)));
	err = route_set_default(vi, old);
	if (err)
		goto out_free;
	a32_store_release(&vi->initialized, 1);
	return 0;
out_free:
	host_free(vi->spi, spis * sizeof(*vi->spi));
	vi->spi = NULL;
	return err;
}
