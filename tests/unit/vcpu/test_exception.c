// SPDX-License-Identifier: MIT
/* Exceptions: vectors, syndromes, saved state, return; WFI and interrupts; MMIO and hypercall
 * exits. */
#include "rig.h"
#include "test.h"

#define SPSR_EL0 0x3c0
#define SPSR_EL1 0x3c5

TEST(svc_from_el0_reports_the_immediate)
{
	struct rig *r = rig_create(1);

	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_svc_imm), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x15);
	EXPECT_EQ(rig_iss(r, 0), 0x1234);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ELR_EL1], RAM + G_svc_imm + 4);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_SPSR_EL1], SPSR_EL0);
	EXPECT_EQ(rig_arch(r, 0)->el, 1);
	rig_destroy(r);
}

TEST(svc_from_el1_uses_the_current_el_vector)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_run(r, 0, G_svc_imm), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x15);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_SPSR_EL1], SPSR_EL1);
	rig_destroy(r);
}

TEST(exception_with_sp_el0_uses_the_first_vectors)
{
	struct rig *r = rig_create(1);
	u64 el1t = 0x3c4;

	rig_set_reg(r, 0, 0x6030000000100042ull, &el1t);
	EXPECT_EQ(rig_run(r, 0, G_svc_imm), EXIT_VECTOR + 0);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_SPSR_EL1], 0x3c4);
	rig_destroy(r);
}

TEST(undefined_at_el1_uses_the_current_el_vector)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_run(r, 0, G_undefined), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ESR_EL1], BIT(25));
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ELR_EL1], RAM + G_undefined);
	rig_destroy(r);
}

TEST(hvc_and_smc_are_undefined_at_el0)
{
	struct rig *r = rig_create(1);

	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_hvc_at_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0);
	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_smc_0), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0);
	rig_destroy(r);
}

TEST(hvc_exits_past_the_instruction_and_smc_is_stepped_over)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_run(r, 0, G_hvc_7), 7);
	EXPECT_EQ(rig_arch(r, 0)->pc, RAM + G_hvc_7 + 4);
	EXPECT_EQ(rig_run(r, 0, G_smc_0), 0);
	EXPECT_EQ(r->smc[0], 1);
	EXPECT_EQ(rig_arch(r, 0)->pc, RAM + G_smc_0 + 4);
	/* A reserved immediate of SMC answers -1 without anybody being asked. */
	EXPECT_EQ(rig_run(r, 0, G_smc_1), 1);
	EXPECT_EQ(rig_x(r, 0)[0], -1);
	rig_destroy(r);
}

TEST(brk_reports_its_comment)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_run(r, 0, G_brk_imm), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x3c);
	EXPECT_EQ(rig_iss(r, 0), 0x4321);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ELR_EL1], RAM + G_brk_imm);
	rig_destroy(r);
}

TEST(misaligned_pc_and_sp_fault)
{
	struct rig *r = rig_create(1);

	rig_x(r, 0)[1] = RAM + G_done + 2;
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x22);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_FAR_EL1], RAM + G_done + 2);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ELR_EL1], RAM + G_done + 2);
	rig_x(r, 0)[REG_SP] = DATA + 8;
	EXPECT_EQ(rig_run(r, 0, G_sp_misaligned), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x26);
	/* Without the check the access goes through (8 is aligned for it). */
	rig_arch(r, 0)->sys[SR_SCTLR_EL1] &= ~SCTLR_SA;
	rig_x(r, 0)[REG_SP] = DATA + 8;
	EXPECT_EQ(rig_run(r, 0, G_sp_misaligned), 1);
	rig_destroy(r);
}

TEST(fp_traps_follow_cpacr)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_run(r, 0, G_fp_insn), 1);
	rig_arch(r, 0)->sys[SR_CPACR_EL1] = 0;
	EXPECT_EQ(rig_run(r, 0, G_fp_insn), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x07);
	EXPECT_EQ(rig_iss(r, 0), 0x1e00000);
	/* EL0 only */
	rig_arch(r, 0)->sys[SR_CPACR_EL1] = 1u << 20;
	EXPECT_EQ(rig_run(r, 0, G_fp_insn), 1);
	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_fp_insn), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x07);
	rig_destroy(r);
}

