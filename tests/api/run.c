/* SPDX-License-Identifier: MIT */
/* KVM_RUN: exits and their completion, immediate_exit, signals. */
#include "vmm.h"

TEST(run_needs_an_initialised_vcpu_and_no_argument)
{
	struct machine m = machine_without_vcpus();
	unsigned reason;

	add_vcpu(&m);
	EXPECT_ERRNO(run(&m, 0), ENOEXEC);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_RUN, 1), EINVAL);
	init_vcpu(&m, 0, 0);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_RUN, 1), EINVAL);
	/* nothing at address 0: the fetch aborts, and its vector at 0 again, for ever; kicked out at once */
	m.run[0]->immediate_exit = 1;
	reason = m.run[0]->exit_reason = 1234;
	EXPECT_ERRNO(run(&m, 0), EINTR);
	EXPECT_EQ(m.run[0]->exit_reason, reason);
	machine_free(&m);
}

TEST(a_vcpu_that_was_never_mapped_runs_and_tells_later)
{
	struct machine m = machine_new(0);
	struct code c = code_at(&m, RAM);
	int copy;

	li(&c, 2, 7);
	report(&c, 2, 8);
	report(&c, 2, 16);
	code_done(&m);
	m.vcpu[m.nr++] = ioctl(m.vm, KVM_CREATE_VCPU, 0);
	init_vcpu(&m, 0, 0);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	EXPECT_EQ(run(&m, 0), 0);
	copy = dup(m.vcpu[0]);
	m.run[0] = mmap(NULL, ioctl(m.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
			MAP_SHARED, copy, 0);
	ASSERT(m.run[0] != MAP_FAILED);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, DEVICE + 8);
	EXPECT_REPORT(&m, 0, 16, 7);
	close(copy);
	machine_free(&m);
}

struct first_user {
	pthread_barrier_t *together;
	struct machine *m;
	int i;
	bool runs;
	struct kvm_run *run;
	int result;
};

static void *use_first(void *arg)
{
	struct first_user *u = arg;

	pthread_barrier_wait(u->together);
	if (u->runs)
		u->result = run(u->m, u->i);
	else
		u->run = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, u->m->vcpu[u->i],
			      0);
	return NULL;
}

TEST(a_vcpu_may_be_mapped_and_run_for_the_first_time_by_several_threads)
{
	for (unsigned round = 0; round < test_rounds(20, 2000); round++) {
		struct machine m = machine_new(0);
		struct code c = code_at(&m, RAM);
		pthread_barrier_t together;
		struct first_user u[3];
		pthread_t thread[3];

		report(&c, 31, 8);
		code_done(&m);
		m.vcpu[0] = ioctl(m.vm, KVM_CREATE_VCPU, 0);
		init_vcpu(&m, 0, 0);
		ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
		pthread_barrier_init(&together, NULL, 3);
		for (int i = 0; i < 3; i++) {
			u[i] = (struct first_user){.together = &together, .m = &m, .runs = i == 2};
			pthread_create(&thread[i], NULL, use_first, &u[i]);
		}
		for (int i = 0; i < 3; i++)
			pthread_join(thread[i], NULL);
		EXPECT_EQ(u[2].result, 0);
		for (int i = 0; i < 2; i++) {
			ASSERT(u[i].run != MAP_FAILED);
			EXPECT_EQ(u[i].run->exit_reason, KVM_EXIT_MMIO);
			munmap(u[i].run, 2 * PAGE);
		}
		pthread_barrier_destroy(&together);
		close(m.vcpu[0]);
		machine_free(&m);
	}
}

TEST(mmio_writes_carry_the_value)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	uint64_t value = 0x1122334455667788ull;

	li(&c, 1, DEVICE + 0x100);
	li(&c, 2, value);
	for (unsigned size = 1; size <= 8; size *= 2)
		str(&c, size, 2, 1, size);
	str(&c, 8, 31, 1, 16);
	report(&c, 2, 0);
	code_done(&m);
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t got = 0;

		EXPECT_EQ(run(&m, 0), 0);
		EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
		EXPECT_EQ(m.run[0]->mmio.phys_addr, DEVICE + 0x100 + size);
		EXPECT_EQ(m.run[0]->mmio.len, size);
		EXPECT_EQ(m.run[0]->mmio.is_write, 1);
		memcpy(&got, m.run[0]->mmio.data, size);
		EXPECT_EQ(got, size == 8 ? value : value & ((1ull << size * 8) - 1));
	}
	EXPECT_REPORT(&m, 0, 0x110, 0); /* xzr */
	EXPECT_REPORT(&m, 0, 0, value);
	machine_free(&m);
}

