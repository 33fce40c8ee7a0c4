/* SPDX-License-Identifier: MIT */
/*
 * anykvm: KVM/arm64 in user space.
 *
 * The functions below mirror the C library's calls that a virtual machine monitor makes on /dev/kvm and on its guests'
 * memory: same arguments, results and errno. What does not concern this library goes to the system unchanged, so that a
 * program is switched over by macros alone:
 *
 *     #include <anykvm/redirect.h>        (open is anykvm_open, ioctl is anykvm_ioctl, and so on)
 *
 * or compiled with -include anykvm/redirect.h. Requests, structures and numbers are those of <anykvm/kvm.h>: KVM/arm64 of
 * Linux 7.2, on any host. Results are as ioctl has them: -1 with errno, or the value. errno is untouched on success.
 *
 * Threads: every function may be called by any thread. One thread at a time runs a vCPU; others that use its descriptor wait.
 *
 * Signals: while a thread is in KVM_RUN its asynchronous signals are blocked; a pending one that its mask (or
 * KVM_SET_SIGNAL_MASK) lets through ends KVM_RUN with EINTR, and its handler runs on return. The library has handlers for
 * SIGSEGV and SIGBUS; they pass on what is not theirs. A program may install its own at any time; those that come after a
 * thread's first KVM_RUN must likewise pass on what is not theirs.
 *
 * fork: a child has no use of its parent's machines: each request fails with EIO, closing frees nothing of the parent's. It may open
 * /dev/kvm and have machines of its own.
 *
 * Memory: a change of the host mappings behind a memory slot must be visible to the guest when the call that made it returns.
 * The functions here see to it. A program that maps or unmaps such memory by other means (raw system calls, another library)
 * puts anykvm_invalidate_start and _end around it.
 *
 * Not supported: descriptors passed to another process (they arrive inert), thread cancellation inside these functions.
 */
#ifndef ANYKVM_H
#define ANYKVM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <anykvm/kvm.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ANYKVM_VERSION_MAJOR 0
#define ANYKVM_VERSION_MINOR 1
#define ANYKVM_VERSION_PATCH 0

#if defined(__GNUC__)
#define ANYKVM_API __attribute__((visibility("default")))
#else
#define ANYKVM_API
#endif

/* --- descriptors ------------------------------------------------------------------------------------------------------ */

/**
 * anykvm_open - open(2); "/dev/kvm" gives a handle of this library
 * @path: file name
 * @flags: as open(2). For /dev/kvm any access mode is accepted, O_CLOEXEC is honoured
 *
 * The host's own /dev/kvm is never used. Every other path goes to the system.
 *
 * returns: a descriptor, or -1 with errno
 *	EMFILE, ENFILE	no descriptor left
 *	ENOMEM		out of memory
 *	EEXIST		/dev/kvm with O_CREAT | O_EXCL
 *	EIO		/dev/kvm in a child of vfork or of a bare clone, or where the parent's thread was inside a pair: exec first
 *	ENOTDIR		/dev/kvm with O_DIRECTORY
 *	others		as open(2), for other paths
 */
ANYKVM_API int anykvm_open(const char *path, int flags, ...);

/** anykvm_openat - openat(2); the absolute path "/dev/kvm" as in anykvm_open, with the same errors */
ANYKVM_API int anykvm_openat(int dirfd, const char *path, int flags, ...);

/* Extensions for anykvm_open_ext: what KVM/arm64 does not offer. */
#define ANYKVM_EXT_MEMORY_ATTRIBUTES \
	(1ul << 0) /* KVM_SET_MEMORY_ATTRIBUTES and KVM_PRE_FAULT_MEMORY */

/**
 * anykvm_open_ext - a handle as from anykvm_open("/dev/kvm", O_RDWR | O_CLOEXEC) that asks for extensions
 * @extensions: ANYKVM_EXT_* bits
 *
 * What is offered is told by KVM_CHECK_EXTENSION on a VM made from the handle: with ANYKVM_EXT_MEMORY_ATTRIBUTES capability 233
 * (KVM_CAP_MEMORY_ATTRIBUTES) answers KVM_MEMORY_ATTRIBUTE_PRIVATE and 236 (KVM_CAP_PRE_FAULT_MEMORY) 1. The word
 * memory-attributes in the environment variable ANYKVM_EXT asks for the same in anykvm_open.
 *
 * returns: a descriptor, or -1 with errno
 *	EINVAL		unknown bits
 *	EMFILE, ENFILE, ENOMEM
 */
