/* SPDX-License-Identifier: MIT */
/*
 * The host side of descriptors and guest memory: numbers that are closed, reused and passed around; changes of files under slots;
 * hosts that lack what this one has.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "storer.h"
#include "host/alloc.h"
#include "host/vma.h"
#include "mem/vma_cache.h"
#include "sync/rcu.h"

/* --- numbers -------------------------------------------------------------------------------------------------------------- */

static _Atomic int shared_fd, over;
static _Atomic long answers[3];

static void *asker(void *arg)
{
	while (!over) {
		int r = ioctl(shared_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);

		/* A machine, nothing, or another file that took the number. */
		if (r == 32767)
			answers[0]++;
		else if (r == -1 && errno == EBADF)
			answers[1]++;
		else if (r == -1 && errno == ENOTTY)
			answers[2]++;
		else
			TEST_FAIL("an answer of nobody: %d", r);
	}
	return NULL;
}

/* Takes the lowest number again and again, with a file that is not ours. */
static void *taker(void *arg)
{
	while (!over)
		close(open("/dev/null", O_RDONLY | O_CLOEXEC));
	return NULL;
}

TEST(a_descriptor_may_close_and_its_number_be_reused_under_requests)
{
	unsigned long rounds = test_rounds(300, 30000);
	int kvm = open_kvm();
	uint64_t objects;
	pthread_t t[3];

	over = 0;
	shared_fd = -1;
	close(ioctl(kvm, KVM_CREATE_VM, 0));
	rcu_barrier();
	objects = host_alloc_objects();
	ASSERT_EQ(pthread_create(&t[0], NULL, asker, NULL), 0);
	ASSERT_EQ(pthread_create(&t[1], NULL, asker, NULL), 0);
	ASSERT_EQ(pthread_create(&t[2], NULL, taker, NULL), 0);
	for (unsigned long i = 0; i < rounds; i++) {
		int vm = ioctl(kvm, KVM_CREATE_VM, 0);

		EXPECT(vm >= 0);
		shared_fd = vm;
		sched_yield();
		/* every other time behind the library's back */
		if (i & 1)
			syscall(SYS_close, vm);
		else
			EXPECT_EQ(close(vm), 0);
	}
	over = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	/* What was closed by raw calls is noticed at the next use of its number at the latest. */
	for (int fd = 0; fd < 64; fd++)
		if (fd != kvm)
			ioctl(fd, KVM_CHECK_EXTENSION, 0);
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
	close(kvm);
}

static int through_a_socket(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int s[2], got = -1;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	ASSERT_EQ(sendmsg(s[0], &msg, 0), 1);
	ASSERT_EQ(recvmsg(s[1], &msg, 0), 1);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
	close(s[0]);
	close(s[1]);
	return got;
}

TEST(a_descriptor_that_arrives_through_a_socket_is_inert)
{
	struct machine m = machine_new(1);
	int got = through_a_socket(m.vm);
	char byte;

	storer(&m);
	ASSERT(got >= 0);
	EXPECT_ERRNO(ioctl(got, KVM_CHECK_EXTENSION, 0), ENOTTY);
	EXPECT_ERRNO(ioctl(got, KVM_CREATE_VCPU, 3), ENOTTY);
	EXPECT_EQ(write(got, "x", 1), -1);
	EXPECT_CMP(read(got, &byte, 1), <=, 0);
	EXPECT_EQ(close(got), 0);
	EXPECT_EQ(store_at(&m, RAM + 0x8000, 7), 0);
	EXPECT_EQ(*(uint64_t *)(m.ram + 0x8000), 7);
	machine_free(&m);
}

TEST(LO5_a_request_inside_a_pair_of_the_program_is_refused)
{
	struct machine m = machine_new(1);
	struct anykvm_invalidate inv;
	int copy;

	storer(&m);
	set_x(m.vcpu[0], 1, RAM + 0x8000);
	ASSERT_EQ(anykvm_invalidate_start(m.ram, PAGE, &inv), 0);
	EXPECT_ERRNO(ioctl(m.vm, KVM_CREATE_VCPU, 1), EDEADLK);
	EXPECT_ERRNO(set_slot(m.vm, 0, 0, RAM, 0, NULL), EDEADLK);
	EXPECT_ERRNO(ioctl(m.kvm, KVM_CREATE_VM, 0), EDEADLK);
	EXPECT_ERRNO(run(&m, 0), EDEADLK);
	/* Descriptors and memory are no requests. */
	copy = dup(m.vm);
	EXPECT_CMP(copy, >=, 0);
	EXPECT_EQ(close(copy), 0);
	EXPECT_EQ(madvise(m.ram + PAGE, PAGE, MADV_DONTNEED), 0);
	anykvm_invalidate_end(&inv);
	EXPECT_REPORT(&m, 0, 0, 0);
	machine_free(&m);
}

