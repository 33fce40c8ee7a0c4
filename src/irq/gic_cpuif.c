/* SPDX-License-Identifier: MIT */
/*
 * The CPU interface: ICC_* system registers, for the guest and for user space (CPU_SYSREGS
 * attributes).
 *
 * KVM runs guests against the virtual CPU interface of the hardware, whose behaviour (Arm IHI 0069,
 * "virtual interrupt handling and prioritization") this is: five priority bits, all of them
 * preemption, so one active priority register per group.
 */
#include <errno.h>

#include "base/bug.h"
#include "irq/gic.h"
#include "vcpu/sysreg.h"

#define CTLR_CBPR      BIT(0)
#define CTLR_EOIMODE   BIT(1)
#define CTLR_PRI_SHIFT 8
#define CTLR_ID_SHIFT  11
#define CTLR_SEIS      BIT(14)
#define CTLR_A3V       BIT(15)
#define SRE_VALUE      7 /* SRE, DFB, DIB: no bypass, no way back to memory mapped registers */

#define OP_PMR	   SYSREG_OP(3, 0, 4, 6, 0)
#define OP_IAR0	   SYSREG_OP(3, 0, 12, 8, 0)
#define OP_EOIR0   SYSREG_OP(3, 0, 12, 8, 1)
#define OP_HPPIR0  SYSREG_OP(3, 0, 12, 8, 2)
#define OP_BPR0	   SYSREG_OP(3, 0, 12, 8, 3)
#define OP_AP0R(n) SYSREG_OP(3, 0, 12, 8, 4 + (n))
#define OP_AP1R(n) SYSREG_OP(3, 0, 12, 9, (n))
#define OP_DIR	   SYSREG_OP(3, 0, 12, 11, 1)
#define OP_RPR	   SYSREG_OP(3, 0, 12, 11, 3)
#define OP_SGI1R   SYSREG_OP(3, 0, 12, 11, 5)
#define OP_ASGI1R  SYSREG_OP(3, 0, 12, 11, 6)
#define OP_SGI0R   SYSREG_OP(3, 0, 12, 11, 7)
#define OP_IAR1	   SYSREG_OP(3, 0, 12, 12, 0)
#define OP_EOIR1   SYSREG_OP(3, 0, 12, 12, 1)
#define OP_HPPIR1  SYSREG_OP(3, 0, 12, 12, 2)
#define OP_BPR1	   SYSREG_OP(3, 0, 12, 12, 3)
#define OP_CTLR	   SYSREG_OP(3, 0, 12, 12, 4)
#define OP_SRE	   SYSREG_OP(3, 0, 12, 12, 5)
#define OP_IGRPEN0 SYSREG_OP(3, 0, 12, 12, 6)
#define OP_IGRPEN1 SYSREG_OP(3, 0, 12, 12, 7)

/* --- what the registers do --- */

u32 gic_cpu_acknowledge(struct irq_cpu *cpu, u32 groups)
{
	u32 intid = GIC_SPURIOUS;
	struct gic_irq *irq;
	u32 level;

	mutex_lock(&cpu->lock);
	irq = cpu->best;
	if (!cpu->signalled || !(groups >> irq->group1 & 1))
		goto out;
	level = gic_cpu_group_priority(cpu, irq->priority, irq->group1) >> (8 - GIC_PRI_BITS);
	if (irq->group1)
		cpu->ap1r |= 1u << level;
	else
		cpu->ap0r |= 1u << level;
	/* An LPI is done with when it is acknowledged. */
	irq->active = !gic_irq_is_lpi(irq);
	/* A level interrupt stays pending as long as its line is up. */
	if (irq->edge)
		irq->pending_latch = false;
	intid = irq->intid;
	/* A GICv2 tells who sent an SGI, one sender at a time. */
	if (irq->source) {
		intid |= (u32)__builtin_ctz(irq->source) << 10;
		irq->source &= irq->source - 1;
		irq->pending_latch = irq->source;
	}
	gic_cpu_refresh(cpu, irq);
out:
	mutex_unlock(&cpu->lock);
	return intid;
}

/* Returns the priority dropped, GIC_IDLE_PRIO if none was active. cpu->lock held. */
static u32 drop_priority(struct irq_cpu *cpu)
{
	u32 level0 = cpu->ap0r ? (u32)__builtin_ctz(cpu->ap0r) : 32;
	u32 level1 = cpu->ap1r ? (u32)__builtin_ctz(cpu->ap1r) : 32;

	if (level0 == 32 && level1 == 32)
		return GIC_IDLE_PRIO;
	if (level0 < level1) {
		cpu->ap0r &= cpu->ap0r - 1;
		return level0 << (8 - GIC_PRI_BITS);
	}
	cpu->ap1r &= cpu->ap1r - 1;
	return level1 << (8 - GIC_PRI_BITS);
}

