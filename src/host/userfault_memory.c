/* SPDX-License-Identifier: MIT */
/* Registering memory, and filling it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/context.h"
#include "base/mman.h"
#include "base/raw.h"
#include "host/alloc.h"
#include "host/guarded.h"
#include "host/passthrough.h"
#include "host/userfault_private.h"

#define TMPFS_KIND	0x01021994
#define PAGEMAP_PRESENT (BIT(63) | BIT(62)) /* in memory, or swapped out */
#define LAST_FD		65536u

/* --- registering --- */

/* A descriptor of our own, with its own position, of the file in memory that is dev:inode, if the process has it open. */
static int file_open(u64 dev, u64 inode)
{
	u32 limit = MIN(host_fd_limit(), (u64)LAST_FD);
	struct statfs fs;
	struct stat st;
	u64 d, i;

	for (u32 fd = 0; fd < limit; fd++) {
		char path[32] = "/proc/self/fd/";
		char digits[12];
		u32 n = 0, at = strlen(path);
		int copy;

		if (host_fd_identity(fd, &d, &i) || d != dev || i != inode)
			continue;
		for (u32 rest = fd; n == 0 || rest; rest /= 10)
			digits[n++] = '0' + rest % 10;
		while (n)
			path[at++] = digits[--n];
		copy = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
		if (copy < 0)
			continue;
		if (!raw_syscall(SYS_fstatfs, copy, &fs) && fs.f_type == TMPFS_KIND &&
		    !host_fd_identity(copy, &d, &i) && d == dev && i == inode &&
		    /* Not of huge pages: what is written for one page would bring its neighbours. */
		    !raw_syscall(SYS_fstat, copy, &st) && (u64)st.st_blksize <= host_page_size())
			return host_fd_move_high(copy);
		host_close(copy);
	}
	return -EINVAL;
}

static int file_get(struct userfault_state *s, u64 dev, u64 inode, struct userfault_file **out)
{
	struct itree_node *n;
	struct userfault_file *f;
	int fd;

	itree_for_each(n, &s->ranges)
	{
		f = range_of_node(n)->file;
		if (f && f->dev == dev && f->inode == inode) {
			f->refs++;
			*out = f;
			return 0;
		}
	}
	fd = file_open(dev, inode);
	if (fd < 0)
		return fd;
	f = NEW(struct userfault_file);
	if (!f) {
		host_close(fd);
		return -ENOMEM;
	}
	*f = (struct userfault_file){.refs = 1, .fd = fd, .dev = dev, .inode = inode};
	*out = f;
	return 0;
}

int userfault_range_look(struct userfault_state *s, struct userfault_range *r, u64 start, u64 end)
{
	u64 entry[64], first = r->node.start / host_page_size(), last = range_page(r, end), n;

	for (u64 i = range_page(r, start); i < last; i += n) {
		n = MIN(last - i, 64ull);

		if (raw_syscall(SYS_pread64, s->pagemap, entry, n * 8, (first + i) * 8) !=
		    (long)n * 8)
			return -EINVAL;
		for (u64 j = 0; j < n; j++)
			page_set(r, i + j, entry[j] & PAGEMAP_PRESENT);
	}
	return 0;
}

/* A range for [start, end), which lies in mapping v and in no range yet. */
static int range_make(struct userfault_state *s, struct host_userfault *u, u64 start, u64 end,
		      const struct host_vma *v, u64 mode, struct userfault_range **out)
{
	struct userfault_range *r;
	int ret = 0;

	if (v->hugetlb ||
	    (!v->shared && (v->inode || !(mode & USERFAULT_MISSING) || (mode & USERFAULT_MINOR))))
		return -EINVAL;
	r = userfault_range_alloc(start, end);
	if (!r)
		return -ENOMEM;
	r->u = u;
	r->mode = mode;
	r->prot = (v->r ? PROT_READ : 0) | (v->w ? PROT_WRITE : 0) | (v->x ? PROT_EXEC : 0);
	r->offset = v->offset + (start - v->start);
	if (v->shared)
		ret = file_get(s, v->dev, v->inode, &r->file);
	else
		/* What is written for one page would bring a huge one. Where the system knows of none, so be it. */
		raw_syscall(SYS_madvise, start, end - start, MADV_NOHUGEPAGE);
	if (!ret)
		ret = raw_syscall(SYS_mprotect, start, end - start, PROT_NONE);
	if (!ret) {
		ret = userfault_range_look(s, r, start, end);
		if (!ret)
			ret = userfault_range_protect(r, start, end, true, r->prot);
		if (ret)
			raw_syscall(SYS_mprotect, start, end - start, r->prot);
	}
	if (ret) {
		userfault_range_free(r);
		return ret;
	}
	*out = r;
	return 0;
}

