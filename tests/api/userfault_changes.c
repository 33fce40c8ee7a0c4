/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd, the host's or the library's (userfault.c): the less common calls by which the program itself changes memory that is
 * registered.
 */
#include "userfault.h"

#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/uio.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define ADVICE_OF(pidfd, iov, n, flags) process_madvise(pidfd, iov, n, MADV_DONTNEED, flags)

/* All pages filled, with their numbers. */
static void fill_all(int uffd, unsigned char *memory)
{
	for (int i = 0; i < PAGES; i++)
		ASSERT_EQ(copy_page(uffd, memory + i * PAGE, i, 0), 0);
}

/* A thread asks for the page, and gets value. */
static void expect_missing(int uffd, unsigned char *at, uint64_t value)
{
	struct reader r;

	reader_start(&r, at, false, 0);
	EXPECT_ASKED(uffd, at, 0);
	ASSERT_EQ(copy_page(uffd, at, value, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, value);
}

TEST(advice_to_a_process_is_advice_to_this_one)
{
	unsigned char *memory = memory_new(), *gone = memory_new();
	int uffd = uffd_open(0), self = syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec iov[3] = {{memory, 2 * PAGE}, {memory + PAGE, 0}, {memory + 4 * PAGE, PAGE}};

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	fill_all(uffd, memory);
	if (self < 0 || ADVICE_OF(self, iov, 0, 0))
		SKIP("no such advice by process_madvise here");
	EXPECT_EQ(ADVICE_OF(self, iov, 3, 0), 3 * (long)PAGE);
	for (int i = 0; i < 6; i++) {
		if (i == 2 || i == 3 || i == 5)
			EXPECT_ERRNO(copy_page(uffd, memory + i * PAGE, 1, 0), EEXIST);
		else
			expect_missing(uffd, memory + i * PAGE, 100 + i);
	}
	/* What is wrong changes nothing; what went well before is told. */
	EXPECT_ERRNO(ADVICE_OF(self, iov, 3, 1), EINVAL);
	EXPECT_ERRNO(ADVICE_OF(self, iov, 5000, 0), EINVAL);
	EXPECT_ERRNO(ADVICE_OF(self, bad_pointer(), 3, 0), EFAULT);
	EXPECT_ERRNO(ADVICE_OF(-1, iov, 3, 0), EBADF);
	iov[0].iov_len = -1;
	EXPECT_ERRNO(ADVICE_OF(self, iov, 1, 0), EINVAL);
	iov[0] = (struct iovec){memory + 1, PAGE};
	EXPECT_ERRNO(ADVICE_OF(self, iov, 3, 0), EINVAL);
	EXPECT_EQ(*(uint64_t *)(memory + 4 * PAGE), 104);
	munmap(gone, SIZE);
	iov[0] = (struct iovec){memory, PAGE};
	iov[1] = (struct iovec){gone, PAGE};
	EXPECT_EQ(ADVICE_OF(self, iov, 3, 0), (long)PAGE);
	EXPECT_EQ(*(uint64_t *)(memory + 4 * PAGE), 104);
	expect_missing(uffd, memory, 9);
	expect_silence(uffd);
	close(self);
	close(uffd);
	munmap(memory, SIZE);
}

TEST(advice_to_another_process_is_not_taken_here)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), status, other;
	struct iovec iov = {memory, SIZE};
	pid_t pid;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	fill_all(uffd, memory);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		pause();
		_exit(0);
	}
	other = syscall(SYS_pidfd_open, pid, 0);
	EXPECT_EQ(ADVICE_OF(other, &iov, 1, 0), -1);
	for (int i = 0; i < PAGES; i++)
		EXPECT_EQ(*(uint64_t *)(memory + i * PAGE), i);
	expect_silence(uffd);
	kill(pid, SIGKILL);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	close(other);
	close(uffd);
	munmap(memory, SIZE);
}

static void rights_by(int key)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 1, 0), 0);
	ASSERT_EQ(pkey_mprotect(memory, 4 * PAGE, PROT_READ, key), 0);
	EXPECT_EQ(*(uint64_t *)(memory + PAGE), 1);
	expect_missing(uffd, memory, 7);
	ASSERT_EQ(pkey_mprotect(memory, SIZE, PROT_READ | PROT_WRITE, key), 0);
	*(uint64_t *)(memory + PAGE) = 2;
	expect_missing(uffd, memory + 2 * PAGE, 8);
	expect_silence(uffd);
	EXPECT_ERRNO(pkey_mprotect(memory + 1, PAGE, PROT_READ, key), EINVAL);
	EXPECT_ERRNO(pkey_mprotect(memory, PAGE, PROT_READ, 1000), EINVAL);
	*(uint64_t *)memory = 3;
	close(uffd);
	munmap(memory, SIZE);
}

