/* SPDX-License-Identifier: MIT */
/* guest_memfd: inode, views, bindings, lookup. */
#include "mem/gmem.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/bug.h"
#include "host/alloc.h"
#include "host/fd.h"
#include "host/pages.h"
#include "host/signal.h"
#include "mem/gmem_inode.h"
#include "mem/hook.h"
#include "mem/inval.h"
#include "mem/mmu.h"

#define SLOT_OF_NODE(n) container_of(n, struct memslot, gmem.node)

/* --- inode -------------------------------------------------------------------------------------------------------------- */

/* Large storage is aligned so that guest blocks and host huge pages fit it. */
static u64 storage_align(u64 size)
{
	return size >= 2 * MIB ? 2 * MIB : host_page_size();
}

/* A mapping of the whole storage at an aligned address, or -errno. A fork child does not get it. */
static int map_storage(struct gmem_inode *inode)
{
	u64 align = storage_align(inode->size), room = inode->size + align, start;
	void *p, *q;

	if (room < inode->size)
		return -ENOMEM;
	p = host_mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (host_map_failed(p))
		return host_map_error(p);
	start = ALIGN_UP((u64)(uintptr_t)p, align);
	q = host_mmap((void *)(uintptr_t)start, inode->size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED, inode->fd, 0);
	if (host_map_failed(q)) {
		host_munmap(p, room);
		return host_map_error(q);
	}
	if (start > (uintptr_t)p)
		host_munmap(p, start - (uintptr_t)p);
	if ((uintptr_t)p + room > start + inode->size)
		host_munmap((void *)(uintptr_t)(start + inode->size),
			    (uintptr_t)p + room - start - inode->size);
	host_madvise(q, inode->size, MADV_DONTFORK);
	inode->base = start;
	return 0;
}

int gmem_storage_make(struct gmem_inode *inode)
{
	int fd, r;

	if (likely(inode->storage))
		return 0;
	fd = host_memfd_create("anykvm-gmem-storage", inode->size);
	if (fd < 0)
		return fd == -EFBIG ? -ENOMEM : fd;
	inode->fd = host_fd_move_high(fd);
	r = map_storage(inode);
	if (r)
		host_close(inode->fd);
	else
		inode->storage = true;
	return r;
}

int gmem_storage_open(struct gmem_inode *inode)
{
	int r;

	mutex_assert_held(&inode->inval_lock);
	r = gmem_storage_make(inode);
	return r ? r : inode->fd;
}

int gmem_storage_fd(const struct gmem_inode *inode)
{
	return inode->fd;
}

static void inode_put(struct gmem_inode *inode)
{
	if (!ref_put(&inode->users))
		return;
	if (inode->storage) {
		host_munmap((void *)(uintptr_t)inode->base, inode->size);
		host_close(inode->fd);
	}
	gmem_poison_free(inode);
	mutex_fini(&inode->inval_lock);
	DELETE(inode);
}

/* Signals are blocked while it is held (LO-12): a handler of the program may come back for it. */
struct gmem_file *gmem_file_open(struct vm_mem *m, struct gmem_inode *inode)
{
	struct gmem_file *gf = NEW(struct gmem_file);
	u64 sigmask;

	if (!gf)
		return NULL;
	ref_get(&inode->users);
	gf->inode = inode;
	gf->mem = m;
	itree_init(&gf->bindings);
	sigmask = host_signals_block();
	mutex_lock(&inode->inval_lock);
	list_add_tail(&inode->files, &gf->on_inode);
	mutex_unlock(&inode->inval_lock);
	host_signals_restore(sigmask);
	return gf;
}

int gmem_create(struct vm_mem *m, u64 size, u64 flags, struct gmem_file **out)
{
	struct gmem_inode *inode;

	if (flags & ~GMEM_FLAGS)
		return -EINVAL;
	if ((s64)size <= 0 || !IS_ALIGNED(size, MAX(4096ull, host_page_size())))
		return -EINVAL;
	inode = NEW(struct gmem_inode);
	if (!inode)
		return -ENOMEM;
	ref_init(&inode->users, 1);
	mutex_init(&inode->inval_lock, RANK_INVAL, "inval_lock");
	list_init(&inode->files);
	inode->size = size;
	inode->flags = flags;
	*out = gmem_file_open(m, inode);
	/* The view has a count of its own. */
	inode_put(inode);
	return *out ? 0 : -ENOMEM;
}

