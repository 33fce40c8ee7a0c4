/* SPDX-License-Identifier: MIT */
/* The system handle: versions, capabilities, kinds of VM, and what wrong descriptors and requests answer. */
#include <linux/falloc.h>
#include <sys/stat.h>

#include "vmm.h"

TEST(version_and_mmap_size_are_kvms)
{
	int kvm = open_kvm();

	EXPECT_EQ(ioctl(kvm, KVM_GET_API_VERSION, 0), 12);
	EXPECT_ERRNO(ioctl(kvm, KVM_GET_API_VERSION, 1), EINVAL);
	EXPECT_EQ(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), 2 * sysconf(_SC_PAGESIZE));
	EXPECT_ERRNO(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
	close(kvm);
}

TEST(capabilities_answer_on_both_handles)
{
	int kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	static const struct {
		int cap, value;
	} known[] = {
		{KVM_CAP_IRQCHIP, 1},
		{KVM_CAP_USER_MEMORY, 1},
		{KVM_CAP_NR_MEMSLOTS, 32767},
		{KVM_CAP_MP_STATE, 1},
		{KVM_CAP_COALESCED_MMIO, 1},
		{KVM_CAP_SYNC_MMU, 1},
		{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1},
		{KVM_CAP_IRQ_ROUTING, 4096},
		{KVM_CAP_IRQFD, 1},
		{KVM_CAP_IOEVENTFD, 1},
		{KVM_CAP_VCPU_EVENTS, 1},
		{KVM_CAP_MAX_VCPUS, 512},
		{KVM_CAP_ONE_REG, 1},
		{KVM_CAP_READONLY_MEM, 1},
		{KVM_CAP_ARM_PSCI_0_2, 1},
		{KVM_CAP_DEVICE_CTRL, 1},
		{KVM_CAP_CHECK_EXTENSION_VM, 1},
		{KVM_CAP_MAX_VCPU_ID, 512},
		{KVM_CAP_IMMEDIATE_EXIT, 1},
		{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3},
		{KVM_CAP_BINARY_STATS_FD, 1},
		{KVM_CAP_COUNTER_OFFSET, 1},
		{KVM_CAP_USER_MEMORY2, 1},
		{KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, 1},
		/* another architecture's, and beyond the last */
		{KVM_CAP_PIT, 0},
		{KVM_CAP_DIRTY_LOG_RING, 0},
		{KVM_CAP_MEMORY_ATTRIBUTES, 0},
		{KVM_CAP_XSAVE2, 0},
		{KVM_CAP_S390_HPAGE_2G, 0},
		{250, 0},
		{100000, 0},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		errno = 0;
		int on_system = ioctl(kvm, KVM_CHECK_EXTENSION, known[i].cap);
		int on_vm = ioctl(vm, KVM_CHECK_EXTENSION, known[i].cap);

		if (on_system != known[i].value || on_vm != known[i].value)
			TEST_FAIL("capability %d: %d and %d, expected %d", known[i].cap, on_system,
				  on_vm, known[i].value);
	}
	EXPECT(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS) >= 1);
	EXPECT(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE) >= 40);
	EXPECT_ERRNO(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MSI_DEVID), EINVAL);
	EXPECT_EQ(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MSI_DEVID), 0);
	close(vm);
	close(kvm);
}

TEST(vm_types_are_ipa_sizes)
{
	int kvm = open_kvm(), limit = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	static const unsigned long bad[] = {1, 31, 64, 255, 256, 1ul << 30, 1ul << 31, 1ul << 32};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_ERRNO(ioctl(kvm, KVM_CREATE_VM, bad[i]), EINVAL);
	EXPECT_ERRNO(ioctl(kvm, KVM_CREATE_VM, limit + 1), EINVAL);
	for (int bits = 32; bits <= limit; bits++) {
		int vm = ioctl(kvm, KVM_CREATE_VM, bits);

		EXPECT(vm >= 0);
		close(vm);
	}
	close(kvm);
}

