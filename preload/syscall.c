/* SPDX-License-Identifier: MIT */
/*
 * syscall(): a table from numbers to the functions of the main table. What is not in it goes to libc's function, as a jump where the
 * compiler sees to it: the stack frame of a child made by vfork or clone is its caller's.
 *
 * rt_sigaction of SIGSEGV and SIGBUS is not in it: a handler that is set so stands in front of the library's until the next
 * machine is made or the next thread runs a vCPU.
 */
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "base/raw.h"
#include "preload.h"

/* The functions of the table by the names that calls.c gives them. */
#define ALWAYS(ret, name, params, ours)				    extern ret preload_##name params __asm__(#name);
#define WITH							    ALWAYS
#define WHERE(ret, name, params, args, condition, ours)		    ALWAYS(ret, name, params, ours)
#define BY_FD(ret, name, params, args, fd, ours)		    ALWAYS(ret, name, params, ours)
#define TRANSFER(name, params, args, fd, ours, before)		    ALWAYS(ssize_t, name, params, ours)
#define BY_PATH(ret, name, params, args, dirfd, path, follow, ours) ALWAYS(ret, name, params, ours)
#define OPENS(ret, name, params, args, dirfd, path, follow, ours, truncates) \
	ALWAYS(ret, name, params, ours)
#include "calls.h"
#undef ALWAYS

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

#define P(x) ((void *)(x))

static long openat2_call(long dirfd, const char *path, const struct open_how *how, size_t size)
{
	long r;

	/* A structure that cannot be read is the system's to refuse, and its look opens nothing: no path there. */
	if (raw_syscall(SYS_openat2, dirfd, "", how, size) != -ENOENT ||
	    !path_is_kvm(dirfd, path, true))
		return raw_result(raw_syscall(SYS_openat2, dirfd, path, how, size));
	r = how->flags;
	return kvm_open(r);
}

/* clang-format off */
#if defined(SYS_open)
/* Calls of x86-64 that arm64 never had. */
#define OLD_ROUTES(X) \
	X(open, preload_open(P(a), b, c)) \
	X(creat, preload_creat(P(a), b)) \
	X(stat, preload_stat(P(a), P(b))) \
	X(lstat, preload_lstat(P(a), P(b))) \
	X(access, preload_access(P(a), b)) \
	X(dup2, preload_dup2(a, b))
#else
#define OLD_ROUTES(X)
#endif

#define ROUTES(X) OLD_ROUTES(X) \
	X(openat, preload_openat(a, P(b), c, d)) \
	X(openat2, openat2_call(a, P(b), P(c), d)) \
	X(newfstatat, preload_fstatat(a, P(b), P(c), d)) \
	X(statx, preload_statx(a, P(b), c, d, P(e))) \
	X(faccessat, preload_faccessat(a, P(b), c, 0)) \
	X(faccessat2, preload_faccessat(a, P(b), c, d)) \
	X(close, preload_close(a)) \
	X(close_range, preload_close_range(a, b, c)) \
	X(dup, preload_dup(a)) \
	X(dup3, preload_dup3(a, b, c)) \
	X(fcntl, preload_fcntl(a, b, c)) \
	X(ioctl, preload_ioctl(a, b, c)) \
	X(read, preload_read(a, P(b), c)) \
	X(pread64, preload_pread(a, P(b), c, d)) \
	X(readv, preload_readv(a, P(b), c)) \
	X(preadv, preload_preadv(a, P(b), c, d)) \
	X(preadv2, preload_preadv2(a, P(b), c, d, f)) \
	X(write, preload_write(a, P(b), c)) \
	X(pwrite64, preload_pwrite(a, P(b), c, d)) \
	X(writev, preload_writev(a, P(b), c)) \
	X(pwritev, preload_pwritev(a, P(b), c, d)) \
	X(pwritev2, preload_pwritev2(a, P(b), c, d, f)) \
	X(lseek, preload_lseek(a, b, c)) \
	X(fsync, preload_fsync(a)) \
	X(fdatasync, preload_fdatasync(a)) \
	X(fstat, preload_fstat(a, P(b))) \
	X(mmap, preload_mmap(P(a), b, c, d, e, f)) \
	X(munmap, preload_munmap(P(a), b)) \
	X(mremap, preload_mremap(P(a), b, c, d, P(e))) \
	X(mprotect, preload_mprotect(P(a), b, c)) \
	X(pkey_mprotect, anykvm_pkey_mprotect(P(a), b, c, d)) \
	X(madvise, kvm_madvise(P(a), b, c)) \
	X(process_madvise, preload_process_madvise(a, P(b), c, d, e)) \
	X(remap_file_pages, preload_remap_file_pages(P(a), b, c, d, e)) \
	X(brk, kvm_raw_brk(a)) \
	X(shmat, preload_shmat(a, P(b), c)) \
	X(shmdt, preload_shmdt(P(a))) \
	X(fallocate, preload_fallocate(a, b, c, d)) \
	X(ftruncate, preload_ftruncate(a, b)) \
	X(truncate, preload_truncate(P(a), b)) \
	X(userfaultfd, anykvm_userfaultfd(a)) \
	X(rt_sigprocmask, kvm_raw_sigprocmask(a, P(b), P(c), d))
/* clang-format on */

long kvm_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	switch (nr) {
#define ROUTE(name, call) \
	case SYS_##name:  \
		return (long)(call);
		ROUTES(ROUTE)
	}
	return LIBC(long, syscall, (long, long, long, long, long, long, long))(nr, a, b, c, d, e,
									       f);
}
