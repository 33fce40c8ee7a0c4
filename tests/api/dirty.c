/* SPDX-License-Identifier: MIT */
/* Dirty rings and eager splitting as a VMM meets them. */
#include "vmm.h"

#define GPA	0x80000000ull
#define ENTRIES 256u
#define BYTES	(ENTRIES * sizeof(struct kvm_dirty_gfn))
#define SOFT	(ENTRIES - 64)
#define NPAGES	1024ull

static int enable(int vm, unsigned cap, uint64_t value)
{
	struct kvm_enable_cap c = {.cap = cap, .args = {value}};

	return ioctl(vm, KVM_ENABLE_CAP, &c);
}

static int get_log(int vm, void *bitmap)
{
	struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = bitmap};

	return ioctl(vm, KVM_GET_DIRTY_LOG, &log);
}

struct ring {
	struct kvm_dirty_gfn *entry;
	unsigned next;
};

static void ring_map(struct ring *r, int vcpu)
{
	r->entry = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
			KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
	r->next = 0;
	ASSERT(r->entry != MAP_FAILED);
}

/* The next entry's page, marked for the reset; -1: none. */
static long ring_take(struct ring *r)
{
	struct kvm_dirty_gfn *e = &r->entry[r->next % ENTRIES];
	long page;

	if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
		return -1;
	EXPECT_EQ(e->slot, 1);
	page = e->offset;
	__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	r->next++;
	return page;
}

static unsigned char *pages(void)
{
	unsigned char *p = mmap(NULL, NPAGES * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	return p;
}

/* A vCPU with a ring; slot 1 logs. */
static struct machine machine_with_ring(int with_bitmap, unsigned char *p, struct ring *r)
{
	struct machine m = machine_without_vcpus();

	ASSERT_EQ(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, BYTES), 0);
	if (with_bitmap) {
		ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, 0, NULL), 0);
		ASSERT_EQ(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), 0);
		ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, RAM_SIZE, m.ram), 0);
	}
	add_vcpu(&m);
	init_vcpu(&m, 0, 0);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	ring_map(r, m.vcpu[0]);
	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, NPAGES * PAGE, p), 0);
	return m;
}

/* Guest: writes x2 to x3 pages from x1 on, then reports x2, over and over. */
static void writer(struct machine *m)
{
	struct code c = code_at(m, RAM);
	uint64_t loop = c.pc;

	str(&c, 8, 2, 1, 0);
	add_imm(&c, 1, 1, PAGE / 2);
	add_imm(&c, 1, 1, PAGE / 2);
	sub_imm(&c, 3, 3, 1);
	cbnz_to(&c, 3, loop);
	report(&c, 2, 0);
	b_to(&c, loop);
	code_done(m);
}

static void write_pages(struct machine *m, uint64_t first, uint64_t nr, uint64_t value)
{
	set_x(m->vcpu[0], 1, GPA + first * PAGE);
	set_x(m->vcpu[0], 2, value);
	set_x(m->vcpu[0], 3, nr);
}

TEST(rings_are_told_and_refused_as_kvm_does)
{
	struct machine m = machine_without_vcpus();
	struct kvm_enable_cap c = {
		.cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, .flags = 1, .args = {BYTES}};

	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL),
		  65536 * sizeof(struct kvm_dirty_gfn));
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP), 1);
	EXPECT_ERRNO(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_ENABLE_CAP, &c), EINVAL);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING, BYTES), EINVAL);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), EINVAL);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0), EINVAL);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 3 * BYTES), EINVAL);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 64 * 16), EINVAL);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 2 * 65536 * 16), E2BIG);
	/* the flags of this one are not looked at */
	c.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
	EXPECT_EQ(ioctl(m.vm, KVM_ENABLE_CAP, &c), 0);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, BYTES), EINVAL);
	EXPECT_EQ(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), 0);
	/* the machine has a slot */
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), EINVAL);
	machine_free(&m);

	m = machine_new(1);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, BYTES), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	machine_free(&m);
}

