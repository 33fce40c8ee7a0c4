/* SPDX-License-Identifier: MIT */
/* guest_memfd: descriptors, slots, what the guest and the host see of it, and how long it lives. */
#include "gmem.h"

#include <sys/stat.h>

/* --- descriptors --------------------------------------------------------------------------------------------------- */

TEST(gmem_creation_checks_flags_and_size)
{
	struct machine m = machine_without_vcpus();
	struct kvm_create_guest_memfd reserved = {.size = PAGE, .reserved = {1, 2, 3, 4, 5, 6}};
	int fd;

	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), 1);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS), SHARED);
	for (uint64_t flags = 0; flags < 4; flags++) {
		fd = gmem_new(m.vm, PAGE, flags);
		EXPECT(fd >= 0);
		/* unlike all other descriptors of KVM's */
		EXPECT_EQ(fcntl(fd, F_GETFD), 0);
		close(fd);
	}
	EXPECT_ERRNO(gmem_new(m.vm, PAGE, 4), EINVAL);
	EXPECT_ERRNO(gmem_new(m.vm, PAGE, 1ull << 63), EINVAL);
	EXPECT_ERRNO(gmem_new(m.vm, 0, 0), EINVAL);
	EXPECT_ERRNO(gmem_new(m.vm, PAGE + 1, 0), EINVAL);
	EXPECT_ERRNO(gmem_new(m.vm, -PAGE, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_GUEST_MEMFD, bad_pointer()), EFAULT);
	fd = ioctl(m.vm, KVM_CREATE_GUEST_MEMFD, &reserved);
	EXPECT(fd >= 0);
	close(fd);
	machine_free(&m);
}

TEST(gmem_descriptors_do_what_files_without_operations_do)
{
	struct machine m = machine_without_vcpus();
	int fd = gmem_new(m.vm, SIZE, SHARED);
	struct stat st;
	char byte;

	EXPECT_ERRNO(read(fd, &byte, 1), EINVAL);
	EXPECT_ERRNO(pread(fd, &byte, 1, 0), ESPIPE);
	EXPECT_ERRNO(ftruncate(fd, 0), EINVAL);
	EXPECT_ERRNO(ftruncate(fd, 2 * SIZE), EINVAL);
	EXPECT_ERRNO(ioctl(fd, KVM_RUN, 0), ENOTTY);
	EXPECT_EQ(fstat(fd, &st), 0);
	EXPECT_EQ(st.st_size, SIZE);
	close(fd);
	machine_free(&m);
}

TEST(gmem_fallocate_allocates_and_punches)
{
	struct machine m = machine_without_vcpus();
	int fd = gmem_new(m.vm, SIZE, SHARED);
	unsigned char *p = gmem_map(fd, SIZE);

	EXPECT_ERRNO(fallocate(fd, 0, 0, PAGE), EOPNOTSUPP);
	EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE), EOPNOTSUPP);
	EXPECT_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE, 0, PAGE),
		     EOPNOTSUPP);
	EXPECT_ERRNO(fallocate(fd, ALLOCATE, 1, PAGE), EINVAL);
	EXPECT_ERRNO(fallocate(fd, ALLOCATE, 0, PAGE + 1), EINVAL);
	EXPECT_ERRNO(fallocate(fd, PUNCH, 1, PAGE), EINVAL);
	EXPECT_ERRNO(fallocate(fd, PUNCH, 0, 1), EINVAL);
	EXPECT_ERRNO(fallocate(fd, ALLOCATE, 0, SIZE + PAGE), EINVAL);
	EXPECT_ERRNO(fallocate(fd, ALLOCATE, SIZE, PAGE), EINVAL);
	EXPECT_ERRNO(fallocate(fd, ALLOCATE, -1, PAGE), EINVAL);
	EXPECT_ERRNO(fallocate(fd, ALLOCATE, 0, 0), EINVAL);
	EXPECT_EQ(fallocate(fd, ALLOCATE, 0, SIZE), 0);
	EXPECT_EQ(fallocate(fd, ALLOCATE, PAGE, PAGE), 0);
	memset(p, 1, SIZE);
	/* what is there stays */
	EXPECT_EQ(fallocate(fd, ALLOCATE, 0, SIZE), 0);
	EXPECT_EQ(fallocate(fd, PUNCH, PAGE, PAGE), 0);
	EXPECT_EQ(p[0], 1);
	EXPECT_EQ(p[PAGE], 0);
	EXPECT_EQ(p[2 * PAGE - 1], 0);
	EXPECT_EQ(p[2 * PAGE], 1);
	EXPECT_EQ(p[SIZE - 1], 1);
	/* nothing is there */
	EXPECT_EQ(fallocate(fd, PUNCH, SIZE, PAGE), 0);
	EXPECT_EQ(fallocate(fd, PUNCH, SIZE + PAGE, 5 * PAGE), 0);
	EXPECT_EQ(fallocate(fd, PUNCH, 3 * PAGE, 2 * SIZE), 0);
	EXPECT_EQ(p[2 * PAGE], 1);
	EXPECT_EQ(p[3 * PAGE], 0);
	EXPECT_EQ(p[SIZE - 1], 0);
	/* a mapping's own way to punch */
	EXPECT_EQ(madvise(p + 2 * PAGE, PAGE, MADV_REMOVE), 0);
	EXPECT_EQ(p[2 * PAGE], 0);
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

