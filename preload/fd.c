/* SPDX-License-Identifier: MIT */
/*
 * What KVM's descriptors answer to calls that say little to them. To the system ours are memory files, so where these would
 * answer otherwise the answer is given here: KVM's files have no write, its devices and guest_memfd no position, and all but
 * /dev/kvm itself and guest_memfd are anonymous inodes, which have no file type.
 */
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>

#include "base/raw.h"
#include "observe.h"

int kvm_close(int fd)
{
	if (observe_keeps(fd) || anykvm_fd_kind(fd) == ANYKVM_FD_INTERNAL)
		return refuse(EBADF);
	return observe_close(fd);
}

int kvm_fcntl(int fd, int cmd, long arg)
{
	int r = anykvm_fcntl(fd, cmd, arg);

	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? observe_copy(fd, r) : r;
}

void kvm_exit(int status)
{
	observe_finish();
	raw_syscall(SYS_exit_group, status);
	__builtin_unreachable();
}

/* Around the descriptor that observation keeps: else its lines would go to what is opened next. */
int kvm_close_range(unsigned first, unsigned last, int flags)
{
	unsigned kept = observe.fd;

	if (!observe_keeps(kept) || kept < first || kept > last || (flags & CLOSE_RANGE_CLOEXEC))
		return anykvm_close_range(first, last, flags);
	if (kept > first && anykvm_close_range(first, kept - 1, flags))
		return -1;
	return kept < last ? anykvm_close_range(kept + 1, last, flags) : 0;
}

void kvm_closefrom(int first)
{
	kvm_close_range(first < 0 ? 0 : first, ~0u, 0);
}

bool kvm_dup_allowed(int to)
{
	return (anykvm_fd_kind(to) != ANYKVM_FD_INTERNAL && !observe_keeps(to)) ||
	       refuse(EBUSY) == 0;
}

ssize_t kvm_readv(int fd, const struct iovec *iov, int n, off_t offset)
{
	ssize_t total = 0, r;

	if (n < 0 || n > IOV_MAX)
		return refuse(EINVAL);
	for (int i = 0; i < n; i++) {
		r = offset == -1
			    ? anykvm_read(fd, iov[i].iov_base, iov[i].iov_len)
			    : anykvm_pread(fd, iov[i].iov_base, iov[i].iov_len, offset + total);
		if (r < 0)
			return total ? total : r;
		total += r;
		if ((size_t)r < iov[i].iov_len)
			break;
	}
	return total;
}

ssize_t kvm_preadv(int fd, const struct iovec *iov, int n, off_t offset)
{
	return offset < 0 ? refuse(EINVAL) : kvm_readv(fd, iov, n, offset);
}

ssize_t kvm_write(int fd)
{
	return anykvm_fd_kind(fd) == ANYKVM_FD_INTERNAL ? refuse(EBADF) : anykvm_write(fd, NULL, 0);
}

ssize_t kvm_pwrite(int fd, off_t offset)
{
	return anykvm_fd_kind(fd) == ANYKVM_FD_INTERNAL ? refuse(EBADF)
							: anykvm_pwrite(fd, NULL, 0, offset);
}

off_t kvm_lseek(int fd, int whence)
{
	int kind = anykvm_fd_kind(fd);

	/* The system's to refuse, before it asks the file. */
	if (whence < SEEK_SET || whence > SEEK_HOLE)
		return refuse(EINVAL);
	return kind == ANYKVM_FD_DEVICE || kind == ANYKVM_FD_GMEM ? refuse(ESPIPE) : 0;
}

int kvm_fstat(int fd, struct stat *st)
{
	long r = raw_syscall(SYS_fstat, fd, st);

	if (r < 0)
		return refuse(-r);
	switch (anykvm_fd_kind(fd)) {
	case ANYKVM_FD_SYSTEM:
		return kvm_stat(st);
	case ANYKVM_FD_GMEM:
		st->st_mode = S_IFREG | 0600;
		break;
	case ANYKVM_FD_INTERNAL:
		break;
	default:
		st->st_mode = 0600;
		st->st_size = 0;
		st->st_blocks = 0;
	}
	return 0;
}

int kvm_posix_fallocate(int fd, off_t offset, off_t length)
{
	int saved = errno, r = anykvm_fallocate(fd, 0, offset, length) ? errno : 0;

	errno = saved;
	return r;
}

int kvm_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return path && *path ? kvm_stat(st) : kvm_fstat(dirfd, st);
}

int kvm_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *st)
{
	struct stat plain;
	/* Of the folder or the memory file: all fields are there, and a bad pointer is the system's to refuse. */
	long r = path && *path
			 ? raw_syscall(SYS_statx, AT_FDCWD, "/", flags & ~AT_EMPTY_PATH, mask, st)
			 : raw_syscall(SYS_statx, dirfd, "", flags | AT_EMPTY_PATH, mask, st);

	if (r < 0)
		return raw_result(r);
	r = kvm_fstatat(dirfd, path, &plain, flags);
	if (r < 0)
		return r;
	st->stx_mode = plain.st_mode;
	st->stx_size = plain.st_size;
	st->stx_blocks = plain.st_blocks;
	st->stx_nlink = plain.st_nlink;
	st->stx_ino = plain.st_ino;
	st->stx_rdev_major = plain.st_rdev ? KVM_MAJOR : 0;
	st->stx_rdev_minor = plain.st_rdev ? KVM_MINOR : 0;
	return 0;
}
