/* SPDX-License-Identifier: MIT */
/* Changes of memory that <anykvm.h> has no call for. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/raw.h"
#include "preload.h"

#define ALL_MEMORY (1ul << 48)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* The value of call, made while no guest reaches [addr, addr + length). What the system will refuse changes nothing. */
#define CHANGING(addr, length, call)                                             \
	({                                                                       \
		struct anykvm_invalidate change;                                 \
		int saved = errno, announced, error;                             \
		__typeof__(call) value;                                          \
                                                                                 \
		announced = !anykvm_invalidate_start((addr), (length), &change); \
		errno = saved;                                                   \
		value = call;                                                    \
		error = errno;                                                   \
		if (announced)                                                   \
			anykvm_invalidate_end(&change);                          \
		errno = error;                                                   \
		value;                                                           \
	})

int kvm_madvise(void *addr, size_t length, int advice)
{
	int saved = errno, r;

	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		fault_in(addr, length, advice == MADV_POPULATE_WRITE);
	r = anykvm_madvise(addr, length, advice);
	/*
	 * An emulator (qemu-user) refuses advice about huge pages, which every host of KVM/arm64 takes. Where pages are the
	 * emulator's own the advice is kept by doing nothing.
	 */
	if (r && errno == EINVAL && (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE) &&
	    (uintptr_t)addr % sysconf(_SC_PAGESIZE) == 0) {
		errno = saved;
		return 0;
	}
	return r;
}

/* After it, since to open a file may block, and guests would stand still: until now they saw what was there, or faulted. */
void memory_truncated(void)
{
	CHANGING(NULL, ALL_MEMORY, 0);
}

int kvm_truncate(const char *path, off_t length)
{
	return CHANGING(NULL, ALL_MEMORY, LIBC(int, truncate, (const char *, off_t))(path, length));
}

/* [start, end) is something else now, or nothing: no userfaultfd of the library serves it. */
static void serve_no_more(uintptr_t start, uintptr_t end)
{
	uintptr_t page = sysconf(_SC_PAGESIZE);
	int saved = errno;

	start = (start + page - 1) & -page;
	if (start < end)
		anykvm_note_userfault((void *)start, end - start, 0);
	errno = saved;
}

int kvm_remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
{
	int r = CHANGING(
		addr, size,
		(int)raw_result(raw_syscall(SYS_remap_file_pages, addr, size, prot, pgoff, flags)));

	if (!r)
		serve_no_more((uintptr_t)addr, (uintptr_t)addr + size);
	return r;
}

/* What a new break takes away: nothing, if it grows. */
static size_t shrinks_by(uintptr_t now, uintptr_t then)
{
	return then < now ? now - then : 0;
}

int kvm_brk(void *addr)
{
	uintptr_t now = raw_syscall(SYS_brk, 0);

	/* libc keeps the break in a variable of its own. */
	int r = CHANGING(addr, shrinks_by(now, (uintptr_t)addr), LIBC(int, brk, (void *))(addr));

	if (!r)
		serve_no_more((uintptr_t)addr, now);
	return r;
}

void *kvm_sbrk(intptr_t increment)
{
	uintptr_t now = raw_syscall(SYS_brk, 0);

	void *p = CHANGING((void *)(now + increment), increment < 0 ? (size_t)-increment : 0,
			   LIBC(void *, sbrk, (intptr_t))(increment));

	if (p != (void *)-1)
		serve_no_more(now + increment, now);
	return p;
}

long kvm_raw_brk(long addr)
{
	long now = raw_syscall(SYS_brk, 0), r;

	r = CHANGING((void *)addr, addr ? shrinks_by(now, addr) : 0, raw_syscall(SYS_brk, addr));
	if (r == addr)
		serve_no_more(r, now);
	return r;
}

int kvm_shmdt(const void *addr)
{
	return CHANGING(NULL, ALL_MEMORY, LIBC(int, shmdt, (const void *))(addr));
}
