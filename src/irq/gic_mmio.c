/* SPDX-License-Identifier: MIT */
/*
 * The memory mapped frames: distributor and redistributors. One table per frame says which offsets
 * exist and how wide an access may be; what an access does is a switch over the kind of register.
 * Offsets that name nothing, and accesses of a wrong width, read as zero and ignore writes, as in
 * KVM.
 *
 * User space (DIST_REGS, REDIST_REGS) sees the same registers with a few differences: ISPENDR is
 * the latch alone and is set and cleared as a whole, ICPENDR reads as zero and ignores writes,
 * GICD_IIDR takes the revision to show.
 */
#include <errno.h>

#include "base/bug.h"
#include "irq/gic_frame.h"
#include "irq/irq.h"
#include "irq/its.h"

#define PER_IRQ(off, k, w, n)                                                               \
	{(off), (off) + (n)*GIC_NR_PRIVATE / 8, REG_RAZ, (w), (n), 0},                      \
	{                                                                                   \
		(off) + (n)*GIC_NR_PRIVATE / 8, (off) + (n)*GIC_MAX_IRQ / 8, (k), (w), (n), \
			GIC_NR_PRIVATE                                                      \
	}

/* The part of each array that belongs to SGIs and PPIs is in the redistributors. */
static const struct reg dist_regs[] = {
	{0x0000, 0x0010, REG_CTLR, W32, 0, 0},
	{0x0010, 0x0014, REG_RAO, W32, 0, 0}, /* STATUSR */
	PER_IRQ(0x0080, REG_GROUP, W32, 1),
	PER_IRQ(0x0100, REG_SENABLE, W32, 1),
	PER_IRQ(0x0180, REG_CENABLE, W32, 1),
	PER_IRQ(0x0200, REG_SPENDING, W32, 1),
	PER_IRQ(0x0280, REG_CPENDING, W32, 1),
	PER_IRQ(0x0300, REG_SACTIVE, W32, 1),
	PER_IRQ(0x0380, REG_CACTIVE, W32, 1),
	PER_IRQ(0x0400, REG_PRIORITY, W32 | W8, 8),
	PER_IRQ(0x0800, REG_RAZ, W32 | W8, 8), /* ITARGETSR: affinity routing is always on */
	PER_IRQ(0x0c00, REG_CONFIG, W32, 2),
	PER_IRQ(0x0d00, REG_RAZ, W32, 1), /* IGRPMODR */
	PER_IRQ(0x6000, REG_ROUTER, W64 | W32, 64),
	{0xffd0, 0x10000, REG_PIDR, W32, 0, 0},
};

#define SGI_FRAME 0x10000

static const struct reg redist_regs[] = {
	{0x0000, 0x0004, REG_R_CTLR, W32, 0, 0},
	{0x0004, 0x0008, REG_R_IIDR, W32, 0, 0},
	{0x0008, 0x0010, REG_R_TYPER, W64 | W32, 0, 0},
	/* KVM's table has a STATUSR row that its search does not find: zero, and no attribute. */
	{0x0014, 0x0018, REG_RAZ, W32, 0, 0}, /* WAKER */
	{0x0070, 0x0078, REG_R_PROPBASER, W64 | W32, 0, 0},
	{0x0078, 0x0080, REG_R_PENDBASER, W64 | W32, 0, 0},
	{0x00a0, 0x00a8, REG_R_INVLPIR, W64 | W32, 0, 0},
	{0x00b0, 0x00b8, REG_R_INVALLR, W64 | W32, 0, 0},
	{0x00c0, 0x00c4, REG_RAZ, W32, 0,
	 0}, /* SYNCR: INVLPIR and INVALLR are done when they return */
	{0xffd0, 0x10000, REG_PIDR, W32, 0, 0},
	{SGI_FRAME + 0x0080, SGI_FRAME + 0x0084, REG_GROUP, W32, 1, 0},
	{SGI_FRAME + 0x0100, SGI_FRAME + 0x0104, REG_SENABLE, W32, 1, 0},
	{SGI_FRAME + 0x0180, SGI_FRAME + 0x0184, REG_CENABLE, W32, 1, 0},
	{SGI_FRAME + 0x0200, SGI_FRAME + 0x0204, REG_SPENDING, W32, 1, 0},
	{SGI_FRAME + 0x0280, SGI_FRAME + 0x0284, REG_CPENDING, W32, 1, 0},
	{SGI_FRAME + 0x0300, SGI_FRAME + 0x0304, REG_SACTIVE, W32, 1, 0},
	{SGI_FRAME + 0x0380, SGI_FRAME + 0x0384, REG_CACTIVE, W32, 1, 0},
	{SGI_FRAME + 0x0400, SGI_FRAME + 0x0420, REG_PRIORITY, W32 | W8, 8, 0},
	{SGI_FRAME + 0x0c00, SGI_FRAME + 0x0c08, REG_CONFIG, W32, 2, 0},
	{SGI_FRAME + 0x0d00, SGI_FRAME + 0x0d04, REG_RAZ, W32, 1, 0}, /* IGRPMODR0 */
	{SGI_FRAME + 0x0e00, SGI_FRAME + 0x0e04, REG_RAZ, W32, 0, 0}, /* NSACR */
};

