/* SPDX-License-Identifier: MIT */
/*
 * What the program itself changes about registered memory. Pages go in three steps: no rights, so that nobody sees them; then the system
 * takes them; then they count as missing. A step that fails gives the rights back, and nothing has changed.
 */
#include <errno.h>

#include "base/context.h"
#include "base/mman.h"
#include "base/raw.h"
#include "host/passthrough.h"
#include "host/userfault_private.h"

/* Those of the range that lie in [start, end). */
static void pages_set(struct userfault_range *r, u64 start, u64 end, bool present)
{
	u64 last = range_page(r, MIN(end, r->node.end));

	for (u64 i = range_page(r, MAX(start, r->node.start)); i < last; i++)
		page_set(r, i, present);
}

/* The state, locked, if the page-aligned [addr, addr + len) has ranges, or (anywhere) if there are any. */
static struct userfault_state *changing_at(bool anywhere, const void *addr, size_t len, u64 *start,
					   u64 *end, u64 *sigmask)
{
	struct userfault_state *s = userfault_state();

	if (likely(!s) || !a32_load_relaxed(&s->any))
		return NULL;
	*start = (uintptr_t)addr;
	*end = ALIGN_UP(*start + len, host_page_size());
	if (!IS_ALIGNED(*start, host_page_size()) || *end <= *start)
		return NULL;
	*sigmask = userfault_lock(s);
	if (anywhere || userfault_range_first(s, *start, *end))
		return s;
	userfault_unlock(s, *sigmask);
	return NULL;
}

static struct userfault_state *changing(const void *addr, size_t len, u64 *start, u64 *end,
					u64 *sigmask)
{
	return changing_at(false, addr, len, start, end, sigmask);
}

/*
 * Something else was to be mapped at [start, end), whose ranges end there. A system that failed may have unmapped what was there before.
 */
static void replaced(struct userfault_state *s, u64 start, u64 end, bool done)
{
	if (done || host_vma_is_hole_system(start, end))
		userfault_ranges_remove(s, NULL, start, end, false);
}

static int unmap(struct userfault_state *s, u64 start, u64 end)
{
	int ret = userfault_ranges_cut(s, start, end);

	if (!ret)
		ret = host_munmap((void *)(uintptr_t)start, end - start);
	if (!ret)
		userfault_ranges_remove(s, NULL, start, end, false);
	return ret;
}

int host_userfault_munmap(void *addr, size_t len)
{
	u64 start, end, sigmask;
	struct userfault_state *s = changing(addr, len, &start, &end, &sigmask);
	int ret;

	if (likely(!s))
		return host_munmap(addr, len);
	ret = unmap(s, start, end);
	userfault_unlock(s, sigmask);
	return ret;
}

void *host_userfault_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 offset)
{
	u64 start, end, sigmask;
	struct userfault_state *s = NULL;
	void *p;
	int ret;

	if (flags & MAP_FIXED)
		s = changing(addr, len, &start, &end, &sigmask);
	if (likely(!s))
		return host_mmap(addr, len, prot, flags, fd, offset);
	ret = userfault_ranges_cut(s, start, end);
	p = ret ? (void *)(intptr_t)ret : host_mmap(addr, len, prot, flags, fd, offset);
	if (!ret)
		replaced(s, start, end, !host_map_failed(p));
	userfault_unlock(s, sigmask);
	return p;
}

void *host_userfault_shmat(void *at, size_t size, int id, int flags)
{
	u64 start, end, sigmask;
	struct userfault_state *s = changing(at, size, &start, &end, &sigmask);
	void *p;
	int ret;

	if (likely(!s))
		return host_sys_shmat(id, at, flags);
	ret = userfault_ranges_cut(s, start, end);
	p = ret ? (void *)(intptr_t)ret : host_sys_shmat(id, at, flags);
	if (!ret)
		replaced(s, start, end, !host_map_failed(p));
	userfault_unlock(s, sigmask);
	return p;
}

