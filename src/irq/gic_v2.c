/* SPDX-License-Identifier: MIT */
/*
 * The frames of a GICv2: distributor and CPU interface, for the guest and for user space (DIST_REGS, CPU_REGS). The model of
 * interrupts is that of the GICv3; what differs is that interrupts start in group 0, which is signalled as IRQ unless GICC_CTLR
 * says FIQ, that an SGI is pending once for each vCPU that sent it, and that an SPI's vCPU is named by a mask.
 *
 * The guest's CPU interface does what a hardware virtual CPU interface does (GICV); user space sees KVM's idea of one, with the
 * priority mask in five bits at the low end.
 */
#include <errno.h>

#include <anykvm/kvm.h>

#include "irq/gic_frame.h"
#include "irq/irq.h"

#define ALL_IRQS(off, k, w, n)                                       \
	{                                                            \
		(off), (off) + (n)*GIC_MAX_IRQ / 8, (k), (w), (n), 0 \
	}

static const struct reg dist_regs[] = {
	{0x000, 0x00c, REG_CTLR, W32, 0, 0},	       ALL_IRQS(0x080, REG_GROUP, W32, 1),
	ALL_IRQS(0x100, REG_SENABLE, W32, 1),	       ALL_IRQS(0x180, REG_CENABLE, W32, 1),
	ALL_IRQS(0x200, REG_SPENDING, W32, 1),	       ALL_IRQS(0x280, REG_CPENDING, W32, 1),
	ALL_IRQS(0x300, REG_SACTIVE, W32, 1),	       ALL_IRQS(0x380, REG_CACTIVE, W32, 1),
	ALL_IRQS(0x400, REG_PRIORITY, W32 | W8, 8),    ALL_IRQS(0x800, REG_TARGET, W32 | W8, 8),
	ALL_IRQS(0xc00, REG_CONFIG, W32, 2),	       {0xf00, 0xf04, REG_SGIR, W32, 0, 0},
	{0xf10, 0xf20, REG_SGI_CLEAR, W32 | W8, 8, 0}, {0xf20, 0xf30, REG_SGI_SET, W32 | W8, 8, 0},
};

/* --- distributor --- */

static u32 ctlr_block_read(const struct access *a)
{
	struct vm_irq *vi = a->vi;

	switch (a->offset) {
	case 0x0:
		return a32_load_relaxed(&vi->enabled);
	case 0x4:
		return ((vi->nr_spi + GIC_NR_PRIVATE) / 32 - 1) |
		       (a32_load_acquire(&vi->group->nr) - 1) << 5;
	default:
		return gic_iidr(vi);
	}
}

static int ctlr_block_write(const struct access *a, u32 value)
{
	int err;

	if (a->offset == 0x0)
		gic_dist_enable(a->vi, value & 1);
	if (a->offset != 0x8 || !a->user)
		return 0;
	err = gic_iidr_restore(a->vi, value);
	if (!err)
		a->vi->v2_groups_writable = true;
	return err;
}

static void sgi_to(struct irq_cpu *cpu, u32 sgi, u32 sender)
{
	struct gic_irq *irq = &cpu->priv[sgi];

	mutex_lock(&cpu->lock);
	irq->pending_latch = true;
	irq->source |= (u8)(1u << sender);
	gic_cpu_refresh(cpu, irq);
	mutex_unlock(&cpu->lock);
}

/* GICD_SGIR: number 3:0, targets 23:16, filter 25:24. */
static void send_sgi(struct irq_cpu *self, u32 value)
{
	struct vcpu_group *g = self->vi->group;
	u32 nr = a32_load_acquire(&g->nr), me = self->v->index;
	u32 targets = (u32)bits_get(value, 16, 8);

	switch (bits_get(value, 24, 2)) {
	case 1: /* all but the sender */
		targets = ((1u << nr) - 1) & ~(1u << me);
		break;
	case 2: /* the sender */
		targets = 1u << me;
		break;
	case 3:
		return;
	}
	for (u32 i = 0; i < nr; i++)
		if (targets >> i & 1)
			sgi_to(irq_cpu_of(vcpu_group_get(g, i)), value & 0xf, me);
}

static u64 dist_read(struct access *a)
{
	if (!gic_access_decode(a, dist_regs, ARRAY_SIZE(dist_regs)) || a->reg->kind == REG_SGIR)
		return 0;
	return a->reg->kind == REG_CTLR ? ctlr_block_read(a) : gic_irqs_read(a);
}

static int dist_write(struct access *a, u64 value)
{
	if (!gic_access_decode(a, dist_regs, ARRAY_SIZE(dist_regs)))
		return 0;
	switch (a->reg->kind) {
	case REG_CTLR:
		return ctlr_block_write(a, (u32)value);
	case REG_SGIR:
		send_sgi(a->cpu, (u32)value);
		return 0;
	default:
		gic_irqs_write(a, value);
		return 0;
	}
}