TEST(entry_sets_pan_and_ssbs_as_sctlr_says)
{
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->sys[SR_SCTLR_EL1] |= SCTLR_SPAN;
	rig_run(r, 0, G_svc_imm);
	EXPECT_EQ(a->pstate & PSR_PAN, 0);
	a->sys[SR_SCTLR_EL1] &= ~SCTLR_SPAN;
	a->sys[SR_SCTLR_EL1] |= SCTLR_DSSBS;
	rig_run(r, 0, G_svc_imm);
	EXPECT_EQ(a->pstate, 0x3c5 | PSR_PAN | PSR_SSBS);
	a->sys[SR_SCTLR_EL1] &= ~SCTLR_DSSBS;
	rig_run(r, 0, G_svc_imm);
	EXPECT_EQ(a->pstate, 0x3c5 | PSR_PAN);
	rig_destroy(r);
}

TEST(eret_restores_el_and_stack)
{
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);
	u64 sp1 = a->x[REG_SP];

	a->sp_el[0] = 0xaaa0;
	a->sys[SR_ELR_EL1] = RAM + G_el0_done;
	a->sys[SR_SPSR_EL1] = 0x60000000 | SPSR_EL0;
	EXPECT_EQ(rig_run(r, 0, G_eret_insn), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_iss(r, 0), 0x77);
	EXPECT_EQ(a->sys[SR_SPSR_EL1], 0x60000000 | SPSR_EL0);
	EXPECT_EQ(a->sp_el[0], 0xaaa0);
	EXPECT_EQ(a->x[REG_SP], sp1);
	rig_destroy(r);
}

TEST(illegal_return_raises_illegal_state)
{
	static const u32 modes[] = {1, 8, 9, 0xc, 0xd, 0x10, 0x13, 2};
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		a->sys[SR_ELR_EL1] = RAM + G_done;
		a->sys[SR_SPSR_EL1] = 0x80000000 | 0x3c0 | modes[i];
		EXPECT_EQ(rig_run(r, 0, G_eret_insn), EXIT_VECTOR + VECTOR_SYNC_EL1);
		EXPECT_EQ(rig_ec(r, 0), 0x0e);
		EXPECT_EQ(a->sys[SR_ELR_EL1], RAM + G_done);
		EXPECT_EQ(a->sys[SR_SPSR_EL1], 0x80000000 | PSR_IL | 0x3c5);
	}
	rig_destroy(r);
}

TEST(return_with_il_raises_illegal_state_at_the_target)
{
	struct rig *r = rig_create(1);
	struct vcpu_arch *a = rig_arch(r, 0);

	a->sys[SR_ELR_EL1] = RAM + G_done;
	a->sys[SR_SPSR_EL1] = SPSR_EL0 | PSR_IL;
	EXPECT_EQ(rig_run(r, 0, G_eret_insn), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x0e);
	rig_destroy(r);
}

TEST(eret_at_el0_is_undefined)
{
	struct rig *r = rig_create(1);

	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_eret_insn), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0);
	rig_destroy(r);
}

TEST(exception_return_opens_the_exclusive_monitor)
{
	struct rig *r = rig_create(1);

	rig_mmu(r);
	rig_x(r, 0)[1] = HIGH + DATA;
	rig_x(r, 0)[3] = 7;
	EXPECT_EQ(rig_run(r, 0, G_exclusive), 1);
	EXPECT_EQ(rig_x(r, 0)[2], 0);
	EXPECT_EQ(rig_read64(r, DATA), 7);
	rig_x(r, 0)[3] = 8;
	EXPECT_EQ(rig_run(r, 0, G_exclusive_over_eret), 1);
	EXPECT_EQ(rig_x(r, 0)[2], 1);
	EXPECT_EQ(rig_read64(r, DATA), 7);
	rig_destroy(r);
}

TEST(interrupt_is_taken_when_unmasked_and_only_then)
{
	struct rig *r = rig_create(1);

	vcpu_set_pin(&r->vcpu[0], PIN_IRQ, true);
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	EXPECT_EQ(rig_run(r, 0, G_unmask_irq), EXIT_VECTOR + VECTOR_IRQ_EL1);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ELR_EL1], RAM + G_unmask_irq + 4);
	vcpu_set_pin(&r->vcpu[0], PIN_IRQ, false);
	EXPECT_EQ(rig_run(r, 0, G_unmask_irq), 1);
	rig_destroy(r);
}

TEST(serror_is_taken_when_unmasked)
{
	struct rig *r = rig_create(1);
	struct vcpu_events ev = {.serror_pending = true};

	EXPECT_EQ(rig_set_events(r, 0, &ev), 0);
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	EXPECT_EQ(rig_run(r, 0, G_unmask_serror), EXIT_VECTOR + VECTOR_SERROR_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x2f);
	rig_get_events(r, 0, &ev);
	EXPECT_EQ(ev.serror_pending, false);
	/* A syndrome is an ISS. */
	ev = (struct vcpu_events){
		.serror_pending = true, .serror_has_esr = true, .serror_esr = BIT(25)};
	EXPECT_EQ(rig_set_events(r, 0, &ev), -EINVAL);
	rig_destroy(r);
}

