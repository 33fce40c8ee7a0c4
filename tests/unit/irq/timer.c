/* SPDX-License-Identifier: MIT */
/* Generic timers against a clock that the test moves. */
#include "rig.h"

#include "../../test.h"

#define START 1000000000ull

static struct rig *timer_rig(u32 nr)
{
	struct rig *r;

	rig_clock_set(START);
	r = rig_create_gic(nr, 64);
	rig_enable_all(r);
	for (u32 i = 0; i < nr; i++)
		rig_write(r, rig_redist(i) + 0x10100, 4, BIT(27) | BIT(30));
	return r;
}

static u64 deadline(struct rig *r, u32 cpu)
{
	return r->v[cpu].irq_ops->next_deadline(&r->v[cpu]);
}

static void poll_timers(struct rig *r, u32 cpu)
{
	r->v[cpu].irq_ops->timer_poll(&r->v[cpu]);
}

static int get_one(struct rig *r, u16 op, u64 *value)
{
	return rig_row(r, op)->get(&r->v[0], rig_row(r, op), value);
}

static int set_one(struct rig *r, u16 op, u64 value)
{
	return rig_row(r, op)->set(&r->v[0], rig_row(r, op), value);
}

TEST(virtual_count_starts_at_vcpu_creation_and_physical_is_the_clock)
{
	struct rig *r = timer_rig(1);

	EXPECT_EQ(rig_mrs(r, 0, CNTFRQ), 1000000000);
	EXPECT_EQ(rig_mrs(r, 0, CNTVCT), 0);
	EXPECT_EQ(rig_mrs(r, 0, CNTPCT), START);
	rig_clock_set(START + 12345);
	EXPECT_EQ(rig_mrs(r, 0, CNTVCT), 12345);
	EXPECT_EQ(rig_mrs(r, 0, CNTPCT), START + 12345);
	rig_destroy(r);
}

TEST(a_timer_raises_its_ppi_at_the_deadline_and_not_before)
{
	struct rig *r = timer_rig(1);

	EXPECT_EQ(deadline(r, 0), ~0ull);
	rig_msr(r, 0, CNTV_CVAL, 5000);
	rig_msr(r, 0, CNTV_CTL, 1);
	EXPECT_EQ(deadline(r, 0), START + 5000);
	rig_clock_set(START + 4999);
	poll_timers(r, 0);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, CNTV_CTL), 1);
	EXPECT_EQ(rig_mrs(r, 0, CNTV_TVAL), 1);
	rig_clock_set(START + 5000);
	/* The run loop compares with a clock that it read before: what has passed must not look like now. */
	EXPECT_EQ(deadline(r, 0), 0);
	poll_timers(r, 0);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, CNTV_CTL), 5);
	EXPECT_EQ(deadline(r, 0), ~0ull);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), 27);
	/* Level: still up, comes again after EOI; masking takes it away at once. */
	rig_msr(r, 0, EOIR1, 27);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_msr(r, 0, CNTV_CTL, 3);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, CNTV_CTL), 7);
	rig_msr(r, 0, CNTV_CTL, 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	/* A later deadline lowers it too. */
	rig_msr(r, 0, CNTV_TVAL, 100);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, CNTV_CVAL), 5100);
	rig_destroy(r);
}

TEST(both_timers_of_each_vcpu_are_separate)
{
	struct rig *r = timer_rig(2);

	rig_msr(r, 1, CNTP_CVAL, START + 300);
	rig_msr(r, 1, CNTP_CTL, 1);
	rig_msr(r, 1, CNTV_CVAL, 200);
	rig_msr(r, 1, CNTV_CTL, 1);
	EXPECT_EQ(deadline(r, 0), ~0ull);
	EXPECT_EQ(deadline(r, 1), START + 200);
	rig_clock_set(START + 250);
	poll_timers(r, 1);
	EXPECT_EQ(deadline(r, 1), START + 300);
	EXPECT_EQ(rig_mrs(r, 1, IAR1), 27);
	rig_clock_set(START + 300);
	poll_timers(r, 1);
	rig_msr(r, 1, CNTV_CTL, 0);
	rig_msr(r, 1, EOIR1, 27);
	EXPECT_EQ(rig_mrs(r, 1, IAR1), 30);
	EXPECT_EQ(rig_mrs(r, 0, IAR1), SPURIOUS);
	rig_destroy(r);
}