/* --- files under slots ---------------------------------------------------------------------------------------------------- */

#define MANY 40 /* mappings of one file: more than a pair is made for each */

/* Touches the first word of each page of a slot at GPA. */
static void touch_pages(struct machine *m, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		EXPECT_EQ(store_at(m, GPA + i * PAGE, i + 1), 0);
}

static void change_the_file(unsigned views)
{
	struct machine a = machine_new(1), b = machine_new(1);
	int fd = memfd_create("under slots", MFD_CLOEXEC);
	unsigned char *view[MANY], *shared, *copy;

	ASSERT_EQ(ftruncate(fd, 8 * PAGE), 0);
	/* The slots' own first: later ones get lower addresses, so the list of mappings ends with these. */
	shared = map_file(fd, MAP_SHARED, 8 * PAGE, 0);
	copy = map_file(fd, MAP_PRIVATE, 4 * PAGE, 4 * PAGE);
	for (unsigned i = 0; i < views; i++)
		view[i] = map_file(fd, MAP_SHARED, 8 * PAGE, 0);
	storer(&a);
	storer(&b);
	ASSERT_EQ(set_slot(a.vm, 1, 0, GPA, 8 * PAGE, shared), 0);
	ASSERT_EQ(set_slot(b.vm, 1, 0, GPA, 4 * PAGE, copy), 0);
	touch_pages(&a, 8);
	touch_pages(&b, 4);
	EXPECT_CMP(nr_leaves(&a, GPA, 8 * PAGE), >, 0);
	EXPECT_CMP(nr_leaves(&b, GPA, 4 * PAGE), >, 0);

	/* Pages 2 and 3 are punched: page 4 on, and so all of b's, is not concerned. */
	ASSERT_EQ(fallocate(fd, 3 /* PUNCH_HOLE | KEEP_SIZE */, 2 * PAGE, 2 * PAGE), 0);
	EXPECT_EQ(nr_leaves(&a, GPA + 2 * PAGE, 2 * PAGE), 0);
	if (views + 2 <= 16)
		EXPECT_CMP(nr_leaves(&b, GPA, 4 * PAGE), >, 0);
	EXPECT_EQ(*(uint64_t *)(shared + 2 * PAGE), 0);
	EXPECT_EQ(*(uint64_t *)(shared + 4 * PAGE), 5);
	touch_pages(&a, 8);

	/* The end goes: in both machines, through shared and private mapping. */
	touch_pages(&b, 4);
	ASSERT_EQ(ftruncate(fd, 5 * PAGE), 0);
	EXPECT_EQ(nr_leaves(&a, GPA + 5 * PAGE, 3 * PAGE), 0);
	EXPECT_EQ(nr_leaves(&b, GPA + PAGE, 3 * PAGE), 0);
	EXPECT_ERRNO(store_at(&a, GPA + 5 * PAGE, 1), EFAULT);
	EXPECT_EQ(store_at(&a, GPA + 4 * PAGE, 1), 0);
	EXPECT_ERRNO(store_at(&b, GPA + PAGE, 1), EFAULT);
	EXPECT_EQ(store_at(&b, GPA, 1), 0);

	for (unsigned i = 0; i < views; i++)
		munmap(view[i], 8 * PAGE);
	machine_free(&a);
	machine_free(&b);
	munmap(shared, 8 * PAGE);
	munmap(copy, 4 * PAGE);
	close(fd);
}

TEST(a_change_of_a_file_reaches_every_machine_that_maps_it)
{
	change_the_file(0);
	change_the_file(4);
}

TEST(a_change_of_a_file_with_more_mappings_than_pairs_reaches_every_machine)
{
	change_the_file(MANY);
}