ANYKVM_API int anykvm_open_ext(unsigned long extensions);

/* What a number stands for: anykvm_fd_kind. Members are only ever added at the end. */
enum anykvm_fd_kind {
	ANYKVM_FD_FOREIGN, /* not of this library, or no descriptor */
	ANYKVM_FD_SYSTEM,  /* /dev/kvm */
	ANYKVM_FD_VM,
	ANYKVM_FD_VCPU,
	ANYKVM_FD_DEVICE,
	ANYKVM_FD_STATS,
	ANYKVM_FD_GMEM,
	ANYKVM_FD_INTERNAL,  /* what the library keeps open for itself */
	ANYKVM_FD_USERFAULT, /* anykvm_userfaultfd, where it is not the host's */
};

/**
 * anykvm_fd_kind - whose a descriptor is; also in a child after fork
 *
 * Foreign numbers cost no system call. errno is left alone.
 *
 * returns: one of enum anykvm_fd_kind
 */
ANYKVM_API int anykvm_fd_kind(int fd);

/**
 * anykvm_close - close(2)
 *
 * A machine lives until its VM, vCPU, device and statistics descriptors and all mappings of them are gone.
 *
 * returns: 0, or -1 with errno
 *	EBADF		not an open descriptor
 *	others		as close(2), for descriptors of the system
 */
ANYKVM_API int anykvm_close(int fd);

/**
 * anykvm_close_range - close_range(2)
 * @flags: CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE
 *
 * The descriptors that the library keeps for itself are left open.
 *
 * returns: 0, or -1 with errno: EINVAL (flags, first > last), ENOMEM, EMFILE, ENOSYS
 */
ANYKVM_API int anykvm_close_range(unsigned int first, unsigned int last, int flags);

/** anykvm_dup, anykvm_dup2, anykvm_dup3 - as dup(2), with its errors, and ENOMEM */
ANYKVM_API int anykvm_dup(int fd);
ANYKVM_API int anykvm_dup2(int oldfd, int newfd);
ANYKVM_API int anykvm_dup3(int oldfd, int newfd, int flags);

/** anykvm_fcntl - fcntl(2); F_DUPFD and F_DUPFD_CLOEXEC copy a handle of this library too. ENOMEM besides its errors */
ANYKVM_API int anykvm_fcntl(int fd, int cmd, ...);

/**
 * anykvm_ioctl - ioctl(2); the requests of KVM on descriptors of this library
 *
 * On other descriptors ioctl(2) itself.
 *
 * returns: what KVM/arm64 returns for the request, or -1 with errno. Common to all:
 *	EBADF		not an open descriptor
 *	EFAULT		the argument, or memory it names, cannot be read or written
 *	EINVAL		unknown request (on a device: ENOTTY), bad argument
 *	EIO		used in a child after fork, or after anykvm_mm_release
 *	ENOMEM		out of memory
 *	EINTR		KVM_RUN: a signal, or kvm_run.immediate_exit
 *	ENOEXEC		vCPU requests before KVM_ARM_VCPU_INIT
 */
ANYKVM_API int anykvm_ioctl(int fd, unsigned long request, ...);

/**
 * anykvm_read, anykvm_pread - read(2), pread(2); also of KVM_GET_STATS_FD descriptors
 *
 * returns: bytes, or -1 with errno
 *	EINVAL, ESPIPE	a descriptor of this library that is no statistics descriptor
 *	EFAULT		buf is not writable
 *	others		as read(2)
 */
ANYKVM_API ssize_t anykvm_read(int fd, void *buf, size_t count);
ANYKVM_API ssize_t anykvm_pread(int fd, void *buf, size_t count, off_t offset);

