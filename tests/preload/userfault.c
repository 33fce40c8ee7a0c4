/* SPDX-License-Identifier: MIT */
/*
 * Whose userfaultfd a program gets: the host's if it can be had, for user mode alone if no more is allowed, else the library's. Each
 * test in a child, since it gives up what the next one needs. What both of them do is in ../api/userfault.c.
 */
#include "../api/vmm.h"
#include "preload.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define NOBODY	65534
#define SKIPPED 77

enum owner { HOSTS, OURS };

static bool forced(void)
{
	const char *policy = getenv("ANYKVM_USERFAULTFD");

	return policy && !strcmp(policy, "emulate");
}

/* By the link: what the system itself makes has its name. */
static enum owner owner_of(int fd)
{
	char path[64], target[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "userfaultfd")
		       ? HOSTS
		       : OURS;
}

/* qemu-user: it takes any advice and does nothing. */
static bool is_emulated(void)
{
	return !madvise(NULL, 0, 0x7fff);
}

struct touch {
	volatile unsigned char *at;
	int value;
};

static void *touch_main(void *arg)
{
	struct touch *t = arg;

	t->value = *t->at;
	return NULL;
}

/* A thread touches a missing page and gets what is copied there. */
static void serves(int uffd)
{
	unsigned char *memory =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.range = {(uintptr_t)memory, PAGE},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_copy copy = {
		.dst = (uintptr_t)memory, .src = (uintptr_t)memory + PAGE, .len = PAGE};
	struct touch t = {.at = memory};
	struct uffd_msg msg = {0};
	pthread_t thread;

	memory[PAGE] = 42;
	EXPECT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	EXPECT_EQ(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, touch_main, &t), 0);
	EXPECT_EQ(read(uffd, &msg, sizeof(msg)), sizeof(msg));
	EXPECT_EQ(msg.arg.pagefault.address, (uintptr_t)memory);
	EXPECT_EQ(ioctl(uffd, UFFDIO_COPY, &copy), 0);
	pthread_join(thread, NULL);
	EXPECT_EQ(t.value, 42);
	EXPECT_EQ(close(uffd), 0);
	munmap(memory, 2 * PAGE);
}

/* fn in a child: its failures are this process's, SKIPPED says that it cannot be tried here. */
static bool in_child(void (*fn)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		fn();
		fflush(stdout);
		_exit(test_failed ? 1 : 0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		return false;
	EXPECT_EQ(WEXITSTATUS(status), 0);
	return true;
}

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#else
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

/* As a container's profile does it: EPERM. False: no filters here. */
static bool refuse(unsigned nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) &&
	       raw_syscall(nr, 0, 0, 0, 0) == -EPERM;
}

static void filtered(void)
{
	int uffd;

	if (!refuse(SYS_userfaultfd))
		_exit(SKIPPED);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	EXPECT(uffd >= 0);
	EXPECT_EQ(owner_of(uffd), OURS);
	serves(uffd);
}

TEST(where_a_filter_refuses_it_is_the_librarys)
{
	if (!in_child(filtered))
		SKIP("no seccomp filters here");
}

static void unprivileged(void)
{
	int uffd;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    raw_syscall(SYS_userfaultfd, 0) != -EPERM)
		_exit(SKIPPED);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	EXPECT(uffd >= 0);
	EXPECT_EQ(owner_of(uffd), HOSTS);
	serves(uffd);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	EXPECT_EQ(owner_of(uffd), HOSTS);
	close(uffd);
}

TEST(without_privilege_it_is_the_hosts_for_user_mode)
{
	if (forced())
		SKIP("the host's is not to be tried");
	if (!in_child(unprivileged))
		SKIP("this host refuses nobody, or everybody");
}

static void by_device(void)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), uffd;

	if (device < 0)
		_exit(SKIPPED);
	uffd = ioctl(device, _IO(0xaa, 0), O_CLOEXEC);
	EXPECT(uffd >= 0);
	if (forced())
		EXPECT_EQ(owner_of(uffd), OURS);
	serves(uffd);
	EXPECT_ERRNO(ioctl(device, _IO(0xaa, 0), O_APPEND), EINVAL);
	close(device);
}

