/* SPDX-License-Identifier: MIT */
/*
 * The calls of <anykvm.h> that change host memory. Whatever may lie under a memory slot is changed inside a notifier pair, so
 * that guests see the change when the call returns; the pair knows itself whether a slot is concerned.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/shm.h>
#include <unistd.h>

#include "api/api.h"
#include "base/mman.h"
#include "host/fd.h"
#include "host/pages.h"
#include "host/passthrough.h"
#include "host/signal.h"
#include "host/userfault.h"
#include "host/vma.h"
#include "mem/notifier.h"
#include "mem/userfault.h"

static void *map_result(void *p)
{
	if (!host_map_failed(p))
		return p;
	errno = -host_map_error(p);
	return MAP_FAILED;
}

bool changed_range(const void *addr, size_t length, u64 *start, u64 *end)
{
	u64 page = host_page_size();

	*start = (uintptr_t)addr;
	*end = ALIGN_UP(*start + length, page);
	return IS_ALIGNED(*start, page) && length && *start + length > *start && *end > *start;
}

/* What is mapped at [start, end) goes, and something else may come, inside a pair: between begin and end. */
struct replacement {
	u64 start, end;
	struct mapping *spare;
	struct mem_inval_token t;
};

/* False: no memory, and nothing has begun. */
static bool replacement_begin(struct replacement *x, u64 start, u64 end)
{
	*x = (struct replacement){.start = start, .end = end, .spare = mapping_alloc()};
	if (!x->spare)
		return false;
	mem_invalidate_start(start, end, 0, &x->t);
	return true;
}

/* done: what was there is gone. */
static void replacement_end(struct replacement *x, bool done)
{
	if (done)
		mapping_forget(x->start, x->end, &x->spare);
	mem_invalidate_end(&x->t);
	/* A range that stays noted is only slower. */
	if (done)
		mem_userfault_remove(x->start, x->end);
	mapping_free(x->spare);
}

/* --- mmap ---------------------------------------------------------------------------------------------------------------- */

/* By the first and the last page of the mapping, as KVM asks. */
static bool touches_dirty_ring(const struct vm *vm, u64 offset, u64 length)
{
	u64 start, end, last = ALIGN_UP(offset + length, host_page_size()) - host_page_size();

	vm_ring_extent(vm, &start, &end);
	return (offset >= start && offset < end) || (last >= start && last < end);
}

/*
 * A vCPU's pages: the kvm_run page is the descriptor's own, but page 1 is the ring of the whole VM, which is another file. The
 * whole is mapped first, then page 1 replaced.
 */