TEST(mmio_reads_extend_as_the_instruction_says)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	static const struct {
		unsigned size;
		int sign, w;
		uint64_t expect;
	} cases[] = {
		{1, 0, 0, 0x88},
		{2, 0, 0, 0x8788},
		{4, 0, 0, 0x85868788},
		{8, 0, 0, 0x8182838485868788},
		{1, 1, 0, 0xffffffffffffff88},
		{2, 1, 0, 0xffffffffffff8788},
		{4, 1, 0, 0xffffffff85868788},
		{1, 1, 1, 0xffffff88},
		{2, 1, 1, 0xffff8788},
	};
	const int nr = sizeof(cases) / sizeof(cases[0]);

	li(&c, 1, DEVICE + 0x200);
	for (int i = 0; i < nr; i++) {
		li(&c, 2, ~0ull);
		if (cases[i].sign)
			ldrs(&c, cases[i].size, 2, 1, cases[i].w);
		else
			ldr(&c, cases[i].size, 2, 1, 0);
		report(&c, 2, 0);
	}
	code_done(&m);
	for (int i = 0; i < nr; i++) {
		uint64_t data = 0x8182838485868788;

		EXPECT_EQ(run(&m, 0), 0);
		EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
		EXPECT_EQ(m.run[0]->mmio.phys_addr, DEVICE + 0x200);
		EXPECT_EQ(m.run[0]->mmio.len, cases[i].size);
		EXPECT_EQ(m.run[0]->mmio.is_write, 0);
		memcpy(m.run[0]->mmio.data, &data, 8);
		EXPECT_REPORT(&m, 0, 0, cases[i].expect);
	}
	machine_free(&m);
}

TEST(the_pc_stays_at_an_mmio_access_until_it_is_completed)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	li(&c, 1, DEVICE);
	uint64_t access = c.pc;
	ldr(&c, 8, 2, 1, 0);
	report(&c, 2, 8);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(get_reg(m.vcpu[0], CORE_REG(regs.pc)), access);
	*(uint64_t *)m.run[0]->mmio.data = 5;
	/* completed by a run that does not enter the guest */
	m.run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(&m, 0), EINTR);
	EXPECT_EQ(get_x(m.vcpu[0], 2), 5);
	m.run[0]->immediate_exit = 0;
	EXPECT_REPORT(&m, 0, 8, 5);
	machine_free(&m);
}

TEST(device_accesses_without_syndrome_are_enosys_or_nisv)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};

	li(&c, 1, DEVICE + 0x40);
	ldp(&c, 2, 3, 1);
	report(&c, 2, 0);
	code_done(&m);
	m.run[0]->exit_reason = 99;
	EXPECT_ERRNO(run(&m, 0), ENOSYS);
	ASSERT_EQ(ioctl(m.vm, KVM_ENABLE_CAP, &cap), 0);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_ARM_NISV);
	EXPECT_EQ(m.run[0]->arm_nisv.fault_ipa, DEVICE + 0x40);
	/* user space emulates it and steps over */
	set_x(m.vcpu[0], 2, 1234);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), get_reg(m.vcpu[0], CORE_REG(regs.pc)) + 4),
		  0);
	EXPECT_REPORT(&m, 0, 0, 1234);
	machine_free(&m);
}

TEST(a_fetch_from_nowhere_is_an_abort_in_the_guest)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x200);

	li(&c, 0, RAM + 0x1000);
	msr(&c, SYS_VBAR_EL1, 0);
	li(&c, 1, DEVICE);
	br(&c, 1);
	mrs(&v, 2, SYS_ESR_EL1);
	mrs(&v, 3, SYS_ELR_EL1);
	report(&v, 2, 0);
	report(&v, 3, 8);
	code_done(&m);
	/* instruction abort from the same level, external */
	EXPECT_REPORT(&m, 0, 0, 0x86000010);
	EXPECT_REPORT(&m, 0, 8, DEVICE);
	machine_free(&m);
}

