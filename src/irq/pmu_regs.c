// SPDX-License-Identifier: MIT
/*
 * System registers of the performance counters, for the guest and for ONE_REG. Denials are UNDEFINED, as KVM makes them: it traps
 * every access and injects that where PMUSERENR_EL0 keeps EL0 out, and for counters beyond PMCR_EL0.N.
 */
#include <anykvm/kvm.h>

#include "irq/irq.h"
#include "vcpu/sysreg.h"

static struct irq_pmu *pmu_of(const struct vcpu *v)
{
	return &irq_cpu_of(v)->pmu;
}

static bool row_present(const struct vcpu *v, const struct sysreg_row *row)
{
	(void)row;
	return pmu_present(v);
}

/* Also before FEAT_PMUv3p4, which brought it: KVM looks no closer. */
static bool pmmir_present(const struct vcpu *v, const struct sysreg_row *row)
{
	(void)row;
	return pmu_version(irq_cpu_of(v));
}

/* Whether EL0 is kept out. */
static bool denied(const struct vcpu *v, u64 any)
{
	return v->arch.el == 0 && !(pmu_of(v)->userenr & any);
}

/* --- PMCR_EL0 --- */

static u64 pmcr_value(const struct vcpu *v)
{
	return pmu_of(v)->pmcr | (u64)irq_cpu_of(v)->vi->pmu.nr_counters << PMCR_N_SHIFT;
}

static enum op_result pmcr_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	if (denied(v, PMUSERENR_EN))
		return vcpu_undef(v);
	*value = pmcr_value(v) & ~(PMCR_P | PMCR_C);
	return OP_NEXT;
}

static enum op_result pmcr_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	struct irq_cpu *cpu = irq_cpu_of(v);
	struct irq_pmu *p = &cpu->pmu;
	u64 old = p->pmcr;

	(void)row;
	if (denied(v, PMUSERENR_EN))
		return vcpu_undef(v);
	pmu_count(v, false);
	p->pmcr = (value & PMCR_WRITABLE & ~(PMCR_P | PMCR_C)) | PMCR_LC;
	if (!pmu_long_counters(cpu))
		p->pmcr &= ~PMCR_LP;
	if (value & PMCR_C)
		p->count[PMU_CYCLE] = 0;
	if (value & PMCR_P)
		for (unsigned n = 0; n < cpu->vi->pmu.nr_counters; n++)
			p->count[n] = 0;
	return (old ^ p->pmcr) & PMCR_E ? pmu_reconfigured(v, true) : pmu_rearm(v);
}

static int pmcr_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	*value = pmcr_value(v);
	return 0;
}

/* N may change until a vCPU ran; a larger one than there is, or a later one, is silently not taken. */
static int pmcr_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	struct vm_irq *vi = irq_cpu_of(v)->vi;
	u64 n = (value & PMCR_N) >> PMCR_N_SHIFT;

	(void)row;
	mutex_lock(&vi->config);
	if (!vcpu_group_ran(vi->group) && n <= PMU_MAX_COUNTERS)
		vi->pmu.nr_counters = (u8)n;
	mutex_unlock(&vi->config);
	pmu_of(v)->pmcr = (value & PMCR_WRITABLE) | PMCR_LC;
	pmu_reconfigured(v, false);
	return 0;
}

/* --- PMCNTENSET, PMINTENSET, PMOVSSET and their CLR --- */

enum bits { BITS_ENABLED, BITS_INTERRUPT, BITS_OVERFLOW };

static enum bits row_bits(const struct sysreg_row *row)
{
	unsigned crm = row->op >> 3 & 15, op2 = row->op & 7;

	if (crm == 14)
		return op2 == 3 ? BITS_OVERFLOW : BITS_INTERRUPT;
	return op2 == 3 ? BITS_OVERFLOW : BITS_ENABLED;
}

