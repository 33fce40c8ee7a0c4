/* SPDX-License-Identifier: MIT */
/* The device interface: errno for errno as Linux 7.2 answered on arm64, and save and restore of the
 * whole state. */
#include <sys/mman.h>

#include "rig.h"

#include "../../test.h"

#define ADDR	KVM_DEV_ARM_VGIC_GRP_ADDR
#define DISTR	KVM_DEV_ARM_VGIC_GRP_DIST_REGS
#define REDISTR KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
#define SYSREGS KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
#define NR_IRQS KVM_DEV_ARM_VGIC_GRP_NR_IRQS
#undef CTRL
#define CTRL	 KVM_DEV_ARM_VGIC_GRP_CTRL
#define LEVELS	 KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO
#define MAINT	 KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ
#define A_DIST	 KVM_VGIC_V3_ADDR_TYPE_DIST
#define A_REDIST KVM_VGIC_V3_ADDR_TYPE_REDIST
#define A_REGION KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION
#define CPU(n)	 ((u64)(n) << 32)

static int create(struct rig *r, u32 type)
{
	int err;

	mutex_lock(&r->vm_lock);
	err = irq_gic_create(&r->vi, type);
	mutex_unlock(&r->vm_lock);
	return err;
}

static int set64(struct rig *r, u32 group, u64 attr, u64 value)
{
	return rig_set(r, group, attr, &value);
}

static int set32(struct rig *r, u32 group, u64 attr, u32 value)
{
	return rig_set(r, group, attr, &value);
}

static s64 get32(struct rig *r, u32 group, u64 attr)
{
	u32 value = 0;
	int err = rig_get(r, group, attr, &value);

	return err ? err : (s64)value;
}

static u64 get64(struct rig *r, u32 group, u64 attr)
{
	u64 value = 0;
	int err = rig_get(r, group, attr, &value);

	return err ? (u64)(s64)err : value;
}

static u64 region(u64 base, u64 count, u64 index)
{
	return count << 52 | base | index;
}

TEST(creation_is_once_and_for_two_models_only)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(create(r, KVM_DEV_TYPE_ARM_VGIC_V5), -ENODEV);
	EXPECT_EQ(create(r, KVM_DEV_TYPE_ARM_VGIC_ITS), -ENODEV);
	EXPECT_EQ(create(r, KVM_DEV_TYPE_ARM_VGIC_V3), 0);
	EXPECT_EQ(create(r, KVM_DEV_TYPE_ARM_VGIC_V3), -EEXIST);
	EXPECT_EQ(bits_get(r->g.idreg[24], 24, 4), 1);
	rig_destroy(r);
	r = rig_create(1);
	r->v[0].has_run = true;
	EXPECT_EQ(create(r, KVM_DEV_TYPE_ARM_VGIC_V3), -EBUSY);
	rig_destroy(r);
}

TEST(frame_addresses_are_checked_as_by_kvm)
{
	struct rig *r = rig_create(2);

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(get64(r, ADDR, A_DIST), ~0ull);
	EXPECT_EQ(get64(r, ADDR, A_REDIST), ~0ull);
	EXPECT_EQ(get64(r, ADDR, A_REGION), -ENOENT);
	EXPECT_EQ(set64(r, ADDR, A_DIST, 0x12345), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_DIST, BIT(41)), -E2BIG);
	EXPECT_EQ(set64(r, ADDR, A_DIST, BIT(40)), -E2BIG);
	EXPECT_EQ(rig_set(r, ADDR, A_DIST, (void *)8), -EFAULT);
	EXPECT_EQ(set64(r, ADDR, 77, 0), -ENXIO);
	EXPECT_EQ(set64(r, ADDR, 0, 0), -ENXIO);
	EXPECT_EQ((s64)get64(r, ADDR, 77), -ENXIO);
	EXPECT_EQ(set64(r, ADDR, A_DIST, RIG_DIST), 0);
	EXPECT_EQ(set64(r, ADDR, A_DIST, RIG_DIST), -EEXIST);
	EXPECT_EQ(set64(r, ADDR, A_REDIST, RIG_DIST), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REDIST, 0x080a1000), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x08010000, 2, 1)), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x080a0000, 0, 0)), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x080a0000, 1, 0x1000)), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x080a0000, 1, 0)), 0);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x080a0000, 1, 0)), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REDIST, 0x09000000), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x080a0000, 1, 1)), -EINVAL);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x080c0000, 1, 1)), 0);
	u64 word = 1;
	EXPECT_EQ(rig_get(r, ADDR, A_REGION, &word), 0);
	EXPECT_EQ(word, region(0x080c0000, 1, 1));
	word = 2;
	EXPECT_EQ(rig_get(r, ADDR, A_REGION, &word), -ENOENT);
	EXPECT_EQ(a64_load(&irq_cpu_of(&r->v[1])->rd_base), 0x080c0000);
	rig_destroy(r);
}

