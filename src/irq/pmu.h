/* SPDX-License-Identifier: MIT */
/*
 * Performance counters of one vCPU (PMUv3). docs/debug-and-counters.md says what they count.
 *
 * Registers belong to the holder of v->mutex, as those of timers do. Counters are brought up to date (pmu_count) before anything
 * that they depend on changes: their registers, the exception level, the end of a stay in the guest; and at v->alarm, which is set
 * such that an overflow that raises the interrupt is seen after the very instruction that caused it.
 */
#ifndef ANYKVM_IRQ_PMU_H
#define ANYKVM_IRQ_PMU_H

#include "vcpu/sysreg.h"

#define PMU_MAX_COUNTERS 6  /* as the host's PMU would have */
#define PMU_NR_EVENTERS	 31 /* PMEVCNTR<n>_EL0 that have an encoding */
#define PMU_CYCLE	 31 /* number of the cycle counter */

/* PMCR_EL0 */
#define PMCR_E	      BIT(0)
#define PMCR_P	      BIT(1)
#define PMCR_C	      BIT(2)
#define PMCR_LC	      BIT(6)
#define PMCR_LP	      BIT(7)
#define PMCR_WRITABLE 0xffull
#define PMCR_N_SHIFT  11
#define PMCR_N	      GENMASK(15, 11)

/* PMEVTYPER<n>_EL0: do not count at EL1, at EL0 */
#define PMU_TYPE_P BIT(31)
#define PMU_TYPE_U BIT(30)

/* PMUSERENR_EL0 */
#define PMUSERENR_EN BIT(0)
#define PMUSERENR_SW BIT(1)
#define PMUSERENR_CR BIT(2)
#define PMUSERENR_ER BIT(3)

#define EVENT_SW_INCR	 0x00u
#define EVENT_CPU_CYCLES 0x11u
#define EVENT_CHAIN	 0x1eu

/* A common event that is implemented, and what counts it as instructions are executed. */
struct pmu_event {
	u8 event;
	enum { SOURCE_NONE, SOURCE_CYCLES, SOURCE_RETIRED, SOURCE_TALLY } source;
	u8 kind; /* of the tally: enum vcpu_tally_kind */
};

struct irq_pmu {
	u64 pmcr; /* without N */
	u64 enabled, interrupt, overflow;
	u64 select, userenr;
	u64 count[32], type[32]; /* [PMU_CYCLE]: PMCCNTR_EL0, PMCCFILTR_EL0 */
	/* Of the vCPU, as counted so far. */
	u64 seen_cycles, seen_retired, seen_tally[NR_TALLIES];
	bool fresh; /* switched on by an instruction whose number is not known yet: the next look starts the count */
	u32 irq; /* 0: not set; vi->config while others look */
	bool created;
};

/* Of a VM; guarded by vi->config, constant once a vCPU ran. */
struct vm_pmu {
	u8 nr_counters;
	bool filtered;	/* some filter was set */
	u64 allowed[2]; /* common events 0 to 127 that the filter lets count */
};

struct irq_cpu;
struct vm_irq;

/* --- pmu.c --- */
/* ID_AA64DFR0_EL1.PMUVer of the VM; 0: none. */
unsigned pmu_version(const struct irq_cpu *cpu);
#define PMUVER_3P1 4
#define PMUVER_3P5 6
bool pmu_present(const struct vcpu *v);
/* Implemented counters as bits of PMCNTENSET_EL0 and its like. */
u64 pmu_counter_mask(const struct irq_cpu *cpu);
/* Event counters have 64 bits (ID_AA64DFR0_EL1.PMUVer). */
bool pmu_long_counters(const struct irq_cpu *cpu);
u64 pmu_type_mask(const struct irq_cpu *cpu);
bool pmu_event_allowed(const struct vm_irq *vi, u32 event);
/* NULL: not implemented. */
const struct pmu_event *pmu_event_get(u32 event);
/* Those that are implemented and allowed, by number: what PMCEID0_EL0 and PMCEID1_EL0 have half of each. */
u64 pmu_events_allowed(const struct vm_irq *vi);
/* vcpu_irq_ops.count: brings the counters up to date. */
void pmu_count(struct vcpu *v, bool current);
/*
 * After what is counted may have changed. The instruction that switches counters on is not counted (current: it is being
 * executed; the result is its handler's).
 */
enum op_result pmu_reconfigured(struct vcpu *v, bool current);
/* After a counter was written, or what is told of its overflow: as pmu_reconfigured. Counters are up to date. */
enum op_result pmu_rearm(struct vcpu *v);
/* Adds 1 to those of the counters in mask that are on and count this event (SW_INCR, CHAIN). */
void pmu_increment(struct irq_cpu *cpu, u64 mask, u32 event);
/* An overflow that interrupts is there. */
bool pmu_level(const struct irq_cpu *cpu);
/* The interrupt follows. */
void pmu_update(struct irq_cpu *cpu);
void pmu_reset(struct irq_cpu *cpu);
/* Part of the first KVM_RUN. 0, -EINVAL (INIT is missing, the interrupt does not exist). */
int pmu_first_run(struct irq_cpu *cpu);

/* --- pmu_regs.c --- */
extern const struct sysreg_row pmu_sysreg_rows[];
extern const u32 pmu_nr_sysreg_rows;

#endif
