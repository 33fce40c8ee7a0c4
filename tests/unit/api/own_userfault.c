/* SPDX-License-Identifier: MIT */
/*
 * The library's own userfaultfd (ANYKVM_USERFAULTFD=emulate), seen from inside: its lock is held where a race is to go one way.
 */
#include "../../api/userfault.h"

#include <sched.h>
#include <sys/resource.h>

#include "base/raw.h"
#include "host/userfault_private.h"

static _Atomic int polls, polls_stop;

static void *poll_word(void *at)
{
	for (; !polls_stop; polls++)
		EXPECT_EQ(*(volatile uint64_t *)at, 1);
	return NULL;
}

/* Rights go and come back, as in a change that the system refuses, with a thread's access in between, which mostly waits for the lock. */
static void rights_go_and_come(unsigned char *page)
{
	struct userfault_state *s = userfault_state();
	int before = polls;

	EXPECT(host_userfault_freeze());
	EXPECT_EQ(raw_syscall(SYS_mprotect, page, PAGE, PROT_NONE), 0);
	while (a32_load(&s->lock) != 2)
		sched_yield();
	EXPECT_EQ(raw_syscall(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE), 0);
	host_userfault_thaw(true);
	while (polls == before)
		sched_yield();
}

/* However often it finds its page there, with nobody to wait for. */
TEST(a_page_may_be_there_any_number_of_times)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	pthread_t t;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory, 1, 0), 0);
	ASSERT_EQ(pthread_create(&t, NULL, poll_word, memory), 0);
	for (int i = 0; i < 5000; i++)
		rights_go_and_come(memory);
	polls_stop = 1;
	pthread_join(t, NULL);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
}

static _Atomic int go;

/* With the signals of a thread that was not made under the lock. */
static void *touch_late(void *at)
{
	while (!go)
		sched_yield();
	return (void *)(uintptr_t) * (volatile uint64_t *)at;
}

/* The page was missing when a thread touched it, and is served by nobody when its fault is looked at. */
TEST(a_fault_may_come_too_late_to_be_served)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0);
	struct userfault_state *s = userfault_state();
	void *value = memory;
	struct reader r;
	pthread_t t;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(pthread_create(&t, NULL, touch_late, memory + PAGE), 0);
	ASSERT(host_userfault_freeze());
	go = 1;
	while (a32_load(&s->lock) != 2)
		sched_yield();
	userfault_ranges_remove(s, NULL, (uintptr_t)memory, (uintptr_t)memory + SIZE, true);
	host_userfault_thaw(true);
	pthread_join(t, &value);
	EXPECT_EQ((uintptr_t)value, 0);
	expect_silence(uffd);
	/* Faults still come here: nobody was told that this one was wrong. */
	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	reader_start(&r, memory, false, 0);
	EXPECT_ASKED(uffd, memory, 0);
	ASSERT_EQ(copy_page(uffd, memory, 3, 0), 0);
	pthread_join(r.thread, NULL);
	EXPECT_EQ(r.value, 3);
	close(uffd);
	munmap(memory, SIZE);
}

/* "rw", "r", or "". */
static const char *rights_at(unsigned char *at)
{
	struct host_vma v;

	ASSERT_EQ(host_vma_next_system((uintptr_t)at, &v), 0);
	ASSERT(v.start <= (uintptr_t)at);
	return v.w ? "rw" : v.r ? "r" : "";
}

static void map_raw(unsigned char *at, int prot, int flags, int fd)
{
	ASSERT_EQ(raw_syscall(SYS_mmap, at, PAGE, prot, flags | MAP_FIXED, fd, 0), (long)at);
}

TEST(memory_that_is_forgotten_keeps_the_rights_it_was_mapped_with)
{
	static const char *const rights[] = {"rw", "", "r", "rw", "", "rw"};
	int uffd = uffd_open(0), fd = memfd_create("file", MFD_CLOEXEC);
	unsigned char *memory = memory_new();

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	ASSERT_EQ(copy_page(uffd, memory + PAGE, 1, 0), 0);
	ASSERT_EQ(copy_page(uffd, memory + 3 * PAGE, 3, 0), 0);
	/* A guard where a page was, and two mappings where none was. */
	map_raw(memory + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map_raw(memory + 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map_raw(memory + 4 * PAGE, PROT_NONE, MAP_SHARED, fd);
	ASSERT_EQ(anykvm_note_userfault(memory, 6 * PAGE, 0), 0);
	for (int i = 0; i < 6; i++) {
		EXPECT(!strcmp(rights_at(memory + i * PAGE), rights[i]));
		EXPECT_ERRNO(copy_page(uffd, memory + i * PAGE, 1, 0), ENOENT);
	}
	EXPECT_EQ(memory[0], 0);
	EXPECT_EQ(memory[3 * PAGE], 3);
	ASSERT_EQ(copy_page(uffd, memory + 6 * PAGE, 6, 0), 0);
	expect_silence(uffd);
	close(uffd);
	close(fd);
	munmap(memory, SIZE);
}

TEST(what_is_registered_can_be_unregistered_without_a_free_descriptor)
{
	unsigned char *memory = memory_new();
	int uffd = uffd_open(0), next = dup(uffd);
	struct rlimit limit, none;

	ASSERT_EQ(uffd_register(uffd, memory, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
	close(next);
	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){next, limit.rlim_max};
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	EXPECT_EQ(uffd_unregister(uffd, memory, 8 * PAGE), 0);
	/* Where nothing is registered, nobody can say that nothing is mapped. */
	EXPECT_EQ(uffd_unregister(uffd, memory, 8 * PAGE), 0);
	EXPECT_EQ(memory[PAGE], 0);
	EXPECT_EQ(anykvm_note_userfault(memory + 8 * PAGE, 8 * PAGE, 0), 0);
	EXPECT_EQ(memory[9 * PAGE], 0);
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect_silence(uffd);
	close(uffd);
	munmap(memory, SIZE);
}
