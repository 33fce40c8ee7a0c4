/* SPDX-License-Identifier: MIT */
/* What the host kernel knows about a mapping of this process, and populating it. Raw system calls only. */
#ifndef ANYKVM_HOST_VMA_H
#define ANYKVM_HOST_VMA_H

#include "base/types.h"

struct host_vma {
	u64 start, end; /* [start, end) hva */
	bool r, w, x;
	bool shared;
	bool hugetlb;
	bool hugepage_advised; /* transparent huge pages may back it: madvised, or policy "always" */
	u64 page_size;	       /* of the backing: 4096, or the hugetlb size */
	u64 dev, inode,
		offset; /* of the file; dev as in major << 20 | minor; 0 for anonymous memory */
};

/* The mapping that holds addr. 0, -ENOENT if there is none. */
int host_vma_query(u64 addr, struct host_vma *out);
/* Calls fn for each mapping of the process, in order, until it returns false. 0 or -errno. Changes meanwhile may be missed. */
int host_vma_each(bool (*fn)(void *ctx, const struct host_vma *v), void *ctx);

/*
 * Makes the host pages of [addr, addr + len) present for reading or writing. 0, or
 *   -EFAULT     not mapped, no permission, or a touch would raise SIGBUS
 *   -EHWPOISON  a poisoned page
 *   -EINTR      a signal; try again after looking at it
 *   -ENOMEM     the host is out of memory
 * addr and len are page aligned. May block (swap, userfaultfd).
 */
int host_populate(u64 addr, u64 len, bool write);
/*
 * Makes [offset, offset + len) of the memory file fd, an empty huge page mapped at addr, present as one huge page, whatever the
 * host's policy for such files is. 0, or an error: then what is there is as good as before, but not all may be.
 */
int host_file_populate_huge(int fd, u64 offset, u64 addr, u64 len);
/* For tests: forget what the kernel was found to offer and pretend it lacks PROCMAP_QUERY / MADV_POPULATE. */
void host_vma_test_fallbacks(bool no_procmap_query, bool no_populate);

#endif
