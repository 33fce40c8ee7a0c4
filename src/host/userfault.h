/* SPDX-License-Identifier: MIT */
/*
 * A userfaultfd for hosts that have none, or refuse it. What a program sees of it is what userfaultfd(2) says; how it is made:
 *
 *   missing	a page that the pager is to be asked for has no access rights in the host's tables, so that every access of user
 *		mode comes here: by the handler of SIGSEGV (host/guarded.h), or from host_populate, which is how a guest's comes
 *   present	a bit per page says that it has the rights which the program gave to the mapping
 *   message	a packet of a socket pair, one end of which is the program's descriptor: poll, dup, close and a read that nobody
 *		here knows of work as the system has them
 *   filling	private memory by /proc/self/mem, which does not ask for rights; shared memory through its file. Nobody can see
 *		the page before it is whole: rights come last
 *
 * Accesses that a system call makes for the program get EFAULT, as with UFFD_USER_MODE_ONLY.
 *
 * One lock, with all signals blocked. Its holder makes system calls, and touches no memory of the program's by itself.
 * Who waits for a page holds nothing of ours.
 *
 * struct host_userfault. born: host_userfault_create. seen by: its ranges, under the lock. freed: host_userfault_destroy, which
 * takes its ranges out first.
 */
#ifndef ANYKVM_HOST_USERFAULT_H
#define ANYKVM_HOST_USERFAULT_H

#include "host/fd.h"

struct host_userfault;

enum userfault_fill { USERFAULT_COPY, USERFAULT_ZERO, USERFAULT_CONTINUE };

/* Of userfaultfd's ABI, by number, so that the headers of an old host do. */
#define USERFAULT_MISSING	1ull /* modes of a registration */
#define USERFAULT_MINOR		4ull
#define USERFAULT_MISSING_SHMEM (1ull << 5) /* features */
#define USERFAULT_THREAD_ID	(1ull << 8)
#define USERFAULT_MINOR_SHMEM	(1ull << 10)
#define USERFAULT_FEATURES	(USERFAULT_MISSING_SHMEM | USERFAULT_THREAD_ID | USERFAULT_MINOR_SHMEM)

#if defined(ANYKVM_EXPLORED)
#include <errno.h>

#include "host/passthrough.h"

/* The simulated host has no such thing: the names below are the calls themselves. */
static inline int host_userfault_create(int flags, struct host_userfault **out)
{
	(void)flags;
	*out = NULL;
	return -ENOSYS;
}
static inline void host_userfault_destroy(struct host_userfault *u)
{
	(void)u;
}
static inline s64 host_userfault_read(struct host_userfault *u, int fd, void *buf, size_t n)
{
	(void)u;
	return host_read(fd, buf, n);
}
static inline int host_userfault_enable(struct host_userfault *u, u64 features)
{
	(void)u, (void)features;
	return -ENOSYS;
}
static inline bool host_userfault_enabled(struct host_userfault *u)
{
	(void)u;
	return false;
}
static inline int host_userfault_register(struct host_userfault *u, u64 start, u64 end, u64 mode)
{
	(void)u, (void)start, (void)end, (void)mode;
	return -ENOSYS;
}
static inline int host_userfault_unregister(struct host_userfault *u, u64 start, u64 end)
{
	(void)u, (void)start, (void)end;
	return -ENOSYS;
}
static inline s64 host_userfault_fill(enum userfault_fill how, bool wp, u64 dst, u64 src, u64 len)
{
	(void)how, (void)wp, (void)dst, (void)src, (void)len;
	return -ENOSYS;
}
static inline void host_userfault_wake(struct host_userfault *u, u64 start, u64 end)
{
	(void)u, (void)start, (void)end;
}
static inline bool host_userfault_freeze(void)
{
	return false;
}
static inline int host_userfault_discard(u64 dev, u64 inode, u64 from, u64 to)
{
	(void)dev, (void)inode, (void)from, (void)to;
	return 0;
}
static inline int host_userfault_forget(void *addr, size_t len)
{
	(void)addr, (void)len;
	return 0;
}
static inline void host_userfault_thaw(bool frozen)
{
	(void)frozen;
}
static inline void *host_userfault_shmat(void *at, size_t size, int id, int flags)
{
	(void)size;
	return host_sys_shmat(id, at, flags);
}
static inline int host_userfault_mprotect(void *addr, size_t len, int prot, int pkey)
{
	return pkey == -1 ? host_mprotect(addr, len, prot)
			  : host_sys_pkey_mprotect(addr, len, prot, pkey);
}
#define host_userfault_munmap  host_munmap
#define host_userfault_mmap    host_mmap
#define host_userfault_mremap  host_sys_mremap
#define host_userfault_madvise host_madvise
#else
/*
 * A descriptor for the program, at the lowest free number. flags: O_CLOEXEC, O_NONBLOCK. -ENOSYS where this cannot be done here
 * (/proc/self/mem or /proc/self/pagemap does not do what it should), -ENOMEM, -EMFILE...
 */
