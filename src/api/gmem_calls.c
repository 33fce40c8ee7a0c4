/* SPDX-License-Identifier: MIT */
/*
 * guest_memfd at the API: its descriptors are placeholders like all of ours, its host mappings are mappings of the storage's
 * memory file, which nobody but the library can name. So every change of the storage comes through here.
 *
 * What a host may not touch is mapped from another memory file, an empty one: a touch beyond its end is SIGBUS. That is a whole
 * mapping of a guest_memfd whose pages are not shared with the host, and each poisoned page of one whose pages are.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>

#include "api/api.h"
#include "api/pairs.h"
#include "host/fd.h"
#include "host/pages.h"
#include "host/passthrough.h"
#include "host/vma.h"

/* The empty file, made when it is first needed, for the life of the process. A descriptor or -errno. */
static int empty_file(void)
{
	struct api_process *p = api_process();
	u32 known = a32_load_acquire(&p->empty_file);
	int fd;

	if (known)
		return known - 1;
	fd = host_fd_move_high(host_memfd_create("anykvm-gmem-nothing", 0));
	if (fd < 0 || a32_cmpxchg(&p->empty_file, 0, fd + 1))
		return fd;
	host_close(fd);
	return a32_load_acquire(&p->empty_file) - 1;
}

s64 gmem_create_fd(struct vm *vm, u64 size, u64 flags)
{
	struct api_file what = {.kind = API_GMEM, .vm = vm};
	int r = gmem_create(&vm->mem, size, flags, &what.gmem);

	if (r)
		return r;
	vm_get(vm);
	r = fd_create(&what, "anykvm-gmem", false, -1);
	if (r >= 0)
		return r;
	gmem_file_release(what.gmem);
	/* Not the last: the caller's file holds a reference. */
	vm_put(vm);
	return r;
}

struct file *gmem_fd_get(u32 fd, int *error)
{
	struct file *f = fd_get(fd, false);

	if (f && f->gmem)
		return f;
	*error = f || host_sys_fcntl(fd, F_GETFD, 0) >= 0 ? -EINVAL : -EBADF;
	if (f)
		file_put(f);
	return NULL;
}

/* --- host mappings ------------------------------------------------------------------------------------------------------- */

void *gmem_map(struct file *file, void *addr, size_t length, int prot, int flags, u64 offset)
{
	struct gmem_inode *inode = gmem_inode_of(file->gmem);
	int fd;

	if (!(gmem_flags(inode) & GMEM_FLAG_MMAP))
		return (void *)(intptr_t)-ENODEV;
	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		return (void *)(intptr_t)-EINVAL;
	fd = gmem_flags(inode) & GMEM_FLAG_INIT_SHARED ? gmem_storage_open(inode) : empty_file();
	if (fd < 0)
		return (void *)(intptr_t)fd;
	return host_mmap(addr, length, prot, flags, fd, offset);
}

static bool maps_file(const struct host_vma *vma, int fd)
{
	u64 dev, inode;

	return !host_fd_identity(fd, &dev, &inode) && vma->dev == dev && vma->inode == inode;
}

/* [at, end) is one mapping of the host, of offset and on: each page gets the file that it should be of. */
static void remap_vma(const struct gmem_inode *inode, const struct host_vma *vma, u64 at, u64 end,
		      u64 offset)
{
	int prot = (vma->r ? PROT_READ : 0) | (vma->w ? PROT_WRITE : 0) | (vma->x ? PROT_EXEC : 0);
	int storage = gmem_storage_fd(inode), empty = empty_file();
	bool is_empty = empty >= 0 && maps_file(vma, empty);
	u64 page = host_page_size();

	/* What was recorded was mapped by gmem_map, so the storage is there. Or something else is, by a raw system call. */
	if (empty < 0 || (!is_empty && !maps_file(vma, storage)))
		return;
	for (; at < end; at += page, offset += page) {
		bool poisoned = gmem_is_poisoned(inode, offset);

		if (poisoned != is_empty)
			host_mmap((void *)(uintptr_t)at, page, prot, MAP_SHARED | MAP_FIXED,
				  poisoned ? empty : storage, poisoned ? 0 : offset);
	}
}

static void remap_piece(const struct gmem_inode *inode, const struct mapping_piece *piece)
{
	struct host_vma vma;
	u64 at = piece->start, next;

	if (!(gmem_flags(inode) & GMEM_FLAG_INIT_SHARED))
		return;
	for (; at < piece->end; at = next) {
		bool there = !host_vma_query(at, &vma);

		next = MIN(there ? vma.end : at + host_page_size(), piece->end);
		if (there)
			remap_vma(inode, &vma, at, next, piece->offset + (at - piece->start));
	}
}