/* --- CPU interface --- */

enum {
	GICC_CTLR = 0x00,
	GICC_PMR = 0x04,
	GICC_BPR = 0x08,
	GICC_IAR = 0x0c,
	GICC_EOIR = 0x10,
	GICC_RPR = 0x14,
	GICC_HPPIR = 0x18,
	GICC_ABPR = 0x1c,
	GICC_AIAR = 0x20,
	GICC_AEOIR = 0x24,
	GICC_AHPPIR = 0x28,
	GICC_APR = 0xd0,
	GICC_IIDR = 0xfc,
	GICC_DIR = 0x1000,
};

#define CTLR_GROUP0    BIT(0)
#define CTLR_GROUP1    BIT(1)
#define CTLR_ACKCTL    BIT(2)
#define CTLR_FIQEN     BIT(3)
#define CTLR_CBPR      BIT(4)
#define CTLR_EOIMODE   BIT(9)
#define IIDR_VALUE     (0x4bu << 20 | 2u << 16 | 0x43b)
#define GROUP1_HIDDEN  1022 /* there is one, of group 1 */
#define GROUP0	       BIT(0)
#define GROUP1	       BIT(1)
#define PMR_USER_SHIFT 3
#define INTID_MASK     0x3ffu

/* The groups that GICC_IAR and GICC_EOIR are for. */
static u32 plain_groups(struct irq_cpu *cpu)
{
	u32 groups;

	mutex_lock(&cpu->lock);
	groups = cpu->ackctl ? GROUP0 | GROUP1 : GROUP0;
	mutex_unlock(&cpu->lock);
	return groups;
}

/* Without acknowledging it. cpu->lock held. */
static u32 highest_pending(const struct irq_cpu *cpu, u32 groups)
{
	const struct gic_irq *irq = cpu->best;

	if (!irq || (irq->group1 && !(groups & GROUP1)))
		return irq ? GROUP1_HIDDEN : GIC_SPURIOUS;
	if (!(groups >> irq->group1 & 1))
		return GIC_SPURIOUS;
	return irq->intid | (irq->source ? (u32)__builtin_ctz(irq->source) << 10 : 0);
}

static u32 interrupt_acknowledge(struct irq_cpu *cpu)
{
	u32 groups = plain_groups(cpu), id = gic_cpu_acknowledge(cpu, groups);

	if (id != GIC_SPURIOUS)
		return id;
	mutex_lock(&cpu->lock);
	if (cpu->signalled && cpu->best->group1 && !(groups & GROUP1))
		id = GROUP1_HIDDEN;
	mutex_unlock(&cpu->lock);
	return id;
}

static u32 ctlr_get(const struct irq_cpu *cpu)
{
	return (cpu->grpen0 ? CTLR_GROUP0 : 0) | (cpu->grpen1 ? CTLR_GROUP1 : 0) |
	       (cpu->ackctl ? CTLR_ACKCTL : 0) | (cpu->fiqen ? CTLR_FIQEN : 0) |
	       (cpu->cbpr ? CTLR_CBPR : 0) | (cpu->eoimode ? CTLR_EOIMODE : 0);
}

static void ctlr_set(struct irq_cpu *cpu, u32 value)
{
	cpu->grpen0 = value & CTLR_GROUP0;
	cpu->grpen1 = value & CTLR_GROUP1;
	cpu->ackctl = value & CTLR_ACKCTL;
	cpu->fiqen = value & CTLR_FIQEN;
	cpu->cbpr = value & CTLR_CBPR;
	cpu->eoimode = value & CTLR_EOIMODE;
}

/* The registers that are state. cpu->lock held. */
static u32 state_read(const struct irq_cpu *cpu, u32 offset, bool user)
{
	switch (offset) {
	case GICC_CTLR:
		return ctlr_get(cpu);
	case GICC_PMR:
		return user ? gic_cpu_pmr(cpu) >> PMR_USER_SHIFT : gic_cpu_pmr(cpu);
	case GICC_BPR:
		return user ? cpu->bpr0 : gic_cpu_bpr0(cpu);
	case GICC_ABPR:
		return user ? cpu->bpr1 : gic_cpu_bpr1(cpu);
	case GICC_RPR:
		return user ? 0 : gic_cpu_running_priority(cpu);
	case GICC_HPPIR:
		return user ? 0 : highest_pending(cpu, cpu->ackctl ? GROUP0 | GROUP1 : GROUP0);
	case GICC_AHPPIR:
		return user ? 0 : highest_pending(cpu, GROUP1);
	case GICC_APR: /* of both groups, as the one register of the hardware */
		return cpu->ap0r | cpu->ap1r;
	case GICC_IIDR:
		return IIDR_VALUE;
	default:
		return 0;
	}
}

