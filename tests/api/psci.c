/* SPDX-License-Identifier: MIT */
/* Firmware calls of the guest: PSCI and SMCCC over HVC. */
#include "vmm.h"

#define PSCI_VERSION	  0x84000000ull
#define PSCI_CPU_OFF	  0x84000002ull
#define PSCI_CPU_ON64	  0xc4000003ull
#define PSCI_AFFINITY64	  0xc4000004ull
#define PSCI_SYSTEM_OFF	  0x84000008ull
#define PSCI_SYSTEM_RESET 0x84000009ull
#define PSCI_FEATURES	  0x8400000aull
#define SMCCC_VERSION	  0x80000000ull

static void on_kick(int sig)
{
}

static void call(struct code *c, uint64_t fn)
{
	li(c, 0, fn);
	hvc(c, 0);
}

TEST(versions_and_features_answer)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	call(&c, PSCI_VERSION);
	report(&c, 0, 0);
	call(&c, SMCCC_VERSION);
	report(&c, 0, 8);
	li(&c, 1, PSCI_CPU_ON64);
	call(&c, PSCI_FEATURES);
	report(&c, 0, 16);
	li(&c, 1, 0x8400ffff);
	call(&c, PSCI_FEATURES);
	report(&c, 0, 24);
	/* unknown: -1. Other immediates and SMC act alike */
	call(&c, 0x8400ffff);
	report(&c, 0, 32);
	li(&c, 0, PSCI_VERSION);
	hvc(&c, 1);
	report(&c, 0, 40);
	li(&c, 0, PSCI_VERSION);
	smc(&c, 0);
	report(&c, 0, 48);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 0x10003);
	EXPECT_REPORT(&m, 0, 8, 0x10001);
	EXPECT_REPORT(&m, 0, 16, 0);
	EXPECT_REPORT(&m, 0, 24, ~0ull);
	EXPECT_REPORT(&m, 0, 32, ~0ull);
	EXPECT_REPORT(&m, 0, 40, 0x10003);
	EXPECT_REPORT(&m, 0, 48, 0x10003);
	machine_free(&m);
}

/* A guest that believes in an older CPU makes them unasked; they do nothing. Registers beyond x1 stay. */
TEST(workarounds_succeed_by_hvc)
{
	static const uint64_t fns[] = {0x80008000, 0x80007fff, 0x80003fff};
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	for (unsigned i = 0; i < 3; i++) {
		li(&c, 2, 5);
		call(&c, fns[i]);
		report(&c, 0, 0);
		report(&c, 2, 8);
		li(&c, 0, fns[i]);
		smc(&c, 0);
		report(&c, 0, 16);
	}
	code_done(&m);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_REPORT(&m, 0, 0, 0);
		EXPECT_REPORT(&m, 0, 8, 5);
		EXPECT_REPORT(&m, 0, 16, ~0ull);
	}
	machine_free(&m);
}

static void expect_system_event(uint64_t fn, unsigned type)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_mp_state mp = {0};

	call(&c, fn);
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	EXPECT_EQ(m.run[0]->system_event.type, type);
	EXPECT_EQ(m.run[0]->system_event.ndata, 1);
	EXPECT_EQ(m.run[0]->system_event.flags, 0);
	/* the machine stands still until user space restarts it */
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_GET_MP_STATE, &mp), 0);
	EXPECT_EQ(mp.mp_state, KVM_MP_STATE_STOPPED);
	machine_free(&m);
}

TEST(system_off_and_reset_leave_the_guest)
{
	expect_system_event(PSCI_SYSTEM_OFF, KVM_SYSTEM_EVENT_SHUTDOWN);
	expect_system_event(PSCI_SYSTEM_RESET, KVM_SYSTEM_EVENT_RESET);
}

