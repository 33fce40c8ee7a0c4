/* SPDX-License-Identifier: MIT */
/* ID registers: what a VMM may write, what stays over a reset, and that the guest's CPU is as they say. */
#include "vmm.h"

#define ID(crm, op2) ARM64_SYS_REG(3, 0, 0, crm, op2)
#define ID_PFR0	     ID(1, 0)
#define ID_AFR0	     ID(1, 3)
#define ID_DFR1	     ID(3, 5)
#define PFR0	     ID(4, 0)
#define DFR0	     ID(5, 0)
#define ISAR0	     ID(6, 0)
#define ISAR1	     ID(6, 1)
#define MMFR0	     ID(7, 0)
#define MMFR1	     ID(7, 1)
#define MMFR2	     ID(7, 2)
#define MPIDR	     ID(0, 5)
#define MIDR	     ID(0, 0)
#define CLIDR	     ARM64_SYS_REG(3, 1, 0, 0, 1)
#define CTR	     ARM64_SYS_REG(3, 3, 0, 0, 1)
#define CCSIDR(n)    (KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_DEMUX | (n))
#define VECTORS	     (RAM + 0x1000)

static uint64_t field(uint64_t value, unsigned shift)
{
	return value >> shift & 0xf;
}

static uint64_t with_field(uint64_t value, unsigned shift, uint64_t field)
{
	return (value & ~(0xfull << shift)) | field << shift;
}

/* Sets one field and puts the register back as it was. */
static int try_field(struct machine *m, uint64_t id, unsigned shift, uint64_t value)
{
	uint64_t old = get_reg(m->vcpu[0], id);
	int r = set_reg(m->vcpu[0], id, with_field(old, shift, value));
	int error = errno;

	EXPECT_EQ(set_reg(m->vcpu[0], id, old), 0);
	errno = error;
	return r;
}

TEST(fields_may_say_less_but_not_more)
{
	struct machine m = machine_new(1);
	static const struct {
		uint64_t id;
		unsigned shift;
	} lower[] = {{PFR0, 24},  {PFR0, 48},  {PFR0, 56},  {PFR0, 60},	 {DFR0, 20},
		     {ISAR0, 4},  {ISAR0, 12}, {ISAR0, 16}, {ISAR0, 20}, {ISAR0, 28},
		     {ISAR0, 44}, {ISAR0, 56}, {ISAR1, 0},  {ISAR1, 12}, {ISAR1, 20},
		     {MMFR0, 0},  {MMFR1, 0},  {MMFR1, 20}, {MMFR2, 4},	 {MMFR2, 60}};

	for (unsigned i = 0; i < sizeof(lower) / sizeof(lower[0]); i++) {
		uint64_t now = field(get_reg(m.vcpu[0], lower[i].id), lower[i].shift);

		if (now == 15)
			continue;
		if (now && try_field(&m, lower[i].id, lower[i].shift, now - 1))
			TEST_FAIL("%llx field at %u", (unsigned long long)lower[i].id,
				  lower[i].shift);
		EXPECT_ERRNO(try_field(&m, lower[i].id, lower[i].shift, now + 1), EINVAL);
	}
	/* AArch64 itself at EL0 and EL1, and its debug architecture */
	EXPECT_ERRNO(try_field(&m, PFR0, 0, 0), EINVAL);
	EXPECT_ERRNO(try_field(&m, PFR0, 4, 0), EINVAL);
	EXPECT_ERRNO(try_field(&m, DFR0, 0, 5), EINVAL);
	/* not writable */
	EXPECT_ERRNO(try_field(&m, PFR0, 20, 15), EINVAL);
	EXPECT_ERRNO(try_field(&m, MMFR0, 4, 0), EINVAL);
	/* more is the older hardware: SError may be speculative */
	EXPECT_EQ(try_field(&m, MMFR1, 24, field(get_reg(m.vcpu[0], MMFR1), 24) + 1), 0);
	/* granules of stage 2: as they are, or not there */
	EXPECT_EQ(try_field(&m, MMFR0, 32, 1), 0);
	EXPECT_EQ(try_field(&m, MMFR0, 36, 1), 0);
	EXPECT_EQ(try_field(&m, MMFR0, 40, 1), 0);
	EXPECT_ERRNO(try_field(&m, MMFR0, 40, 4), EINVAL);
	machine_free(&m);
}

