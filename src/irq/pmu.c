// SPDX-License-Identifier: MIT
/* Counting and overflow of the performance counters: see pmu.h. */
#include "irq/pmu.h"

#include <errno.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "irq/irq.h"
#include "vcpu/idregs.h"

/* Bits of PMEVTYPER that KVM adds where EL3 exists: they invert P and U. */
#define TYPE_NSK BIT(29)
#define TYPE_NSU BIT(28)

/* Features are the VM's, also of a vCPU that is not initialised yet. */
bool pmu_present(const struct vcpu *v)
{
	return a32_load_relaxed(&v->group->features) & BIT(KVM_ARM_VCPU_PMU_V3);
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

/* --- events --- */

static const struct pmu_event events[] = {
	{EVENT_SW_INCR, SOURCE_NONE, 0},
	{0x06, SOURCE_TALLY, TALLY_LOAD},	      /* LD_RETIRED */
	{0x07, SOURCE_TALLY, TALLY_STORE},	      /* ST_RETIRED */
	{0x08, SOURCE_RETIRED, 0},		      /* INST_RETIRED */
	{0x09, SOURCE_TALLY, TALLY_EXCEPTION},	      /* EXC_TAKEN */
	{0x0a, SOURCE_TALLY, TALLY_EXCEPTION_RETURN}, /* EXC_RETURN */
	{0x0b, SOURCE_TALLY, TALLY_CONTEXT_WRITE},    /* CID_WRITE_RETIRED */
	{0x0d, SOURCE_TALLY, TALLY_BRANCH_IMMEDIATE}, /* BR_IMMED_RETIRED */
	{0x0e, SOURCE_TALLY, TALLY_PROCEDURE_RETURN}, /* BR_RETURN_RETIRED */
	{EVENT_CPU_CYCLES, SOURCE_CYCLES, 0},
	{0x13, SOURCE_TALLY, TALLY_ACCESS},	 /* MEM_ACCESS */
	{0x1b, SOURCE_CYCLES, 0},		 /* INST_SPEC: nothing is executed in vain */
	{0x1c, SOURCE_TALLY, TALLY_TABLE_WRITE}, /* TTBR_WRITE_RETIRED */
	{EVENT_CHAIN, SOURCE_NONE, 0},
	{0x21, SOURCE_TALLY, TALLY_BRANCH}, /* BR_RETIRED */
	/* Cycles without an instruction: there are none. FEAT_PMUv3p1 wants the first two of every PMU. */
	{0x23, SOURCE_NONE, 0}, /* STALL_FRONTEND */
	{0x24, SOURCE_NONE, 0}, /* STALL_BACKEND */
	{0x3c, SOURCE_NONE, 0}, /* STALL */
};

const struct pmu_event *pmu_event_get(u32 event)
{
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i].event == event)
			return &events[i];
	return NULL;
}

u64 pmu_events_allowed(const struct vm_irq *vi)
{
	u64 all = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		if (pmu_event_allowed(vi, events[i].event))
			all |= BIT(events[i].event);
	return all;
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
	if (n == PMU_CYCLE)
		return cpu->pmu.pmcr & PMCR_LC;
	/* User space may set LP of a PMU that has no such counters. */
	return (cpu->pmu.pmcr & PMCR_LP) && pmu_long_counters(cpu);
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
	/* An odd counter counts the overflows of its even neighbour, if those are of 32 bits; to KVM it is LP that says so. */
	if (n + 1 >= PMU_CYCLE || n % 2 || (p->pmcr & PMCR_LP))
		return;
	if ((p->enabled >> (n + 1) & 1) && counter_event(cpu, n + 1) == EVENT_CHAIN)
		add(cpu, n + 1, wraps);
}

/* What was done since counters looked last, of each source. */
struct gains {
	u64 cycles, retired, tally[NR_TALLIES];
};

/* What counter n counts now, if it is on; NULL: nothing. */
static const struct pmu_event *event_here(const struct irq_cpu *cpu, unsigned n)
{
	u32 event = counter_event(cpu, n);

	if (!counts_here(&cpu->pmu, n, cpu->v->arch.el) || !pmu_event_allowed(cpu->vi, event))
		return NULL;
	return pmu_event_get(event);
}

