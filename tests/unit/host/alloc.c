/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sys/mman.h>

#include "host/alloc.h"
#include "host/frame.h"
#include "host/pages.h"
#include "../../test.h"
#include "../misuse.h"

static bool is_zero(const void *p, size_t n)
{
	const unsigned char *c = p;

	for (size_t i = 0; i < n; i++)
		if (c[i])
			return false;
	return true;
}

TEST(memory_is_zeroed_aligned_and_counted_also_the_second_time)
{
	static const size_t sizes[] = {1,    8,	   16,	 17,   63,    64,    65,    100,   500,
				       1000, 4000, 4096, 5000, 20000, 32768, 32769, 300000};
	u64 bytes = host_alloc_bytes(), objects = host_alloc_objects();

	for (int round = 0; round < 3; round++) {
		void *p[ARRAY_SIZE(sizes)];
		u64 sum = 0;

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			p[i] = host_alloc(sizes[i]);
			ASSERT(p[i]);
			EXPECT(is_zero(p[i], sizes[i]));
			EXPECT_EQ((uintptr_t)p[i] % (sizes[i] >= 64 ? 64 : 16), 0);
			memset(p[i], 0xff, sizes[i]);
			sum += sizes[i];
		}
		EXPECT_EQ(host_alloc_bytes(), bytes + sum);
		EXPECT_EQ(host_alloc_objects(), objects + ARRAY_SIZE(sizes));
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			host_free(p[i], sizes[i]);
		EXPECT_EQ(host_alloc_bytes(), bytes);
		EXPECT_EQ(host_alloc_objects(), objects);
	}
	host_free(NULL, 16);
}

TEST(pages_are_zeroed_and_page_aligned)
{
	void *p[40];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 40; i++) {
			p[i] = host_page_alloc();
			ASSERT(p[i]);
			EXPECT_EQ((uintptr_t)p[i] % 4096, 0);
			EXPECT(is_zero(p[i], 4096));
			memset(p[i], 0xff, 4096);
		}
		for (int i = 0; i < 40; i++)
			host_page_free(p[i]);
	}
	host_page_free(NULL);
}

TEST(the_nth_allocation_fails_once_when_asked)
{
	void *p, *q;

	host_alloc_fail_at(2);
	p = host_alloc(32);
	EXPECT(p != NULL);
	EXPECT(!host_alloc(32));
	q = host_alloc(32);
	EXPECT(q != NULL);
	host_free(p, 32);
	host_free(q, 32);
	host_alloc_fail_at(1);
	EXPECT(!host_page_alloc());
	host_alloc_fail_at(1);
	EXPECT(!host_pages_map(1 << 20));
	host_alloc_fail_at(7);
	EXPECT_EQ(host_alloc_fail_at(0), 7);
	p = host_alloc(32);
	EXPECT(p != NULL);
	host_free(p, 32);
}

TEST(large_lazy_memory_is_zero_and_can_be_discarded)
{
	char *p = host_pages_map(64 << 20);

	ASSERT(p);
	EXPECT_EQ(p[5 << 20], 0);
	p[5 << 20] = 1;
	host_pages_discard(p, 64 << 20);
	EXPECT_EQ(p[5 << 20], 0);
	host_pages_unmap(p, 64 << 20);
	host_pages_unmap(NULL, 0);
	EXPECT_CMP(host_page_size(), >=, 4096);
}

TEST(small_lazy_memory_is_zero_again_when_it_is_used_again)
{
	u64 bytes = host_alloc_bytes();

	for (int i = 0; i < 3; i++) {
		char *p = host_pages_map(100);

		ASSERT(p);
		EXPECT(IS_ALIGNED((uintptr_t)p, 4096));
		for (int at = 0; at < 4096; at++)
			EXPECT_EQ(p[at], 0);
		memset(p, 1, 4096);
		host_pages_unmap(p, 100);
	}
	EXPECT_EQ(host_alloc_bytes(), bytes);
}

#define SLOTS 64
struct worker {
	pthread_t t;
	u64 seed;
	bool bad;
};