TEST(a_second_legacy_region_exists_already)
{
	struct rig *r = rig_create(1);

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(set64(r, ADDR, A_REDIST, RIG_REDIST), 0);
	EXPECT_EQ(set64(r, ADDR, A_REDIST, 0x09000000), -EEXIST);
	/* It grows with the vCPUs. */
	EXPECT_EQ(rig_add_cpu(r), 0);
	EXPECT_EQ(a64_load(&irq_cpu_of(&r->v[1])->rd_base), RIG_REDIST + 0x20000);
	rig_destroy(r);
	/* ... until the address space ends: the check sees the vCPUs before the new one. */
	r = rig_create(0);
	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(set64(r, ADDR, A_REDIST, BIT(40) - 0x20000), 0);
	EXPECT_EQ(rig_add_cpu(r), 0);
	EXPECT_EQ(rig_add_cpu(r), 0);
	EXPECT_EQ(rig_add_cpu(r), -EINVAL);
	rig_destroy(r);
}

TEST(last_redistributor_is_the_end_of_a_contiguous_run)
{
	struct rig *r = rig_create(4);

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	/* 0 and 1 contiguous in two regions, 2 and 3 elsewhere. */
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x08100000, 1, 0)), 0);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x08120000, 1, 1)), 0);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x09000000, 4, 2)), 0);
	EXPECT_EQ(a32_load(&irq_cpu_of(&r->v[0])->rd_last), 0);
	EXPECT_EQ(a32_load(&irq_cpu_of(&r->v[1])->rd_last), 1);
	EXPECT_EQ(a32_load(&irq_cpu_of(&r->v[2])->rd_last), 0);
	EXPECT_EQ(a32_load(&irq_cpu_of(&r->v[3])->rd_last), 1);
	rig_destroy(r);
}

TEST(last_looks_at_regions_that_follow_in_memory_not_in_number)
{
	struct rig *r = rig_create(6);
	static const u32 want[] = {0, 1, 0, 1, 0, 0};

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x100000, 2, 0)), 0);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x240000, 2, 1)), 0);
	/* Ends where the one before it begins. */
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x200000, 2, 2)), 0);
	for (u32 i = 0; i < 6; i++)
		EXPECT_EQ(a32_load(&irq_cpu_of(&r->v[i])->rd_last), want[i]);
	rig_destroy(r);
}

TEST(a_vcpu_that_never_came_online_gives_its_redistributor_back)
{
	struct rig *r = rig_create(1);
	struct vcpu failed = {.id = 1, .index = 1, .group = &r->g};

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(set64(r, ADDR, A_REGION, region(0x08100000, 2, 0)), 0);
	EXPECT_EQ(irq_vcpu_init(&r->vi, &failed), 0);
	EXPECT_EQ(a64_load(&irq_cpu_of(&failed)->rd_base), 0x08120000);
	irq_vcpu_withdraw(&failed);
	EXPECT(!failed.irq);
	/* The run ends with the first again, and the next vCPU fits in. */
	EXPECT_EQ(a32_load(&irq_cpu_of(&r->v[0])->rd_last), 1);
	EXPECT_EQ(rig_add_cpu(r), 0);
	EXPECT_EQ(a64_load(&irq_cpu_of(&r->v[1])->rd_base), 0x08120000);
	rig_destroy(r);
}

