/* SPDX-License-Identifier: MIT */
/*
 * The calls of <anykvm.h> that change rights of memory, or give advice that takes pages away: inside a notifier pair, as those of
 * memory_calls.c.
 */
#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

#include "api/api.h"
#include "api/pairs.h"
#include "base/mman.h"
#include "host/fd.h"
#include "host/guarded.h"
#include "host/pages.h"
#include "host/passthrough.h"
#include "host/userfault.h"
#include "host/vma.h"
#include "mem/notifier.h"

/* What the system transfers at most with one vector, and hence advises: INT_MAX, in whole pages. */
#define MAX_TRANSFER ALIGN_DOWN((u64)INT_MAX, host_page_size())

/* pkey -1: the key of the memory stays what it is. The value or -errno. */
static int change_rights(void *addr, size_t len, int prot, int pkey)
{
	struct mem_inval_token t;
	u64 start, end, at;
	bool refused;
	int r = 0;

	if (!api_watches() || !changed_range(addr, len, &start, &end))
		return host_userfault_mprotect(addr, len, prot, pkey);
	library_enter();
	/* Files of no file system are never executable. The system changes what lies before them and then says so. */
	refused = (prot & PROT_EXEC) && mapping_first(start, end, true, &at);
	mem_invalidate_start(start, end, 0, &t);
	if (!refused)
		r = host_userfault_mprotect(addr, len, prot, pkey);
	else if (at > start)
		r = host_userfault_mprotect(addr, at - start, prot, pkey);
	mem_invalidate_end(&t);
	library_exit();
	return refused && !r ? -EACCES : r;
}

int anykvm_mprotect(void *addr, size_t len, int prot)
{
	return api_result(change_rights(addr, len, prot, -1));
}

int anykvm_pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	int r = 0;

	/* Key -1 is mprotect, where the system knows the call: an empty range has it say so. */
	if (pkey == -1)
		r = host_sys_pkey_mprotect(NULL, 0, PROT_NONE, pkey);
	return api_result(r ? r : change_rights(addr, len, prot, pkey));
}

/* Whether the advice takes pages away. The mapping itself stays what it is, except for guards. */
static bool advice_discards(int advice, u32 *flags)
{
	*flags = MEM_INVAL_KEEP_VMA;
	switch (advice) {
	case MADV_GUARD_INSTALL:
		*flags = 0;
		return true;
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_HWPOISON:
	case MADV_GUARD_REMOVE: /* of a pager's memory: missing again */
		return true;
	default:
		return false;
	}
}

/* MADV_REMOVE takes pages from a file, wherever it is mapped. */
static void pairs_start_of_advice(struct pairs *pairs, u64 start, u64 end, int advice, u32 flags)
{
	struct host_vma v;

	if (advice == MADV_REMOVE && !host_vma_query(start, &v) && v.shared && v.end >= end) {
		pairs_start_of_file(pairs, v.dev, v.inode, v.offset + (start - v.start),
				    v.offset + (end - v.start));
		return;
	}
	pairs_init(pairs);
	if (advice == MADV_REMOVE)
		pairs_add_all(pairs); /* of several files, or refused */
	else
		pairs_add(pairs, start, end);
	pairs_start(pairs, flags);
}

static int advise(void *addr, size_t length, int advice)
{
	struct pairs pairs;
	u64 start, end, at;
	bool refused;
	u32 flags;
	int r = 0;

	if (!api_watches() || !advice_discards(advice, &flags) ||
	    !changed_range(addr, length, &start, &end))
		return host_userfault_madvise(addr, length, advice);
	library_enter();
	if (gmem_advise(start, end, advice, &r)) {
		library_exit();
		return r;
	}
	/* A vCPU's pages are no file that holes can be made in, though what backs them here is. */
	refused = advice == MADV_REMOVE && mapping_first(start, end, false, &at);
	pairs_start_of_advice(&pairs, start, end, advice, flags);
	if (!refused)
		r = host_userfault_madvise(addr, length, advice);
	else if (at > start)
		r = host_userfault_madvise(addr, at - start, advice);
	pairs_end(&pairs);
	library_exit();
	return refused && !r ? -ENODEV : r;
}

int anykvm_madvise(void *addr, size_t length, int advice)
{
	return api_result(advise(addr, length, advice));
}

/* Of memory of our own, of which the system takes all advice: as it goes about it, piece by piece. Bytes or -errno. */
static s64 advise_each(const struct iovec *iov, size_t n, int advice)
{
	u64 piece[2], done = 0;
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		if (user_copy_in(piece, (uintptr_t)&iov[i], sizeof(piece))) {
			r = -EFAULT;
			break;
		}
		piece[1] = MIN(piece[1], MAX_TRANSFER - done);
		r = advise((void *)(uintptr_t)piece[0], piece[1], advice);
		if (!r)
			done += piece[1];
	}
	return done ? (s64)done : r;
}

/* Whose the memory is, what the system makes of an empty vector says: it takes none of this advice for another process's. */
static bool is_advice_for_us(int pidfd, const struct iovec *iov, size_t n, int advice,
			     unsigned flags)
{
	/* It looks at the vector first: EBADF says that it can be read. */
	return host_sys_process_madvise(-1, iov, n, advice, flags) == -EBADF &&
	       !host_sys_process_madvise(pidfd, NULL, 0, advice, flags);
}

ssize_t anykvm_process_madvise(int pidfd, const struct iovec *iov, size_t n, int advice,
			       unsigned flags)
{
	u32 inval;

	if (!api_watches() || !advice_discards(advice, &inval) ||
	    !is_advice_for_us(pidfd, iov, n, advice, flags))
		return api_result(host_sys_process_madvise(pidfd, iov, n, advice, flags));
	guarded_install();
	return api_result(advise_each(iov, n, advice));
}