TEST(tval_is_signed_and_never_does_not_wrap)
{
	struct rig *r = timer_rig(1);

	rig_clock_set(START + 1000);
	rig_msr(r, 0, CNTV_TVAL, (u32)-500);
	EXPECT_EQ(rig_mrs(r, 0, CNTV_CVAL), 500);
	rig_msr(r, 0, CNTV_CTL, 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ((s32)rig_mrs(r, 0, CNTV_TVAL), -500);
	rig_msr(r, 0, CNTV_CVAL, ~0ull);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(deadline(r, 0), ~0ull);
	rig_msr(r, 0, CNTV_TVAL, 0x7fffffff);
	EXPECT_EQ(deadline(r, 0), START + 1000 + 0x7fffffff);
	rig_destroy(r);
}

TEST(wfi_sees_a_timer_that_fired_meanwhile)
{
	struct rig *r = timer_rig(1);

	rig_msr(r, 0, CNTV_CVAL, 1000);
	rig_msr(r, 0, CNTV_CTL, 1);
	EXPECT(!r->v[0].irq_ops->wfi_pending(&r->v[0]));
	rig_clock_set(START + 1000);
	EXPECT(r->v[0].irq_ops->wfi_pending(&r->v[0]));
	rig_destroy(r);
}

TEST(el0_needs_permission_for_counters_and_timers)
{
	struct rig *r = timer_rig(1);
	static const struct {
		u16 op;
		u64 enable;
	} t[] = {{CNTFRQ, BIT(0)},    {CNTFRQ, BIT(1)},	   {CNTPCT, BIT(0)},	{CNTVCT, BIT(1)},
		 {CNTV_CTL, BIT(8)},  {CNTV_TVAL, BIT(8)}, {CNTV_CVAL, BIT(8)}, {CNTP_CTL, BIT(9)},
		 {CNTP_TVAL, BIT(9)}, {CNTP_CVAL, BIT(9)}};
	u64 value;

	r->v[0].arch.el = 0;
	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		const struct sysreg_row *row = rig_row(r, t[i].op);

		r->v[0].arch.sys[SR_CNTKCTL_EL1] = 0;
		EXPECT_EQ(row->read(&r->v[0], row, &value), OP_BRANCH);
		if (row->write)
			EXPECT_EQ(row->write(&r->v[0], row, 0), OP_BRANCH);
		r->v[0].arch.sys[SR_CNTKCTL_EL1] = t[i].enable;
		EXPECT_EQ(row->read(&r->v[0], row, &value), OP_NEXT);
		if (row->write)
			EXPECT_EQ(row->write(&r->v[0], row, 0), OP_NEXT);
	}
	rig_destroy(r);
}

TEST(one_reg_has_the_swapped_ids_and_sets_the_count_of_the_vm)
{
	struct rig *r = timer_rig(2);
	u64 v = 0;

	EXPECT_EQ(rig_row(r, CNTVCT)->one_reg_id, KVM_REG_ARM_TIMER_CNT);
	EXPECT_EQ(rig_row(r, CNTV_CVAL)->one_reg_id, KVM_REG_ARM_TIMER_CVAL);
	EXPECT_EQ(set_one(r, CNTVCT, 777), 0);
	EXPECT_EQ(rig_mrs(r, 1, CNTVCT), 777);
	EXPECT_EQ(set_one(r, CNTPCT, 888), 0);
	EXPECT_EQ(rig_mrs(r, 1, CNTPCT), 888);
	EXPECT_EQ(get_one(r, CNTPCT, &v), 0);
	EXPECT_EQ(v, 888);
	EXPECT_EQ(set_one(r, CNTV_CTL, 7), 0);
	EXPECT_EQ(get_one(r, CNTV_CTL, &v), 0);
	EXPECT_EQ(v, 3);
	EXPECT_EQ(set_one(r, CNTV_CVAL, 42), 0);
	EXPECT_EQ(get_one(r, CNTV_CVAL, &v), 0);
	EXPECT_EQ(v, 42);
	/* What was set while the vCPU rested takes effect at the next entry. */
	set_one(r, CNTV_CTL, 1);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	r->v[0].irq_ops->before_run(&r->v[0]);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	rig_destroy(r);
}

TEST(counter_offset_fixes_both_counts)
{
	struct rig *r = timer_rig(2);
	struct kvm_arm_counter_offset o = {.counter_offset = START - 5, .reserved = 1};

	mutex_lock(&r->vm_lock);
	EXPECT_EQ(irq_set_counter_offset(&r->vi, &o), -EINVAL);
	o.reserved = 0;
	mutex_lock(&r->v[1].mutex);
	EXPECT_EQ(irq_set_counter_offset(&r->vi, &o), -EBUSY);
	mutex_unlock(&r->v[1].mutex);
	EXPECT_EQ(irq_set_counter_offset(&r->vi, &o), 0);
	mutex_unlock(&r->vm_lock);
	EXPECT_EQ(rig_mrs(r, 0, CNTVCT), 5);
	EXPECT_EQ(rig_mrs(r, 0, CNTPCT), 5);
	EXPECT_EQ(set_one(r, CNTVCT, 777), 0);
	EXPECT_EQ(rig_mrs(r, 0, CNTVCT), 5);
	rig_destroy(r);
}

