/* SPDX-License-Identifier: MIT */
/*
 * The preloaded library: <anykvm.h> under the names of libc. Files:
 *
 *	calls.h		the table of functions
 *	calls.c		the wrappers, made of it
 *	path.c		which paths lead to /dev/kvm, and what is there for those who look first
 *	fd.c		what KVM's descriptors answer to read, write, lseek, fstat...
 *	memory.c	changes of memory that <anykvm.h> has no call for
 *
 * Nothing here calls libc under a name that stands in the table: that would come back here. libc's own functions are reached
 * through the pointers of calls.c, the system through base/raw.h.
 *
 * Calls come from everywhere: constructors of other libraries, allocators, signal handlers, the child of vfork. So there is no
 * state here but the pointers to libc's functions, and nothing is allocated.
 */
#ifndef ANYKVM_PRELOAD_PRELOAD_H
#define ANYKVM_PRELOAD_PRELOAD_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <anykvm.h>

/* Of the device node; a host may not have one. */
#define KVM_MAJOR 10
#define KVM_MINOR 232

#define PRELOAD_API __attribute__((visibility("default")))

static inline bool is_ours(int fd)
{
	return anykvm_fd_kind(fd) != ANYKVM_FD_FOREIGN;
}

/* -1 with errno. */
static inline long refuse(int error)
{
	errno = error;
	return -1;
}

/* --- path.c --- */

/*
 * Whether the path names /dev/kvm: this name or any other that leads there, and any device node of KVM's number. Whether the
 * host has one does not matter. errno is left alone.
 */
bool path_is_kvm(int dirfd, const char *path, bool follow);
/* The same for calls that take AT_EMPTY_PATH: the descriptor itself may be ours. */
bool path_or_fd_is_ours(int dirfd, const char *path, int flags);
int kvm_open(int flags);
FILE *kvm_fopen(const char *mode);
int kvm_access(int mode);
int kvm_stat(struct stat *st);
int kvm_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int kvm_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *st);

/* --- fd.c: fd is ours --- */

int kvm_close(int fd);
void kvm_closefrom(int first);
/* False with EBUSY: `to` is a descriptor that the library keeps for itself. */
bool kvm_dup_allowed(int to);
ssize_t kvm_readv(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t kvm_preadv(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t kvm_write(int fd);
ssize_t kvm_pwrite(int fd, off_t offset);
off_t kvm_lseek(int fd);
int kvm_fstat(int fd, struct stat *st);
int kvm_posix_fallocate(int fd, off_t offset, off_t length);

/* --- memory.c --- */

int kvm_madvise(void *addr, size_t length, int advice);

#endif