/* All pieces of [start, end) that are mapped and have no range. On failure *made has what was made. */
static int ranges_make(struct userfault_state *s, struct host_userfault *u, u64 start, u64 end,
		       u64 mode, struct userfault_range **made)
{
	int ret = 0;

	for (u64 at = start, next; at < end && !ret; at = next) {
		struct userfault_range *r = userfault_range_at(s, at);
		struct host_vma v;

		if (r) {
			if (!r->file && mode != USERFAULT_MISSING)
				return -EINVAL;
			if (r->u != u)
				return -EBUSY;
			next = r->node.end;
			continue;
		}
		r = userfault_range_first(s, at, end);
		next = r ? r->node.start : end;
		ret = host_vma_next_system(at, &v);
		if (ret == -ENOENT || (!ret && v.start >= next)) {
			ret = 0;
			continue;
		}
		if (ret)
			break;
		at = MAX(at, v.start);
		next = MIN(next, v.end);
		ret = range_make(s, u, at, next, &v, mode, &r);
		if (ret)
			break;
		r->next = *made;
		*made = r;
	}
	return ret;
}

static void made_undo(struct userfault_range *made)
{
	while (made) {
		struct userfault_range *r = made;

		made = r->next;
		userfault_range_open(r);
		userfault_range_free(r);
	}
}

int host_userfault_register(struct host_userfault *u, u64 start, u64 end, u64 mode)
{
	struct userfault_state *s = userfault_state();
	struct userfault_range *made = NULL, *r;
	u64 sigmask;
	int ret;

	if (!s)
		return -EINVAL;
	sigmask = userfault_lock(s);
	ret = userfault_ranges_cut(s, start, end);
	if (!ret)
		ret = ranges_make(s, u, start, end, mode, &made);
	if (!ret && !made && !userfault_range_first(s, start, end))
		ret = -EINVAL;
	if (ret) {
		made_undo(made);
		userfault_unlock(s, sigmask);
		return ret;
	}
	/* What is served so, and more, stays as it is. */
	for (r = userfault_range_first(s, start, end); r; r = userfault_range_next(r, start, end))
		r->mode = (r->mode & mode) == mode ? r->mode : mode;
	while ((r = made)) {
		made = r->next;
		itree_insert(&s->ranges, &r->node, r->node.start, r->node.end);
	}
	a32_store(&s->any, 1);
	userfault_unlock(s, sigmask);
	return 0;
}

/* Where nothing is mapped there is nothing to do, and the kernel says so. */
int host_userfault_unregister(struct host_userfault *u, u64 start, u64 end)
{
	struct userfault_state *s = userfault_state();
	struct userfault_range *r;
	u64 sigmask;
	int ret = 0;

	if (!s)
		return -EINVAL;
	sigmask = userfault_lock(s);
	if (!userfault_range_first(s, start, end) && host_vma_is_hole_system(start, end))
		ret = -EINVAL;
	for (r = userfault_range_first(s, start, end); r; r = userfault_range_next(r, start, end)) {
		if (r->u != u)
			ret = -EINVAL;
	}
	if (!ret)
		ret = userfault_ranges_cut(s, start, end);
	if (!ret)
		userfault_ranges_remove(s, u, start, end, true);
	userfault_unlock(s, sigmask);
	return ret;
}

/* For a look at the mappings of [start, end), which has ranges. */
struct forgetting {
	struct userfault_state *s;
	u64 start, end;
};

/*
 * Missing pages get their rights where nobody mapped something else meanwhile: what is there has no rights, and is of the same kind. Of
 * files by any offset, since remap_file_pages leaves rights as they are.
 */
static bool open_missing(void *ctx, const struct host_vma *v)
{
	const struct forgetting *f = ctx;
	u64 start = MAX(v->start, f->start), end = MIN(v->end, f->end);
	struct userfault_range *r;

	if (start >= end || v->r || v->w || v->x)
		return v->start < f->end;
	for (r = userfault_range_first(f->s, start, end); r;
	     r = userfault_range_next(r, start, end)) {
		if (v->shared == !!r->file && v->dev == (r->file ? r->file->dev : 0) &&
		    v->inode == (r->file ? r->file->inode : 0))
			userfault_range_protect(r, MAX(start, r->node.start), MIN(end, r->node.end),
						false, r->prot);
	}
	return true;
}

int host_userfault_forget(void *addr, size_t len)
{
	struct userfault_state *s = userfault_state();
	struct forgetting f = {s, (uintptr_t)addr, 0};
	u64 sigmask;
	int ret;

	f.end = ALIGN_UP(f.start + len, host_page_size());
	if (likely(!s) || !a32_load_relaxed(&s->any))
		return 0;
	sigmask = userfault_lock(s);
	ret = userfault_ranges_cut(s, f.start, f.end);
	/* Where the system cannot be asked, nothing is taken for something else. */
	if (!ret && userfault_range_first(s, f.start, f.end))
		userfault_ranges_remove(s, NULL, f.start, f.end, host_vma_each(open_missing, &f));
	userfault_unlock(s, sigmask);
	return ret;
}

/* --- filling --- */

static int fill_private(struct userfault_state *s, u64 at, enum userfault_fill how, u64 src)
{
	u64 page = host_page_size();

	if (how == USERFAULT_ZERO)
		return 0; /* what the system finds missing is zero */
	return raw_syscall(SYS_pwrite64, s->mem, src, page, at) == (long)page ? 0 : -EFAULT;
}