/* By one mapping of a file pages are removed from all. */
TEST(what_is_removed_from_a_file_is_gone_from_every_mapping)
{
	struct machine m = machine_new(1);
	int fd = memfd_create("removed", MFD_CLOEXEC);
	unsigned char *slot, *view;

	ASSERT_EQ(ftruncate(fd, 8 * PAGE), 0);
	slot = map_file(fd, MAP_SHARED, 8 * PAGE, 0);
	view = map_file(fd, MAP_SHARED, 4 * PAGE, 4 * PAGE);
	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, 8 * PAGE, slot), 0);
	touch_pages(&m, 8);
	ASSERT_EQ(madvise(view + PAGE, 2 * PAGE, MADV_REMOVE), 0);
	EXPECT_EQ(nr_leaves(&m, GPA + 5 * PAGE, 2 * PAGE), 0);
	EXPECT_CMP(nr_leaves(&m, GPA, 4 * PAGE), >, 0);
	/* qemu-user takes the advice and leaves the file as it is. */
	EXPECT(!*(uint64_t *)(slot + 5 * PAGE) || lseek(fd, 5 * PAGE, SEEK_HOLE) != 5 * PAGE);
	touch_pages(&m, 8);
	/* Of several mappings: as far as it goes. With the same rights: some systems want those to write. */
	ASSERT_EQ(madvise(view + PAGE, PAGE, MADV_DONTFORK), 0);
	ASSERT_EQ(madvise(view, 4 * PAGE, MADV_REMOVE), 0);
	EXPECT_EQ(nr_leaves(&m, GPA + 4 * PAGE, 4 * PAGE), 0);
	EXPECT_EQ(store_at(&m, GPA + 4 * PAGE, 7), 0);
	EXPECT_EQ(*(uint64_t *)view, 7);
	machine_free(&m);
	munmap(slot, 8 * PAGE);
	munmap(view, 4 * PAGE);
	close(fd);
}

/* Mappings that lie side by side are one change: as many as a pager makes do not take all memory from the guest. */
TEST(a_change_of_a_file_mapped_in_many_pieces_takes_only_them)
{
	size_t size = 2 * MANY * PAGE;
	struct machine m = machine_new(1);
	int fd = memfd_create("in pieces", MFD_CLOEXEC);
	unsigned char *pieces, *other = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(ftruncate(fd, size), 0);
	pieces = map_file(fd, MAP_SHARED, size, 0);
	for (unsigned i = 0; i < 2 * MANY; i += 2)
		ASSERT_EQ(mprotect(pieces + i * PAGE, PAGE, PROT_READ), 0);
	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, 4 * PAGE, other), 0);
	ASSERT_EQ(set_slot(m.vm, 2, 0, GPA + BLOCK, size, pieces), 0);
	touch_pages(&m, 4);
	EXPECT_EQ(store_at(&m, GPA + BLOCK + PAGE, 1), 0);
	EXPECT_EQ(store_at(&m, GPA + BLOCK + size - PAGE, 1), 0);
	ASSERT_EQ(fallocate(fd, 3 /* PUNCH_HOLE | KEEP_SIZE */, 0, size), 0);
	EXPECT_EQ(nr_leaves(&m, GPA + BLOCK, size), 0);
	EXPECT_CMP(nr_leaves(&m, GPA, 4 * PAGE), >, 0);
	machine_free(&m);
	munmap(pieces, size);
	munmap(other, 4 * PAGE);
	close(fd);
}

TEST(facts_about_mappings_are_dropped_over_the_range_of_a_pair_only)
{
	struct machine m = machine_new(1);
	struct vma_cache *facts = vm_of(&m)->mem.vmas;
	/* every second page has rights of its own: mappings of a page each */
	unsigned char *p =
		mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct host_vma fact;

	for (int i = 1; i < 8; i += 2)
		mprotect(p + i * PAGE, PAGE, PROT_READ);
	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, 8 * PAGE, p), 0);
	for (int i = 0; i < 8; i += 2)
		EXPECT_EQ(store_at(&m, GPA + i * PAGE, 1), 0);
	for (int i = 0; i < 8; i += 2)
		EXPECT(itree_find(&facts->tree, (uintptr_t)p + i * PAGE));
	ASSERT_EQ(mprotect(p + 2 * PAGE, PAGE, PROT_NONE), 0);
	EXPECT(!itree_find(&facts->tree, (uintptr_t)p + 2 * PAGE));
	EXPECT(itree_find(&facts->tree, (uintptr_t)p));
	EXPECT(itree_find(&facts->tree, (uintptr_t)p + 4 * PAGE));
	/* Pages go, the mapping stays what it is. */
	ASSERT_EQ(madvise(p + 4 * PAGE, PAGE, MADV_DONTNEED), 0);
	EXPECT(itree_find(&facts->tree, (uintptr_t)p + 4 * PAGE));
	EXPECT_EQ(nr_leaves(&m, GPA + 4 * PAGE, PAGE), 0);
	EXPECT_ERRNO(store_at(&m, GPA + 2 * PAGE, 1), EFAULT);
	EXPECT_EQ(vma_cache_lookup(facts, (uintptr_t)p + 6 * PAGE, &fact), 0);
	EXPECT_EQ(fact.end - fact.start, PAGE);
	machine_free(&m);
	munmap(p, 8 * PAGE);
}