TEST(a_ring_is_mapped_shared_and_not_executable)
{
	unsigned char *p = pages();
	struct ring r;
	struct machine m = machine_with_ring(0, p, &r);
	off_t at = KVM_DIRTY_LOG_PAGE_OFFSET * PAGE;
	void *q;

	EXPECT_ERRNO((long)mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, m.vcpu[0], at),
		     EINVAL);
	EXPECT_ERRNO((long)mmap(NULL, BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, m.vcpu[0], at),
		     EPERM);
	EXPECT_ERRNO((long)mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, m.vcpu[0], 0),
		     EPERM);
	q = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, m.vcpu[0], at);
	ASSERT(q != MAP_FAILED);
	r.entry[5].offset = 77;
	EXPECT_EQ(((struct kvm_dirty_gfn *)q)[5].offset, 77);
	munmap(q, BYTES);
	munmap(r.entry, BYTES);
	munmap(p, NPAGES * PAGE);
	machine_free(&m);
}

TEST(pages_written_are_reported_until_reset)
{
	unsigned char *p = pages(), bits[NPAGES / 8];
	struct ring r;
	struct machine m = machine_with_ring(0, p, &r);

	writer(&m);
	EXPECT_ERRNO(get_log(m.vm, bits), ENXIO);
	for (uint64_t round = 1; round < 4; round++) {
		write_pages(&m, 10, 5, round);
		EXPECT_REPORT(&m, 0, 0, round);
		for (long i = 10; i < 15; i++)
			EXPECT_EQ(ring_take(&r), i);
		EXPECT_EQ(ring_take(&r), -1);
		/* not protected yet: written without another entry */
		write_pages(&m, 12, 1, round + 100);
		EXPECT_REPORT(&m, 0, 0, round + 100);
		EXPECT_EQ(ring_take(&r), -1);
		EXPECT_EQ(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), 5);
		EXPECT_EQ(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), 0);
		EXPECT_EQ(*(uint64_t *)(p + 12 * PAGE), round + 100);
		EXPECT_EQ(*(uint64_t *)(p + 14 * PAGE), round);
	}
	munmap(r.entry, BYTES);
	munmap(p, NPAGES * PAGE);
	machine_free(&m);
}

/* The page whose entry filled the ring was protected again before the guest could write it: it comes twice. */
static void take_in_order(struct ring *r, uint64_t *next)
{
	for (long page = ring_take(r); page >= 0; page = ring_take(r))
		if (!*next || page != (long)*next - 1)
			EXPECT_EQ(page, (long)(*next)++);
}

TEST(a_full_ring_leaves_the_guest)
{
	unsigned char *p = pages();
	struct ring r;
	struct machine m = machine_with_ring(0, p, &r);
	uint64_t reported = 0;
	int exits = 0;

	writer(&m);
	write_pages(&m, 0, NPAGES, 9);
	for (;;) {
		ASSERT_EQ(run(&m, 0), 0);
		if (m.run[0]->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			break;
		exits++;
		/* until it is reset, and again after that */
		ASSERT_EQ(run(&m, 0), 0);
		EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
		take_in_order(&r, &reported);
		EXPECT_CMP(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), >=, SOFT);
		ASSERT(exits < 100);
	}
	EXPECT_EQ(m.run[0]->exit_reason, KVM_EXIT_MMIO);
	EXPECT_CMP(exits, >=, NPAGES / ENTRIES);
	take_in_order(&r, &reported);
	EXPECT_EQ(reported, NPAGES);
	for (uint64_t i = 0; i < NPAGES; i++)
		EXPECT_EQ(*(uint64_t *)(p + i * PAGE), 9);
	munmap(r.entry, BYTES);
	munmap(p, NPAGES * PAGE);
	machine_free(&m);
}

