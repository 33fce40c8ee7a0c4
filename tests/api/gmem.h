/* SPDX-License-Identifier: MIT */
/* A machine with guest_memfd, and what tests of it do again and again. */
#ifndef ANYKVM_TESTS_API_GMEM_H
#define ANYKVM_TESTS_API_GMEM_H

#include "vmm.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>

#define GPA	 0x50000000ull
#define SIZE	 (4ull << 20)
#define SHARED	 (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define ALLOCATE FALLOC_FL_KEEP_SIZE
#define PUNCH	 (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)

static inline int gmem_new(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd a = {.size = size, .flags = flags};

	return ioctl(vm, KVM_CREATE_GUEST_MEMFD, &a);
}

static inline int gmem_slot(int vm, unsigned slot, uint64_t gpa, uint64_t size, int fd,
			    uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = {.slot = slot,
						 .flags = KVM_MEM_GUEST_MEMFD,
						 .guest_phys_addr = gpa,
						 .memory_size = size,
						 .userspace_addr = 0x10000000,
						 .guest_memfd_offset = offset,
						 .guest_memfd = fd};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static inline unsigned char *gmem_map(int fd, uint64_t size)
{
	unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT(p != MAP_FAILED);
	return p;
}

/* Guest: reports the doubleword at x1, for ever. x1 is set anew each time. */
static inline void reporter(struct machine *m)
{
	struct code c = code_at(m, RAM);

	ldr(&c, 8, 2, 1, 0);
	report(&c, 2, 0);
	b_to(&c, RAM);
	code_done(m);
}

static inline void restart_at(struct machine *m, uint64_t pc, uint64_t x1)
{
	/* what the last exit left to do comes first: it steps over its instruction */
	m->run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(m, 0), EINTR);
	m->run[0]->immediate_exit = 0;
	set_x(m->vcpu[0], 1, x1);
	ASSERT_EQ(set_reg(m->vcpu[0], CORE_REG(regs.pc), pc), 0);
}

/* Guest code that says value, in a page of its own at p. */
static inline void say(unsigned char *p, uint64_t gpa, uint64_t value)
{
	struct code c = {(uint32_t *)p, gpa};

	li(&c, 3, value);
	report(&c, 3, 0);
	b_to(&c, gpa);
	__builtin___clear_cache((char *)p, (char *)p + PAGE);
}

/* A load from addr leaves KVM_RUN with that errno and the page's address. */
static inline void expect_memory_fault(struct machine *m, uint64_t addr, int error)
{
	struct kvm_run *run_ = m->run[0];

	restart_at(m, RAM, addr);
	memset(&run_->memory_fault, 0xff, sizeof(run_->memory_fault));
	EXPECT_ERRNO(run(m, 0), error);
	EXPECT_EQ(run_->exit_reason, KVM_EXIT_MEMORY_FAULT);
	EXPECT_EQ(run_->memory_fault.gpa, addr & ~(PAGE - 1));
	EXPECT_EQ(run_->memory_fault.size, PAGE);
	EXPECT_EQ(run_->memory_fault.flags, 0);
}

/* A fresh machine whose guest reports what it loads, with guest_memfd at GPA. */
static inline struct machine machine_with_gmem(int *fd, unsigned char **p)
{
	struct machine m = machine_new(1);

	reporter(&m);
	*fd = gmem_new(m.vm, SIZE, SHARED);
	ASSERT(*fd >= 0);
	*p = gmem_map(*fd, SIZE);
	ASSERT_EQ(gmem_slot(m.vm, 1, GPA, SIZE, *fd, 0), 0);
	return m;
}

static sigjmp_buf bus_error;

static inline void on_bus(int sig)
{
	siglongjmp(bus_error, 1);
}

/* Whether the host gets SIGBUS for a touch of p. */
static inline int touch_fails(volatile unsigned char *p)
{
	struct sigaction sa = {.sa_handler = on_bus}, old;
	int failed = 1;

	sigaction(SIGBUS, &sa, &old);
	if (!sigsetjmp(bus_error, 1)) {
		(void)*p;
		failed = 0;
	}
	sigaction(SIGBUS, &old, NULL);
	return failed;
}

#endif