TEST(the_device_makes_them_too)
{
	if (!in_child(by_device))
		SKIP("no /dev/userfaultfd");
}

static unsigned char *registered(int uffd)
{
	unsigned char *memory =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.range = {(uintptr_t)memory, 4 * PAGE},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};

	EXPECT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	EXPECT_EQ(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	return memory;
}

static void closed_behind_its_back(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	unsigned char *memory;

	if (uffd < 0)
		_exit(SKIPPED);
	memory = registered(uffd);
	EXPECT_EQ(raw_syscall(SYS_close, uffd), 0);
	EXPECT_EQ(memory[0], 0);
	memory[2 * PAGE] = 1;
	/* The number is somebody else's now. */
	EXPECT_EQ(open("/dev/null", O_RDWR | O_CLOEXEC), uffd);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, memory), ENOTTY);
	EXPECT_EQ(close(uffd), 0);
}

TEST(a_raw_close_is_noticed)
{
	if (!in_child(closed_behind_its_back))
		SKIP("no userfaultfd");
}

/* --- accesses that the system makes --- */

struct transfer {
	int fd;
	unsigned char *at;
	bool incoming;
	long result;
};

static void *transfer_main(void *arg)
{
	struct transfer *t = arg;
	struct iovec iov[2] = {{t->at, 8}, {t->at + PAGE, 8}};

	t->result = t->incoming ? readv(t->fd, iov, 2) : write(t->fd, t->at + 2 * PAGE, 8);
	return NULL;
}

static void serve_one(int uffd, unsigned char *at, char first)
{
	static _Alignas(4096) char page[PAGE];
	struct uffdio_copy copy = {.src = (uintptr_t)page, .len = PAGE};
	struct uffd_msg msg = {0};

	page[0] = first;
	EXPECT_EQ(read(uffd, &msg, sizeof(msg)), sizeof(msg));
	EXPECT_EQ(msg.arg.pagefault.address, (uintptr_t)at);
	copy.dst = msg.arg.pagefault.address;
	EXPECT_EQ(ioctl(uffd, UFFDIO_COPY, &copy), 0);
}

/* What a VMM does for its guest's disk. */
static void transfers(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC), ends[2];
	unsigned char *memory;
	struct transfer t;
	pthread_t thread;
	char got[16];

	if (uffd < 0)
		_exit(SKIPPED);
	memory = registered(uffd);
	EXPECT_EQ(pipe(ends), 0);
	EXPECT_EQ(write(ends[1], "0123456789abcdef", 16), 16);
	t = (struct transfer){.fd = ends[0], .at = memory, .incoming = true};
	EXPECT_EQ(pthread_create(&thread, NULL, transfer_main, &t), 0);
	serve_one(uffd, memory, 'x');
	serve_one(uffd, memory + PAGE, 'y');
	pthread_join(thread, NULL);
	EXPECT_EQ(t.result, 16);
	EXPECT_EQ(memory[0], '0');
	EXPECT_EQ(memory[PAGE], '8');
	t = (struct transfer){.fd = ends[1], .at = memory};
	EXPECT_EQ(pthread_create(&thread, NULL, transfer_main, &t), 0);
	serve_one(uffd, memory + 2 * PAGE, 'z');
	pthread_join(thread, NULL);
	EXPECT_EQ(t.result, 8);
	EXPECT_EQ(read(ends[0], got, 8), 8);
	EXPECT_EQ(got[0], 'z');
	/* Nothing that was wrong is right now. */
	EXPECT_ERRNO(readv(ends[0], bad_pointer(), 1), EFAULT);
	EXPECT_ERRNO(write(ends[1], bad_pointer(), 1), EFAULT);
}

TEST(a_system_call_waits_for_its_memory)
{
	if (!in_child(transfers))
		SKIP("no userfaultfd");
}

static void transfers_unprivileged(void)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    raw_syscall(SYS_userfaultfd, 0) != -EPERM)
		_exit(SKIPPED);
	transfers();
}

