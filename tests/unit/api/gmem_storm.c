/* SPDX-License-Identifier: MIT */
/*
 * All that can happen to guest_memfd at once, bounded: files come and go, are bound, mapped, punched, hit by errors, allocated and
 * read by a guest, attributes change, and pairs of the program run over it all.
 *
 * Each page is only ever written with the mark of its file and its number (a host, at offset 0) or with a constant (the guest, at
 * 8). So whatever anybody reads is one of these or 0, or some page was given out with what another had left in it (I-36).
 */
#include "../../fds.h"
#include "../../api/gmem.h"
#include "host/alloc.h"
#include "sync/rcu.h"

#include <sched.h>

#define FILES	   2
#define SLOTS	   4
#define STORM_SIZE (2ull << 20)
#define PAGES	   (STORM_SIZE / PAGE)
#define OVER	   (GPA + (SLOTS + 1) * STORM_SIZE) /* guest address of the ordinary slot */
#define MARK	   0x6d65ull
#define BY_GUEST   0x9e57ull

static struct machine m;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the two arrays */
static int fds[FILES];
static uint64_t serial[FILES], next_serial;
static unsigned char *window; /* host address of the ordinary slot */
static _Atomic int over;
static _Atomic unsigned long mapped; /* how often: the rarest of what is done */

static uint64_t roll(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 20;
}

static uint64_t mark_of(uint64_t file, uint64_t page)
{
	return MARK << 48 | file << 16 | page;
}

/* A descriptor of one's own for one of the files, and which it is. */
static int file_get(uint64_t n, uint64_t *file)
{
	int fd;

	pthread_mutex_lock(&lock);
	fd = dup(fds[n % FILES]);
	*file = serial[n % FILES];
	pthread_mutex_unlock(&lock);
	if (fd < 0)
		TEST_FAIL("dup: errno %d", errno);
	return fd;
}

static void *files_main(void *arg)
{
	for (uint64_t n = 0; !over; n++) {
		int fd = gmem_new(m.vm, STORM_SIZE, SHARED), old;

		if (fd < 0) {
			TEST_FAIL("no file: errno %d", errno);
			break;
		}
		pthread_mutex_lock(&lock);
		old = fds[n % FILES];
		fds[n % FILES] = fd;
		serial[n % FILES] = ++next_serial;
		pthread_mutex_unlock(&lock);
		close(old);
		sleep_ms(1);
	}
	return NULL;
}

static void *slots_main(void *arg)
{
	uint64_t seed = 11, file;

	while (!over) {
		uint64_t n = roll(&seed), slot = n % SLOTS;
		int fd = file_get(n >> 8, &file);

		if (gmem_slot(m.vm, 1 + slot, GPA + slot * STORM_SIZE,
			      n & 16 ? 0 : (n >> 9) % PAGES * PAGE, fd, (n >> 18) % PAGES * PAGE) &&
		    errno != EINVAL && errno != EEXIST)
			TEST_FAIL("a slot: errno %d", errno);
		close(fd);
	}
	return NULL;
}

static void *holes_main(void *arg)
{
	uint64_t seed = 22, file;

	while (!over) {
		uint64_t n = roll(&seed), page = (n >> 8) % PAGES,
			 pages = 1 + (n >> 20) % (PAGES - page);
		int fd = file_get(n, &file);

		if (fallocate(fd, n & 16 ? PUNCH : ALLOCATE, page * PAGE, pages * PAGE))
			TEST_FAIL("fallocate: errno %d", errno);
		close(fd);
	}
	return NULL;
}

/* p maps the pages of a file from page on; those that an error took away are not looked at, nobody else makes errors. */
static void look_and_mark(volatile unsigned char *p, uint64_t file, uint64_t page, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i += 7) {
		volatile uint64_t *word = (volatile uint64_t *)(p + i * PAGE);
		uint64_t host = word[0], guest = word[1];

		if ((host && host != mark_of(file, page + i)) || (guest && guest != BY_GUEST))
			TEST_FAIL("file %llu page %llu holds %llx %llx", (long long)file,
				  (long long)(page + i), (long long)host, (long long)guest);
		word[0] = mark_of(file, page + i);
	}
}