static bool access_decode(struct access *a, enum gic_frame frame)
{
	return frame == GIC_FRAME_DIST ? gic_access_decode(a, dist_regs, ARRAY_SIZE(dist_regs))
				       : gic_access_decode(a, redist_regs, ARRAY_SIZE(redist_regs));
}

/* --- IROUTER: Aff2..Aff0 in the low word; no Aff3, no 1-of-N --- */

static u64 router_read(const struct access *a)
{
	struct gic_irq *irq = gic_irq_get(a->cpu, a->first);
	struct irq_cpu *home;
	u64 value;

	if (!irq || a->offset & 4)
		return 0;
	home = gic_irq_lock(irq);
	value = irq->mpidr;
	gic_irq_unlock_unchanged(home);
	return value;
}

static void router_write(const struct access *a, u64 value)
{
	struct gic_irq *irq = gic_irq_get(a->cpu, a->first);
	struct irq_cpu *home;
	struct vcpu *v;

	if (!irq || a->offset & 4)
		return;
	value &= GENMASK(23, 0);
	v = vcpu_group_by_mpidr(a->vi->group, value);
	home = gic_irq_lock(irq);
	irq->mpidr = (u32)value;
	irq->target = v ? irq_cpu_of(v) : NULL;
	gic_irq_unlock(irq, home);
}

/* --- distributor-wide registers --- */

#define GICD_CTLR_ENABLE BIT(1) /* one security state: EnableGrp1 */
#define GICD_CTLR_ARE	 BIT(4)
#define GICD_CTLR_DS	 BIT(6)
#define GICD_TYPER_LPIS	 BIT(17)

static u32 ctlr_block_read(const struct access *a)
{
	struct vm_irq *vi = a->vi;

	switch (a->offset) {
	case 0x0:
		return (a32_load_relaxed(&vi->enabled) ? GICD_CTLR_ENABLE : 0) | GICD_CTLR_ARE |
		       GICD_CTLR_DS;
	case 0x4: /* 10 bits of INTID, or LPIs and their number of bits */
		return ((vi->nr_spi + GIC_NR_PRIVATE) / 32 - 1) |
		       (its_exists(vi) ? GICD_TYPER_LPIS | (GIC_LPI_ID_BITS - 1) << 19 : 9u << 19);
	case 0x8:
		return gic_iidr(vi);
	default: /* TYPER2 */
		return 0;
	}
}

static int ctlr_block_write(const struct access *a, u32 value)
{
	struct vm_irq *vi = a->vi;

	if (a->offset == 0x0) {
		gic_dist_enable(vi, value & GICD_CTLR_ENABLE);
		return 0;
	}
	if (!a->user)
		return 0;
	if (a->offset == 0x8)
		return gic_iidr_restore(vi, value);
	if (a->offset == 0xc && value) /* TYPER2: nothing in it can be had */
		return a32_load_acquire(&vi->initialized) ? -EBUSY : -EINVAL;
	return 0;
}

/* --- redistributor --- */

static u64 redist_typer(const struct access *a)
{
	const struct vcpu *v = a->cpu->v;

	return (vcpu_mpidr(v) & GENMASK(23, 0)) << 32 | (v->id & 0xffff) << 8 |
	       (a32_load_relaxed(&a->cpu->rd_last) ? BIT(4) : 0) | (its_exists(a->vi) ? BIT(0) : 0);
}

#define GICR_CTLR_ENABLE_LPIS BIT(0)

