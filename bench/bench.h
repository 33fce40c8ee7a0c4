/* SPDX-License-Identifier: MIT */
/*
 * Costs of KVM API operations, ours and (where it opens) the machine's own KVM's. An operation is a function that is given a
 * backend and does the same with either; what it times is the same code for both. It answers ns per round.
 *
 * Guest code differs, of course: bench/guest_*.c have the same loop for both architectures (guest.h). No <anykvm/kvm.h> here,
 * because guest_x86.c needs the structures of the machine's own; numbers and structures used elsewhere are the same in both.
 */
#ifndef ANYKVM_BENCH_BENCH_H
#define ANYKVM_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KIB 1024ul
#define MIB (1024ul * KIB)
#define GIB (1024ul * MIB)

struct guest_arch;

struct backend {
	const char *name;
	int (*open)(const char *path, int flags, ...);
	int (*ioctl)(int fd, unsigned long request, ...);
	int (*close)(int fd);
	void *(*mmap)(void *at, size_t size, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *at, size_t size);
	int (*madvise)(void *at, size_t size, int advice);
	int (*fallocate)(int fd, int mode, off_t offset, off_t size);
	int kvm; /* descriptor of its /dev/kvm */
	const struct guest_arch *arch;
};

/* What run may answer instead of a time: the backend has no such thing. */
#define UNSUPPORTED (-1.0)

struct op {
	const char *name;
	unsigned rounds, repeats; /* rounds in one call; calls, of which the best counts */
	double (*run)(struct backend *b, unsigned rounds);
};

struct group {
	const char *name;
	const struct op *op;
	unsigned nr;
};
extern const struct group group_vm, group_slots, group_faults, group_notifier, group_dirty,
	group_gmem;

#define GROUP(id, table)                  \
	const struct group group_##id = { \
		.name = #id, .op = (table), .nr = sizeof(table) / sizeof((table)[0])}

double now_ns(void);
/* Ends the program with errno's text if result is negative. */
int must(int result, const char *what);

int make_vm(struct backend *b);
void set_slot(struct backend *b, int vm, unsigned slot, unsigned flags, unsigned long gpa,
	      unsigned long size, void *memory);

/*
 * Host memory behind guests, the same for all operations: MEMORY_SIZE bytes from a multiple of 1 GiB on, and 4 MiB more. Whether
 * it is present is the caller's choice: populated, it is huge pages if the host has them.
 */
#define MEMORY_SIZE (4 * GIB)
#define MEMORY_TAIL (4 * MIB)
void *memory_base(void);
void memory_populate(size_t size);
/* Gives the pages back. */
void memory_release(void);

/*
 * Offsets into the memory that decide the largest leaf when guest addresses are multiples of 1 GiB. A kernel may use smaller ones.
 */
#define LEAF_4K KIB * 4
#define LEAF_2M MIB * 2
#define LEAF_1G 0ul

#endif
