/* SPDX-License-Identifier: MIT */
/* Memory slots: what is refused, and what the guest sees of those that are accepted. */
#include "vmm.h"

#define KIB64 0x10000ull

TEST(bad_slots_are_refused)
{
	struct machine m = machine_without_vcpus();
	unsigned char *p =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t gpa = 0x80000000ull;

	/* unaligned */
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa, PAGE + 1, p), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa + 8, PAGE, p), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa, PAGE, p + 8), EINVAL);
	/* slot numbers: 32767 slots, one address space */
	EXPECT_ERRNO(set_slot(m.vm, 32767, 0, gpa, PAGE, p), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1 << 16 | 1, 0, gpa, PAGE, p), EINVAL);
	EXPECT_EQ(set_slot(m.vm, 32766, 0, gpa, PAGE, p), 0);
	EXPECT_EQ(set_slot(m.vm, 32766, 0, gpa, 0, p), 0);
	/* flags */
	EXPECT_ERRNO(set_slot(m.vm, 1, 4, gpa, PAGE, p), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0x80000000u, gpa, PAGE, p), EINVAL);
	/* ranges that wrap, or lie outside user memory */
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, ~0ull << 12, 2 * PAGE, p), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa, PAGE, (void *)(~0ull << 12)), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa, PAGE, (void *)0xffff000000000000ull), EINVAL);
	/* too large */
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, 0, 1ull << 44, (void *)PAGE), EINVAL);
	/* beyond the machine's address size (40 bits) */
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, 1ull << 40, PAGE, p), EFAULT);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, (1ull << 40) - PAGE, 2 * PAGE, p), EFAULT);
	EXPECT_EQ(set_slot(m.vm, 1, 0, (1ull << 40) - PAGE, PAGE, p), 0);
	EXPECT_EQ(set_slot(m.vm, 1, 0, (1ull << 40) - PAGE, 0, p), 0);
	/* deleting what is not there, or by an unaligned address */
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa, 0, p), EINVAL);
	EXPECT_EQ(set_slot(m.vm, 1, 0, gpa, PAGE, p), 0);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa + 8, 0, p), EINVAL);
	EXPECT_EQ(set_slot(m.vm, 1, 0, 0, 0, NULL), 0);
	munmap(p, 1 << 20);
	machine_free(&m);
}

TEST(slots_may_not_overlap_in_guest_memory)
{
	struct machine m = machine_without_vcpus();
	unsigned char *p =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t gpa = 0x80000000ull;

	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, 4 * KIB64, p), 0);
	EXPECT_ERRNO(set_slot(m.vm, 2, 0, gpa, 4 * KIB64, p), EEXIST);
	EXPECT_ERRNO(set_slot(m.vm, 2, 0, gpa + KIB64, KIB64, p), EEXIST);
	EXPECT_ERRNO(set_slot(m.vm, 2, 0, gpa - KIB64, 2 * KIB64, p), EEXIST);
	EXPECT_ERRNO(set_slot(m.vm, 2, 0, gpa + 3 * KIB64, 2 * KIB64, p), EEXIST);
	EXPECT_ERRNO(set_slot(m.vm, 2, 0, gpa - KIB64, 8 * KIB64, p), EEXIST);
	/* beside it, and host memory may be shared */
	EXPECT_EQ(set_slot(m.vm, 2, 0, gpa + 4 * KIB64, KIB64, p), 0);
	EXPECT_EQ(set_slot(m.vm, 3, 0, gpa - KIB64, KIB64, p), 0);
	/* moving onto another */
	EXPECT_ERRNO(set_slot(m.vm, 3, 0, gpa, KIB64, p), EEXIST);
	EXPECT_EQ(set_slot(m.vm, 3, 0, gpa - 4 * KIB64, KIB64, p), 0);
	munmap(p, 1 << 20);
	machine_free(&m);
}

TEST(existing_slots_change_only_as_kvm_allows)
{
	struct machine m = machine_without_vcpus();
	unsigned char *p =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t gpa = 0x80000000ull;

	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, 4 * KIB64, p), 0);
	EXPECT_EQ(set_slot(m.vm, 1, 0, gpa, 4 * KIB64, p), 0);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa, 2 * KIB64, p), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, 0, gpa, 4 * KIB64, p + KIB64), EINVAL);
	EXPECT_ERRNO(set_slot(m.vm, 1, KVM_MEM_READONLY, gpa, 4 * KIB64, p), EINVAL);
	EXPECT_EQ(set_slot(m.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, gpa, 4 * KIB64, p), 0);
	EXPECT_EQ(set_slot(m.vm, 1, 0, gpa, 4 * KIB64, p), 0);
	EXPECT_EQ(set_slot(m.vm, 1, 0, gpa + (1 << 20), 4 * KIB64, p), 0);
	munmap(p, 1 << 20);
	machine_free(&m);
}