static int fill_shared(const struct userfault_range *r, u64 at, enum userfault_fill how, u64 src)
{
	static const char zeros[4096];
	u64 offset = r->offset + (at - r->node.start), page = host_page_size(), size, done, part;
	long n;

	if (userfault_file_has_page(r, at))
		return how == USERFAULT_CONTINUE ? 0 : -EEXIST;
	if (how == USERFAULT_CONTINUE)
		return -EFAULT;
	size = userfault_file_size(r);
	if (offset >= size)
		return -EFAULT; /* by now */
	size = MIN(page, size - offset);
	for (done = 0; done < size; done += n) {
		part = how == USERFAULT_COPY ? size - done : MIN(size - done, sizeof(zeros));
		n = raw_syscall(SYS_pwrite64, r->file->fd,
				how == USERFAULT_COPY ? src + done : (u64)(uintptr_t)zeros, part,
				offset + done);
		if (n <= 0) {
			/* The system may have made a page for what did not come: that would count as filled. */
			raw_syscall(SYS_fallocate, r->file->fd,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, page);
			return n == -ENOSPC ? -ENOMEM : n ? n : -EFAULT;
		}
	}
	return 0;
}

/* A page of the program's, which may lie across two; asked of the system. */
static bool is_readable(u64 src)
{
	return host_readable8((const void *)(uintptr_t)src) &&
	       host_readable8((const void *)(uintptr_t)(src + host_page_size() - 8));
}

static int fill_page(struct userfault_state *s, enum userfault_fill how, u64 at, u64 src)
{
	struct userfault_range *r = userfault_range_at(s, at);
	int ret;

	if (!r)
		return -ENOENT;
	/* Whatever rights were given there. */
	if (r->file && r->offset + (at - r->node.start) >= userfault_file_size(r))
		return how == USERFAULT_CONTINUE ? -EINVAL : -EFAULT;
	if (page_is_present(r, range_page(r, at)))
		return how == USERFAULT_COPY && !is_readable(src) ? -EFAULT : -EEXIST;
	ret = r->file ? fill_shared(r, at, how, src) : fill_private(s, at, how, src);
	if (!ret)
		ret = raw_syscall(SYS_mprotect, at, host_page_size(), r->prot);
	if (ret)
		return ret;
	page_set(r, range_page(r, at), true);
	/* What is filled is there, for who looks at it (userfault_range_look). */
	if (how == USERFAULT_ZERO && !r->file)
		raw_syscall(SYS_madvise, at, host_page_size(), MADV_POPULATE_READ);
	return 0;
}

/* Under the lock: all of it is one mapping, whoever serves it, and of a kind that can be filled so. */
static int fill_check(struct userfault_state *s, enum userfault_fill how, bool wp, u64 dst, u64 end)
{
	struct userfault_range *r = userfault_ranges_as_one(s, dst, end);

	if (!r)
		return -ENOENT;
	/* Nothing is registered for write protection. */
	return wp || (how == USERFAULT_CONTINUE && !r->file) ? -EINVAL : 0;
}

s64 host_userfault_fill(enum userfault_fill how, bool wp, u64 dst, u64 src, u64 len)
{
	struct userfault_state *s = userfault_state();
	u64 page = host_page_size(), done, sigmask;
	int ret;

	if (!s)
		return -EINVAL;
	sigmask = userfault_lock(s);
	ret = fill_check(s, how, wp, dst, dst + len);
	userfault_unlock(s, sigmask);
	if (ret)
		return ret;
	for (done = 0; done < len && !ret; done += ret ? 0 : page) {
		sigmask = userfault_lock(s);
		ret = fill_page(s, how, dst + done, src + done);
		userfault_unlock(s, sigmask);
	}
	return done ? (s64)done : ret;
}

void host_userfault_wake(struct host_userfault *u, u64 start, u64 end)
{
	struct userfault_state *s = userfault_state();
	u64 sigmask;

	if (!s)
		return;
	sigmask = userfault_lock(s);
	userfault_wake_range(s, u, start, end);
	userfault_unlock(s, sigmask);
}

/* --- what it looks like to the program --- */

bool host_userfault_vma(u64 addr, struct host_vma *out)
{
	struct userfault_state *s = userfault_state();
	struct userfault_range *r;
	bool found = false;
	u64 sigmask;

	if (likely(!s) || !a32_load_relaxed(&s->any))
		return false;
	sigmask = userfault_lock(s);
	r = userfault_range_at(s, addr);
	if (r) {
		found = true;
		*out = (struct host_vma){
			.start = r->node.start,
			.end = r->node.end,
			.r = r->prot & PROT_READ,
			.w = r->prot & PROT_WRITE,
			.x = r->prot & PROT_EXEC,
			.shared = r->file,
			.page_size = host_page_size(),
			.dev = r->file ? r->file->dev : 0,
			.inode = r->file ? r->file->inode : 0,
			.offset = r->file ? r->offset : 0,
		};
	}
	userfault_unlock(s, sigmask);
	return found;
}