TEST(rights_with_a_key_are_rights)
{
	int key;

	if (pkey_mprotect(NULL, 0, PROT_NONE, -1))
		SKIP("no pkey_mprotect here");
	rights_by(-1);
	key = pkey_alloc(0, 0);
	if (key < 0)
		SKIP("no protection keys here; without one it works");
	rights_by(key);
	pkey_free(key);
}

TEST(what_is_attached_over_pages_is_served_no_more)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);

	if (id < 0)
		SKIP("no System V shared memory");
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory + 5 * PAGE, 5, 0), 0);
	/* Refused, and nothing has changed. */
	EXPECT(shmat(id, memory + 4 * PAGE, 0) == (void *)-1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT(shmat(-1, memory + 4 * PAGE, SHM_REMAP) == (void *)-1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT(shmat(id, memory + 4 * PAGE + 8, SHM_REMAP) == (void *)-1);
	EXPECT_EQ(errno, EINVAL);
	expect_missing(uffd, memory + 4 * PAGE, 4);
	ASSERT(shmat(id, memory + 4 * PAGE + 8, SHM_REMAP | SHM_RND) == memory + 4 * PAGE);
	for (int i = 4; i < 7; i++) {
		EXPECT_EQ(*(uint64_t *)(memory + i * PAGE), 0);
		*(uint64_t *)(memory + i * PAGE) = i;
		EXPECT_ERRNO(copy_page(uffd, memory + i * PAGE, 1, 0), ENOENT);
	}
	expect_missing(uffd, memory + 3 * PAGE, 3);
	expect_missing(uffd, memory + 7 * PAGE, 7);
	expect_silence(uffd);
	ASSERT_EQ(shmdt(memory + 4 * PAGE), 0);
	shmctl(id, IPC_RMID, NULL);
	close(uffd);
	munmap(memory, SIZE);
}

TEST(a_vcpu_that_is_mapped_over_pages_is_served_no_more)
{
	struct machine m = machine_new(1);
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct kvm_run *run;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory + 5 * PAGE, 5, 0), 0);
	/* Refused: nothing has changed. */
	EXPECT(mmap(memory + 5 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, m.kvm, 0) ==
	       MAP_FAILED);
	EXPECT_EQ(*(uint64_t *)(memory + 5 * PAGE), 5);
	EXPECT_ERRNO(copy_page(uffd, memory + 5 * PAGE, 1, 0), EEXIST);
	run = mmap(memory + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		   m.vcpu[0], 0);
	ASSERT(run == (void *)(memory + 4 * PAGE));
	run->immediate_exit = 1;
	EXPECT_EQ(m.run[0]->immediate_exit, 1);
	EXPECT_ERRNO(copy_page(uffd, memory + 4 * PAGE, 1, 0), ENOENT);
	EXPECT_ERRNO(copy_page(uffd, memory + 5 * PAGE, 1, 0), ENOENT);
	EXPECT_EQ(run->immediate_exit, 1);
	expect_missing(uffd, memory + 3 * PAGE, 3);
	expect_missing(uffd, memory + 6 * PAGE, 6);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
	machine_free(&m);
}

TEST(pages_removed_through_another_mapping_are_missing)
{
	int uffd = uffd_open(UFFD_FEATURE_MISSING_SHMEM), fd = memfd_create("shared", MFD_CLOEXEC);
	unsigned char *memory, *view;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	view = mmap(NULL, SIZE / 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SIZE / 2);
	ASSERT(memory != MAP_FAILED && view != MAP_FAILED);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	fill_all(uffd, memory);
	ASSERT_EQ(madvise(view + PAGE, PAGE, MADV_REMOVE), 0);
	EXPECT_EQ(*(uint64_t *)(memory + 8 * PAGE), 8);
	expect_missing(uffd, memory + 9 * PAGE, 99);
	EXPECT_EQ(*(uint64_t *)(view + PAGE), 99);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
	munmap(view, SIZE / 2);
	close(fd);
}

/* A page is what was filled, or missing: never what nobody sent. */
TEST(a_page_that_may_be_freed_is_there_or_missing)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	fill_all(uffd, memory);
	ASSERT_EQ(uffd_unregister(uffd, memory + 2 * PAGE, PAGE), 0);
	ASSERT_EQ(madvise(memory, 4 * PAGE, MADV_FREE), 0);
	*(uint64_t *)(memory + 2 * PAGE) = 2;
	/* With some systems they go now. */
	madvise(memory, SIZE, 21 /* MADV_PAGEOUT */);
	for (int i = 1; i < 4; i++)
		if (copy_page(uffd, memory + i * PAGE, i, 0))
			EXPECT_EQ(errno, i == 2 ? ENOENT : EEXIST);
	for (int i = 1; i < PAGES; i++)
		EXPECT_EQ(*(uint64_t *)(memory + i * PAGE), i);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
}