/*
 * Grows where it is, by its last page, which is a mapping with the same rights in any case. What is added is not registered. 0 or
 * -errno.
 */
static int grow(struct userfault_state *s, u64 end, u64 new_end)
{
	u64 page = host_page_size();
	struct userfault_range *r = userfault_range_at(s, end - page);
	void *last = (void *)(uintptr_t)(end - page), *added = (void *)(uintptr_t)end, *p;
	int ret;

	p = host_sys_mremap(last, page, new_end - (end - page), 0, NULL);
	if (host_map_failed(p))
		return host_map_error(p);
	ret = r ? host_mprotect(added, new_end - end, r->prot) : 0;
	if (ret)
		host_munmap(added, new_end - end);
	return ret;
}

/*
 * Without UFFD_FEATURE_EVENT_REMAP, which is not offered, memory that moves is registered no more; what MREMAP_DONTUNMAP leaves behind is,
 * and missing. To the system it must be one mapping. That missing pages can be accessed meanwhile is no matter: who moves memory has
 * nobody else in it.
 */
static void *move(struct userfault_state *s, u64 start, u64 end, size_t old_size, size_t new_size,
		  int flags, void *new_address)
{
	struct userfault_range *r;
	void *p = NULL;
	int ret = 0;

	/* As the kernel answers where it is several. */
	if (!userfault_ranges_as_one(s, start, end))
		return (void *)(intptr_t)-EFAULT;
	ret = userfault_ranges_cut(s, start, end);
	for (r = userfault_range_first(s, start, end); r && !ret;
	     r = userfault_range_next(r, start, end))
		ret = userfault_range_open(r);
	p = ret ? (void *)(intptr_t)ret
		: host_sys_mremap((void *)(uintptr_t)start, old_size, new_size, flags, new_address);
	if (!host_map_failed(p) && !(flags & MREMAP_DONTUNMAP)) {
		userfault_ranges_remove(s, NULL, start, end, false);
		return p;
	}
	for (r = userfault_range_first(s, start, end); r; r = userfault_range_next(r, start, end)) {
		if (!host_map_failed(p))
			pages_set(r, start, end, false);
		userfault_range_protect(r, r->node.start, r->node.end, false, PROT_NONE);
	}
	return p;
}