static u32 redist_ctlr(const struct access *a)
{
	u32 value;

	mutex_lock(&a->vi->dist_lock);
	value = a->vi->revision >= 3 ? 6 : 0; /* IR, CES */
	mutex_unlock(&a->vi->dist_lock);
	return value | (a32_load_acquire(&a->cpu->lpis_enabled) ? GICR_CTLR_ENABLE_LPIS : 0);
}

static void redist_ctlr_write(const struct access *a, u64 value)
{
	/* Without an ITS there are no LPIs. */
	if (its_exists(a->vi))
		lpi_enable(a->cpu, value & GICR_CTLR_ENABLE_LPIS);
}

u64 gic_baser_sanitise(u64 v, unsigned inner_shift, unsigned outer_shift)
{
	if (bits_get(v, 10, 2) == 2) /* outer shareable: inner */
		v = bits_set(v, 10, 2, 1);
	if (bits_get(v, inner_shift, 3) < 2) /* not inner cacheable: read-allocate write-back */
		v = bits_set(v, inner_shift, 3, 3);
	if (bits_get(v, outer_shift, 3) > 1) /* outer: as inner, or not cacheable */
		v = bits_set(v, outer_shift, 3, 0);
	return v;
}

#define PROPBASER_RES0 (GENMASK(63, 59) | GENMASK(55, 52) | GENMASK(6, 5))
#define PENDBASER_RES0 \
	(BIT(63) | GENMASK(61, 59) | GENMASK(55, 52) | GENMASK(15, 12) | GENMASK(6, 0))

static void baser_write(const struct access *a, u64 value)
{
	bool prop = a->reg->kind == REG_R_PROPBASER;
	struct a64 *reg = prop ? &a->vi->propbaser : &a->cpu->pendbaser;

	/* While LPIs are on, the tables stay where they are. */
	if (a32_load_acquire(&a->cpu->lpis_enabled))
		return;
	mutex_lock(&a->vi->dist_lock);
	value = gic_half_set(a64_load_relaxed(reg), a->offset, a->size, value);
	a64_store_relaxed(reg, gic_baser_sanitise(value, 7, 56) &
				       ~(prop ? PROPBASER_RES0 : PENDBASER_RES0));
	mutex_unlock(&a->vi->dist_lock);
}

static u64 baser_read(const struct access *a)
{
	return a->reg->kind == REG_R_PROPBASER
		       ? a64_load_relaxed(&a->vi->propbaser)
		       : a64_load_relaxed(&a->cpu->pendbaser) & ~GICR_PENDBASER_PTZ;
}

/* --- dispatch --- */

static u64 access_read(const struct access *a)
{
	switch (a->reg->kind) {
	case REG_RAZ:
	case REG_R_INVLPIR:
	case REG_R_INVALLR:
		return 0;
	case REG_RAO:
		return GENMASK(31, 0);
	case REG_CTLR:
		return ctlr_block_read(a);
	case REG_ROUTER:
		return router_read(a);
	case REG_PIDR:
		return (a->offset & 0xffff) == 0xffe8 ? 0x3b : 0;
	case REG_R_CTLR:
		return redist_ctlr(a);
	case REG_R_IIDR:
		return GICD_IIDR_BASE;
	case REG_R_TYPER:
		return gic_half_get(redist_typer(a), a->offset, a->size);
	case REG_R_PROPBASER:
	case REG_R_PENDBASER:
		return gic_half_get(baser_read(a), a->offset, a->size);
	default:
		return gic_irqs_read(a);
	}
}

static int access_write(const struct access *a, u64 value)
{
	switch (a->reg->kind) {
	case REG_RAZ:
	case REG_RAO:
	case REG_PIDR:
	case REG_R_IIDR:
	case REG_R_TYPER:
		return 0;
	case REG_R_CTLR:
		redist_ctlr_write(a, value);
		return 0;
	case REG_R_INVLPIR: /* the upper half is for virtual LPIs */
		if (!(a->offset & 4))
			lpi_invalidate(a->cpu, (u32)value);
		return 0;
	case REG_R_INVALLR:
		if (!(a->offset & 4))
			lpi_invalidate_all(a->cpu);
		return 0;
	case REG_CTLR:
		return ctlr_block_write(a, (u32)value);
	case REG_ROUTER:
		router_write(a, value);
		return 0;
	case REG_R_PROPBASER:
	case REG_R_PENDBASER:
		baser_write(a, value);
		return 0;
	default:
		gic_irqs_write(a, value);
		return 0;
	}
}