TEST(gmem_is_mapped_as_its_flags_allow)
{
	struct machine m = machine_without_vcpus();
	int plain = gmem_new(m.vm, SIZE, 0), mmapable = gmem_new(m.vm, SIZE, GUEST_MEMFD_FLAG_MMAP),
	    shared = gmem_new(m.vm, SIZE, SHARED);
	unsigned char *p;

	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ, MAP_SHARED, plain, 0), ENODEV);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, plain, 0), ENODEV);
	EXPECT_ERRNO((intptr_t)mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, shared, 0), EINVAL);
	p = gmem_map(mmapable, SIZE);
	EXPECT_EQ(touch_fails(p), 1);
	EXPECT_EQ(touch_fails(p + SIZE - 1), 1);
	munmap(p, SIZE);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, shared, SIZE / 2);
	ASSERT(p != MAP_FAILED);
	EXPECT_EQ(touch_fails(p), 0);
	EXPECT_EQ(*p, 0);
	EXPECT_EQ(touch_fails(p + SIZE / 2 - 1), 0);
	/* beyond its size */
	EXPECT_EQ(touch_fails(p + SIZE / 2), 1);
	munmap(p, SIZE);
	close(plain);
	close(mmapable);
	close(shared);
	machine_free(&m);
}

/* --- slots --------------------------------------------------------------------------------------------------------- */

