/* SPDX-License-Identifier: MIT */
/*
 * The system's own calls, for what the API layer passes on: raw, so that an interposed libc does not lead back here. Results
 * are values or -errno.
 */
#ifndef ANYKVM_HOST_PASSTHROUGH_H
#define ANYKVM_HOST_PASSTHROUGH_H

#include <errno.h>
#include <fcntl.h>

#if defined(ANYKVM_EXPLORED)
#include "base/types.h"

/* Of the simulated host. */
int host_openat(int dirfd, const char *path, int flags, unsigned mode);
int host_sys_dup(int fd);
int host_sys_dup3(int oldfd, int newfd, int flags);
int host_sys_fcntl(int fd, int cmd, unsigned long arg);
int host_sys_ioctl(int fd, unsigned long request, unsigned long arg);
int host_sys_close_range(unsigned first, unsigned last, unsigned flags);
s64 host_sys_pread(int fd, void *buf, size_t n, u64 offset);
s64 host_sys_pwrite(int fd, const void *buf, size_t n, u64 offset);
void *host_sys_mremap(void *old, size_t old_size, size_t new_size, int flags, void *new_address);
bool host_readable8(const void *p);
static inline int host_sys_userfaultfd(int flags)
{
	(void)flags;
	return -ENOSYS;
}
struct iovec;
static inline s64 host_sys_process_madvise(int pidfd, const struct iovec *iov, size_t n, int advice,
					   unsigned flags)
{
	(void)pidfd, (void)iov, (void)n, (void)advice, (void)flags;
	return -ENOSYS;
}
static inline int host_sys_pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	(void)addr, (void)len, (void)prot, (void)pkey;
	return -ENOSYS;
}
static inline void *host_sys_shmat(int id, const void *addr, int flags)
{
	(void)id, (void)addr, (void)flags;
	return (void *)(intptr_t)-ENOSYS;
}
static inline int host_sys_shm_size(int id, u64 *size)
{
	(void)id, (void)size;
	return -ENOSYS;
}
#else
#include <sys/shm.h>
#include <sys/uio.h>

#include "base/raw.h"

static inline int host_openat(int dirfd, const char *path, int flags, unsigned mode)
{
	return raw_syscall(SYS_openat, dirfd, path, flags, mode);
}
static inline int host_sys_dup(int fd)
{
	return raw_syscall(SYS_dup, fd);
}
static inline int host_sys_dup3(int oldfd, int newfd, int flags)
{
	return raw_syscall(SYS_dup3, oldfd, newfd, flags);
}
static inline int host_sys_fcntl(int fd, int cmd, unsigned long arg)
{
	return raw_syscall(SYS_fcntl, fd, cmd, arg);
}
static inline int host_sys_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return raw_syscall(SYS_ioctl, fd, request, arg);
}
static inline int host_sys_close_range(unsigned first, unsigned last, unsigned flags)
{
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
	return raw_syscall(SYS_close_range, first, last, flags);
}
static inline s64 host_sys_pread(int fd, void *buf, size_t n, u64 offset)
{
	return raw_syscall(SYS_pread64, fd, buf, n, offset);
}
static inline s64 host_sys_pwrite(int fd, const void *buf, size_t n, u64 offset)
{
	return raw_syscall(SYS_pwrite64, fd, buf, n, offset);
}
static inline void *host_sys_mremap(void *old, size_t old_size, size_t new_size, int flags,
				    void *new_address)
{
	return (void *)raw_syscall(SYS_mremap, old, old_size, new_size, flags, new_address);
}

static inline int host_sys_userfaultfd(int flags)
{
	return raw_syscall(SYS_userfaultfd, flags);
}

static inline s64 host_sys_process_madvise(int pidfd, const struct iovec *iov, size_t n, int advice,
					   unsigned flags)
{
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
	return raw_syscall(SYS_process_madvise, pidfd, iov, n, advice, flags);
}
static inline int host_sys_pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	return raw_syscall(SYS_pkey_mprotect, addr, len, prot, pkey);
}
static inline void *host_sys_shmat(int id, const void *addr, int flags)
{
	return (void *)raw_syscall(SYS_shmat, id, addr, flags);
}
/* Of a segment of System V. 0 or -errno. */
static inline int host_sys_shm_size(int id, u64 *size)
{
	struct shmid_ds ds;
	int r = raw_syscall(SYS_shmctl, id, IPC_STAT, &ds);

	*size = r < 0 ? 0 : ds.shm_segsz;
	return r < 0 ? r : 0;
}

/* Whether eight bytes can be read at p, asked without handlers: a call that reads a mask there before it finds `how` invalid. */
static inline bool host_readable8(const void *p)
{
	return p && raw_syscall(SYS_rt_sigprocmask, -1, p, NULL, 8) != -EFAULT;
}
#endif

#endif