TEST(registers_of_aarch32_ignore_writes_without_aarch32)
{
	struct machine m = machine_new(1);

	if (field(get_reg(m.vcpu[0], PFR0), 0) != 1) {
		machine_free(&m);
		SKIP("AArch32 at EL0");
	}
	EXPECT_EQ(get_reg(m.vcpu[0], ID_PFR0), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], ID_PFR0, 0xdead), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], ID_PFR0), 0);
	EXPECT_ERRNO(set_reg(m.vcpu[0], ID_AFR0, 0xdead), EINVAL);
	EXPECT_ERRNO(set_reg(m.vcpu[0], ID_DFR1, 0xdead), EINVAL);
	EXPECT_ERRNO(set_reg(m.vcpu[0], ID(3, 3), 1), EINVAL);
	machine_free(&m);
}

static int set_reg32(int vcpu, uint64_t id, uint32_t value)
{
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(vcpu, KVM_SET_ONE_REG, &r);
}

static uint32_t get_reg32(int vcpu, uint64_t id)
{
	uint32_t value = 0;
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&value};

	EXPECT_EQ(ioctl(vcpu, KVM_GET_ONE_REG, &r), 0);
	return value;
}

TEST(identity_stays_over_a_reset)
{
	struct machine m = machine_without_vcpus();
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_WRITABLE_IMP_ID_REGS};
	uint64_t mpidr, clidr, midr, isar0;

	add_vcpu(&m);
	EXPECT_ERRNO(ioctl(m.vm, KVM_ENABLE_CAP, &cap), EINVAL); /* too late */
	machine_free(&m);

	m = machine_without_vcpus();
	ASSERT_EQ(ioctl(m.vm, KVM_ENABLE_CAP, &cap), 0);
	add_vcpu(&m);
	add_vcpu(&m);
	init_vcpu(&m, 0, 0);
	init_vcpu(&m, 1, 0);
	mpidr = get_reg(m.vcpu[0], MPIDR) + 1;
	clidr = get_reg(m.vcpu[0], CLIDR) | 4ull << 18;
	midr = get_reg(m.vcpu[0], MIDR) + 1;
	isar0 = with_field(get_reg(m.vcpu[0], ISAR0), 12, 0);
	EXPECT_EQ(set_reg(m.vcpu[0], MPIDR, mpidr), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], CLIDR, clidr), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], MIDR, midr), 0);
	EXPECT_EQ(set_reg(m.vcpu[0], ISAR0, isar0), 0);
	EXPECT_EQ(set_reg32(m.vcpu[0], CCSIDR(2), 0x700fe01a), 0);
	EXPECT_EQ(get_reg32(m.vcpu[0], CCSIDR(2)), 0x700fe01a);
	EXPECT_EQ(set_reg32(m.vcpu[0], CCSIDR(2), 0x00fe01a), 0);
	EXPECT_ERRNO(set_reg(m.vcpu[0], MIDR, 1ull << 32), EINVAL);
	EXPECT_ERRNO(set_reg(m.vcpu[0], CLIDR, 1ull << 47), EINVAL);
	init_vcpu(&m, 0, 0);
	EXPECT_EQ(get_reg(m.vcpu[0], MPIDR), mpidr);
	EXPECT_EQ(get_reg(m.vcpu[0], CLIDR), clidr);
	EXPECT_EQ(get_reg(m.vcpu[0], MIDR), midr);
	EXPECT_EQ(get_reg(m.vcpu[0], ISAR0), isar0);
	EXPECT_EQ(get_reg32(m.vcpu[0], CCSIDR(2)), 0x00fe01a);
	/* of the VM, or of one vCPU */
	EXPECT_EQ(get_reg(m.vcpu[1], MIDR), midr);
	EXPECT_EQ(get_reg(m.vcpu[1], ISAR0), isar0);
	EXPECT_NE(get_reg(m.vcpu[1], CLIDR), clidr);
	machine_free(&m);
}