static void *map_vcpu(struct api_file *f, void *addr, size_t length, int prot, int flags, int fd,
		      u64 offset)
{
	u64 page = host_page_size(), at = KVM_COALESCED_MMIO_PAGE_OFFSET * page;
	void *p, *q;
	int ring, r;

	if (touches_dirty_ring(f->vm, offset, length) && !(flags & MAP_SHARED))
		return (void *)(intptr_t)-EINVAL;
	r = vcpu_map_run(fd, f);
	if (r)
		return (void *)(intptr_t)r;
	if (offset > at || offset + length <= at)
		return host_mmap(addr, length, prot, flags, fd, offset);
	ring = coalesced_ring_fd(&f->vm->coalesced);
	if (ring < 0)
		return (void *)(intptr_t)ring;
	p = host_mmap(addr, length, prot, flags, fd, offset);
	if (host_map_failed(p))
		return p;
	q = host_mmap((char *)p + (at - offset), page, prot,
		      (flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED, ring, 0);
	if (host_map_failed(q)) {
		host_munmap(p, length);
		return q;
	}
	return p;
}

/* What the system looks at before it asks the file, in its order, and what the file itself refuses. */
static int map_refused(const struct api_file *f, const void *addr, size_t length, int prot,
		       int flags, u64 offset)
{
	u64 page = host_page_size();
	int type = flags & MAP_TYPE;

	if (!length || !IS_ALIGNED(offset, page))
		return -EINVAL;
	if ((flags & MAP_FIXED) && !IS_ALIGNED((uintptr_t)addr, page))
		return -EINVAL;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (api_kind_is_read_only(f->kind) && (prot & PROT_WRITE) && type != MAP_PRIVATE)
		return -EACCES;
	/* A descriptor of no file system is never executable, whatever the driver thinks. */
	if (prot & PROT_EXEC)
		return -EPERM;
	if (f->kind == API_GMEM)
		return library_in_pair() ? -EDEADLK : 0;
	return f->kind == API_VCPU ? 0 : -ENODEV;
}

static void *map_ours(struct file *file, void *addr, size_t length, int prot, int flags, int fd,
		      u64 offset)
{
	struct api_file *f = api_file_of(file);
	struct gmem_inode *inode = file->gmem ? gmem_inode_of(file->gmem) : NULL;
	struct mapping *record, *spare;
	bool replaces = (flags & MAP_FIXED) && !(flags & MAP_FIXED_NOREPLACE);
	struct mem_inval_token t;
	u64 start, end, sigmask = 0;
	void *p;
	int r;

	r = map_refused(f, addr, length, prot, flags, offset);
	if (r)
		return (void *)(intptr_t)r;
	record = mapping_alloc();
	spare = mapping_alloc();
	if (!record || !spare) {
		p = (void *)(intptr_t)-ENOMEM;
		goto free;
	}
	if (replaces && !changed_range(addr, length, &start, &end))
		replaces = false; /* refused below */
	if (inode)
		sigmask = gmem_mapping_begin(inode);
	if (replaces) {
		mem_invalidate_start(start, end, 0, &t);
		r = host_userfault_forget(addr, length);
	}
	if (r)
		p = (void *)(intptr_t)r;
	else
		p = inode ? gmem_map(file, addr, length, prot, flags, offset)
			  : map_vcpu(f, addr, length, prot, flags, fd, offset);
	if (!host_map_failed(p)) {
		start = (uintptr_t)p;
		end = ALIGN_UP(start + length, host_page_size());
		/* Also where nothing was to be replaced: the range may have been unmapped behind our back before. */
		mapping_forget(start, end, &spare);
		file_get(file);
		mapping_record(record, file, start, end, offset);
		record = NULL;
		if (inode)
			gmem_map_poison(file, start, end, offset);
		if (replaces)
			mem_userfault_remove(start, end);
	}
	if (replaces)
		mem_invalidate_end(&t);
	if (inode)
		gmem_mapping_end(inode, sigmask);
free:
	mapping_free(record);
	mapping_free(spare);
	return p;
}

/* A mapping of something else over [start, end). */
static void *map_over(u64 start, u64 end, void *addr, size_t length, int prot, int flags, int fd,
		      u64 offset)
{
	struct replacement x;
	void *p;

	if (!replacement_begin(&x, start, end))
		return (void *)(intptr_t)-ENOMEM;
	p = host_userfault_mmap(addr, length, prot, flags, fd, offset);
	replacement_end(&x, !host_map_failed(p));
	return p;
}

void *anykvm_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	struct file *file = NULL;
	u64 start, end;
	void *p;

	if (!(flags & MAP_ANONYMOUS) && fd_is_parents_gmem(fd))
		return map_result((void *)(intptr_t)-EIO);
	if (!api_watches())
		return map_result(host_mmap(addr, length, prot, flags, fd, offset));
	library_enter();
	if (!(flags & MAP_ANONYMOUS) && fd_is_ours(fd))
		file = fd_get(fd, false);
	/* The system maps what was the parent's. */
	if (file && api_file_of(file)->kind == API_ORPHAN) {
		file_put(file);
		file = NULL;
	}
	if (file) {
		p = map_ours(file, addr, length, prot, flags, fd, offset);
		file_put(file);
	} else if ((flags & MAP_FIXED) && changed_range(addr, length, &start, &end)) {
		p = map_over(start, end, addr, length, prot, flags, fd, offset);
	} else {
		p = host_mmap(addr, length, prot, flags, fd, offset);
	}
	library_exit();
	return map_result(p);
}