TEST(gmem_binding_fails_as_kvm_fails)
{
	struct machine m = machine_without_vcpus(), other = machine_without_vcpus();
	int fd = gmem_new(m.vm, SIZE, SHARED), plain = gmem_new(m.vm, SIZE, 0),
	    foreign = gmem_new(other.vm, SIZE, SHARED), file = memfd_create("not a gmem", 0);
	struct kvm_userspace_memory_region2 r = {.slot = 1,
						 .flags = KVM_MEM_GUEST_MEMFD |
							  KVM_MEM_LOG_DIRTY_PAGES,
						 .guest_phys_addr = GPA,
						 .memory_size = SIZE,
						 .userspace_addr = 0x10000000,
						 .guest_memfd = fd};

	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), EINVAL);
	r.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, KVM_MEM_GUEST_MEMFD, GPA, SIZE, m.ram), EINVAL);

	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, -1, 0), EBADF);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, 1 << 20, 0), EBADF);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, file, 0), EINVAL);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, m.vm, 0), EINVAL);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, foreign, 0), EINVAL);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, fd, PAGE), EINVAL);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, fd, 1), EINVAL);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, fd, -PAGE), EINVAL);
	/* the slot's own place comes before its memory */
	EXPECT_ERRNO(gmem_slot(m.vm, 1, RAM, SIZE, -1, 0), EEXIST);
	/* no view for the host: refused after the bind, which is undone */
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, plain, 0), EINVAL);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, plain, 0), EINVAL);
	/* beyond the guest's addresses: the same */
	EXPECT_ERRNO(gmem_slot(m.vm, 1, 1ull << 40, SIZE, fd, 0), EFAULT);

	EXPECT_EQ(gmem_slot(m.vm, 1, GPA, SIZE / 2, fd, 0), 0);
	EXPECT_ERRNO(gmem_slot(m.vm, 2, GPA + SIZE, SIZE / 2, fd, 0), EEXIST);
	EXPECT_ERRNO(gmem_slot(m.vm, 2, GPA + SIZE, PAGE, fd, SIZE / 2 - PAGE), EEXIST);
	EXPECT_EQ(gmem_slot(m.vm, 2, GPA + SIZE, SIZE / 2, fd, SIZE / 2), 0);
	/* such a slot can only be deleted */
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE / 2, fd, 0), EINVAL);
	EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA + 4 * SIZE, SIZE / 2, fd, 0), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, GPA, SIZE / 2, (void *)0x10000000), EINVAL);
	EXPECT_EQ(gmem_slot(m.vm, 1, GPA, 0, fd, 0), 0);
	EXPECT_EQ(set_slot(m.vm, 2, 0, GPA, 0, NULL), 0);
	EXPECT_EQ(gmem_slot(m.vm, 2, GPA, SIZE, fd, 0), 0);
	EXPECT_EQ(set_slot(m.vm, 2, 0, GPA, 0, NULL), 0);
	close(fd);
	close(plain);
	close(foreign);
	close(file);
	machine_free(&m);
	machine_free(&other);
}

TEST(guest_and_host_see_the_same_guest_memfd)
{
	unsigned char *p;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);
	struct code c = {(uint32_t *)(p + PAGE), GPA + PAGE};

	/* the guest runs from it, loads what the host stored, and stores what the host sees */
	li(&c, 1, GPA + 0x10000);
	ldr(&c, 8, 2, 1, 0);
	add_imm(&c, 2, 2, 1);
	str(&c, 8, 2, 1, 8);
	report(&c, 2, 0);
	__builtin___clear_cache((char *)p, (char *)p + SIZE);
	*(uint64_t *)(p + 0x10000) = 41;
	restart_at(&m, GPA + PAGE, 0);
	EXPECT_REPORT(&m, 0, 0, 42);
	EXPECT_EQ(*(uint64_t *)(p + 0x10008), 42);
	/* not touched by anybody yet */
	restart_at(&m, RAM, GPA + SIZE - 8);
	EXPECT_REPORT(&m, 0, 0, 0);
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

