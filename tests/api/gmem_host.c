/* SPDX-License-Identifier: MIT */
/* guest_memfd and its host: mappings of it that come, move and go, children, and a program's own pairs around all that. */
#include "gmem.h"

#include <sys/wait.h>

/* --- mappings ------------------------------------------------------------------------------------------------------ */

/* What mmap looks at before it asks the file comes first. */
TEST(gmem_mappings_are_refused_in_the_systems_order)
{
	struct machine m = machine_without_vcpus();
	int plain = gmem_new(m.vm, SIZE, 0), shared = gmem_new(m.vm, SIZE, SHARED);

	EXPECT_ERRNO((intptr_t)mmap(NULL, 0, PROT_READ, MAP_SHARED, plain, 0), EINVAL);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ, MAP_SHARED, plain, 1), EINVAL);
	EXPECT_ERRNO((intptr_t)mmap((void *)1, SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, plain, 0),
		     EINVAL);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, plain, 0),
		     EPERM);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, shared, 0),
		     EPERM);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, shared, 0),
		     EPERM);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ, MAP_SHARED, plain, 0), ENODEV);
	close(plain);
	close(shared);
	machine_free(&m);
}

/* A piece goes, the ends stay what they are, and each of them keeps the file. */
TEST(a_gmem_mapping_with_a_hole_in_the_middle_works_at_both_ends)
{
	unsigned char *p;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	*(uint64_t *)p = 1;
	*(uint64_t *)(p + SIZE - PAGE) = 2;
	EXPECT_EQ(munmap(p + PAGE, SIZE - 2 * PAGE), 0);
	EXPECT_EQ(mprotect(p + SIZE - PAGE, PAGE, PROT_READ), 0);
	close(fd);
	EXPECT_EQ(*(uint64_t *)p, 1);
	EXPECT_EQ(*(uint64_t *)(p + SIZE - PAGE), 2);
	restart_at(&m, RAM, GPA + SIZE - PAGE);
	EXPECT_REPORT(&m, 0, 0, 2);
	/* its own rights are the host's: the guest goes by the file */
	EXPECT_EQ(munmap(p, PAGE), 0);
	restart_at(&m, RAM, GPA);
	EXPECT_REPORT(&m, 0, 0, 1);
	/* by something else in its place */
	EXPECT(mmap(p + SIZE - PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) != MAP_FAILED);
	expect_memory_fault(&m, GPA, EFAULT);
	munmap(p + SIZE - PAGE, PAGE);
	machine_free(&m);
}

