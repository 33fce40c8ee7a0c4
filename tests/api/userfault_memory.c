/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd, the host's or the library's (userfault.c): shared memory, what is refused, and what the program itself changes about memory
 * that is registered.
 */
#include "userfault.h"

/* --- shared memory ------------------------------------------------------------------------------------------------------- */

TEST(a_page_that_the_file_has_is_a_minor_fault)
{
	int uffd = uffd_open(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_MISSING_SHMEM),
	    fd = memfd_create("shared", MFD_CLOEXEC);
	unsigned char *memory, *alias;
	struct machine m;
	struct reader r;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	alias = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(memory != MAP_FAILED && alias != MAP_FAILED);
	*(uint64_t *)alias = 11;
	*(uint64_t *)(alias + PAGE) = 12;
	ASSERT_EQ(uffd_register(uffd, memory, SIZE,
				UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR),
		  0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, UFFD_PAGEFAULT_FLAG_MINOR);
	EXPECT_ERRNO(copy_page(uffd, memory, 1, 0), EEXIST);
	ASSERT_EQ(continue_page(uffd, memory), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 11);
	EXPECT_ERRNO(continue_page(uffd, memory), EEXIST);
	EXPECT_ERRNO(continue_page(uffd, memory + 2 * PAGE), EFAULT);
	/* Missing altogether. The other mapping sees what the pager brings. */
	reader_start(&r, memory + 2 * PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + 2 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 13, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 13);
	EXPECT_EQ(*(uint64_t *)(alias + 2 * PAGE), 13);
	/* A guest's, and after a hole once more. */
	m = guest_over(memory, 0);
	ASSERT_EQ(continue_page(uffd, memory + PAGE), 0);
	EXPECT_EQ(guest_loads(&m, GPA + PAGE), 12);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE), 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 14, 0), 0);
	EXPECT_EQ(guest_loads(&m, GPA + PAGE), 14);
	/* Unmapped here, but still in the file. */
	ASSERT_EQ(madvise(memory, PAGE, MADV_DONTNEED), 0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(continue_page(uffd, memory), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 11);
	expect_silence(uffd);
	machine_free(&m);
	close(uffd);
	munmap(memory, SIZE);
	munmap(alias, SIZE);
	close(fd);
}

TEST(only_what_was_asked_for_is_reported_of_shared_memory)
{
	int uffd = uffd_open(0), fd = memfd_create("shared", MFD_CLOEXEC);
	off_t position;
	unsigned char *memory;
	struct reader r;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	ASSERT_EQ(pwrite(fd, "x", 1, 0), 1);
	position = lseek(fd, 5, SEEK_SET);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	/* the file has it */
	EXPECT_EQ(memory[0], 'x');
	expect_silence(uffd);
	reader_start(&r, memory + PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 21, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 21);
	/* minor faults alone: a hole is the system's */
	ASSERT_EQ(uffd_register(uffd, memory + 8 * PAGE, 8 * PAGE, UFFDIO_REGISTER_MODE_MINOR), 0);
	EXPECT_EQ(memory[9 * PAGE], 0);
	expect_silence(uffd);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), position);
	close(uffd);
	munmap(memory, SIZE);
	close(fd);
}

/* --- requests ------------------------------------------------------------------------------------------------------------ */

TEST(the_interface_is_agreed_upon_first)
{
	struct uffdio_api api = {.api = UFFD_API, .features = 1ull << 63};
	unsigned char *memory = memory_new();
	struct uffdio_range range = {(uintptr_t)memory, PAGE};
	struct uffd_msg msg;
	int uffd = userfaultfd(O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		SKIP("userfaultfd needs a privilege here");
	EXPECT(fcntl(uffd, F_GETFD) & FD_CLOEXEC);
	EXPECT_EQ(fcntl(uffd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDONLY);
	EXPECT_ERRNO(read(uffd, &msg, sizeof(msg)), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_WAKE, &range), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, &api), EINVAL);
	EXPECT_EQ(api.features, 0);
	api = (struct uffdio_api){.api = UFFD_API + 1};
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, &api), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, bad_pointer()), EFAULT);
	api = (struct uffdio_api){.api = UFFD_API};
	EXPECT_EQ(ioctl(uffd, UFFDIO_API, &api), 0);
	EXPECT(api.features & UFFD_FEATURE_MISSING_SHMEM);
	EXPECT_EQ(api.ioctls & 3, 3);
	api = (struct uffdio_api){.api = UFFD_API};
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_API, &api), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, _IO(0xaa, 0x3e), 0), EINVAL);
	expect_silence(uffd);