/* What counter n gains from these, if it is on. */
static u64 gain(struct irq_cpu *cpu, unsigned n, const struct gains *g)
{
	const struct pmu_event *e = event_here(cpu, n);

	if (!e)
		return 0;
	switch (e->source) {
	case SOURCE_CYCLES:
		return g->cycles;
	case SOURCE_RETIRED:
		return g->retired;
	case SOURCE_TALLY:
		return g->tally[e->kind];
	default:
		return 0;
	}
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

/* An overflow of counter n raises the interrupt, or one of the counter that is chained to it may. */
static bool overflow_matters(const struct irq_cpu *cpu, unsigned n)
{
	const struct irq_pmu *p = &cpu->pmu;

	if (n == PMU_CYCLE || n % 2)
		return p->interrupt >> n & 1;
	return p->interrupt >> n & 3;
}

/*
 * When counters are to be looked at next: no overflow that matters comes before that many instructions. An estimate that is too
 * early costs another look. It holds for this exception level: a change of level is a change of the vTLB's generation, after which the
 * engine looks.
 */
static void set_alarm(struct irq_cpu *cpu)
{
	struct irq_pmu *p = &cpu->pmu;
	u64 soonest = BIT(62);

	for (u64 left = p->enabled; left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctzll(left);
		const struct pmu_event *e = event_here(cpu, n);
		u64 room = 0 - p->count[n];

		if (!e || e->source == SOURCE_NONE || !overflow_matters(cpu, n))
			continue;
		if (!overflows_at_64(cpu, n))
			room = BIT(32) - (u32)p->count[n];
		if (e->source == SOURCE_TALLY)
			room = room / TALLY_MOST + !!(room % TALLY_MOST);
		if (room) /* else 2^64 */
			soonest = MIN(soonest, room);
	}
	cpu->v->alarm = p->seen_cycles + soonest;
}

static void look(struct irq_cpu *cpu, struct gains *g, u64 now)
{
	struct irq_pmu *p = &cpu->pmu;
	const struct vcpu *v = cpu->v;

	g->cycles = since(&p->seen_cycles, now);
	g->retired = since(&p->seen_retired, now - v->not_retired);
	for (unsigned i = 0; i < NR_TALLIES; i++) {
		g->tally[i] = v->tally[i] - p->seen_tally[i];
		p->seen_tally[i] = v->tally[i];
	}
}

static void forget(struct irq_cpu *cpu, u64 now)
{
	struct irq_pmu *p = &cpu->pmu;

	p->seen_cycles = now;
	p->seen_retired = now - cpu->v->not_retired;
	memcpy(p->seen_tally, cpu->v->tally, sizeof(p->seen_tally));
}

void pmu_count(struct vcpu *v, bool current)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	struct irq_pmu *p = &cpu->pmu;
	u64 now = vcpu_instructions(v) + current;
	struct gains g;

	if (!v->counting)
		return;
	if (p->fresh) {
		p->fresh = false;
		forget(cpu, now);
		set_alarm(cpu);
		return;
	}
	look(cpu, &g, now);
	for (u64 left = p->enabled; left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctzll(left);
		u64 by = gain(cpu, n, &g);

		if (by)
			add(cpu, n, by);
	}
	set_alarm(cpu);
	pmu_update(cpu);
}

/* Whether counters run, and whether one counts what only a look at each instruction tells. */
static void find_sources(struct irq_cpu *cpu)
{
	const struct irq_pmu *p = &cpu->pmu;
	struct vcpu *v = cpu->v;

	v->counting = v->tallying = false;
	if (!(p->pmcr & PMCR_E))
		return;
	for (u64 left = p->enabled; left; left &= left - 1) {
		u32 event = counter_event(cpu, (unsigned)__builtin_ctzll(left));
		const struct pmu_event *e = pmu_event_get(event);

		if (!e || e->source == SOURCE_NONE || !pmu_event_allowed(cpu->vi, event))
			continue;
		v->counting = true;
		v->tallying |= e->source == SOURCE_TALLY && e->kind < TALLY_BY_WORD;
	}
}

enum op_result pmu_reconfigured(struct vcpu *v, bool current)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	struct irq_pmu *p = &cpu->pmu;
	bool before = v->counting;

	find_sources(cpu);
	forget(cpu, vcpu_instructions(v) + current);
	p->fresh = current && v->counting && !v->in_block;
	set_alarm(cpu);
	pmu_update(cpu);
	/* An engine that does not know where it is must be told that it should, and one that does may have to look closer. */
	return current && (before || v->counting) ? vcpu_context_changed(v) : OP_NEXT;
}

enum op_result pmu_rearm(struct vcpu *v)
{
	if (!v->counting)
		return OP_NEXT;
	set_alarm(irq_cpu_of(v));
	return vcpu_context_changed(v);
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

bool pmu_level(const struct irq_cpu *cpu)
{
	const struct irq_pmu *p = &cpu->pmu;

	return (p->pmcr & PMCR_E) && (p->overflow & p->interrupt);
}

void pmu_update(struct irq_cpu *cpu)
{
	const struct irq_pmu *p = &cpu->pmu;
	bool level = pmu_level(cpu);
	const struct gic_irq *irq;

	if (!irq_gic_exists(cpu->vi)) {
		user_irq_check(cpu);
		return;
	}
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
	cpu->v->counting = cpu->v->tallying = false;
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
