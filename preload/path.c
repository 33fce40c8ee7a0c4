/* SPDX-License-Identifier: MIT */
/*
 * Which paths lead to /dev/kvm. One look by the system decides where there is such a device, whatever the way to it: a relative
 * path, a link, a node made by mknod in a jail. Where there is none the way is followed by hand as far as it goes: the missing
 * last component must be "kvm" in the folder /dev. The name "/dev/kvm" itself is ours in any case.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/raw.h"
#include "observe.h"

#define MAX_LINKS 40

static bool is_kvm_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(KVM_MAJOR, KVM_MINOR);
}

static long look(int dirfd, const char *path, struct stat *st, int flags)
{
	return raw_syscall(SYS_newfstatat, dirfd, path, st, flags);
}

static const char *skip(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s && !strncmp(s, prefix, n) ? s + n : NULL;
}

/* The number N of /dev/fd/N or /proc/self/fd/N, by which a program opens once more what it has open; -1 for other paths. */
static int fd_of_path(const char *path)
{
	const char *s = skip(path, "/proc/");
	long fd = 0;

	if (!s) {
		s = skip(path, "/dev/fd/");
	} else if (skip(s, "self/fd/") || skip(s, "thread-self/fd/")) {
		s = strstr(s, "/fd/") + 4;
	} else {
		long pid = 0;

		for (; *s >= '0' && *s <= '9' && pid < INT_MAX; s++)
			pid = pid * 10 + (*s - '0');
		s = pid == raw_syscall(SYS_getpid) ? skip(s, "/fd/") : NULL;
	}
	if (!s || !*s)
		return -1;
	for (; *s >= '0' && *s <= '9' && fd < INT_MAX; s++)
		fd = fd * 10 + (*s - '0');
	return *s || fd > INT_MAX ? -1 : fd;
}

/* Whether the folder of a path is /dev: path up to its last component, which is changed for the look. */
static bool folder_is_dev(int dirfd, char *path, char *last)
{
	struct stat folder, dev;
	char first = *last;
	long r;

	if (look(AT_FDCWD, "/dev", &dev, 0))
		return false;
	*last = 0;
	r = last == path ? look(dirfd, dirfd == AT_FDCWD ? "." : "", &folder, AT_EMPTY_PATH)
			 : look(dirfd, path, &folder, 0);
	*last = first;
	return !r && folder.st_dev == dev.st_dev && folder.st_ino == dev.st_ino;
}

/* Whether a missing path may be /dev/kvm, by its end or because it is a link: told without the large stack frame of the full look. */
static bool may_be_kvm(int dirfd, const char *path, bool follow)
{
	size_t n = strlen(path);
	char c;

	return (n >= 3 && !strcmp(path + n - 3, "kvm")) ||
	       (follow && raw_syscall(SYS_readlinkat, dirfd, path, &c, 1) >= 0);
}

/* A path that leads to nothing: whether what is missing is /dev/kvm. */
static __attribute__((noinline)) bool missing_is_kvm(int dirfd, const char *given, bool follow)
{
	char path[PATH_MAX], target[PATH_MAX];
	size_t length = strlen(given);

	if (!length || length >= sizeof(path))
		return false;
	memcpy(path, given, length + 1);
	for (int links = 0; links < MAX_LINKS; links++) {
		char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
		long n = -1;

		if (follow)
			n = raw_syscall(SYS_readlinkat, dirfd, path, target, sizeof(target) - 1);
		if (n < 0)
			return !strcmp(last, "kvm") && folder_is_dev(dirfd, path, last);
		target[n] = 0;
		if (target[0] == '/')
			last = path;
		if ((size_t)(last - path) + n >= sizeof(path))
			return false;
		memcpy(last, target, n + 1);
	}
	return false;
}

bool path_is_kvm(int dirfd, const char *path, bool follow)
{
	struct stat st;
	long r = look(dirfd, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW);
	int fd;

	/* Not to be read: the system will say so. */
	if (r == -EFAULT || !path)
		return false;
	if (!strcmp(path, "/dev/kvm"))
		return true;
	if (!r && is_kvm_device(&st))
		return true;
	if (r)
		return r == -ENOENT && may_be_kvm(dirfd, path, follow) &&
		       missing_is_kvm(dirfd, path, follow);
	fd = follow ? fd_of_path(path) : -1;
	return fd >= 0 && anykvm_fd_kind(fd) == ANYKVM_FD_SYSTEM;
}

bool path_or_fd_is_ours(int dirfd, const char *path, int flags)
{
	struct stat st;

	/* The look finds out whether the path can be read. */
	if ((flags & AT_EMPTY_PATH) && is_ours(dirfd) &&
	    (!path || (look(dirfd, path, &st, AT_EMPTY_PATH) == 0 && !*path)))
		return true;
	return path_is_kvm(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW));
}

int kvm_open(int flags)
{
	return observe_open(flags);
}

FILE *kvm_fopen(const char *mode)
{
	int fd = kvm_open(O_RDWR | (strchr(mode, 'e') ? O_CLOEXEC : 0));
	FILE *f;

	if (fd < 0)
		return NULL;
	f = fdopen(fd, mode);
	if (!f)
		anykvm_close(fd);
	return f;
}

char *kvm_realpath(char *resolved)
{
	return resolved ? strcpy(resolved, "/dev/kvm") : strdup("/dev/kvm");
}

int kvm_access(int mode)
{
	if (mode & ~(R_OK | W_OK | X_OK))
		return refuse(EINVAL);
	return mode & X_OK ? refuse(EACCES) : 0;
}

int kvm_stat(struct stat *st)
{
	/* Of a folder that is there for certain: owner and times; and a bad pointer is the system's to refuse. */
	long r = look(AT_FDCWD, "/", st, 0);

	if (r < 0)
		return refuse(-r);
	st->st_mode = S_IFCHR | 0666;
	st->st_nlink = 1;
	st->st_rdev = makedev(KVM_MAJOR, KVM_MINOR);
	st->st_ino = KVM_MINOR;
	st->st_size = 0;
	st->st_blocks = 0;
	return 0;
}