/* The mapping of a poisoned page is another one: what is known of the old one, and how large a block may be, is void. */
TEST(facts_about_a_mapping_of_guest_memfd_go_when_an_error_changes_it)
{
	struct kvm_create_guest_memfd a = {
		.size = 8 * PAGE, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
	struct machine m = machine_new(1);
	struct vma_cache *facts = vm_of(&m)->mem.vmas;
	int fd = ioctl(m.vm, KVM_CREATE_GUEST_MEMFD, &a);
	unsigned char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ASSERT(p != MAP_FAILED);
	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, 8 * PAGE, p), 0);
	EXPECT_EQ(store_at(&m, GPA, 1), 0);
	EXPECT(itree_find(&facts->tree, (uintptr_t)p));
	ASSERT_EQ(madvise(p + PAGE, PAGE, MADV_HWPOISON), 0);
	EXPECT(!itree_find(&facts->tree, (uintptr_t)p));
	EXPECT_EQ(store_at(&m, GPA, 2), 0);
	EXPECT_ERRNO(store_at(&m, GPA + PAGE, 1), EFAULT);
	munmap(p, 8 * PAGE);
	close(fd);
	machine_free(&m);
}

/* --- hosts that offer less ------------------------------------------------------------------------------------------------ */

static void guest_on_this_host(void)
{
	struct machine m = machine_new(1);
	int fd = memfd_create("other", MFD_CLOEXEC);
	unsigned char *p =
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_EQ(ftruncate(fd, 4 * PAGE), 0);
	storer(&m);
	ASSERT_EQ(set_slot(m.vm, 1, 0, GPA, 4 * PAGE, p), 0);
	touch_pages(&m, 4);
	EXPECT_EQ(*(uint64_t *)(p + 3 * PAGE), 4);
	ASSERT_EQ(mprotect(p, PAGE, PROT_READ), 0);
	EXPECT_ERRNO(store_at(&m, GPA, 9), EFAULT);
	EXPECT_EQ(*(uint64_t *)p, 1);
	ASSERT(mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == p);
	EXPECT_EQ(store_at(&m, GPA, 10), 0);
	EXPECT_EQ(*(uint64_t *)p, 10);
	ASSERT_EQ(munmap(p + PAGE, PAGE), 0);
	EXPECT_ERRNO(store_at(&m, GPA + PAGE, 9), EFAULT);
	/* unannounced */
	ASSERT_EQ(syscall(SYS_munmap, p + 2 * PAGE, PAGE), 0);
	EXPECT_ERRNO(store_at(&m, GPA + 2 * PAGE, 9), EFAULT);
	ASSERT_EQ(syscall(SYS_ftruncate, fd, 0), 0);
	EXPECT_ERRNO(store_at(&m, GPA, 9), EFAULT);
	EXPECT_EQ(store_at(&m, GPA + 3 * PAGE, 11), 0);
	EXPECT_EQ(*(uint64_t *)(p + 3 * PAGE), 11);
	machine_free(&m);
	munmap(p, 4 * PAGE);
	close(fd);
}

TEST(guests_run_alike_on_hosts_without_mapping_queries_or_populate)
{
	for (int lacks = 0; lacks < 4; lacks++) {
		host_vma_test_fallbacks(lacks & 1, lacks & 2);
		guest_on_this_host();
	}
	host_vma_test_fallbacks(false, false);
}