TEST(number_of_interrupts_is_chosen_once)
{
	struct rig *r = rig_create(1);

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(set32(r, NR_IRQS, 0, 31), -EINVAL);
	EXPECT_EQ(set32(r, NR_IRQS, 0, 32), -EINVAL);
	EXPECT_EQ(set32(r, NR_IRQS, 0, 100), -EINVAL);
	EXPECT_EQ(set32(r, NR_IRQS, 0, 1024), -EINVAL);
	EXPECT_EQ(get32(r, NR_IRQS, 0), 32);
	EXPECT_EQ(set32(r, NR_IRQS, 0, 96), 0);
	EXPECT_EQ(set32(r, NR_IRQS, 0, 96), -EBUSY);
	EXPECT_EQ(get32(r, NR_IRQS, 0), 96);
	rig_destroy(r);
	r = rig_create(1);
	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(rig_set(r, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	EXPECT_EQ(get32(r, NR_IRQS, 0), 256);
	EXPECT_EQ(set32(r, NR_IRQS, 0, 64), -EBUSY);
	rig_destroy(r);
}

TEST(registers_wait_for_init_but_for_two)
{
	struct rig *r = rig_create(1);

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(get32(r, DISTR, 0), -EBUSY);
	EXPECT_EQ(get32(r, DISTR, 0x8), 0x4b00343b);
	EXPECT_EQ(get32(r, DISTR, 0xc), 0);
	EXPECT_EQ(get32(r, REDISTR, 0), -EBUSY);
	EXPECT_EQ(get32(r, SYSREGS, PMR), -EBUSY);
	EXPECT_EQ(get32(r, LEVELS, 0), -EBUSY);
	EXPECT_EQ(set32(r, DISTR, 0xc, 0), 0);
	EXPECT_EQ(set32(r, DISTR, 0xc, 0x100), -EINVAL);
	EXPECT_EQ(rig_set(r, CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), -ENXIO);
	EXPECT_EQ(irq_line(&r->vi, 1u << 24 | 40, 1), -EBUSY);
	EXPECT_EQ(rig_set(r, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	EXPECT_EQ(rig_set(r, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	EXPECT_EQ(rig_set(r, CTRL, 9, NULL), -ENXIO);
	EXPECT_EQ(rig_set(r, CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL), 0);
	EXPECT_EQ(set32(r, DISTR, 0xc, 0x100), -EBUSY);
	EXPECT_EQ(rig_add_cpu(r), -EBUSY);
	EXPECT_EQ(set32(r, MAINT, 0, 25), -EBUSY);
	rig_destroy(r);
}

TEST(register_access_needs_vcpus_at_rest)
{
	struct rig *r = rig_create_gic(2, 64);

	mutex_lock(&r->vm_lock);
	mutex_lock(&r->v[1].mutex);
	u32 w = 0;
	EXPECT_EQ(irq_gic_get_attr(&r->vi, DISTR, 0, &w), -EBUSY);
	EXPECT_EQ(irq_gic_set_attr(&r->vi, SYSREGS, PMR, &w), -EBUSY);
	mutex_unlock(&r->v[1].mutex);
	mutex_unlock(&r->vm_lock);
	EXPECT_EQ(get32(r, DISTR, 0), 0x50);
	rig_destroy(r);
}

TEST(has_attr_knows_what_is_there)
{
	struct rig *r = rig_create_gic(2, 96);
	static const struct {
		u32 group;
		u64 attr;
		int want;
	} t[] = {
		{ADDR, 2, 0},
		{ADDR, 3, 0},
		{ADDR, 5, 0},
		{ADDR, 0, -ENXIO},
		{ADDR, 4, -ENXIO},
		{DISTR, 0, 0},
		{DISTR, 2, -ENXIO},
		{DISTR, 0x40, -ENXIO},
		{DISTR, 0x80, 0},
		{DISTR, 0x104, 0},
		{DISTR, 0x108, 0},
		{DISTR, 0x10c, -ENXIO},
		{DISTR, 0x6000, 0},
		{DISTR, 0x6100, 0},
		{DISTR, 0xffe8, 0},
		{2, 0, -ENXIO},
		{NR_IRQS, 0, 0},
		{CTRL, 0, 0},
		{CTRL, 1, -ENXIO},
		{CTRL, 2, -ENXIO},
		{CTRL, 3, 0},
		{CTRL, 4, -ENXIO},
		{REDISTR, 0, 0},
		{REDISTR, 0x10, -ENXIO},
		{REDISTR, 0x14, 0},
		{REDISTR, CPU(1) | 0x10400, 0},
		{REDISTR, CPU(9), -EINVAL},
		{REDISTR, 0x10084, -ENXIO},
		{SYSREGS, PMR, 0},
		{SYSREGS, SYSREG_OP(3, 0, 12, 8, 7), 0},
		{SYSREGS, IAR1, -ENXIO},
		{SYSREGS, SGI1R, -ENXIO},
		{SYSREGS, CPU(9) | PMR, -EINVAL},
		{LEVELS, 0, 0},
		{LEVELS, 1 << 10, -ENXIO},
		{8, 0, -ENXIO},
		{MAINT, 0, 0},
		{10, 0, -ENXIO},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++)
		if (irq_gic_has_attr(&r->vi, t[i].group, t[i].attr) != t[i].want)
			TEST_FAIL("group %u attr %#llx: %d, not %d", t[i].group,
				  (unsigned long long)t[i].attr,
				  irq_gic_has_attr(&r->vi, t[i].group, t[i].attr), t[i].want);
	rig_destroy(r);
}

TEST(user_view_of_pending_is_the_latch)
{
	struct rig *r = rig_create_gic(1, 96);

	set32(r, DISTR, 0xc08, 0); /* level */
	EXPECT_EQ(set32(r, LEVELS, 32, 0xffff), 0);
	EXPECT_EQ(get32(r, LEVELS, 32), 0xffff);
	EXPECT_EQ(get32(r, DISTR, 0x204), 0);
	EXPECT_EQ(rig_read(r, RIG_DIST + 0x204, 4), 0xffff);
	/* Written as a whole: set and clear. */
	EXPECT_EQ(set32(r, DISTR, 0x204, 0xf0), 0);
	EXPECT_EQ(get32(r, DISTR, 0x204), 0xf0);
	EXPECT_EQ(set32(r, DISTR, 0x204, 0xf), 0);
	EXPECT_EQ(get32(r, DISTR, 0x204), 0xf);
	EXPECT_EQ(set32(r, DISTR, 0x284, 0xff), 0);
	EXPECT_EQ(get32(r, DISTR, 0x204), 0xf);
	EXPECT_EQ(get32(r, DISTR, 0x284), 0);
	/* Only PPIs of the first word have lines; the line of an edge interrupt is not told. */
	EXPECT_EQ(set32(r, LEVELS, 0, ~0u), 0);
	EXPECT_EQ(get32(r, LEVELS, 0), 0xffff0000);
	EXPECT_EQ(set32(r, LEVELS, 64, ~0u), 0);
	EXPECT_EQ(get32(r, LEVELS, 64), 0);
	EXPECT_EQ(get32(r, LEVELS, 1), -EINVAL);
	EXPECT_EQ(get32(r, LEVELS, 1 << 10), -EINVAL);
	rig_destroy(r);
}

TEST(user_writes_keep_what_the_registers_can_hold)
{
	struct rig *r = rig_create_gic(1, 96);

	EXPECT_EQ(set32(r, DISTR, 0x420, ~0u), 0);
	EXPECT_EQ(get32(r, DISTR, 0x420), 0xf8f8f8f8);
	EXPECT_EQ(set32(r, DISTR, 0x6100, ~0u), 0);
	EXPECT_EQ(get32(r, DISTR, 0x6100), 0xffffff);
	EXPECT_EQ(set32(r, DISTR, 0x6104, ~0u), 0);
	EXPECT_EQ(get32(r, DISTR, 0x6104), 0);
	EXPECT_EQ(get32(r, DISTR, 0xc08), 0xaaaaaaaa);
	EXPECT_EQ(set32(r, DISTR, 0x8, 0x4b00243b), 0);
	EXPECT_EQ(get32(r, REDISTR, 0), 0);
	EXPECT_EQ(set32(r, DISTR, 0x8, 0x4b00143b), -EINVAL);
	EXPECT_EQ(set32(r, DISTR, 0x8, 0x4c00343b), -EINVAL);
	EXPECT_EQ(set32(r, DISTR, 0x8, 0x4b00343b), 0);
	EXPECT_EQ(set32(r, DISTR, 0, ~0u), 0);
	EXPECT_EQ(get32(r, DISTR, 0), 0x52);
	EXPECT_EQ(set32(r, REDISTR, 0x70, ~0u), 0);
	EXPECT_EQ(set32(r, REDISTR, 0x74, ~0u), 0);
	EXPECT_EQ(set32(r, REDISTR, 0x78, ~0u), 0);
	EXPECT_EQ(set32(r, REDISTR, 0x7c, ~0u), 0);
	EXPECT_EQ(get32(r, REDISTR, 0x70), 0xffffff9f);
	EXPECT_EQ(get32(r, REDISTR, 0x74), 0xfffff);
	EXPECT_EQ(get32(r, REDISTR, 0x78), 0xffff0f80);
	EXPECT_EQ(get32(r, REDISTR, 0x7c), 0xfffff);
	rig_destroy(r);
}

TEST(cpu_interface_attributes_answer_as_in_kvm)
{
	struct rig *r = rig_create_gic(1, 64);
	static const struct {
		u16 op;
		u64 fresh; /* after a run */
		int set_ones, set_zero;
		u64 ones;
	} t[] = {
		{PMR, 0, 0, 0, 0xff},
		{BPR0, 2, 0, 0, 7},
		{AP0R0, 0, 0, 0, 0xffffffff},
		{AP1R0, 0, 0, 0, 0xffffffff},
		{BPR1, 3, 0, 0, 7},
		{SRE, 7, 0, -EINVAL, 7},
		{IGRPEN0, 0, 0, 0, 1},
		{IGRPEN1, 0, 0, 0, 1},
		{CTLR, 0x8c00, -EINVAL, -EINVAL, 0x8c00},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(get64(r, SYSREGS, t[i].op), t[i].fresh);
		EXPECT_EQ(set64(r, SYSREGS, t[i].op, ~0ull), t[i].set_ones);
		EXPECT_EQ(get64(r, SYSREGS, t[i].op), t[i].ones);
		EXPECT_EQ(set64(r, SYSREGS, t[i].op, 0), t[i].set_zero);
	}
	EXPECT_EQ(get64(r, SYSREGS, CTLR), 0x8000);
	EXPECT_EQ((s64)get64(r, SYSREGS, SYSREG_OP(3, 0, 12, 8, 5)), -EINVAL);
	EXPECT_EQ((s64)get64(r, SYSREGS, IAR1), -ENOENT);
	EXPECT_EQ((s64)get64(r, SYSREGS, CPU(9) | PMR), -EINVAL);
	EXPECT_EQ(rig_get(r, SYSREGS, PMR, (void *)8), -EFAULT);
	EXPECT_EQ(rig_set(r, SYSREGS, PMR, (void *)8), -EFAULT);
	/* The guest sees raw values limited. */
	set64(r, SYSREGS, PMR, 0xff);
	EXPECT_EQ(rig_mrs(r, 0, PMR), 0xf8);
	EXPECT_EQ(rig_mrs(r, 0, BPR1), 3);
	rig_destroy(r);
}

TEST(first_run_wants_everything_in_place)
{
	static const int want[] = {-ENXIO, -ENXIO, -EBUSY, 0};

	for (int steps = 0; steps < 4; steps++) {
		struct rig *r = rig_create(1);

		create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
		if (steps > 0)
			set64(r, ADDR, A_DIST, RIG_DIST);
		if (steps > 1)
			set64(r, ADDR, A_REDIST, RIG_REDIST);
		if (steps > 2)
			rig_set(r, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
		EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), want[steps]);
		/* A failure here is the end of the VM. */
		EXPECT_EQ(a32_load(&r->mem.dead), want[steps] != 0);
		rig_destroy(r);
	}
	struct rig *r = rig_create(1);

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	set64(r, ADDR, A_REDIST, RIG_REDIST);
	set64(r, ADDR, A_DIST, RIG_REDIST);
	rig_set(r, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), -EINVAL);
	rig_destroy(r);
}

TEST(init_without_vcpus_is_legal_and_lines_work)
{
	struct rig *r = rig_create(0);

	create(r, KVM_DEV_TYPE_ARM_VGIC_V3);
	EXPECT_EQ(rig_set(r, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	EXPECT_EQ(irq_line(&r->vi, 1u << 24 | 40, 1), 0);
	EXPECT_EQ(get32(r, DISTR, 8), -EINVAL);
	EXPECT_EQ(rig_add_cpu(r), -EBUSY);
	rig_destroy(r);
}

/* --- save and restore --- */

#define DUMP_MAX 1600

static const u16 dump_sysregs[] = {PMR, BPR0, BPR1, AP0R0, AP1R0, CTLR, SRE, IGRPEN0, IGRPEN1};

/* Every register that a VMM saves, in an order in which it may be restored. Returns the number of
 * values. */
static u32 walk_state(struct rig *r, u32 nr_irqs, u64 *dump, bool restore)
{
	static const struct {
		u32 off, stride_bits;
	} arrays[] = {{0x80, 1},  {0x400, 8}, {0xc00, 2}, {0x6000, 64},
		      {0x300, 1}, {0x200, 1}, {0x100, 1}};
	static const u32 redist[] = {0x70,    0x74,    0x78,	0x7c,	0x10080,
				     0x10100, 0x10300, 0x10200, 0x10c04};
	u32 n = 0;

#define ONE(group, attr)                                                                          \
	do {                                                                                      \
		u32 w_ = (u32)dump[n];                                                            \
		int err_ = restore ? rig_set(r, group, attr, &w_) : rig_get(r, group, attr, &w_); \
		if (err_)                                                                         \
			TEST_FAIL("group %u attr %#llx: %d", group, (unsigned long long)(attr),   \
				  err_);                                                          \
		dump[n++] = w_;                                                                   \
	} while (0)

	ONE(DISTR, 0x8);
	for (u32 a = 0; a < ARRAY_SIZE(arrays); a++) {
		u32 step = 4, bits = arrays[a].stride_bits;

		/* A restore of set-only registers starts from zero, that is from a fresh VM. */
		for (u32 off = bits * 4; off < nr_irqs * bits / 8; off += step)
			ONE(DISTR, arrays[a].off + off);
	}
	for (u32 c = 0; c < r->nr; c++) {
		for (u32 i = 0; i < ARRAY_SIZE(redist); i++)
			ONE(REDISTR, CPU(c) | redist[i]);
		for (u32 i = 0; i < 32; i += 4)
			ONE(REDISTR, CPU(c) | (0x10400 + i));
		for (u32 i = 0; i < ARRAY_SIZE(dump_sysregs); i++) {
			u64 v = dump[n];
			int err = restore ? rig_set(r, SYSREGS, CPU(c) | dump_sysregs[i], &v)
					  : rig_get(r, SYSREGS, CPU(c) | dump_sysregs[i], &v);

			EXPECT_EQ(err, 0);
			dump[n++] = v;
		}
		ONE(LEVELS, CPU(c) | 0);
	}
	for (u32 i = 32; i < nr_irqs; i += 32)
		ONE(LEVELS, i);
	ONE(DISTR, 0x0);
	return n;
}

static void busy_state(struct rig *r)
{
	rig_enable_all(r);
	rig_write(r, rig_redist(0) + 0x70, 8,
		  0x4058f); /* a fresh 0 would come back sanitised, as in KVM */
	for (u32 i = 32; i < 96; i++)
		rig_setup_spi(r, i, i % r->nr, (u8)(0x40 + (i * 8) % 0x90), i % 3 == 0);
	for (u32 i = 32; i < 96; i += 5)
		irq_line(&r->vi, 1u << 24 | i, 1);
	for (u32 c = 0; c < r->nr; c++) {
		rig_write(r, rig_redist(c) + 0x10400, 4, 0x20304050 + c * 8);
		rig_write(r, rig_redist(c) + 0x10100, 4, BIT(20 + c));
		irq_line(&r->vi, 2u << 24 | c << 16 | (20 + c), 1);
		rig_msr(r, c, CTLR, c & 1 ? 2 : 0);
	}
	rig_msr(r, 0, SGI1R, 2ull << 24 | 7);
	/* Some in every stage: active, active and pending, dropped but active. */
	rig_mrs(r, 0, IAR1);
	rig_mrs(r, 1, IAR1);
	u64 id = rig_mrs(r, 1, IAR1);
	if (id != SPURIOUS)
		rig_msr(r, 1, EOIR1, id);
	rig_msr(r, 0, SGI1R, 2ull << 24 | 7);
	rig_msr(r, 2, BPR1, 5);
	rig_msr(r, 2, PMR, 0x90);
}

TEST(restore_into_a_fresh_vm_gives_the_same_dump_and_the_same_future)
{
	static u64 first[DUMP_MAX], second[DUMP_MAX];
	struct rig *a = rig_create_gic(3, 128), *b = rig_create_gic(3, 128);
	u32 n, m;

	busy_state(a);
	n = walk_state(a, 128, first, false);
	ASSERT(n < DUMP_MAX);
	memcpy(second, first, sizeof(first));
	walk_state(b, 128, second, true);
	memset(second, 0, sizeof(second));
	m = walk_state(b, 128, second, false);
	EXPECT_EQ(n, m);
	for (u32 i = 0; i < n; i++)
		if (first[i] != second[i])
			TEST_FAIL("value %u: %#llx became %#llx", i, (unsigned long long)first[i],
				  (unsigned long long)second[i]);
	/* Both guests go on and must see the same. */
	for (u32 round = 0; round < 300; round++) {
		u32 c = round % 3;
		u64 ia = rig_mrs(a, c, IAR1), ib = rig_mrs(b, c, IAR1);

		EXPECT_EQ(rig_pin(a, c, PIN_IRQ), rig_pin(b, c, PIN_IRQ));
		EXPECT_EQ(ia, ib);
		if (ia != SPURIOUS) {
			if (ia >= 32)
				irq_line(&a->vi, 1u << 24 | (u32)ia, 0),
					irq_line(&b->vi, 1u << 24 | (u32)ia, 0);
			rig_msr(a, c, EOIR1, ia);
			rig_msr(b, c, EOIR1, ib);
			if (c & 1) {
				rig_msr(a, c, DIR, ia);
				rig_msr(b, c, DIR, ib);
			}
		}
	}
	rig_destroy(a);
	rig_destroy(b);
}
