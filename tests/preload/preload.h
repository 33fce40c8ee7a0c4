/* SPDX-License-Identifier: MIT */
/* For tests that run with the preloaded library and know nothing of it. */
#ifndef ANYKVM_TESTS_PRELOAD_PRELOAD_H
#define ANYKVM_TESTS_PRELOAD_PRELOAD_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <anykvm/kvm.h>

#include "base/raw.h"

/* What fortified programs call, and programs that were built with an older libc. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
int __xstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
int __lxstat64(int version, const char *path, struct stat *st);
int __fxstat(int version, int fd, struct stat *st);
int __fxstat64(int version, int fd, struct stat *st);
int __fxstatat(int version, int dirfd, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int dirfd, const char *path, struct stat *st, int flags);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off_t offset, size_t room);

/* Arm64's answers, which no x86 device gives; a native arm64 one answers neither to the raw call. Closes fd. */
#define ANSWERS_AS_ARM64(open_it)                                                       \
	do {                                                                            \
		int fd_ = (open_it);                                                    \
                                                                                        \
		EXPECT(fd_ >= 0);                                                       \
		EXPECT_EQ(ioctl(fd_, KVM_GET_API_VERSION, 0), 12);                      \
		EXPECT(ioctl(fd_, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE) >= 40); \
		EXPECT(raw_syscall(SYS_ioctl, fd_, KVM_GET_API_VERSION, 0) < 0);        \
		EXPECT_EQ(close(fd_), 0);                                               \
		EXPECT_EQ(raw_syscall(SYS_fcntl, fd_, F_GETFD), -EBADF);                \
	} while (0)

/* A name in a folder of this process's own, which the exit removes. */
static char scratch_folder[PATH_MAX / 2];

static inline void scratch_remove(void)
{
	DIR *d = opendir(scratch_folder);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(scratch_folder);
}

static inline void scratch_path(char path[PATH_MAX], const char *name)
{
	if (!*scratch_folder) {
		const char *tmp = getenv("TMPDIR");

		snprintf(scratch_folder, sizeof(scratch_folder), "%s/anykvm-test-XXXXXX",
			 tmp && *tmp ? tmp : "/tmp");
		ASSERT(mkdtemp(scratch_folder));
		atexit(scratch_remove);
	}
	snprintf(path, PATH_MAX, "%s/%s", scratch_folder, name);
}

#endif