int host_userfault_create(int flags, struct host_userfault **out);
/* Its descriptor is closed, or about to be. What is still missing is filled by the system from now on. */
void host_userfault_destroy(struct host_userfault *u);
/* read(2) of the descriptor: as many messages as fit, of threads that still wait. Bytes or -errno. */
s64 host_userfault_read(struct host_userfault *u, int fd, void *buf, size_t n);
/* UFFDIO_API, once: -EINVAL. features is a part of USERFAULT_FEATURES. */
int host_userfault_enable(struct host_userfault *u, u64 features);
bool host_userfault_enabled(struct host_userfault *u);

/*
 * Ranges are page aligned. Register, with any of the two modes: -EINVAL where there is nothing, or memory of another kind than
 * private anonymous (missing pages only) and shared memory of a file system in memory whose file the process has open for writing;
 * -EBUSY if another one serves it; -ENOMEM. No guest reaches the range meanwhile: the caller has a pair open.
 */
int host_userfault_register(struct host_userfault *u, u64 start, u64 end, u64 mode);
int host_userfault_unregister(struct host_userfault *u, u64 start, u64 end);
/*
 * Fills missing pages from src, with zeros, or with what the file has, one by one; wp: protected, which is refused. Bytes, less than len
 * if a page failed, or the error of the first: -EEXIST (not missing), -ENOENT (not registered, or not one mapping), -EINVAL, -EFAULT
 * (src; no page in the file), -ENOMEM. Wakes nobody.
 */
s64 host_userfault_fill(enum userfault_fill how, bool wp, u64 dst, u64 src, u64 len);
/* Who waits for a page of the range looks again. */
void host_userfault_wake(struct host_userfault *u, u64 start, u64 end);

/* The program's changes of memory, for ranges with missing pages too. Elsewhere the calls themselves. */
int host_userfault_munmap(void *addr, size_t len);
void *host_userfault_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 offset);
void *host_userfault_mremap(void *old, size_t old_size, size_t new_size, int flags,
			    void *new_address);
/* With SHM_REMAP. */
void *host_userfault_shmat(void *at, size_t size, int id, int flags);
/* pkey -1: the key stays what it is. */
int host_userfault_mprotect(void *addr, size_t len, int prot, int pkey);
int host_userfault_madvise(void *addr, size_t len, int advice);
/* The range is about to be mapped anew by other means: it is registered no more. 0 or -ENOMEM. */
int host_userfault_forget(void *addr, size_t len);
/*
 * Around a change of a file: nobody waits or fills between freeze and thaw. If it was frozen, what the file is to lose is discarded
 * before, wherever it is mapped: 0, or -ENOMEM, and the file is not to be changed.
 */
bool host_userfault_freeze(void);
int host_userfault_discard(u64 dev, u64 inode, u64 from, u64 to);
void host_userfault_thaw(bool frozen);
#endif

#endif