/* Finds frame and redistributor of an address. False: not ours. */
static bool frame_find(struct vm_irq *vi, struct vcpu *v, u64 ipa, struct access *a,
		       enum gic_frame *frame)
{
	u32 nr;

	if (!a32_load_acquire(&vi->in_library))
		return false;
	if (a32_load_acquire(&vi->ready) &&
	    ipa - a64_load_relaxed(&vi->dist_base) < GIC_DIST_SIZE) {
		*frame = GIC_FRAME_DIST;
		a->cpu = irq_cpu_of(v);
		a->offset = (u32)(ipa - a64_load_relaxed(&vi->dist_base));
		return true;
	}
	nr = a32_load_acquire(&vi->group->nr);
	for (u32 i = 0; i < nr; i++) {
		struct irq_cpu *cpu = irq_cpu_of(vcpu_group_get(vi->group, i));
		u64 base = a64_load_acquire(&cpu->rd_base);

		if (base != GIC_ADDR_UNDEF && ipa - base < GIC_REDIST_SIZE) {
			*frame = GIC_FRAME_REDIST;
			a->cpu = cpu;
			a->offset = (u32)(ipa - base);
			return true;
		}
	}
	return false;
}

int irq_mmio_read(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 *value)
{
	struct access a = {.vi = vi, .size = size};
	enum gic_frame frame;

	if (gic_is_v2(vi))
		return gic_v2_mmio_read(irq_cpu_of(v), ipa, size, value);
	if (!frame_find(vi, v, ipa, &a, &frame))
		return its_mmio_read(vi, v, ipa, size, value);
	*value = access_decode(&a, frame) ? access_read(&a) : 0;
	return 0;
}

int irq_mmio_write(struct vm_irq *vi, struct vcpu *v, u64 ipa, unsigned size, u64 value)
{
	struct access a = {.vi = vi, .size = size};
	enum gic_frame frame;

	if (gic_is_v2(vi))
		return gic_v2_mmio_write(irq_cpu_of(v), ipa, size, value);
	if (!frame_find(vi, v, ipa, &a, &frame))
		return its_mmio_write(vi, v, ipa, size, value);
	if (access_decode(&a, frame))
		access_write(&a, value);
	return 0;
}

int gic_user_read(struct irq_cpu *cpu, enum gic_frame frame, u32 offset, u32 *value)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .offset = offset, .size = 4, .user = true};

	*value = access_decode(&a, frame) ? (u32)access_read(&a) : 0;
	return 0;
}

int gic_user_write(struct irq_cpu *cpu, enum gic_frame frame, u32 offset, u32 value)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .offset = offset, .size = 4, .user = true};

	return access_decode(&a, frame) ? access_write(&a, value) : 0;
}

bool gic_user_has(struct irq_cpu *cpu, enum gic_frame frame, u32 offset)
{
	struct access a = {.vi = cpu->vi, .cpu = cpu, .offset = offset, .size = 4, .user = true};

	return access_decode(&a, frame);
}

/* --- LEVEL_INFO: the lines of 32 interrupts --- */

u32 gic_line_levels_get(struct irq_cpu *cpu, u32 first)
{
	u32 levels = 0;

	for (u32 i = 0; i < 32; i++) {
		struct gic_irq *irq = first + i < GIC_NR_SGI ? NULL : gic_irq_get(cpu, first + i);
		struct irq_cpu *home;

		if (!irq)
			continue;
		home = gic_irq_lock(irq);
		if (!irq->edge && irq->line_level)
			levels |= 1u << i;
		gic_irq_unlock_unchanged(home);
	}
	return levels;
}

/* Whatever the trigger: user space may restore the configuration later. */
void gic_line_levels_set(struct irq_cpu *cpu, u32 first, u32 levels)
{
	for (u32 i = 0; i < 32; i++) {
		struct gic_irq *irq = first + i < GIC_NR_SGI ? NULL : gic_irq_get(cpu, first + i);
		struct irq_cpu *home;

		if (!irq)
			continue;
		home = gic_irq_lock(irq);
		irq->line_level = levels >> i & 1;
		gic_irq_unlock(irq, home);
	}
}