TEST(a_system_call_waits_for_its_memory_without_privilege_too)
{
	if (forced())
		SKIP("the host's is not to be tried");
	if (!in_child(transfers_unprivileged))
		SKIP("this host refuses nobody, or everybody");
}

/* --- signals while a system call waits for its memory --- */

static _Atomic int handled;

static void handle(int signo)
{
	(void)signo;
	handled++;
}

static void *waiting_read(void *arg)
{
	sigset_t none;

	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	return transfer_main(arg);
}

/* A thread reads into the missing first page; it alone takes signals. */
static pthread_t wait_in_read(int uffd, struct transfer *t)
{
	struct uffd_msg msg = {0};
	pthread_t thread;
	sigset_t all;
	int ends[2];

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	EXPECT_EQ(pipe(ends), 0);
	EXPECT_EQ(write(ends[1], "0123456789abcdef", 16), 16);
	*t = (struct transfer){.fd = ends[0], .at = registered(uffd), .incoming = true};
	EXPECT_EQ(pthread_create(&thread, NULL, waiting_read, t), 0);
	EXPECT_EQ(read(uffd, &msg, sizeof(msg)), sizeof(msg));
	EXPECT_EQ(msg.arg.pagefault.address, (uintptr_t)t->at);
	return thread;
}

static void zero_page(int uffd, unsigned char *at)
{
	struct uffdio_zeropage zero = {.range = {(uintptr_t)at, PAGE}};

	EXPECT_EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
}

static void handled_late(void)
{
	struct sigaction act = {.sa_handler = handle};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct transfer t;
	pthread_t thread;

	if (uffd < 0)
		_exit(SKIPPED);
	EXPECT_EQ(sigaction(SIGUSR1, &act, NULL), 0);
	thread = wait_in_read(uffd, &t);
	EXPECT_EQ(pthread_kill(thread, SIGUSR1), 0);
	usleep(50000);
	EXPECT_EQ(handled, 0);
	zero_page(uffd, t.at);
	zero_page(uffd, t.at + PAGE);
	pthread_join(thread, NULL);
	EXPECT_EQ(handled, 1);
	EXPECT_EQ(t.result, 16);
}

TEST(a_signal_waits_for_the_memory_of_a_system_call)
{
	if (!in_child(handled_late))
		SKIP("no userfaultfd");
}

static void killed_at_once(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC), status = -1;
	struct transfer t;
	pid_t pid;

	/* The host's for user mode alone: the thread waits for its page with signals blocked, before the call. */
	if (uffd < 0 || (owner_of(uffd) == HOSTS && raw_syscall(SYS_userfaultfd, 0) == -EPERM))
		_exit(SKIPPED);
	close(uffd);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
		pthread_kill(wait_in_read(uffd, &t), SIGTERM);
		for (int i = 0; i < 500; i++)
			usleep(20000);
		_exit(1);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST(a_signal_that_ends_the_process_does_not_wait)
{
	if (!in_child(killed_at_once))
		SKIP("no userfaultfd, or the host's for user mode alone");
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void *populate_main(void *arg)
{
	struct transfer *t = arg;

	t->result = madvise(t->at, 2 * PAGE, MADV_POPULATE_WRITE);
	return NULL;
}

static void populates(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	unsigned char *memory;
	struct transfer t;
	pthread_t thread;

	if (uffd < 0)
		_exit(SKIPPED);
	memory = registered(uffd);
	if (madvise(memory, 0, MADV_POPULATE_WRITE))
		_exit(SKIPPED);
	t = (struct transfer){.at = memory};
	EXPECT_EQ(pthread_create(&thread, NULL, populate_main, &t), 0);
	serve_one(uffd, memory, 'x');
	serve_one(uffd, memory + PAGE, 'y');
	pthread_join(thread, NULL);
	EXPECT_EQ(t.result, 0);
	EXPECT_EQ(memory[PAGE], 'y');
}

TEST(pages_are_populated_by_their_pager)
{
	if (!in_child(populates))
		SKIP("no userfaultfd");
}

static void user_mode_only(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), fd;
	unsigned char *memory;

	if (uffd < 0)
		_exit(SKIPPED);
	memory = registered(uffd);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	EXPECT_ERRNO(read(fd, memory, PAGE), EFAULT);
	if (!is_emulated() && !madvise(memory, 0, MADV_POPULATE_WRITE))
		EXPECT_ERRNO(madvise(memory, PAGE, MADV_POPULATE_WRITE), EFAULT);
	EXPECT_ERRNO(read(uffd, &(struct uffd_msg){0}, sizeof(struct uffd_msg)), EAGAIN);
}