/* shmat with SHM_REMAP. */
static void *attach_over(u64 start, u64 end, int id, int flags)
{
	struct replacement x;
	void *p;

	if (!replacement_begin(&x, start, end))
		return (void *)(intptr_t)-ENOMEM;
	p = host_userfault_shmat((void *)(uintptr_t)start, end - start, id, flags);
	replacement_end(&x, !host_map_failed(p));
	return p;
}

void *anykvm_shmat(int id, const void *addr, int flags)
{
	u64 start = (uintptr_t)addr, end, size;
	void *p;

	if (flags & SHM_RND)
		start = ALIGN_DOWN(start, host_page_size());
	/* Elsewhere nothing is replaced. */
	if (!(flags & SHM_REMAP) || !api_watches() || host_sys_shm_size(id, &size) ||
	    !changed_range((void *)(uintptr_t)start, size, &start, &end))
		return map_result(host_sys_shmat(id, addr, flags));
	library_enter();
	p = attach_over(start, end, id, flags);
	library_exit();
	return map_result(p);
}

static int unmap(u64 start, u64 end)
{
	struct replacement x;
	int r;

	if (!replacement_begin(&x, start, end))
		return -ENOMEM;
	r = host_userfault_munmap((void *)(uintptr_t)start, end - start);
	replacement_end(&x, !r);
	return r;
}

int anykvm_munmap(void *addr, size_t length)
{
	u64 start, end;
	int r;

	if (!api_watches() || !changed_range(addr, length, &start, &end))
		return api_result(host_munmap(addr, length));
	library_enter();
	r = unmap(start, end);
	library_exit();
	return api_result(r);
}

/* --- mremap -------------------------------------------------------------------------------------------------------------- */

/* What the system looks at first: to is the new place of a MREMAP_FIXED. */
static bool remap_is_bad(u64 start, u64 old_size, u64 new_size, int flags, u64 to)
{
	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) || !new_size)
		return true;
	if (!(flags & MREMAP_FIXED))
		return false;
	return !(flags & MREMAP_MAYMOVE) || !IS_ALIGNED(to, host_page_size()) ||
	       (to < start + MAX(old_size, 1ull) && start < to + new_size);
}

/*
 * guest_memfd, mapped at [start, start + old_size): mapped anew where it is to be, then unmapped where it was. In between it is in
 * both places, which shared memory may be. Sizes are of whole pages.
 */
static void *remap_gmem(const struct mapping_piece *piece, u64 old_size, u64 new_size, int flags,
			void *to)
{
	u64 start = piece->start, end = start + old_size;
	int kind = MAP_SHARED | (flags & MREMAP_FIXED ? MAP_FIXED : 0), prot, r;
	struct host_vma vma;
	void *p;

	/* The system does not look whether all of the old size is mapped either. */
	if (!(flags & MREMAP_FIXED) && new_size <= old_size) {
		r = new_size < old_size ? unmap(start + new_size, end) : 0;
		return (void *)(intptr_t)(r ? r : (s64)start);
	}
	if (piece->end < end || host_vma_query(start, &vma))
		return (void *)(intptr_t)-EFAULT;
	prot = (vma.r ? PROT_READ : 0) | (vma.w ? PROT_WRITE : 0);
	if (!(flags & MREMAP_FIXED) && old_size) {
		p = map_ours(piece->file, (void *)(uintptr_t)end, new_size - old_size, prot,
			     MAP_SHARED | MAP_FIXED_NOREPLACE, -1, piece->offset + old_size);
		if (p == (void *)(uintptr_t)end)
			return (void *)(uintptr_t)start;
		if (!host_map_failed(p)) /* by a system that does not know the flag */
			unmap((uintptr_t)p, (uintptr_t)p + new_size - old_size);
	}
	if (!(flags & MREMAP_MAYMOVE))
		return (void *)(intptr_t)-ENOMEM;
	p = map_ours(piece->file, to, new_size, prot, kind, -1, piece->offset);
	if (!host_map_failed(p) && old_size)
		unmap(start, end); /* no memory: it stays there, too */
	return p;
}