TEST(region2_is_region_with_more_fields)
{
	struct machine m = machine_without_vcpus();
	struct kvm_userspace_memory_region2 r = {.slot = 1,
						 .guest_phys_addr = 0x80000000ull,
						 .memory_size = PAGE,
						 .userspace_addr = (uintptr_t)m.ram};

	/* the padding is not looked at */
	r.pad1 = 1;
	r.pad2[3] = 1;
	EXPECT_EQ(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	r.flags = 8;
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), EINVAL);
	r.flags = 0;
	r.memory_size = 0;
	EXPECT_EQ(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	machine_free(&m);
}

/* Guest: reports the word at [x1], over and over. */
static void reporter(struct machine *m, uint64_t gpa)
{
	struct code c = code_at(m, RAM);

	li(&c, 1, gpa);
	uint64_t loop = c.pc;
	ldr(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	b_to(&c, loop);
	code_done(m);
}

static void expect_read_exit(struct machine *m, uint64_t gpa)
{
	EXPECT_EQ(run(m, 0), 0);
	EXPECT_EQ(m->run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m->run[0]->mmio.phys_addr, gpa);
	EXPECT_EQ(m->run[0]->mmio.is_write, 0);
}

TEST(the_guest_sees_slots_come_go_and_move)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull, moved = 0x90000000ull;
	unsigned char *p =
		mmap(NULL, 2 * KIB64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	reporter(&m, gpa);
	*(uint64_t *)p = 0x1111;
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, 2 * KIB64, p), 0);
	EXPECT_REPORT(&m, 0, 0, 0x1111);
	*(uint64_t *)p = 0x2222;
	EXPECT_REPORT(&m, 0, 0, 0x2222);
	/* moved away: a hole; what the VMM answers is what the guest reads */
	ASSERT_EQ(set_slot(m.vm, 1, 0, moved, 2 * KIB64, p), 0);
	expect_read_exit(&m, gpa);
	*(uint64_t *)m.run[0]->mmio.data = 0x3333;
	EXPECT_REPORT(&m, 0, 0, 0x3333);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, 2 * KIB64, p), 0);
	EXPECT_REPORT(&m, 0, 0, 0x2222);
	/* deleted */
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, 0, NULL), 0);
	expect_read_exit(&m, gpa);
	*(uint64_t *)m.run[0]->mmio.data = 0x4444;
	EXPECT_REPORT(&m, 0, 0, 0x4444);
	/* other memory at the same place */
	*(uint64_t *)(p + KIB64) = 0x5555;
	ASSERT_EQ(set_slot(m.vm, 2, 0, gpa, KIB64, p + KIB64), 0);
	EXPECT_REPORT(&m, 0, 0, 0x5555);
	munmap(p, 2 * KIB64);
	machine_free(&m);
}

TEST(a_store_to_a_read_only_slot_leaves_the_guest)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	uint64_t gpa = 0x80000000ull;
	unsigned char *p =
		mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	li(&c, 1, gpa);
	li(&c, 2, 0xabcd);
	ldr(&c, 8, 0, 1, 8);
	str(&c, 4, 2, 1, 16);
	ldr(&c, 8, 3, 1, 16);
	report(&c, 0, 0);
	report(&c, 3, 8);
	code_done(&m);
	((uint64_t *)p)[1] = 77;
	((uint64_t *)p)[2] = 88;
	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_READONLY, gpa, KIB64, p), 0);
	EXPECT_EQ(run(&m, 0), 0);
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_EQ(m.run[0]->mmio.phys_addr, gpa + 16);
	EXPECT_EQ(m.run[0]->mmio.is_write, 1);
	EXPECT_EQ(m.run[0]->mmio.len, 4);
	EXPECT_EQ(*(uint32_t *)m.run[0]->mmio.data, 0xabcd);
	EXPECT_EQ(((uint64_t *)p)[2], 88);
	EXPECT_REPORT(&m, 0, 0, 77);
	EXPECT_REPORT(&m, 0, 8, 88);
	munmap(p, KIB64);
	machine_free(&m);
}

