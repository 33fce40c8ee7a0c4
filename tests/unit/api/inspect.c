/* SPDX-License-Identifier: MIT */
/* anykvm_inspect: its arguments, its buffer, and that it tells of this machine. What it tells in full: tests/unit/mem. */
#include <sys/wait.h>

#include <anykvm.h>

#include "../../api/vmm.h"

static struct machine ran_machine(void)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);

	report(&c, 0, 0);
	code_done(&m);
	EXPECT_EQ(run(&m, 0), 0);
	return m;
}

TEST(inspect_tells_all_sections_of_a_machine)
{
	static const char *const titles[] = {
		"Memory slots\n", "\nStage-2 tables\n",		 "\nShadow MMUs\n", "\nNotifier\n",
		"\nCaches\n",	  "\nBindings of guest_memfd\n", "\nStatistics\n"};
	struct machine m = ran_machine();
	char text[16384], line[200];
	ssize_t length = anykvm_inspect(m.vm, 0, text, sizeof(text));

	ASSERT(length > 0 && length < (ssize_t)sizeof(text));
	EXPECT_EQ(strlen(text), length);
	for (unsigned i = 0; i < 7; i++)
		if (!strstr(text, titles[i]))
			TEST_FAIL("no %s", titles[i]);
	snprintf(line, sizeof(line), "\n      0  0x%016llx-0x%016llx      4M  0x%016llx  -\n",
		 RAM + 0ull, RAM + RAM_SIZE + 0ull, (unsigned long long)(uintptr_t)m.ram);
	if (!strstr(text, line))
		TEST_FAIL("no %s in %s", line, text);
	/* the vCPU's descriptor stands for its machine; one section alone */
	length = anykvm_inspect(m.vcpu[0], ANYKVM_INSPECT_STATS, text, sizeof(text));
	EXPECT(length > 0 && !strncmp(text, "Statistics\n", 11));
	EXPECT(strstr(text, "\n  slot_changes                            1\n"));
	EXPECT(!strstr(text, "Memory slots"));
	machine_free(&m);
}

TEST(inspect_tells_which_slots_guest_memfd_is_behind)
{
	struct machine m = ran_machine();
	struct kvm_create_guest_memfd create = {
		.size = 4 << 20, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED};
	struct kvm_userspace_memory_region2 r = {.slot = 5,
						 .flags = KVM_MEM_GUEST_MEMFD,
						 .guest_phys_addr = 0x80000000ull,
						 .memory_size = 1 << 20,
						 .userspace_addr = (uintptr_t)m.ram,
						 .guest_memfd_offset = 2 << 20};
	struct anykvm_stats s;
	char text[4096], line[200];

	r.guest_memfd = ioctl(m.vm, KVM_CREATE_GUEST_MEMFD, &create);
	ASSERT((int)r.guest_memfd >= 0);
	ASSERT_EQ(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
	ASSERT_EQ(anykvm_fallocate(r.guest_memfd, 1, 0, 8192), 0);
	ASSERT_EQ(anykvm_fallocate(r.guest_memfd, 3, 0, 4096), 0);
	EXPECT(anykvm_inspect(m.vm, ANYKVM_INSPECT_SLOTS, text, sizeof(text)) > 0);
	EXPECT(strstr(text, "  GUEST_MEMFD\n"));
	EXPECT(anykvm_inspect(m.vm, ANYKVM_INSPECT_GMEM, text, sizeof(text)) > 0);
	snprintf(line, sizeof(line), "\n      5  0x0000000080000000      1M        2M  0x");
	EXPECT(strstr(text, line));
	EXPECT(strstr(text, "         4M  MMAP INIT_SHARED\n"));
	close(r.guest_memfd);
	EXPECT(anykvm_inspect(m.vm, ANYKVM_INSPECT_GMEM, text, sizeof(text)) > 0);
	EXPECT(strstr(text, "          0  file is gone\n"));
	ASSERT_EQ(anykvm_stats(m.vm, &s, sizeof(s)), 0);
	EXPECT_EQ(s.gmem_allocations, 1);
	EXPECT_EQ(s.gmem_punches, 1);
	machine_free(&m);
}

TEST(inspect_cuts_off_what_does_not_fit)
{
	struct machine m = ran_machine();
	char whole[4096], part[4096];
	ssize_t length = anykvm_inspect(m.vm, ANYKVM_INSPECT_SLOTS, whole, sizeof(whole));

	ASSERT(length > 0);
	EXPECT_EQ(anykvm_inspect(m.vm, ANYKVM_INSPECT_SLOTS, NULL, 0), length);
	for (ssize_t size = 1; size <= length + 1; size++) {
		memset(part, 'x', sizeof(part));
		ASSERT_EQ(anykvm_inspect(m.vm, ANYKVM_INSPECT_SLOTS, part, size), length);
		ASSERT_EQ(memcmp(part, whole, size - 1), 0);
		ASSERT_EQ(part[size - 1], 0);
		ASSERT_EQ(part[size], 'x');
	}
	machine_free(&m);
}

TEST(inspect_refuses_what_it_cannot_do)
{
	struct machine m = ran_machine();
	int stats = ioctl(m.vm, KVM_GET_STATS_FD, 0), pipes[2];
	char text[64];

	ASSERT_EQ(pipe(pipes), 0);
	EXPECT_ERRNO(anykvm_inspect(-1, 0, text, sizeof(text)), EBADF);
	EXPECT_ERRNO(anykvm_inspect(pipes[0], 0, text, sizeof(text)), EBADF);
	EXPECT_ERRNO(anykvm_inspect(m.kvm, 0, text, sizeof(text)), EINVAL);
	EXPECT_ERRNO(anykvm_inspect(stats, 0, text, sizeof(text)), EINVAL);
	EXPECT_ERRNO(anykvm_inspect(m.vm, 1u << 20, text, sizeof(text)), EINVAL);
	EXPECT_ERRNO(anykvm_inspect(m.vm, 0, bad_pointer(), 64), EFAULT);
	EXPECT_ERRNO(anykvm_inspect(m.vm, 0, bad_pointer(), 1), EFAULT);
	close(pipes[0]);
	close(pipes[1]);
	close(stats);
	machine_free(&m);
}

TEST(inspect_in_a_fork_child_is_eio)
{
	struct machine m = ran_machine();
	int status = -1;
	char text[64];
	pid_t pid = fork();

	if (!pid)
		_exit(anykvm_inspect(m.vm, 0, text, sizeof(text)) == -1 && errno == EIO ? 0 : 1);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	machine_free(&m);
}

TEST(counters_of_anykvm_stats_grow_at_the_end)
{
	struct machine m = ran_machine();
	struct anykvm_stats s;
	unsigned char old[sizeof(s)];

	memset(old, 'x', sizeof(old));
	ASSERT_EQ(anykvm_stats(m.vm, &s, sizeof(s)), 0);
	EXPECT_EQ(s.slot_changes, 1);
	EXPECT_EQ(s.slot_swaps, 1);
	EXPECT_EQ(s.table_pages, 4);
	/* a caller that knows less gets less */
	ASSERT_EQ(anykvm_stats(m.vm, (void *)old, offsetof(struct anykvm_stats, host_faults)), 0);
	EXPECT_EQ(old[offsetof(struct anykvm_stats, host_faults)], 'x');
	EXPECT_EQ(memcmp(old, &s, 8), 0);
	machine_free(&m);
}
