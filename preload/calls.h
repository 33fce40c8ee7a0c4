/* SPDX-License-Identifier: MIT */
/*
 * The table of the preloaded library: every libc function through which a KVM descriptor or guest memory is reached. No include
 * guard: it is included once for each thing that is made of it, after the macros below were defined.
 *
 *	ALWAYS(ret, name, params, ours)				ours, which itself goes to the system with what is not KVM's
 *	BY_FD(ret, name, params, args, fd, ours)		ours if fd is a descriptor of the library, else libc's
 *	TRANSFER(name, params, args, fd, ours, before)		ssize_t, by descriptor; before libc's, what a pager has to bring
 *	BY_PATH(ret, name, params, args, dirfd, path, follow, ours)	ours if the path leads to /dev/kvm, else libc's
 *	OPENS(ret, name, params, args, dirfd, path, follow, ours, truncates)	the same; what libc's may truncate is announced
 *	WHERE(ret, name, params, args, condition, ours)		ours where the condition holds, else libc's
 *
 *	WITH(ret, name, params, ours)				always ours, which calls libc's by its pointer next_NAME
 *
 * libc's own function is taken wherever the call is not KVM's: it is a cancellation point, and a sanitizer's or another
 * preloaded library's function may stand behind it.
 *
 * Not here, because what the library's descriptors are to the system already answers as KVM's do: poll, select, epoll_ctl (always
 * ready; EPERM), flock, sigaltstack. Not here, because they change nothing that a guest could see: mlock, mbind,
 * posix_madvise, sigsuspend; pthread_kill and tgkill, whose signals KVM_RUN looks for by itself.
 */
/* clang-format off */

/* --- by path: /dev/kvm ------------------------------------------------------------------------------------------------ */
#define OPEN_PARAMS (const char *path, int flags, unsigned mode)
#define OPENAT_PARAMS (int dirfd, const char *path, int flags, unsigned mode)
#define FOLLOWS(flags) (!((flags) & O_NOFOLLOW))
OPENS(int, open, OPEN_PARAMS, (path, flags, mode), AT_FDCWD, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, open64, OPEN_PARAMS, (path, flags, mode), AT_FDCWD, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, __open, OPEN_PARAMS, (path, flags, mode), AT_FDCWD, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, __open64, OPEN_PARAMS, (path, flags, mode), AT_FDCWD, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, __open_2, (const char *path, int flags), (path, flags), AT_FDCWD, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, __open64_2, (const char *path, int flags), (path, flags), AT_FDCWD, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, openat, OPENAT_PARAMS, (dirfd, path, flags, mode), dirfd, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, openat64, OPENAT_PARAMS, (dirfd, path, flags, mode), dirfd, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, __openat_2, (int dirfd, const char *path, int flags), (dirfd, path, flags), dirfd, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, __openat64_2, (int dirfd, const char *path, int flags), (dirfd, path, flags), dirfd, path, FOLLOWS(flags), kvm_open(flags), flags & O_TRUNC)
OPENS(int, creat, (const char *path, unsigned mode), (path, mode), AT_FDCWD, path, true, kvm_open(O_WRONLY | O_CREAT | O_TRUNC), true)
OPENS(int, creat64, (const char *path, unsigned mode), (path, mode), AT_FDCWD, path, true, kvm_open(O_WRONLY | O_CREAT | O_TRUNC), true)
OPENS(FILE *, fopen, (const char *path, const char *mode), (path, mode), AT_FDCWD, path, true, kvm_fopen(mode), *mode == 'w')
OPENS(FILE *, fopen64, (const char *path, const char *mode), (path, mode), AT_FDCWD, path, true, kvm_fopen(mode), *mode == 'w')
BY_PATH(char *, realpath, (const char *path, char *resolved), (path, resolved), AT_FDCWD, path, true, kvm_realpath(resolved))
/* A buffer that is too small is libc's to report. */
WHERE(char *, __realpath_chk, (const char *path, char *resolved, size_t room), (path, resolved, room), room >= PATH_MAX && path_is_kvm(AT_FDCWD, path, true), kvm_realpath(resolved))
BY_PATH(char *, canonicalize_file_name, (const char *path), (path), AT_FDCWD, path, true, kvm_realpath(NULL))
BY_PATH(int, access, (const char *path, int mode), (path, mode), AT_FDCWD, path, true, kvm_access(mode))
BY_PATH(int, eaccess, (const char *path, int mode), (path, mode), AT_FDCWD, path, true, kvm_access(mode))
BY_PATH(int, euidaccess, (const char *path, int mode), (path, mode), AT_FDCWD, path, true, kvm_access(mode))
BY_PATH(int, faccessat, (int dirfd, const char *path, int mode, int flags), (dirfd, path, mode, flags), dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), kvm_access(mode))
BY_PATH(int, stat, (const char *path, struct stat *st), (path, st), AT_FDCWD, path, true, kvm_stat(st))
BY_PATH(int, stat64, (const char *path, struct stat *st), (path, st), AT_FDCWD, path, true, kvm_stat(st))
BY_PATH(int, lstat, (const char *path, struct stat *st), (path, st), AT_FDCWD, path, false, kvm_stat(st))
BY_PATH(int, lstat64, (const char *path, struct stat *st), (path, st), AT_FDCWD, path, false, kvm_stat(st))
BY_PATH(int, __xstat, (int version, const char *path, struct stat *st), (version, path, st), AT_FDCWD, path, true, kvm_stat(st))
BY_PATH(int, __xstat64, (int version, const char *path, struct stat *st), (version, path, st), AT_FDCWD, path, true, kvm_stat(st))
BY_PATH(int, __lxstat, (int version, const char *path, struct stat *st), (version, path, st), AT_FDCWD, path, false, kvm_stat(st))
BY_PATH(int, __lxstat64, (int version, const char *path, struct stat *st), (version, path, st), AT_FDCWD, path, false, kvm_stat(st))