TEST(beside_a_ring_the_bitmap_is_for_writes_of_no_vcpu)
{
	unsigned char *p = pages(), bits[NPAGES / 8];
	struct ring r;
	struct machine m = machine_with_ring(1, p, &r);

	writer(&m);
	write_pages(&m, 3, 2, 1);
	EXPECT_REPORT(&m, 0, 0, 1);
	memset(bits, 0xff, sizeof(bits));
	EXPECT_EQ(get_log(m.vm, bits), 0);
	for (unsigned i = 0; i < sizeof(bits); i++)
		EXPECT_EQ(bits[i], 0);
	EXPECT_EQ(ring_take(&r), 3);
	EXPECT_EQ(ring_take(&r), 4);
	EXPECT_EQ(ring_take(&r), -1);
	EXPECT_EQ(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), 2);
	munmap(r.entry, BYTES);
	munmap(p, NPAGES * PAGE);
	machine_free(&m);
}

TEST(a_mapped_ring_outlives_its_descriptors)
{
	unsigned char *p = pages();
	struct ring r;
	struct machine m = machine_with_ring(0, p, &r);
	long size = ioctl(m.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	writer(&m);
	write_pages(&m, 1, 1, 1);
	EXPECT_REPORT(&m, 0, 0, 1);
	munmap(m.run[0], size);
	close(m.vcpu[0]);
	close(m.vm);
	EXPECT_EQ(ring_take(&r), 1);
	munmap(r.entry, BYTES);
	close(m.kvm);
	munmap(p, NPAGES * PAGE);
	munmap(m.ram, RAM_SIZE);
}

TEST(eager_splitting_is_set_before_slots)
{
	struct machine m = machine_without_vcpus();
	uint64_t sizes = ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES);

	EXPECT_EQ(sizes & (PAGE | 1ull << 21), PAGE | 1ull << 21);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE), 0);
	EXPECT_EQ(ioctl(m.kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE), 0);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 1 << 21), EINVAL);
	ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, 0, NULL), 0);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 1 << 22), EINVAL);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 1), EINVAL);
	EXPECT_EQ(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, PAGE), 0);
	EXPECT_EQ(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 0), 0);
	EXPECT_EQ(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 1 << 21), 0);
	EXPECT_EQ(ioctl(m.vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE), 1 << 21);
	ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, RAM_SIZE, m.ram), 0);
	EXPECT_ERRNO(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 0), EINVAL);
	machine_free(&m);
}

TEST(a_slot_that_was_split_logs_each_page)
{
	struct machine m = machine_without_vcpus();
	size_t size = NPAGES * PAGE;
	unsigned char *area = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		      *p = (unsigned char *)(((uintptr_t)area + size - 1) & -size);
	uint64_t bits[NPAGES / 64];

	madvise(p, size, MADV_HUGEPAGE);
	ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, 0, NULL), 0);
	ASSERT_EQ(enable(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 1 << 21), 0);
	ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, RAM_SIZE, m.ram), 0);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, size, p), 0);
	add_vcpu(&m);
	init_vcpu(&m, 0, 0);
	ASSERT_EQ(set_reg(m.vcpu[0], CORE_REG(regs.pc), RAM), 0);
	writer(&m);
	write_pages(&m, 0, NPAGES, 1);
	EXPECT_REPORT(&m, 0, 0, 1);
	ASSERT_EQ(set_slot(m.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, size, p), 0);
	for (uint64_t page = 0; page < NPAGES; page += 100) {
		write_pages(&m, page, 1, page);
		EXPECT_REPORT(&m, 0, 0, page);
		ASSERT_EQ(get_log(m.vm, bits), 0);
		for (uint64_t i = 0; i < NPAGES; i++)
			EXPECT_EQ(bits[i / 64] >> i % 64 & 1, i == page);
		EXPECT_EQ(*(uint64_t *)(p + page * PAGE), page);
	}
	munmap(area, 2 * size);
	machine_free(&m);
}
