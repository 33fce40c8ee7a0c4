/* SPDX-License-Identifier: MIT */
/*
 * Mappings of the simulated host: host_sim.h. What is mapped where is one object, the address space: calls that change it write it
 * and queries read it. A call first changes what queries see, in one step, then page by page what accesses meet.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/context.h"
#include "explore/kvm/host_mm.h"
#include "host/fd.h"
#include "host/passthrough.h"
#include "host/vma.h"

#define MADV_POISON 100 /* MADV_HWPOISON */

/* Fresh pages of the caller's zone, with one unused after them, so that mappings do not merge. 0: no room. */
static u32 pages_take(u32 nr)
{
	unsigned z = explore_self();
	u32 at = sim_mm.used[z];

	if (nr >= SIM_ZONE_PAGES - at)
		return 0;
	sim_mm.used[z] = at + nr + 1;
	return z * SIM_ZONE_PAGES + at;
}

/* A step of its own. What queries see is changed by the caller, in one step for all of a call. */
static void unmap_page(struct sim_page *p, const char *how)
{
	struct sim_file *f;

	if (!(p->flags & SIM_MAPPED))
		return;
	sim_revoke(p, how);
	f = p->file ? sim_file(p->file - 1) : NULL;
	p->flags &= SIM_REVOKED;
	p->file = 0;
	if (f)
		sim_file_put(f);
}

static u16 flags_of(int prot, int flags)
{
	return SIM_MAPPED | (prot & PROT_READ ? SIM_R : 0) | (prot & PROT_WRITE ? SIM_W : 0) |
	       (prot & PROT_EXEC ? SIM_X : 0) | (flags & MAP_SHARED ? SIM_SHARED : 0);
}

static bool window_make(struct sim_file *f)
{
	u32 nr = (f->size + SIM_PAGE - 1) / SIM_PAGE, at;

	if (f->window || !nr)
		return f->window;
	at = pages_take(nr);
	if (!at)
		return false;
	f->window = at;
	for (u32 i = at; i < at + nr; i++) {
		sim_mm.page[i].window = true;
		sim_mm.page[i].home = i;
		memset(sim_memory(&sim_mm.page[i]), 0, SIM_PAGE);
	}
	return true;
}

/* Where in the window nothing was mapped yet, or 0. The caller has announced the file. */
static u32 window_free(const struct sim_file *f, u32 file_page, u32 nr)
{
	if ((u64)file_page + nr > (f->size + SIM_PAGE - 1) / SIM_PAGE)
		return 0;
	for (u32 i = 0; i < nr; i++)
		if (sim_mm.page[f->window + file_page + i].given)
			return 0;
	for (u32 i = 0; i < nr; i++)
		sim_mm.page[f->window + file_page + i].given = true;
	return f->window + file_page;
}

static bool map_page(struct sim_page *p, u16 flags, struct sim_file *f, u32 file_page)
{
	u32 nr = f ? (f->size + SIM_PAGE - 1) / SIM_PAGE : 0;

	p->flags = flags | (p->flags & SIM_REVOKED);
	p->file_page = file_page;
	explore_name(p, "host page %u.%u", (u32)(p - sim_mm.page) / SIM_ZONE_PAGES,
		     (u32)(p - sim_mm.page) % SIM_ZONE_PAGES);
	if (f) {
		p->file = sim_file_number(f) + 1;
		f->refs++;
		/* Beyond its end there is nothing: a touch would be SIGBUS. */
		p->home = file_page < nr ? f->window + file_page : (u32)(p - sim_mm.page);
		return true;
	}
	p->home = p - sim_mm.page;
	if (p->window) {
		p->home = pages_take(1);
		if (!p->home)
			return false;
	}
	if (flags & (SIM_R | SIM_W))
		memset(sim_memory(p), 0, SIM_PAGE);
	return true;
}

/* What queries see. */
static void show(u32 at, u32 nr, u16 flags, const struct sim_file *f, u32 file_page)
{
	for (u32 i = 0; i < nr; i++)
		sim_mm.page[at + i].vma = (struct sim_vma){.flags = flags,
							   .file = f ? sim_file_number(f) + 1 : 0,
							   .file_page = file_page + i};
}

/* Pages that nobody else knows yet. */
static void *map_fresh(u32 at, u32 nr, u16 flags, struct sim_file *f, u32 file_page)
{
	show(at, nr, flags, f, file_page);
	for (u32 i = 0; i < nr; i++)
		if (!map_page(&sim_mm.page[at + i], flags, f, file_page + i))
			return (void *)(intptr_t)-ENOMEM;
	return (void *)(uintptr_t)(SIM_BASE + at * SIM_PAGE);
}

static bool range_ok(u64 addr, u64 len)
{
	return !(addr % SIM_PAGE) && len && sim_page(addr) && sim_page(addr + len - 1);
}