static _Atomic int signals_seen;

static void on_signal(int sig)
{
	signals_seen++;
}

static void busy_loop(struct machine *m)
{
	struct code c = code_at(m, RAM);

	b_to(&c, RAM);
	code_done(m);
}

static void wfi_loop(struct machine *m)
{
	struct code c = code_at(m, RAM);

	put(&c, A64_WFI);
	b_to(&c, RAM);
	code_done(m);
}

static void expect_interrupted_by_signal(struct machine *m)
{
	struct runner r;
	struct sigaction sa = {.sa_handler = on_signal}, old;

	sigaction(SIGUSR1, &sa, &old);
	signals_seen = 0;
	runner_start(&r, m, 0);
	sleep_ms(50);
	EXPECT_EQ(r.done, 0);
	/* bench/latency measures how long it takes. */
	runner_interrupt(&r, SIGUSR1);
	EXPECT_EQ(r.result, -1);
	EXPECT_EQ(r.error, EINTR);
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_INTR);
	EXPECT_CMP(signals_seen, >=, 1);
	sigaction(SIGUSR1, &old, NULL);
}

TEST(a_signal_interrupts_a_busy_guest)
{
	struct machine m = machine_new(1);

	busy_loop(&m);
	expect_interrupted_by_signal(&m);
	expect_interrupted_by_signal(&m);
	machine_free(&m);
}

TEST(a_signal_interrupts_a_sleeping_guest)
{
	struct machine m = machine_new(1);

	wfi_loop(&m);
	expect_interrupted_by_signal(&m);
	expect_interrupted_by_signal(&m);
	machine_free(&m);
}

TEST(a_blocked_signal_does_not_interrupt_unless_the_run_mask_lets_it)
{
	struct machine m = machine_new(1);
	struct sigaction sa = {.sa_handler = on_signal}, old;
	sigset_t block, before;
	struct {
		struct kvm_signal_mask head;
		unsigned char set[8];
	} __attribute__((packed)) mask = {.head.len = 8};
	struct code c = code_at(&m, RAM);

	li(&c, 0, 7);
	report(&c, 0, 0);
	b_to(&c, RAM);
	code_done(&m);
	sigaction(SIGUSR1, &sa, &old);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, &before);
	signals_seen = 0;
	raise(SIGUSR1);
	/* pending but blocked */
	EXPECT_REPORT(&m, 0, 0, 7);
	mask.head.len = 16;
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_SET_SIGNAL_MASK, &mask), EINVAL);
	mask.head.len = 8;
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_SIGNAL_MASK, &mask), 0);
	EXPECT_ERRNO(run(&m, 0), EINTR);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_INTR);
	/* back to the thread's own mask, under which it is still pending */
	EXPECT_EQ(signals_seen, 0);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_SIGNAL_MASK, NULL), 0);
	EXPECT_REPORT(&m, 0, 0, 7);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	EXPECT_CMP(signals_seen, >=, 1);
	sigaction(SIGUSR1, &old, NULL);
	machine_free(&m);
}

TEST(immediate_exit_from_another_thread_ends_a_run)
{
	struct machine m = machine_new(1);
	struct sigaction sa = {.sa_handler = on_signal}, old;
	struct runner r;

	busy_loop(&m);
	sigaction(SIGUSR1, &sa, &old);
	runner_start(&r, &m, 0);
	sleep_ms(20);
	/* as VMMs do it: the flag against the race, a signal against sleep */
	m.run[0]->immediate_exit = 1;
	pthread_kill(r.thread, SIGUSR1);
	runner_join(&r);
	EXPECT_EQ(r.result, -1);
	EXPECT_EQ(r.error, EINTR);
	EXPECT_ERRNO(run(&m, 0), EINTR);
	m.run[0]->immediate_exit = 0;
	sigaction(SIGUSR1, &old, NULL);
	machine_free(&m);
}