/* Each object is filled with its owner's pattern: two owners of one object, or a list that lost its way, break it. */
static void *alloc_work(void *arg)
{
	struct worker *w = arg;
	unsigned char *p[SLOTS] = {0};
	size_t size[SLOTS] = {0};
	u64 x = w->seed;

	for (int i = 0; i < 20000; i++) {
		int k;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		k = (x >> 33) % SLOTS;
		if (p[k]) {
			for (size_t b = 0; b < size[k]; b++)
				if (p[k][b] != (unsigned char)w->seed)
					w->bad = true;
			host_free(p[k], size[k]);
			p[k] = NULL;
			continue;
		}
		size[k] = 1 + (x >> 40) % ((x >> 20) % 16 ? 300 : 5000);
		p[k] = host_alloc(size[k]);
		if (!p[k] || !is_zero(p[k], size[k]))
			w->bad = true;
		memset(p[k], (int)w->seed, size[k]);
	}
	for (int k = 0; k < SLOTS; k++)
		host_free(p[k], size[k]);
	return NULL;
}

TEST(threads_that_allocate_and_free_never_share_an_object)
{
	u64 bytes = host_alloc_bytes();
	struct worker w[4];

	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){.seed = 0x11 * (i + 1)};
		ASSERT(!pthread_create(&w[i].t, NULL, alloc_work, &w[i]));
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(w[i].t, NULL);
		EXPECT(!w[i].bad);
	}
	EXPECT_EQ(host_alloc_bytes(), bytes);
}

#if !defined(ANYKVM_SANITIZED)
static volatile int handler_runs;

static void alloc_in_handler(int signo)
{
	void *p = host_alloc(48);

	if (p && is_zero(p, 48))
		handler_runs++;
	host_free(p, 48);
}

static void *busy_allocator(void *arg)
{
	for (int i = 0; i < 300000; i++)
		host_free(host_alloc(48), 48);
	return NULL;
}
#endif

TEST(a_signal_handler_may_allocate_while_its_thread_is_in_the_allocator)
{
#if defined(ANYKVM_SANITIZED)
	SKIP("sanitized builds use malloc, which may not be entered from handlers");
#else
	pthread_t t;

	signal(SIGUSR2, alloc_in_handler);
	ASSERT(!pthread_create(&t, NULL, busy_allocator, NULL));
	for (int i = 0; i < 500; i++) {
		pthread_kill(t, SIGUSR2);
		usleep(20);
	}
	pthread_join(t, NULL);
	signal(SIGUSR2, SIG_DFL);
	EXPECT_CMP(handler_runs, >, 0);
#endif
}

static void *volatile leaked;

static void write_after_free(void)
{
	char *p = host_alloc(200);

	leaked = p;
	host_free(p, 200);
	((char *)leaked)[100] = 1;
	for (int i = 0; i < 10; i++)
		host_alloc(200);
}

TEST(a_write_to_freed_memory_is_caught)
{
#if defined(ANYKVM_ASAN)
	struct child_result r = child_run(write_after_free);

	EXPECT_NE(r.status, 0);
	EXPECT(strstr(r.output, "heap-use-after-free"));
#elif defined(ANYKVM_CHECKED) && !defined(ANYKVM_SANITIZED)
	EXPECT_ABORT(write_after_free, "freed memory was written to");
#else
	(void)write_after_free;
	SKIP("needs ASan or a checked build");
#endif
}

/* What the objects of the library are made of. Which objects there are, and that each is poisoned when it ends: api-sweep. */
static void small_object(void)
{
	leaked = host_alloc(200);
	host_free(leaked, 200);
}

static void large_object(void)
{
	leaked = host_alloc(100000);
	host_free(leaked, 100000);
}

static void page(void)
{
	leaked = host_page_alloc();
	host_page_free(leaked);
}

static void table_frame(void)
{
	leaked = host_frame_alloc();
	host_frame_free(leaked);
}

static void record_of_a_table_frame(void)
{
	table_frame();
	leaked = host_frame_meta(leaked);
}

static void (*const dangling[])(void) = {small_object, large_object, page, table_frame,
					 record_of_a_table_frame};
static unsigned which;

static void read_after_free(void)
{
	dangling[which]();
	if (((volatile char *)leaked)[8])
		_exit(9);
}

TEST(LO11_a_use_after_free_of_library_memory_is_reported)
{
#if defined(ANYKVM_ASAN)
	for (which = 0; which < ARRAY_SIZE(dangling); which++) {
		struct child_result r = child_run(read_after_free);

		EXPECT_NE(r.status, 0);
		if (!strstr(r.output, "heap-use-after-free"))
			TEST_FAIL("kind %u: %s", which, r.output);
	}
#else
	(void)read_after_free;
	SKIP("not an ASan build");
#endif
}
