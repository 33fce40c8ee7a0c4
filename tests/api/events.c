/* SPDX-License-Identifier: MIT */
/* SErrors and external aborts that user space injects, and what the guest can do about them. */
#include "vmm.h"

#define SYS_ISR_EL1    SYS(3, 0, 12, 1, 0)
#define SYS_DISR_EL1   SYS(3, 0, 12, 1, 1)
#define SYS_ERRIDR_EL1 SYS(3, 0, 5, 3, 0)
#define A64_ESB	       0xd503221fu
#define VECTORS	       (RAM + 0x1000)
#define VECTOR_SYNC    0x200 /* from the same level, with its own stack pointer */
#define VECTOR_SERROR  0x380
#define ISR_A	       0x100
#define SYNDROME       0x101d1edull

/* Handlers that report ESR at DEVICE + 0x100 (synchronous) or + 0x200 (SError) and return. */
static void put_vectors(struct machine *m)
{
	static const struct {
		unsigned offset, report;
	} handler[] = {{VECTOR_SYNC, 0x100}, {VECTOR_SERROR, 0x200}};

	for (unsigned i = 0; i < 2; i++) {
		struct code c = code_at(m, VECTORS + handler[i].offset);

		mrs(&c, 20, SYS_ESR_EL1);
		report(&c, 20, handler[i].report);
		mrs(&c, 20, SYS_FAR_EL1);
		report(&c, 20, handler[i].report + 8);
		put(&c, A64_ERET);
	}
}

static struct code start(struct machine *m)
{
	struct code c = code_at(m, RAM);

	put_vectors(m);
	li(&c, 0, VECTORS);
	msr(&c, SYS_VBAR_EL1, 0);
	return c;
}

static bool has_ras(struct machine *m)
{
	return get_reg(m->vcpu[0], ARM64_SYS_REG(3, 0, 0, 4, 0)) >> 28 & 0xf;
}

static void inject(struct machine *m, bool serror, bool abort, uint64_t syndrome)
{
	struct kvm_vcpu_events ev = {0};

	ev.exception.serror_pending = serror;
	ev.exception.ext_dabt_pending = abort;
	ev.exception.serror_has_esr = syndrome != 0;
	ev.exception.serror_esr = syndrome;
	EXPECT_EQ(ioctl(m->vcpu[0], KVM_SET_VCPU_EVENTS, &ev), 0);
}

TEST(a_masked_serror_waits_and_esb_puts_it_off)
{
	struct machine m = machine_new(1);
	struct kvm_vcpu_events ev;
	struct code c = start(&m);

	if (!has_ras(&m) || !ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_INJECT_SERROR_ESR)) {
		machine_free(&m);
		SKIP("no RAS");
	}
	report(&c, 31, 0);
	mrs(&c, 1, SYS_ISR_EL1);
	report(&c, 1, 8);
	put(&c, A64_ESB);
	mrs(&c, 1, SYS_DISR_EL1);
	report(&c, 1, 16);
	mrs(&c, 1, SYS_ISR_EL1);
	report(&c, 1, 24);
	msr(&c, SYS_DISR_EL1, 31);
	put(&c, A64_ESB);
	mrs(&c, 1, SYS_DISR_EL1);
	report(&c, 1, 32);
	mrs(&c, 1, SYS_ERRIDR_EL1);
	report(&c, 1, 40);
	report(&c, 31, 48);
	daifclr(&c, 4);
	put(&c, A64_ISB);
	report(&c, 31, 56);
	report(&c, 31, 64);
	code_done(&m);

	EXPECT_REPORT(&m, 0, 0, 0);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_GET_VCPU_EVENTS, &ev), 0);
	EXPECT_EQ(ev.exception.serror_pending, 0);
	EXPECT_EQ(ev.exception.serror_has_esr, 1);
	inject(&m, true, false, SYNDROME);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_GET_VCPU_EVENTS, &ev), 0);
	EXPECT_EQ(ev.exception.serror_pending, 1);
	EXPECT_EQ(ev.exception.serror_esr, SYNDROME);
	EXPECT_REPORT(&m, 0, 8, ISR_A);
	EXPECT_REPORT(&m, 0, 16, SYNDROME | 1ull << 31);
	EXPECT_REPORT(&m, 0, 24, 0);
	/* nothing pending: ESB leaves DISR_EL1 alone */
	EXPECT_REPORT(&m, 0, 32, 0);
	EXPECT_REPORT(&m, 0, 40, 0);
	EXPECT_REPORT(&m, 0, 48, 0);
	/* without a syndrome it is the implementation's own */
	inject(&m, true, false, 0);
	EXPECT_REPORT(&m, 0, 0x200, 0xbf000000);
	EXPECT_EQ(run(&m, 0), 0); /* FAR */
	EXPECT_REPORT(&m, 0, 56, 0);
	/* unmasked: taken in the call, nothing stays pending, and the store is made again */
	inject(&m, true, false, SYNDROME);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_GET_VCPU_EVENTS, &ev), 0);
	EXPECT_EQ(ev.exception.serror_pending, 0);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pc)), VECTORS + VECTOR_SERROR);
	EXPECT_REPORT(&m, 0, 0x200, 0xbe000000 | SYNDROME);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_REPORT(&m, 0, 56, 0);
	EXPECT_REPORT(&m, 0, 64, 0);
	machine_free(&m);
}

