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

/* What follows is left out of tests/api: the emulator that runs the reference KVM has it not, or otherwise. */

#define BP_ON	0x1e7u
#define MDE_KDE (BIT(15) | BIT(13))

static struct rig *debug_rig(u64 mdscr)
{
	struct rig *r = rig_create(1);

	rig_arch(r, 0)->sys[SR_MDSCR_EL1] = mdscr;
	rig_arch(r, 0)->pstate &= ~(u32)PSR_D;
	return r;
}

TEST(an_unlinked_context_stops_every_instruction)
{
	struct rig *r = debug_rig(MDE_KDE);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->sys[SR_DBGBVR0_EL1 + 5] = 77;
	a->sys[SR_DBGBCR0_EL1 + 5] = BP_ON | 2u << 20;
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	a->sys[SR_CONTEXTIDR_EL1] = 77;
	a->pstate &= ~(u32)PSR_D;
	EXPECT_EQ(rig_run(r, 0, G_done), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x31);
	EXPECT_EQ(a->sys[SR_ELR_EL1], RAM + G_done);
	rig_destroy(r);
}

TEST(an_atomic_is_a_load_for_a_watchpoint_on_loads)
{
	struct rig *r = debug_rig(MDE_KDE);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->sys[SR_DBGWVR0_EL1 + 3] = DATA;
	a->sys[SR_DBGWCR0_EL1 + 3] = 7 | 1u << 3 | 0xffu << 5;
	a->x[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_ldadd), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x35);
	EXPECT_EQ(rig_iss(r, 0), 0x22);
	EXPECT_EQ(a->sys[SR_FAR_EL1], DATA);
	/* Also where stores are watched as well. */
	a->sys[SR_DBGWCR0_EL1 + 3] |= 2u << 3;
	a->pstate &= ~(u32)PSR_D;
	EXPECT_EQ(rig_run(r, 0, G_ldadd), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_iss(r, 0), 0x22);
	rig_destroy(r);
}

/* The right is that of the access: an unprivileged one is watched as EL0's. */
TEST(an_unprivileged_access_is_watched_as_el0)
{
	struct rig *r = debug_rig(MDE_KDE);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->sys[SR_DBGWVR0_EL1] = DATA;
	a->sys[SR_DBGWCR0_EL1] = 1 | 2u << 1 | 3u << 3 | 0xffu << 5;
	a->x[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	a->pstate &= ~(u32)PSR_D;
	EXPECT_EQ(rig_run(r, 0, G_ldtr), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x35);
	rig_destroy(r);
}

TEST(invalidating_a_line_is_a_watched_store)
{
	struct rig *r = debug_rig(MDE_KDE);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->sys[SR_DBGWVR0_EL1] = DATA + 56;
	a->sys[SR_DBGWCR0_EL1] = 7 | 2u << 3 | 0x80u << 5;
	a->x[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_invalidate_line), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x35);
	EXPECT_EQ(rig_iss(r, 0), BIT(8) | BIT(6) | 0x22);
	EXPECT_EQ(a->sys[SR_FAR_EL1], DATA + 63);
	rig_destroy(r);
}

/* Masking by the stepped instruction ends the stepping. */
TEST(a_stepped_instruction_that_masks_ends_the_step)
{
	struct rig *r = debug_rig(1 | BIT(13));
	struct vcpu_arch *a = rig_arch(r, 0);

	a->pstate |= (u32)PSR_SS;
	EXPECT_EQ(rig_run(r, 0, G_mask_debug), 1);
	rig_destroy(r);
}

/* From a handler that is itself stepped, SPSR.SS does not count. */
TEST(a_return_from_stepping_to_stepping_is_pending)
{
	struct rig *r = debug_rig(1 | BIT(13));
	struct vcpu_arch *a = rig_arch(r, 0);

	a->x[0] = RAM + G_el0_three;
	a->x[1] = 0x3c0 | PSR_SS;
	a->sys[SR_ELR_EL1] = RAM + G_el0_three;
	a->sys[SR_SPSR_EL1] = 0x3c0 | PSR_SS;
	a->pstate |= (u32)PSR_SS;
	EXPECT_EQ(rig_run(r, 0, G_return), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x32);
	EXPECT_EQ(a->x[10], 0);
	EXPECT_EQ(a->sys[SR_ELR_EL1], RAM + G_el0_three);
	rig_destroy(r);
}

/* Registers written between two runs. (What was in the TLB before: api-debug_guest, with the MMU on.) */
TEST(a_watchpoint_set_from_outside_is_seen_and_forgotten)
{
	struct rig *r = debug_rig(MDE_KDE);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->x[1] = DATA;
	EXPECT_EQ(rig_run(r, 0, G_store64), 1);
	a->sys[SR_DBGWVR0_EL1] = DATA;
	a->sys[SR_DBGWCR0_EL1] = 7 | 3u << 3 | 0xffu << 5;
	a->pstate &= ~(u32)PSR_D;
	EXPECT_EQ(rig_run(r, 0, G_store64), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x35);
	a->sys[SR_DBGWCR0_EL1] = 0;
	a->pstate &= ~(u32)PSR_D;
	EXPECT_EQ(rig_run(r, 0, G_store64), 1);
	rig_destroy(r);
}