TEST(interrupt_reaches_a_spinning_vcpu)
{
	struct rig *r = rig_create(1);
	struct rig_thread t;
	u64 pstate = 0x345;

	rig_set_reg(r, 0, 0x6030000000100042ull, &pstate);
	rig_start(r, 0, G_spin, &t);
	rig_sleep_ms(5);
	vcpu_set_pin(&r->vcpu[0], PIN_IRQ, true);
	EXPECT_EQ(rig_join(&t), EXIT_VECTOR + VECTOR_IRQ_EL1);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_ELR_EL1], RAM + G_spin);
	rig_destroy(r);
}

TEST(wfi_sleeps_until_a_pin_rises_masked_or_not)
{
	struct rig *r = rig_create(1);
	struct rig_thread t;

	rig_start(r, 0, G_wfi_insn, &t);
	rig_sleep_ms(20);
	EXPECT_EQ(pthread_tryjoin_np(t.thread, NULL), EBUSY);
	vcpu_set_pin(&r->vcpu[0], PIN_IRQ, true);
	/* Interrupts are masked: it goes on after the WFI. */
	EXPECT_EQ(rig_join(&t), 1);
	rig_destroy(r);
}

TEST(wfi_and_wfe_at_el0_trap_when_sctlr_says_so)
{
	struct rig *r = rig_create(1);

	rig_arch(r, 0)->sys[SR_SCTLR_EL1] &= ~SCTLR_NTWI;
	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_wfi_at_el0), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x01);
	EXPECT_EQ(rig_iss(r, 0), 0x1e00000);
	rig_arch(r, 0)->sys[SR_SCTLR_EL1] &= ~SCTLR_NTWE;
	rig_set_el(r, 0, 0);
	EXPECT_EQ(rig_run(r, 0, G_wfe_insn), EXIT_VECTOR + VECTOR_SYNC_EL0);
	EXPECT_EQ(rig_ec(r, 0), 0x01);
	EXPECT_EQ(rig_iss(r, 0), 0x1e00001);
	rig_destroy(r);
}

TEST(wfe_ends_by_itself_and_sevl_lets_it_through)
{
	struct rig *r = rig_create(1);

	EXPECT_EQ(rig_run(r, 0, G_sevl_wfe), 1);
	EXPECT_EQ(a32_load(&r->vcpu[0].event), 0);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(rig_run(r, 0, G_wfe_insn), 1);
	rig_destroy(r);
}

TEST(immediate_exit_is_eintr_and_leaves_the_exit_reason)
{
	struct rig *r = rig_create(1);

	r->vcpu[0].run->exit_reason = 77;
	r->vcpu[0].run->immediate_exit = 1;
	EXPECT_EQ(rig_enter(r, 0), -EINTR);
	EXPECT_EQ(r->vcpu[0].run->exit_reason, 77);
	r->vcpu[0].run->immediate_exit = 0;
	EXPECT_EQ(rig_run(r, 0, G_done), 1);
	rig_destroy(r);
}

TEST(stopped_vcpu_waits_for_power_on)
{
	struct rig *r = rig_create(1);
	struct rig_thread t;

	EXPECT_EQ(rig_set_mp_state(r, 0, KVM_MP_STATE_STOPPED), 0);
	rig_start(r, 0, G_done, &t);
	rig_sleep_ms(10);
	EXPECT_EQ(pthread_tryjoin_np(t.thread, NULL), EBUSY);
	r->vcpu[0].reset_state =
		(struct vcpu_reset_state){.pc = RAM + G_hvc_7, .x0 = 99, .pending = true};
	a32_store(&r->vcpu[0].power_off, VCPU_RUNNABLE);
	vcpu_request(&r->vcpu[0], VCPU_REQ_RESET);
	EXPECT_EQ(rig_join(&t), 7);
	EXPECT_EQ(rig_x(r, 0)[0], 99);
	rig_destroy(r);
}