TEST(zeros_are_there_also_for_a_new_registration)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct uffdio_zeropage zero = {.range = {(uintptr_t)memory, 2 * PAGE}};

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
	ASSERT_EQ(uffd_unregister(uffd, memory, SIZE), 0);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	EXPECT_ERRNO(copy_page(uffd, memory, 1, 0), EEXIST);
	EXPECT_EQ(memory[PAGE], 0);
	expect_missing(uffd, memory + 2 * PAGE, 1);
	close(uffd);
	munmap(memory, SIZE);
}

static sigjmp_buf escape;

static void jump(int signo)
{
	siglongjmp(escape, signo);
}

__attribute__((noinline)) static bool can_read(volatile unsigned char *at)
{
	if (sigsetjmp(escape, 1))
		return false;
	return *at || true;
}

TEST(guards_are_not_missing_until_they_are_gone)
{
	struct sigaction act = {.sa_handler = jump, .sa_flags = SA_NODEFER}, old;
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(copy_page(uffd, memory + i * PAGE, i, 0), 0);
	if (madvise(memory + 2 * PAGE, 2 * PAGE, 102 /* MADV_GUARD_INSTALL */))
		SKIP("no guards here");
	ASSERT_EQ(sigaction(SIGSEGV, &act, &old), 0);
	EXPECT(!can_read(memory + 2 * PAGE));
	EXPECT(!can_read(memory + 3 * PAGE));
	ASSERT_EQ(madvise(memory + 2 * PAGE, 3 * PAGE, MADV_DONTNEED), 0);
	EXPECT(!can_read(memory + 3 * PAGE));
	ASSERT_EQ(sigaction(SIGSEGV, &old, NULL), 0);
	expect_silence(uffd);
	ASSERT_EQ(madvise(memory, 4 * PAGE, 103 /* MADV_GUARD_REMOVE */), 0);
	EXPECT_EQ(*(uint64_t *)(memory + PAGE), 1);
	expect_missing(uffd, memory + 2 * PAGE, 12);
	expect_missing(uffd, memory + 3 * PAGE, 13);
	expect_missing(uffd, memory + 4 * PAGE, 14);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
}

/* --- large pages: what is filled is the page that was asked for, and no neighbour ---------------------------------------- */

#define LARGE (2ul << 20)