void gic_cpu_end(struct irq_cpu *cpu, u32 intid, u32 groups) NO_THREAD_SAFETY_ANALYSIS
{
	struct gic_irq *irq;
	u32 dropped;

	if (intid >= 1020 && intid < GIC_FIRST_LPI) /* special numbers: nothing was acknowledged */
		return;
	irq = gic_irq_get(cpu, intid);
	mutex_lock(&cpu->lock);
	dropped = drop_priority(cpu);
	/*
	 * Deactivates only what this CPU acknowledged, in this group and (but for a GICv2) at this priority; else the guest mixed
	 * things up and the interrupt stays active, as in hardware.
	 */
	if (!cpu->eoimode && irq && aptr_load_acquire(&irq->home) == cpu && irq->active &&
	    groups >> irq->group1 & 1 &&
	    (gic_is_v2(cpu->vi) ||
	     gic_cpu_group_priority(cpu, irq->priority, irq->group1) == dropped)) {
		gic_irq_deactivate_unlock(irq, cpu);
		return;
	}
	gic_cpu_update(cpu);
	mutex_unlock(&cpu->lock);
}

void gic_cpu_deactivate(struct irq_cpu *cpu, u32 intid)
{
	struct gic_irq *irq = gic_irq_get(cpu, intid);
	struct irq_cpu *home;
	bool eoimode;

	mutex_lock(&cpu->lock);
	eoimode = cpu->eoimode;
	mutex_unlock(&cpu->lock);
	if (!eoimode || !irq)
		return;
	/* An SPI may be deactivated by any CPU. */
	home = gic_irq_lock(irq);
	if (irq->active)
		gic_irq_deactivate_unlock(irq, home);
	else
		gic_irq_unlock_unchanged(home);
}

static void sgi_to(struct irq_cpu *cpu, u32 sgi, bool group1_too)
{
	struct gic_irq *irq = &cpu->priv[sgi];

	mutex_lock(&cpu->lock);
	/* ICC_SGI0R and ICC_ASGI1R make group 0 interrupts only; ICC_SGI1R makes whatever the
	 * target configured. */
	if (!irq->group1 || group1_too) {
		irq->pending_latch = true;
		gic_cpu_refresh(cpu, irq);
	}
	mutex_unlock(&cpu->lock);
}

static void send_sgi(struct irq_cpu *self, u64 value, bool group1_too)
{
	struct vcpu_group *g = self->vi->group;
	u32 sgi = (u32)bits_get(value, 24, 4);
	u64 mpidr;

	if (value & BIT(40)) { /* IRM: all but self */
		u32 nr = a32_load_acquire(&g->nr);

		for (u32 i = 0; i < nr; i++) {
			struct vcpu *v = vcpu_group_get(g, i);

			if (v != self->v)
				sgi_to(irq_cpu_of(v), sgi, group1_too);
		}
		return;
	}
	mpidr = bits_get(value, 48, 8) << 32 | bits_get(value, 32, 8) << 16 |
		bits_get(value, 16, 8) << 8;
	for (u64 list = bits_get(value, 0, 16); list; list &= list - 1) {
		struct vcpu *v = vcpu_group_by_mpidr(g, mpidr | (u32)__builtin_ctzll(list));

		if (v)
			sgi_to(irq_cpu_of(v), sgi, group1_too);
	}
}

static u64 ctlr_value(const struct irq_cpu *cpu, u32 pri_bits, u32 id_bits)
{
	return (u64)(pri_bits - 1) << CTLR_PRI_SHIFT | (u64)id_bits << CTLR_ID_SHIFT | CTLR_A3V |
	       (cpu->eoimode ? CTLR_EOIMODE : 0) | (cpu->cbpr ? CTLR_CBPR : 0);
}

static u64 bpr1_value(const struct irq_cpu *cpu)
{
	return cpu->cbpr ? MIN(gic_cpu_bpr0(cpu) + 1, 7u) : gic_cpu_bpr1(cpu);
}

static u64 hppir(const struct irq_cpu *cpu, bool group1)
{
	return cpu->best && cpu->best->group1 == group1 ? cpu->best->intid : GIC_SPURIOUS;
}

/* --- state registers, shared by guest and user space --- */

static int gic_cpuif_get_locked(const struct irq_cpu *cpu, u16 op, u64 *value)
{
	switch (op) {
	case OP_PMR:
		*value = cpu->pmr;
		return 0;
	case OP_BPR0:
		*value = cpu->bpr0;
		return 0;
	case OP_BPR1:
		*value = cpu->cbpr ? MIN(cpu->bpr0 + 1u, 7u) : cpu->bpr1;
		return 0;
	case OP_AP0R(0):
		*value = cpu->ap0r;
		return 0;
	case OP_AP1R(0):
		*value = cpu->ap1r;
		return 0;
	case OP_CTLR:
		*value = ctlr_value(cpu, cpu->user_pri_bits, cpu->user_id_bits);
		return 0;
	case OP_SRE:
		*value = SRE_VALUE;
		return 0;
	case OP_IGRPEN0:
		*value = cpu->grpen0;
		return 0;
	case OP_IGRPEN1:
		*value = cpu->grpen1;
		return 0;
	}
	return -EINVAL; /* AP0R1..3, AP1R1..3: known, but not with this number of priority bits */
}

