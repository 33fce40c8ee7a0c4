/* SPDX-License-Identifier: MIT */
/*
 * The calls of <anykvm.h> that take memory out of files, which may lie under slots: pairs go around the change, one for each place
 * where the file is mapped. Of descriptors of ours only guest_memfd has memory to give; the others answer as KVM's, not as the
 * memory files that they are to the system.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "api/api.h"
#include "api/pairs.h"
#include "host/fd.h"
#include "host/pages.h"
#include "host/passthrough.h"
#include "host/signal.h"
#include "host/userfault.h"
#include "host/vma.h"

/* Where a change of [from, to) of a file is to be told. */
struct file_search {
	u64 dev, inode, from, to;
	struct pairs *found;
};

static bool file_search_look(void *ctx, const struct host_vma *vma)
{
	struct file_search *f = ctx;
	u64 end = vma->offset + (vma->end - vma->start);

	if (vma->inode != f->inode || vma->dev != f->dev || end <= f->from || vma->offset >= f->to)
		return true;
	return pairs_add(f->found, vma->start + (f->from > vma->offset ? f->from - vma->offset : 0),
			 f->to < end ? vma->start + (f->to - vma->offset) : vma->end);
}

void pairs_start_of_file(struct pairs *pairs, u64 dev, u64 inode, u64 from, u64 to)
{
	struct file_search f = {.dev = dev,
				.inode = inode,
				.from = ALIGN_DOWN(from, host_page_size()),
				.to = to,
				.found = pairs};

	pairs_init(pairs);
	if (host_vma_each(file_search_look, &f))
		pairs_add_all(pairs); /* not to be found out: assume the worst */
	pairs_start(pairs, MEM_INVAL_KEEP_VMA);
}

/* The same of the file behind fd. None, if fd names no file: the call will fail. */
static void file_pairs_start(int fd, u64 from, u64 to, struct pairs *pairs)
{
	u64 dev, inode;

	if (host_fd_identity(fd, &dev, &inode))
		pairs_init(pairs);
	else
		pairs_start_of_file(pairs, dev, inode, from, to);
}

/* Nobody waits or fills until host_userfault_thaw(*frozen). -ENOMEM: the file is to stay as it is. */
static int file_discard(int fd, u64 from, u64 to, bool *frozen)
{
	u64 dev, inode;

	*frozen = host_userfault_freeze();
	if (likely(!*frozen) || host_fd_identity(fd, &dev, &inode))
		return 0;
	return host_userfault_discard(dev, inode, from, to);
}

/* fallocate of what is no regular file, in the system's order. */
static int not_allocatable(const struct api_file *f, int mode, off_t offset, off_t len)
{
	int holes = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE |
		    FALLOC_FL_INSERT_RANGE;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | holes))
		return -EOPNOTSUPP;
	return api_kind_is_read_only(f->kind) ? -EBADF : -ENODEV;
}

int anykvm_ftruncate(int fd, off_t length)
{
	struct pairs pairs;
	struct file *ours;
	bool frozen;
	int r;

	if (fd_is_parents_gmem(fd))
		return api_result(-EIO);
	if (!api_watches() || length < 0)
		return api_result(host_ftruncate(fd, length));
	library_enter();
	ours = fd_is_ours(fd) ? fd_get(fd, false) : NULL;
	if (ours) {
		/* The size of guest_memfd is for ever, the others have none. */
		file_put(ours);
		library_exit();
		return api_result(-EINVAL);
	}
	file_pairs_start(fd, length, ~0ull, &pairs);
	r = file_discard(fd, length, ~0ull, &frozen);
	if (!r)
		r = host_ftruncate(fd, length);
	host_userfault_thaw(frozen);
	pairs_end(&pairs);
	library_exit();
	return api_result(r);
}

int anykvm_fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct pairs pairs;
	struct file *ours;
	u64 end, sigmask;
	bool frozen;
	int r = 0;

	if (fd_is_parents_gmem(fd))
		return api_result(-EIO);
	if (api_watches() && fd_is_ours(fd)) {
		library_enter();
		/* Blocking nests, so this is its only cost. */
		sigmask = host_signals_block();
		ours = fd_get(fd, false);
		if (ours) {
			r = ours->gmem ? gmem_fallocate(ours, mode, offset, len)
				       : not_allocatable(api_file_of(ours), mode, offset, len);
			file_put(ours);
		}
		host_signals_restore(sigmask);
		library_exit();
		if (ours)
			return api_result(r);
	}
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE |
		      FALLOC_FL_INSERT_RANGE)) ||
	    !api_watches() || offset < 0 || len <= 0)
		return api_result(host_fallocate(fd, mode, offset, len));
	library_enter();
	/* Collapsing and inserting move all that follows. */
	end = mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE) ? ~0ull
									 : (u64)offset + len;
	file_pairs_start(fd, offset, end, &pairs);
	r = file_discard(fd, offset, end, &frozen);
	if (!r)
		r = host_fallocate(fd, mode, offset, len);
	host_userfault_thaw(frozen);
	pairs_end(&pairs);
	library_exit();
	return api_result(r);
}