static void *map_fixed(u64 addr, u32 nr, u16 flags, struct sim_file *f, u32 file_page, bool replace)
{
	u32 at = (addr - SIM_BASE) / SIM_PAGE;

	if (!range_ok(addr, nr * SIM_PAGE))
		return (void *)(intptr_t)-EINVAL;
	sim_write(&sim_mm.space, "mmap");
	for (u32 i = 0; i < nr; i++)
		if (sim_mm.page[at + i].vma.flags && !replace)
			return (void *)(intptr_t)-EEXIST;
	show(at, nr, flags, f, file_page);
	for (u32 i = 0; i < nr; i++) {
		struct sim_page *p = &sim_mm.page[at + i];

		unmap_page(p, "mmap");
		sim_write(p, "mmap");
		if (!map_page(p, flags, f, file_page + i))
			return (void *)(intptr_t)-ENOMEM;
	}
	return (void *)(uintptr_t)addr;
}

void *host_mmap(void *addr, size_t len, int prot, int flags, int fd, u64 offset)
{
	SIM_CALL();
	bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	u32 nr = (len + SIM_PAGE - 1) / SIM_PAGE, at = 0;
	struct sim_file *f = NULL;

	CONTEXT_MAY_BLOCK("mmap");
	if (!len || offset % SIM_PAGE || !(flags & (MAP_SHARED | MAP_PRIVATE)))
		return (void *)(intptr_t)-EINVAL;
	if (len > SIM_ZONE_PAGES * SIM_PAGE)
		return (void *)(intptr_t)-ENOMEM;
	if (!(flags & MAP_ANONYMOUS)) {
		f = sim_fd(fd);
		if (!f)
			return (void *)(intptr_t)-EBADF;
		if (f->kind != SIM_MEMORY)
			return (void *)(intptr_t)-ENODEV;
		sim_write(f, "mmap of file");
		if (f->size && !window_make(f))
			return (void *)(intptr_t)-ENOMEM;
	}
	if (fixed)
		return map_fixed((uintptr_t)addr, nr, flags_of(prot, flags), f, offset / SIM_PAGE,
				 !(flags & MAP_FIXED_NOREPLACE));
	if (f && f->window)
		at = window_free(f, offset / SIM_PAGE, nr);
	if (!at)
		at = pages_take(nr);
	if (!at)
		return (void *)(intptr_t)-ENOMEM;
	return map_fresh(at, nr, flags_of(prot, flags), f, offset / SIM_PAGE);
}

int host_munmap(void *addr, size_t len)
{
	SIM_CALL();
	CONTEXT_MAY_BLOCK("munmap");
	if (!range_ok((uintptr_t)addr, len))
		return -EINVAL;
	sim_write(&sim_mm.space, "munmap");
	show(((uintptr_t)addr - SIM_BASE) / SIM_PAGE, (len + SIM_PAGE - 1) / SIM_PAGE, 0, NULL, 0);
	for (u64 a = (uintptr_t)addr; a < (uintptr_t)addr + len; a += SIM_PAGE)
		unmap_page(sim_page(a), "munmap");
	return 0;
}

int host_mprotect(void *addr, size_t len, int prot)
{
	SIM_CALL();
	u16 rights = flags_of(prot, 0) & (SIM_R | SIM_W | SIM_X);

	CONTEXT_MAY_BLOCK("mprotect");
	if (!range_ok((uintptr_t)addr, len ? len : 1))
		return -EINVAL;
	sim_write(&sim_mm.space, "mprotect");
	for (u64 a = (uintptr_t)addr; a < (uintptr_t)addr + len; a += SIM_PAGE)
		if (!sim_page(a)->vma.flags)
			return -ENOMEM;
	for (u64 a = (uintptr_t)addr; a < (uintptr_t)addr + len; a += SIM_PAGE)
		sim_page(a)->vma.flags =
			(sim_page(a)->vma.flags & ~(SIM_R | SIM_W | SIM_X)) | rights;
	for (u64 a = (uintptr_t)addr; a < (uintptr_t)addr + len; a += SIM_PAGE) {
		struct sim_page *p = sim_page(a);

		sim_write(p, "mprotect");
		p->flags = (p->flags & ~(SIM_R | SIM_W | SIM_X)) | rights;
		sim_trace(p, "mprotect");
	}
	return 0;
}

int host_madvise(void *addr, size_t len, int advice)
{
	SIM_CALL();
	CONTEXT_MAY_BLOCK("madvise");
	if (!range_ok((uintptr_t)addr, len ? len : 1) || advice == MADV_POISON)
		return -EINVAL;
	if (advice != MADV_DONTNEED && advice != MADV_REMOVE)
		return 0;
	for (u64 a = (uintptr_t)addr; a < (uintptr_t)addr + len; a += SIM_PAGE) {
		struct sim_page *p = sim_page(a);

		sim_revoke(p, "madvise");
		if (!(p->flags & SIM_MAPPED))
			return -ENOMEM;
		/* A private page is zero when it is touched again; a shared one is the file's. */
		if (!p->file || advice == MADV_REMOVE)
			memset(sim_memory(p), 0, SIM_PAGE);
	}
	return 0;
}