/* By path or, with an empty one, by descriptor. */
#define STATAT_ARGS dirfd, path, st, flags
WHERE(int, fstatat, (int dirfd, const char *path, struct stat *st, int flags), (STATAT_ARGS), path_or_fd_is_ours(dirfd, path, flags), kvm_fstatat(STATAT_ARGS))
WHERE(int, fstatat64, (int dirfd, const char *path, struct stat *st, int flags), (STATAT_ARGS), path_or_fd_is_ours(dirfd, path, flags), kvm_fstatat(STATAT_ARGS))
WHERE(int, __fxstatat, (int version, int dirfd, const char *path, struct stat *st, int flags), (version, STATAT_ARGS), path_or_fd_is_ours(dirfd, path, flags), kvm_fstatat(STATAT_ARGS))
WHERE(int, __fxstatat64, (int version, int dirfd, const char *path, struct stat *st, int flags), (version, STATAT_ARGS), path_or_fd_is_ours(dirfd, path, flags), kvm_fstatat(STATAT_ARGS))
WHERE(int, statx, (int dirfd, const char *path, int flags, unsigned mask, struct statx *st), (dirfd, path, flags, mask, st), path_or_fd_is_ours(dirfd, path, flags), kvm_statx(dirfd, path, flags, mask, st))