/* It writes nothing, so memory that may not be written, or whose writes are logged, does for it. */
TEST(cache_maintenance_asks_for_no_memory_that_can_be_written)
{
	static const uint32_t by_va[] = {0xd5087621 /* DC IVAC, x1 */, 0xd50b7e21 /* DC CIVAC */};
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	uint64_t gpa = 0x80000000ull;
	unsigned char *p =
		mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (unsigned i = 0; i < 2; i++)
		for (unsigned op = 0; op < 2; op++) {
			li(&c, 1, gpa + i * KIB64);
			put(&c, by_va[op]);
			report(&c, 1, i * 16 + op * 8);
		}
	code_done(&m);
	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_READONLY, gpa, KIB64, p), 0);
	ASSERT_EQ(set_slot(m.vm, 2, KVM_MEM_LOG_DIRTY_PAGES, gpa + KIB64, KIB64, p), 0);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned op = 0; op < 2; op++)
			EXPECT_REPORT(&m, 0, i * 16 + op * 8, gpa + i * KIB64);
	munmap(p, KIB64);
	machine_free(&m);
}

TEST(no_memory_behind_a_slot_is_efault)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull;
	unsigned char *p =
		mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	reporter(&m, gpa);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
	*(uint64_t *)p = 1;
	EXPECT_REPORT(&m, 0, 0, 1);
	ASSERT_EQ(munmap(p, KIB64), 0);
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	/* and back again */
	ASSERT(mmap(p, KIB64, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1,
		    0) == p);
	*(uint64_t *)p = 2;
	EXPECT_REPORT(&m, 0, 0, 2);
	/* protection counts too */
	ASSERT_EQ(mprotect(p, KIB64, PROT_NONE), 0);
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	ASSERT_EQ(mprotect(p, KIB64, PROT_READ), 0);
	EXPECT_REPORT(&m, 0, 0, 2);
	munmap(p, KIB64);
	machine_free(&m);
}

TEST(a_change_of_host_memory_is_seen_at_once)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull;
	int file = memfd_create("backing", 0);
	unsigned char *p;

	reporter(&m, gpa);
	ASSERT_EQ(ftruncate(file, 2 * KIB64), 0);
	p = mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	uint64_t one = 0x1001, two = 0x2002;
	ASSERT_EQ(pwrite(file, &one, 8, 0), 8);
	ASSERT_EQ(pwrite(file, &two, 8, KIB64), 8);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
	EXPECT_REPORT(&m, 0, 0, one);
	/* another part of the file over it */
	ASSERT(mmap(p, KIB64, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, file, KIB64) == p);
	EXPECT_REPORT(&m, 0, 0, two);
	/* a hole: zeros */
	ASSERT_EQ(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, KIB64, KIB64), 0);
	EXPECT_REPORT(&m, 0, 0, 0);
	ASSERT_EQ(pwrite(file, &one, 8, KIB64), 8);
	EXPECT_REPORT(&m, 0, 0, one);
	/* the end cut off: no memory */
	ASSERT_EQ(ftruncate(file, KIB64), 0);
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	ASSERT_EQ(ftruncate(file, 2 * KIB64), 0);
	EXPECT_REPORT(&m, 0, 0, 0);
	/* moved away, and private memory discarded */
	unsigned char *place = mmap(NULL, KIB64, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *q = mremap(p, KIB64, KIB64, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	ASSERT(q == place);
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	munmap(q, KIB64);
	ASSERT(mmap(p, KIB64, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == p);
	*(uint64_t *)p = 99;
	EXPECT_REPORT(&m, 0, 0, 99);
	ASSERT_EQ(madvise(p, KIB64, MADV_DONTNEED), 0);
	EXPECT_REPORT(&m, 0, 0, 0);
	munmap(p, KIB64);
	close(file);
	machine_free(&m);
}

TEST(new_code_in_replaced_memory_runs)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull;
	unsigned char *p =
		mmap(NULL, KIB64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct code c = code_at(&m, RAM);

	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, KIB64, p), 0);
	li(&c, 5, gpa);
	uint64_t loop = c.pc;
	blr(&c, 5);
	report(&c, 0, 0);
	b_to(&c, loop);
	code_done(&m);
	for (uint64_t value = 1; value < 6; value++) {
		struct code f = {(uint32_t *)p, gpa};

		/* x30 holds the way back until report() uses it */
		li(&f, 0, value);
		put(&f, A64_RET);
		__builtin___clear_cache((char *)p, (char *)p + 64);
		EXPECT_REPORT(&m, 0, 0, value);
		ASSERT(mmap(p, KIB64, PROT_READ | PROT_WRITE,
			    MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0) == p);
	}
	munmap(p, KIB64);
	machine_free(&m);
}