static void *maps_main(void *arg)
{
	uint64_t seed = 33, file;

	while (!over) {
		uint64_t n = roll(&seed), page = (n >> 8) % PAGES, pages = PAGES - page;
		int fd = file_get(n, &file), fixed = n & 16;
		unsigned char *p = mmap(fixed ? window + page * PAGE : NULL, pages * PAGE,
					PROT_READ | PROT_WRITE,
					MAP_SHARED | (fixed ? MAP_FIXED : 0), fd, page * PAGE);

		close(fd);
		if (p == MAP_FAILED) {
			TEST_FAIL("mmap: errno %d", errno);
			continue;
		}
		look_and_mark(p, file, page, pages);
		/* an error, and the hole that undoes it, by the mapping that is the last to keep the file, perhaps */
		if (n & 32) {
			madvise(p, PAGE, MADV_HWPOISON);
			madvise(p, PAGE, MADV_REMOVE);
		}
		if (!fixed) {
			munmap(p + pages / 2 * PAGE, PAGE);
			munmap(p, pages * PAGE);
		} else if (mmap(window, STORM_SIZE, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != window) {
			TEST_FAIL("mmap over a mapping: errno %d", errno);
		}
		mapped++;
	}
	return NULL;
}

static void *attributes_main(void *arg)
{
	uint64_t seed = 44;

	while (!over) {
		uint64_t n = roll(&seed), page = n % (SLOTS * PAGES);
		struct kvm_memory_attributes a = {
			.address = GPA + page * PAGE,
			.size = (1 + (n >> 16) % PAGES) * PAGE,
			.attributes = n & BIT(40) ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0};

		if (ioctl(m.vm, KVM_SET_MEMORY_ATTRIBUTES, &a))
			TEST_FAIL("attributes: errno %d", errno);
	}
	return NULL;
}

static void *pairs_main(void *arg)
{
	uint64_t seed = 55;

	while (!over) {
		uint64_t n = roll(&seed), page = n % PAGES;
		struct anykvm_invalidate inv;

		if (anykvm_invalidate_start(window + page * PAGE, (PAGES - page) * PAGE, &inv))
			TEST_FAIL("a pair: errno %d", errno);
		sched_yield();
		anykvm_invalidate_end(&inv);
	}
	return NULL;
}

/* The guest loads a doubleword at x1, stores x3 behind it, and tells what it loaded. */
static void guest_once(uint64_t n)
{
	uint64_t addr = GPA + n % ((SLOTS + 2) * PAGES) * PAGE, value;
	struct kvm_run *run_ = m.run[0];

	restart_at(&m, RAM, addr);
	if (run(&m, 0)) {
		if (errno != EFAULT && errno != EHWPOISON && errno != EINTR)
			TEST_FAIL("KVM_RUN: errno %d", errno);
		return;
	}
	/* without a slot the load itself is the exit */
	if (run_->exit_reason != KVM_EXIT_MMIO || run_->mmio.phys_addr != DEVICE)
		return;
	memcpy(&value, run_->mmio.data, sizeof(value));
	if (value && (value >> 48 != MARK || (value & 0xffff) >= PAGES))
		TEST_FAIL("the guest read %llx at %llx", (long long)value, (long long)addr);
}

static void machine_start(void)
{
	struct code c;

	m = (struct machine){.kvm = anykvm_open_ext(ANYKVM_EXT_MEMORY_ATTRIBUTES)};
	ASSERT(m.kvm >= 0);
	m.vm = ioctl(m.kvm, KVM_CREATE_VM, 0);
	ASSERT(m.vm >= 0);
	m.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(m.ram != MAP_FAILED);
	ASSERT_EQ(set_slot(m.vm, 0, 0, RAM, RAM_SIZE, m.ram), 0);
	add_vcpu(&m);
	init_vcpu(&m, 0, 0);
	c = code_at(&m, RAM);
	li(&c, 3, BY_GUEST);
	ldr(&c, 8, 2, 1, 0);
	str(&c, 8, 3, 1, 8);
	report(&c, 2, 0);
	b_to(&c, RAM);
	code_done(&m);
	window = mmap(NULL, STORM_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(window != MAP_FAILED);
	ASSERT_EQ(set_slot(m.vm, 1 + SLOTS, 0, OVER, STORM_SIZE, window), 0);
	for (int i = 0; i < FILES; i++) {
		fds[i] = gmem_new(m.vm, STORM_SIZE, SHARED);
		serial[i] = ++next_serial;
	}
}

/* What is left of each file is what was written to it, and nothing after a hole over all of it. */
static void check_files(void)
{
	for (int i = 0; i < FILES; i++) {
		unsigned char *p = gmem_map(fds[i], STORM_SIZE);

		look_and_mark(p, serial[i], 0, PAGES);
		EXPECT_EQ(fallocate(fds[i], PUNCH, 0, STORM_SIZE), 0);
		for (uint64_t at = 0; at < STORM_SIZE; at += PAGE)
			if (*(uint64_t *)(p + at) || *(uint64_t *)(p + at + 8))
				TEST_FAIL("page %llx is not empty", (long long)at);
		munmap(p, STORM_SIZE);
		close(fds[i]);
	}
}

TEST(I36_a_storm_leaves_nothing_of_one_page_in_another)
{
	static void *(*const does[])(void *) = {files_main, slots_main,	     holes_main,
						maps_main,  attributes_main, pairs_main};
	pthread_t t[ARRAY_SIZE(does)];
	uint64_t seed = 66, objects = 0;
	int open_fds = 0;

	/* the first round makes what the library keeps for good */
	for (int round = 0; round < 3; round++) {
		machine_start();
		over = 0;
		mapped = 0;
		for (unsigned i = 0; i < ARRAY_SIZE(does); i++)
			ASSERT_EQ(pthread_create(&t[i], NULL, does[i], NULL), 0);
		for (unsigned long i = 0;
		     i < test_rounds(700, 200000) || mapped < test_rounds(60, 10000); i++)
			guest_once(roll(&seed));
		over = 1;
		for (unsigned i = 0; i < ARRAY_SIZE(does); i++)
			pthread_join(t[i], NULL);
		check_files();
		munmap(window, STORM_SIZE);
		machine_free(&m);
		rcu_barrier();
		if (round == 1) {
			objects = host_alloc_objects();
			open_fds = count_fds();
		}
	}
	EXPECT_EQ(host_alloc_objects(), objects);
	EXPECT_EQ(count_fds(), open_fds);
}