TEST(syndromes_are_checked)
{
	struct machine m = machine_new(1);
	struct kvm_vcpu_events ev = {0};

	ev.exception.serror_pending = 1;
	ev.exception.serror_has_esr = 1;
	ev.exception.serror_esr = 1ull << 25;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	/* not looked at when it is said not to be there */
	ev.exception.serror_has_esr = 0;
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_SET_VCPU_EVENTS, &ev), 0);
	machine_free(&m);
}

TEST(an_access_that_was_to_be_answered_can_be_aborted)
{
	struct machine m = machine_new(1);
	struct code c = start(&m);

	/* The handler would return to the load for ever: it goes on behind it. */
	struct code h = code_at(&m, VECTORS + VECTOR_SYNC);
	mrs(&h, 20, SYS_ESR_EL1);
	report(&h, 20, 0x100);
	mrs(&h, 20, SYS_FAR_EL1);
	report(&h, 20, 0x108);
	mrs(&h, 20, SYS_ELR_EL1);
	add_imm(&h, 20, 20, 4);
	msr(&h, SYS_ELR_EL1, 20);
	put(&h, A64_ERET);
	li(&c, 1, DEVICE + 0x500);
	li(&c, 2, 77);
	ldr(&c, 8, 2, 1, 0);
	report(&c, 2, 0);
	code_done(&m);

	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, DEVICE + 0x500);
	memset(m.run[0]->mmio.data, 0x55, 8);
	inject(&m, false, true, 0);
	EXPECT_REPORT(&m, 0, 0x100, 0x96000010);
	EXPECT_REPORT(&m, 0, 0x108, DEVICE + 0x500);
	/* the load did not happen */
	EXPECT_REPORT(&m, 0, 0, 77);
	machine_free(&m);
}

/* As the lines of a vCPU: an initialisation drops what is pending of one that has not run, and of no other. */
TEST(a_pending_serror_outlives_the_initialisation_of_a_vcpu_that_ran)
{
	struct machine m = machine_new(1);
	struct code c = start(&m);
	struct kvm_vcpu_events ev;

	report(&c, 0, 0);
	code_done(&m);
	inject(&m, true, false, SYNDROME);
	for (int ran = 0; ran < 2; ran++) {
		init_vcpu(&m, 0, 0);
		EXPECT_EQ(ioctl(m.vcpu[0], KVM_GET_VCPU_EVENTS, &ev), 0);
		EXPECT_EQ(ev.exception.serror_pending, ran);
		EXPECT_EQ(ev.exception.serror_esr, ran ? SYNDROME : 0);
		EXPECT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
		inject(&m, true, false, SYNDROME);
		EXPECT_REPORT(&m, 0, 0, VECTORS);
		complete(&m, 0);
	}
	machine_free(&m);
}
