/* SPDX-License-Identifier: MIT */
/* Registered ranges: their tree, their pages, their rights. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/raw.h"
#include "host/alloc.h"
#include "host/userfault_private.h"

static u64 bitmap_size(u64 pages)
{
	return ALIGN_UP(pages, 64) / 8;
}

struct userfault_range *userfault_range_alloc(u64 start, u64 end)
{
	struct userfault_range *r = NEW(struct userfault_range);
	u64 pages = (end - start) / host_page_size();

	if (!r)
		return NULL;
	r->present = host_alloc(bitmap_size(pages));
	if (!r->present) {
		DELETE(r);
		return NULL;
	}
	r->node.start = start;
	r->node.end = end;
	return r;
}

void userfault_range_free(struct userfault_range *r)
{
	if (r->file && !--r->file->refs) {
		host_close(r->file->fd);
		DELETE(r->file);
	}
	host_free(r->present, bitmap_size(range_pages(r)));
	DELETE(r);
}

static struct userfault_range *part_of(const struct userfault_range *r, u64 start, u64 end)
{
	struct userfault_range *part = userfault_range_alloc(start, end);
	u64 first = range_page(r, start);

	if (!part)
		return NULL;
	part->u = r->u;
	part->file = r->file;
	part->offset = r->offset + (start - r->node.start);
	part->mode = r->mode;
	part->prot = r->prot;
	for (u64 i = 0; i < range_pages(part); i++)
		page_set(part, i, page_is_present(r, first + i));
	return part;
}

static int cut_at(struct userfault_state *s, u64 at)
{
	struct userfault_range *r = userfault_range_at(s, at), *left, *right;

	if (!r || r->node.start == at)
		return 0;
	left = part_of(r, r->node.start, at);
	right = part_of(r, at, r->node.end);
	if (left && right && r->file)
		r->file->refs += 2;
	if (!left || !right) {
		/* Its file's references were not taken yet. */
		if (left)
			left->file = NULL;
		if (right)
			right->file = NULL;
		if (left)
			userfault_range_free(left);
		if (right)
			userfault_range_free(right);
		return -ENOMEM;
	}
	itree_remove(&s->ranges, &r->node);
	itree_insert(&s->ranges, &left->node, left->node.start, left->node.end);
	itree_insert(&s->ranges, &right->node, right->node.start, right->node.end);
	userfault_range_free(r);
	return 0;
}

int userfault_ranges_cut(struct userfault_state *s, u64 start, u64 end)
{
	int ret = cut_at(s, start);

	return ret ? ret : cut_at(s, end);
}

static bool is_continued_by(const struct userfault_range *r, const struct userfault_range *next)
{
	return next && next->u == r->u && next->mode == r->mode && next->prot == r->prot &&
	       next->file == r->file &&
	       (!r->file || next->offset == r->offset + (r->node.end - r->node.start));
}

struct userfault_range *userfault_ranges_as_one(struct userfault_state *s, u64 start, u64 end)
{
	struct userfault_range *first = userfault_range_at(s, start), *r = first, *next;

	for (; r && r->node.end < end; r = next) {
		next = userfault_range_at(s, r->node.end);
		if (!is_continued_by(r, next))
			next = NULL;
	}
	return r ? first : NULL;
}

int userfault_range_protect(struct userfault_range *r, u64 start, u64 end, bool present, int prot)
{
	u64 page = host_page_size(), first = range_page(r, start), last = range_page(r, end);
	int ret = 0;

	for (u64 i = first, n; i < last && !ret; i += MAX(n, 1ull)) {
		for (n = 0; i + n < last && page_is_present(r, i + n) == present; n++)
			;
		if (n)
			ret = raw_syscall(SYS_mprotect, r->node.start + i * page, n * page, prot);
	}
	return ret;
}

int userfault_range_open(const struct userfault_range *r)
{
	return raw_syscall(SYS_mprotect, r->node.start, r->node.end - r->node.start, r->prot);
}

void userfault_ranges_remove(struct userfault_state *s, struct host_userfault *u, u64 start,
			     u64 end, bool mapped)
{
	struct userfault_range *r = userfault_range_first(s, start, end), *next;

	for (; r; r = next) {
		next = userfault_range_next(r, start, end);
		if (u && r->u != u)
			continue;
		if (mapped)
			userfault_range_open(r);
		userfault_wake_range(s, r->u, r->node.start, r->node.end);
		itree_remove(&s->ranges, &r->node);
		userfault_range_free(r);
	}
	a32_store(&s->any, !itree_empty(&s->ranges));
}

void userfault_wake_range(struct userfault_state *s, struct host_userfault *u, u64 start, u64 end)
{
	struct userfault_waiter **at = &s->waiters, *w;

	while ((w = *at)) {
		if (w->u != u || w->page < start || w->page >= end) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		/* From here on it is free to go; the wake uses its address alone. */
		a32_store_release(&w->woken, 1);
		raw_syscall(SYS_futex, &w->woken.v, 129 /* WAKE, private */, 1);
	}
}

bool userfault_file_has_page(const struct userfault_range *r, u64 addr)
{
	u64 at = r->offset + (addr - r->node.start);
	long data = raw_syscall(SYS_lseek, r->file->fd, at, SEEK_DATA);

	return data >= 0 && (u64)data < at + host_page_size();
}

u64 userfault_file_size(const struct userfault_range *r)
{
	struct stat st = {0};

	raw_syscall(SYS_fstat, r->file->fd, &st);
	return st.st_size;
}