/* A file system in memory whose files have large pages, mounted nowhere. A file of it, or -1. */
static int large_file(void)
{
	int fs = syscall(430 /* fsopen */, "tmpfs", 1), mount = -1, fd = -1;

	if (fs >= 0 && !syscall(431 /* fsconfig */, fs, 1 /* string */, "huge", "always", 0) &&
	    !syscall(431, fs, 6 /* create */, NULL, NULL, 0))
		mount = syscall(432 /* fsmount */, fs, 1, 0);
	if (mount >= 0)
		fd = openat(mount, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (mount >= 0)
		close(mount);
	if (fs >= 0)
		close(fs);
	return fd;
}

/* At an address where the system would use a large page. */
static unsigned char *large_memory(int fd)
{
	unsigned char *p = mmap(NULL, 2 * LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		      *at;

	ASSERT(p != MAP_FAILED);
	at = (void *)(((uintptr_t)p + LARGE - 1) & -LARGE);
	ASSERT_EQ(mmap(at, LARGE, PROT_READ | PROT_WRITE,
		       MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd, 0),
		  at);
	return at;
}

TEST(a_file_of_large_pages_is_served_by_the_page_or_refused)
{
	int uffd = uffd_open(UFFD_FEATURE_MISSING_SHMEM), fd = large_file();
	unsigned char *memory;

	if (fd < 0)
		SKIP("a file system needs a privilege here");
	ASSERT_EQ(ftruncate(fd, LARGE), 0);
	memory = large_memory(fd);
	if (uffd_register(uffd, memory, LARGE, UFFDIO_REGISTER_MODE_MISSING)) {
		EXPECT_EQ(errno, EINVAL);
		memory[PAGE] = 1;
		EXPECT_EQ(memory[0], 0);
	} else {
		ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
		expect_missing(uffd, memory + PAGE, 2);
	}
	expect_silence(uffd);
	close(uffd);
	munmap(memory, LARGE);
	close(fd);
}

TEST(private_memory_is_served_by_the_page)
{
	unsigned char *memory = large_memory(-1);
	int uffd = uffd_open(0);

	madvise(memory, LARGE, MADV_HUGEPAGE);
	ASSERT_EQ(uffd_register(uffd, memory, LARGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	expect_missing(uffd, memory + PAGE, 2);
	/* Also where the registration begins anew, with what is there by then. */
	ASSERT_EQ(uffd_unregister(uffd, memory, LARGE), 0);
	ASSERT_EQ(uffd_register(uffd, memory, LARGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	EXPECT_EQ(*(uint64_t *)memory, 1);
	expect_missing(uffd, memory + 2 * PAGE, 3);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, LARGE);
}

/* --- answers ------------------------------------------------------------------------------------------------------------- */

static int zero_pages(int uffd, void *at, uint64_t len, uint64_t mode)
{
	struct uffdio_zeropage zero = {.range = {(uintptr_t)at, len}, .mode = mode};
	int r = ioctl(uffd, UFFDIO_ZEROPAGE, &zero);

	EXPECT_EQ(zero.zeropage, r ? -errno : (int64_t)len);
	return r;
}

/* What differs in rights, in registration, or is not registered, is another mapping. */
TEST(what_is_filled_is_one_mapping)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), other = uffd_open(0);

	ASSERT_EQ(uffd_register(uffd, memory, 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(uffd_register(other, memory + 8 * PAGE, 2 * PAGE, UFFDIO_REGISTER_MODE_MISSING),
		  0);
	EXPECT_ERRNO(zero_pages(uffd, memory + 7 * PAGE, 2 * PAGE, 0), ENOENT);
	EXPECT_ERRNO(zero_pages(uffd, memory + 9 * PAGE, 2 * PAGE, 0), ENOENT);
	ASSERT_EQ(mprotect(memory + 2 * PAGE, PAGE, PROT_READ), 0);
	EXPECT_ERRNO(zero_pages(uffd, memory + PAGE, 2 * PAGE, 0), ENOENT);
	ASSERT_EQ(mprotect(memory + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	/* Nothing was filled of it; and whoever serves it may do so. */
	EXPECT_EQ(zero_pages(other, memory + PAGE, 7 * PAGE, 0), 0);
	EXPECT_EQ(zero_pages(uffd, memory + 8 * PAGE, 2 * PAGE, 0), 0);
	close(uffd);
	close(other);
	munmap(memory, SIZE);
}

TEST(what_is_wrong_first_is_told)
{
	unsigned char *memory = memory_new(), *shared;
	int uffd = uffd_open(UFFD_FEATURE_MINOR_SHMEM), other = uffd_open(0),
	    fd = memfd_create("shared", MFD_CLOEXEC);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)memory, .src = (uintptr_t)bad_pointer(), .len = PAGE};

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_EQ(uffd_register(uffd, memory, 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	/* The source before what is there; the kind of memory before both. */
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EFAULT);
	EXPECT_ERRNO(continue_page(uffd, memory), EINVAL);
	EXPECT_ERRNO(uffd_register(other, memory, PAGE, UFFDIO_REGISTER_MODE_MINOR), EINVAL);
	/* Nothing is registered for write protection, or nothing at all. */
	EXPECT_ERRNO(copy_page(uffd, memory + PAGE, 1, UFFDIO_COPY_MODE_WP), EINVAL);
	EXPECT_ERRNO(copy_page(uffd, memory + 8 * PAGE, 1, UFFDIO_COPY_MODE_WP), ENOENT);
	munmap(memory + 8 * PAGE, 8 * PAGE);
	EXPECT_ERRNO(uffd_unregister(uffd, memory + 8 * PAGE, PAGE), EINVAL);
	EXPECT_EQ(uffd_unregister(uffd, memory + 7 * PAGE, 2 * PAGE), 0);
	/* Beyond the end of a file. */
	ASSERT_EQ(uffd_register(uffd, shared, SIZE,
				UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR),
		  0);
	ASSERT_EQ(ftruncate(fd, 8 * PAGE), 0);
	/* And EFAULT since Linux 7.2. */
	EXPECT_EQ(continue_page(uffd, shared + 9 * PAGE), -1);
	EXPECT(errno == EINVAL || errno == EFAULT);
	expect_no_copy_beyond_the_end(uffd, shared + 9 * PAGE);
	/* Registered for less: it stays as it is. */
	ASSERT_EQ(uffd_register(uffd, shared, 4 * PAGE, UFFDIO_REGISTER_MODE_MINOR), 0);
	expect_missing(uffd, shared + PAGE, 5);
	close(uffd);
	close(other);
	munmap(memory, 8 * PAGE);
	munmap(shared, SIZE);
	close(fd);
}

TEST(a_move_that_is_refused_changes_nothing)
{
	unsigned char *memory = memory_new(), *to = memory_new(), *rest;
	int uffd = uffd_open(0), fixed = MREMAP_MAYMOVE | MREMAP_FIXED;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(uffd_register(uffd, to, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	/* No size; onto itself; a part that is another mapping. */
	EXPECT(mremap(memory, 0, PAGE, fixed, to + PAGE) == MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	EXPECT(mremap(memory, 4 * PAGE, 4 * PAGE, fixed, memory + PAGE) == MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	expect_missing(uffd, memory + PAGE, 1);
	/* A size, or a place, that no address space has. */
	for (int i = 0; i < 3; i++) {
		static const int flags[] = {0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED};

		EXPECT(mremap(memory, SIZE, (size_t)-PAGE, flags[i], to) == MAP_FAILED);
		EXPECT_EQ(errno, EINVAL);
	}
	for (int i = 55; i < 64; i++) {
		void *nowhere = (void *)(1ul << i);

		if (mmap(nowhere, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == nowhere) {
			munmap(nowhere, PAGE);
			continue;
		}
		EXPECT(mremap(memory, SIZE, 2 * PAGE, fixed, nowhere) == MAP_FAILED);
		EXPECT_EQ(errno, EINVAL);
	}
	expect_missing(uffd, memory + 2 * PAGE, 2);
	expect_missing(uffd, memory + 15 * PAGE, 15);
	EXPECT_EQ(*(uint64_t *)(memory + PAGE), 1);
	ASSERT_EQ(mprotect(memory + 8 * PAGE, PAGE, PROT_READ), 0);
	EXPECT(mremap(memory + 7 * PAGE, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	EXPECT_EQ(errno, EFAULT);
	expect_missing(uffd, memory + 7 * PAGE, 7);
	/* Shrunk, then moved: registered neither here nor there. */
	rest = mremap(memory + 12 * PAGE, 4 * PAGE, PAGE, fixed, to + 4 * PAGE);
	ASSERT_EQ(rest, to + 4 * PAGE);
	EXPECT_EQ(*rest, 0);
	EXPECT_ERRNO(copy_page(uffd, memory + 15 * PAGE, 1, 0), ENOENT);
	expect_missing(uffd, to + 5 * PAGE, 5);
	expect_silence(uffd);
	close(uffd);
	/* What was there is a hole, or somebody else's by now. */
	munmap(memory, 12 * PAGE);
	munmap(to, SIZE);
}

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* As collectors of garbage do. */
TEST(what_a_move_leaves_behind_is_missing)
{
	unsigned char *memory = memory_new(), *moved;
	int uffd = uffd_open(0);

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	moved = mremap(memory, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (moved == MAP_FAILED)
		SKIP("no MREMAP_DONTUNMAP here");
	EXPECT_EQ(*(uint64_t *)moved, 1);
	EXPECT_EQ(moved[PAGE], 0);
	expect_silence(uffd);
	expect_missing(uffd, memory, 10);
	expect_missing(uffd, memory + PAGE, 11);
	EXPECT_EQ(*(uint64_t *)moved, 1);
	close(uffd);
	munmap(memory, SIZE);
	munmap(moved, 4 * PAGE);
}

/* --- registering --------------------------------------------------------------------------------------------------------- */

/* As with one request for all of a sparse address space. */
TEST(a_hole_is_passed_over_whatever_its_size)
{
	size_t size = 1ul << 43;
	int uffd = uffd_open(0);
	unsigned char *memory = (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		SKIP("no room for a large hole");
	ASSERT_EQ(syscall(SYS_munmap, memory + PAGE, size / 2 - PAGE), 0);
	ASSERT_EQ(syscall(SYS_munmap, memory + size / 2 + PAGE, size / 2 - PAGE), 0);
	EXPECT_ERRNO(
		uffd_register(uffd, memory + PAGE, size / 2 - PAGE, UFFDIO_REGISTER_MODE_MISSING),
		EINVAL);
	ASSERT_EQ(uffd_register(uffd, memory, size, UFFDIO_REGISTER_MODE_MISSING), 0);
	expect_missing(uffd, memory, 1);
	expect_missing(uffd, memory + size / 2, 2);
	ASSERT_EQ(uffd_unregister(uffd, memory, size), 0);
	close(uffd);
	munmap(memory, PAGE);
	munmap(memory + size / 2, PAGE);
}
