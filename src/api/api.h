/* SPDX-License-Identifier: MIT */
/*
 * The API layer: descriptors, requests and the calls of <anykvm.h>; no behaviour of a machine. Files:
 *
 *	child.c		a fork child with machines of its own
 *	fd.c		number -> file: inert placeholder descriptors, who owns which number
 *	mapping.c	which host mappings keep a file alive
 *	calls.c		open, close, dup, fcntl, ioctl
 *	io_calls.c	read, write
 *	memory_calls.c	mmap, munmap, mremap, shmat: each change of host memory inside a notifier pair
 *	advice_calls.c	mprotect, madvise and their relatives: the same
 *	file_calls.c	ftruncate, fallocate: the same for files that are mapped under slots
 *	gmem_calls.c	guest_memfd: its request, and those calls on its descriptors and mappings
 *	userfault_calls.c	userfaultfd: of the host, or where it has none, of ours
 *	signal_calls.c	sigaction of SIGSEGV and SIGBUS
 *	pairs.c		pairs around the change of a file that is mapped in several places
 *	ioctl.c		one table of requests for each kind of descriptor, and the way to a handler
 *	ioctl_*.c	the handlers
 *	caps.c		capabilities
 *	inspect.c	a look at a running machine
 *	stats.c		statistics descriptors
 */
#ifndef ANYKVM_API_API_H
#define ANYKVM_API_API_H

#include <errno.h>

#include "anykvm.h"
#include "base/itree.h"
#include "base/process.h"
#include "base/report.h"
#include "mem/gmem.h"
#include "sync/mutex.h"
#include "vm/vm.h"

/* --- what a descriptor is -------------------------------------------------------------------------------------------- */

/* API_ORPHAN: in a fork child, what the parent's was (child.c). */
enum api_kind {
	API_SYSTEM,
	API_VM,
	API_VCPU,
	API_DEVICE,
	API_STATS,
	API_GMEM,
	API_USERFAULT,
	API_ORPHAN,
	NR_API_KINDS
};

/* struct file.priv. Constant after creation; freed by the file's release hook. */
struct api_file {
	enum api_kind kind;
	struct vm *vm;	/* counted; NULL for API_SYSTEM and API_ORPHAN */
	struct vcpu *v; /* API_VCPU, and API_STATS of a vCPU: lives as long as vm */
	struct its *
		its; /* API_DEVICE: this ITS, which lives as long as vm; NULL: the interrupt controller */
	u64 extensions;	   /* API_SYSTEM */
	enum api_kind was; /* API_ORPHAN: the kind of the parent's */
	u64 dev, inode; /* of the placeholder: tells our descriptor from one that took its number */
	struct a64 position;		  /* API_STATS: of read(2) */
	struct gmem_file *gmem;		  /* API_GMEM: owned, until it is the file's */
	struct host_userfault *userfault; /* API_USERFAULT: owned */
};

static inline struct api_file *api_file_of(const struct file *f)
{
	return f->priv;
}

/* In this process or, of an orphan, in the parent. */
static inline enum api_kind api_kind_of(const struct file *f)
{
	const struct api_file *a = api_file_of(f);

	return a->kind == API_ORPHAN ? a->was : a->kind;
}

/* Open for reading only, to the system. */
static inline bool api_kind_is_read_only(enum api_kind kind)
{
	return kind == API_STATS || kind == API_USERFAULT;
}

/* --- process-wide state ---------------------------------------------------------------------------------------------- */

#define FD_PAGE_BITS 13
#define FD_PAGE_SIZE (1u << FD_PAGE_BITS)
#define FD_PAGES     128 /* numbers below 1 Mi */

struct api_process {
	struct a32 state; /* 0 untouched, 1 being initialised, 2 ready */
	u32 pid; /* constant once ready: a vfork child shares our memory but not our descriptors */
	struct a64 mm_id;      /* constant once ready: a fork child differs, until it begins anew */
	struct a64 renewer;    /* child.c: the mm_id of the process that begins anew */
	struct mutex map_lock; /* RANK_LEAF */
	struct itree mappings; /* map_lock: struct mapping */
	struct a32 user_mode_pagers; /* userfault_calls.c: a program got less than it asked for */
	struct a32 empty_file;	     /* gmem_calls.c: a descriptor + 1, 0 until it is needed */
	struct aptr fd_page
		[FD_PAGES]; /* struct aptr[FD_PAGE_SIZE]: struct file *, each entry a reference */
};
_Static_assert(sizeof(struct api_process) <= PROCESS_PART_SIZE, "PROCESS_PART_SIZE");

