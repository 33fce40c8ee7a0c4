/* SPDX-License-Identifier: MIT */
/*
 * The preloaded library: <anykvm.h> under the names of libc. Files:
 *
 *	calls.h		the table of functions
 *	calls.c		the wrappers, made of it
 *	path.c		which paths lead to /dev/kvm, and what is there for those who look first
 *	fd.c		what KVM's descriptors answer to read, write, lseek, fstat...
 *	memory.c	changes of memory that <anykvm.h> has no call for
 *	signals.c	a program's SIGSEGV and SIGBUS beside the library's
 *	syscall.c	system calls by number
 *	observe.c	--trace, --fail, --strict and --stats of anykvm exec, in trace*.c, fail.c, strict.c, stats.c
 *
 * Nothing here calls libc under a name that stands in the table: that would come back here. libc's own functions are reached
 * through the pointers of calls.c, the system through base/raw.h.
 *
 * Calls come from everywhere: constructors of other libraries, allocators, signal handlers, the child of vfork. So there is no
 * state here but the pointers to libc's functions and what the observers keep, and nothing is allocated.
 */
#ifndef ANYKVM_PRELOAD_PRELOAD_H
#define ANYKVM_PRELOAD_PRELOAD_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

/* Of a raw system call: the value, or -1 with errno. */
static inline long raw_result(long r)
{
	return r < 0 && r >= -4095 ? refuse(-r) : r;
}

/* --- calls.c --- */

/* libc's function of this name: looked up if *known is NULL. NULL if libc has none. */
void *next_function(void **known, const char *name);

/*
 * In a function of its own, LIBC(ret, name, params)(args): libc's function of a name whose row in the table is WITH.
 */
#define LIBC(ret, name, params) ((ret(*) params)next_function(&next_##name, #name))
extern void *next_truncate, *next_remap_file_pages, *next_brk, *next_sbrk, *next_shmdt,
	*next_sigaction, *next_sigprocmask, *next_pthread_sigmask, *next_syscall;

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
char *kvm_realpath(char *resolved);
int kvm_access(int mode);
int kvm_stat(struct stat *st);
int kvm_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int kvm_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *st);

/* --- fd.c: fd is ours --- */

int kvm_close(int fd);
int kvm_fcntl(int fd, int cmd, long arg);
__attribute__((noreturn)) void kvm_exit(int status);
int kvm_close_range(unsigned first, unsigned last, int flags);
void kvm_closefrom(int first);
/* False with EBUSY: `to` is a descriptor that the library keeps for itself. */
bool kvm_dup_allowed(int to);
ssize_t kvm_readv(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t kvm_preadv(int fd, const struct iovec *iov, int n, off_t offset);
ssize_t kvm_write(int fd);
ssize_t kvm_pwrite(int fd, off_t offset);
off_t kvm_lseek(int fd, int whence);
int kvm_fstat(int fd, struct stat *st);
int kvm_posix_fallocate(int fd, off_t offset, off_t length);

/* --- memory.c --- */

int kvm_madvise(void *addr, size_t length, int advice);

/* A file was truncated by its name: it may lie under a slot. */
void memory_truncated(void);
int kvm_truncate(const char *path, off_t length);
int kvm_remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags);
int kvm_brk(void *addr);
void *kvm_sbrk(intptr_t increment);
/* As the system call: the break after it, also on failure. */
long kvm_raw_brk(long addr);
int kvm_shmdt(const void *addr);

static inline void fault_in(const void *buf, size_t n, bool incoming)
{
	struct iovec piece = {.iov_base = (void *)(uintptr_t)buf, .iov_len = n};

	anykvm_fault_in(&piece, 1, incoming);
}

/* --- signals.c --- */

static inline bool is_fault_signal(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS;
}
int kvm_sigaction(int signo, const struct sigaction *act, struct sigaction *old);
sighandler_t kvm_signal(int signo, sighandler_t handler, int flags);
int kvm_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int kvm_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
/* rt_sigprocmask by its system call. */
long kvm_raw_sigprocmask(int how, const void *set, void *old, size_t size);

/* --- syscall.c --- */

long kvm_syscall(long nr, long a, long b, long c, long d, long e, long f);

#endif
