/* SPDX-License-Identifier: MIT */
/* Pointer authentication: the vCPU features, the keys, and what the guest's instructions do. */
#include "vmm.h"

#define ISAR1 ARM64_SYS_REG(3, 0, 0, 6, 1)
#define ISAR2 ARM64_SYS_REG(3, 0, 0, 6, 2)
/* Halves of the keys IA, IB, DA, DB, GA: ten registers. */
#define KEY(n)	  ARM64_SYS_REG(3, 0, 2, 1 + (n) / 4, (n) % 4)
#define SYS_SCTLR SYS(3, 0, 1, 0, 0)
#define SYS_TCR	  SYS(3, 0, 2, 0, 2)
#define VECTORS	  (RAM + 0x1000)
#define FUNCTION  (RAM + 0x2000)
#define BOTH	  (1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC)
#define ALL_KEYS  (1ull << 31 | 1ull << 30 | 1ull << 27 | 1ull << 13)
#define SCTLR_OFF 0xc50078ull

#define PACIASP	  0xd503233fu
#define AUTIASP	  0xd50323bfu
#define PACIAZ	  0xd503231fu
#define PACIA1716 0xd503211fu
#define AUTIB1716 0xd50321dfu
#define XPACLRI	  0xd50320ffu
#define RETAA	  0xd65f0bffu
/* op: the key's number, check 4 */
#define CHECK 4
static void pac(struct code *c, unsigned op, unsigned rd, unsigned rn)
{
	put(c, 0xdac10000u | op << 10 | rn << 5 | rd);
}

static void pac_zero(struct code *c, unsigned op, unsigned rd)
{
	put(c, 0xdac123e0u | op << 10 | rd);
}

static void xpac(struct code *c, unsigned data, unsigned rd)
{
	put(c, 0xdac143e0u | data << 10 | rd);
}

static void pacga(struct code *c, unsigned rd, unsigned rn, unsigned rm)
{
	put(c, 0x9ac03000u | rm << 16 | rn << 5 | rd);
}

static struct machine machine_with(unsigned features)
{
	struct machine m = machine_without_vcpus();

	add_vcpu(&m);
	init_vcpu(&m, 0, features);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	return m;
}

static bool offered(void)
{
	int kvm = open_kvm();
	int a = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS);
	int g = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC);

	EXPECT_EQ(a, g);
	close(kvm);
	return a == 1;
}

/* A failed check is an exception (FEAT_FPAC), of the combined instructions too. */
static bool faults(struct machine *m)
{
	uint64_t isar1 = get_reg(m->vcpu[0], ISAR1), isar2 = get_reg(m->vcpu[0], ISAR2);

	return (isar1 >> 4 & 15) >= 5 || (isar1 >> 8 & 15) >= 5 || (isar2 >> 12 & 15) >= 5;
}

static void set_keys(struct machine *m)
{
	for (unsigned n = 0; n < 10; n++)
		ASSERT_EQ(set_reg(m->vcpu[0], KEY(n), 0x0123456789abcdefull * (2 * n + 3)), 0);
}

/* The handler reports ESR at DEVICE + 0x100 and goes on behind the instruction. */
static struct code start(struct machine *m, uint64_t sctlr)
{
	struct code c = code_at(m, RAM), h = code_at(m, VECTORS + 0x200);

	mrs(&h, 20, SYS_ESR_EL1);
	report(&h, 20, 0x100);
	mrs(&h, 20, SYS_ELR_EL1);
	add_imm(&h, 20, 20, 4);
	msr(&h, SYS_ELR_EL1, 20);
	put(&h, A64_ERET);
	li(&c, 0, VECTORS);
	msr(&c, SYS_VBAR_EL1, 0);
	/* 48 bits of addresses in each half */
	li(&c, 0, 16 | 16 << 16);
	msr(&c, SYS_TCR, 0);
	li(&c, 0, sctlr);
	msr(&c, SYS_SCTLR, 0);
	put(&c, A64_ISB);
	return c;
}