/* --- by descriptor ------------------------------------------------------------------------------------------------------ */
WHERE(int, close, (int fd), (fd), is_ours(fd) || observe_keeps(fd), kvm_close(fd))
WHERE(int, __close, (int fd), (fd), is_ours(fd) || observe_keeps(fd), kvm_close(fd))
ALWAYS(int, close_range, (unsigned first, unsigned last, int flags), kvm_close_range(first, last, flags))
ALWAYS(void, closefrom, (int first), kvm_closefrom(first))
ALWAYS(int, dup, (int fd), observe_copy(fd, anykvm_dup(fd)))
ALWAYS(int, dup2, (int fd, int to), kvm_dup_allowed(to) ? observe_copy(fd, anykvm_dup2(fd, to)) : -1)
ALWAYS(int, __dup2, (int fd, int to), kvm_dup_allowed(to) ? observe_copy(fd, anykvm_dup2(fd, to)) : -1)
ALWAYS(int, dup3, (int fd, int to, int flags), kvm_dup_allowed(to) ? observe_copy(fd, anykvm_dup3(fd, to, flags)) : -1)
BY_FD(int, fcntl, (int fd, int cmd, long arg), (fd, cmd, arg), fd, kvm_fcntl(fd, cmd, arg))
BY_FD(int, fcntl64, (int fd, int cmd, long arg), (fd, cmd, arg), fd, kvm_fcntl(fd, cmd, arg))
BY_FD(int, __fcntl, (int fd, int cmd, long arg), (fd, cmd, arg), fd, kvm_fcntl(fd, cmd, arg))
ALWAYS(int, ioctl, (int fd, unsigned long request, unsigned long arg), observe_ioctl(fd, request, arg))

#define READ_PARAMS (int fd, void *buf, size_t n)
#define PREAD_PARAMS (int fd, void *buf, size_t n, off_t offset)
#define VEC_PARAMS (int fd, const struct iovec *iov, int n)
#define PVEC_PARAMS (int fd, const struct iovec *iov, int n, off_t offset)
#define PVEC2_PARAMS (int fd, const struct iovec *iov, int n, off_t offset, int flags)
#define PVEC2_ARGS (fd, iov, n, offset, flags)
TRANSFER(read, READ_PARAMS, (fd, buf, n), fd, anykvm_read(fd, buf, n), fault_in(buf, n, true))
TRANSFER(__read, READ_PARAMS, (fd, buf, n), fd, anykvm_read(fd, buf, n), fault_in(buf, n, true))
TRANSFER(pread, PREAD_PARAMS, (fd, buf, n, offset), fd, anykvm_pread(fd, buf, n, offset), fault_in(buf, n, true))
TRANSFER(pread64, PREAD_PARAMS, (fd, buf, n, offset), fd, anykvm_pread(fd, buf, n, offset), fault_in(buf, n, true))
TRANSFER(__pread64, PREAD_PARAMS, (fd, buf, n, offset), fd, anykvm_pread(fd, buf, n, offset), fault_in(buf, n, true))
/* What overflows is libc's to report, whatever the descriptor. */
WHERE(ssize_t, __read_chk, (int fd, void *buf, size_t n, size_t room), (fd, buf, n, room), n <= room && is_ours(fd), anykvm_read(fd, buf, n))
WHERE(ssize_t, __pread_chk, (int fd, void *buf, size_t n, off_t offset, size_t room), (fd, buf, n, offset, room), n <= room && is_ours(fd), anykvm_pread(fd, buf, n, offset))
WHERE(ssize_t, __pread64_chk, (int fd, void *buf, size_t n, off_t offset, size_t room), (fd, buf, n, offset, room), n <= room && is_ours(fd), anykvm_pread(fd, buf, n, offset))
TRANSFER(readv, VEC_PARAMS, (fd, iov, n), fd, kvm_readv(fd, iov, n, -1), anykvm_fault_in(iov, n, true))
TRANSFER(preadv, PVEC_PARAMS, (fd, iov, n, offset), fd, kvm_preadv(fd, iov, n, offset), anykvm_fault_in(iov, n, true))
TRANSFER(preadv64, PVEC_PARAMS, (fd, iov, n, offset), fd, kvm_preadv(fd, iov, n, offset), anykvm_fault_in(iov, n, true))
TRANSFER(preadv2, PVEC2_PARAMS, PVEC2_ARGS, fd, kvm_readv(fd, iov, n, offset), anykvm_fault_in(iov, n, true))
TRANSFER(preadv64v2, PVEC2_PARAMS, PVEC2_ARGS, fd, kvm_readv(fd, iov, n, offset), anykvm_fault_in(iov, n, true))
TRANSFER(write, READ_PARAMS, (fd, buf, n), fd, kvm_write(fd), fault_in(buf, n, false))
TRANSFER(__write, READ_PARAMS, (fd, buf, n), fd, kvm_write(fd), fault_in(buf, n, false))
TRANSFER(writev, VEC_PARAMS, (fd, iov, n), fd, kvm_write(fd), anykvm_fault_in(iov, n, false))
TRANSFER(pwrite, PREAD_PARAMS, (fd, buf, n, offset), fd, kvm_pwrite(fd, offset), fault_in(buf, n, false))
TRANSFER(pwrite64, PREAD_PARAMS, (fd, buf, n, offset), fd, kvm_pwrite(fd, offset), fault_in(buf, n, false))
TRANSFER(__pwrite64, PREAD_PARAMS, (fd, buf, n, offset), fd, kvm_pwrite(fd, offset), fault_in(buf, n, false))
TRANSFER(pwritev, PVEC_PARAMS, (fd, iov, n, offset), fd, kvm_pwrite(fd, offset), anykvm_fault_in(iov, n, false))
TRANSFER(pwritev64, PVEC_PARAMS, (fd, iov, n, offset), fd, kvm_pwrite(fd, offset), anykvm_fault_in(iov, n, false))
TRANSFER(pwritev2, PVEC2_PARAMS, PVEC2_ARGS, fd, offset == -1 ? kvm_write(fd) : kvm_pwrite(fd, offset), anykvm_fault_in(iov, n, false))
TRANSFER(pwritev64v2, PVEC2_PARAMS, PVEC2_ARGS, fd, offset == -1 ? kvm_write(fd) : kvm_pwrite(fd, offset), anykvm_fault_in(iov, n, false))
BY_FD(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence), fd, kvm_lseek(fd, whence))
BY_FD(off_t, lseek64, (int fd, off_t offset, int whence), (fd, offset, whence), fd, kvm_lseek(fd, whence))
BY_FD(off_t, __lseek, (int fd, off_t offset, int whence), (fd, offset, whence), fd, kvm_lseek(fd, whence))
BY_FD(int, fsync, (int fd), (fd), fd, refuse(EINVAL))
BY_FD(int, fdatasync, (int fd), (fd), fd, refuse(EINVAL))
BY_FD(int, fstat, (int fd, struct stat *st), (fd, st), fd, kvm_fstat(fd, st))
BY_FD(int, fstat64, (int fd, struct stat *st), (fd, st), fd, kvm_fstat(fd, st))
BY_FD(int, __fxstat, (int version, int fd, struct stat *st), (version, fd, st), fd, kvm_fstat(fd, st))
BY_FD(int, __fxstat64, (int version, int fd, struct stat *st), (version, fd, st), fd, kvm_fstat(fd, st))

