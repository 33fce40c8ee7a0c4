/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and mappings by raw system calls: nothing here passes through an interposed libc function (LO-11). All return
 * 0, a descriptor or an address, or -errno. Every descriptor made here is close-on-exec.
 */
#ifndef ANYKVM_HOST_FD_H
#define ANYKVM_HOST_FD_H

#include <sys/types.h>

#include "base/types.h"

/* Lowest free number. size 0 is allowed. */
int host_memfd_create(const char *name, u64 size);
/* The same, empty, for host_memfd_fix. */
int host_memfd_create_unfixed(const char *name);
/*
 * Gives it its size, for ever: nobody can change it, so a mapping of it never raises SIGBUS. May be done again, by anybody at any
 * time, with the same size.
 */
int host_memfd_fix(int fd, u64 size);
/*
 * An inert descriptor with its own inode: poll() finds it ready, epoll refuses it (EPERM) and it cannot be written or grown,
 * as with a KVM descriptor. size is what fstat tells; nothing is behind it. Lowest free number.
 */
int host_placeholder_create(const char *name, u64 size, bool cloexec);
/* Non-blocking. */
int host_eventfd_create(u32 initial, bool semaphore);
int host_close(int fd);
/* Moves fd to a high number (out of the way of the VMM's own); keeps fd as it is if there is no room. Returns the number. */
int host_fd_move_high(int fd);
/* close_range(2), leaving open what host_fd_move_high moved. */
int host_close_range(u32 first, u32 last, u32 flags);
/* Whether the library keeps fd for itself. */
bool host_fd_is_kept(int fd);
/* Copy with close-on-exec at a high number, without passing through a low one that the VMM might be about to get. -EBADF... */
int host_fd_dup_high(int fd);
/* Copy with close-on-exec at the lowest number >= from. */
int host_fd_dup(int fd, int from);
/* Which file fd names, to notice that a number was closed and reused behind our back. */
int host_fd_identity(int fd, u64 *dev, u64 *inode);
/* Whether fd is an eventfd. */
bool host_fd_is_eventfd(int fd);
bool host_fd_is_userfaultfd(int fd);
/* Whether fd is /dev/userfaultfd. */
bool host_fd_is_userfaultfd_device(int fd);
s64 host_read(int fd, void *buf, size_t n);
s64 host_write(int fd, const void *buf, size_t n);
/* Adds value to an eventfd of ours, which does not block (a full counter is left full). Async-signal-safe. */
void host_eventfd_signal(int fd, u64 value);
/* poll for events (POLLIN...) with timeout in ms, -1 = forever: revents, 0 on timeout, or -errno. */
int host_poll(int fd, short events, int timeout_ms);

/* The address, or -errno as (void *)(intptr_t)-errno: test with host_map_failed. */
void *host_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 offset);
static inline bool host_map_failed(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)-4095;
}
static inline int host_map_error(const void *p)
{
	return (int)(intptr_t)p;
}
int host_munmap(void *addr, size_t len);
int host_mprotect(void *addr, size_t len, int prot);
int host_madvise(void *addr, size_t len, int advice);
int host_fallocate(int fd, int mode, u64 offset, u64 len);
int host_ftruncate(int fd, u64 size);
/* Soft limit of descriptors. */
u64 host_fd_limit(void);

#endif