/* User space may restore less than there is, never more. */
static int ctlr_restore(struct irq_cpu *cpu, u64 value)
{
	u32 pri_bits = (u32)bits_get(value, CTLR_PRI_SHIFT, 3) + 1;
	u32 id_bits = (u32)bits_get(value, CTLR_ID_SHIFT, 3);

	if (pri_bits > cpu->user_pri_bits)
		return -EINVAL;
	cpu->user_pri_bits = (u8)pri_bits;
	if (id_bits > cpu->user_id_bits)
		return -EINVAL;
	cpu->user_id_bits = (u8)id_bits;
	if ((value & (CTLR_SEIS | CTLR_A3V)) != CTLR_A3V)
		return -EINVAL;
	cpu->cbpr = value & CTLR_CBPR;
	cpu->eoimode = value & CTLR_EOIMODE;
	return 0;
}

static int gic_cpuif_set_locked(struct irq_cpu *cpu, u16 op, u64 value)
{
	switch (op) {
	case OP_PMR:
		cpu->pmr = (u8)value;
		return 0;
	case OP_BPR0:
		cpu->bpr0 = value & 7;
		return 0;
	case OP_BPR1:
		if (!cpu->cbpr)
			cpu->bpr1 = value & 7;
		return 0;
	case OP_AP0R(0):
		cpu->ap0r = (u32)value;
		return 0;
	case OP_AP1R(0):
		cpu->ap1r = (u32)value;
		return 0;
	case OP_CTLR:
		return ctlr_restore(cpu, value);
	case OP_SRE:
		return value & 1 ? 0 : -EINVAL;
	case OP_IGRPEN0:
		cpu->grpen0 = value & 1;
		return 0;
	case OP_IGRPEN1:
		cpu->grpen1 = value & 1;
		return 0;
	}
	return -EINVAL;
}

static const u16 user_ops[] = {
	OP_PMR,	    OP_BPR0,	OP_AP0R(0), OP_AP0R(1), OP_AP0R(2),
	OP_AP0R(3), OP_AP1R(0), OP_AP1R(1), OP_AP1R(2), OP_AP1R(3),
	OP_BPR1,    OP_CTLR,	OP_SRE,	    OP_IGRPEN0, OP_IGRPEN1,
};

bool gic_cpuif_has(u16 op)
{
	for (u32 i = 0; i < ARRAY_SIZE(user_ops); i++)
		if (user_ops[i] == op)
			return true;
	return false;
}

int gic_cpuif_get(struct irq_cpu *cpu, u16 op, u64 *value)
{
	int err;

	if (!gic_cpuif_has(op))
		return -ENOENT;
	mutex_lock(&cpu->lock);
	err = gic_cpuif_get_locked(cpu, op, value);
	mutex_unlock(&cpu->lock);
	return err;
}

int gic_cpuif_set(struct irq_cpu *cpu, u16 op, u64 value)
{
	int err;

	if (!gic_cpuif_has(op))
		return -ENOENT;
	mutex_lock(&cpu->lock);
	err = gic_cpuif_set_locked(cpu, op, value);
	gic_cpu_update(cpu);
	mutex_unlock(&cpu->lock);
	return err;
}

/* --- guest --- */

static bool cpuif_present(const struct vcpu *v, const struct sysreg_row *row)
{
	const struct irq_cpu *cpu = irq_cpu_of(v);

	(void)row;
	return cpu && a32_load_acquire(&cpu->vi->in_library) && !gic_is_v2(cpu->vi);
}

static enum op_result cpuif_read(struct vcpu *v, const struct sysreg_row *row, u64 *value)
{
	struct irq_cpu *cpu = irq_cpu_of(v);