static void state_write(struct irq_cpu *cpu, u32 offset, u32 value, bool user)
{
	switch (offset) {
	case GICC_CTLR:
		ctlr_set(cpu, value);
		break;
	case GICC_PMR:
		cpu->pmr = (u8)((user ? value << PMR_USER_SHIFT : value) & GIC_PRI_MASK);
		break;
	case GICC_BPR:
		cpu->bpr0 = value & 7;
		break;
	case GICC_ABPR:
		cpu->bpr1 = value & 7;
		break;
	case GICC_APR:
		cpu->ap0r = value;
		cpu->ap1r = 0;
		break;
	}
	gic_cpu_update(cpu);
}

static u32 cpuif_read(struct irq_cpu *cpu, u32 offset)
{
	u32 value;

	if (offset == GICC_IAR)
		return interrupt_acknowledge(cpu);
	if (offset == GICC_AIAR)
		return gic_cpu_acknowledge(cpu, GROUP1);
	mutex_lock(&cpu->lock);
	value = state_read(cpu, offset, false);
	mutex_unlock(&cpu->lock);
	return value;
}

static void cpuif_write(struct irq_cpu *cpu, u32 offset, u32 value)
{
	switch (offset) {
	case GICC_EOIR:
		gic_cpu_end(cpu, value & INTID_MASK, plain_groups(cpu));
		return;
	case GICC_AEOIR:
		gic_cpu_end(cpu, value & INTID_MASK, GROUP1);
		return;
	case GICC_DIR:
		gic_cpu_deactivate(cpu, value & INTID_MASK);
		return;
	}
	mutex_lock(&cpu->lock);
	state_write(cpu, offset, value, false);
	mutex_unlock(&cpu->lock);
}

/* --- the guest --- */

/* Which frame, and the offset in it. */
enum v2_frame { FRAME_NONE, FRAME_DIST, FRAME_CPUIF };

static enum v2_frame frame_find(const struct vm_irq *vi, u64 ipa, u32 *offset)
{
	u64 dist = a64_load_relaxed(&vi->dist_base), cpuif = a64_load_relaxed(&vi->cpuif_base);

	if (!a32_load_acquire(&vi->ready))
		return FRAME_NONE;
	if (ipa - dist < GIC_V2_DIST_SIZE) {
		*offset = (u32)(ipa - dist);
		return FRAME_DIST;
	}
	*offset = (u32)(ipa - cpuif);
	return ipa - cpuif < GIC_V2_CPUIF_SIZE ? FRAME_CPUIF : FRAME_NONE;
}

int gic_v2_mmio_read(struct irq_cpu *cpu, u64 ipa, unsigned size, u64 *value)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .size = size};

	switch (frame_find(cpu->vi, ipa, &a.offset)) {
	case FRAME_DIST:
		*value = dist_read(&a);
		return 0;
	case FRAME_CPUIF:
		*value = size == 4 && IS_ALIGNED(a.offset, 4) ? cpuif_read(cpu, a.offset) : 0;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int gic_v2_mmio_write(struct irq_cpu *cpu, u64 ipa, unsigned size, u64 value)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .size = size};

	switch (frame_find(cpu->vi, ipa, &a.offset)) {
	case FRAME_DIST:
		dist_write(&a, value);
		return 0;
	case FRAME_CPUIF:
		if (size == 4 && IS_ALIGNED(a.offset, 4))
			cpuif_write(cpu, a.offset, (u32)value);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* --- user space --- */

static bool cpuif_user_has(u32 offset)
{
	return offset <= GICC_BPR || offset == GICC_ABPR ||
	       (offset >= GICC_APR && offset < GICC_APR + 16) || offset == GICC_IIDR ||
	       offset == GICC_DIR;
}

int gic_v2_user_read(struct irq_cpu *cpu, u32 group, u32 offset, u32 *value)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .offset = offset, .size = 4, .user = true};

	if (group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS) {
		*value = (u32)dist_read(&a);
		return 0;
	}
	mutex_lock(&cpu->lock);
	*value = state_read(cpu, offset, true);
	mutex_unlock(&cpu->lock);
	return 0;
}

int gic_v2_user_write(struct irq_cpu *cpu, u32 group, u32 offset, u32 value)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .offset = offset, .size = 4, .user = true};

	if (group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS)
		return dist_write(&a, value);
	mutex_lock(&cpu->lock);
	state_write(cpu, offset, value, true);
	mutex_unlock(&cpu->lock);
	return 0;
}

bool gic_v2_user_has(struct irq_cpu *cpu, u32 group, u32 offset)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .offset = offset, .size = 4, .user = true};

	return group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS
		       ? gic_access_decode(&a, dist_regs, ARRAY_SIZE(dist_regs))
		       : IS_ALIGNED(offset, 4) && cpuif_user_has(offset);
}