/* --- dirty logging ------------------------------------------------------------------------------------------------------- */

static int get_log(int vm, unsigned slot, void *bitmap)
{
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

	return ioctl(vm, KVM_GET_DIRTY_LOG, &log);
}

static int clear_log(int vm, unsigned slot, uint64_t first, unsigned nr, void *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot, .first_page = first, .num_pages = nr, .dirty_bitmap = bitmap};

	return ioctl(vm, KVM_CLEAR_DIRTY_LOG, &log);
}

/* Guest: writes to pages 1, 3 and 64 of the slot at x1 and reads page 5, then reports. */
static void writer(struct machine *m, uint64_t gpa)
{
	struct code c = code_at(m, RAM);

	li(&c, 0, 1);
	uint64_t loop = c.pc;
	static const unsigned pages[] = {1, 3, 64};
	for (int i = 0; i < 3; i++) {
		li(&c, 1, gpa + pages[i] * PAGE);
		str(&c, 8, 0, 1, 0);
	}
	li(&c, 1, gpa + 5 * PAGE);
	ldr(&c, 8, 2, 1, 0);
	report(&c, 0, 0);
	b_to(&c, loop);
	code_done(m);
}

TEST(the_dirty_log_names_the_pages_written)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull, bits[2] = {~0ull, ~0ull};
	unsigned char *p =
		mmap(NULL, 128 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	writer(&m, gpa);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, 128 * PAGE, p), 0);
	EXPECT_ERRNO(get_log(m.vm, 1, bits), ENOENT);
	EXPECT_ERRNO(get_log(m.vm, 7, bits), ENOENT);
	EXPECT_ERRNO(get_log(m.vm, 1 << 16, bits), EINVAL);
	EXPECT_ERRNO(get_log(m.vm, 32767, bits), EINVAL);
	/* mapped writable before logging starts */
	EXPECT_REPORT(&m, 0, 0, 1);
	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, gpa, 128 * PAGE, p), 0);
	ASSERT_EQ(get_log(m.vm, 1, bits), 0);
	EXPECT_EQ(bits[0], 0);
	EXPECT_EQ(bits[1], 0);
	for (int round = 0; round < 3; round++) {
		EXPECT_REPORT(&m, 0, 0, 1);
		bits[0] = bits[1] = ~0ull;
		ASSERT_EQ(get_log(m.vm, 1, bits), 0);
		EXPECT_EQ(bits[0], 1ull << 1 | 1ull << 3);
		EXPECT_EQ(bits[1], 1);
		ASSERT_EQ(get_log(m.vm, 1, bits), 0);
		EXPECT_EQ(bits[0], 0);
		EXPECT_EQ(bits[1], 0);
	}
	/* host writes do not count */
	memset(p, 1, 128 * PAGE);
	ASSERT_EQ(get_log(m.vm, 1, bits), 0);
	EXPECT_EQ(bits[0], 0);
	EXPECT_ERRNO(get_log(m.vm, 1, bad_pointer()), EFAULT);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, 128 * PAGE, p), 0);
	EXPECT_ERRNO(get_log(m.vm, 1, bits), ENOENT);
	munmap(p, 128 * PAGE);
	machine_free(&m);
}

