/* SPDX-License-Identifier: MIT */
/* The GICv2's frames: groups and their signals, sources of SGIs, split end of interrupt, user space's view. */
#include "rig.h"

#include "../../test.h"

#define CPUIF	 0x08010000ull
#define DISTR	 KVM_DEV_ARM_VGIC_GRP_DIST_REGS
#define CPUR	 KVM_DEV_ARM_VGIC_GRP_CPU_REGS
#define IAR	 0x0c
#define EOIR	 0x10
#define HPPIR	 0x18
#define AIAR	 0x20
#define AEOIR	 0x24
#define AHPPIR	 0x28
#define GICC_DIR 0x1000

static u64 load(struct rig *r, u32 cpu, u64 addr)
{
	u64 value = ~0ull;

	EXPECT_EQ(irq_mmio_read(&r->vi, &r->v[cpu], addr, 4, &value), 0);
	return value;
}

static void store(struct rig *r, u32 cpu, u64 addr, u32 value)
{
	EXPECT_EQ(irq_mmio_write(&r->vi, &r->v[cpu], addr, 4, value), 0);
}

static struct rig *v2_create(u32 nr_cpus)
{
	struct rig *r = rig_create(nr_cpus);
	u64 dist = RIG_DIST, cpuif = CPUIF;

	mutex_lock(&r->vm_lock);
	EXPECT_EQ(irq_gic_create(&r->vi, KVM_DEV_TYPE_ARM_VGIC_V2), 0);
	mutex_unlock(&r->vm_lock);
	EXPECT_EQ(rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, &dist), 0);
	EXPECT_EQ(rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, &cpuif), 0);
	for (u32 i = 0; i < nr_cpus; i++) {
		EXPECT_EQ(irq_vcpu_first_run(&r->v[i]), 0);
		store(r, i, CPUIF + 4, 0xf8);
		store(r, i, CPUIF, 1);
	}
	store(r, 0, RIG_DIST, 1);
	store(r, 0, RIG_DIST + 0x104, ~0u);
	return r;
}

static void line(struct rig *r, u32 intid)
{
	EXPECT_EQ(irq_line(&r->vi, 1u << 24 | intid, 1), 0);
}

TEST(group_0_is_signalled_as_irq_unless_the_guest_wants_fiq)
{
	struct rig *r = v2_create(1);

	line(r, 40);
	EXPECT(rig_pin(r, 0, PIN_IRQ) && !rig_pin(r, 0, PIN_FIQ));
	store(r, 0, CPUIF, 9);
	EXPECT(!rig_pin(r, 0, PIN_IRQ) && rig_pin(r, 0, PIN_FIQ));
	EXPECT_EQ(load(r, 0, CPUIF + HPPIR), 40);
	EXPECT_EQ(load(r, 0, CPUIF + AHPPIR), 1023);
	EXPECT_EQ(load(r, 0, CPUIF + AIAR), 1023);
	EXPECT_EQ(load(r, 0, CPUIF + IAR), 40);
	EXPECT(!rig_pin(r, 0, PIN_FIQ));
	EXPECT_EQ(load(r, 0, CPUIF + 0x14), 0);
	EXPECT_EQ(load(r, 0, CPUIF + 0xd0), 1);
	store(r, 0, CPUIF + EOIR, 40);
	EXPECT_EQ(load(r, 0, CPUIF + 0x14), 0xff);
	EXPECT_EQ(load(r, 0, RIG_DIST + 0x304), 0);
	rig_destroy(r);
}

TEST(group_1_hides_from_the_plain_registers)
{
	struct rig *r = v2_create(1);

	store(r, 0, CPUIF, 3);
	store(r, 0, RIG_DIST + 0x84, 1 << 8);
	line(r, 40);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(load(r, 0, CPUIF + IAR), 1022);
	EXPECT_EQ(load(r, 0, CPUIF + HPPIR), 1022);
	EXPECT_EQ(load(r, 0, CPUIF + AHPPIR), 40);
	EXPECT_EQ(load(r, 0, CPUIF + AIAR), 40);
	store(r, 0, CPUIF + AEOIR, 40);
	EXPECT_EQ(load(r, 0, RIG_DIST + 0x304), 0);
	/* unless AckCtl is set */
	store(r, 0, CPUIF, 7);
	line(r, 40);
	EXPECT_EQ(load(r, 0, CPUIF + IAR), 40);
	store(r, 0, CPUIF + EOIR, 40);
	EXPECT_EQ(load(r, 0, RIG_DIST + 0x304), 0);
	EXPECT_EQ(load(r, 0, CPUIF + IAR), 1023);
	rig_destroy(r);
}

TEST(an_end_in_two_steps_keeps_the_interrupt_active_between_them)
{
	struct rig *r = v2_create(1);

	store(r, 0, CPUIF, 0x201);
	line(r, 40);
	EXPECT_EQ(load(r, 0, CPUIF + IAR), 40);
	store(r, 0, CPUIF + EOIR, 40);
	EXPECT_EQ(load(r, 0, CPUIF + 0x14), 0xff);
	EXPECT_EQ(load(r, 0, RIG_DIST + 0x304), 1 << 8);
	store(r, 0, CPUIF + GICC_DIR, 40);
	EXPECT_EQ(load(r, 0, RIG_DIST + 0x304), 0);
	rig_destroy(r);
}