static int attr_set(struct rig *r, u64 attr, s32 irq)
{
	return irq_timer_set_attr(&r->v[0], attr, &irq);
}

static s32 attr_get(struct rig *r, u64 attr)
{
	s32 irq = -1;
	int err = irq_timer_get_attr(&r->v[0], attr, &irq);

	return err ? err : irq;
}

TEST(timer_ppis_can_be_chosen_until_the_first_run)
{
	struct rig *r = rig_create(1);
	u64 dist = RIG_DIST, redist = RIG_REDIST;

	static const s32 fresh[] = {27, 30, 28, 26, -ENXIO};
	for (u64 i = 0; i < 5; i++)
		EXPECT_EQ(attr_get(r, i), fresh[i]);
	EXPECT_EQ(attr_set(r, 0, 20), -EINVAL); /* no controller */
	mutex_lock(&r->vm_lock);
	irq_gic_create(&r->vi, KVM_DEV_TYPE_ARM_VGIC_V3);
	mutex_unlock(&r->vm_lock);
	EXPECT_EQ(irq_timer_set_attr(&r->v[0], 0, (void *)8), -EFAULT);
	EXPECT_EQ(attr_set(r, 0, 15), -EINVAL);
	EXPECT_EQ(attr_set(r, 0, 32), -EINVAL);
	EXPECT_EQ(attr_set(r, 4, 20), -ENXIO);
	EXPECT_EQ(attr_set(r, 0, 20), 0);
	EXPECT_EQ(attr_get(r, 0), 20);
	rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist);
	rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist);
	rig_set(r, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), 0);
	EXPECT_EQ(attr_set(r, 0, 21), -EBUSY);
	/* The owner alone drives the line: user space's attempt is ignored. */
	EXPECT_EQ(irq_line(&r->vi, 2u << 24 | 20, 1), 0);
	EXPECT_EQ(rig_read(r, rig_redist(0) + 0x10200, 4), 0);
	rig_destroy(r);
}

TEST(clashing_timer_ppis_refuse_to_run_for_good)
{
	struct rig *r = rig_create(1);
	u64 dist = RIG_DIST, redist = RIG_REDIST;

	mutex_lock(&r->vm_lock);
	irq_gic_create(&r->vi, KVM_DEV_TYPE_ARM_VGIC_V3);
	mutex_unlock(&r->vm_lock);
	EXPECT_EQ(attr_set(r, 1, 27), 0);
	rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist);
	rig_set(r, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist);
	rig_set(r, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), -EINVAL);
	EXPECT_EQ(attr_set(r, 1, 30), 0);
	EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), -EINVAL);
	EXPECT_EQ(a32_load(&r->mem.dead), 0);
	rig_destroy(r);
}

TEST(reset_stops_the_timers_and_drops_their_interrupts)
{
	struct rig *r = timer_rig(1);

	rig_msr(r, 0, CNTV_CTL, 1);
	EXPECT(rig_pin(r, 0, PIN_IRQ));
	r->v[0].irq_ops->reset(&r->v[0]);
	EXPECT(!rig_pin(r, 0, PIN_IRQ));
	EXPECT_EQ(rig_mrs(r, 0, CNTV_CTL), 0);
	EXPECT_EQ(deadline(r, 0), ~0ull);
	rig_destroy(r);
}

TEST(without_a_controller_timers_are_shown_to_user_space)
{
	struct rig *r;

	rig_clock_set(START);
	r = rig_create(1);
	EXPECT_EQ(irq_vcpu_first_run(&r->v[0]), 0);
	rig_msr(r, 0, CNTV_CVAL, 1000);
	rig_msr(r, 0, CNTV_CTL, 1);
	EXPECT_EQ(deadline(r, 0), START + 1000);
	EXPECT(!r->v[0].irq_ops->wfi_pending(&r->v[0]));
	EXPECT(!r->v[0].irq_ops->show_levels(&r->v[0]));
	rig_clock_set(START + 1000);
	EXPECT_EQ(rig_mrs(r, 0, CNTV_CTL), 5);
	EXPECT_EQ(deadline(r, 0), 0);
	EXPECT(r->v[0].irq_ops->wfi_pending(&r->v[0]));
	EXPECT(r->v[0].irq_ops->show_levels(&r->v[0]));
	EXPECT_EQ(r->v[0].run->s.regs.device_irq_level, KVM_ARM_DEV_EL1_VTIMER);
	/* Once told, it is no reason to wake up. */
	EXPECT_EQ(deadline(r, 0), ~0ull);
	EXPECT(!r->v[0].irq_ops->wfi_pending(&r->v[0]));
	irq_line(&r->vi, 0, 1);
	EXPECT(r->v[0].irq_ops->wfi_pending(&r->v[0]));
	rig_destroy(r);
}