TEST(descriptors_close_on_exec_as_kvms)
{
	int plain = open("/dev/kvm", O_RDWR), kvm = open_kvm();
	int vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	EXPECT_EQ(fcntl(plain, F_GETFD), 0);
	EXPECT_EQ(fcntl(kvm, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(vm, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(vcpu, F_GETFD), FD_CLOEXEC);
	close(vcpu);
	close(vm);
	close(kvm);
	close(plain);
}

TEST(numbers_are_the_lowest_free_ones)
{
	int a = dup(0), kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0), again;

	EXPECT_EQ(kvm, a + 1);
	EXPECT_EQ(vm, a + 2);
	close(a);
	again = ioctl(kvm, KVM_CREATE_VM, 0);
	EXPECT_EQ(again, a);
	close(again);
	close(vm);
	close(kvm);
}

TEST(unknown_requests_are_refused)
{
	struct machine m = machine_new(1);
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	EXPECT_ERRNO(ioctl(m.kvm, _IO(KVMIO, 0xff), 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.kvm, KVM_SET_USER_MEMORY_REGION, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, _IO(KVMIO, 0xff), 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_RUN, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_GET_API_VERSION, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_MEMORY_ATTRIBUTES, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, KVM_RESET_DIRTY_RINGS, 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vcpu[0], _IO(KVMIO, 0xff), 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vcpu[0], _IO('x', 0x80), 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_CREATE_VCPU, 1), EINVAL);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_GET_REGS, bad_pointer()), EINVAL);
	EXPECT_ERRNO(ioctl(m.vcpu[0], KVM_PRE_FAULT_MEMORY, bad_pointer()), EINVAL);
	/* the right number with another size or direction is another request */
	EXPECT_ERRNO(ioctl(m.vm, _IOW(KVMIO, 0x46, char[64]), 0), EINVAL);
	EXPECT_ERRNO(ioctl(m.vm, _IOR(KVMIO, 0x46, struct kvm_userspace_memory_region), 0), EINVAL);
	ASSERT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), 0);
	EXPECT_ERRNO(ioctl(cd.fd, _IO(KVMIO, 0xff), 0), ENOTTY);
	EXPECT_ERRNO(ioctl(cd.fd, KVM_RUN, 0), ENOTTY);
	close(cd.fd);
	machine_free(&m);
}

/* Requests that any descriptor takes: programs set close-on-exec this way too. */
TEST(requests_of_any_file_work_on_every_descriptor)
{
	struct machine m = machine_new(1);
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	int fds[5] = {m.kvm, m.vm, m.vcpu[0], 0, ioctl(m.vm, KVM_GET_STATS_FD, 0)};

	ASSERT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), 0);
	fds[3] = cd.fd;
	for (int i = 0; i < 5; i++) {
		int on = 1, off = 0;

		EXPECT_EQ(ioctl(fds[i], FIONCLEX, 0), 0);
		EXPECT_EQ(fcntl(fds[i], F_GETFD), 0);
		EXPECT_EQ(ioctl(fds[i], FIOCLEX, 0), 0);
		EXPECT_EQ(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		EXPECT_EQ(ioctl(fds[i], FIONBIO, &on), 0);
		EXPECT(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		EXPECT_EQ(ioctl(fds[i], FIONBIO, &off), 0);
		EXPECT(!(fcntl(fds[i], F_GETFL) & O_NONBLOCK));
		EXPECT_ERRNO(ioctl(fds[i], FIONBIO, bad_pointer()), EFAULT);
		EXPECT_EQ(ioctl(fds[i], FIOASYNC, &off), 0);
		EXPECT_ERRNO(ioctl(fds[i], FIOASYNC, &on), ENOTTY);
	}
	close(fds[4]);
	close(cd.fd);
	machine_free(&m);
}

TEST(there_is_nothing_to_read_but_statistics)
{
	struct machine m = machine_new(1);
	char c[8];

	EXPECT_ERRNO(read(m.kvm, c, 8), EINVAL);
	EXPECT_ERRNO(read(m.vm, c, 8), EINVAL);
	EXPECT_ERRNO(read(m.vcpu[0], c, 8), EINVAL);
	EXPECT_ERRNO(pread(m.kvm, c, 8, 0), EINVAL);
	EXPECT_ERRNO(pread(m.vm, c, 8, 0), ESPIPE);
	EXPECT_ERRNO(pread(m.vcpu[0], c, 8, 0), ESPIPE);
	machine_free(&m);
}

/* Only guest_memfd is a file with pages to give or take. */
TEST(there_is_nothing_to_allocate_or_truncate)
{
	struct machine m = machine_new(1);
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	int fds[5] = {m.kvm, m.vm, m.vcpu[0], 0, ioctl(m.vm, KVM_GET_STATS_FD, 0)};

	ASSERT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), 0);
	fds[3] = cd.fd;
	for (int i = 0; i < 5; i++) {
		int error = i == 4 ? EBADF : ENODEV;

		EXPECT_ERRNO(ftruncate(fds[i], 0), EINVAL);
		EXPECT_ERRNO(ftruncate(fds[i], PAGE), EINVAL);
		EXPECT_ERRNO(fallocate(fds[i], 0, 0, PAGE), error);
		EXPECT_ERRNO(fallocate(fds[i], FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE),
			     error);
		EXPECT_ERRNO(fallocate(fds[i], 0, -1, PAGE), EINVAL);
		EXPECT_ERRNO(fallocate(fds[i], 0, 0, 0), EINVAL);
		EXPECT_ERRNO(fallocate(fds[i], 1 << 20, 0, PAGE), EOPNOTSUPP);
		EXPECT_ERRNO(fcntl(fds[i], F_GET_SEALS), EINVAL);
		EXPECT_ERRNO(fcntl(fds[i], F_ADD_SEALS, F_SEAL_WRITE), i == 4 ? EPERM : EINVAL);
	}
	/* Open for reading, so the system refuses before it asks the file. */
	EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[4], 0) == MAP_FAILED && errno == ENODEV);
	EXPECT(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fds[4], 0) == MAP_FAILED &&
	       errno == EACCES);
	EXPECT(mmap(NULL, PAGE, PROT_WRITE, MAP_PRIVATE, fds[4], 0) == MAP_FAILED &&
	       errno == ENODEV);
	close(fds[4]);
	close(cd.fd);
	machine_free(&m);
}

