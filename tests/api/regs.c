/* SPDX-License-Identifier: MIT */
/* vCPU creation, KVM_ARM_VCPU_INIT, registers, power states and events. */
#include "vmm.h"

static int init_with(int vcpu, unsigned target, unsigned word, unsigned features)
{
	struct kvm_vcpu_init init = {.target = target};

	init.features[0] = word ? 1u << KVM_ARM_VCPU_PSCI_0_2 : 0;
	init.features[word] |= features;
	return ioctl(vcpu, KVM_ARM_VCPU_INIT, &init);
}

TEST(vcpu_ids_are_unique_and_below_512)
{
	struct machine m = machine_without_vcpus();
	int a = ioctl(m.vm, KVM_CREATE_VCPU, 5), b;

	EXPECT(a >= 0);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, 5), EEXIST);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, 512), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, -1), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, 1l << 32), EINVAL);
	b = ioctl(m.vm, KVM_CREATE_VCPU, 511);
	EXPECT(b >= 0);
	/* closing a descriptor does not remove the vCPU */
	close(a);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, 5), EEXIST);
	close(b);
	machine_free(&m);
}

TEST(vcpu_init_checks_target_and_features)
{
	struct machine m = machine_without_vcpus();

	add_vcpu(&m);
	EXPECT_ERRNO(init_with(m.vcpu[0], 99, 0, 0), EINVAL);
	EXPECT_ERRNO(init_with(m.vcpu[0], KVM_ARM_TARGET_CORTEX_A57, 0, 0), EINVAL);
	EXPECT_ERRNO(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 0, 1u << 9), ENOENT);
	EXPECT_ERRNO(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 0, 1u << 31), ENOENT);
	EXPECT_ERRNO(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 1, 1), ENOENT);
	EXPECT_ERRNO(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 6, 1u << 31), ENOENT);
	/* only one of the two kinds of pointer authentication: wrong with and without the feature */
	EXPECT_ERRNO(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 0,
			       1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS),
		     EINVAL);
	EXPECT_EQ(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 0, 1u << KVM_ARM_VCPU_PSCI_0_2),
		  0);
	/* a second time is a reset, with the same features but for POWER_OFF */
	EXPECT_EQ(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 0, 1u << KVM_ARM_VCPU_PSCI_0_2),
		  0);
	EXPECT_EQ(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 0,
			    1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_POWER_OFF),
		  0);
	EXPECT_ERRNO(init_with(m.vcpu[0], KVM_ARM_TARGET_GENERIC_V8, 0, 0), EINVAL);
	machine_free(&m);
}

TEST(requests_before_init_are_enoexec)
{
	struct machine m = machine_without_vcpus();
	uint64_t value = 0;
	struct kvm_one_reg reg = {CORE_REG(regs.pc), (uintptr_t)&value};
	struct kvm_reg_list list = {0};
	struct kvm_vcpu_events ev = {0};
	struct kvm_mp_state mp = {77};

	add_vcpu(&m);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_ONE_REG, &reg), ENOEXEC);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg), ENOEXEC);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_REG_LIST, &list), ENOEXEC);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_VCPU_EVENTS, &ev), ENOEXEC);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_VCPU_EVENTS, &ev), ENOEXEC);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_ONE_REG, bad_pointer()), ENOEXEC);
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_GET_MP_STATE, &mp), 0);
	EXPECT_EQ(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	machine_free(&m);
}

TEST(core_registers_keep_what_is_written)
{
	struct machine m = machine_new(1);
	uint64_t vec[2] = {0x1122334455667788, 0x99aabbccddeeff00}, got[2] = {0};
	struct kvm_one_reg reg;

	for (unsigned n = 0; n < 31; n++)
		set_x(m.vcpu[0], n, 0x100 + n);
	for (unsigned n = 0; n < 31; n++)
		EXPECT_EQ(get_x(m.vcpu[0], n), 0x100 + n);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.sp), 0x1000), 0);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(sp_el1), 0x2000), 0);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(elr_el1), 0x3000), 0);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(spsr[0]), 0x3c5), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.sp)), 0x1000);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(sp_el1)), 0x2000);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(elr_el1)), 0x3000);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(spsr[0])), 0x3c5);
	/* after reset: EL1h, all masked */
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pstate)), 0x3c5);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pstate), 0x800003c4), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pstate)), 0x800003c4);
	EXPECT_ERRNO(set_reg(m.vcpu[0], CORE_REG(regs.pstate), 0x3c9), EINVAL);
	reg.id = KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE |
		 KVM_REG_ARM_CORE_REG(fp_regs.vregs[7]);
	reg.addr = (uintptr_t)vec;
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg), 0);
	reg.addr = (uintptr_t)got;
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_GET_ONE_REG, &reg), 0);
	EXPECT_EQ(got[0], vec[0]);
	EXPECT_EQ(got[1], vec[1]);
	machine_free(&m);
}

