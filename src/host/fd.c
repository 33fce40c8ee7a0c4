/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/context.h"
#include "host/fd.h"
#include "base/raw.h"
#include "host/process_host.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define FD_KEPT_MAX (1u << 16)

/* Marks fd as the library's own. Without memory for the map it stays unmarked, and a close_range of the VMM would close it. */
static void fd_keep(int fd)
{
	struct aptr *slot = &host_process()->fd_kept;
	struct a64 *map = aptr_load_acquire(slot);

	if (fd < 0 || fd >= (int)FD_KEPT_MAX)
		return;
	if (!map) {
		map = host_mmap(NULL, FD_KEPT_MAX / 8, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (host_map_failed(map))
			return;
		if (!aptr_cmpxchg(slot, NULL, map)) {
			host_munmap(map, FD_KEPT_MAX / 8);
			map = aptr_load_acquire(slot);
		}
	}
	a64_fetch_or(&map[fd / 64], BIT(fd % 64));
}

bool host_fd_is_kept(int fd)
{
	struct a64 *map = aptr_load_acquire(&host_process()->fd_kept);

	return map && fd >= 0 && fd < (int)FD_KEPT_MAX &&
	       (a64_load_relaxed(&map[fd / 64]) & BIT(fd % 64));
}

int host_close_range(u32 first, u32 last, u32 flags)
{
	u32 end = MIN(last, FD_KEPT_MAX - 1);

	for (u32 fd = first; fd <= end; fd++) {
		if (!host_fd_is_kept(fd))
			continue;
		if (fd > first) {
			int r = raw_syscall(SYS_close_range, first, fd - 1, flags);

			if (r)
				return r;
		}
		first = fd + 1;
	}
	return first > last ? 0 : raw_syscall(SYS_close_range, first, last, flags);
}

int host_close(int fd)
{
	CONTEXT_MAY_BLOCK("close");
	/* Unmarked before the number is free for others. */
	if (host_fd_is_kept(fd))
		a64_fetch_and(&((struct a64 *)aptr_load_acquire(&host_process()->fd_kept))[fd / 64],
			      ~BIT(fd % 64));
	return raw_syscall(SYS_close, fd);
}

int host_ftruncate(int fd, u64 size)
{
	CONTEXT_MAY_BLOCK("ftruncate");
	return raw_syscall(SYS_ftruncate, fd, size);
}

int host_memfd_create(const char *name, u64 size)
{
	int fd = raw_syscall(SYS_memfd_create, name, MFD_CLOEXEC);
	int ret;

	if (fd < 0 || !size)
		return fd;
	ret = host_ftruncate(fd, size);
	if (ret < 0) {
		host_close(fd);
		return ret;
	}
	return fd;
}

int host_memfd_create_unfixed(const char *name)
{
	return raw_syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int host_memfd_fix(int fd, u64 size)
{
	u32 seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	long ret = raw_syscall(SYS_ftruncate, fd, size), is;

	if (!ret)
		ret = raw_syscall(SYS_fcntl, fd, F_ADD_SEALS, seals);
	if (ret != -EPERM)
		return ret;
	/* Sealed already: by an earlier call? */
	is = raw_syscall(SYS_fcntl, fd, F_GET_SEALS);
	return is >= 0 && (is & seals) == seals ? 0 : -EPERM;
}

int host_placeholder_create(const char *name, u64 size, bool cloexec)
{
	int fd = raw_syscall(SYS_memfd_create, name,
			     MFD_ALLOW_SEALING | (cloexec ? MFD_CLOEXEC : 0));

	if (fd >= 0 && size)
		host_ftruncate(fd, size);
	if (fd >= 0)
		raw_syscall(SYS_fcntl, fd, F_ADD_SEALS,
			    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return fd;
}

int host_eventfd_create(u32 initial, bool semaphore)
{
	return raw_syscall(SYS_eventfd2, initial,
			   EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0));
}

int host_fd_dup(int fd, int from)
{
	return raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
}

u64 host_fd_limit(void)
{
	u64 lim[2] = {1024, 0};

	raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, lim);
	return lim[0];
}

static int fd_dup_above(int fd)
{
	u64 limit = MIN(host_fd_limit(), 1u << 16);

	return host_fd_dup(fd, limit - limit / 4);
}

int host_fd_dup_high(int fd)
{
	int copy = fd_dup_above(fd);

	if (copy < 0 && copy != -EBADF)
		copy = host_fd_dup(fd, 0);
	if (copy >= 0)
		fd_keep(copy);
	return copy;
}

int host_fd_move_high(int fd)
{
	int high;

	if (fd < 0)
		return fd;
	high = fd_dup_above(fd);
	if (high < 0) {
		fd_keep(fd);
		return fd;
	}
	host_close(fd);
	fd_keep(high);
	return high;
}

int host_fd_identity(int fd, u64 *dev, u64 *inode)
{
	struct stat st;
	int ret;

	CONTEXT_MAY_BLOCK("fstat");
	/* The native struct stat of both hosts is what these calls fill. */
	ret = raw_syscall(SYS_fstat, fd, &st);
	if (ret < 0)
		return ret;
	*dev = (u64)major(st.st_dev) << 20 | minor(st.st_dev);
	*inode = st.st_ino;
	return 0;
}

/* Anonymous inodes share a device and inode; the link in /proc tells their kind. */
static bool fd_link_is(int fd, const char *expect)
{
	char path[40], target[64];
	long n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = raw_syscall(SYS_readlinkat, AT_FDCWD, path, target, sizeof(target));
	return n == (long)strlen(expect) && !memcmp(target, expect, n);
}

bool host_fd_is_eventfd(int fd)
{
	return fd_link_is(fd, "anon_inode:[eventfd]");
}

bool host_fd_is_userfaultfd(int fd)
{
	return fd_link_is(fd, "anon_inode:[userfaultfd]");
}

bool host_fd_is_userfaultfd_device(int fd)
{
	return fd_link_is(fd, "/dev/userfaultfd");
}

s64 host_read(int fd, void *buf, size_t n)
{
	CONTEXT_MAY_BLOCK("read");
	return raw_syscall(SYS_read, fd, buf, n);
}

s64 host_write(int fd, const void *buf, size_t n)
{
	CONTEXT_MAY_BLOCK("write");
	return raw_syscall(SYS_write, fd, buf, n);
}

void host_eventfd_signal(int fd, u64 value)
{
	long ret;

	do
		ret = raw_syscall(SYS_write, fd, &value, sizeof(value));
	while (ret == -EINTR);
}

int host_poll(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	u64 ts[2] = {timeout_ms / 1000, timeout_ms % 1000 * 1000000ull};
	long ret;

	CONTEXT_MAY_SLEEP("poll");
	ret = raw_syscall(SYS_ppoll, &p, 1, timeout_ms < 0 ? NULL : ts, NULL, 0);
	return ret > 0 ? p.revents : ret;
}

void *host_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 offset)
{
	CONTEXT_MAY_BLOCK("mmap");
	return (void *)raw_syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

int host_munmap(void *addr, size_t len)
{
	CONTEXT_MAY_BLOCK("munmap");
	return raw_syscall(SYS_munmap, addr, len);
}

int host_mprotect(void *addr, size_t len, int prot)
{
	CONTEXT_MAY_BLOCK("mprotect");
	return raw_syscall(SYS_mprotect, addr, len, prot);
}

int host_madvise(void *addr, size_t len, int advice)
{
	CONTEXT_MAY_BLOCK("madvise");
	return raw_syscall(SYS_madvise, addr, len, advice);
}

int host_fallocate(int fd, int mode, u64 offset, u64 len)
{
	CONTEXT_MAY_BLOCK("fallocate");
	return raw_syscall(SYS_fallocate, fd, mode, offset, len);
}
