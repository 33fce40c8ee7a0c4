/* SPDX-License-Identifier: MIT */
/* Each function that takes a descriptor answers for KVM's as KVM does. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <poll.h>

#include "../api/vmm.h"
#include "preload.h"

static const char header_name[] = "kvm-";

/* A statistics descriptor begins with a header, then the name of what is counted. */
static int stats_fd(struct machine *m)
{
	int fd = ioctl(m->vm, KVM_GET_STATS_FD, NULL);

	ASSERT(fd >= 0);
	return fd;
}

TEST(statistics_are_read_by_every_read_function)
{
	struct machine m = machine_new(0);
	int fd = stats_fd(&m);
	unsigned char want[64], got[64], more[16];
	struct iovec iov[2] = {{got, 24}, {more, 16}};

	ASSERT_EQ(pread(fd, want, sizeof(want), 0), sizeof(want));
	EXPECT(memcmp(want + sizeof(struct kvm_stats_header), header_name, 4) == 0);
#define SAME(n, call)                           \
	do {                                    \
		memset(got, 0xee, sizeof(got)); \
		EXPECT_EQ(call, n);             \
		EXPECT(!memcmp(got, want, 24)); \
	} while (0)
	SAME(64, pread64(fd, got, 64, 0));
	SAME(64, __pread_chk(fd, got, 64, 0, 64));
	SAME(64, __pread64_chk(fd, got, 64, 0, 64));
	SAME(40, preadv(fd, iov, 2, 0));
	EXPECT(!memcmp(more, want + 24, 16));
	SAME(40, preadv64(fd, iov, 2, 0));
	SAME(40, preadv2(fd, iov, 2, 0, 0));
	SAME(40, preadv64v2(fd, iov, 2, 0, 0));
	SAME(24, read(fd, got, 24));
	close(fd);
	fd = stats_fd(&m);
	SAME(64, __read_chk(fd, got, 64, 64));
	close(fd);
	fd = stats_fd(&m);
	SAME(40, readv(fd, iov, 2));
	close(fd);
	fd = stats_fd(&m);
	SAME(24, syscall(SYS_read, fd, got, 24l));
	SAME(64, syscall(SYS_pread64, fd, got, 64l, 0l));
	EXPECT_ERRNO(preadv(fd, iov, 2, -1), EINVAL);
	EXPECT_ERRNO(syscall(SYS_readv, fd, iov, -1l), EINVAL);
	EXPECT_ERRNO(pread(fd, bad_pointer(), 8, 0), EFAULT);
	EXPECT_ERRNO(write(fd, want, 1), EBADF);
	close(fd);
	machine_free(&m);
}

static void expect_no_writing(int fd, int error, int at_offset)
{
	char byte = 0;
	struct iovec iov = {&byte, 1};

	EXPECT_ERRNO(write(fd, &byte, 1), error);
	EXPECT_ERRNO(writev(fd, &iov, 1), error);
	EXPECT_ERRNO(pwritev2(fd, &iov, 1, -1, 0), error);
	EXPECT_ERRNO(pwrite(fd, &byte, 1, 0), at_offset);
	EXPECT_ERRNO(pwrite64(fd, &byte, 1, 0), at_offset);
	EXPECT_ERRNO(pwritev(fd, &iov, 1, 0), at_offset);
	EXPECT_ERRNO(pwritev64(fd, &iov, 1, 0), at_offset);
	EXPECT_ERRNO(pwritev2(fd, &iov, 1, 0, 0), at_offset);
	EXPECT_ERRNO(pwritev64v2(fd, &iov, 1, 0, 0), at_offset);
	EXPECT_ERRNO(pwrite(fd, &byte, 1, -1), EINVAL);
	EXPECT_ERRNO(syscall(SYS_write, fd, &byte, 1l), error);
	EXPECT_ERRNO(syscall(SYS_pwrite64, fd, &byte, 1l, 0l), at_offset);
}

TEST(kvms_descriptors_cannot_be_written)
{
	struct machine m = machine_new(1);
	unsigned char before[256];

	memcpy(before, m.run[0], sizeof(before));
	expect_no_writing(m.kvm, EINVAL, EINVAL);
	expect_no_writing(m.vm, EINVAL, ESPIPE);
	expect_no_writing(m.vcpu[0], EINVAL, ESPIPE);
	EXPECT(!memcmp(before, m.run[0], sizeof(before)));
	EXPECT_ERRNO(read(m.vm, before, 1), EINVAL);
	EXPECT_ERRNO(pread(m.vm, before, 1, 0), ESPIPE);
	machine_free(&m);
}

