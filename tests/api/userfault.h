/* SPDX-License-Identifier: MIT */
/* Pagers, guests and threads for the tests of userfaultfd. */
#ifndef ANYKVM_TESTS_API_USERFAULT_H
#define ANYKVM_TESTS_API_USERFAULT_H

#include "vmm.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/wait.h>

#ifdef ANYKVM_REAL
#define userfaultfd(flags) ((int)syscall(SYS_userfaultfd, flags))
#else
#define userfaultfd(flags) anykvm_userfaultfd(flags)
#endif

#define GPA   0x80000000ull
#define PAGES 16
#define SIZE  (PAGES * PAGE)

/* --- a pager ------------------------------------------------------------------------------------------------------------- */

static inline int uffd_open(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int uffd = userfaultfd(O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		SKIP("userfaultfd needs a privilege here");
	ASSERT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	ASSERT_EQ(api.features & features, features);
	return uffd;
}

static inline int uffd_register(int uffd, void *at, uint64_t len, uint64_t mode)
{
	struct uffdio_register reg = {.range = {(uintptr_t)at, len}, .mode = mode};
	int r = ioctl(uffd, UFFDIO_REGISTER, &reg);

	if (!r) {
		EXPECT(reg.ioctls & 1 << _UFFDIO_WAKE);
		EXPECT(reg.ioctls & 1 << _UFFDIO_COPY);
		EXPECT(!(mode & UFFDIO_REGISTER_MODE_MINOR) || reg.ioctls & 1 << _UFFDIO_CONTINUE);
	}
	return r;
}

static inline int uffd_unregister(int uffd, void *at, uint64_t len)
{
	struct uffdio_range range = {(uintptr_t)at, len};

	return ioctl(uffd, UFFDIO_UNREGISTER, &range);
}

static inline unsigned char *memory_new(void)
{
	unsigned char *p =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	madvise(p, SIZE, MADV_NOHUGEPAGE);
	return p;
}

static inline int copy_page(int uffd, void *dst, uint64_t first, uint64_t mode)
{
	uint64_t page[PAGE / 8] = {[0] = first, [PAGE / 8 - 1] = first};
	struct uffdio_copy copy = {
		.dst = (uintptr_t)dst, .src = (uintptr_t)page, .len = PAGE, .mode = mode};
	int r = ioctl(uffd, UFFDIO_COPY, &copy);

	if (!r)
		EXPECT_EQ(copy.copy, (int64_t)PAGE);
	else
		EXPECT_EQ(copy.copy, -errno);
	return r;
}

/* A page of a file that has been made shorter: EFAULT, and since Linux 7.2 ENOMEM. */
static inline void expect_no_copy_beyond_the_end(int uffd, void *at)
{
	EXPECT_EQ(copy_page(uffd, at, 1, 0), -1);
	EXPECT(errno == EFAULT || errno == ENOMEM);
}

static inline int continue_page(int uffd, void *at)
{
	struct uffdio_continue cont = {.range = {(uintptr_t)at, PAGE}};

	return ioctl(uffd, UFFDIO_CONTINUE, &cont);
}

/* The next message, within ten seconds. */
static inline struct uffd_msg message(int uffd)
{
	struct pollfd p = {.fd = uffd, .events = POLLIN};
	struct uffd_msg msg = {0};

	for (int i = 0; i < 1000; i++) {
		if (poll(&p, 1, 10) == 1 && read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
			EXPECT_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
			return msg;
		}
	}
	TEST_FAIL("no message");
	return msg;
}

#define EXPECT_ASKED(uffd, at, wanted)                                                \
	do {                                                                          \
		struct uffd_msg msg_ = message(uffd);                                 \
                                                                                      \
		EXPECT_EQ(msg_.arg.pagefault.address & ~(PAGE - 1), (uintptr_t)(at)); \
		EXPECT_EQ(msg_.arg.pagefault.flags, (uint64_t)(wanted));              \
	} while (0)

static inline void expect_silence(int uffd)
{
	struct uffd_msg msg;

	EXPECT_ERRNO(read(uffd, &msg, sizeof(msg)), EAGAIN);
}

struct pager {
	int uffd;
	unsigned char *memory;
	_Atomic int stop, asked, wrote;
	pthread_t thread;
};

/* Each page begins with 0x1000 and its number. */
static inline void *pager_main(void *arg)
{
	struct pager *p = arg;

	while (!p->stop) {
		struct pollfd pfd = {.fd = p->uffd, .events = POLLIN};
		struct uffd_msg msg;
		uint64_t at;

		if (poll(&pfd, 1, 10) != 1 || read(p->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		at = msg.arg.pagefault.address & ~(PAGE - 1);
		p->wrote += !!(msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE);
		p->asked++;
		if (copy_page(p->uffd, (void *)at, 0x1000 + (at - (uintptr_t)p->memory) / PAGE, 0))
			EXPECT(errno == EEXIST || errno == ENOENT);
	}
	return NULL;
}

static inline struct pager *pager_new(unsigned char *memory)
{
	struct pager *p = calloc(1, sizeof(*p));

	p->uffd = uffd_open(0);
	p->memory = memory;
	ASSERT_EQ(uffd_register(p->uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(pthread_create(&p->thread, NULL, pager_main, p), 0);
	return p;
}

static inline void pager_free(struct pager *p)
{
	p->stop = 1;
	pthread_join(p->thread, NULL);
	EXPECT_EQ(close(p->uffd), 0);
	free(p);
}

/* --- guests -------------------------------------------------------------------------------------------------------------- */

/* Reports x8 after the instructions in between, with the address in x1. */
static inline struct machine guest_over(void *memory, unsigned flags)
{
	struct machine m = machine_new(1);

	ASSERT_EQ(set_slot(m.vm, 1, flags, GPA, SIZE, memory), 0);
	return m;
}

static inline void guest_from(struct machine *m, uint64_t gpa)
{
	set_x(m->vcpu[0], 1, gpa);
	ASSERT_EQ(set_reg(m->vcpu[0], CORE_REG(regs.pc), RAM), 0);
}

/* What a load at gpa gives. */
static inline uint64_t guest_loads(struct machine *m, uint64_t gpa)
{
	uint64_t value = 0;
	struct code c = code_at(m, RAM);

	ldr(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	code_done(m);
	guest_from(m, gpa);
	EXPECT_EQ(run(m, 0), 0);
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_MMIO);
	memcpy(&value, m->run[0]->mmio.data, 8);
	m->run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(m, 0), EINTR);
	m->run[0]->immediate_exit = 0;
	return value;
}

/* --- the program's own threads ------------------------------------------------------------------------------------------- */

struct reader {
	volatile uint64_t *at;
	uint64_t value;
	_Atomic int tid, done;
	bool write;
	pthread_t thread;
};

static inline void *reader_main(void *arg)
{
	struct reader *r = arg;

	r->tid = syscall(SYS_gettid);
	if (r->write)
		*r->at = r->value;
	else
		r->value = *r->at;
	r->done = 1;
	return NULL;
}

static inline void reader_start(struct reader *r, void *at, bool write, uint64_t value)
{
	*r = (struct reader){.at = at, .write = write, .value = value};
	ASSERT_EQ(pthread_create(&r->thread, NULL, reader_main, r), 0);
}

#endif