#ifdef ANYKVM_REAL
	EXPECT_ERRNO(write(uffd, &msg, sizeof(msg)), EBADF);
#endif
	close(uffd);
	EXPECT_ERRNO(userfaultfd(O_APPEND), EINVAL);
	uffd = userfaultfd(0);
	EXPECT(!(fcntl(uffd, F_GETFD) & FD_CLOEXEC));
	EXPECT(!(fcntl(uffd, F_GETFL) & O_NONBLOCK));
	close(uffd);
	munmap(memory, SIZE);
}

TEST(what_cannot_be_registered_is_refused)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), other = uffd_open(0);

	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, 0), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, 1ull << 40), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, 0, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory + 1, PAGE, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE + 1, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, -PAGE, UFFDIO_REGISTER_MODE_MISSING), EINVAL);
	EXPECT_ERRNO(uffd_register(uffd, memory, PAGE, UFFDIO_REGISTER_MODE_MINOR), EINVAL);
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_REGISTER, bad_pointer()), EFAULT);
	ASSERT_EQ(munmap(memory + 8 * PAGE, 8 * PAGE), 0);
	EXPECT_ERRNO(uffd_register(uffd, memory + 8 * PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING),
		     EINVAL);
	/* Holes within do not matter. */
	ASSERT_EQ(munmap(memory + 2 * PAGE, PAGE), 0);
	ASSERT_EQ(uffd_register(uffd, memory, 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	EXPECT_ERRNO(uffd_register(other, memory + PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING),
		     EBUSY);
	EXPECT_EQ(uffd_register(other, memory + 4 * PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	/* What failed has changed nothing. */
	memory[5 * PAGE] = 1;
	close(uffd);
	close(other);
	EXPECT_EQ(memory[0], 0);
	munmap(memory, 8 * PAGE);
}

TEST(what_cannot_be_filled_is_told)
{
	unsigned char *memory = memory_new(), *source = memory_new();
	int uffd = uffd_open(0);
	struct reader r;
	struct uffdio_copy copy = {.src = (uintptr_t)source, .len = 4 * PAGE};
	struct uffdio_zeropage zero = {.range = {(uintptr_t)memory, 2 * PAGE}};

	ASSERT_EQ(uffd_register(uffd, memory, 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
	EXPECT_ERRNO(copy_page(uffd, memory + 8 * PAGE, 0, 0), ENOENT);
	copy.dst = (uintptr_t)memory + 1;
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EINVAL);
	copy.dst = (uintptr_t)memory;
	copy.mode = 1 << 5;
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EINVAL);
	copy.mode = 0;
	copy.len = 0;
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EINVAL);
	copy.len = PAGE;
	copy.src = (uintptr_t)bad_pointer();
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EFAULT);
	EXPECT_EQ(copy.copy, -EFAULT);
	/* Nothing came: it is as missing as before. */
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	ASSERT_EQ(copy_page(uffd, memory, 2, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 2);
	ASSERT_EQ(madvise(memory, PAGE, MADV_DONTNEED), 0);
	/* The third page is there already. */
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 3, 0), 0);
	EXPECT_ERRNO(copy_page(uffd, memory + 2 * PAGE, 4, 0), EEXIST);
	memset(source, 5, SIZE);
	copy = (struct uffdio_copy){
		.dst = (uintptr_t)memory, .src = (uintptr_t)source + 3, .len = 4 * PAGE};
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EAGAIN);
	EXPECT_EQ(copy.copy, 2 * (int64_t)PAGE);
	EXPECT_EQ(memory[PAGE], 5);
	EXPECT_EQ(*(uint64_t *)(memory + 2 * PAGE), 3);
	/* zeros */
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), EEXIST);
	zero.range.start = (uintptr_t)memory + 4 * PAGE;
	EXPECT_EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
	EXPECT_EQ(zero.zeropage, 2 * (int64_t)PAGE);
	EXPECT_EQ(memory[4 * PAGE], 0);
	memory[5 * PAGE] = 1;
	EXPECT_ERRNO(continue_page(uffd, memory + 6 * PAGE), EINVAL);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
	munmap(source, SIZE);
}

