/* SPDX-License-Identifier: MIT */
/*
 * The simulated address space: host_sim.h. Two kinds of objects of the explorer lie here: the address space as a whole (what is
 * mapped where: mappings write, queries read) and each page (its presence: whoever takes it away writes, whoever uses it reads).
 */
#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/context.h"
#include "explore/kvm/host_sim.h"
#include "host/fd.h"
#include "host/passthrough.h"
#include "host/vma.h"

#include "engine/engine.h"

#define MADV_POISON 100 /* MADV_HWPOISON */
#define NR_TRACES   512

static struct {
	bool mapped;
	u32 used[SIM_ZONES]; /* pages given out */
	struct sim_page page[SIM_PAGES];
	struct {
		struct site there, gone;
		const char *how;
	} trace[NR_TRACES];
	unsigned nr_traces;
	char space; /* the address space, as an object */
} mm;

/* The first pages of a zone stay free, so that no host address is congruent with a guest's by chance. */
#define FIRST 5u

void sim_mm_begin(void)
{
	if (!mm.mapped) {
		void *p = mmap(
			(void *)(uintptr_t)SIM_BASE, SIM_PAGES * SIM_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != (void *)(uintptr_t)SIM_BASE)
			abort();
		mm.mapped = true;
	}
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		if (mm.used[z] > FIRST)
			memset(&mm.page[z * SIM_ZONE_PAGES], 0, mm.used[z] * sizeof(mm.page[0]));
		mm.used[z] = FIRST;
	}
	mm.nr_traces = 0;
	explore_name(&mm.space, "address space");
}

static u64 address_of(const struct sim_page *p)
{
	return SIM_BASE + (p - mm.page) * SIM_PAGE;
}

struct sim_page *sim_page(u64 addr)
{
	u64 i = (addr - SIM_BASE) / SIM_PAGE;

	return i < SIM_PAGES ? &mm.page[i] : NULL;
}

char *sim_memory(const struct sim_page *p)
{
	return (char *)(uintptr_t)(SIM_BASE + p->home * SIM_PAGE);
}

void sim_trace(struct sim_page *p, const char *how)
{
	if (!p->trace) {
		if (mm.nr_traces == NR_TRACES)
			return;
		p->trace = ++mm.nr_traces;
		memset(&mm.trace[p->trace - 1], 0, sizeof(mm.trace[0]));
	}
	engine_site(engine_current, sim_caller(),
		    how ? &mm.trace[p->trace - 1].gone : &mm.trace[p->trace - 1].there);
	mm.trace[p->trace - 1].how = how;
}

void sim_stale_access(u64 addr, const struct sim_page *p, bool write)
{
	struct violation v = {.kind = BAD_STALE_TRANSLATION};
	const char *how = p->trace ? mm.trace[p->trace - 1].how : NULL;

	snprintf(v.message, sizeof(v.message),
		 "the guest %s a host page after %s had taken it away",
		 write ? "writes to" : "reads", how ? how : "a change of its protection");
	engine_describe((uintptr_t)p, v.object, sizeof(v.object));
	engine_site(engine_current, sim_caller(), &v.site);
	if (p->trace) {
		v.other[0] = mm.trace[p->trace - 1].gone;
		v.other_what[0] = "taken away by";
		v.other[1] = mm.trace[p->trace - 1].there;
		v.other_what[1] = "made present by";
		v.nr_others = 2;
	}
	engine_violation(&v);
}

/* Under the page's write, which the caller has announced. */
static void revoke(struct sim_page *p, const char *how)
{
	if (!(p->flags & SIM_PRESENT))
		return;
	p->flags = (p->flags & ~SIM_PRESENT) | SIM_REVOKED;
	sim_trace(p, how);
}

static void announce_revoke(struct sim_page *p, const char *how)
{
	sim_write(p, how);
	revoke(p, how);
}

void sim_revoke_file(unsigned file, u64 first, u64 last, const char *how)
{
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		for (u32 i = FIRST; i < mm.used[z]; i++) {
			struct sim_page *p = &mm.page[z * SIM_ZONE_PAGES + i];

			if (p->file != file + 1 || p->file_page < first || p->file_page >= last)
				continue;
			announce_revoke(p, how);
		}
	}
}