/* Under the lock. What the system refuses whatever is mapped, it is to refuse before anything is looked at here. */
static bool is_refused(u64 start, size_t old_size, size_t new_size, int flags, u64 to)
{
	if (!new_size || !old_size || new_size >= BIT(56) ||
	    (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)))
		return true;
	if (!(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
		return false;
	return !(flags & MREMAP_MAYMOVE) || ((flags & MREMAP_DONTUNMAP) && old_size != new_size) ||
	       ((flags & MREMAP_FIXED) &&
		(!IS_ALIGNED(to, host_page_size()) || to >= BIT(56) - new_size ||
		 (to < start + old_size && start < to + new_size)));
}

/* Under the lock, with ranges at the old place. */
static void *remap(struct userfault_state *s, u64 start, u64 end, size_t old_size, size_t new_size,
		   int flags, void *new_address)
{
	u64 new_end = ALIGN_UP(start + new_size, host_page_size());
	bool resizes = !(flags & ~MREMAP_MAYMOVE);
	void *p;
	int ret;

	if (is_refused(start, old_size, new_size, flags, (uintptr_t)new_address))
		return host_sys_mremap((void *)(uintptr_t)start, old_size, new_size, flags,
				       new_address);
	if (resizes && new_end <= end) {
		ret = new_end < end ? unmap(s, new_end, end) : 0;
		return (void *)(intptr_t)(ret ? ret : (s64)start);
	}
	if (resizes && !userfault_ranges_as_one(s, start, end))
		return (void *)(intptr_t)-EFAULT;
	if (resizes) {
		ret = grow(s, end, new_end);
		if (!ret || !(flags & MREMAP_MAYMOVE))
			return (void *)(intptr_t)(ret ? ret : (s64)start);
	}
	if (new_end >= end)
		return move(s, start, end, old_size, new_size, flags, new_address);
	/* It shrinks, for good, even if it then cannot move; but not to a place that the system has not. */
	ret = userfault_ranges_cut(s, new_end, end);
	if (ret)
		return (void *)(intptr_t)ret;
	p = userfault_range_first(s, start, new_end)
		    ? move(s, start, new_end, new_size, new_size, flags, new_address)
		    : host_sys_mremap((void *)(uintptr_t)start, new_size, new_size, flags,
				      new_address);
	if (!host_map_failed(p) || host_map_error(p) != -EINVAL)
		unmap(s, new_end, end);
	return p;
}

/* The old place may have ranges or not; where the new one has some, they go with what is mapped there. */
static void *remap_over(struct userfault_state *s, void *old, size_t old_size, size_t new_size,
			int flags, u64 to, u64 to_end)
{
	u64 start = (uintptr_t)old, end = ALIGN_UP(start + old_size, host_page_size());
	void *at = (void *)(uintptr_t)to, *p;
	int ret = userfault_ranges_cut(s, to, to_end);

	if (ret)
		return (void *)(intptr_t)ret;
	if (IS_ALIGNED(start, host_page_size()) && end > start &&
	    userfault_range_first(s, start, end))
		p = remap(s, start, end, old_size, new_size, flags, at);
	else
		p = host_sys_mremap(old, old_size, new_size, flags, at);
	replaced(s, to, to_end, !host_map_failed(p));
	return p;
}

void *host_userfault_mremap(void *old, size_t old_size, size_t new_size, int flags,
			    void *new_address)
{
	struct userfault_state *s = NULL;
	u64 start, end, sigmask;
	void *p;

	if (flags & MREMAP_FIXED)
		s = changing(new_address, new_size, &start, &end, &sigmask);
	if (s) {
		p = remap_over(s, old, old_size, new_size, flags, start, end);
		userfault_unlock(s, sigmask);
		return p;
	}
	s = changing(old, old_size, &start, &end, &sigmask);
	if (likely(!s))
		return host_sys_mremap(old, old_size, new_size, flags, new_address);
	p = remap(s, start, end, old_size, new_size, flags, new_address);
	userfault_unlock(s, sigmask);
	return p;
}

static int protect(u64 start, u64 len, int prot, int pkey)
{
	void *at = (void *)(uintptr_t)start;

	return pkey == -1 ? host_mprotect(at, len, prot)
			  : host_sys_pkey_mprotect(at, len, prot, pkey);
}

/* Missing pages keep no rights, but get the key, which later rights leave as it is. */
static int range_change_rights(struct userfault_range *r, int prot, int pkey)
{
	u64 page = host_page_size(), start = r->node.start, end, at;
	int ret = 0;

	for (at = start; at < r->node.end && !ret; at = end) {
		bool present = page_is_present(r, range_page(r, at));

		for (end = at + page;
		     end < r->node.end && page_is_present(r, range_page(r, end)) == present;
		     end += page)
			;
		if (present || pkey != -1)
			ret = protect(at, end - at, present ? prot : PROT_NONE, pkey);
	}
	return ret;
}

/* Piece by piece. */
int host_userfault_mprotect(void *addr, size_t len, int prot, int pkey)
{
	u64 start, end, sigmask, at;
	struct userfault_state *s = changing(addr, len, &start, &end, &sigmask);
	struct userfault_range *r;
	int ret;

	if (likely(!s))
		return protect((uintptr_t)addr, len, prot, pkey);
	ret = userfault_ranges_cut(s, start, end);
	for (at = start; at < end && !ret; at = r ? r->node.end : end) {
		r = userfault_range_first(s, at, end);
		if (!r || r->node.start > at)
			ret = protect(at, (r ? r->node.start : end) - at, prot, pkey);
		if (!r || ret)
			continue;
		ret = range_change_rights(r, prot, pkey);
		if (!ret)
			r->prot = prot;
	}
	userfault_unlock(s, sigmask);
	return ret;
}

/* Pages of [start, end) in r go, or do not. 0 or -errno of mprotect. */
static int pages_protect(struct userfault_range *r, u64 start, u64 end, int prot)
{
	return userfault_range_protect(r, MAX(start, r->node.start), MIN(end, r->node.end), true,
				       prot);
}

/* MADV_REMOVE takes pages from files, wherever these are mapped. */
static int discard_of_files(u64 start, u64 end)
{
	struct host_vma v;
	int ret = 0;

	for (u64 at = start; at < end && !ret; at = v.end) {
		if (host_vma_next_system(at, &v) || v.start >= end)
			break;
		at = MAX(at, v.start);
		if (v.shared && v.inode)
			ret = host_userfault_discard(v.dev, v.inode, v.offset + (at - v.start),
						     v.offset + (MIN(end, v.end) - v.start));
	}
	return ret;
}

/* Advice that takes pages, or gives some back that had nothing in them (guards). */
static int take_pages(struct userfault_state *s, u64 start, u64 end, int advice)
{
	struct userfault_range *r;
	bool asked, gone = false;
	int ret = 0;

	if (advice == MADV_REMOVE)
		ret = discard_of_files(start, end);
	for (r = userfault_range_first(s, start, end); r && !ret;
	     r = userfault_range_next(r, start, end))
		ret = pages_protect(r, start, end, PROT_NONE);
	asked = !ret;
	if (asked) {
		ret = host_madvise((void *)(uintptr_t)start, end - start, advice);
		/* ENOMEM: some of the range is not mapped, and the advice was taken for the rest. */
		gone = !ret || ret == -ENOMEM;
	}
	for (r = userfault_range_first(s, start, end); r; r = userfault_range_next(r, start, end)) {
		/* Guards stay, but for the advice to remove them. What was refused may have been taken in part. */
		if ((gone || (asked && !r->file)) &&
		    userfault_range_look(s, r, MAX(start, r->node.start), MIN(end, r->node.end)) &&
		    gone)
			pages_set(r, start, end, false);
		pages_protect(r, start, end, r->prot);
	}
	return ret;
}

/* Guards are the system's to refuse accesses to. */
static int install_guards(struct userfault_state *s, u64 start, u64 end)
{
	int ret = host_madvise((void *)(uintptr_t)start, end - start, MADV_GUARD_INSTALL);
	struct userfault_range *r = userfault_range_first(s, start, end);

	/* ENOMEM: all but what is not mapped. */
	for (; r && (!ret || ret == -ENOMEM); r = userfault_range_next(r, start, end)) {
		if (!userfault_range_protect(r, MAX(start, r->node.start), MIN(end, r->node.end),
					     false, r->prot))
			pages_set(r, start, end, true);
	}
	return ret;
}

/*
 * What the system may take at any time, and need not: it keeps private pages, since nobody would be told when they are gone. The rest is
 * its to refuse.
 */
static int keep_free(struct userfault_state *s, u64 start, u64 end)
{
	int ret = 0, err;

	for (u64 at = start, to; at < end; at = to) {
		struct userfault_range *r = userfault_range_first(s, at, end);
		bool before = !r || r->node.start > at;

		to = !r ? end : before ? r->node.start : MIN(r->node.end, end);
		if (!before && !r->file)
			continue;
		err = host_madvise((void *)(uintptr_t)at, to - at, MADV_FREE);
		/* What is not mapped is told at the end. */
		if (err && err != -ENOMEM)
			return err;
		ret = err ? err : ret;
	}
	return ret;
}

/* The system finds missing pages without rights, which it tells from rights of the program's: these it is to see as what it cannot access. */
static int populate(struct userfault_state *s, u64 start, u64 end, int advice)
{
	int need = advice == MADV_POPULATE_WRITE ? PROT_WRITE : PROT_READ;
	int ret = host_madvise((void *)(uintptr_t)start, end - start, advice);
	struct userfault_range *r = userfault_range_first(s, start, end);

	/* So it answers also what it does not know. */
	if (ret == -EINVAL && host_madvise((void *)(uintptr_t)start, 0, advice) == -EINVAL)
		return ret;
	for (; r && ret == -EINVAL; r = userfault_range_next(r, start, end)) {
		u64 to = MIN(end, r->node.end);

		for (u64 at = MAX(start, r->node.start); at < to; at += host_page_size())
			if ((r->prot & need) && !page_is_present(r, range_page(r, at)))
				return -EFAULT;
	}
	return ret;
}

int host_userfault_madvise(void *addr, size_t len, int advice)
{
	struct userfault_state *s = NULL;
	u64 start, end, sigmask;
	int ret;

	if (advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED || advice == MADV_REMOVE ||
	    advice == MADV_FREE || advice == MADV_GUARD_INSTALL || advice == MADV_GUARD_REMOVE ||
	    advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		s = changing_at(advice == MADV_REMOVE, addr, len, &start, &end, &sigmask);
	if (likely(!s))
		return host_madvise(addr, len, advice);
	if (advice == MADV_GUARD_INSTALL)
		ret = install_guards(s, start, end);
	else if (advice == MADV_FREE)
		ret = keep_free(s, start, end);
	else if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		ret = populate(s, start, end, advice);
	else
		ret = take_pages(s, start, end, advice);
	userfault_unlock(s, sigmask);
	return ret;
}

bool host_userfault_freeze(void)
{
	struct userfault_state *s = userfault_state();

	if (likely(!s) || !a32_load_relaxed(&s->any))
		return false;
	userfault_lock(s);
	return true;
}

/* Where r has the pages of [from, to) of its file. False: nowhere. */
static bool range_of_file(const struct userfault_range *r, u64 from, u64 to, u64 *start, u64 *end)
{
	u64 length = r->node.end - r->node.start;

	if (to <= r->offset || from >= r->offset + length)
		return false;
	*start = r->node.start + (from > r->offset ? from - r->offset : 0);
	*end = r->node.start + MIN(to - r->offset, length);
	return *start < *end;
}

/* Who waits for a page that may be beyond the end soon looks again. */
static void wake_beyond(struct userfault_state *s, u64 dev, u64 inode, u64 from)
{
	struct itree_node *n;

	itree_for_each(n, &s->ranges)
	{
		struct userfault_range *r = range_of_node(n);
		u64 start, end;

		if (r->file && r->file->dev == dev && r->file->inode == inode &&
		    range_of_file(r, from, ~0ull, &start, &end))
			userfault_wake_range(s, r->u, start, end);
	}
}

/* Pages that the file keeps a part of stay. */
int host_userfault_discard(u64 dev, u64 inode, u64 from, u64 to)
{
	struct userfault_state *s = userfault_state();
	struct itree_node *n;
	bool beyond = to == ~0ull;
	int ret = 0;

	from = ALIGN_UP(from, host_page_size());
	to = ALIGN_DOWN(to, host_page_size());
	itree_for_each(n, &s->ranges)
	{
		struct userfault_range *r = range_of_node(n);
		u64 start, end, first = from;

		if (!r->file || r->file->dev != dev || r->file->inode != inode)
			continue;
		/* Beyond the old end, rights were given without a page: where the file grows they are missing. */
		if (beyond)
			first = MIN(from, ALIGN_UP(userfault_file_size(r), host_page_size()));
		if (!range_of_file(r, first, to, &start, &end))
			continue;
		ret = pages_protect(r, start, end, PROT_NONE);
		if (ret) {
			/* What was discarded before counts as missing here, and is in the file: the next access finds it. */
			pages_protect(r, start, end, r->prot);
			break;
		}
		pages_set(r, start, end, false);
	}
	if (beyond && !ret)
		wake_beyond(s, dev, inode, from);
	return ret;
}

void host_userfault_thaw(bool frozen)
{
	if (frozen)
		userfault_unlock(userfault_state(), thread_context.signals_mask);
}