/* --- memory: whatever may lie under a slot ------------------------------------------------------------------------------ */
#define MMAP_PARAMS (void *addr, size_t length, int prot, int flags, int fd, off_t offset)
ALWAYS(void *, mmap, MMAP_PARAMS, observe_mmap(addr, length, prot, flags, fd, offset))
ALWAYS(void *, mmap64, MMAP_PARAMS, observe_mmap(addr, length, prot, flags, fd, offset))
ALWAYS(int, munmap, (void *addr, size_t length), observe_munmap(addr, length))
ALWAYS(void *, mremap, (void *old, size_t old_size, size_t new_size, int flags, void *to), anykvm_mremap(old, old_size, new_size, flags, to))
ALWAYS(int, mprotect, (void *addr, size_t length, int prot), anykvm_mprotect(addr, length, prot))
ALWAYS(int, madvise, (void *addr, size_t length, int advice), kvm_madvise(addr, length, advice))
ALWAYS(int, fallocate, (int fd, int mode, off_t offset, off_t length), anykvm_fallocate(fd, mode, offset, length))
ALWAYS(int, fallocate64, (int fd, int mode, off_t offset, off_t length), anykvm_fallocate(fd, mode, offset, length))
BY_FD(int, posix_fallocate, (int fd, off_t offset, off_t length), (fd, offset, length), fd, kvm_posix_fallocate(fd, offset, length))
BY_FD(int, posix_fallocate64, (int fd, off_t offset, off_t length), (fd, offset, length), fd, kvm_posix_fallocate(fd, offset, length))
ALWAYS(int, ftruncate, (int fd, off_t length), anykvm_ftruncate(fd, length))
ALWAYS(int, ftruncate64, (int fd, off_t length), anykvm_ftruncate(fd, length))
WITH(int, truncate, (const char *path, off_t length), kvm_truncate(path, length))
WITH(int, truncate64, (const char *path, off_t length), kvm_truncate(path, length))
ALWAYS(ssize_t, process_madvise, (int pidfd, const struct iovec *iov, size_t n, int advice, unsigned flags), anykvm_process_madvise(pidfd, iov, n, advice, flags))
ALWAYS(int, pkey_mprotect, (void *addr, size_t length, int prot, int pkey), pkey == -1 ? anykvm_mprotect(addr, length, prot) : anykvm_pkey_mprotect(addr, length, prot, pkey)) /* as libc's */
WITH(int, remap_file_pages, (void *addr, size_t size, int prot, size_t pgoff, int flags), kvm_remap_file_pages(addr, size, prot, pgoff, flags))
WITH(int, brk, (void *addr), kvm_brk(addr))
WITH(void *, sbrk, (intptr_t increment), kvm_sbrk(increment))
ALWAYS(void *, shmat, (int id, const void *addr, int flags), anykvm_shmat(id, addr, flags))
WITH(int, shmdt, (const void *addr), kvm_shmdt(addr))