/* vCPU 0 starts vCPU 1 at RAM + 0x2000 with a context id, waits for its word, asks for its state until it is off. */
TEST(cpu_on_starts_a_stopped_vcpu)
{
	struct machine m = machine_new(2);
	struct code c = code_at(&m, RAM), s = code_at(&m, RAM + 0x2000);
	uint64_t mpidr = get_reg(m.vcpu[1], ARM64_SYS_REG(3, 0, 0, 0, 5)) & 0xff00ffffffull;
	struct runner r;

	/* already on */
	li(&c, 1, get_reg(m.vcpu[0], ARM64_SYS_REG(3, 0, 0, 0, 5)) & 0xff00ffffffull);
	li(&c, 2, RAM + 0x2000);
	call(&c, PSCI_CPU_ON64);
	report(&c, 0, 0);
	/* nobody there */
	li(&c, 1, 0x7700);
	call(&c, PSCI_CPU_ON64);
	report(&c, 0, 8);
	li(&c, 1, mpidr);
	li(&c, 2, 0);
	call(&c, PSCI_AFFINITY64);
	report(&c, 0, 16);
	li(&c, 1, mpidr);
	li(&c, 2, RAM + 0x2000);
	li(&c, 3, 0xc0ffee);
	call(&c, PSCI_CPU_ON64);
	report(&c, 0, 24);
	li(&c, 1, RAM + 0x8000);
	uint64_t wait = c.pc;
	ldr(&c, 8, 2, 1, 0);
	cbz_to(&c, 2, wait);
	report(&c, 2, 32);
	uint64_t again = c.pc;
	li(&c, 1, mpidr);
	li(&c, 2, 0);
	call(&c, PSCI_AFFINITY64);
	cbz_to(&c, 0, again);
	report(&c, 0, 40);
	/* the second one: context id in x0 */
	li(&s, 1, RAM + 0x8000);
	put(&s, A64_DSB);
	str(&s, 8, 0, 1, 0);
	call(&s, PSCI_CPU_OFF);
	report(&s, 0, 100);
	code_done(&m);
	*(uint64_t *)(m.ram + 0x8000) = 0;

	runner_start(&r, &m, 1);
	sleep_ms(20);
	EXPECT_EQ(r.done, 0);
	EXPECT_REPORT(&m, 0, 0, -4);
	EXPECT_REPORT(&m, 0, 8, -2);
	EXPECT_REPORT(&m, 0, 16, 1);
	EXPECT_REPORT(&m, 0, 24, 0);
	EXPECT_REPORT(&m, 0, 32, 0xc0ffee);
	EXPECT_REPORT(&m, 0, 40, 1);
	/* off again: still inside KVM_RUN */
	sleep_ms(20);
	EXPECT_EQ(r.done, 0);
	/* a signal gets its thread out */
	struct kvm_mp_state mp = {KVM_MP_STATE_RUNNABLE};
	struct sigaction kick = {.sa_handler = on_kick}, before;
	sigaction(SIGUSR2, &kick, &before);
	runner_interrupt(&r, SIGUSR2);
	EXPECT_EQ(r.error, EINTR);
	EXPECT_EQ(ioctl(m.vcpu[1], KVM_SET_MP_STATE, &mp), 0);
	sigaction(SIGUSR2, &before, NULL);
	machine_free(&m);
}

TEST(a_stopped_vcpu_sleeps_in_run_until_user_space_starts_it)
{
	struct machine m = machine_new(2);
	struct code c = code_at(&m, RAM);
	struct kvm_mp_state mp = {KVM_MP_STATE_STOPPED};
	struct sigaction kick = {.sa_handler = on_kick}, before;
	struct runner r;

	li(&c, 0, 3);
	report(&c, 0, 0);
	b_to(&c, RAM);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, 3);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_MP_STATE, &mp), 0);
	sigaction(SIGUSR2, &kick, &before);
	runner_start(&r, &m, 0);
	sleep_ms(30);
	EXPECT_EQ(r.done, 0);
	runner_interrupt(&r, SIGUSR2);
	EXPECT_EQ(r.error, EINTR);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_MP_STATE, &mp), 0);
	EXPECT_REPORT(&m, 0, 0, 3);
	sigaction(SIGUSR2, &before, NULL);
	machine_free(&m);
}