/* --- the program's changes of memory ------------------------------------------------------------------------------------- */

TEST(what_is_mapped_anew_is_registered_no_more)
{
	unsigned char *memory = memory_new(), *moved;
	int uffd = uffd_open(0);
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(munmap(memory + 4 * PAGE, 4 * PAGE), 0);
	ASSERT_EQ(mmap(memory + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		  memory + 4 * PAGE);
	memory[4 * PAGE] = 1;
	ASSERT_EQ(mmap(memory + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		  memory + 2 * PAGE);
	EXPECT_EQ(memory[2 * PAGE], 0);
	moved = mremap(memory + 12 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       memory + 8 * PAGE);
	EXPECT_EQ(moved, memory + 8 * PAGE);
	EXPECT_EQ(memory[8 * PAGE], 0);
	expect_silence(uffd);
	/* What lies between is as before. */
	reader_start(&r, memory + 3 * PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + 3 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 3 * PAGE, 30, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 30);
	close(uffd);
	munmap(memory, 12 * PAGE);
}

static void *read_through(void *at)
{
	return (void *)(uintptr_t) * (volatile uint64_t *)at;
}

static sigjmp_buf escape;

static void jump(int signo)
{
	siglongjmp(escape, signo);
}

__attribute__((noinline)) static bool can_write(volatile unsigned char *at)
{
	if (sigsetjmp(escape, 1))
		return false;
	*at = 2;
	return true;
}

TEST(rights_are_the_programs)
{
	struct sigaction act = {.sa_handler = jump, .sa_flags = SA_NODEFER}, old;
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	pthread_t t;
	void *value;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	ASSERT_EQ(mprotect(memory, 4 * PAGE, PROT_READ), 0);
	EXPECT_EQ(*(uint64_t *)memory, 1);
	ASSERT_EQ(sigaction(SIGSEGV, &act, &old), 0);
	EXPECT(!can_write(memory));
	/* A missing page is asked for, as before; and a write to it is wrong. */
	EXPECT(!can_write(memory + PAGE));
	ASSERT_EQ(sigaction(SIGSEGV, &old, NULL), 0);
	expect_silence(uffd);
	ASSERT_EQ(pthread_create(&t, NULL, read_through, memory + 2 * PAGE), 0);
	EXPECT_ASKED(uffd, memory + 2 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 22, 0), 0);
	pthread_join(t, &value);
	EXPECT_EQ((uintptr_t)value, 22);
	ASSERT_EQ(mprotect(memory, SIZE, PROT_READ | PROT_WRITE), 0);
	*(uint64_t *)memory = 3;
	ASSERT_EQ(pthread_create(&t, NULL, read_through, memory + 3 * PAGE), 0);
	EXPECT_ASKED(uffd, memory + 3 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 3 * PAGE, 23, 0), 0);
	pthread_join(t, &value);
	close(uffd);
	munmap(memory, SIZE);
}

/* --- a host without room ------------------------------------------------------------------------------------------------- */

/* So many mappings that no other one can be cut. NULL where the host allows more than is sensible to try. */
static unsigned char *mappings_exhaust(size_t *size)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned char *p;
	long max = 0;

	ASSERT(f && fscanf(f, "%ld", &max) == 1);
	fclose(f);
	if (max > 200000)
		return NULL;
	*size = (max + 2) * 2 * PAGE;
	p = (void *)syscall(SYS_mmap, NULL, *size, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT(p != MAP_FAILED);
	for (size_t at = PAGE; at < *size; at += 2 * PAGE)
		if (syscall(SYS_mprotect, p + at, PAGE, PROT_READ))
			return p;
	TEST_FAIL("no limit of mappings");
	return NULL;
}

