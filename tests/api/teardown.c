/* SPDX-License-Identifier: MIT */
/*
 * The end of the address space: anykvm_mm_release while machines run. A kernel does this when the last thread of the process has
 * left, so there no thread can look.
 */
#include "vmm.h"

#ifndef ANYKVM_REAL
#include <anykvm.h>

/* Guest: counts in memory for ever. */
static void count_on(struct machine *m)
{
	struct code c = code_at(m, RAM);
	uint64_t loop;

	li(&c, 1, RAM + 0x2000);
	loop = c.pc;
	add_imm(&c, 0, 0, 1);
	str(&c, 8, 0, 1, 0);
	b_to(&c, loop);
	code_done(m);
}

static void expect_dead(struct machine *m)
{
	struct kvm_dirty_log log = {.slot = 0};

	EXPECT_EQ(run(m, 0), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(set_slot(m->vm, 1, 0, RAM + RAM_SIZE, PAGE, m->ram), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(ioctl(m->vm, KVM_GET_DIRTY_LOG, &log), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(ioctl(m->vm, KVM_CREATE_VCPU, 9), -1);
	EXPECT_EQ(errno, EIO);
}

TEST(a_release_ends_vcpus_that_run_sleep_and_wait_to_be_started)
{
	for (unsigned round = 0; round < test_rounds(20, 2000); round++) {
		struct machine m = machine_new(3);
		volatile uint64_t *word = (uint64_t *)(m.ram + 0x2000);
		struct runner r[3];
		uint64_t last;

		count_on(&m);
		/* wfi; b . */
		memcpy(m.ram + 0x1000, (uint32_t[]){0xd503207f, 0x14000000}, 8);
		code_done(&m);
		init_vcpu(&m, 1, 0);
		ASSERT_EQ(set_reg(m.vcpu[1], CORE_REG(regs.pc), RAM + 0x1000), 0);
		for (int i = 0; i < 3; i++)
			runner_start(&r[i], &m, i);
		while (!*word)
			sleep_ms(1);
		sleep_ms(round % 3);
		anykvm_mm_release();
		/* Nobody writes any more. */
		last = *word;
		for (volatile unsigned spin = 0; spin < 100000; spin++)
			;
		EXPECT_EQ(*word, last);
		for (int i = 0; i < 3; i++) {
			runner_join(&r[i]);
			EXPECT_EQ(r[i].result, -1);
			EXPECT_EQ(r[i].error, EIO);
		}
		expect_dead(&m);
		anykvm_mm_release();
		/* What it was is still there to be closed, and the memory is the VMM's. */
		EXPECT_EQ(*word, last);
		machine_free(&m);
	}
}

static void *release_on(void *over)
{
	while (!__atomic_load_n((int *)over, __ATOMIC_ACQUIRE))
		anykvm_mm_release();
	return NULL;
}

TEST(releases_meet_machines_that_come_and_go)
{
	pthread_t t[2];
	int over = 0;

	for (unsigned i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, release_on, &over), 0);
	for (unsigned i = 0; i < test_rounds(500, 50000); i++) {
		struct kvm_userspace_memory_region s = {
			.guest_phys_addr = RAM, .memory_size = PAGE, .userspace_addr = PAGE};
		int kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu;

		EXPECT(vm >= 0);
		EXPECT(!ioctl(vm, KVM_SET_USER_MEMORY_REGION, &s) || errno == EIO);
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
		EXPECT(vcpu >= 0 || errno == EIO);
		if (vcpu >= 0)
			close(vcpu);
		close(vm);
		close(kvm);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

#else
TEST(a_release_ends_vcpus_that_run_sleep_and_wait_to_be_started)
{
	SKIP("on a kernel the address space ends with the process");
}
#endif