/* A mapping of ours. A vCPU's stay where they are: nothing but a program's descriptor could name them anew. */
static void *remap_ours(u64 start, u64 old_size, u64 new_size, int flags, void *to)
{
	struct mapping_piece piece;
	void *p;

	if (remap_is_bad(start, old_size, new_size, flags, (uintptr_t)to) ||
	    !mapping_find_gmem_at(start, start + MAX(old_size, 1ull), &piece))
		return (void *)(intptr_t)-EINVAL;
	p = remap_gmem(&piece, ALIGN_UP(old_size, host_page_size()),
		       ALIGN_UP(new_size, host_page_size()), flags, to);
	file_put(piece.file);
	return p;
}

void *anykvm_mremap(void *old_address, size_t old_size, size_t new_size, int flags, ...)
{
	struct mem_inval_token from, to;
	u64 old_start = 0, old_end = 0, new_start = 0, new_end = 0, at;
	bool there, pair_old, pair_new = false;
	struct mapping *spare;
	void *new_address = NULL, *p;
	va_list ap;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(ap, flags);
		new_address = va_arg(ap, void *);
		va_end(ap);
	}
	if (!api_watches())
		return map_result(
			host_sys_mremap(old_address, old_size, new_size, flags, new_address));
	library_enter();
	there = changed_range(old_address, MAX(old_size, 1ul), &old_start, &old_end);
	/* Old size 0 makes a second mapping of shared memory: nothing goes away at the old place. */
	pair_old = there && old_size;
	if (flags & MREMAP_FIXED)
		pair_new = changed_range(new_address, new_size, &new_start, &new_end);
	/* The system's would be one that nobody here knows of. */
	if (there && mapping_first(old_start, old_end, true, &at)) {
		p = remap_ours(old_start, old_size, new_size, flags, new_address);
		library_exit();
		return map_result(p);
	}
	spare = mapping_alloc();
	if (!spare) {
		library_exit();
		errno = ENOMEM;
		return MAP_FAILED;
	}
	if (pair_old)
		mem_invalidate_start(old_start, old_end, 0, &from);
	if (pair_new)
		mem_invalidate_start(new_start, new_end, 0, &to);
	p = host_userfault_mremap(old_address, old_size, new_size, flags, new_address);
	if (pair_new && !host_map_failed(p))
		mapping_forget(new_start, new_end, &spare);
	if (pair_new)
		mem_invalidate_end(&to);
	if (pair_old)
		mem_invalidate_end(&from);
	mapping_free(spare);
	library_exit();
	return map_result(p);
}

/* --- explicit ------------------------------------------------------------------------------------------------------------ */

_Static_assert(sizeof(struct mem_inval_token) + 8 <= sizeof(struct anykvm_invalidate),
	       "struct anykvm_invalidate");

struct explicit_pair {
	u64 active;
	struct mem_inval_token t;
};

int anykvm_invalidate_start(const void *addr, size_t length, struct anykvm_invalidate *inv)
{
	struct explicit_pair *pair = (struct explicit_pair *)inv;
	u64 start = ALIGN_DOWN((uintptr_t)addr, host_page_size()), end = (uintptr_t)addr + length;

	pair->active = 0;
	if (!length || end < (uintptr_t)addr)
		return api_result(-EINVAL);
	if (!api_watches())
		return 0;
	library_enter();
	library_pair_begin();
	pair->active = 1;
	mem_invalidate_start(start, ALIGN_UP(end, host_page_size()), 0, &pair->t);
	return 0;
}

void anykvm_invalidate_end(struct anykvm_invalidate *inv)
{
	struct explicit_pair *pair = (struct explicit_pair *)inv;

	if (!pair->active)
		return;
	mem_invalidate_end(&pair->t);
	pair->active = 0;
	library_pair_end();
	library_exit();
}

void anykvm_mm_release(void)
{
	if (!api_watches())
		return;
	library_enter();
	mm_release();
	library_exit();
}