/* Op2 1 sets, 2 clears; of the overflow registers that at CRm 14 sets. */
static bool row_sets(const struct sysreg_row *row)
{
	unsigned crm = row->op >> 3 & 15, op2 = row->op & 7;

	return op2 == 3 ? crm == 14 : op2 == 1;
}

static u64 *bits_of(struct vcpu *v, const struct sysreg_row *row)
{
	struct irq_pmu *p = pmu_of(v);

	switch (row_bits(row)) {
	case BITS_ENABLED:
		return &p->enabled;
	case BITS_INTERRUPT:
		return &p->interrupt;
	default:
		return &p->overflow;
	}
}

static enum op_result bits_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	if (denied(v, PMUSERENR_EN))
		return vcpu_undef(v);
	pmu_count(v, false);
	*value = *bits_of(v, row);
	return OP_NEXT;
}

/* The instruction that changes what these counters count is none that they count, but the others do: pmu_reconfigured forgets it. */
static void count_others(struct vcpu *v, u64 changed)
{
	struct irq_pmu *p = pmu_of(v);
	u64 enabled = p->enabled;

	p->enabled &= ~changed;
	pmu_count(v, true);
	p->enabled = enabled;
}

static enum op_result bits_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	u64 *bits = bits_of(v, row), old, new;

	if (denied(v, PMUSERENR_EN))
		return vcpu_undef(v);
	pmu_count(v, false);
	value &= pmu_counter_mask(irq_cpu_of(v));
	old = *bits;
	new = row_sets(row) ? old | value : old & ~value;
	if (row_bits(row) == BITS_ENABLED && new != old) {
		count_others(v, old ^ new);
		*bits = new;
		return pmu_reconfigured(v, true);
	}
	*bits = new;
	pmu_update(irq_cpu_of(v));
	return pmu_rearm(v);
}

static int bits_get_user(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	*value = *bits_of(v, row) & pmu_counter_mask(irq_cpu_of(v));
	return 0;
}

/* Both names of a register take it as it is. */
static int bits_set_user(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	*bits_of(v, row) = value & pmu_counter_mask(irq_cpu_of(v));
	pmu_reconfigured(v, false);
	return 0;
}

/* --- counters and event types --- */

/* The counter that a row names; PMXEV* name that of PMSELR_EL0. */
static unsigned row_counter(const struct vcpu *v, const struct sysreg_row *row)
{
	unsigned crn = row->op >> 7 & 15, crm = row->op >> 3 & 15, op2 = row->op & 7;

	if (crn == 14)
		return (crm & 3) << 3 | op2;
	return op2 ? pmu_of(v)->select & 31 : PMU_CYCLE;
}

static bool no_such_counter(const struct vcpu *v, unsigned n)
{
	return n >= irq_cpu_of(v)->vi->pmu.nr_counters && n != PMU_CYCLE;
}

/* PMCCNTR_EL0 by its own name has its own bit of PMUSERENR_EL0. */
static u64 counter_right(const struct sysreg_row *row)
{
	return row->op == SYSREG_OP(3, 3, 9, 13, 0) ? PMUSERENR_CR : PMUSERENR_ER;
}

static u64 counter_value(const struct vcpu *v, unsigned n)
{
	u64 value = pmu_of(v)->count[n];

	return n == PMU_CYCLE || pmu_long_counters(irq_cpu_of(v)) ? value : (u32)value;
}

static enum op_result counter_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	unsigned n = row_counter(v, row);

	if (denied(v, PMUSERENR_EN | counter_right(row)) || no_such_counter(v, n))
		return vcpu_undef(v);
	pmu_count(v, false);
	*value = counter_value(v, n);
	return OP_NEXT;
}

static enum op_result counter_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	unsigned n = row_counter(v, row);

	if (denied(v, PMUSERENR_EN) || no_such_counter(v, n))
		return vcpu_undef(v);
	pmu_count(v, false);
	if (n != PMU_CYCLE && !pmu_long_counters(irq_cpu_of(v)))
		value = (u32)value;
	pmu_of(v)->count[n] = value;
	return pmu_rearm(v);
}

