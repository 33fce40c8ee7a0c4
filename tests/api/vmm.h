/* SPDX-License-Identifier: MIT */
/*
 * The smallest VMM: what each test of this folder starts from. The same sources build for a plain arm64 /dev/kvm with
 * -DANYKVM_REAL and must pass there: they test KVM's behaviour, not this library's idea of it.
 */
#ifndef ANYKVM_TESTS_API_VMM_H
#define ANYKVM_TESTS_API_VMM_H

#ifdef ANYKVM_REAL
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <anykvm/kvm.h>
#else
#include <anykvm/redirect.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#include "a64.h"
#include "../test.h"

#define PAGE	 4096ull
#define RAM	 0x40000000ull /* guest address of the memory every machine here has */
#define RAM_SIZE (4ull << 20)
#define DEVICE	 0x10000000ull /* nothing is there: accesses leave KVM_RUN */
#define MAX_CPUS 4

struct machine {
	int kvm, vm;
	int vcpu[MAX_CPUS];
	struct kvm_run *run[MAX_CPUS];
	int nr;
	unsigned char *ram; /* host address of RAM */
};

#define CORE_REG(name) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

static inline int set_slot(int vm, unsigned slot, unsigned flags, uint64_t gpa, uint64_t size,
			   void *hva)
{
	struct kvm_userspace_memory_region r = {.slot = slot,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)hva};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static inline int set_reg(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(vcpu, KVM_SET_ONE_REG, &r);
}

static inline uint64_t get_reg(int vcpu, uint64_t id)
{
	uint64_t value = ~0ull;
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&value};

	if (ioctl(vcpu, KVM_GET_ONE_REG, &r))
		TEST_FAIL("KVM_GET_ONE_REG %llx", (unsigned long long)id);
	return value;
}

static inline void set_x(int vcpu, unsigned n, uint64_t value)
{
	EXPECT_EQ(set_reg(vcpu, CORE_REG(regs.regs[0]) + 2 * n, value), 0);
}

static inline uint64_t get_x(int vcpu, unsigned n)
{
	return get_reg(vcpu, CORE_REG(regs.regs[0]) + 2 * n);
}

static inline int open_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	ASSERT(kvm >= 0);
	return kvm;
}

static inline struct machine machine_without_vcpus(void)
{
	struct machine m = {.kvm = open_kvm()};

	m.vm = ioctl(m.kvm, KVM_CREATE_VM, 0);
	ASSERT(m.vm >= 0);
	m.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(m.ram != MAP_FAILED);
	ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, RAM_SIZE, m.ram), 0);
	return m;
}

static inline void add_vcpu(struct machine *m)
{
	int i = m->nr++;

	m->vcpu[i] = ioctl(m->vm, KVM_CREATE_VCPU, i);
	ASSERT(m->vcpu[i] >= 0);
	m->run[i] = mmap(NULL, ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
			 MAP_SHARED, m->vcpu[i], 0);
	ASSERT(m->run[i] != MAP_FAILED);
}

static inline void init_vcpu(struct machine *m, int i, unsigned features)
{
	struct kvm_vcpu_init init;

	ASSERT_EQ(ioctl(m->vm, KVM_ARM_PREFERRED_TARGET, &init), 0);
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2 | features;
	ASSERT_EQ(ioctl(m->vcpu[i], KVM_ARM_VCPU_INIT, &init), 0);
}

/* One vCPU that starts at RAM; the others, if any, wait for CPU_ON. */
static inline struct machine machine_new(int nr)
{
	struct machine m = machine_without_vcpus();

	for (int i = 0; i < nr; i++)
		add_vcpu(&m);
	for (int i = 0; i < nr; i++)
		init_vcpu(&m, i, i ? 1u << KVM_ARM_VCPU_POWER_OFF : 0);
	if (nr)
		ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	return m;
}