/* As a mapping made anew, with what was there. */
void *host_sys_mremap(void *old, size_t old_size, size_t new_size, int flags, void *new_address)
{
	SIM_CALL();
	u32 nr = (new_size + SIM_PAGE - 1) / SIM_PAGE, was = (old_size + SIM_PAGE - 1) / SIM_PAGE;
	u32 from = ((uintptr_t)old - SIM_BASE) / SIM_PAGE, at;

	if (!range_ok((uintptr_t)old, old_size) || !new_size ||
	    (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)))
		return (void *)(intptr_t)-EINVAL;
	at = flags & MREMAP_FIXED ? ((uintptr_t)new_address - SIM_BASE) / SIM_PAGE : from;
	if (at == from && nr > was)
		at = flags & MREMAP_MAYMOVE ? pages_take(nr) : 0;
	if (!at || at + nr > SIM_PAGES)
		return (void *)(intptr_t)-ENOMEM;
	sim_write(&sim_mm.space, "mremap");
	for (u32 i = 0; i < nr && at != from; i++) {
		struct sim_page *p = &sim_mm.page[at + i],
				*o = &sim_mm.page[from + MIN(i, was - 1)];
		struct sim_file *f = o->file ? sim_file(o->file - 1) : NULL;
		u32 file_page = o->file_page + (i < was ? 0 : i - was + 1);

		show(at + i, 1, o->vma.flags, f, file_page);
		unmap_page(p, "mremap");
		sim_write(p, "mremap");
		if (!map_page(p, o->vma.flags, f, file_page))
			return (void *)(intptr_t)-ENOMEM;
		if (!f && i < was)
			memcpy(sim_memory(p), sim_memory(o), SIM_PAGE);
	}
	for (u32 i = at == from ? nr : 0; i < was; i++) {
		show(from + i, 1, 0, NULL, 0);
		unmap_page(&sim_mm.page[from + i], "mremap");
	}
	return (void *)(uintptr_t)(SIM_BASE + at * SIM_PAGE);
}

/* --- queries --------------------------------------------------------------------------------------------------------------- */

static bool same_mapping(const struct sim_page *a, const struct sim_page *b)
{
	return a->vma.flags == b->vma.flags && a->vma.file == b->vma.file &&
	       (!a->vma.file || b->vma.file_page - a->vma.file_page == (u32)(b - a));
}

static void describe(const struct sim_page *p, struct host_vma *out)
{
	const struct sim_page *first = p, *last = p;
	const struct sim_file *f = p->vma.file ? sim_file(p->vma.file - 1) : NULL;

	while (first > sim_mm.page && same_mapping(first - 1, first))
		first--;
	while (last + 1 < sim_mm.page + SIM_PAGES && same_mapping(last, last + 1))
		last++;
	explore_will_store(out, sizeof(*out));
	*out = (struct host_vma){.start = sim_address(first),
				 .end = sim_address(last) + SIM_PAGE,
				 .r = p->vma.flags & SIM_R,
				 .w = p->vma.flags & SIM_W,
				 .x = p->vma.flags & SIM_X,
				 .shared = p->vma.flags & SIM_SHARED,
				 .page_size = SIM_PAGE,
				 .dev = f ? 1 : 0,
				 .inode = f ? f->inode : 0,
				 .offset = f ? first->vma.file_page * SIM_PAGE : 0};
}

int host_vma_query(u64 addr, struct host_vma *out)
{
	SIM_CALL();
	const struct sim_page *p = sim_page(addr);

	CONTEXT_MAY_BLOCK("mapping query");
	sim_read(&sim_mm.space, "mapping query");
	if (!p || !p->vma.flags)
		return -ENOENT;
	describe(p, out);
	return 0;
}

int host_vma_each(bool (*fn)(void *ctx, const struct host_vma *v), void *ctx)
{
	SIM_CALL();
	CONTEXT_MAY_BLOCK("mapping query");
	sim_read(&sim_mm.space, "mapping query");
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		for (u32 i = SIM_FIRST; i < sim_mm.used[z];) {
			const struct sim_page *p = &sim_mm.page[z * SIM_ZONE_PAGES + i];
			struct host_vma vma;

			if (!p->vma.flags) {
				i++;
				continue;
			}
			describe(p, &vma);
			if (!fn(ctx, &vma))
				return 0;
			i = (vma.end - SIM_BASE) / SIM_PAGE - z * SIM_ZONE_PAGES;
		}
	}
	return 0;
}

int host_populate(u64 addr, u64 len, bool write)
{
	SIM_CALL();
	CONTEXT_MAY_SLEEP("populating pages");
	for (u64 a = addr; a < addr + len; a += SIM_PAGE) {
		int ret = sim_populate(a, write);

		if (ret)
			return ret;
	}
	return 0;
}

/* This host has no huge pages for files. */
int host_file_populate_huge(int fd, u64 offset, u64 addr, u64 len)
{
	return -EOPNOTSUPP;
}