struct gmem_inode *gmem_inode_of(const struct gmem_file *gf)
{
	return gf->inode;
}

u64 gmem_size(const struct gmem_inode *inode)
{
	return inode->size;
}

u64 gmem_flags(const struct gmem_inode *inode)
{
	return inode->flags;
}

/* --- zap ---------------------------------------------------------------------------------------------------------------- */

/* Pages [page, page_end) of slot s of m, which is bound there. */
static void unmap_pages(struct vm_mem *m, const struct gmem_file *gf, const struct memslot *s,
			u64 page, u64 page_end) REQUIRES(&m->mmu_lock)
{
	u64 first = MAX(page, s->gmem.node.start), last = MIN(page_end, s->gmem.node.end);
	u64 gfn = s->base_gfn + (first - s->gmem.node.start);
	u64 hva = gf->inode->base + first * 4096;

	inval_add(m, gfn, gfn + (last - first));
	/* May let go of mmu_lock: the count shuts new mappings out, inval_lock keeps the binding. */
	mmu_unmap_gfns(m, gfn, gfn + (last - first), hva, hva + (last - first) * 4096);
}

void gmem_zap_file_start(struct gmem_file *gf, u64 from, u64 to)
{
	u64 page = from / 4096, page_end = (to + 4095) / 4096;
	struct vm_mem *m = gf->mem;
	struct itree_node *n = itree_first_overlap(&gf->bindings, page, page_end);

	if (!n)
		return;
	write_lock(&m->mmu_lock);
	inval_raise(m);
	gf->raised = true;
	for (; n; n = itree_next_overlap(n, page, page_end))
		unmap_pages(m, gf, SLOT_OF_NODE(n), page, page_end);
	write_unlock(&m->mmu_lock);
}

void gmem_zap_file_finish(struct gmem_file *gf)
{
	if (!gf->raised)
		return;
	gf->raised = false;
	inval_lower(gf->mem);
}

void gmem_zap_start(struct gmem_inode *inode, u64 from, u64 to)
{
	struct gmem_file *gf;

	list_for_each(gf, &inode->files, on_inode) gmem_zap_file_start(gf, from, to);
}

void gmem_zap_finish(struct gmem_inode *inode)
{
	struct gmem_file *gf;

	list_for_each(gf, &inode->files, on_inode) gmem_zap_file_finish(gf);
}

/* --- bind, unbind, release ---------------------------------------------------------------------------------------------- */

int gmem_bind(struct vm_mem *m, struct memslot *s, struct file *f, u64 offset)
{
	struct gmem_file *gf = f->gmem;
	u64 page = offset / 4096, size = s->npages * 4096;
	struct gmem_inode *inode;
	int r;

	if (!gf || gf->mem != m)
		return -EINVAL;
	inode = gf->inode;
	if (offset + size > inode->size)
		return -EINVAL;
	mutex_lock(&inode->inval_lock);
	if (itree_first_overlap(&gf->bindings, page, page + s->npages))
		r = -EEXIST;
	else
		r = gmem_storage_make(inode);
	if (!r) {
		/* The node is the slot's own, so there is nothing here that could fail. */
		itree_insert(&gf->bindings, &s->gmem.node, page, page + s->npages);
		/* Release pairs with the acquire in gmem_page_get: the node comes with the pointer. */
		aptr_store_release(&s->gmem.file, f);
	}
	mutex_unlock(&inode->inval_lock);
	return r;
}