	switch (row->op) {
	case OP_IAR1:
		*value = gic_cpu_acknowledge(cpu, BIT(1));
		return OP_NEXT;
	case OP_IAR0:
		*value = gic_cpu_acknowledge(cpu, BIT(0));
		return OP_NEXT;
	case OP_SRE:
		*value = SRE_VALUE;
		return OP_NEXT;
	}
	mutex_lock(&cpu->lock);
	switch (row->op) {
	case OP_HPPIR0:
		*value = hppir(cpu, false);
		break;
	case OP_HPPIR1:
		*value = hppir(cpu, true);
		break;
	case OP_RPR:
		*value = gic_cpu_running_priority(cpu);
		break;
	case OP_CTLR:
		*value = ctlr_value(cpu, GIC_PRI_BITS, GIC_ID_BITS);
		break;
	case OP_PMR:
		*value = gic_cpu_pmr(cpu);
		break;
	case OP_BPR0:
		*value = gic_cpu_bpr0(cpu);
		break;
	case OP_BPR1:
		*value = bpr1_value(cpu);
		break;
	default:
		BUG_ON(gic_cpuif_get_locked(cpu, row->op, value));
	}
	mutex_unlock(&cpu->lock);
	return OP_NEXT;
}

static enum op_result cpuif_write(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	struct irq_cpu *cpu = irq_cpu_of(v);

	switch (row->op) {
	case OP_EOIR1:
		gic_cpu_end(cpu, (u32)bits_get(value, 0, 24), BIT(1));
		return OP_NEXT;
	case OP_EOIR0:
		gic_cpu_end(cpu, (u32)bits_get(value, 0, 24), BIT(0));
		return OP_NEXT;
	case OP_DIR:
		gic_cpu_deactivate(cpu, (u32)bits_get(value, 0, 24));
		return OP_NEXT;
	case OP_SGI1R:
		send_sgi(cpu, value, true);
		return OP_NEXT;
	case OP_ASGI1R:
	case OP_SGI0R:
		send_sgi(cpu, value, false);
		return OP_NEXT;
	case OP_SRE:
		return OP_NEXT;
	}
	mutex_lock(&cpu->lock);
	switch (row->op) {
	case OP_CTLR:
		cpu->cbpr = value & CTLR_CBPR;
		cpu->eoimode = value & CTLR_EOIMODE;
		break;
	default:
		BUG_ON(gic_cpuif_set_locked(cpu, row->op, value));
		cpu->pmr = (u8)gic_cpu_pmr(cpu);
		cpu->bpr0 = (u8)gic_cpu_bpr0(cpu);
		cpu->bpr1 = (u8)gic_cpu_bpr1(cpu);
	}
	gic_cpu_update(cpu);
	mutex_unlock(&cpu->lock);
	return OP_NEXT;
}

#define ICC_RW(o, n)                                                               \
	{                                                                          \
		.op = (o), .index = SR_NONE, .access = SYSREG_RW1, .name = (n),    \
		.read = cpuif_read, .write = cpuif_write, .present = cpuif_present \
	}
#define ICC_RO(o, n)                                                                               \
	{                                                                                          \
		.op = (o), .index = SR_NONE, .access = SYSREG_R1, .name = (n), .read = cpuif_read, \
		.present = cpuif_present                                                           \
	}
#define ICC_WO(o, n)                                                           \
	{                                                                      \
		.op = (o), .index = SR_NONE, .access = SYSREG_W1, .name = (n), \
		.write = cpuif_write, .present = cpuif_present                 \
	}

/* Sorted by encoding. */
const struct sysreg_row gic_sysreg_rows[] = {
	ICC_RW(OP_PMR, "ICC_PMR_EL1"),	       ICC_RO(OP_IAR0, "ICC_IAR0_EL1"),
	ICC_WO(OP_EOIR0, "ICC_EOIR0_EL1"),     ICC_RO(OP_HPPIR0, "ICC_HPPIR0_EL1"),
	ICC_RW(OP_BPR0, "ICC_BPR0_EL1"),       ICC_RW(OP_AP0R(0), "ICC_AP0R0_EL1"),
	ICC_RW(OP_AP1R(0), "ICC_AP1R0_EL1"),   ICC_WO(OP_DIR, "ICC_DIR_EL1"),
	ICC_RO(OP_RPR, "ICC_RPR_EL1"),	       ICC_WO(OP_SGI1R, "ICC_SGI1R_EL1"),
	ICC_WO(OP_ASGI1R, "ICC_ASGI1R_EL1"),   ICC_WO(OP_SGI0R, "ICC_SGI0R_EL1"),
	ICC_RO(OP_IAR1, "ICC_IAR1_EL1"),       ICC_WO(OP_EOIR1, "ICC_EOIR1_EL1"),
	ICC_RO(OP_HPPIR1, "ICC_HPPIR1_EL1"),   ICC_RW(OP_BPR1, "ICC_BPR1_EL1"),
	ICC_RW(OP_CTLR, "ICC_CTLR_EL1"),       ICC_RW(OP_SRE, "ICC_SRE_EL1"),
	ICC_RW(OP_IGRPEN0, "ICC_IGRPEN0_EL1"), ICC_RW(OP_IGRPEN1, "ICC_IGRPEN1_EL1"),
};
const u32 gic_nr_sysreg_rows = ARRAY_SIZE(gic_sysreg_rows);