TEST(mmio_loads_and_stores_carry_size_sign_and_value)
{
	static const struct {
		unsigned offset, len, rt;
		bool write;
		u64 data, expect;
	} step[] = {
		{0, 1, 0, false, 0x8182838485868788, 0x88},
		{1, 1, 2, false, 0x8182838485868788, 0xffffffffffffff88},
		{2, 2, 3, false, 0x8182838485868788, 0x8788},
		{4, 4, 4, false, 0x8182838485868788, 0xffffffff85868788},
		{8, 8, 5, false, 0x8182838485868788, 0x8182838485868788},
		{16, 1, 6, true, 0x1122334455667788, 0x88},
		{24, 8, 7, true, 0x99aabbccddeeff00, 0x99aabbccddeeff00},
		{32, 4, 31, true, 0, 0},
	};
	const u64 base = 0x9000000;
	struct rig *r = rig_create(1);
	struct kvm_run *run = r->vcpu[0].run;

	rig_x(r, 0)[1] = base;
	rig_x(r, 0)[6] = 0x1122334455667788;
	rig_x(r, 0)[7] = 0x99aabbccddeeff00;
	rig_arch(r, 0)->pc = RAM + G_mmio_ops;
	for (unsigned i = 0; i < ARRAY_SIZE(step); i++) {
		u64 got = 0;

		EXPECT_EQ(rig_enter(r, 0), 0);
		ASSERT_EQ(run->exit_reason, KVM_EXIT_MMIO);
		EXPECT_EQ(run->mmio.phys_addr, base + step[i].offset);
		EXPECT_EQ(run->mmio.len, step[i].len);
		EXPECT_EQ(run->mmio.is_write, step[i].write);
		/* The access is not over: pc still points at it. */
		EXPECT_EQ(rig_arch(r, 0)->pc, RAM + G_mmio_ops + 4 * i);
		if (step[i].write) {
			memcpy(&got, run->mmio.data, step[i].len);
			EXPECT_EQ(got, step[i].expect);
		} else {
			memcpy(run->mmio.data, &step[i].data, 8);
			/* immediate_exit completes the access and comes back at once. */
			run->immediate_exit = 1;
			EXPECT_EQ(rig_enter(r, 0), -EINTR);
			run->immediate_exit = 0;
			EXPECT_EQ(rig_x(r, 0)[step[i].rt], step[i].expect);
		}
	}
	EXPECT_EQ(rig_continue(r, 0), 1);
	EXPECT_EQ(rig_x(r, 0)[31], 0);
	rig_destroy(r);
}

TEST(mmio_in_the_library_does_not_exit)
{
	struct rig *r = rig_create(1);

	r->mmio_base = 0x8000000;
	r->mmio_value = 0x1234567;
	rig_x(r, 0)[1] = r->mmio_base;
	EXPECT_EQ(rig_run(r, 0, G_load64), 1);
	EXPECT_EQ(rig_x(r, 0)[0], 0x1234567);
	rig_x(r, 0)[0] = 0x55;
	EXPECT_EQ(rig_run(r, 0, G_store64), 1);
	EXPECT_EQ(r->mmio_value, 0x55);
	EXPECT_EQ(r->nr_mmio, 2);
	rig_destroy(r);
}

TEST(access_without_syndrome_is_enosys_or_an_nisv_exit)
{
	struct rig *r = rig_create(1);
	struct kvm_run *run = r->vcpu[0].run;

	rig_x(r, 0)[1] = 0x9000000;
	EXPECT_EQ(rig_run(r, 0, G_mmio_store_pair), -ENOSYS);
	EXPECT_EQ(rig_run(r, 0, G_mmio_post), -ENOSYS);
	EXPECT_EQ(rig_x(r, 0)[1], 0x9000000);
	a32_store_relaxed(&r->group.nisv_to_user, 1);
	EXPECT_EQ(rig_run(r, 0, G_mmio_store_pair), -1000 - KVM_EXIT_ARM_NISV);
	EXPECT_EQ(run->arm_nisv.fault_ipa, 0x9000000);
	EXPECT_EQ(run->arm_nisv.esr_iss & 0x40, 0x40);
	EXPECT_EQ(run->arm_nisv.esr_iss & 0x3c, 0x04);
	rig_destroy(r);
}

TEST(fetch_outside_memory_is_an_external_abort)
{
	struct rig *r = rig_create(1);

	rig_x(r, 0)[1] = 0x9000000;
	EXPECT_EQ(rig_run(r, 0, G_branch_x1), EXIT_VECTOR + VECTOR_SYNC_EL1);
	EXPECT_EQ(rig_ec(r, 0), 0x21);
	EXPECT_EQ(rig_iss(r, 0), 0x10);
	EXPECT_EQ(rig_arch(r, 0)->sys[SR_FAR_EL1], 0x9000000);
	rig_destroy(r);
}