TEST(the_psci_version_is_a_register)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	call(&c, PSCI_VERSION);
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_EQ(get_reg(m.vcpu[0], KVM_REG_ARM_PSCI_VERSION), 0x10003);
	EXPECT_ERRNO(set_reg(m.vcpu[0], KVM_REG_ARM_PSCI_VERSION, 0x20000), EINVAL);
	ASSERT_EQ(set_reg(m.vcpu[0], KVM_REG_ARM_PSCI_VERSION, 0x10000), 0);
	EXPECT_REPORT(&m, 0, 0, 0x10000);
	machine_free(&m);
}

TEST(calls_can_be_forwarded_to_user_space)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_smccc_filter filter = {
		.base = 0x84000000u, .nr_functions = 1, .action = KVM_SMCCC_FILTER_FWD_TO_USER};
	struct kvm_device_attr attr = {.group = KVM_ARM_VM_SMCCC_CTRL,
				       .attr = KVM_ARM_VM_SMCCC_FILTER,
				       .addr = (uintptr_t)&filter};

	/* no functions at all */
	filter.nr_functions = 0;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_DEVICE_ATTR, &attr), EINVAL);
	filter.base = 0;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_DEVICE_ATTR, &attr), EINVAL);
	filter.base = 0x84000000u;
	filter.nr_functions = 1;
	EXPECT_EQ(ioctl(m.vm, KVM_HAS_DEVICE_ATTR, &attr), 0);
	attr.attr = 1;
	EXPECT_ERRNO(ioctl(m.vm, KVM_HAS_DEVICE_ATTR, &attr), ENXIO);
	attr.attr = 0;
	attr.group = 5;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_DEVICE_ATTR, &attr), ENXIO);
	attr.group = 0;
	ASSERT_EQ(ioctl(m.vm, KVM_SET_DEVICE_ATTR, &attr), 0);
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_DEVICE_ATTR, &attr), EEXIST);
	call(&c, PSCI_VERSION);
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_HYPERCALL);
	EXPECT_EQ(m.run[0]->hypercall.nr, PSCI_VERSION);
	EXPECT_EQ(m.run[0]->hypercall.flags, 0);
	set_x(m.vcpu[0], 0, 0x4242);
	EXPECT_REPORT(&m, 0, 0, 0x4242);
	filter.base++;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_DEVICE_ATTR, &attr), EBUSY);
	machine_free(&m);
}

TEST(a_record_of_stolen_time_lies_in_a_slot_that_may_be_written)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	uint64_t ipa = RAM + 32, got = 0;
	struct kvm_device_attr attr = {.group = KVM_ARM_VCPU_PVTIME_CTRL,
				       .attr = KVM_ARM_VCPU_PVTIME_IPA,
				       .addr = (uintptr_t)&ipa};
	const uint64_t rom = RAM + RAM_SIZE, hole = rom + PAGE, bare = rom + 2 * PAGE;
	void *page =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_READONLY, rom, PAGE, page), 0);
	ASSERT_EQ(set_slot(m.vm, 2, 0, bare, PAGE, (char *)page + PAGE), 0);
	ASSERT_EQ(munmap((char *)page + PAGE, PAGE), 0);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_DEVICE_ATTR, &attr), EINVAL);
	ipa = rom;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_DEVICE_ATTR, &attr), EINVAL);
	ipa = hole;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_DEVICE_ATTR, &attr), EINVAL);
	/* memory behind the slot is not asked for */
	ipa = bare;
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_SET_DEVICE_ATTR, &attr), 0);
	ipa = RAM;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_DEVICE_ATTR, &attr), EEXIST);
	attr.addr = (uintptr_t)&got;
	EXPECT_EQ(ioctl(m.vcpu[0], KVM_GET_DEVICE_ATTR, &attr), 0);
	EXPECT_EQ(got, bare);
	call(&c, 0xc5000021u); /* PV_TIME_ST */
	report(&c, 0, 0);
	code_done(&m);
	EXPECT_REPORT(&m, 0, 0, bare);
	machine_free(&m);
	munmap(page, PAGE);
}