TEST(ctr_may_describe_an_older_cache)
{
	struct machine m = machine_new(1);
	uint64_t ctr = get_reg(m.vcpu[0], CTR);

	EXPECT_EQ(set_reg(m.vcpu[0], CTR, with_field(ctr & ~(1ull << 29), 0, field(ctr, 0) - 1)),
		  0);
	EXPECT_EQ(set_reg(m.vcpu[0], CTR, ctr), 0);
	EXPECT_ERRNO(set_reg(m.vcpu[0], CTR, with_field(ctr, 0, field(ctr, 0) + 1)), EINVAL);
	/* reserved policies of the instruction cache */
	EXPECT_ERRNO(set_reg(m.vcpu[0], CTR, ctr & ~(3ull << 14)), EINVAL);
	EXPECT_ERRNO(set_reg(m.vcpu[0], CTR, (ctr & ~(3ull << 14)) | 1ull << 14), EINVAL);
	machine_free(&m);
}

/* The handler reports ESR at DEVICE + 0x100 and goes on behind the instruction. */
static struct code start(struct machine *m)
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
	return c;
}

TEST(reads_of_the_id_space_that_are_refused_say_which_register)
{
	struct machine m = machine_new(1);
	struct code c = start(&m);

	if (!field(get_reg(m.vcpu[0], MMFR2), 36)) {
		machine_free(&m);
		SKIP("no FEAT_IDST");
	}
	mrs(&c, 3, SYS(3, 1, 0, 0, 2)); /* CCSIDR2_EL1 */
	mrs(&c, 4, SYS(3, 1, 0, 0, 6)); /* SMIDR_EL1 */
	report(&c, 31, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0x100, 0x62000000 | 3 << 20 | 2 << 17 | 1 << 14 | 3 << 5 | 1);
	EXPECT_REPORT(&m, 0, 0x100, 0x62000000 | 3 << 20 | 6 << 17 | 1 << 14 | 4 << 5 | 1);
	EXPECT_REPORT(&m, 0, 0, 0);
	machine_free(&m);
}

#ifndef ANYKVM_REAL
/* What KVM cannot trap works on real hardware all the same. */
TEST(instructions_of_fields_that_were_lowered_are_undefined)
{
	static const struct {
		uint64_t id;
		unsigned shift, to;
		uint32_t insn;
	} cases[] = {
		{ISAR0, 16, 0, 0x1ac14000}, /* crc32b */
		{ISAR0, 20, 0, 0xb8210041}, /* ldadd w1, w1, [x2] */
		{ISAR0, 4, 0, 0x4e284820},  /* aese */
		{ISAR0, 4, 1, 0x0ee0e020},  /* pmull of doublewords */
		{ISAR0, 8, 0, 0x5e280820},  /* sha1h */
		{ISAR0, 12, 0, 0x5e282820}, /* sha256su0 */
		{ISAR0, 28, 0, 0x2e818420}, /* sqrdmlah */
		{ISAR0, 44, 0, 0x0e809420}, /* sdot */
		{ISAR0, 52, 0, 0xd500401f}, /* cfinv */
		{ISAR0, 56, 1, 0xd508863f}, /* tlbi rvae1 */
		{ISAR0, 56, 0, 0xd508811f}, /* tlbi vmalle1os */
		{ISAR1, 0, 0, 0xd50b7c22},  /* dc cvap, x2 */
		{ISAR1, 12, 0, 0x1e7e0000}, /* fjcvtzs */
		{ISAR1, 16, 0, 0x2e81c420}, /* fcmla */
		{ISAR1, 20, 0, 0xb8bfc041}, /* ldapr w1, [x2] */
		{ISAR1, 36, 0, 0xd50330ff}, /* sb */
		{MMFR1, 20, 0, 0xd5384263}, /* mrs x3, pan */
		{MMFR1, 20, 0, 0xd500419f}, /* msr pan, #1 */
		{MMFR1, 20, 1, 0xd5087902}, /* at s1e1rp, x2 */
		{MMFR2, 4, 0, 0xd5384283},  /* mrs x3, uao */
		{PFR0, 48, 0, 0xd53b42a3},  /* mrs x3, dit */
		{PFR0, 28, 0, 0xd5385303},  /* mrs x3, erridr_el1 */
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int lowered = 0; lowered < 2; lowered++) {
			struct machine m = machine_new(1);
			struct code c = start(&m);
			uint64_t value = get_reg(m.vcpu[0], cases[i].id);

			if (lowered)
				EXPECT_EQ(set_reg(m.vcpu[0], cases[i].id,
						  with_field(value, cases[i].shift, cases[i].to)),
					  0);
			li(&c, 1, 3u << 20);
			msr(&c, SYS_CPACR_EL1, 1);
			put(&c, A64_ISB);
			li(&c, 2, RAM + 0x8000);
			put(&c, cases[i].insn);
			report(&c, 31, 0);
			code_done(&m);
			if (lowered)
				EXPECT_REPORT(&m, 0, 0x100, 0x02000000);
			EXPECT_REPORT(&m, 0, 0, 0);
			if (test_failed)
				TEST_FAIL("%08x, lowered %d", cases[i].insn, lowered);
			machine_free(&m);
		}
	}
}