TEST(wrong_register_ids_are_refused)
{
	struct machine m = machine_new(1);
	uint64_t value[32] = {0};
	struct kvm_one_reg reg = {.addr = (uintptr_t)value};
	static const struct {
		uint64_t id;
		int error;
	} cases[] = {
		{0, EINVAL},
		{KVM_REG_X86 | KVM_REG_SIZE_U64, EINVAL},
		{KVM_REG_ARM | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE, EINVAL},
		/* in the middle of a register, of the wrong size, past the end */
		{CORE_REG(regs.regs[0]) + 1, EINVAL},
		{(CORE_REG(regs.pc) & ~KVM_REG_SIZE_MASK) | KVM_REG_SIZE_U32, EINVAL},
		{KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
			 KVM_REG_ARM_CORE_REG(fp_regs.vregs[0]),
		 EINVAL},
		{KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 0xfff0, ENOENT},
		/* so large that it would end past the end */
		{KVM_REG_ARM64 | 8ull << KVM_REG_SIZE_SHIFT | KVM_REG_ARM_CORE | 0x97, EINVAL},
		{KVM_REG_ARM64 | 8ull << KVM_REG_SIZE_SHIFT | KVM_REG_ARM_CORE | 0x98, ENOENT},
		{KVM_REG_ARM64 | KVM_REG_SIZE_MASK | KVM_REG_ARM_CORE, ENOENT},
		/* larger than any register */
		{~0ull, EINVAL},
		{(CORE_REG(regs.pc) & ~KVM_REG_SIZE_MASK) | 9ull << KVM_REG_SIZE_SHIFT, EINVAL},
		/* no such system register; a 32-bit one */
		{ARM64_SYS_REG(3, 7, 15, 15, 7), ENOENT},
		{(ARM64_SYS_REG(3, 0, 1, 0, 0) & ~KVM_REG_SIZE_MASK) | KVM_REG_SIZE_U32, ENOENT},
		{KVM_REG_ARM64 | KVM_REG_SIZE_U64 | 0x99ull << KVM_REG_ARM_COPROC_SHIFT, ENOENT},
		{KVM_REG_ARM_FW_REG(0xfff), ENOENT},
		/* SVE, which this vCPU has not; numbers between its registers */
		{KVM_REG_ARM64_SVE_ZREG(3, 0), ENOENT},
		{KVM_REG_ARM64_SVE_FFR(0), ENOENT},
		{KVM_REG_ARM64_SVE_VLS, ENOENT},
		{KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SVE, EINVAL},
		{KVM_REG_ARM64_SVE_ZREG(3, 0) | 0xc000, EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reg.id = cases[i].id;
		errno = 0;
		if (ioctl(m.vcpu[0], KVM_GET_ONE_REG, &reg) != -1 || errno != cases[i].error)
			TEST_FAIL("get %llx, expected errno %d", (unsigned long long)reg.id,
				  cases[i].error);
		errno = 0;
		if (ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg) != -1 || errno != cases[i].error)
			TEST_FAIL("set %llx, expected errno %d", (unsigned long long)reg.id,
				  cases[i].error);
	}
	reg.id = CORE_REG(regs.pc);
	reg.addr = (uintptr_t)bad_pointer();
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_ONE_REG, &reg), EFAULT);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg), EFAULT);
	/* of an unknown core register the name is looked at first, of others the value */
	reg.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 0xfff0;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg), ENOENT);
	reg.id = ARM64_SYS_REG(3, 7, 15, 15, 7);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_ONE_REG, &reg), ENOENT);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg), EFAULT);
	reg.id = KVM_REG_ARM_FW_REG(0xfff);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg), EFAULT);
	machine_free(&m);
}

