// SPDX-License-Identifier: MIT
/* Software step of the guest, single step and breakpoints of the VMM. */
#include "rig.h"
#include "test.h"

static void debug(struct rig *r, u32 control)
{
	EXPECT_EQ(rig_set_debug(r, 0, control), 0);
}

TEST(software_step_of_el0)
{
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);

	/* MDSCR.SS; SPSR with SS = 1: one instruction, then the step exception. */
	a->sys[SR_MDSCR_EL1] = 1;
	a->x[0] = RAM + G_el0_three;
	a->x[1] = 0x3c0 | PSR_SS;
	EXPECT_EQ(rig_run(r, 0, G_enter_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x32);
	EXPECT_EQ(rig_iss(r, 0), 1u << 24 | 0x22);
	EXPECT_EQ(a->x[10], 1);
	EXPECT_EQ(a->sys[SR_ELR_EL1], RAM + G_el0_three + 4);
	EXPECT_EQ(a->sys[SR_SPSR_EL1], 0x3c0);
	/* SS = 0: pending at once, nothing is executed. */
	a->x[0] = RAM + G_el0_three + 4;
	a->x[1] = 0x3c0;
	EXPECT_EQ(rig_run(r, 0, G_enter_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x32);
	EXPECT_EQ(a->x[10], 1);
	/* The stepped instruction is an SVC: that exception comes first. */
	a->x[0] = RAM + G_el0_three + 8;
	a->x[1] = 0x3c0 | PSR_SS;
	EXPECT_EQ(rig_run(r, 0, G_enter_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x15);
	rig_destroy(r);
}

TEST(os_lock_and_masks_stop_software_step)
{
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->sys[SR_MDSCR_EL1] = 1;
	a->sys[SR_OSLAR_EL1] |= 2;
	a->x[0] = RAM + G_el0_three;
	a->x[1] = 0x3c0 | PSR_SS;
	EXPECT_EQ(rig_run(r, 0, G_enter_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x15);
	EXPECT_EQ(a->x[10], 2);
	/* EL1 steps itself only with KDE and D clear. */
	a->sys[SR_OSLAR_EL1] &= ~2ull;
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	a->sys[SR_MDSCR_EL1] = 1 | BIT(13);
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	rig_destroy(r);
}

TEST(single_step_of_the_vmm_exits_after_each_instruction)
{
	struct rig *r = rig_create(1);
	struct kvm_run *run = r->vcpu[0].run;
	struct vcpu_arch *a = rig_arch(r, 0);

	debug(r, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	a->pc = RAM + G_el0_three;
	EXPECT_EQ(rig_enter(r, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_DEBUG);
	EXPECT_EQ(run->debug.arch.hsr >> 26, 0x32);
	EXPECT_EQ(a->pc, RAM + G_el0_three + 4);
	EXPECT_EQ(a->x[10], 1);
	EXPECT_EQ(rig_enter(r, 0), 0);
	EXPECT_EQ(a->x[10], 2);
	/* Into the exception. */
	EXPECT_EQ(rig_enter(r, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_DEBUG);
	EXPECT_EQ(a->pc, RAM + G_vectors + 0x200);
	debug(r, 0);
	EXPECT_EQ(rig_continue(r, 0), EXIT_VECTOR + VECTOR_SYNC_EL1);
	rig_destroy(r);
}

TEST(breakpoints_of_the_vmm_exit_instead_of_trapping)
{
	struct rig *r = rig_create(1);
	struct kvm_run *run = r->vcpu[0].run;

	debug(r, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	rig_arch(r, 0)->pc = RAM + G_brk_imm;
	EXPECT_EQ(rig_enter(r, 0), 0);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_DEBUG);
	EXPECT_EQ(run->debug.arch.hsr, 0x3cu << 26 | 1u << 25 | 0x4321);
	EXPECT_EQ(rig_arch(r, 0)->pc, RAM + G_brk_imm);
	/* Code that the VMM rewrites is seen at the next entry. */
	*(u32 *)rig_mem(r, RAM + G_brk_imm) = 0xd4000022; /* hvc #1 */
	EXPECT_EQ(rig_continue(r, 0), 1);
	debug(r, 0);
	*(u32 *)rig_mem(r, RAM + G_brk_imm) = 0xd4200000; /* brk #0 */
	rig_destroy(r);
}

TEST(unknown_debug_bits_are_refused)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_set_debug(r, 0, 1u << 5), -EINVAL);
	rig_destroy(r);
}

/* The entry into the handler is the step: nothing of it is executed. */
TEST(single_step_with_an_interrupt_pending_ends_at_the_vector)
{
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);

	debug(r, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	a->pc = RAM + G_el0_three;
	a->pstate &= ~(u32)PSR_I;
	vcpu_set_pin(&r->vcpu[0], PIN_IRQ, true);
	EXPECT_EQ(rig_enter(r, 0), 0);
	EXPECT_EQ(r->vcpu[0].run->exit_reason, KVM_EXIT_DEBUG);
	EXPECT_EQ(a->pc, RAM + G_vectors + 0x280);
	EXPECT_EQ(a->sys[SR_ELR_EL1], RAM + G_el0_three);
	EXPECT_EQ(a->x[10], 0);
	rig_destroy(r);
}