TEST(a_mapping_of_a_descriptor_never_becomes_code)
{
	struct machine m = machine_new(1);
	char *run = (char *)m.run[0], *around;
	int fd = ioctl(m.vm, KVM_GET_STATS_FD, 0);

	m.run[0]->immediate_exit = 1;
	EXPECT_ERRNO(mprotect(run, PAGE, PROT_READ | PROT_EXEC), EACCES);
	EXPECT_ERRNO(mprotect(run + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), EACCES);
	EXPECT_EQ(mprotect(run, PAGE, PROT_READ), 0);
	EXPECT_EQ(mprotect(run, PAGE, PROT_READ | PROT_WRITE), 0);
	/* Nor is it taken away as pages of a file. */
	EXPECT_ERRNO(madvise(run, PAGE, MADV_REMOVE), ENODEV);
	EXPECT_EQ(m.run[0]->immediate_exit, 1);
	/* What lies before it has changed by then. */
	around = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(around != MAP_FAILED);
	ASSERT(mmap(around + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, m.vcpu[0],
		    0) == around + PAGE);
	EXPECT_ERRNO(mprotect(around, 2 * PAGE, PROT_READ | PROT_EXEC), EACCES);
	EXPECT_ERRNO(pread(fd, around, 8, 0), EFAULT);
	EXPECT_EQ(mprotect(around, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
	around[PAGE] = around[PAGE];
	EXPECT_EQ(munmap(around, 2 * PAGE), 0);
	close(fd);
	machine_free(&m);
}

TEST(there_is_nothing_to_write)
{
	struct machine m = machine_new(1);
	struct kvm_create_device cd = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	int fds[5] = {m.kvm, m.vm, m.vcpu[0], 0, ioctl(m.vm, KVM_GET_STATS_FD, 0)}, pipes[2];
	char text[8] = "changed";

	ASSERT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &cd), 0);
	fds[3] = cd.fd;
	m.run[0]->immediate_exit = 1;
	for (int i = 0; i < 5; i++) {
		EXPECT_ERRNO(write(fds[i], text, 8), i == 4 ? EBADF : EINVAL);
		EXPECT_ERRNO(pwrite(fds[i], text, 8, 0), i ? ESPIPE : EINVAL);
		EXPECT_ERRNO(pwrite(fds[i], text, 8, -1), EINVAL);
	}
	EXPECT_EQ(m.run[0]->immediate_exit, 1);
	ASSERT_EQ(pipe(pipes), 0);
	EXPECT_EQ(write(pipes[1], text, 8), 8);
	EXPECT_ERRNO(pwrite(pipes[1], text, 8, 0), ESPIPE);
	EXPECT_ERRNO(write(-1, text, 8), EBADF);
	close(pipes[0]);
	close(pipes[1]);
	close(fds[4]);
	close(cd.fd);
	machine_free(&m);
}