static int counter_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	*value = counter_value(v, row_counter(v, row));
	return 0;
}

static int counter_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	pmu_of(v)->count[row_counter(v, row)] = value;
	return 0;
}

static enum op_result type_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	unsigned n = row_counter(v, row);

	if (denied(v, PMUSERENR_EN) || no_such_counter(v, n))
		return vcpu_undef(v);
	*value = pmu_of(v)->type[n];
	return OP_NEXT;
}

static enum op_result type_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	unsigned n = row_counter(v, row);

	if (denied(v, PMUSERENR_EN) || no_such_counter(v, n))
		return vcpu_undef(v);
	pmu_count(v, false);
	count_others(v, BIT(n));
	pmu_of(v)->type[n] = value & pmu_type_mask(irq_cpu_of(v));
	return pmu_reconfigured(v, true);
}

static int type_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	*value = pmu_of(v)->type[row_counter(v, row)];
	return 0;
}

static int type_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	pmu_of(v)->type[row_counter(v, row)] = value;
	pmu_reconfigured(v, false);
	return 0;
}

/* --- the rest --- */

static enum op_result select_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	if (denied(v, PMUSERENR_EN | PMUSERENR_ER))
		return vcpu_undef(v);
	*value = pmu_of(v)->select & 31;
	return OP_NEXT;
}

static enum op_result select_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	(void)row;
	if (denied(v, PMUSERENR_EN | PMUSERENR_ER))
		return vcpu_undef(v);
	pmu_of(v)->select = value;
	return OP_NEXT;
}

static int select_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	*value = pmu_of(v)->select;
	return 0;
}

static int select_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	(void)row;
	pmu_of(v)->select = value;
	return 0;
}

static enum op_result swinc_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	struct irq_cpu *cpu = irq_cpu_of(v);

	(void)row;
	if (denied(v, PMUSERENR_EN | PMUSERENR_SW))
		return vcpu_undef(v);
	pmu_increment(cpu, value & pmu_counter_mask(cpu), EVENT_SW_INCR);
	return OP_NEXT;
}

static int raz_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)v, (void)row;
	*value = 0;
	return 0;
}

static int wi_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	(void)v, (void)row, (void)value;
	return 0;
}

static enum op_result userenr_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	*value = pmu_of(v)->userenr & 15;
	return OP_NEXT;
}

static enum op_result userenr_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	(void)row;
	pmu_of(v)->userenr = value & 15;
	return OP_NEXT;
}

static int userenr_get(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	(void)row;
	*value = pmu_of(v)->userenr;
	return 0;
}

static int userenr_set(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	(void)row;
	pmu_of(v)->userenr = value;
	return 0;
}

/* Events 0 to 31 and 32 to 63; of those from 0x4000 on, in the upper halves, there are none. */
static enum op_result ceid_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	if (denied(v, PMUSERENR_EN))
		return vcpu_undef(v);
	*value = (u32)(pmu_events_allowed(irq_cpu_of(v)->vi) >> (row->op & 1 ? 32 : 0));
	return OP_NEXT;
}

/* The registers are part of the counters: pmu_reset (vcpu_irq_ops.reset) does it. */
static void no_reset(struct vcpu *v, const struct sysreg_row *row)
{
	(void)v, (void)row;
}

#define ROW(op0, op1, crn, crm, op2, reg, acc)                                                     \
	.op = SYSREG_OP(op0, op1, crn, crm, op2), .name = #reg, .access = (acc), .index = SR_NONE, \
	.reset_hook = no_reset
#define PMU(crm, op2, reg, acc) ROW(3, 3, 9, crm, op2, reg, acc), .present = row_present
#define RW_HOOKS(what)                                                                    \
	.read = what##_read, .write = what##_write, .get = what##_get, .set = what##_set, \
	.flags = SYSREG_LISTED | SYSREG_POLLS