/* More than a pair is made for each: all of them are told of a hole. */
TEST(a_hole_reaches_all_of_many_mappings)
{
	unsigned char *p, *q[40];
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	for (unsigned i = 0; i < 40; i++) {
		q[i] = gmem_map(fd, SIZE);
		ASSERT_EQ(set_slot(m.vm, 2 + i, 0, GPA + (i + 1) * SIZE, SIZE, q[i]), 0);
	}
	for (uint64_t round = 1; round < 3; round++) {
		for (unsigned i = 0; i < 40; i++) {
			say(q[i] + i * PAGE, GPA + (i + 1) * SIZE + i * PAGE, round * 100 + i);
			restart_at(&m, GPA + (i + 1) * SIZE + i * PAGE, 0);
			EXPECT_REPORT(&m, 0, 0, round * 100 + i);
		}
		EXPECT_EQ(fallocate(fd, PUNCH, 0, SIZE), 0);
	}
	for (unsigned i = 0; i < 40; i++)
		munmap(q[i], SIZE);
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

TEST(a_gmem_mapping_grows_shrinks_moves_and_doubles)
{
	struct machine m = machine_new(1);
	int fd = gmem_new(m.vm, SIZE, SHARED);
	unsigned char *p = gmem_map(fd, SIZE / 2), *q, *twin, *place;

	p[0] = 1;
	p = mremap(p, SIZE / 2, SIZE, MREMAP_MAYMOVE);
	ASSERT(p != MAP_FAILED);
	EXPECT_EQ(p[0], 1);
	p[SIZE - 1] = 2;
	/* A second mapping of its end, moved to a place of the program's choice. */
	twin = mremap(p + SIZE - PAGE, 0, PAGE, MREMAP_MAYMOVE);
	ASSERT(twin != MAP_FAILED);
	EXPECT_EQ(twin[PAGE - 1], 2);
	place = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(place != MAP_FAILED);
	EXPECT_ERRNO((intptr_t)mremap(twin, PAGE, PAGE, MREMAP_FIXED, place), EINVAL);
	EXPECT_ERRNO((intptr_t)mremap(twin, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, place + 1),
		     EINVAL);
	EXPECT_ERRNO((intptr_t)mremap(twin, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, twin),
		     EINVAL);
	EXPECT_ERRNO((intptr_t)mremap(twin, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
	q = mremap(twin, PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, place);
	ASSERT(q == place);
	EXPECT_EQ(q[PAGE - 1], 2);
	EXPECT_ERRNO((intptr_t)mremap(twin, PAGE, PAGE, 0), EFAULT);
	EXPECT(mremap(p, SIZE, SIZE / 2, 0) == p);
	EXPECT(mremap(p, SIZE, SIZE, 0) == p);
	EXPECT_ERRNO((intptr_t)mremap(p, SIZE, 2 * SIZE, MREMAP_MAYMOVE), EFAULT);
	/* What became of it is a mapping of the file as any other: code that ran there is forgotten with its page. */
	ASSERT_EQ(set_slot(m.vm, 2, 0, GPA, PAGE, q), 0);
	say(q, GPA, 7);
	restart_at(&m, GPA, 0);
	EXPECT_REPORT(&m, 0, 0, 7);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, SIZE), 0);
	EXPECT_EQ(q[PAGE - 1], 0);
	EXPECT_EQ(*(uint32_t *)q, 0);
	EXPECT_EQ(p[0], 0);
	say(q, GPA, 8);
	restart_at(&m, GPA, 0);
	EXPECT_REPORT(&m, 0, 0, 8);
	munmap(place, 2 * PAGE);
	munmap(p, SIZE / 2);
	close(fd);
	machine_free(&m);
}

#ifndef ANYKVM_REAL
/* Nothing but the descriptor, which the program may have closed, could map them elsewhere. */
TEST(a_vcpus_mapping_is_neither_moved_nor_doubled)
{
	struct machine m = machine_new(1);

	EXPECT_ERRNO((intptr_t)mremap(m.run[0], PAGE, 2 * PAGE, MREMAP_MAYMOVE), EINVAL);
	EXPECT_ERRNO((intptr_t)mremap(m.run[0], 0, PAGE, MREMAP_MAYMOVE), EINVAL);
	machine_free(&m);
}
#endif

/* --- children ------------------------------------------------------------------------------------------------------ */

#define CHILD_CHECK(c)                          \
	do {                                    \
		if (!(c))                       \
			_exit(__LINE__ & 0x7f); \
	} while (0)

/* I-34. A mapping is shared memory as any other: the child sees what the guest sees. */
TEST(i34_a_child_shares_the_mapping_of_its_parent)
{
	unsigned char *p;
	int fd, status = -1;
	struct machine m = machine_with_gmem(&fd, &p);
	pid_t pid;

	*(uint64_t *)p = 5;
	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		CHILD_CHECK(*(uint64_t *)p == 5);
		*(uint64_t *)(p + PAGE) = 6;
		CHILD_CHECK(!munmap(p, SIZE / 2));
		CHILD_CHECK(!close(fd));
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	restart_at(&m, RAM, GPA + PAGE);
	EXPECT_REPORT(&m, 0, 0, 6);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, SIZE), 0);
	EXPECT_EQ(*(uint64_t *)(p + PAGE), 0);
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

#ifndef ANYKVM_REAL
/* The descriptor itself is of no use to it, and says so: nothing else than the file's memory may come of it. */
TEST(i34_a_child_cannot_map_or_punch)
{
	struct machine m = machine_without_vcpus();
	int fd = gmem_new(m.vm, SIZE, SHARED), status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		CHILD_CHECK(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED &&
			    errno == EIO);
		CHILD_CHECK(fallocate(fd, ALLOCATE, 0, SIZE) == -1 && errno == EIO);
		CHILD_CHECK(fallocate(fd, PUNCH, 0, SIZE) == -1 && errno == EIO);
		CHILD_CHECK(ftruncate(fd, 0) == -1 && errno == EIO);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	close(fd);
	machine_free(&m);
}

/* --- a program's own pairs ----------------------------------------------------------------------------------------- */

/* They wait for holes and slots, whose threads may wait for the pair (LO-5). */
TEST(lo5_gmem_calls_inside_a_pair_of_the_program_are_refused)
{
	struct anykvm_invalidate inv;
	unsigned char *p;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	*(uint64_t *)p = 7;
	ASSERT_EQ(anykvm_invalidate_start(p, SIZE, &inv), 0);
	EXPECT_ERRNO(fallocate(fd, ALLOCATE, 0, SIZE), EDEADLK);
	EXPECT_ERRNO(fallocate(fd, PUNCH, 0, SIZE), EDEADLK);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0), EDEADLK);
	EXPECT_ERRNO((intptr_t)mmap(p, SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), EDEADLK);
	EXPECT_ERRNO(madvise(p, PAGE, MADV_REMOVE), EDEADLK);
	EXPECT_ERRNO(madvise(p, PAGE, MADV_HWPOISON), EDEADLK);
	EXPECT_EQ(*(uint64_t *)p, 7);
	EXPECT_EQ(munmap(p, SIZE), 0);
	EXPECT_EQ(close(fd), 0);
	/* the last reference: it is put when the pair is over */
	anykvm_invalidate_end(&inv);
	expect_memory_fault(&m, GPA, EFAULT);
	machine_free(&m);
}
#endif