TEST(the_legacy_addresses_are_of_no_device_here)
{
	struct machine m = machine_new(1);
	struct kvm_arm_device_addr a = {.addr = 0x8000000};

	for (a.id = 0; a.id < 4; a.id++)
		EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), ENODEV);
	a.id = 1u << KVM_ARM_DEVICE_ID_SHIFT;
	EXPECT_ERRNO(ioctl(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), ENODEV);
	machine_free(&m);
}

TEST(unreadable_arguments_are_efault)
{
	struct machine m = machine_new(1);
	void *bad = bad_pointer();
	static const unsigned long vm_requests[] = {
		KVM_SET_USER_MEMORY_REGION,
		KVM_SET_USER_MEMORY_REGION2,
		KVM_GET_DIRTY_LOG,
		KVM_CLEAR_DIRTY_LOG,
		KVM_IRQ_LINE,
		KVM_SET_GSI_ROUTING,
		KVM_IRQFD,
		KVM_IOEVENTFD,
		KVM_SIGNAL_MSI,
		KVM_REGISTER_COALESCED_MMIO,
		KVM_UNREGISTER_COALESCED_MMIO,
		KVM_ENABLE_CAP,
		KVM_CREATE_DEVICE,
		KVM_SET_DEVICE_ATTR,
		KVM_HAS_DEVICE_ATTR,
		KVM_ARM_SET_DEVICE_ADDR,
		KVM_ARM_PREFERRED_TARGET,
		KVM_ARM_SET_COUNTER_OFFSET,
		KVM_ARM_GET_REG_WRITABLE_MASKS,
	};
	static const unsigned long vcpu_requests[] = {
		KVM_ARM_VCPU_INIT,   KVM_GET_ONE_REG,	  KVM_SET_ONE_REG,
		KVM_GET_REG_LIST,    KVM_GET_MP_STATE,	  KVM_SET_MP_STATE,
		KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_SET_GUEST_DEBUG,
		KVM_SET_SIGNAL_MASK, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR,
		KVM_HAS_DEVICE_ATTR, KVM_TRANSLATE,	  KVM_ARM_VCPU_FINALIZE,
		KVM_SET_REGS,
	};

	for (size_t i = 0; i < sizeof(vm_requests) / sizeof(vm_requests[0]); i++)
		EXPECT_ERRNO(ioctl(m.vm, vm_requests[i], bad), EFAULT);
	for (size_t i = 0; i < sizeof(vcpu_requests) / sizeof(vcpu_requests[0]); i++)
		EXPECT_ERRNO(ioctl(m.vcpu[0], vcpu_requests[i], bad), EFAULT);
	/* half of it readable is not enough */
	char *edge =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(mprotect(edge + PAGE, PAGE, PROT_NONE), 0);
	EXPECT_ERRNO(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION, edge + PAGE - 16), EFAULT);
	munmap(edge, 2 * PAGE);
	machine_free(&m);
}

TEST(closed_and_foreign_descriptors)
{
	int kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0), pipes[2];

	EXPECT_EQ(close(vm), 0);
	EXPECT_ERRNO(ioctl(vm, KVM_CHECK_EXTENSION, 0), EBADF);
	EXPECT_ERRNO(ioctl(vm, KVM_CREATE_VCPU, 0), EBADF);
	EXPECT_ERRNO(ioctl(-1, KVM_GET_API_VERSION, 0), EBADF);
	EXPECT_ERRNO(ioctl(100000, KVM_GET_API_VERSION, 0), EBADF);
	EXPECT_ERRNO(close(vm), EBADF);
	ASSERT_EQ(pipe(pipes), 0);
	EXPECT_ERRNO(ioctl(pipes[0], KVM_GET_API_VERSION, 0), ENOTTY);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, kvm, 0) == MAP_FAILED, 1);
	EXPECT_EQ(errno, ENODEV);
	close(kvm);
}

