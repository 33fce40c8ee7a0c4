/* SPDX-License-Identifier: MIT */
/* Descriptors, mappings, identity, signals, clock, random. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "host/clock.h"
#include "host/fd.h"
#include "host/guarded.h"
#include "host/identity.h"
#include "host/process_host.h"
#include "host/random.h"
#include "host/signal.h"
#include "host/vma.h"
#include "../../test.h"
#include "../misuse.h"

TEST(a_placeholder_is_ready_to_poll_refused_by_epoll_and_cannot_be_written)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd = host_placeholder_create("kvm-vm", 0, true), ep = epoll_create1(0), other;
	u64 dev, ino, dev2, ino2;

	ASSERT(fd >= 0);
	EXPECT_EQ(host_poll(fd, POLLIN, 0), POLLIN);
	EXPECT_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), -1);
	EXPECT_EQ(errno, EPERM);
	EXPECT_EQ(host_write(fd, "x", 1), -EPERM);
	EXPECT_EQ(host_ftruncate(fd, 4096), -EPERM);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	other = host_placeholder_create("kvm-vcpu", 0, false);
	EXPECT_EQ(fcntl(other, F_GETFD), 0);
	EXPECT_EQ(host_fd_identity(fd, &dev, &ino), 0);
	EXPECT_EQ(host_fd_identity(other, &dev2, &ino2), 0);
	EXPECT_NE(ino, ino2);
	close(other);
	other = host_fd_dup(fd, 100);
	EXPECT_CMP(other, >=, 100);
	EXPECT_EQ(host_fd_identity(other, &dev2, &ino2), 0);
	EXPECT(ino == ino2 && dev == dev2);
	EXPECT_EQ(host_close(other), 0);
	EXPECT_EQ(host_close(other), -EBADF);
	EXPECT_EQ(host_fd_identity(other, &dev, &ino), -EBADF);
	host_close(fd);
	close(ep);
}

TEST(descriptors_move_out_of_the_way)
{
	int fd = host_eventfd_create(3, false), high = host_fd_move_high(fd);
	u64 v = 0;

	ASSERT(fd >= 0);
	EXPECT_CMP(high, >=, 128);
	EXPECT_EQ(fcntl(fd, F_GETFD), -1);
	EXPECT_EQ(fcntl(high, F_GETFD), FD_CLOEXEC);
	EXPECT(host_fd_is_eventfd(high));
	EXPECT(!host_fd_is_eventfd(0));
	EXPECT(!host_fd_is_eventfd(-1));
	host_eventfd_signal(high, 2);
	EXPECT_EQ(host_read(high, &v, 8), 8);
	EXPECT_EQ(v, 5);
	EXPECT_EQ(host_read(high, &v, 8), -EAGAIN);
	EXPECT_EQ(host_fd_move_high(-EMFILE), -EMFILE);
	host_close(high);
}

static void query_checks(void)
{
	int fd = host_memfd_create("vma", 4 * 4096);
	char *p = mmap(NULL, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct host_vma v;
	u64 dev, ino;

	host_fd_identity(fd, &dev, &ino);
	mmap(p + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
	mmap(p + 3 * 4096, 2 * 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 8192);
	munmap(p + 7 * 4096, 4096);
	EXPECT_EQ(host_vma_query((u64)p + 4096 + 5, &v), 0);
	EXPECT_EQ(v.start, (u64)p + 4096);
	EXPECT_EQ(v.end, (u64)p + 8192);
	EXPECT(v.r && v.w && !v.x && !v.shared && !v.hugetlb);
	EXPECT_EQ(v.inode, 0);
	EXPECT_EQ(v.page_size, 4096);
	EXPECT_EQ(host_vma_query((u64)p + 4 * 4096, &v), 0);
	EXPECT_EQ(v.start, (u64)p + 3 * 4096);
	EXPECT(v.r && !v.w && v.shared);
	EXPECT_EQ(v.inode, ino);
	EXPECT_EQ(v.dev, dev);
	EXPECT_EQ(v.offset, 8192);
	EXPECT_EQ(host_vma_query((u64)p, &v), 0);
	EXPECT(!v.r && !v.w);
	EXPECT_EQ(host_vma_query((u64)p + 7 * 4096, &v), -ENOENT);
	EXPECT_EQ(host_vma_query((u64)(uintptr_t)&query_checks, &v), 0);
	EXPECT(v.x && v.r);
	EXPECT_EQ(host_vma_query(0x1000, &v), -ENOENT);
	munmap(p, 16 * 4096);
	host_close(fd);
}

TEST(mapping_queries_tell_protection_extent_and_file)
{
	host_vma_test_fallbacks(false, false);
	query_checks();
}

TEST(mapping_queries_by_text_say_the_same)
{
	host_vma_test_fallbacks(true, false);
	query_checks();
	host_vma_test_fallbacks(false, false);
}

static void populate_checks(void)
{
	int fd = host_memfd_create("pop", 4096);
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char in_core = 0;
	u64 a = (u64)p;

	guarded_install();
	EXPECT_EQ(host_populate(a, 8192, true), 0);
	EXPECT_EQ(mincore(p, 4096, &in_core), 0);
	EXPECT_EQ(in_core & 1, 1);
	p[5] = 7;
	EXPECT_EQ(host_populate(a, 4096, true), 0);
	EXPECT_EQ(p[5], 7);
	mprotect(p, 4096, PROT_READ);
	EXPECT_EQ(host_populate(a, 4096, false), 0);
	EXPECT_EQ(host_populate(a, 4096, true), -EFAULT);
	mprotect(p, 4096, PROT_NONE);
	EXPECT_EQ(host_populate(a, 4096, false), -EFAULT);
	munmap(p, 4096);
	EXPECT_EQ(host_populate(a, 4096, false), -EFAULT);
	EXPECT_EQ(host_populate(a, 4096, true), -EFAULT);
	/* beyond the end of the file: a touch would be SIGBUS */
	mmap(p, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	EXPECT_EQ(host_populate(a, 4096, true), 0);
	EXPECT_EQ(host_populate(a + 4096, 4096, true), -EFAULT);
	EXPECT_EQ(host_populate(a + 4096, 4096, false), -EFAULT);
	munmap(p, 4 * 4096);
	host_close(fd);
}