TEST(manual_protection_clears_what_is_asked)
{
	struct machine m = machine_new(1);
	uint64_t gpa = 0x80000000ull, bits[2], mask[2] = {1ull << 1, 0};
	unsigned char *p =
		mmap(NULL, 128 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_enable_cap cap = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				     .args = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE}};

	writer(&m, gpa);
	cap.args[0] = KVM_DIRTY_LOG_INITIALLY_SET;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 4;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	cap.flags = 1;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.flags = 0;
	ASSERT_EQ(ioctl(m.vm, KVM_ENABLE_CAP, &cap), 0);
	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, gpa, 128 * PAGE, p), 0);
	EXPECT_REPORT(&m, 0, 0, 1);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(get_log(m.vm, 1, bits), 0);
		EXPECT_EQ(bits[0], 1ull << 1 | 1ull << 3);
		EXPECT_EQ(bits[1], 1);
	}
	EXPECT_ERRNO(clear_log(m.vm, 1, 1, 64, mask), EINVAL);
	EXPECT_ERRNO(clear_log(m.vm, 1, 0, 63, mask), EINVAL);
	EXPECT_ERRNO(clear_log(m.vm, 1, 64, 128, mask), EINVAL);
	EXPECT_ERRNO(clear_log(m.vm, 1, 1 << 20, 64, mask), EINVAL);
	EXPECT_ERRNO(clear_log(m.vm, 1, 0, 128, bad_pointer()), EFAULT);
	EXPECT_ERRNO(clear_log(m.vm, 2, 0, 64, mask), ENOENT);
	ASSERT_EQ(clear_log(m.vm, 1, 0, 128, mask), 0);
	ASSERT_EQ(get_log(m.vm, 1, bits), 0);
	EXPECT_EQ(bits[0], 1ull << 3);
	EXPECT_EQ(bits[1], 1);
	EXPECT_REPORT(&m, 0, 0, 1);
	ASSERT_EQ(get_log(m.vm, 1, bits), 0);
	EXPECT_EQ(bits[0], 1ull << 1 | 1ull << 3);
	munmap(p, 128 * PAGE);
	machine_free(&m);
}

/* --- userfaultfd ----------------------------------------------------------------------------------------------------------- */

#include <linux/userfaultfd.h>
#include <poll.h>

struct pager {
	int uffd;
	unsigned char *memory;
	_Atomic int stop, pages;
};

/* Serves missing pages: each begins with its number. */
static void *pager_main(void *arg)
{
	struct pager *p = arg;
	uint64_t *page = aligned_alloc(PAGE, PAGE);

	memset(page, 0, PAGE);
	while (!p->stop) {
		struct pollfd pfd = {.fd = p->uffd, .events = POLLIN};
		struct uffd_msg msg;
		struct uffdio_copy copy = {.src = (uintptr_t)page, .len = PAGE};

		if (poll(&pfd, 1, 20) != 1 || read(p->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		copy.dst = msg.arg.pagefault.address & ~(PAGE - 1);
		page[0] = 0x1000 + (copy.dst - (uintptr_t)p->memory) / PAGE;
		/* counted first: the copy wakes the guest */
		p->pages++;
		ioctl(p->uffd, UFFDIO_COPY, &copy);
	}
	free(page);
	return NULL;
}

TEST(a_pager_in_user_space_serves_the_guest_page_by_page)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	uint64_t gpa = 0x80000000ull;
	struct uffdio_api api = {.api = UFFD_API};
	struct pager p = {.uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	pthread_t t;

	if (p.uffd < 0)
		SKIP("userfaultfd needs a privilege here");
	ASSERT_EQ(ioctl(p.uffd, UFFDIO_API, &api), 0);
	/* where a block would fit */
	unsigned char *area = mmap(NULL, 2 * RAM_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p.memory = (unsigned char *)(((uintptr_t)area + 0x1fffff) & ~0x1fffffull);
	madvise(p.memory, RAM_SIZE, MADV_NOHUGEPAGE);
	reg.range.start = (uintptr_t)p.memory;
	reg.range.len = RAM_SIZE;
	ASSERT_EQ(ioctl(p.uffd, UFFDIO_REGISTER, &reg), 0);
	ASSERT_EQ(set_slot(m.vm, 1, 0, gpa, RAM_SIZE, p.memory), 0);
	ASSERT_EQ(pthread_create(&t, NULL, pager_main, &p), 0);
	li(&c, 1, gpa);
	uint64_t loop = c.pc;
	ldr(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	li(&c, 2, 3 * PAGE);
	add_reg(&c, 1, 1, 2);
	b_to(&c, loop);
	code_done(&m);
	for (int i = 0; i < 8; i++)
		EXPECT_REPORT(&m, 0, 0, 0x1000 + 3 * i);
	EXPECT_EQ(p.pages, 8);
	/* taken away again: asked for again */
	ASSERT_EQ(madvise(p.memory, RAM_SIZE, MADV_DONTNEED), 0);
	m.run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(&m, 0), EINTR);
	m.run[0]->immediate_exit = 0;
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	EXPECT_REPORT(&m, 0, 0, 0x1000);
	EXPECT_EQ(p.pages, 9);
	p.stop = 1;
	pthread_join(t, NULL);
	close(p.uffd);
	munmap(area, 2 * RAM_SIZE);
	machine_free(&m);
}