void gmem_map_poison(struct file *file, u64 start, u64 end, u64 offset)
{
	const struct gmem_inode *inode = gmem_inode_of(file->gmem);
	struct mapping_piece piece = {.start = start, .end = end, .offset = offset};

	if (!gmem_has_poison(inode) || offset >= gmem_size(inode))
		return;
	piece.end = MIN(end, start + (gmem_size(inode) - offset));
	remap_piece(inode, &piece);
}

struct host_pairs {
	const struct gmem_inode *inode;
	struct gmem_host_ops ops;
	struct pairs pairs;
};

static void host_pairs_start(void *ctx, u64 from, u64 to, u32 flags)
{
	struct host_pairs *h = ctx;
	struct mapping_piece piece = {.end = 0};

	while (mapping_next_gmem(h->inode, from, to, piece.end, &piece) &&
	       pairs_add(&h->pairs, piece.start, piece.end))
		;
	pairs_start(&h->pairs, flags);
}

static void host_pairs_remap(void *ctx, u64 from, u64 to)
{
	struct host_pairs *h = ctx;
	struct mapping_piece piece = {.end = 0};

	while (mapping_next_gmem(h->inode, from, to, piece.end, &piece))
		remap_piece(h->inode, &piece);
}

static void host_pairs_end(void *ctx)
{
	struct host_pairs *h = ctx;

	pairs_end(&h->pairs);
}

static void host_pairs_init(struct host_pairs *h, const struct gmem_inode *inode)
{
	h->inode = inode;
	pairs_init(&h->pairs);
	h->ops = (struct gmem_host_ops){.start = host_pairs_start,
					.remap = host_pairs_remap,
					.end = host_pairs_end,
					.ctx = h};
}

/* --- changes of the storage ---------------------------------------------------------------------------------------------- */

static int punch(struct gmem_inode *inode, u64 from, u64 to)
{
	struct host_pairs host;

	host_pairs_init(&host, inode);
	return gmem_punch(inode, from, to, &host.ops);
}

static int poison(struct gmem_inode *inode, u64 from, u64 to)
{
	struct host_pairs host;
	int empty = empty_file();

	/* What the host cannot touch cannot be hit either. */
	if (!(gmem_flags(inode) & GMEM_FLAG_INIT_SHARED) || to > gmem_size(inode))
		return -EFAULT;
	if (empty < 0)
		return empty;
	host_pairs_init(&host, inode);
	return gmem_error(inode, from, to, &host.ops);
}

int gmem_fallocate(struct file *file, int mode, s64 offset, s64 len)
{
	struct gmem_inode *inode = gmem_inode_of(file->gmem);
	struct mem_stats *stats = &api_file_of(file)->vm->mem.stats;
	u64 page = host_page_size(), from = offset, to = from + len;
	int r;

	if (library_in_pair())
		return -EDEADLK;
	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (!(mode & FALLOC_FL_KEEP_SIZE) || (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)))
		return -EOPNOTSUPP;
	if ((s64)to < 0)
		return -EFBIG;
	if (!IS_ALIGNED(from, page) || !IS_ALIGNED(to, page))
		return -EINVAL;
	if (mode & FALLOC_FL_PUNCH_HOLE) {
		r = punch(inode, from, to);
		a64_fetch_add(&stats->gmem_punches, !r);
		return r;
	}
	if (to > gmem_size(inode))
		return -EINVAL;
	r = gmem_allocate(inode, from, to);
	a64_fetch_add(&stats->gmem_allocations, !r);
	return r;
}

/* Whether guest_memfd is mapped all over [start, end). */
static bool all_gmem(u64 start, u64 end)
{
	struct mapping_piece piece;

	for (; start < end; start = piece.end) {
		if (!mapping_find_gmem_at(start, end, &piece))
			return false;
		file_put(piece.file);
	}
	return true;
}

bool gmem_advise(u64 start, u64 end, int advice, int *r)
{
	struct mapping_piece piece;

	if ((advice != MADV_REMOVE && advice != MADV_HWPOISON) || !all_gmem(start, end))
		return false;
	*r = library_in_pair() ? -EDEADLK : 0;
	for (; start < end && !*r && mapping_find_gmem_at(start, end, &piece); start = piece.end) {
		struct gmem_inode *inode = gmem_inode_of(piece.file->gmem);
		u64 to = piece.offset + (piece.end - start);

		*r = advice == MADV_REMOVE ? punch(inode, piece.offset, to)
					   : poison(inode, piece.offset, to);
		file_put(piece.file);
	}
	return true;
}