int sim_populate(u64 addr, bool write)
{
	struct sim_page *p = sim_page(addr);
	u16 need = write ? SIM_MAPPED | SIM_W : SIM_MAPPED | SIM_R;

	if (!p)
		return -EFAULT;
	sim_read(p, "look at host page");
	if ((p->flags & (need | SIM_PRESENT)) == (need | SIM_PRESENT))
		return 0;
	/* What it does to the page is a step of its own: others may use a page that is there meanwhile. */
	sim_write(p, "populate host page");
	if ((p->flags & need) != need)
		return -EFAULT;
	if (p->file && p->file_page >= (sim_file(p->file - 1)->size + SIM_PAGE - 1) / SIM_PAGE)
		return -EFAULT;
	p->flags = (p->flags | SIM_PRESENT) & ~SIM_REVOKED;
	sim_trace(p, NULL);
	return 0;
}

void sim_content(void *addr, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		sim_page((uintptr_t)addr + i * SIM_PAGE)->flags |= SIM_CONTENT;
}

/* --- mappings -------------------------------------------------------------------------------------------------------------- */

/* Fresh pages of the caller's zone, with one unused after them, so that mappings do not merge. 0: no room. */
static u32 pages_take(u32 nr)
{
	unsigned z = explore_self();
	u32 at = mm.used[z];

	if (nr >= SIM_ZONE_PAGES - at)
		return 0;
	mm.used[z] = at + nr + 1;
	return z * SIM_ZONE_PAGES + at;
}

static void page_forget(struct sim_page *p)
{
	struct sim_file *f = p->file ? sim_file(p->file - 1) : NULL;

	p->flags &= SIM_REVOKED;
	p->file = 0;
	if (f)
		sim_file_put(f);
}

/* The caller has announced what it does to the address space. */
static void unmap_page(struct sim_page *p, const char *how)
{
	if (!(p->flags & SIM_MAPPED))
		return;
	announce_revoke(p, how);
	page_forget(p);
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
		mm.page[i].window = true;
		mm.page[i].home = i;
		memset(sim_memory(&mm.page[i]), 0, SIM_PAGE);
	}
	return true;
}

/* Where in the window nobody maps anything yet, or 0. */
static u32 window_free(const struct sim_file *f, u32 file_page, u32 nr)
{
	if ((u64)file_page + nr > (f->size + SIM_PAGE - 1) / SIM_PAGE)
		return 0;
	for (u32 i = 0; i < nr; i++)
		if (mm.page[f->window + file_page + i].flags)
			return 0;
	return f->window + file_page;
}

static bool map_page(struct sim_page *p, u16 flags, struct sim_file *f, u32 file_page)
{
	u32 nr = f ? (f->size + SIM_PAGE - 1) / SIM_PAGE : 0;

	p->flags = flags | (p->flags & SIM_REVOKED);
	p->file_page = file_page;
	explore_name(p, "host page %u.%u", (u32)(p - mm.page) / SIM_ZONE_PAGES,
		     (u32)(p - mm.page) % SIM_ZONE_PAGES);
	if (f) {
		p->file = sim_file_number(f) + 1;
		f->refs++;
		/* Beyond its end there is nothing: a touch would be SIGBUS. */
		p->home = file_page < nr ? f->window + file_page : (u32)(p - mm.page);
		return true;
	}
	p->home = p - mm.page;
	if (p->window) {
		p->home = pages_take(1);
		if (!p->home)
			return false;
	}
	if (flags & (SIM_R | SIM_W))
		memset(sim_memory(p), 0, SIM_PAGE);
	return true;
}

static void *map_at(u32 at, u32 nr, u16 flags, struct sim_file *f, u32 file_page)
{
	for (u32 i = 0; i < nr; i++)
		if (!map_page(&mm.page[at + i], flags, f, file_page + i))
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
	sim_write(&mm.space, "mmap");
	for (u32 i = 0; i < nr; i++) {
		if ((mm.page[at + i].flags & SIM_MAPPED) && !replace)
			return (void *)(intptr_t)-EEXIST;
		unmap_page(&mm.page[at + i], "mmap");
	}
	return map_at(at, nr, flags, f, file_page);
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
	return map_at(at, nr, flags_of(prot, flags), f, offset / SIM_PAGE);
}