TEST(who_asks_for_user_mode_only_gets_that)
{
	if (!in_child(user_mode_only))
		SKIP("no userfaultfd");
}

/* --- changes that only the preloaded library sees --- */

/* The break moves down: what was above is registered no more, nor what comes there later. */
static void break_moves(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_zeropage zero;
	unsigned char *memory;
	uintptr_t now;

	/* qemu-user has been seen to abort over its own break. */
	if (uffd < 0 || is_emulated())
		_exit(SKIPPED);
	now = (uintptr_t)sbrk(0);
	sbrk((PAGE - now % PAGE) % PAGE);
	memory = sbrk(8 * PAGE);
	reg.range.start = (uintptr_t)memory;
	reg.range.len = 8 * PAGE;
	EXPECT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	EXPECT_EQ(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	/* A part of a page stays whole. */
	EXPECT(sbrk(-(intptr_t)PAGE - 8) == memory + 8 * PAGE);
	EXPECT_EQ(brk(memory + 5 * PAGE), 0);
	EXPECT_EQ(syscall(SYS_brk, memory + 3 * PAGE + 8), (long)memory + 3 * (long)PAGE + 8);
	/* libc is told where it is. */
	EXPECT_EQ(brk(memory + 8 * PAGE), 0);
	for (unsigned i = 0; i < 8; i++) {
		zero = (struct uffdio_zeropage){.range = {(uintptr_t)memory + i * PAGE, PAGE}};
		if (i < 4)
			EXPECT_EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
		else
			EXPECT_ERRNO(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), ENOENT);
		memory[i * PAGE] = 1;
	}
}

TEST(what_is_above_the_break_is_not_served)
{
	if (!in_child(break_moves))
		SKIP("no userfaultfd");
}

static void remapped(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), fd = memfd_create("file", 0);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	unsigned char *memory;

	if (uffd < 0 || ftruncate(fd, 4 * PAGE))
		_exit(SKIPPED);
	memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	reg.range.start = (uintptr_t)memory;
	reg.range.len = 4 * PAGE;
	EXPECT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	EXPECT_EQ(ioctl(uffd, UFFDIO_REGISTER, &reg), 0);
	EXPECT_EQ(pwrite(fd, "x", 1, 3 * PAGE), 1);
	if (remap_file_pages(memory, PAGE, 0, 3, 0))
		_exit(SKIPPED);
	EXPECT_EQ(memory[0], 'x');
	memory[0] = 'y';
	EXPECT_EQ(pread(fd, memory, 1, 3 * PAGE), 1);
	EXPECT_EQ(memory[0], 'y');
}

TEST(pages_of_a_file_put_elsewhere_are_not_served)
{
	if (!in_child(remapped))
		SKIP("no userfaultfd, or no remap_file_pages");
}

/* As libc has it: where the system does not have the call, too. */
static void changes_rights(void)
{
	unsigned char *memory;

	if (!refuse(SYS_pkey_mprotect))
		_exit(SKIPPED);
	memory = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_ERRNO(syscall(SYS_pkey_mprotect, memory, PAGE, PROT_READ, -1), EPERM);
	EXPECT_ERRNO(pkey_mprotect(memory, PAGE, PROT_READ, 0), EPERM);
	EXPECT_EQ(pkey_mprotect(memory, PAGE, PROT_READ, -1), 0);
	EXPECT_EQ(memory[0], 0);
}

TEST(rights_without_a_key_are_those_of_mprotect)
{
	if (!in_child(changes_rights))
		SKIP("no seccomp filters here");
}