#define BITS_HOOKS                                                                          \
	.read = bits_read, .write = bits_write, .get = bits_get_user, .set = bits_set_user, \
	.flags = SYSREG_LISTED | SYSREG_POLLS
#define COUNTER(n)                                                                    \
	{ROW(3, 3, 14, 8 + (n) / 8, (n) % 8, PMEVCNTR##n##_EL0, SYSREG_RW0),          \
	 .present = row_present, RW_HOOKS(counter)},                                  \
	{                                                                             \
		ROW(3, 3, 14, 12 + (n) / 8, (n) % 8, PMEVTYPER##n##_EL0, SYSREG_RW0), \
			.present = row_present, RW_HOOKS(type)                        \
	}

const struct sysreg_row pmu_sysreg_rows[] = {
	{ROW(3, 0, 9, 14, 1, PMINTENSET_EL1, SYSREG_RW1), .present = row_present, BITS_HOOKS},
	{ROW(3, 0, 9, 14, 2, PMINTENCLR_EL1, SYSREG_RW1), .present = row_present, BITS_HOOKS},
	{ROW(3, 0, 9, 14, 6, PMMIR_EL1, SYSREG_RW1), .present = pmmir_present, .flags = SYSREG_RAZ},
	{PMU(12, 0, PMCR_EL0, SYSREG_RW0), RW_HOOKS(pmcr)},
	{PMU(12, 1, PMCNTENSET_EL0, SYSREG_RW0), BITS_HOOKS},
	{PMU(12, 2, PMCNTENCLR_EL0, SYSREG_RW0), BITS_HOOKS},
	{PMU(12, 3, PMOVSCLR_EL0, SYSREG_RW0), BITS_HOOKS},
	{PMU(12, 4, PMSWINC_EL0, SYSREG_W1 | SYSREG_W0), .write = swinc_write, .get = raz_get,
	 .set = wi_set, .flags = SYSREG_LISTED | SYSREG_POLLS},
	{PMU(12, 5, PMSELR_EL0, SYSREG_RW0), RW_HOOKS(select)},
	{PMU(12, 6, PMCEID0_EL0, SYSREG_RO0), .read = ceid_read},
	{PMU(12, 7, PMCEID1_EL0, SYSREG_RO0), .read = ceid_read},
	{PMU(13, 0, PMCCNTR_EL0, SYSREG_RW0), RW_HOOKS(counter)},
	{PMU(13, 1, PMXEVTYPER_EL0, SYSREG_RW0), .read = type_read, .write = type_write},
	{PMU(13, 2, PMXEVCNTR_EL0, SYSREG_RW0), .read = counter_read, .write = counter_write},
	{PMU(14, 0, PMUSERENR_EL0, SYSREG_RW1 | SYSREG_R0), RW_HOOKS(userenr)},
	{PMU(14, 3, PMOVSSET_EL0, SYSREG_RW0), BITS_HOOKS},
	COUNTER(0),
	COUNTER(1),
	COUNTER(2),
	COUNTER(3),
	COUNTER(4),
	COUNTER(5),
	COUNTER(6),
	COUNTER(7),
	COUNTER(8),
	COUNTER(9),
	COUNTER(10),
	COUNTER(11),
	COUNTER(12),
	COUNTER(13),
	COUNTER(14),
	COUNTER(15),
	COUNTER(16),
	COUNTER(17),
	COUNTER(18),
	COUNTER(19),
	COUNTER(20),
	COUNTER(21),
	COUNTER(22),
	COUNTER(23),
	COUNTER(24),
	COUNTER(25),
	COUNTER(26),
	COUNTER(27),
	COUNTER(28),
	COUNTER(29),
	COUNTER(30),
	{ROW(3, 3, 14, 15, 7, PMCCFILTR_EL0, SYSREG_RW0), .present = row_present, RW_HOOKS(type)},
};
const u32 pmu_nr_sysreg_rows = ARRAY_SIZE(pmu_sysreg_rows);