int host_munmap(void *addr, size_t len)
{
	SIM_CALL();
	CONTEXT_MAY_BLOCK("munmap");
	if (!range_ok((uintptr_t)addr, len))
		return -EINVAL;
	sim_write(&mm.space, "munmap");
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
	sim_write(&mm.space, "mprotect");
	for (u64 a = (uintptr_t)addr; a < (uintptr_t)addr + len; a += SIM_PAGE) {
		struct sim_page *p = sim_page(a);

		if (!(p->flags & SIM_MAPPED))
			return -ENOMEM;
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

		if (!(p->flags & SIM_MAPPED))
			return -ENOMEM;
		announce_revoke(p, "madvise");
		/* A private page is zero when it is touched again; a shared one is the file's. */
		if (!p->file || advice == MADV_REMOVE)
			memset(sim_memory(p), 0, SIM_PAGE);
	}
	return 0;
}

void *host_sys_mremap(void *old, size_t old_size, size_t new_size, int flags, void *new_address)
{
	SIM_CALL();
	u32 nr = (new_size + SIM_PAGE - 1) / SIM_PAGE, was = (old_size + SIM_PAGE - 1) / SIM_PAGE,
	    at;
	struct sim_page *from = sim_page((uintptr_t)old);

	if (!range_ok((uintptr_t)old, old_size) || !new_size ||
	    (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)))
		return (void *)(intptr_t)-EINVAL;
	sim_write(&mm.space, "mremap");
	for (u32 i = nr; i < was; i++)
		unmap_page(from + i, "mremap");
	if (!(flags & MREMAP_FIXED) && nr <= was)
		return old;
	if (!(flags & MREMAP_MAYMOVE))
		return (void *)(intptr_t)-ENOMEM;
	at = flags & MREMAP_FIXED ? ((uintptr_t)new_address - SIM_BASE) / SIM_PAGE : pages_take(nr);
	if (!at || at + nr > SIM_PAGES)
		return (void *)(intptr_t)-ENOMEM;
	for (u32 i = 0; i < nr; i++) {
		struct sim_page *p = &mm.page[at + i];
		struct sim_file *f = from->file ? sim_file(from->file - 1) : NULL;

		unmap_page(p, "mremap");
		if (!map_page(p, from->flags & ~(SIM_PRESENT | SIM_REVOKED), f,
			      from->file_page + i))
			return (void *)(intptr_t)-ENOMEM;
		if (!f && i < was)
			memcpy(sim_memory(p), sim_memory(from + i), SIM_PAGE);
	}
	for (u32 i = 0; i < MIN(nr, was); i++)
		unmap_page(from + i, "mremap");
	return (void *)(uintptr_t)(SIM_BASE + at * SIM_PAGE);
}

/* --- queries --------------------------------------------------------------------------------------------------------------- */

static bool same_mapping(const struct sim_page *a, const struct sim_page *b)
{
	u16 flags = SIM_MAPPED | SIM_R | SIM_W | SIM_X | SIM_SHARED;

	return (a->flags & flags) == (b->flags & flags) && a->file == b->file &&
	       (!a->file || b->file_page - a->file_page == (u32)(b - a));
}

static void describe(const struct sim_page *p, struct host_vma *out)
{
	const struct sim_page *first = p, *last = p;
	const struct sim_file *f = p->file ? sim_file(p->file - 1) : NULL;

	while (first > mm.page && same_mapping(first - 1, first))
		first--;
	while (last + 1 < mm.page + SIM_PAGES && same_mapping(last, last + 1))
		last++;
	*out = (struct host_vma){.start = address_of(first),
				 .end = address_of(last) + SIM_PAGE,
				 .r = p->flags & SIM_R,
				 .w = p->flags & SIM_W,
				 .x = p->flags & SIM_X,
				 .shared = p->flags & SIM_SHARED,
				 .page_size = SIM_PAGE,
				 .dev = f ? 1 : 0,
				 .inode = f ? f->inode : 0,
				 .offset = f ? first->file_page * SIM_PAGE : 0};
}

int host_vma_query(u64 addr, struct host_vma *out)
{
	SIM_CALL();
	const struct sim_page *p = sim_page(addr);

	CONTEXT_MAY_BLOCK("mapping query");
	sim_read(&mm.space, "mapping query");
	if (!p || !(p->flags & SIM_MAPPED))
		return -ENOENT;
	describe(p, out);
	return 0;
}

int host_vma_each(bool (*fn)(void *ctx, const struct host_vma *v), void *ctx)
{
	SIM_CALL();
	CONTEXT_MAY_BLOCK("mapping query");
	sim_read(&mm.space, "mapping query");
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		for (u32 i = FIRST; i < mm.used[z];) {
			const struct sim_page *p = &mm.page[z * SIM_ZONE_PAGES + i];
			struct host_vma vma;

			if (!(p->flags & SIM_MAPPED)) {
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