/* --- signals: SIGSEGV and SIGBUS are the library's, too ------------------------------------------------------------------ */
#define SIGNAL_PARAMS (int signo, sighandler_t handler)
#define MASK_PARAMS (int how, const sigset_t *set, sigset_t *old)
WITH(int, sigaction, (int signo, const struct sigaction *act, struct sigaction *old), kvm_sigaction(signo, act, old))
WITH(int, __sigaction, (int signo, const struct sigaction *act, struct sigaction *old), kvm_sigaction(signo, act, old))
WHERE(sighandler_t, signal, SIGNAL_PARAMS, (signo, handler), is_fault_signal(signo), kvm_signal(signo, handler, SA_RESTART))
WHERE(sighandler_t, bsd_signal, SIGNAL_PARAMS, (signo, handler), is_fault_signal(signo), kvm_signal(signo, handler, SA_RESTART))
WHERE(sighandler_t, ssignal, SIGNAL_PARAMS, (signo, handler), is_fault_signal(signo), kvm_signal(signo, handler, SA_RESTART))
WHERE(sighandler_t, sysv_signal, SIGNAL_PARAMS, (signo, handler), is_fault_signal(signo), kvm_signal(signo, handler, SA_RESETHAND | SA_NODEFER))
WHERE(sighandler_t, __sysv_signal, SIGNAL_PARAMS, (signo, handler), is_fault_signal(signo), kvm_signal(signo, handler, SA_RESETHAND | SA_NODEFER))
WITH(int, sigprocmask, MASK_PARAMS, kvm_sigprocmask(how, set, old))
WITH(int, pthread_sigmask, MASK_PARAMS, kvm_pthread_sigmask(how, set, old))

/* --- ends that run no destructors: --stats and --strict have something to say ------------------------------------------- */
ALWAYS(void, _exit, (int status), kvm_exit(status))
ALWAYS(void, _Exit, (int status), kvm_exit(status))

/* --- the way around all of these ---------------------------------------------------------------------------------------- */
WITH(long, syscall, (long nr, long a, long b, long c, long d, long e, long f), kvm_syscall(nr, a, b, c, d, e, f))

#undef SIGNAL_PARAMS
#undef MASK_PARAMS
#undef OPEN_PARAMS
#undef OPENAT_PARAMS
#undef FOLLOWS
#undef STATAT_ARGS
#undef READ_PARAMS
#undef PREAD_PARAMS
#undef VEC_PARAMS
#undef PVEC_PARAMS
#undef PVEC2_PARAMS
#undef PVEC2_ARGS
#undef MMAP_PARAMS