/* The guest's next report, whatever it is. */
static uint64_t reported(struct machine *m, unsigned off)
{
	uint64_t value;

	ASSERT_EQ(run(m, 0), 0);
	ASSERT_EQ(m->run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m->run[0]->mmio.phys_addr, DEVICE + off);
	memcpy(&value, m->run[0]->mmio.data, 8);
	return value;
}

TEST(both_features_come_together)
{
	struct machine m = machine_without_vcpus();
	struct kvm_vcpu_init init;

	add_vcpu(&m);
	ASSERT_EQ(ioctl(m.vm, KVM_ARM_PREFERRED_TARGET, &init), 0);
	init.features[0] = 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_ARM_VCPU_INIT, &init), EINVAL);
	init.features[0] = 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_ARM_VCPU_INIT, &init), EINVAL);
	init.features[0] = BOTH;
	if (offered()) {
		uint64_t isar1, isar2;

		EXPECT_EQ(ioctl(m.vcpu[0], KVM_ARM_VCPU_INIT, &init), 0);
		isar1 = get_reg(m.vcpu[0], ISAR1), isar2 = get_reg(m.vcpu[0], ISAR2);
		EXPECT((isar1 & 0xff0) || (isar2 & 0xf000));
		EXPECT((isar1 & 0xff000000) || (isar2 & 0xf00));
		/* not writable */
		if (isar1 & 0xff0)
			EXPECT_ERRNO(set_reg(m.vcpu[0], ISAR1, isar1 & ~0xff000ff0ull), EINVAL);
		else
			EXPECT_ERRNO(set_reg(m.vcpu[0], ISAR2, isar2 & ~0xff00ull), EINVAL);
		for (unsigned n = 0; n < 10; n++) {
			EXPECT_EQ(set_reg(m.vcpu[0], KEY(n), ~0ull - n), 0);
			EXPECT_EQ(get_reg(m.vcpu[0], KEY(n)), ~0ull - n);
		}
	} else {
		EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_ARM_VCPU_INIT, &init), EINVAL);
	}
	machine_free(&m);
}

TEST(without_the_features_hints_do_nothing_and_the_rest_is_undefined)
{
	struct machine m = machine_with(0);
	struct code c = start(&m, SCTLR_OFF);
	uint64_t value;
	struct kvm_one_reg reg = {.id = KEY(0), .addr = (uintptr_t)&value};

	EXPECT_EQ(get_reg(m.vcpu[0], ISAR1) & 0xff000ff0, 0);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_ONE_REG, &reg), ENOENT);
	li(&c, 29, RAM + 0x44);
	mov(&c, 30, 29);
	put(&c, PACIASP);
	put(&c, PACIAZ);
	mov(&c, 1, 30);
	report(&c, 1, 0);
#ifndef ANYKVM_REAL /* a host that has the instructions cannot trap them while their keys are off */
	pac(&c, 0, 1, 2);
	xpac(&c, 0, 1);
	pacga(&c, 1, 2, 3);
	report(&c, 1, 8);
#endif
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, RAM + 0x44);
#ifndef ANYKVM_REAL
	for (int i = 0; i < 3; i++)
		EXPECT_REPORT(&m, 0, 0x100, 0x02000000);
	EXPECT_REPORT(&m, 0, 8, RAM + 0x44);
#endif
	machine_free(&m);
}