TEST(two_slots_may_share_a_file_and_a_slot_may_start_anywhere_in_it)
{
	struct machine m = machine_new(1);
	int fd = gmem_new(m.vm, SIZE, SHARED);
	unsigned char *p = gmem_map(fd, SIZE);

	reporter(&m);
	ASSERT_EQ(gmem_slot(m.vm, 1, GPA, SIZE / 2, fd, SIZE / 2), 0);
	ASSERT_EQ(gmem_slot(m.vm, 2, GPA + SIZE + PAGE, SIZE / 4, fd, PAGE), 0);
	*(uint64_t *)(p + SIZE / 2 + 3 * PAGE) = 7;
	*(uint64_t *)(p + PAGE + 5 * PAGE) = 8;
	restart_at(&m, RAM, GPA + 3 * PAGE);
	EXPECT_REPORT(&m, 0, 0, 7);
	restart_at(&m, RAM, GPA + SIZE + 6 * PAGE);
	EXPECT_REPORT(&m, 0, 0, 8);
	/* one hole in both */
	EXPECT_EQ(fallocate(fd, PUNCH, 0, SIZE), 0);
	restart_at(&m, RAM, GPA + 3 * PAGE);
	EXPECT_REPORT(&m, 0, 0, 0);
	restart_at(&m, RAM, GPA + SIZE + 6 * PAGE);
	EXPECT_REPORT(&m, 0, 0, 0);
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

/* I-36 */
TEST(i36_a_punched_page_is_zero_to_guest_and_host)
{
	unsigned char *p;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	for (int huge = 0; huge < 2; huge++) {
		if (huge)
			ASSERT_EQ(fallocate(fd, ALLOCATE, 0, SIZE), 0);
		*(uint64_t *)(p + 2 * PAGE) = 5;
		*(uint64_t *)(p + 3 * PAGE) = 6;
		restart_at(&m, RAM, GPA + 2 * PAGE);
		EXPECT_REPORT(&m, 0, 0, 5);
		EXPECT_EQ(fallocate(fd, PUNCH, 2 * PAGE, PAGE), 0);
		restart_at(&m, RAM, GPA + 2 * PAGE);
		EXPECT_REPORT(&m, 0, 0, 0);
		EXPECT_EQ(*(uint64_t *)(p + 2 * PAGE), 0);
		restart_at(&m, RAM, GPA + 3 * PAGE);
		EXPECT_REPORT(&m, 0, 0, 6);
	}
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

/* I-37 */
TEST(i37_code_in_a_punched_page_is_forgotten)
{
	unsigned char *p;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	say(p, GPA, 1);
	restart_at(&m, GPA, 0);
	EXPECT_REPORT(&m, 0, 0, 1);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, PAGE), 0);
	say(p, GPA, 2);
	restart_at(&m, GPA, 0);
	EXPECT_REPORT(&m, 0, 0, 2);
	/* another slot of the same pages after the first is gone */
	EXPECT_EQ(gmem_slot(m.vm, 1, GPA, 0, fd, 0), 0);
	say(p, GPA, 3);
	EXPECT_EQ(gmem_slot(m.vm, 1, GPA, SIZE, fd, 0), 0);
	restart_at(&m, GPA, 0);
	EXPECT_REPORT(&m, 0, 0, 3);
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

/* An ordinary slot on a mapping of the file sees the hole as well. */
TEST(a_hole_reaches_ordinary_slots_on_mappings_of_the_file)
{
	unsigned char *p;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	ASSERT_EQ(set_slot(m.vm, 2, 0, GPA + SIZE, SIZE, p), 0);
	say(p, GPA + SIZE, 1);
	restart_at(&m, GPA + SIZE, 0);
	EXPECT_REPORT(&m, 0, 0, 1);
	*(uint64_t *)(p + PAGE) = 9;
	restart_at(&m, RAM, GPA + SIZE + PAGE);
	EXPECT_REPORT(&m, 0, 0, 9);
	restart_at(&m, RAM, GPA + PAGE);
	EXPECT_REPORT(&m, 0, 0, 9);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, 2 * PAGE), 0);
	restart_at(&m, RAM, GPA + SIZE + PAGE);
	EXPECT_REPORT(&m, 0, 0, 0);
	say(p, GPA + SIZE, 2);
	restart_at(&m, GPA + SIZE, 0);
	EXPECT_REPORT(&m, 0, 0, 2);
	munmap(p, SIZE);
	close(fd);
	machine_free(&m);
}

/* --- lifetime ------------------------------------------------------------------------------------------------------ */

