/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "base/context.h"
#include "base/mman.h"
#include "host/fd.h"
#include "host/guarded.h"
#include "host/pages.h"
#include "host/process_host.h"
#include "base/raw.h"
#include "host/userfault_private.h"

/* The argument of ioctl 17 of /proc/PID/maps (Linux 6.11). */
struct vma_query {
	u64 size, query_flags, query_addr;
	u64 vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	u32 dev_major, dev_minor;
	u32 vma_name_size, build_id_size;
	u64 vma_name_addr, build_id_addr;
};
_Static_assert(sizeof(struct vma_query) == 104, "PROCMAP_QUERY");
#define VMA_QUERY_IOCTL (3u << 30 | (u32)sizeof(struct vma_query) << 16 | 'f' << 8 | 17)
enum { VMA_READ = 1, VMA_WRITE = 2, VMA_EXEC = 4, VMA_SHARED = 8, VMA_OR_NEXT = 16 };

enum { UNKNOWN, PRESENT, MISSING };

#define MAX_TOUCHES 1000

static int open_ro(const char *path)
{
	return raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

/* Policy "always" of transparent huge pages; looked up once. A single mapping's advice is in smaps only, too slow to read. */
static bool thp_always(void)
{
	struct host_process *p = host_process();
	char buf[64] = "";
	int fd;
	u32 known = a32_load_relaxed(&p->thp_always);

	if (known != UNKNOWN)
		return known == PRESENT;
	fd = open_ro("/sys/kernel/mm/transparent_hugepage/enabled");
	if (fd >= 0) {
		host_read(fd, buf, sizeof(buf) - 1);
		host_close(fd);
	}
	known = strstr(buf, "[always]") ? PRESENT : MISSING;
	a32_store_relaxed(&p->thp_always, known);
	return known == PRESENT;
}

static int query_ioctl(int fd, u64 addr, struct host_vma *out)
{
	struct vma_query q = {.size = sizeof(q), .query_flags = VMA_OR_NEXT, .query_addr = addr};
	int ret = raw_syscall(SYS_ioctl, fd, VMA_QUERY_IOCTL, &q);

	if (ret < 0)
		return ret;
	*out = (struct host_vma){
		.start = q.vma_start,
		.end = q.vma_end,
		.r = q.vma_flags & VMA_READ,
		.w = q.vma_flags & VMA_WRITE,
		.x = q.vma_flags & VMA_EXEC,
		.shared = q.vma_flags & VMA_SHARED,
		.hugetlb = q.vma_page_size > host_page_size(),
		.page_size = q.vma_page_size,
		.dev = (u64)q.dev_major << 20 | q.dev_minor,
		.inode = q.inode,
		.offset = q.vma_offset,
	};
	return 0;
}

static const char *parse_number(const char *s, unsigned base, u64 *out)
{
	u64 v = 0;

	for (;; s++) {
		unsigned d;

		if (*s >= '0' && *s <= '9')
			d = *s - '0';
		else if (base == 16 && *s >= 'a' && *s <= 'f')
			d = *s - 'a' + 10;
		else
			break;
		v = v * base + d;
	}
	*out = v;
	return s;
}

/* "start-end rwxp offset major:minor inode   name" */
static void parse_line(const char *s, struct host_vma *v)
{
	u64 major, minor;

	memset(v, 0, sizeof(*v));
	s = parse_number(s, 16, &v->start);
	s = parse_number(s + (*s == '-'), 16, &v->end);
	if (strlen(s) < 6)
		return;
	v->r = s[1] == 'r';
	v->w = s[2] == 'w';
	v->x = s[3] == 'x';
	v->shared = s[4] == 's';
	s = parse_number(s + 6, 16, &v->offset);
	s = parse_number(s + (*s == ' '), 16, &major);
	s = parse_number(s + (*s == ':'), 16, &minor);
	s = parse_number(s + (*s == ' '), 10, &v->inode);
	v->dev = major << 20 | minor;
	v->page_size = host_page_size();
	if (strstr(s, "/anon_hugepage")) {
		v->hugetlb = true;
		v->page_size = 2 * MIB;
	}
}

/* Reads maps line by line; lines longer than the buffer (path names) lose their end only. */
static int query_text(int fd, u64 addr, struct host_vma *out)
{
	char buf[4096], line[300];
	size_t fill = 0;
	bool any = false;
	s64 n;

	while ((n = host_read(fd, buf, sizeof(buf))) > 0) {
		for (s64 i = 0; i < n; i++) {
			if (buf[i] != '\n') {
				if (fill < sizeof(line) - 1)
					line[fill++] = buf[i];
				continue;
			}
			line[fill] = 0;
			fill = 0;
			any = true;
			parse_line(line, out);
			if (addr < out->end)
				return 0;
		}
	}
	/* Every process has mappings: a list without one (qemu-user out of descriptors) says nothing. */
	return n < 0 ? n : any ? -ENOENT : -EIO;
}

int host_vma_each(bool (*fn)(void *ctx, const struct host_vma *v), void *ctx)
{
	char buf[4096], line[300];
	struct host_vma vma;
	size_t fill = 0;
	bool more = true;
	s64 n;
	int fd;

	CONTEXT_MAY_BLOCK("mapping query");
	fd = open_ro("/proc/self/maps");
	if (fd < 0)
		return fd;
	while (more && (n = host_read(fd, buf, sizeof(buf))) > 0) {
		for (s64 i = 0; more && i < n; i++) {
			if (buf[i] != '\n') {
				if (fill < sizeof(line) - 1)
					line[fill++] = buf[i];
				continue;
			}
			line[fill] = 0;
			fill = 0;
			parse_line(line, &vma);
			more = fn(ctx, &vma);
		}
	}
	host_close(fd);
	return more && n < 0 ? n : 0;
}

int host_vma_query(u64 addr, struct host_vma *out)
{
	int ret;

	if (host_userfault_vma(addr, out))
		return 0;
	ret = host_vma_next_system(addr, out);
	return !ret && addr < out->start ? -ENOENT : ret;
}

int host_vma_next_system(u64 addr, struct host_vma *out)
{
	struct host_process *p = host_process();
	int fd, ret = -ENOTTY;

	CONTEXT_MAY_BLOCK("mapping query");
	/* Opened anew each time: a descriptor kept open would name the parent's mappings in a fork child. */
	fd = open_ro("/proc/self/maps");
	if (fd < 0)
		return fd == -ENOENT ? -EIO : fd; /* -ENOENT is an answer about addr */
	if (a32_load_relaxed(&p->procmap_query) != MISSING) {
		ret = query_ioctl(fd, addr, out);
		if (ret == -ENOTTY || ret == -EINVAL || ret == -ENOSYS || ret == -EFAULT)
			a32_store_relaxed(&p->procmap_query, MISSING);
	}
	if (a32_load_relaxed(&p->procmap_query) == MISSING)
		ret = query_text(fd, addr, out);
	host_close(fd);
	if (!ret)
		out->hugepage_advised = thp_always();
	return ret;
}

bool host_vma_is_hole_system(u64 start, u64 end)
{
	struct host_vma v;
	int ret = host_vma_next_system(start, &v);

	return ret == -ENOENT || (!ret && v.start >= end);
}

/*
 * Whether the kernel has MADV_POPULATE. Its EINVAL also means "no permission", and qemu-user takes any advice and does nothing:
 * so it must work on a page of our own and then fail on it once that has no access.
 */
static bool populate_present(void)
{
	struct host_process *p = host_process();
	u32 known = a32_load_relaxed(&p->populate);
	u64 size = host_page_size();
	void *page;

	if (likely(known != UNKNOWN))
		return known == PRESENT;
	page = host_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (host_map_failed(page))
		return false;
	known = MISSING;
	if (!host_madvise(page, size, MADV_POPULATE_WRITE) &&
	    !host_mprotect(page, size, PROT_NONE) && host_madvise(page, size, MADV_POPULATE_WRITE))
		known = PRESENT;
	host_munmap(page, size);
	a32_store_relaxed(&p->populate, known);
	return known == PRESENT;
}

/* Up to *at, which could not be accessed, or to the end. */
static int touch(u64 *at, u64 end, bool write)
{
	for (; *at < end; *at += host_page_size()) {
		void *hva = (void *)(uintptr_t)*at;
		u8 byte;

		/* Adding 0 takes the write fault and changes nothing, whoever else writes. */
		if (write ? !guarded_fetch_add8(hva, 0, &byte) : !guarded_load8(hva, &byte))
			return -EFAULT;
	}
	return 0;
}

/* The same, with pages that a pager serves: it may take one away as soon as it was there, but not for ever. */
static int touch_served(u64 addr, u64 end, bool write)
{
	enum userfault_outcome outcome;
	u64 at = addr;
	int ret;

	for (u32 i = 0; i < MAX_TOUCHES; i++) {
		ret = touch(&at, end, write);
		if (!ret)
			return 0;
		outcome = host_userfault_serve(at, write, false);
		if (outcome == USERFAULT_NOT_OURS)
			break;
		if (outcome == USERFAULT_SERVED)
			i = 0;
	}
	/* Perhaps nobody serves it since a moment ago. */
	return touch(&at, end, write);
}

int host_populate(u64 addr, u64 len, bool write)
{
	int ret;

	CONTEXT_MAY_SLEEP("populating pages");
	/* Most pages are there, and a touch costs a few cycles. One that fails does not say why. */
	ret = touch_served(addr, addr + len, write);
	if (!ret || !populate_present())
		return ret;
	do
		ret = host_madvise((void *)(uintptr_t)addr, len,
				   write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	while (ret == -EAGAIN);
	switch (ret) {
	case 0:
	case -EHWPOISON:
	case -EINTR:
		return ret;
	case -ENOMEM: {
		/* Either nothing is mapped there or the host is out of memory. */
		struct host_vma vma;

		return host_vma_query(addr, &vma) ? -EFAULT : -ENOMEM;
	}
	default: /* no permission; or a mapping that cannot be populated (I/O), and the touch has failed */
		return -EFAULT;
	}
}

/* Whether [offset, offset + len) of fd has no page, or (hole: false) no hole. */
static bool file_range_is(int fd, u64 offset, u64 len, bool hole)
{
	long at = raw_syscall(SYS_lseek, fd, offset, hole ? SEEK_DATA : SEEK_HOLE);

	/* No data up to the end of the file. */
	if (at == -ENXIO)
		return hole;
	return at >= 0 && (u64)at >= offset + len;
}

int host_file_populate_huge(int fd, u64 offset, u64 addr, u64 len)
{
	struct host_process *p = host_process();
	int ret;

	CONTEXT_MAY_BLOCK("populating pages");
	if (a32_load_relaxed(&p->collapse) == MISSING || !file_range_is(fd, offset, len, true))
		return -EOPNOTSUPP;
	/* A range with nothing in it is not collapsed. */
	ret = host_fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, host_page_size());
	if (ret)
		return ret;
	ret = host_madvise((void *)(uintptr_t)addr, len, MADV_COLLAPSE);
	/* An old kernel, or one told never to do it; qemu-user takes any advice and does nothing. */
	if (ret == -EINVAL || (!ret && !file_range_is(fd, offset, len, false))) {
		a32_store_relaxed(&p->collapse, MISSING);
		return -EOPNOTSUPP;
	}
	return ret;
}

void host_vma_test_fallbacks(bool no_procmap_query, bool no_populate)
{
	struct host_process *p = host_process();

	a32_store_relaxed(&p->procmap_query, no_procmap_query ? MISSING : UNKNOWN);
	a32_store_relaxed(&p->populate, no_populate ? MISSING : UNKNOWN);
	a32_store_relaxed(&p->collapse, no_populate ? MISSING : UNKNOWN);
}