TEST(populate_brings_pages_in_or_says_efault)
{
	host_vma_test_fallbacks(false, false);
	populate_checks();
}

TEST(populate_by_touch_says_the_same)
{
	host_vma_test_fallbacks(true, true);
	populate_checks();
	host_vma_test_fallbacks(false, false);
}

static u64 parent_id;

static void other_id_again(void)
{
	if (host_mm_id() == parent_id || !host_mm_id())
		_exit(1);
}

static void other_id(void)
{
	u64 mine = host_mm_id();

	if (!mine || mine == parent_id || host_mm_id() != mine)
		_exit(1);
	parent_id = mine;
	EXPECT_NO_ABORT(other_id_again);
	if (test_failed)
		_exit(2);
}

static void *id_of_thread(void *arg)
{
	*(u64 *)arg = host_mm_id();
	return NULL;
}

TEST(a_fork_child_has_another_identity_and_threads_the_same)
{
	u64 in_thread = 0;
	int status = -1;
	pthread_t t;
	long pid;

	parent_id = host_mm_id();
	EXPECT_NE(parent_id, 0);
	EXPECT_EQ(host_mm_id(), parent_id);
	ASSERT(!pthread_create(&t, NULL, id_of_thread, &in_thread));
	pthread_join(t, NULL);
	EXPECT_EQ(in_thread, parent_id);
	EXPECT_NO_ABORT(other_id);
	EXPECT_EQ(host_mm_id(), parent_id);
	/* No fork handler runs here. */
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		syscall(SYS_exit_group, host_mm_id() == parent_id || !host_mm_id());
	waitpid(pid, &status, 0);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(host_pid(), getpid());
}

/* As under qemu-user, which takes the advice to wipe and does nothing. In a child: the parent keeps the identity that it has. */
static void identity_by_process_id(void)
{
	u64 id;
	long pid;
	int status = -1;

	host_mm_id();
	a32_store(&host_process()->identity_wipes, 2);
	id = host_mm_id();
	if (!id || host_mm_id() != id)
		_exit(1);
	parent_id = id;
	EXPECT_NO_ABORT(other_id);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		syscall(SYS_exit_group, host_mm_id() == id || !host_mm_id());
	waitpid(pid, &status, 0);
	if (test_failed || status || host_mm_id() != id)
		_exit(2);
}

TEST(I34_where_the_host_does_not_wipe_the_process_id_tells_a_child)
{
	EXPECT_NO_ABORT(identity_by_process_id);
}

TEST(blocked_signals_are_seen_pending_and_ignored_ones_dropped)
{
	u64 old = host_signals_block(), mask = host_signals_mask();
	u64 never = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) |
		    SIGNAL_BIT(SIGILL) | SIGNAL_BIT(32) | SIGNAL_BIT(33);

	EXPECT_EQ(mask & never & ~old, 0);
	EXPECT_EQ(mask & SIGNAL_BIT(SIGUSR1), SIGNAL_BIT(SIGUSR1));
	EXPECT_EQ(mask & SIGNAL_BIT(SIGALRM), SIGNAL_BIT(SIGALRM));
	EXPECT(!host_signals_pending(old));
	/* To this thread and to the process. */
	raise(SIGUSR1);
	EXPECT(host_signals_pending(old));
	EXPECT(!host_signals_pending(old | SIGNAL_BIT(SIGUSR1)));
	signal(SIGUSR1, SIG_IGN); /* discards it */
	signal(SIGUSR1, SIG_DFL);
	kill(getpid(), SIGUSR2);
	EXPECT(host_signals_pending(old));
	signal(SIGUSR2, SIG_IGN);
	EXPECT(!host_signals_pending(old));
	/* Default action is to ignore: a terminal that changed its size must not end KVM_RUN. */
	raise(SIGWINCH);
	EXPECT(!host_signals_pending(old));
	signal(SIGUSR2, SIG_IGN);
	raise(SIGUSR2);
	EXPECT(!host_signals_pending(old));
	host_signals_restore(old);
	EXPECT_EQ(host_signals_mask(), old);
	signal(SIGUSR2, SIG_DFL);
}

TEST(clocks_go_forward_and_random_numbers_differ)
{
	u64 a = host_clock_ns(), c = host_clock_thread_cpu_ns(), r = host_random_u64();
	unsigned char buf[300] = {0};
	volatile u64 x = 0;
	int nonzero = 0;

	for (int i = 0; i < 100000; i++)
		x += i;
	EXPECT_EQ(x, 4999950000);
	EXPECT_CMP(host_clock_ns(), >, a);
	EXPECT_CMP(host_clock_thread_cpu_ns(), >, c);
	EXPECT_CMP(host_clock_realtime_ns() / 1000000000u, >, 1500000000u);
	EXPECT_NE(host_random_u64(), r);
	host_random_fill(buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		nonzero += buf[i] != 0;
	EXPECT_CMP(nonzero, >, 200);
}
