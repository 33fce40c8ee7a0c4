/* SPDX-License-Identifier: MIT */
/*
 * Each libc function that changes memory under a slot: when it returns, the guest sees what is there now. The guest reads the
 * first word of the slot and tells it, before and after.
 */
#include <sys/shm.h>
#include <sys/uio.h>

#include "../api/vmm.h"
#include "preload.h"

#define AREA	  (RAM + 0x10000000ull) /* guest address of the memory that is changed */
#define AREA_SIZE (16 * PAGE)
#define OLD	  0x1111222233334444ull
#define NEW	  0x5555666677778888ull
#define FAULT	  0xdeadull /* KVM_RUN ended with EFAULT: nothing is there */

static struct machine guest_over(void *area)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	li(&c, 2, AREA);
	ldr(&c, 8, 1, 2, 0);
	report(&c, 1, 0);
	code_done(&m);
	EXPECT_EQ(set_slot(m.vm, 1, 0, AREA, AREA_SIZE, area), 0);
	return m;
}

static uint64_t guest_reads(struct machine *m)
{
	uint64_t value;

	EXPECT_EQ(set_reg(m->vcpu[0], CORE_REG(regs.pc), RAM), 0);
	if (run(m, 0))
		return errno == EFAULT ? FAULT : 0xbad;
	if (m->run[0]->exit_reason != KVM_EXIT_MMIO)
		return 0xbad;
	memcpy(&value, m->run[0]->mmio.data, 8);
	/* The store is over. */
	m->run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(m, 0), EINTR);
	m->run[0]->immediate_exit = 0;
	return value;
}

static uint64_t *area_of(int flags, int fd)
{
	uint64_t *p = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	ASSERT(p != MAP_FAILED);
	*p = OLD;
	return p;
}

#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

/* A machine whose guest has the page mapped: what follows changes memory, then guest_sees tells what it finds there. */
static struct machine before_change(void *area)
{
	struct machine m = guest_over(area);

	*(volatile uint64_t *)area = OLD;
	EXPECT_EQ(guest_reads(&m), OLD);
	return m;
}

static void guest_sees(struct machine *m, uint64_t value)
{
	EXPECT_EQ(guest_reads(m), value);
	machine_free(m);
}

#define RW    (PROT_READ | PROT_WRITE)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

TEST(pages_that_are_given_up_read_as_zero)
{
	uint64_t *p = area_of(PRIVATE, -1);
	struct machine m = before_change(p);

	EXPECT_EQ(madvise(p, AREA_SIZE, MADV_DONTNEED), 0);
	guest_sees(&m, 0);
	m = before_change(p);
	EXPECT_EQ(syscall(SYS_madvise, p, AREA_SIZE, MADV_DONTNEED), 0);
	guest_sees(&m, 0);
	munmap(p, AREA_SIZE);
}

TEST(another_mapping_in_place_is_seen)
{
	uint64_t *p = area_of(PRIVATE, -1);
	struct machine m = before_change(p);

	EXPECT(mmap(p, AREA_SIZE, RW, PRIVATE | MAP_FIXED, -1, 0) == p);
	*p = NEW;
	guest_sees(&m, NEW);
	m = before_change(p);
	EXPECT(mmap64(p, AREA_SIZE, RW, PRIVATE | MAP_FIXED, -1, 0) == p);
	guest_sees(&m, 0);
	m = before_change(p);
	EXPECT(syscall(SYS_mmap, p, AREA_SIZE, RW, PRIVATE | MAP_FIXED, -1l, 0l) == (long)p);
	guest_sees(&m, 0);
	munmap(p, AREA_SIZE);
}