/* The library's needs a mapping for each piece: then it says so, and nothing has changed. */
TEST(what_cannot_be_discarded_stays)
{
	unsigned char *memory = memory_new(), *shared, *fill;
	int uffd = uffd_open(UFFD_FEATURE_MISSING_SHMEM), fd = memfd_create("shared", MFD_CLOEXEC);
	struct reader r;
	int advised, advice_error, punched, punch_error;
	size_t size;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(shared != MAP_FAILED);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(uffd_register(uffd, shared, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	for (int i = 0; i < PAGES; i++) {
		ASSERT_EQ(copy_page(uffd, memory + i * PAGE, 100 + i, 0), 0);
		ASSERT_EQ(copy_page(uffd, shared + i * PAGE, 200 + i, 0), 0);
	}
	fill = mappings_exhaust(&size);
	if (!fill)
		SKIP("the host allows too many mappings");
	advised = madvise(memory + 5 * PAGE, PAGE, MADV_DONTNEED);
	advice_error = errno;
	punched = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * PAGE, PAGE);
	punch_error = errno;
	syscall(SYS_munmap, fill, size);
	if (advised) {
		EXPECT_EQ(advice_error, ENOMEM);
		EXPECT_EQ(*(uint64_t *)(memory + 5 * PAGE), 105);
		EXPECT_ERRNO(copy_page(uffd, memory + 5 * PAGE, 1, 0), EEXIST);
	} else {
		reader_start(&r, memory + 5 * PAGE, false, 0);
		EXPECT_ASKED(uffd, memory + 5 * PAGE, 0);
		EXPECT_EQ(copy_page(uffd, memory + 5 * PAGE, 1, 0), 0);
		pthread_join(r.thread, NULL);
		EXPECT_EQ(r.value, 1);
	}
	if (punched) {
		EXPECT_EQ(punch_error, ENOMEM);
		EXPECT_EQ(*(uint64_t *)(shared + 5 * PAGE), 205);
		EXPECT_ERRNO(copy_page(uffd, shared + 5 * PAGE, 1, 0), EEXIST);
	} else {
		reader_start(&r, shared + 5 * PAGE, false, 0);
		EXPECT_ASKED(uffd, shared + 5 * PAGE, 0);
		EXPECT_EQ(copy_page(uffd, shared + 5 * PAGE, 1, 0), 0);
		pthread_join(r.thread, NULL);
		EXPECT_EQ(r.value, 1);
	}
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
	munmap(shared, SIZE);
	close(fd);
}

/* --- files that end ------------------------------------------------------------------------------------------------------ */

static void *run_guest(void *arg)
{
	struct machine *m = arg;
	int r = run(m, 0);

	return (void *)(intptr_t)(r ? -errno : 0);
}

TEST(nobody_waits_for_a_page_beyond_the_end)
{
	int uffd = uffd_open(UFFD_FEATURE_MISSING_SHMEM), fd = memfd_create("shared", MFD_CLOEXEC);
	unsigned char *memory;
	struct machine m;
	struct code c;
	pthread_t t;
	const char *policy = getenv("ANYKVM_USERFAULTFD");
	void *result;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(memory != MAP_FAILED);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	m = guest_over(memory, 0);
	c = code_at(&m, RAM);
	ldr(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	code_done(&m);
	guest_from(&m, GPA + 9 * PAGE);
	ASSERT_EQ(pthread_create(&t, NULL, run_guest, &m), 0);
	EXPECT_ASKED(uffd, memory + 9 * PAGE, 0);
	ASSERT_EQ(ftruncate(fd, 8 * PAGE), 0);
	/* The kernel's waits until somebody wakes it. */
	if (!policy || strcmp(policy, "emulate"))
		ASSERT_EQ(
			ioctl(uffd, UFFDIO_WAKE, &((struct uffdio_range){(uintptr_t)memory, SIZE})),
			0);
	pthread_join(t, &result);
	EXPECT_EQ((intptr_t)result, -EFAULT);
	guest_from(&m, GPA + 9 * PAGE);
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	expect_no_copy_beyond_the_end(uffd, memory + 9 * PAGE);
	expect_silence(uffd);
	/* It grows: missing, as everything that is new. */
	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	ASSERT_EQ(copy_page(uffd, memory + 9 * PAGE, 9, 0), 0);
	EXPECT_EQ(guest_loads(&m, GPA + 9 * PAGE), 9);
	machine_free(&m);
	close(uffd);
	munmap(memory, SIZE);
	close(fd);
}

/* A page comes whole or not at all. */
TEST(half_a_page_is_none)
{
	int uffd = uffd_open(UFFD_FEATURE_MISSING_SHMEM), fd = memfd_create("shared", MFD_CLOEXEC);
	unsigned char *memory, *source = memory_new();
	struct uffdio_copy copy = {.src = (uintptr_t)source + PAGE / 2, .len = PAGE};
	struct reader r;

	ASSERT_EQ(ftruncate(fd, SIZE), 0);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(memory != MAP_FAILED);
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	memset(source, 5, PAGE);
	ASSERT_EQ(munmap(source + PAGE, PAGE), 0);
	copy.dst = (uintptr_t)memory;
	EXPECT_ERRNO(ioctl(uffd, UFFDIO_COPY, &copy), EFAULT);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	EXPECT_EQ(copy_page(uffd, memory, 6, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 6);
	close(uffd);
	munmap(memory, SIZE);
	munmap(source, PAGE);
	munmap(source + 2 * PAGE, SIZE - 2 * PAGE);
	close(fd);
}

TEST(memory_that_stays_in_place_stays_registered)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 1, 0), 0);
	/* It shrinks. */
	ASSERT_EQ(mremap(memory, SIZE, 12 * PAGE, 0), memory);
	/* The next is mapped. */
	ASSERT_EQ(mmap(memory + 12 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		       -1, 0),
		  memory + 12 * PAGE);
	EXPECT(mremap(memory, 12 * PAGE, SIZE, 0) == MAP_FAILED);
	EXPECT_EQ(errno, ENOMEM);
	EXPECT_ERRNO(copy_page(uffd, memory + PAGE, 2, 0), EEXIST);
	EXPECT_EQ(*(uint64_t *)(memory + PAGE), 1);
	reader_start(&r, memory + 2 * PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + 2 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 2 * PAGE, 2, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 2);
	/* It grows where it is: what was there before is as it was. */
	ASSERT_EQ(munmap(memory + 12 * PAGE, PAGE), 0);
	ASSERT_EQ(mremap(memory, 12 * PAGE, 13 * PAGE, 0), memory);
	EXPECT_EQ(*(uint64_t *)(memory + PAGE), 1);
	reader_start(&r, memory + 3 * PAGE, false, 0);
	EXPECT_ASKED(uffd, memory + 3 * PAGE, 0);
	ASSERT_EQ(copy_page(uffd, memory + 3 * PAGE, 3, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 3);
	close(uffd);
	munmap(memory, 13 * PAGE);
}

/* Advice that the system takes up to a page that is locked. */
TEST(what_advice_takes_before_it_is_refused_is_missing)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct reader r;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(copy_page(uffd, memory + i * PAGE, i, 0), 0);
	/* The function does nothing in sanitized programs. */
	if (syscall(SYS_mlock, memory + 2 * PAGE, PAGE))
		SKIP("no memory can be locked here");
	EXPECT_ERRNO(madvise(memory, 4 * PAGE, MADV_DONTNEED), EINVAL);
	EXPECT_EQ(*(uint64_t *)(memory + 2 * PAGE), 2);
	EXPECT_EQ(*(uint64_t *)(memory + 3 * PAGE), 3);
	expect_silence(uffd);
	for (int i = 0; i < 2; i++) {
		reader_start(&r, memory + i * PAGE, false, 0);
		EXPECT_ASKED(uffd, memory + i * PAGE, 0);
		ASSERT_EQ(copy_page(uffd, memory + i * PAGE, 10 + i, 0), 0);
		pthread_join(r.thread, NULL);
		EXPECT_EQ(r.value, 10 + i);
	}
	close(uffd);
	munmap(memory, SIZE);
}