TEST(a_slot_outlives_its_file_and_then_has_no_memory)
{
	unsigned char *p;
	int fd, copy, again;
	struct machine m = machine_with_gmem(&fd, &p);

	p[5] = 5;
	restart_at(&m, RAM, GPA);
	EXPECT_REPORT(&m, 0, 0, 5ull << 40);
	/* a copy of the descriptor keeps it, then a piece of a mapping does */
	copy = dup(fd);
	close(fd);
	munmap(p + PAGE, SIZE - PAGE);
	restart_at(&m, RAM, GPA + 8);
	EXPECT_REPORT(&m, 0, 0, 0);
	close(copy);
	restart_at(&m, RAM, GPA);
	EXPECT_REPORT(&m, 0, 0, 5ull << 40);
	munmap(p, PAGE);
	expect_memory_fault(&m, GPA, EFAULT);
	expect_memory_fault(&m, GPA + 0x1234 * 8, EFAULT);
	/* the slot is still there, and can go */
	again = gmem_new(m.vm, SIZE, SHARED);
	EXPECT_ERRNO(gmem_slot(m.vm, 2, GPA, SIZE, again, 0), EEXIST);
	EXPECT_EQ(gmem_slot(m.vm, 1, GPA, 0, -1, 0), 0);
	EXPECT_EQ(gmem_slot(m.vm, 2, GPA, SIZE, again, 0), 0);
	restart_at(&m, RAM, GPA);
	EXPECT_REPORT(&m, 0, 0, 0);
	close(again);
	machine_free(&m);
}

/* I-01 */
TEST(i01_a_file_or_a_mapping_keeps_the_machine)
{
	for (int by_mapping = 0; by_mapping < 2; by_mapping++) {
		unsigned char *p;
		int fd;
		struct machine m = machine_with_gmem(&fd, &p);

		machine_free(&m);
		if (by_mapping) {
			close(fd);
		} else {
			munmap(p, SIZE);
			p = gmem_map(fd, SIZE);
		}
		p[0] = 1;
		EXPECT_EQ(p[0], 1);
		if (!by_mapping) {
			EXPECT_EQ(fallocate(fd, ALLOCATE, 0, SIZE), 0);
			EXPECT_EQ(fallocate(fd, PUNCH, 0, SIZE), 0);
			EXPECT_EQ(p[0], 0);
			close(fd);
		}
		munmap(p, SIZE);
	}
}

#ifndef ANYKVM_REAL
/* A real machine wants privileges for this, and a page of its memory. */
TEST(a_memory_error_stays_until_the_page_is_punched)
{
	unsigned char *p, *q;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	memset(p, 1, 4 * PAGE);
	restart_at(&m, RAM, GPA + PAGE);
	EXPECT_REPORT(&m, 0, 0, 0x0101010101010101ull);
	EXPECT_EQ(madvise(p + PAGE, PAGE, MADV_HWPOISON), 0);
	expect_memory_fault(&m, GPA + PAGE, EHWPOISON);
	expect_memory_fault(&m, GPA + PAGE + 8, EHWPOISON);
	EXPECT_EQ(touch_fails(p + PAGE), 1);
	EXPECT_EQ(touch_fails(p), 0);
	EXPECT_EQ(touch_fails(p + 2 * PAGE), 0);
	restart_at(&m, RAM, GPA);
	EXPECT_REPORT(&m, 0, 0, 0x0101010101010101ull);
	restart_at(&m, RAM, GPA + 2 * PAGE);
	EXPECT_REPORT(&m, 0, 0, 0x0101010101010101ull);
	/* mapped later */
	q = gmem_map(fd, SIZE);
	EXPECT_EQ(touch_fails(q + PAGE), 1);
	EXPECT_EQ(touch_fails(q + 2 * PAGE), 0);
	/* a fresh page in its place */
	EXPECT_EQ(fallocate(fd, PUNCH, PAGE, PAGE), 0);
	restart_at(&m, RAM, GPA + PAGE);
	EXPECT_REPORT(&m, 0, 0, 0);
	EXPECT_EQ(touch_fails(p + PAGE), 0);
	EXPECT_EQ(touch_fails(q + PAGE), 0);
	p[PAGE] = 3;
	EXPECT_EQ(q[PAGE], 3);
	restart_at(&m, RAM, GPA + PAGE);
	EXPECT_REPORT(&m, 0, 0, 3);
	munmap(p, SIZE);
	munmap(q, SIZE);
	close(fd);
	machine_free(&m);
}
#endif