TEST(controls_of_fields_that_were_lowered_do_nothing)
{
	for (int lowered = 0; lowered < 2; lowered++) {
		struct machine m = machine_new(1);
		struct code c = start(&m);
		uint64_t mmfr1 = get_reg(m.vcpu[0], MMFR1), mmfr0 = get_reg(m.vcpu[0], MMFR0);
		const uint64_t table = RAM + 0x8000;

		if (lowered) {
			/* no PAN, no tables of 64 KiB, 36 bits of physical addresses */
			EXPECT_EQ(set_reg(m.vcpu[0], MMFR1, with_field(mmfr1, 20, 0)), 0);
			mmfr0 = with_field(with_field(mmfr0, 24, 15), 0, 1);
			EXPECT_EQ(set_reg(m.vcpu[0], MMFR0, mmfr0), 0);
		}
		li(&c, 0, 0x00450078); /* SCTLR_EL1 without SPAN: exceptions set PSTATE.PAN */
		msr(&c, SYS(3, 0, 1, 0, 0), 0);
		put(&c, A64_ISB);
		put(&c, 0); /* udf */
		/* the larger granule where it is taken for the smaller one, too */
		li(&c, 0, 25 | 5ull << 32 | 1ull << 23 | (uint64_t)lowered << 14);
		msr(&c, SYS(3, 0, 2, 0, 2), 0);
		li(&c, 0, table);
		msr(&c, SYS(3, 0, 2, 0, 0), 0);
		li(&c, 0, 0);
		msr(&c, SYS(3, 0, 10, 2, 0), 0);
		put(&c, A64_ISB);
		li(&c, 0, 0xc50079);
		msr(&c, SYS(3, 0, 1, 0, 0), 0);
		put(&c, A64_ISB);
		li(&c, 1, 2ull << 30);
		str(&c, 8, 31, 1, 0);
		code_done(&m);
		((uint64_t *)(m.ram + 0x8000))[0] = 0x701;
		((uint64_t *)(m.ram + 0x8000))[1] = RAM | 0x701;
		((uint64_t *)(m.ram + 0x8000))[2] = (1ull << 37) | 0x701;
		EXPECT_REPORT(&m, 0, 0x100, 0x02000000);
		EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pstate)) >> 22 & 1, !lowered);
		/* an address size fault of level 1, or a store to nothing */
		EXPECT_EQ(run(&m, 0), 0);
		EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
		EXPECT_EQ(m.run[0]->mmio.phys_addr, lowered ? DEVICE + 0x100 : 1ull << 37);
		machine_free(&m);
	}
}
#endif