/**
 * anykvm_write, anykvm_pwrite - write(2), pwrite(2); there is nothing to write to descriptors of this library
 *
 * returns: bytes, or -1 with errno
 *	EBADF, EINVAL, ESPIPE	a descriptor of this library
 *	others			as write(2)
 */
ANYKVM_API ssize_t anykvm_write(int fd, const void *buf, size_t count);
ANYKVM_API ssize_t anykvm_pwrite(int fd, const void *buf, size_t count, off_t offset);

/* --- memory ----------------------------------------------------------------------------------------------------------- */

/**
 * anykvm_mmap - mmap(2); of a vCPU descriptor: page 0 is struct kvm_run, page 1 the coalesced MMIO ring
 *
 * A mapping of a descriptor of this library keeps the machine alive like the descriptor. With MAP_FIXED, guests see what the
 * range holds from now on.
 *
 * returns: the address, or MAP_FAILED with errno
 *	ENODEV		a descriptor of this library that has nothing to map
 *	ENOMEM		out of memory
 *	others		as mmap(2)
 */
ANYKVM_API void *anykvm_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

/** anykvm_munmap - munmap(2), with its errors, and ENOMEM (before any change) */
ANYKVM_API int anykvm_munmap(void *addr, size_t length);

/** anykvm_mremap - mremap(2), with its errors; mappings of a vCPU cannot be moved or resized (EINVAL) */
ANYKVM_API void *anykvm_mremap(void *old_address, size_t old_size, size_t new_size, int flags, ...);

/** anykvm_mprotect, anykvm_madvise - as mprotect(2) and madvise(2), with their errors */
ANYKVM_API int anykvm_mprotect(void *addr, size_t len, int prot);
ANYKVM_API int anykvm_madvise(void *addr, size_t length, int advice);

/** anykvm_pkey_mprotect - pkey_mprotect(2), with its errors */
ANYKVM_API int anykvm_pkey_mprotect(void *addr, size_t len, int prot, int pkey);

struct iovec;

/** anykvm_process_madvise - process_madvise(2), with its errors; of this process also what takes pages away, where the system does */
ANYKVM_API ssize_t anykvm_process_madvise(int pidfd, const struct iovec *iov, size_t n, int advice,
					  unsigned int flags);

/** anykvm_shmat - shmat(2), with its errors, and ENOMEM. With SHM_REMAP guests see what the range holds from now on */
ANYKVM_API void *anykvm_shmat(int id, const void *addr, int flags);

/** anykvm_fallocate, anykvm_ftruncate - of files mapped under a slot too; errors of the originals */
ANYKVM_API int anykvm_fallocate(int fd, int mode, off_t offset, off_t len);
ANYKVM_API int anykvm_ftruncate(int fd, off_t length);

/** struct anykvm_invalidate - a change in progress; its content is the library's */
struct anykvm_invalidate {
	uint64_t opaque[24];
};

/**
 * anykvm_invalidate_start - the host mappings of [addr, addr + length) are about to change
 * @inv: filled; handed to anykvm_invalidate_end by the same thread
 *
 * When it returns, no guest accesses the range through an old mapping, and none gets a new one until anykvm_invalidate_end.
 * Between the two calls the thread's asynchronous signals are blocked, its KVM requests fail with EDEADLK, and so do calls that
 * map, allocate or punch a guest_memfd, and it waits for no thread that may be in one. Pairs do not nest.
 *
 * returns: 0, or -1 with errno
 *	EINVAL		length is 0 or the range wraps
 */
ANYKVM_API int anykvm_invalidate_start(const void *addr, size_t length,
				       struct anykvm_invalidate *inv);

/** anykvm_invalidate_end - the change is done, or has failed. No error */
ANYKVM_API void anykvm_invalidate_end(struct anykvm_invalidate *inv);

/**
 * anykvm_note_userfault - [addr, addr + length) was registered with, or (registered 0) removed from, a userfaultfd
 *
 * Needed where the range lies under a slot and UFFDIO_REGISTER was not made through anykvm_ioctl; with 0 also where memory that
 * anykvm_userfaultfd serves was mapped anew by other means.
 *
 * returns: 0, or -1 with errno: EINVAL (length 0, range wraps), ENOMEM
 */