void gmem_unbind(struct vm_mem *m, struct memslot *s)
{
	struct file *f = aptr_load_relaxed(&s->gmem.file);
	struct gmem_inode *inode;

	if (!f)
		return;
	/* G-1: release waits for slots_lock, if it has begun at all. */
	mem_hook(HOOK_GMEM_UNBIND, s);
	inode = f->gmem->inode;
	mutex_lock(&inode->inval_lock);
	itree_remove(&f->gmem->bindings, &s->gmem.node);
	aptr_store_relaxed(&s->gmem.file, NULL);
	mutex_unlock(&inode->inval_lock);
}

/*
 * Slots first, so that no lookup that starts now gets anything; what lookups before have installed goes with the zap. Bindings go
 * with the view: a slot that names no file is unbound.
 */
static void release_bindings(struct gmem_inode *inode, struct gmem_file *gf)
	REQUIRES(&inode->inval_lock)
{
	struct itree_node *n;

	itree_for_each(n, &gf->bindings) aptr_store_relaxed(&SLOT_OF_NODE(n)->gmem.file, NULL);
	gmem_zap_file_start(gf, 0, inode->size);
	gmem_zap_file_finish(gf);
}

void gmem_file_release(struct gmem_file *gf)
{
	struct gmem_inode *inode = gf->inode;
	struct vm_mem *m = gf->mem;
	u64 sigmask = host_signals_block();

	mem_hook(HOOK_GMEM_RELEASE, gf);
	mutex_lock(&m->slots_lock);
	mutex_lock(&inode->inval_lock);
	release_bindings(inode, gf);
	list_del(&gf->on_inode);
	mutex_unlock(&inode->inval_lock);
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	/* G-5: no way leads to it any more. */
	DELETE(gf);
	inode_put(inode);
}

bool gmem_slot_hvas(struct vm_mem *m, const struct memslot *s, u64 *start, u64 *end)
{
	struct file *f = aptr_load_relaxed(&s->gmem.file);

	if (!f)
		return false;
	*start = f->gmem->inode->base + s->gmem.node.start * 4096;
	*end = *start + s->npages * 4096;
	return true;
}

/* --- lookup ------------------------------------------------------------------------------------------------------------- */

/* G-6: the load and the try are in one RCU section. */
static struct file *slot_file_get(const struct memslot *s)
{
	struct file *f;

	rcu_read_lock();
	/* Acquire pairs with the release in gmem_bind. */
	f = aptr_load_acquire(&s->gmem.file);
	mem_hook(HOOK_GMEM_LOADED, f);
	if (f && !file_try_get(f))
		f = NULL;
	rcu_read_unlock();
	return f;
}

int gmem_page_get(const struct memslot *s, u64 gfn, struct gmem_page *out)
{
	struct file *f = slot_file_get(s);
	struct gmem_inode *inode;
	u64 page, start, end;

	if (!f)
		return -EFAULT;
	mem_hook(HOOK_GMEM_GOT, f);
	/* G-3: from here to the put pointer and binding stand still. */
	BUG_ON(aptr_load_relaxed(&s->gmem.file) != f);
	out->file = f;
	inode = f->gmem->inode;
	page = s->gmem.node.start + (gfn - s->base_gfn);
	if (gmem_is_poisoned(inode, page * 4096)) {
		gmem_page_put(out);
		return -EHWPOISON;
	}
	start = s->gmem.node.start;
	end = s->gmem.node.end;
	gmem_poison_bounds(inode, page, &start, &end);
	out->hva = inode->base + page * 4096;
	out->start = inode->base + start * 4096;
	out->end = inode->base + end * 4096;
	return 0;
}

bool gmem_slot_facts(const struct memslot *s, struct gmem_slot_facts *out)
{
	struct file *f = slot_file_get(s);
	const struct gmem_inode *inode;

	if (!f)
		return false;
	/* G-3 */
	inode = f->gmem->inode;
	*out = (struct gmem_slot_facts){.offset = s->gmem.node.start * 4096,
					.hva = inode->base + s->gmem.node.start * 4096,
					.size = inode->size,
					.flags = inode->flags,
					.poison = gmem_has_poison(inode)};
	file_put(f);
	return true;
}

void gmem_page_put(const struct gmem_page *p)
{
	file_put(p->file);
}