TEST(the_register_list_is_complete_and_every_register_reads_back)
{
	struct machine m = machine_new(1);
	struct kvm_reg_list count = {0}, *list;
	int refused = 0;

	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_REG_LIST, &count), E2BIG);
	EXPECT(count.n > 200 && count.n < 400);
	list = malloc(sizeof(*list) + count.n * 8);
	list->n = count.n - 1;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_REG_LIST, list), E2BIG);
	EXPECT_EQ(list->n, count.n);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_GET_REG_LIST, list), 0);
	for (uint64_t i = 0; i < list->n; i++) {
		unsigned char value[256] = {0};
		struct kvm_one_reg reg = {list->reg[i], (uintptr_t)value};

		if (ioctl(m.vcpu[0], KVM_GET_ONE_REG, &reg))
			TEST_FAIL("get %llx", (unsigned long long)reg.id);
		/* writing back what was read is how a VMM restores a machine */
		else if (ioctl(m.vcpu[0], KVM_SET_ONE_REG, &reg)) {
			refused++;
			TEST_FAIL("set %llx", (unsigned long long)reg.id);
		}
		for (uint64_t j = 0; j < i; j++)
			if (list->reg[j] == list->reg[i])
				TEST_FAIL("%llx is listed twice", (unsigned long long)reg.id);
	}
	EXPECT_EQ(refused, 0);
	free(list);
	machine_free(&m);
}

TEST(id_registers_change_before_the_first_run_only)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	/* ID_AA64ISAR0_EL1.SHA2 may be lowered */
	uint64_t id = ARM64_SYS_REG(3, 0, 0, 6, 0), value = get_reg(m.vcpu[0], id);

	mrs(&c, 0, SYS(3, 0, 0, 6, 0));
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_EQ(set_reg(m.vcpu[0], id, value & ~0xf000ull), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], id), value & ~0xf000ull);
	EXPECT_ERRNO(set_reg(m.vcpu[0], id, value | 0xfull << 12), EINVAL);
	EXPECT_REPORT(&m, 0, 0, value & ~0xf000ull);
	EXPECT_EQ(set_reg(m.vcpu[0], id, value & ~0xf000ull), 0);
	EXPECT_ERRNO(set_reg(m.vcpu[0], id, value), EBUSY);
	machine_free(&m);
}

TEST(writable_masks_cover_the_id_registers)
{
	struct machine m = machine_without_vcpus();
	static uint64_t masks[KVM_ARM_FEATURE_ID_RANGE_SIZE];
	struct reg_mask_range range = {.addr = (uintptr_t)masks};
	int some = 0;

	range.reserved[12] = 1;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range), EINVAL);
	range.reserved[12] = 0;
	range.range = 1;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range), EINVAL);
	range.range = 0;
	ASSERT_EQ(ioctl(m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range), 0);
	for (int i = 0; i < KVM_ARM_FEATURE_ID_RANGE_SIZE; i++)
		some += !!masks[i];
	EXPECT(some > 5);
	range.addr = (uintptr_t)bad_pointer();
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range), EFAULT);
	machine_free(&m);
}

TEST(power_states_are_runnable_stopped_and_suspended)
{
	struct machine m = machine_new(2);
	struct kvm_mp_state mp = {77};

	EXPECT_EQ(ioctl(m.vcpu[0], KVM_GET_MP_STATE, &mp), 0);
	EXPECT_EQ(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	EXPECT_EQ(ioctl(m.vcpu[1], KVM_GET_MP_STATE, &mp), 0);
	EXPECT_EQ(mp.mp_state, KVM_MP_STATE_STOPPED);
	static const unsigned good[] = {KVM_MP_STATE_STOPPED, KVM_MP_STATE_SUSPENDED,
					KVM_MP_STATE_RUNNABLE};
	for (int i = 0; i < 3; i++) {
		mp.mp_state = good[i];
		EXPECT_EQ(ioctl(m.vcpu[0], KVM_SET_MP_STATE, &mp), 0);
		mp.mp_state = 99;
		EXPECT_EQ(ioctl(m.vcpu[0], KVM_GET_MP_STATE, &mp), 0);
		EXPECT_EQ(mp.mp_state, good[i]);
	}
	for (unsigned s = 0; s < 12; s++) {
		if (s == KVM_MP_STATE_RUNNABLE || s == KVM_MP_STATE_STOPPED ||
		    s == KVM_MP_STATE_SUSPENDED)
			continue;
		mp.mp_state = s;
		EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_MP_STATE, &mp), EINVAL);
	}
	machine_free(&m);
}