static inline void machine_free(struct machine *m)
{
	long size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	for (int i = 0; i < m->nr; i++) {
		EXPECT_EQ(munmap(m->run[i], size), 0);
		EXPECT_EQ(close(m->vcpu[i]), 0);
	}
	EXPECT_EQ(close(m->vm), 0);
	EXPECT_EQ(close(m->kvm), 0);
	EXPECT_EQ(munmap(m->ram, RAM_SIZE), 0);
}

static inline struct code code_at(struct machine *m, uint64_t gpa)
{
	return (struct code){(uint32_t *)(m->ram + (gpa - RAM)), gpa};
}

/* Instructions written by the host are seen by the guest: real caches need telling. */
static inline void code_done(struct machine *m)
{
	__builtin___clear_cache((char *)m->ram, (char *)m->ram + 0x10000);
}

static inline int run(struct machine *m, int i)
{
	return ioctl(m->vcpu[i], KVM_RUN, 0);
}

/* The guest stored `value` (8 bytes) at DEVICE + off: the way a guest tells something here. */
#define EXPECT_REPORT(m, i, off, value)                          \
	do {                                                     \
		struct kvm_run *run_ = (m)->run[i];              \
		uint64_t got_ = 0;                               \
		EXPECT_EQ(run(m, i), 0);                         \
		EXPECT_EQ(run_->exit_reason, KVM_EXIT_MMIO);     \
		EXPECT_EQ(run_->mmio.phys_addr, DEVICE + (off)); \
		EXPECT_EQ(run_->mmio.is_write, 1);               \
		EXPECT_EQ(run_->mmio.len, 8);                    \
		memcpy(&got_, run_->mmio.data, 8);               \
		EXPECT_EQ(got_, (uint64_t)(value));              \
	} while (0)

/* Completes the access of an MMIO exit, and no more. */
static inline void complete(struct machine *m, int i)
{
	m->run[i]->immediate_exit = 1;
	EXPECT_EQ(run(m, i), -1);
	m->run[i]->immediate_exit = 0;
}

/* Guest part: str xt, [DEVICE + off]; x30 is lost. */
static inline void report(struct code *c, unsigned rt, unsigned off)
{
	li(c, 30, DEVICE);
	str(c, 8, rt, 30, off);
}

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

	nanosleep(&t, NULL);
}

/* Runs vCPU i in a thread of its own until KVM_RUN returns; result and errno in the struct. */
struct runner {
	struct machine *m;
	int i, result, error;
	_Atomic int done;
	pthread_t thread;
};

static inline void *runner_main(void *arg)
{
	struct runner *r = arg;

	r->result = run(r->m, r->i);
	r->error = errno;
	r->done = 1;
	return NULL;
}

static inline void runner_start(struct runner *r, struct machine *m, int i)
{
	*r = (struct runner){.m = m, .i = i};
	ASSERT_EQ(pthread_create(&r->thread, NULL, runner_main, r), 0);
}

static inline void runner_join(struct runner *r)
{
	pthread_join(r->thread, NULL);
}

/*
 * Ends a run by a signal that has a handler. One that comes before KVM_RUN is handled there and then and lost to the run, so it
 * is sent again.
 */
static inline void runner_interrupt(struct runner *r, int sig)
{
	for (int i = 0; i < 1000 && !r->done; i++) {
		pthread_kill(r->thread, sig);
		sleep_ms(10);
	}
	ASSERT(r->done);
	runner_join(r);
}

/* A call that must fail with that errno. */
#define EXPECT_ERRNO(call, err)                                                                \
	do {                                                                                   \
		errno = 0;                                                                     \
		long r_ = (long)(call);                                                        \
		int e_ = errno;                                                                \
		if (r_ != -1 || e_ != (err))                                                   \
			TEST_FAIL("%s gave %ld errno %d, expected -1 errno %d", #call, r_, e_, \
				  (int)(err));                                                 \
	} while (0)

/* An address that cannot be read or written. */
static inline void *bad_pointer(void)
{
	static void *_Atomic page;

	/* Of threads that come here together, the last one's stays. */
	if (!page)
		page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page;
}

#endif