static inline struct api_process *api_process(void)
{
	return process_part(PROCESS_API);
}

/* Makes it ready. Called before the first descriptor of ours exists. */
void api_process_init(void);
/*
 * How the caller stands to the descriptors of ours:
 *   API_NOBODY  there are none, or the caller is a vfork child (its descriptors are a copy, our table is not): all goes to the system
 *   API_OWNER   the normal case
 *   API_CHILD   fork child: the table is a copy; nothing may be locked or freed
 */
enum api_role { API_NOBODY, API_OWNER, API_CHILD };
/* Cheap: no system call. A vfork child is told apart only by api_role_exact. */
enum api_role api_role(void);
enum api_role api_role_exact(void);

/* There is something to tell: this process has opened a handle (machines exist only after that) and is no child. */
static inline bool api_watches(void)
{
	return api_role() == API_OWNER;
}

/* What a call of <anykvm.h> returns for a value or -errno. */
static inline s64 api_result(s64 r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

/* Makes the caller the owner, before something of ours is made. 0, -ENOMEM, or -EIO: it cannot be. */
int api_process_own(void);
/* A fork child becomes the owner of a table whose entries are orphans. 0, or -EIO where that cannot be, or -ENOMEM. */
int api_process_of_child(void);

/* --- fd.c ---------------------------------------------------------------------------------------------------------------- */

/* Whether the number is ours by the table, without a look at the system. */
bool fd_is_ours(int fd);
/*
 * A counted file, or NULL if fd is not ours. Unless trust is set (KVM_RUN, but for a vCPU whose memory is still to be mapped), the
 * placeholder's identity is checked; a stale entry (closed behind our back) is dropped.
 */
struct file *fd_get(int fd, bool trust);
/*
 * The memory of a vCPU is ready to be mapped and run with. fd is its number by the table. 0, -ENOMEM, -EMFILE, or -EBADF: the number
 * names something else by now.
 */
int vcpu_map_run(int fd, const struct api_file *f);
/* Publishes f as fd; takes over the caller's reference. 0, -ENOMEM, -EMFILE (the reference stays the caller's). */
int fd_install(int fd, struct file *f);
/* The entry's reference, now the caller's, or NULL. */
struct file *fd_unlink(int fd);
/*
 * In a fork child, where an entry is a mark and no reference: newfd is what oldfd is, ours or not. Takes no lock, needs no memory.
 */
void fd_mark_copy(int oldfd, int newfd);
/* In a fork child, begun anew or not: fd is a guest_memfd of the parent's. */
bool fd_is_parents_gmem(int fd);
/* In a fork child that begins anew, by the one thread that does it: the entry becomes an orphan of this process. 0, or -ENOMEM. */
int fd_orphan(int fd);
/* In a fork child: the kind of a number that is ours. */
enum api_kind fd_kind_in_child(int fd);
/* The next number >= fd with an entry, or -1. */
int fd_next(int fd);
/*
 * A new file with a new placeholder (or the descriptor `fd` if it is not -1, which it then owns). Takes over the reference to
 * vm on success. Returns the number or -errno.
 */
int fd_create(const struct api_file *what, const char *name, bool cloexec, int fd);
/* Closes a number of ours: entry first, then the system's descriptor, then the reference. */
void fd_destroy(int fd);

/* --- mapping.c ----------------------------------------------------------------------------------------------------------- */

struct mapping; /* one piece of a host mapping of one of our files: a reference to it */
/* NULL: no memory. */
struct mapping *mapping_alloc(void);
void mapping_free(struct mapping *spare);
/*
 * [start, end) maps f from byte offset on, from now on; takes over one reference to f. Replaces nothing: mapping_forget first.
 */
void mapping_record(struct mapping *m, struct file *f, u64 start, u64 end, u64 offset);
/* [start, end) maps our files no more; pieces are split (with spare, if *spare is needed it becomes NULL) and references put. */
void mapping_forget(u64 start, u64 end, struct mapping **spare);
/* Whether [start, end) maps any of our files (of guest_memfd, too, if with_gmem), and from where on. */
bool mapping_first(u64 start, u64 end, bool with_gmem, u64 *at);
/* A piece of a mapping of guest_memfd. */
struct mapping_piece {
	u64 start, end;	   /* hvas */
	u64 offset;	   /* of start, in the file */
	struct file *file; /* counted: the caller puts it. Only from mapping_find_gmem_at */
};
/* The piece of [start, end) that is mapped at start, if that is guest_memfd. */
bool mapping_find_gmem_at(u64 start, u64 end, struct mapping_piece *out);
/* The first piece at or above hva `at` that maps any of bytes [from, to) of inode, cut to them; false if there is none. */
bool mapping_next_gmem(const struct gmem_inode *inode, u64 from, u64 to, u64 at,
		       struct mapping_piece *out);

/* --- ioctl.c ------------------------------------------------------------------------------------------------------------- */

struct api_call {
	int fd; /* the number that named file: by the table; what the system makes of it is another matter */
	struct file *file;
	struct api_file *f;
	struct vm *vm;
	struct vcpu *v;
	u64 arg;
	void *buf; /* IOCTL_IN, IOCTL_OUT: a copy of the argument */
};

#define IOCTL_IN   BIT(0) /* the argument points at a structure: copied in first */
#define IOCTL_OUT  BIT(1) /* copied out if the handler succeeds */
#define IOCTL_INIT BIT(2) /* vCPU: -ENOEXEC before KVM_ARM_VCPU_INIT, whatever the argument is */

struct ioctl_row {
	u32 request; /* direction, size and number */
	const char *name;
	u32 flags;
	s64 (*handler)(struct api_call *c);
};

#define IOCTL_BUFFER 896 /* the largest structure, rounded up */

struct ioctl_table {
	const struct ioctl_row *row;
	u32 nr;
	int unknown; /* -EINVAL or -ENOTTY */
};
/* By kind; API_STATS has none. For the dispatcher and for generated documentation. */
extern const struct ioctl_table *const ioctl_tables[NR_API_KINDS];
extern const struct ioctl_table ioctl_system_table, ioctl_vm_table, ioctl_vcpu_table,
	ioctl_device_table, ioctl_userfault_table;

/* The value or -errno. */
s64 ioctl_dispatch(int fd, struct file *file, u32 request, u64 arg);

/* Copies between the VMM's memory and ours: -EFAULT. */
int user_copy_in(void *dst, u64 user, size_t n);
int user_copy_out(u64 user, const void *src, size_t n);

/* --- memory_calls.c ------------------------------------------------------------------------------------------------------ */

/* The page-aligned range that the system will change; false if it will refuse the arguments anyway. */
bool changed_range(const void *addr, size_t length, u64 *start, u64 *end);

/* --- userfault_calls.c ------------------------------------------------------------------------------------------------------ */

#define USERFAULT_TYPE 0xaa /* of its requests */
/* ioctl on a descriptor that is not ours; requests of a userfaultfd are noted. The value or -errno. */
int userfault_ioctl(int fd, u32 request, u64 arg);

/* --- caps.c, stats.c ----------------------------------------------------------------------------------------------------- */

/* vm NULL: asked on the system handle. The value, or -EINVAL for the two that only a VM can answer. */
s64 caps_check(struct vm *vm, u64 cap);
/* The same counters as a section of a report. */
void stats_report(struct vm *vm, struct report *r);
s64 stats_create_fd(struct vm *vm, struct vcpu *v);
/* --- gmem_calls.c -------------------------------------------------------------------------------------------------------- */

s64 gmem_create_fd(struct vm *vm, u64 size, u64 flags);
/* The file behind a number in a slot's request: counted, or NULL and -EBADF or -EINVAL. */
struct file *gmem_fd_get(u32 fd, int *error);
/* mmap of a descriptor, between gmem_mapping_begin and _end; the address or -errno. What was mapped there is gone if it succeeds. */
void *gmem_map(struct file *file, void *addr, size_t length, int prot, int flags, u64 offset);
/* [start, end) was just recorded as a mapping: poisoned pages in it are made inaccessible. */
void gmem_map_poison(struct file *file, u64 start, u64 end, u64 offset);
int gmem_fallocate(struct file *file, int mode, s64 offset, s64 len);
/*
 * MADV_REMOVE and MADV_HWPOISON, which change the file and not the mapping. True if [start, end) is guest_memfd all over; *r is
 * the answer then.
 */
bool gmem_advise(u64 start, u64 end, int advice, int *r);

/* Bytes read at offset into the user's buffer, 0 at the end, or -EFAULT. */
s64 stats_read(struct api_file *f, u64 user, size_t n, u64 offset);

#endif