TEST(sgis_are_pending_once_for_each_sender)
{
	struct rig *r = v2_create(3);

	for (u32 i = 0; i < 3; i++)
		store(r, i, RIG_DIST + 0x100, 0xffff);
	store(r, 2, RIG_DIST + 0xf00, 1u << 24 | 4); /* to all others */
	store(r, 1, RIG_DIST + 0xf00, 1u << 16 | 4); /* to CPU 0 */
	store(r, 0, RIG_DIST + 0xf00, 2u << 24 | 4); /* to itself */
	store(r, 0, RIG_DIST + 0xf00, 3u << 24 | 4); /* to nobody */
	EXPECT_EQ(load(r, 0, RIG_DIST + 0xf24), 7);
	EXPECT_EQ(load(r, 1, RIG_DIST + 0xf24), 4);
	EXPECT_EQ(load(r, 2, RIG_DIST + 0xf24), 0);
	store(r, 0, RIG_DIST + 0xf14, 1); /* not its own */
	for (u32 sender = 1; sender < 3; sender++) {
		EXPECT_EQ(load(r, 0, CPUIF + HPPIR), sender << 10 | 4);
		EXPECT_EQ(load(r, 0, CPUIF + IAR), sender << 10 | 4);
		EXPECT_EQ(load(r, 0, CPUIF + IAR), 1023); /* the next waits for the end */
		store(r, 0, CPUIF + EOIR, sender << 10 | 4);
	}
	EXPECT_EQ(load(r, 0, CPUIF + IAR), 1023);
	/* The guest cannot make an SGI pending or not without saying whose. */
	store(r, 0, RIG_DIST + 0x280, 1 << 4);
	store(r, 1, RIG_DIST + 0x280, 1 << 4);
	EXPECT_EQ(load(r, 1, CPUIF + IAR), 2 << 10 | 4);
	store(r, 0, RIG_DIST + 0x200, 1 << 4);
	EXPECT_EQ(load(r, 0, CPUIF + IAR), 1023);
	rig_destroy(r);
}

TEST(spis_move_with_their_target_mask)
{
	struct rig *r = v2_create(2);

	store(r, 0, RIG_DIST + 0x828, 6); /* of 40: vCPU 1, and one that is not there */
	EXPECT_EQ(load(r, 0, RIG_DIST + 0x828), 2);
	line(r, 40);
	EXPECT(rig_pin(r, 1, PIN_IRQ) && !rig_pin(r, 0, PIN_IRQ));
	store(r, 0, RIG_DIST + 0x828, 3);
	EXPECT(!rig_pin(r, 1, PIN_IRQ) && rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(load(r, 0, RIG_DIST + 0x800), 0x01010101);
	EXPECT_EQ(load(r, 1, RIG_DIST + 0x800), 0x02020202);
	rig_destroy(r);
}

TEST(user_space_sees_the_five_bits_of_the_mask_and_restores_groups_when_it_may)
{
	struct rig *r = v2_create(1);
	u32 value = 0xff;

	EXPECT_EQ(rig_get(r, CPUR, 4, &value), 0);
	EXPECT_EQ(value, 0x1f);
	value = 1 << 8;
	EXPECT_EQ(rig_set(r, DISTR, 0x84, &value), 0);
	EXPECT_EQ(rig_get(r, DISTR, 0x84, &value), 0);
	EXPECT_EQ(value, 0);
	EXPECT_EQ(rig_get(r, DISTR, 8, &value), 0);
	EXPECT_EQ(rig_set(r, DISTR, 8, &value), 0);
	value = 1 << 8;
	EXPECT_EQ(rig_set(r, DISTR, 0x84, &value), 0);
	EXPECT_EQ(rig_get(r, DISTR, 0x84, &value), 0);
	EXPECT_EQ(value, 1 << 8);
	/* pending: set and cleared by two registers; an SGI's source is the vCPU */
	value = 1 << 3;
	EXPECT_EQ(rig_set(r, DISTR, 0x200, &value), 0);
	EXPECT_EQ(rig_get(r, DISTR, 0xf20, &value), 0);
	EXPECT_EQ(value, 1u << 24);
	value = 1 << 3;
	EXPECT_EQ(rig_set(r, DISTR, 0x280, &value), 0);
	EXPECT_EQ(rig_get(r, DISTR, 0x280, &value), 0);
	EXPECT_EQ(value, 0);
	/* there are no system registers */
	EXPECT(!rig_row(r, PMR)->present(&r->v[0], rig_row(r, PMR)));
	rig_destroy(r);
}

TEST(frames_that_are_missing_or_overlap_stop_the_first_run)
{
	struct rig *r = rig_create(1);
	u64 dist = RIG_DIST, cpuif = RIG_DIST;

	mutex_lock(&r->vm_lock);
	EXPECT_EQ(irq_gic_create(&r->vi, KVM_DEV_TYPE_ARM_VGIC_V2), 0);
	mutex_unlock(&r->vm_lock);
	EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), -ENXIO);
	EXPECT_EQ(rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, &dist), 0);
	EXPECT_EQ(rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, &cpuif), 0);
	EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), -EINVAL);
	rig_destroy(r);
}