TEST(pointers_are_signed_checked_and_stripped)
{
	static const uint64_t pointers[] = {0x123456789ab8, 0xffff87654321f000, 0xfff000000000ull};
	struct machine m;

	if (!offered())
		SKIP("no pointer authentication");
	m = machine_with(BOTH);
	struct code c = start(&m, SCTLR_OFF | ALL_KEYS);
	set_keys(&m);
	for (unsigned p = 0; p < 3; p++) {
		for (unsigned key = 0; key < 4; key++) {
			li(&c, 1, pointers[p]);
			li(&c, 2, 0x77);
			pac(&c, key, 1, 2);
			report(&c, 1, 0);
			mov(&c, 3, 1);
			pac(&c, key | CHECK, 3, 2);
			report(&c, 3, 8);
			mov(&c, 3, 1);
			xpac(&c, key >> 1, 3);
			report(&c, 3, 16);
			/* zero as modifier is another modifier */
			li(&c, 3, pointers[p]);
			pac_zero(&c, key, 3);
			report(&c, 3, 24);
			pac_zero(&c, key | CHECK, 3);
			report(&c, 3, 32);
		}
		li(&c, 1, pointers[p]);
		li(&c, 2, 1);
		pacga(&c, 1, 1, 2);
		report(&c, 1, 40);
	}
	code_done(&m);
	for (unsigned p = 0; p < 3; p++) {
		uint64_t seen[8];

		for (unsigned key = 0; key < 4; key++) {
			seen[2 * key] = reported(&m, 0);
			EXPECT_NE(seen[2 * key], pointers[p]);
			/* outside the unused bits, and in bit 55, nothing changes */
			EXPECT_EQ((seen[2 * key] ^ pointers[p]) & ~(0xff7full << 48), 0);
			EXPECT_REPORT(&m, 0, 8, pointers[p]);
			EXPECT_REPORT(&m, 0, 16, pointers[p]);
			seen[2 * key + 1] = reported(&m, 24);
			EXPECT_REPORT(&m, 0, 32, pointers[p]);
		}
		for (unsigned i = 0; i < 8; i++)
			for (unsigned j = 0; j < i; j++)
				EXPECT_NE(seen[i], seen[j]);
		uint64_t generic = reported(&m, 40);
		EXPECT_EQ(generic & 0xffffffff, 0);
		EXPECT_NE(generic, 0);
	}
	machine_free(&m);
}

TEST(a_key_that_is_off_signs_nothing)
{
	struct machine m;

	if (!offered())
		SKIP("no pointer authentication");
	m = machine_with(BOTH);
	struct code c = start(&m, SCTLR_OFF | 1ull << 30); /* IB alone */
	set_keys(&m);
	for (unsigned key = 0; key < 4; key++) {
		li(&c, 1, 0x4000);
		pac(&c, key, 1, 31);
		report(&c, 1, 8 * key);
	}
	code_done(&m);
	for (unsigned key = 0; key < 4; key++) {
		uint64_t p = reported(&m, 8 * key);

		EXPECT_EQ(p != 0x4000, key == 1);
	}
	machine_free(&m);
}

TEST(calls_and_returns_are_checked)
{
	struct machine m;

	if (!offered())
		SKIP("no pointer authentication");
	m = machine_with(BOTH);
	struct code c = start(&m, SCTLR_OFF | ALL_KEYS), f = code_at(&m, FUNCTION);
	set_keys(&m);
	li(&c, 9, RAM + 0x9000);
	add_imm(&c, 31, 9, 0); /* mov sp, x9 */
	li(&c, 1, FUNCTION);
	li(&c, 2, 99);
	pac(&c, 0, 1, 2);
	put(&c, 0xd73f0800u | 1 << 5 | 2); /* blraa x1, x2 */
	report(&c, 5, 0);
	/* a signed pointer to data: ldraa x4, [x3] and with write-back */
	li(&c, 4, 0x1234);
	li(&c, 3, RAM + 0x8000);
	str(&c, 8, 4, 3, 8);
	pac_zero(&c, 2, 3);
	put(&c, 0xf8201400u | 3 << 5 | 4); /* ldraa x4, [x3, #8] */
	report(&c, 4, 8);
	put(&c, 0xf8201c00u | 3 << 5 | 4); /* ldraa x4, [x3, #8]! */
	report(&c, 4, 16);
	report(&c, 3, 24);
	/* x17 and x16 */
	li(&c, 17, 0x8888);
	li(&c, 16, 5);
	pac(&c, 0, 6, 31);
	put(&c, PACIA1716);
	li(&c, 6, 0x8888);
	pac(&c, 0, 6, 16);
	put(&c, 0xcb060226); /* sub x6, x17, x6 */
	report(&c, 6, 32);
	mov(&c, 30, 17);
	put(&c, XPACLRI);
	mov(&c, 1, 30);
	report(&c, 1, 40);
	/* the function: signed return address on its way */
	put(&f, PACIASP);
	mov(&f, 7, 30);
	li(&f, 5, 0x600d);
	put(&f, AUTIASP);
	put(&f, PACIASP);
	put(&f, RETAA);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0x600d);
	EXPECT_REPORT(&m, 0, 8, 0x1234);
	EXPECT_REPORT(&m, 0, 16, 0x1234);
	EXPECT_REPORT(&m, 0, 24, RAM + 0x8008);
	EXPECT_REPORT(&m, 0, 32, 0);
	EXPECT_REPORT(&m, 0, 40, 0x8888);
	machine_free(&m);
}