TEST(a_second_thread_waits_for_the_vcpu)
{
	struct machine m = machine_new(1);
	struct sigaction sa = {.sa_handler = on_signal}, old;
	struct runner r;
	uint64_t pc;

	busy_loop(&m);
	sigaction(SIGUSR1, &sa, &old);
	runner_start(&r, &m, 0);
	sleep_ms(200);
	pthread_kill(r.thread, SIGUSR1);
	/* may wait for the run to end, never disturbs it */
	pc = get_reg(m.vcpu[0], CORE_REG(regs.pc));
	EXPECT_EQ(pc, RAM);
	runner_join(&r);
	EXPECT_EQ(r.error, EINTR);
	sigaction(SIGUSR1, &old, NULL);
	machine_free(&m);
}

TEST(guests_share_memory_coherently)
{
	struct machine m = machine_new(2);
	struct code c = code_at(&m, RAM);
	struct runner r[2];
	const unsigned rounds = 2000;

	/* x0 is this vCPU's turn (0 or 1): wait until [x1] == turn, hand over; 2 * rounds handovers */
	uint64_t loop = c.pc;
	ldr(&c, 8, 3, 1, 0);
	put(&c, 0x92400064u); /* and x4, x3, #1 */
	put(&c, 0xca000084u); /* eor x4, x4, x0 */
	cbnz_to(&c, 4, loop);
	add_imm(&c, 3, 3, 1);
	put(&c, A64_DSB);
	str(&c, 8, 3, 1, 0);
	sub_imm(&c, 2, 2, 1);
	cbnz_to(&c, 2, loop);
	report(&c, 3, 0);
	code_done(&m);
	init_vcpu(&m, 1, 0);
	*(uint64_t *)(m.ram + 0x8000) = 0;
	for (int i = 0; i < 2; i++) {
		set_x(m.vcpu[i], 0, i);
		set_x(m.vcpu[i], 1, RAM + 0x8000);
		set_x(m.vcpu[i], 2, rounds);
		ASSERT_EQ(set_reg(m.vcpu[i], CORE_REG(regs.pc), RAM), 0);
		runner_start(&r[i], &m, i);
	}
	for (int i = 0; i < 2; i++) {
		runner_join(&r[i]);
		EXPECT_EQ(r[i].result, 0);
		EXPECT_EQ(m.run[i]->exit_reason, KVM_EXIT_MMIO);
	}
	EXPECT_EQ(*(uint64_t *)(m.ram + 0x8000), 2 * rounds);
	machine_free(&m);
}

TEST(an_access_beyond_the_physical_addresses_faults_with_the_address_that_was_too_large)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM), v = code_at(&m, RAM + 0x1000 + 0x200);
	const uint64_t table = RAM + 0x8000;

	li(&c, 0, RAM + 0x1000);
	msr(&c, SYS_VBAR_EL1, 0);
	/* 4 KiB granule, 39 bits of virtual addresses: 1 GiB blocks, 48 bits of output */
	li(&c, 0, 25 | 5ull << 32 | 1ull << 23);
	msr(&c, SYS(3, 0, 2, 0, 2), 0);
	li(&c, 0, table);
	msr(&c, SYS(3, 0, 2, 0, 0), 0);
	li(&c, 0, 0);
	msr(&c, SYS(3, 0, 10, 2, 0), 0);
	put(&c, A64_ISB);
	li(&c, 0, 0xc50079);
	msr(&c, SYS(3, 0, 1, 0, 0), 0);
	put(&c, A64_ISB);
	li(&c, 1, (2ull << 30) + 0x12340);
	ldr(&c, 8, 2, 1, 8);
	b_to(&c, c.pc);
	mrs(&v, 2, SYS_ESR_EL1);
	report(&v, 2, 0);
	mrs(&v, 2, SYS_FAR_EL1);
	report(&v, 2, 8);
	code_done(&m);
	/* this memory and the device, each where it is; and what a VM of 40 bits has not */
	((uint64_t *)(m.ram + 0x8000))[1] = RAM | 0x701;
	((uint64_t *)(m.ram + 0x8000))[0] = 0x701;
	((uint64_t *)(m.ram + 0x8000))[2] = (1ull << 40) | 0x701;
	/* a synchronous external abort, below the addresses that no VM can have */
	EXPECT_REPORT(&m, 0, 0, 0x96000010);
	EXPECT_REPORT(&m, 0, 8, (1ull << 40) + 0x12348);
	machine_free(&m);
}