ANYKVM_API int anykvm_note_userfault(const void *addr, size_t length, int registered);

/**
 * anykvm_userfaultfd - userfaultfd(2); where the host has none, or refuses it, one of this library
 * @flags: O_CLOEXEC, O_NONBLOCK, UFFD_USER_MODE_ONLY
 *
 * The host's own is tried first, also with UFFD_USER_MODE_ONLY if it refuses more. The library's serves accesses of guests and of
 * this process's user mode, in threads that do not block SIGSEGV; the system's own accesses get EFAULT, as with that flag
 * (anykvm_fault_in helps). It offers missing pages of private anonymous memory, and missing and minor faults of shared memory whose file
 * (memfd, tmpfs) is open for writing. The descriptor is used with the calls of this header. ANYKVM_USERFAULTFD=host or =emulate in the
 * environment asks for one of the two.
 *
 * returns: a descriptor, or -1 with errno
 *	EINVAL		unknown flags
 *	ENOSYS, EPERM	the host's answer, where the library has no means either (/proc/self/mem)
 *	EMFILE, ENFILE, ENOMEM
 */
ANYKVM_API int anykvm_userfaultfd(int flags);

/**
 * anykvm_fault_in - memory that a system call is about to read, or (write 1) to write
 *
 * Of a userfaultfd that serves user mode alone, which anykvm_userfaultfd may have given, the system's own accesses fail with EFAULT.
 * So pages of @iov that such a one serves are asked for and waited for here. Without one, nothing is done. errno is left alone.
 */
ANYKVM_API void anykvm_fault_in(const struct iovec *iov, int n, int write);

struct sigaction;

/**
 * anykvm_sigaction - sigaction(2) for SIGSEGV and SIGBUS, with the library's handler staying in front
 *
 * The action is taken for all faults but the library's own, and @oldact tells the one before it, never the library's. So a
 * program that installs its handlers by this call need not pass on what is not theirs. The mask of an action never blocks these two
 * signals.
 *
 * returns: 0, or -1 with errno: EINVAL (another signal)
 */
ANYKVM_API int anykvm_sigaction(int signo, const struct sigaction *act, struct sigaction *oldact);

/**
 * anykvm_mm_release - give up all guest memory of this process's machines
 *
 * For a library that is about to be unloaded, and for tests. All machines are dead afterwards: every request but close
 * answers EIO, running vCPUs leave KVM_RUN with EIO. Host memory is not touched. No error; may be called more than once.
 */
ANYKVM_API void anykvm_mm_release(void);

/* --- about the library ------------------------------------------------------------------------------------------------ */

/** anykvm_version - version of the library in use, such as "0.1.0" */
ANYKVM_API const char *anykvm_version(void);

/* Counters since the machine was made. Members are only ever added at the end. */
struct anykvm_stats {
	uint64_t faults;	/* stage-2 faults handled */
	uint64_t fault_retries; /* of these, raced with a change of host memory */
	uint64_t maps_4k, maps_2m, maps_1g;
	uint64_t permission_relaxes;
	uint64_t unmaps;	  /* leaves removed; shadow tables that go whole: nested_unmaps */
	uint64_t table_pages;	  /* stage-2 table pages now, roots included */
	uint64_t shootdowns;	  /* cached translations invalidated by the library */
	uint64_t shootdown_waits; /* of these, waited for a running vCPU */
	uint64_t instructions;	  /* executed by all vCPUs */
	uint64_t exits;		  /* engine left guest mode */
	uint64_t mmio_exits, hvc_exits, wfi_exits, irq_exits, signal_exits;
	uint64_t vcpus;
	uint64_t host_faults;	    /* accesses that met memory other than the tables promised */
	uint64_t guest_tlb_syncs;   /* barriers by which guests waited for their own TLBI */
	uint64_t invalidations;	    /* changes of host memory that concerned a slot */
	uint64_t invalidated_pages; /* pages of 4 KiB these took from the guest */
	uint64_t slot_changes;	    /* memory slots made, moved, changed, deleted */
	uint64_t slot_swaps;	    /* exchanges of slot sets; each waits for readers (SRCU) */
	uint64_t slot_swap_waits;   /* of these, waited for changes of host memory before */
	uint64_t gmem_faults;	    /* stage-2 faults answered from guest_memfd */
	uint64_t gmem_allocations;  /* fallocate calls that allocated, and that punched holes */
	uint64_t gmem_punches;
	uint64_t block_splits;	     /* blocks split ahead of writes */
	uint64_t dirty_pages_logged; /* write faults noted in a dirty bitmap or ring */
	uint64_t dirty_ring_full_exits;
	uint64_t nested_loads;	  /* looks for the shadow MMU of a nested guest's translation */
	uint64_t nested_recycles; /* of these, took one from another translation */
	uint64_t nested_unmaps;	  /* shadow tables emptied as a whole */
};