TEST(positions_and_types_are_those_of_kvms_files)
{
	struct machine m = machine_new(1);
	struct kvm_create_guest_memfd g = {.size = 16 * PAGE};
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	int gmem = ioctl(m.vm, KVM_CREATE_GUEST_MEMFD, &g);
	int inodes[] = {m.vm, m.vcpu[0], stats_fd(&m)};
	struct stat st;

	ASSERT_EQ(ioctl(m.vm, KVM_CREATE_DEVICE, &d), 0);
	EXPECT_EQ(lseek(m.kvm, 100, SEEK_SET), 0);
	EXPECT_EQ(lseek(m.vm, 100, SEEK_CUR), 0);
	EXPECT_EQ(lseek64(m.vcpu[0], 0, SEEK_END), 0);
	EXPECT_ERRNO(lseek(d.fd, 0, SEEK_SET), ESPIPE);
	EXPECT_ERRNO(syscall(SYS_lseek, d.fd, 0l, SEEK_SET), ESPIPE);
	/* What no file is asked. */
	EXPECT_ERRNO(lseek(m.vm, 0, SEEK_HOLE + 1), EINVAL);
	EXPECT_ERRNO(lseek(d.fd, 0, -1), EINVAL);
	for (int i = 0; i < 4; i++) {
		int fd = (int[]){m.kvm, m.vm, m.vcpu[0], d.fd}[i];

		EXPECT_ERRNO(fsync(fd), EINVAL);
		EXPECT_ERRNO(fdatasync(fd), EINVAL);
		EXPECT_ERRNO(syscall(SYS_fsync, fd), EINVAL);
	}
	for (unsigned i = 0; i < 3; i++) {
		memset(&st, 0xee, sizeof(st));
		EXPECT_EQ(fstat(inodes[i], &st), 0);
		EXPECT_EQ(st.st_mode, 0600);
		EXPECT_EQ(st.st_size, 0);
		EXPECT_EQ(st.st_rdev, 0);
		EXPECT_EQ(syscall(SYS_fstat, inodes[i], &st), 0);
		EXPECT_EQ(st.st_mode, 0600);
	}
	EXPECT_ERRNO(fstat(m.vm, (void *)8), EFAULT);
	if (gmem >= 0) {
		EXPECT_EQ(fstat(gmem, &st), 0);
		EXPECT(S_ISREG(st.st_mode));
		EXPECT_EQ(st.st_size, 16 * PAGE);
		EXPECT_ERRNO(lseek(gmem, 0, SEEK_SET), ESPIPE);
		EXPECT_ERRNO(ftruncate(gmem, 0), EINVAL);
		EXPECT_EQ(fallocate(gmem, FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
		EXPECT_EQ(fallocate64(gmem, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE),
			  0);
		EXPECT_EQ(posix_fallocate(gmem, 0, PAGE), EOPNOTSUPP);
		close(gmem);
	}
	close(inodes[2]);
	close(d.fd);
	machine_free(&m);
}

TEST(they_are_always_ready_and_no_matter_for_epoll)
{
	struct machine m = machine_new(1);
	struct pollfd p = {.fd = m.vm, .events = POLLIN | POLLOUT};
	struct timeval now = {0};
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	fd_set set;

	EXPECT_EQ(poll(&p, 1, 0), 1);
	EXPECT_EQ(p.revents, POLLIN | POLLOUT);
	FD_ZERO(&set);
	FD_SET(m.vcpu[0], &set);
	EXPECT_EQ(select(m.vcpu[0] + 1, &set, NULL, NULL, &now), 1);
	EXPECT_ERRNO(epoll_ctl(epoll, EPOLL_CTL_ADD, m.vcpu[0], &event), EPERM);
	close(epoll);
	machine_free(&m);
}

TEST(copies_name_the_same_machine)
{
	struct machine m = machine_without_vcpus();
	int copy[] = {dup(m.vm),
		      fcntl(m.vm, F_DUPFD, 100),
		      fcntl64(m.vm, F_DUPFD_CLOEXEC, 100),
		      dup2(m.vm, 200),
		      dup3(m.vm, 201, O_CLOEXEC),
		      syscall(SYS_dup, m.vm),
		      syscall(SYS_dup3, m.vm, 202l, 0l),
		      syscall(SYS_fcntl, m.vm, F_DUPFD, 100l)};

	for (unsigned i = 0; i < sizeof(copy) / sizeof(*copy); i++) {
		int vcpu = ioctl(copy[i], KVM_CREATE_VCPU, i);

		EXPECT(vcpu >= 0);
		close(vcpu);
		EXPECT_EQ(fcntl(copy[i], F_GETFD), i == 2 || i == 4 ? FD_CLOEXEC : 0);
		EXPECT_EQ(close(copy[i]), 0);
		EXPECT_ERRNO(ioctl(copy[i], KVM_CREATE_VCPU, 100), EBADF);
	}
	EXPECT_ERRNO(dup2(m.vm, -1), EBADF);
	machine_free(&m);
}

TEST(ranges_of_descriptors_are_closed)
{
	struct machine m = machine_without_vcpus();
	int low = dup2(m.vm, 300), high = dup2(m.vm, 301);

	EXPECT_EQ(close_range(300, 300, 0), 0);
	EXPECT_ERRNO(ioctl(low, KVM_CREATE_VCPU, 0), EBADF);
	EXPECT(ioctl(high, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) > 0);
	closefrom(301);
	EXPECT_ERRNO(ioctl(high, KVM_CREATE_VCPU, 0), EBADF);
	EXPECT_EQ(syscall(SYS_close_range, 300l, 400l, 0l), 0);
	machine_free(&m);
}

TEST(who_closes_all_other_descriptors_leaves_the_library_its_own)
{
	struct machine m = machine_new(1);
	struct code c = code_at(&m, RAM);
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct kvm_ioeventfd bell = {.addr = DEVICE + 0x100, .len = 8, .fd = event};
	uint64_t count = 0;

	li(&c, 1, 7);
	report(&c, 1, 0x100);
	report(&c, 1, 0);
	code_done(&m);
	ASSERT_EQ(ioctl(m.vm, KVM_IOEVENTFD, &bell), 0);
	for (int fd = 3; fd < 1024; fd++)
		if (fd != m.kvm && fd != m.vm && fd != m.vcpu[0] && fd != event)
			close(fd);
	EXPECT_REPORT(&m, 0, 0, 7);
	EXPECT_EQ(read(event, &count, 8), 8);
	EXPECT_EQ(count, 1);
	close(event);
	machine_free(&m);
}

TEST(a_machine_is_driven_by_system_calls_made_with_syscall)
{
	int kvm = syscall(SYS_openat, AT_FDCWD, "/dev/kvm", O_RDWR, 0l);
	int vm = syscall(SYS_ioctl, kvm, KVM_CREATE_VM, 0l), vcpu, api;
	long size = syscall(SYS_ioctl, kvm, KVM_GET_VCPU_MMAP_SIZE, 0l);
	struct kvm_run *run;
	struct stat st;

	EXPECT(kvm >= 0 && vm >= 0);
	vcpu = syscall(SYS_ioctl, vm, KVM_CREATE_VCPU, 0l);
	EXPECT(vcpu >= 0);
	run = (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0l);
	ASSERT(run != MAP_FAILED);
	EXPECT_EQ(run->immediate_exit, 0);
	EXPECT_EQ(syscall(SYS_munmap, run, size), 0);
	api = syscall(SYS_ioctl, kvm, KVM_GET_API_VERSION, 0l);
	EXPECT_EQ(api, 12);
	EXPECT_EQ(syscall(SYS_newfstatat, AT_FDCWD, "/dev/kvm", &st, 0l), 0);
	EXPECT(S_ISCHR(st.st_mode));
	EXPECT_EQ(syscall(SYS_faccessat, AT_FDCWD, "/dev/kvm", R_OK, 0l), 0);
	EXPECT_EQ(syscall(SYS_close, vcpu), 0);
	EXPECT_EQ(syscall(SYS_close, vm), 0);
	EXPECT_EQ(syscall(SYS_close, kvm), 0);
	EXPECT_ERRNO(ioctl(kvm, KVM_GET_API_VERSION, 0), EBADF);
#if defined(SYS_open)
	kvm = syscall(SYS_open, "/dev/kvm", O_RDWR, 0l);
	EXPECT(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE) >= 40);
	close(kvm);
#endif
	EXPECT_EQ(syscall(SYS_getpid), getpid());
}
