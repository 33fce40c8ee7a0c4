/* SPDX-License-Identifier: MIT */
/* Single step by the VMM and by the guest: what counts as one step when KVM finishes the instruction. */
#include "vmm.h"

#define SYS_SPSR_EL1 SYS(3, 0, 4, 0, 0)

#define PSR_SS	(1u << 21)
#define PSR_EL0 0x3c0u
#define STEP_EC 0x32u
#define SVC_EC	0x15u
#define A64_SVC 0xd4000001u
#define VECTORS (RAM + 0x2000)
#define USER	(RAM + 0x1000)

static void single_step(struct machine *m, int on)
{
	struct kvm_guest_debug d = {.control =
					    on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0};

	ASSERT_EQ(ioctl(m->vcpu[0], KVM_SET_GUEST_DEBUG, &d), 0);
}

static uint64_t pc_of(struct machine *m)
{
	return get_reg(m->vcpu[0], CORE_REG(regs.pc));
}

static void expect_step(struct machine *m, uint64_t pc)
{
	unsigned ec;

	EXPECT_EQ(run(m, 0), 0);
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_DEBUG);
	ec = m->run[0]->debug.arch.hsr >> 26;
	EXPECT_EQ(ec, STEP_EC);
	EXPECT_EQ(pc_of(m), pc);
}

TEST(a_step_over_mmio_ends_after_the_access)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	put(&c, A64_NOP);
	str(&c, 8, 2, 1, 0);
	ldr(&c, 8, 3, 1, 8);
	put(&c, A64_NOP);
	report(&c, 3, 0);
	code_done(&m);
	set_x(m.vcpu[0], 1, DEVICE + 0x40);
	single_step(&m, 1);
	expect_step(&m, RAM + 4);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	expect_step(&m, RAM + 8);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	memset(m.run[0]->mmio.data, 0x5a, 8);
	expect_step(&m, RAM + 12);
	EXPECT_EQ(get_x(m.vcpu[0], 3), 0x5a5a5a5a5a5a5a5aull);
	expect_step(&m, RAM + 16);
	single_step(&m, 0);
	EXPECT_REPORT(&m, 0, 0, 0x5a5a5a5a5a5a5a5aull);
	machine_free(&m);
}

TEST(a_step_over_a_hypercall_ends_after_it)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	hvc(&c, 0);
	put(&c, A64_NOP);
	smc(&c, 0);
	put(&c, A64_NOP);
	code_done(&m);
	set_x(m.vcpu[0], 0, 0x84000000); /* PSCI_VERSION */
	single_step(&m, 1);
	expect_step(&m, RAM + 4);
	EXPECT(get_x(m.vcpu[0], 0) >= 0x10000);
	expect_step(&m, RAM + 8);
	set_x(m.vcpu[0], 0, 0x84000000);
	expect_step(&m, RAM + 12);
	EXPECT(get_x(m.vcpu[0], 0) >= 0x10000);
	expect_step(&m, RAM + 16);
	machine_free(&m);
}

TEST(a_step_into_an_exception_ends_at_the_vector)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	put(&c, A64_SVC);
	li(&c, 1, 1); /* a fetch from nowhere: aborted by KVM */
	br(&c, 2);
	code_done(&m);
	ASSERT_EQ(set_reg(m.vcpu[0], ARM64_SYS_REG(3, 0, 12, 0, 0), VECTORS), 0);
	set_x(m.vcpu[0], 2, DEVICE);
	single_step(&m, 1);
	expect_step(&m, VECTORS + 0x200);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM + 4), 0);
	expect_step(&m, RAM + 8);
	expect_step(&m, DEVICE);
	expect_step(&m, VECTORS + 0x200);
	EXPECT_EQ(get_reg(m.vcpu[0], ARM64_SYS_REG(3, 0, 5, 2, 0)), 0x86000010);
	machine_free(&m);
}

/* EL1 code that steps the instruction at USER once, and reports ESR, ELR and SPSR of the exception that ends it. */
static void guest_step(struct machine *m, uint32_t insn)
{
	struct code c = code_at(m, RAM), u = code_at(m, USER), v = code_at(m, VECTORS + 0x400);

	li(&c, 0, VECTORS);
	msr(&c, SYS_VBAR_EL1, 0);
	li(&c, 0, 1);
	put(&c, 0xd5100240u); /* msr mdscr_el1, x0 */
	li(&c, 0, USER);
	msr(&c, SYS_ELR_EL1, 0);
	li(&c, 0, PSR_EL0 | PSR_SS);
	msr(&c, SYS_SPSR_EL1, 0);
	li(&c, 1, DEVICE + 0x40);
	put(&c, A64_ERET);
	put(&u, insn);
	put(&u, A64_NOP);
	put(&u, A64_NOP);
	put(&u, A64_SVC);
	mrs(&v, 2, SYS_ESR_EL1);
	mrs(&v, 3, SYS_ELR_EL1);
	mrs(&v, 4, SYS_SPSR_EL1);
	report(&v, 2, 0);
	report(&v, 3, 8);
	report(&v, 4, 16);
	code_done(m);
}

TEST(the_guests_step_over_an_svc_is_pending_on_return)
{
	struct machine m = machine_new(1);

	guest_step(&m, A64_SVC);
	EXPECT_REPORT(&m, 0, 0, SVC_EC << 26 | 1u << 25);
	EXPECT_REPORT(&m, 0, 8, USER + 4);
	EXPECT_REPORT(&m, 0, 16, PSR_EL0);
	machine_free(&m);
}

/* Emulated, so the syndrome does not say what was stepped (ISV is 0). */
TEST(the_guests_step_over_mmio_ends_after_the_access)
{
	struct machine m = machine_new(1);

	guest_step(&m, 0xf9000022u); /* str x2, [x1] */
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, DEVICE + 0x40);
	EXPECT_REPORT(&m, 0, 0, STEP_EC << 26 | 1u << 25 | 0x22);
	EXPECT_REPORT(&m, 0, 8, USER + 4);
	EXPECT_REPORT(&m, 0, 16, PSR_EL0);
	machine_free(&m);
}

TEST(the_guests_step_over_wfe_ends_after_it)
{
	struct machine m = machine_new(1);

	guest_step(&m, A64_WFE);
	EXPECT_REPORT(&m, 0, 0, STEP_EC << 26 | 1u << 25 | 1u << 24 | 0x22);
	EXPECT_REPORT(&m, 0, 8, USER + 4);
	EXPECT_REPORT(&m, 0, 16, PSR_EL0);
	machine_free(&m);
}