TEST(a_wrong_code_is_an_exception)
{
	struct machine m;

	if (!offered())
		SKIP("no pointer authentication");
	m = machine_with(BOTH);
	if (!faults(&m)) {
		machine_free(&m);
		SKIP("no FEAT_FPACCOMBINE");
	}
	struct code c = start(&m, SCTLR_OFF | ALL_KEYS);
	set_keys(&m);
	for (unsigned key = 0; key < 4; key++) {
		li(&c, 1, 0x5000);
		li(&c, 2, 1);
		li(&c, 3, 2);
		pac(&c, key, 1, 2);
		mov(&c, 4, 1);
		pac(&c, key | CHECK, 4, 3);
		put(&c, 0xcb010084); /* sub x4, x4, x1: the register is as it was */
		report(&c, 4, 0);
	}
	li(&c, 1, 1);
	mov(&c, 30, 1);
	put(&c, RETAA);
	li(&c, 3, RAM + 0x8000);
	put(&c, 0xf8a00400u | 3 << 5 | 4); /* ldrab x4, [x3] */
	put(&c, 0xd73f0800u | 3 << 5 | 2); /* blraa x3, x2 */
	report(&c, 3, 8);
	code_done(&m);
	for (unsigned key = 0; key < 4; key++) {
		EXPECT_REPORT(&m, 0, 0x100, 0x72000000 | key);
		EXPECT_REPORT(&m, 0, 0, 0);
	}
	EXPECT_REPORT(&m, 0, 0x100, 0x72000000);
	EXPECT_REPORT(&m, 0, 0x100, 0x72000003);
	EXPECT_REPORT(&m, 0, 0x100, 0x72000000);
	EXPECT_REPORT(&m, 0, 8, RAM + 0x8000);
	machine_free(&m);
}

/* With tags ignored for data but not for code (TBI, TBID), the codes of the two lie in different bits. */
TEST(tags_leave_less_room_for_a_code)
{
	struct machine m;

	if (!offered())
		SKIP("no pointer authentication");
	m = machine_with(BOTH);
	struct code c = start(&m, SCTLR_OFF | ALL_KEYS);
	set_keys(&m);
	li(&c, 0, 16 | 16 << 16 | 1ull << 37 | 1ull << 51);
	msr(&c, SYS_TCR, 0);
	put(&c, A64_ISB);
	li(&c, 1, 0xab00000000006000);
	pac(&c, 2, 1, 31);
	report(&c, 1, 0);
	xpac(&c, 1, 1);
	report(&c, 1, 8);
	li(&c, 1, 0x6000);
	pac(&c, 0, 1, 31);
	report(&c, 1, 16);
	pac(&c, 0 | CHECK, 1, 31);
	report(&c, 1, 24);
	code_done(&m);
	uint64_t data = reported(&m, 0);
	EXPECT_EQ(data >> 56, 0xab);
	EXPECT_NE(data, 0xab00000000006000);
	EXPECT_REPORT(&m, 0, 8, 0xab00000000006000);
	uint64_t code = reported(&m, 16);
	EXPECT_EQ((code ^ 0x6000) & ~(0xff7full << 48), 0);
	EXPECT_NE(code, 0x6000);
	EXPECT_REPORT(&m, 0, 24, 0x6000);
	machine_free(&m);
}
