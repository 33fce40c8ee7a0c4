/* SPDX-License-Identifier: MIT */
/*
 * Programs that know nothing of anykvm and run with the preloaded library: every way to /dev/kvm leads to it and none to a device
 * of the host, there or not. Their own looks at descriptors are raw, so that nothing stands between.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <anykvm/kvm.h>

#include "../test.h"
#include "preload.h"

#define IS_ARM64 ANSWERS_AS_ARM64

TEST(every_open_function_gives_the_librarys_handle)
{
	int folder = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FILE *f;

	IS_ARM64(open("/dev/kvm", O_RDWR));
	IS_ARM64(open64("/dev/kvm", O_RDWR));
	IS_ARM64(__open_2("/dev/kvm", O_RDWR));
	IS_ARM64(__open64_2("/dev/kvm", O_RDWR));
	IS_ARM64(openat(AT_FDCWD, "/dev/kvm", O_RDWR));
	IS_ARM64(openat64(AT_FDCWD, "/dev/kvm", O_RDWR));
	IS_ARM64(__openat_2(AT_FDCWD, "/dev/kvm", O_RDWR));
	IS_ARM64(__openat64_2(AT_FDCWD, "/dev/kvm", O_RDWR));
	IS_ARM64(creat("/dev/kvm", 0600));
	IS_ARM64(creat64("/dev/kvm", 0600));
	IS_ARM64(openat(folder, "kvm", O_RDWR));
	IS_ARM64(openat(folder, "../dev/./kvm", O_RDWR));
	f = fopen("/dev/kvm", "r+e");
	ASSERT(f);
	IS_ARM64(dup(fileno(f)));
	fclose(f);
	close(folder);
}

TEST(every_name_of_the_device_leads_to_the_library)
{
	char there[PATH_MAX], link[PATH_MAX], chain[PATH_MAX], dangling[PATH_MAX];
	int fd;

	ASSERT(getcwd(there, sizeof(there)));
	IS_ARM64(open("//dev//kvm", O_RDWR));
	IS_ARM64(open("/dev/../dev/kvm", O_RDWR));
	ASSERT_EQ(chdir("/dev"), 0);
	IS_ARM64(open("kvm", O_RDWR));
	IS_ARM64(open("./kvm", O_RDWR));
	ASSERT_EQ(chdir(there), 0);

	scratch_path(link, "link");
	scratch_path(chain, "chain");
	scratch_path(dangling, "dangling");
	ASSERT_EQ(symlink("/dev/kvm", link), 0);
	ASSERT_EQ(symlink("link", chain), 0);
	ASSERT_EQ(symlink("/dev/kvm-is-not-there", dangling), 0);
	IS_ARM64(open(link, O_RDWR));
	IS_ARM64(open(chain, O_RDWR));
	errno = 0;
	EXPECT(open(link, O_RDWR | O_NOFOLLOW) < 0 && errno == ELOOP);
	EXPECT(open(dangling, O_RDWR) < 0 && errno == ENOENT);

	fd = open("/dev/kvm", O_RDWR);
	for (int i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof(path),
			 i == 0	  ? "/dev/fd/%d"
			 : i == 1 ? "/proc/self/fd/%d"
				  : "/proc/thread-self/fd/%d",
			 fd);
		IS_ARM64(open(path, O_RDWR));
	}
	close(fd);
}

TEST(other_names_are_the_systems)
{
	char path[PATH_MAX];
	int fd;

	scratch_path(path, "kvm");
	errno = 0;
	EXPECT(open(path, O_RDWR) < 0 && errno == ENOENT);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ASSERT(fd >= 0);
	EXPECT(write(fd, "x", 1) == 1);
	errno = 0;
	EXPECT(ioctl(fd, KVM_GET_API_VERSION, 0) < 0 && errno == ENOTTY);
	close(fd);
	unlink(path);
	errno = 0;
	EXPECT(open("/dev/kvm/x", O_RDWR) < 0 && errno == ENOTDIR);
	EXPECT(open((const char *)8, O_RDWR) < 0 && errno == EFAULT);
	EXPECT(open("", O_RDWR) < 0 && errno == ENOENT);
	EXPECT(access("/dev/null", R_OK) == 0);
}

static void expect_device(int r, const struct stat *st)
{
	EXPECT_EQ(r, 0);
	EXPECT(S_ISCHR(st->st_mode));
	EXPECT_EQ(st->st_rdev, makedev(10, 232));
}

TEST(who_looks_first_sees_the_device)
{
	int fd = open("/dev/kvm", O_RDWR);
	struct statx sx;
	struct stat st;

	EXPECT_EQ(access("/dev/kvm", R_OK | W_OK), 0);
	EXPECT_EQ(access("/dev/kvm", F_OK), 0);
	EXPECT_EQ(eaccess("/dev/kvm", R_OK | W_OK), 0);
	EXPECT_EQ(euidaccess("/dev/kvm", R_OK | W_OK), 0);
	EXPECT_EQ(faccessat(AT_FDCWD, "/dev/kvm", R_OK | W_OK, 0), 0);
	EXPECT_EQ(faccessat(AT_FDCWD, "/dev/kvm", R_OK | W_OK, AT_EACCESS), 0);
	errno = 0;
	EXPECT(access("/dev/kvm", X_OK) < 0 && errno == EACCES);

	expect_device(stat("/dev/kvm", &st), &st);
	expect_device(stat64("/dev/kvm", (struct stat64 *)&st), &st);
	expect_device(lstat("/dev/kvm", &st), &st);
	expect_device(lstat64("/dev/kvm", (struct stat64 *)&st), &st);
	expect_device(fstatat(AT_FDCWD, "/dev/kvm", &st, 0), &st);
	expect_device(fstatat64(AT_FDCWD, "/dev/kvm", (struct stat64 *)&st, 0), &st);
	expect_device(fstatat(fd, "", &st, AT_EMPTY_PATH), &st);
	expect_device(fstat(fd, &st), &st);
	expect_device(fstat64(fd, (struct stat64 *)&st), &st);
	expect_device(__xstat(1, "/dev/kvm", &st), &st);
	expect_device(__xstat64(1, "/dev/kvm", &st), &st);
	expect_device(__lxstat(1, "/dev/kvm", &st), &st);
	expect_device(__lxstat64(1, "/dev/kvm", &st), &st);
	expect_device(__fxstat(1, fd, &st), &st);
	expect_device(__fxstat64(1, fd, &st), &st);
	expect_device(__fxstatat(1, AT_FDCWD, "/dev/kvm", &st, 0), &st);
	expect_device(__fxstatat64(1, AT_FDCWD, "/dev/kvm", &st, 0), &st);
	EXPECT_EQ(statx(AT_FDCWD, "/dev/kvm", 0, STATX_BASIC_STATS, &sx), 0);
	EXPECT(S_ISCHR(sx.stx_mode) && sx.stx_rdev_major == 10 && sx.stx_rdev_minor == 232);
	EXPECT_EQ(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx), 0);
	EXPECT(S_ISCHR(sx.stx_mode) && sx.stx_rdev_major == 10 && sx.stx_rdev_minor == 232);
	close(fd);

	errno = 0;
	EXPECT(fstatat(AT_FDCWD, "/dev/kvm", (void *)8, 0) < 0 && errno == EFAULT);
	EXPECT_EQ(stat("/dev/null", &st), 0);
	EXPECT_EQ(st.st_rdev, makedev(1, 3));
}

TEST(no_descriptor_is_of_the_hosts_device)
{
	char path[64], target[64];
	struct stat st;
	int fd = open("/dev/kvm", O_RDWR), other = open("//dev/kvm", O_RDWR), seen = 0;

	for (int i = 0; i < 1024; i++) {
		long n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		n = raw_syscall(SYS_readlinkat, AT_FDCWD, path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		seen++;
		EXPECT(strcmp(target, "/dev/kvm"));
		EXPECT(raw_syscall(SYS_fstat, i, &st) == 0 && st.st_rdev != makedev(10, 232));
	}
	EXPECT(seen >= 5);
	close(other);
	close(fd);
}