TEST(events_inject_an_external_abort)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x200);
	struct kvm_vcpu_events ev = {0};

	li(&c, 0, RAM + 0x1000);
	msr(&c, SYS_VBAR_EL1, 0);
	report(&c, 0, 0);
	b_to(&c, c.pc);
	mrs(&v, 2, SYS_ESR_EL1);
	report(&v, 2, 8);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, RAM + 0x1000);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_GET_VCPU_EVENTS, &ev), 0);
	EXPECT_EQ(ev.exception.serror_pending, 0);
	EXPECT_EQ(ev.exception.ext_dabt_pending, 0);
	ev.reserved[3] = 1;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	ev.reserved[3] = 0;
	ev.exception.pad[2] = 1;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_VCPU_EVENTS, &ev), EINVAL);
	ev.exception.pad[2] = 0;
	/* complete the exit first: the abort is taken from the loop that follows */
	m.run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(&m, 0), EINTR);
	m.run[0]->immediate_exit = 0;
	ev.exception.ext_dabt_pending = 1;
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_VCPU_EVENTS, &ev), 0);
	/* data abort from the same level, synchronous external */
	EXPECT_REPORT(&m, 0, 8, 0x96000010);
	machine_free(&m);
}

TEST(statistics_files_describe_themselves)
{
	struct machine m = machine_new(1);
	int fds[2] = {ioctl(m.vm, KVM_GET_STATS_FD, 0), ioctl(m.vcpu[0], KVM_GET_STATS_FD, 0)};
	struct code c = code_at(&m, RAM);

	report(&c, 0, 0);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	for (int i = 0; i < 2; i++) {
		struct kvm_stats_header h, again;
		char id[64] = "";
		int found = 0;

		ASSERT(fds[i] >= 0);
		ASSERT_EQ(read(fds[i], &h, sizeof(h)), sizeof(h));
		ASSERT_EQ(pread(fds[i], &again, sizeof(again), 0), sizeof(again));
		EXPECT_EQ(memcmp(&h, &again, sizeof(h)), 0);
		ASSERT(h.name_size <= sizeof(id) && h.num_desc > 0 && h.num_desc < 200);
		ASSERT_EQ(pread(fds[i], id, h.name_size, h.id_offset), h.name_size);
		EXPECT_EQ(strncmp(id, "kvm-", 4), 0);
		for (unsigned d = 0; d < h.num_desc; d++) {
			char buf[sizeof(struct kvm_stats_desc) + 64];
			struct kvm_stats_desc *desc = (void *)buf;
			uint64_t value;

			ASSERT_EQ(pread(fds[i], buf, sizeof(*desc) + h.name_size,
					h.desc_offset + d * (sizeof(*desc) + h.name_size)),
				  sizeof(*desc) + h.name_size);
			EXPECT((desc->flags & KVM_STATS_TYPE_MASK) <= KVM_STATS_TYPE_MAX);
			EXPECT(desc->size > 0);
			ASSERT_EQ(pread(fds[i], &value, 8, h.data_offset + desc->offset), 8);
			if (!strcmp(desc->name, "exits")) {
				EXPECT(value > 0);
				found = 1;
			}
		}
		EXPECT_EQ(found, i);
		EXPECT_ERRNO(pread(fds[i], bad_pointer(), 8, 0), EFAULT);
		EXPECT_EQ(pread(fds[i], id, 8, 1 << 20), 0);
		EXPECT_ERRNO(ioctl(fds[i], KVM_RUN, 0), ENOTTY);
	}
	close(fds[0]);
	close(fds[1]);
	machine_free(&m);
}