/* A number that was closed by a system call we do not see, and given out again, is no longer ours. */
TEST(a_number_reused_behind_the_library_is_the_new_file)
{
	int kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0), pipes[2];

	syscall(SYS_close, vm);
	ASSERT_EQ(pipe(pipes), 0);
	ASSERT(pipes[0] == vm);
	EXPECT_ERRNO(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP), ENOTTY);
	EXPECT_EQ(write(pipes[1], "x", 1), 1);
	char c = 0;
	EXPECT_EQ(read(vm, &c, 1), 1);
	EXPECT_EQ(c, 'x');
	close(pipes[0]);
	close(pipes[1]);
	close(kvm);
}

/* Nor is it treated as a vCPU's memory, which has still to get its size. */
TEST(a_vcpus_number_reused_behind_the_library_is_left_alone)
{
	int kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu, file;
	struct stat st;

	for (int i = 0; i < 2; i++) {
		char *p;

		vcpu = ioctl(vm, KVM_CREATE_VCPU, i);
		ASSERT(vcpu >= 0);
		syscall(SYS_close, vcpu);
		file = memfd_create("other", 0);
		ASSERT(file == vcpu);
		EXPECT_EQ(syscall(SYS_write, file, "hello", 5),
			  5); /* nobody of the library looks */
		if (i)
			EXPECT_ERRNO(ioctl(file, KVM_RUN, 0), ENOTTY);
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
		ASSERT(p != MAP_FAILED);
		EXPECT_EQ(p[4], 'o');
		EXPECT_EQ(fstat(file, &st), 0);
		EXPECT_EQ(st.st_size, 5);
		munmap(p, PAGE);
		close(file);
	}
	close(vm);
	close(kvm);
}

TEST(copies_of_descriptors_are_the_same_file)
{
	int kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int a = dup(vm), b = fcntl(vm, F_DUPFD_CLOEXEC, 50), c = dup2(vm, 60),
	    d = dup3(vm, 61, O_CLOEXEC);

	EXPECT(a >= 0 && b >= 50 && c == 60 && d == 61);
	EXPECT_EQ(fcntl(a, F_GETFD), 0);
	EXPECT_EQ(fcntl(b, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(d, F_GETFD), FD_CLOEXEC);
	close(vm);
	EXPECT_EQ(ioctl(a, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP), 1);
	close(a);
	close(b);
	EXPECT_EQ(ioctl(c, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP), 1);
	/* over one of ours: the machine goes, the number is the other file */
	EXPECT_EQ(dup2(0, 60), 60);
	EXPECT_EQ(ioctl(d, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP), 1);
	EXPECT_ERRNO(dup2(1000000, d), EBADF);
	EXPECT_EQ(ioctl(d, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP), 1);
	EXPECT_ERRNO(dup3(d, d, 0), EINVAL);
	EXPECT_EQ(dup2(d, d), d);
	close(c);
	close(d);
	close(kvm);
}

TEST(close_range_closes_machines)
{
	int kvm = open_kvm(), vm = ioctl(kvm, KVM_CREATE_VM, 0),
	    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	EXPECT(vcpu > vm && vm > kvm);
	EXPECT_EQ(close_range(vm, vcpu, 0), 0);
	EXPECT_ERRNO(ioctl(vm, KVM_CHECK_EXTENSION, 0), EBADF);
	EXPECT_ERRNO(ioctl(vcpu, KVM_RUN, 0), EBADF);
	EXPECT_EQ(ioctl(kvm, KVM_GET_API_VERSION, 0), 12);
	EXPECT_ERRNO(close_range(5, 4, 0), EINVAL);
	close(kvm);
}

TEST(open_of_other_paths_is_the_systems)
{
	int fd = open("/dev/null", O_RDWR);

	EXPECT(fd >= 0);
	EXPECT_EQ(write(fd, "x", 1), 1);
	close(fd);
	EXPECT_ERRNO(open("/no/such/file", O_RDONLY), ENOENT);
	EXPECT_ERRNO(open(bad_pointer(), O_RDONLY), EFAULT);
	EXPECT_ERRNO(open("/dev/kvm", O_RDWR | O_DIRECTORY), ENOTDIR);
	EXPECT_ERRNO(open("/dev/kvm", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	fd = openat(AT_FDCWD, "/dev/kvm", O_RDWR);
	EXPECT(fd >= 0);
	EXPECT_EQ(ioctl(fd, KVM_GET_API_VERSION, 0), 12);
	close(fd);
}