TEST(what_is_unmapped_or_moved_away_or_closed_to_all_is_gone)
{
	uint64_t *p = area_of(PRIVATE, -1), *q;
	struct machine m = before_change(p);

	EXPECT_EQ(mprotect(p, AREA_SIZE, PROT_NONE), 0);
	guest_sees(&m, FAULT);
	EXPECT_EQ(mprotect(p, AREA_SIZE, RW), 0);
	/* Key -1 is plain mprotect, on hosts without keys too. qemu-user knows no such call. */
	if (pkey_mprotect(p, AREA_SIZE, RW, -1) == 0) {
		m = before_change(p);
		EXPECT_EQ(pkey_mprotect(p, AREA_SIZE, PROT_NONE, -1), 0);
		guest_sees(&m, FAULT);
		EXPECT_EQ(pkey_mprotect(p, AREA_SIZE, RW, -1), 0);
	}
	m = before_change(p);
	if (syscall(SYS_pkey_mprotect, p, AREA_SIZE, PROT_NONE, -1l) == 0) {
		guest_sees(&m, FAULT);
		EXPECT_EQ(mprotect(p, AREA_SIZE, RW), 0);
	} else {
		EXPECT_EQ(errno, ENOSYS);
		guest_sees(&m, OLD);
	}
	m = before_change(p);
	EXPECT_EQ(munmap(p, AREA_SIZE), 0);
	guest_sees(&m, FAULT);
	p = area_of(PRIVATE, -1);
	q = area_of(PRIVATE, -1);
	m = before_change(p);
	EXPECT(mremap(p, AREA_SIZE, AREA_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	guest_sees(&m, FAULT);
	EXPECT_EQ(*q, OLD);
	munmap(q, AREA_SIZE);
}

static char file_path[PATH_MAX];
static int file_fd;

static void by_ftruncate(void)
{
	EXPECT_EQ(ftruncate(file_fd, 0), 0);
}
static void by_ftruncate64(void)
{
	EXPECT_EQ(ftruncate64(file_fd, 0), 0);
}
static void by_ftruncate_call(void)
{
	EXPECT_EQ(syscall(SYS_ftruncate, file_fd, 0l), 0);
}
static void by_truncate(void)
{
	EXPECT_EQ(truncate(file_path, 0), 0);
}
static void by_truncate64(void)
{
	EXPECT_EQ(truncate64(file_path, 0), 0);
}
static void by_truncate_call(void)
{
	EXPECT_EQ(syscall(SYS_truncate, file_path, 0l), 0);
}
static void by_open(void)
{
	EXPECT_EQ(close(open(file_path, O_RDWR | O_TRUNC)), 0);
}
static void by_openat64(void)
{
	EXPECT_EQ(close(openat64(AT_FDCWD, file_path, O_WRONLY | O_TRUNC)), 0);
}
static void by_creat(void)
{
	EXPECT_EQ(close(creat(file_path, 0600)), 0);
}
static void by_fopen(void)
{
	EXPECT_EQ(fclose(fopen(file_path, "w")), 0);
}

TEST(a_file_under_a_slot_is_cut_by_every_function_that_can)
{
	static void (*const cut[])(void) = {
		by_ftruncate,	  by_ftruncate64, by_ftruncate_call, by_truncate, by_truncate64,
		by_truncate_call, by_open,	  by_openat64,	     by_creat,	  by_fopen};
	struct machine m;
	uint64_t *p;

	scratch_path(file_path, "file");
	file_fd = open(file_path, O_RDWR | O_CREAT, 0600);
	ASSERT(file_fd >= 0 && ftruncate(file_fd, AREA_SIZE) == 0);
	p = area_of(MAP_SHARED, file_fd);
	for (unsigned i = 0; i < sizeof(cut) / sizeof(*cut); i++) {
		ASSERT_EQ(ftruncate(file_fd, AREA_SIZE), 0);
		m = before_change(p);
		cut[i]();
		guest_sees(&m, FAULT);
	}
	munmap(p, AREA_SIZE);
	close(file_fd);
}

TEST(holes_in_a_file_under_a_slot_read_as_zero)
{
	int fd = memfd_create("hole", MFD_CLOEXEC);
	struct machine m;
	uint64_t *p;

	ASSERT_EQ(ftruncate(fd, AREA_SIZE), 0);
	p = area_of(MAP_SHARED, fd);
	m = before_change(p);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, PAGE), 0);
	guest_sees(&m, 0);
	m = before_change(p);
	EXPECT_EQ(fallocate64(fd, PUNCH, 0, PAGE), 0);
	guest_sees(&m, 0);
	m = before_change(p);
	EXPECT_EQ(syscall(SYS_fallocate, fd, PUNCH, 0l, PAGE), 0);
	guest_sees(&m, 0);
	munmap(p, AREA_SIZE);
	close(fd);
}

TEST(shared_memory_of_system_v_is_attached_and_detached)
{
	int id = shmget(IPC_PRIVATE, AREA_SIZE, IPC_CREAT | 0600);
	struct machine m;
	uint64_t *p, *q;

	if (id < 0)
		SKIP("no System V shared memory");
	p = area_of(PRIVATE, -1);
	m = before_change(p);
	EXPECT(shmat(id, p, SHM_REMAP) == p);
	guest_sees(&m, 0);
	m = before_change(p);
	EXPECT_EQ(shmdt(p), 0);
	guest_sees(&m, FAULT);
	q = shmat(id, NULL, 0);
	EXPECT(q != (void *)-1 && *q == OLD);
	shmdt(q);
	shmctl(id, IPC_RMID, NULL);
}

/* qemu-user leaves memory there that is above the break. */
static bool break_unmaps(char *p)
{
	int fd = open("/dev/zero", O_RDONLY);
	bool gone;

	EXPECT_EQ(brk(p + PAGE), 0);
	EXPECT_EQ(read(fd, p, 1), 1);
	EXPECT_EQ(brk(p), 0);
	gone = read(fd, p, 1) < 0;
	close(fd);
	return gone;
}

TEST(the_break_can_be_lowered_under_a_slot)
{
	char *start = sbrk(0), *p;
	struct machine m;

	p = (char *)(((uintptr_t)start + PAGE - 1) & ~(PAGE - 1));
	if (brk(p + AREA_SIZE))
		SKIP("no room above the break");
	if (!break_unmaps(p))
		SKIP("this system keeps what is above the break");
	EXPECT_EQ(brk(p + AREA_SIZE), 0);
	m = before_change(p);
	EXPECT_EQ(brk(p), 0);
	guest_sees(&m, FAULT);
	EXPECT(sbrk(AREA_SIZE) == p);
	m = before_change(p);
	EXPECT(sbrk(-(intptr_t)AREA_SIZE) == p + AREA_SIZE);
	guest_sees(&m, FAULT);
	EXPECT_EQ(brk(start), 0);
}

TEST(what_is_not_memory_of_a_guest_is_as_ever)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	EXPECT(p != MAP_FAILED && !memcmp(p, "\177ELF", 4));
	EXPECT_ERRNO(munmap(p + 1, PAGE), EINVAL);
	EXPECT_ERRNO(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL);
	EXPECT_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
	EXPECT_ERRNO(madvise(p + 1, PAGE, MADV_HUGEPAGE), EINVAL);
	EXPECT_EQ(munmap(p, PAGE), 0);
	EXPECT_ERRNO(ftruncate(fd, 0), EINVAL);
	EXPECT_ERRNO(truncate("/nonexistent/file", 0), ENOENT);
	close(fd);
}