/**
 * anykvm_stats - counters of one machine
 * @fd: a VM or vCPU descriptor
 * @stats: filled
 * @size: sizeof(struct anykvm_stats) of the caller; later members are not written, members unknown to the library are zeroed
 *
 * returns: 0, or -1 with errno: EBADF, EINVAL (not such a descriptor), EFAULT
 */
ANYKVM_API int anykvm_stats(int fd, struct anykvm_stats *stats, size_t size);

/* What anykvm_inspect shows. None of the sections means all. */
#define ANYKVM_INSPECT_SLOTS	(1u << 0)  /* memory slots */
#define ANYKVM_INSPECT_STAGE2	(1u << 1)  /* stage-2 tables as ranges, and their totals */
#define ANYKVM_INSPECT_NESTED	(1u << 2)  /* shadow MMUs of nested guests, and their tables */
#define ANYKVM_INSPECT_NOTIFIER (1u << 3)  /* changes of host memory in flight */
#define ANYKVM_INSPECT_CACHES	(1u << 4)  /* of vCPUs, of the machine, of the library */
#define ANYKVM_INSPECT_GMEM	(1u << 5)  /* which slots take their memory from guest_memfd */
#define ANYKVM_INSPECT_STATS	(1u << 6)  /* counters, as in KVM's statistics descriptors */
#define ANYKVM_INSPECT_JSON	(1u << 31) /* one JSON object instead of text */

/**
 * anykvm_inspect - the state of one machine's memory, for people
 * @fd: a VM or vCPU descriptor
 * @flags: ANYKVM_INSPECT_*
 * @buf: filled with text, ended by a zero byte; what does not fit is left out. May be NULL if size is 0
 * @size: of buf
 *
 * Meant to be looked at: lines may be added or change in later versions. The machine goes on running; what changes meanwhile may
 * be seen before in one place and after in another. So the text of the next call may be longer than this one's. Also tells of a
 * machine whose memory was given up by anykvm_mm_release.
 *
 * returns: the length of the whole text without its zero byte (more than size - 1: it was cut off), or -1 with errno
 *	EBADF	not a descriptor of this library
 *	EINVAL	not a VM or vCPU descriptor, unknown flags
 *	EIO	used in a child after fork
 *	EFAULT	buf cannot be written
 *	ENOMEM	out of memory
 */
ANYKVM_API ssize_t anykvm_inspect(int fd, unsigned int flags, char *buf, size_t size);

/**
 * anykvm_cap_name - name of a capability that means something on arm64, such as "IRQCHIP" (without KVM_CAP_)
 *
 * returns: NULL for a number without meaning there
 */
ANYKVM_API const char *anykvm_cap_name(unsigned int cap);

/**
 * anykvm_request_name - name of a request on descriptors of a kind (enum anykvm_fd_kind), such as "KVM_RUN"
 *
 * returns: NULL for a request that such descriptors do not know
 */
ANYKVM_API const char *anykvm_request_name(int kind, unsigned long request);

/**
 * anykvm_feature_name - architectural features that guests may be given, one by one
 * @n: 0, 1, 2...
 *
 * returns: a field of an ID register such as "ID_AA64ISAR0.AES", NULL past the last
 */
ANYKVM_API const char *anykvm_feature_name(unsigned int n);

/** anykvm_engine_name - what executes guest instructions */
ANYKVM_API const char *anykvm_engine_name(void);

#ifdef __cplusplus
}
#endif

#endif
