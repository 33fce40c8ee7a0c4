/* SPDX-License-Identifier: MIT */
/*
 * Size classes over raw mmap. A freed object goes to the free list of its class and is never given back to the kernel, so a
 * stale pointer hits poison (checked builds) and not a fault elsewhere. Sanitized builds use malloc and free instead.
 *
 * A signal handler of the program may enter the library while its thread is in here (an interposed munmap, say). It then works
 * on the lists of the next level: the lock of a level is only ever held by threads at that level, so it cannot meet itself.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/bug.h"
#include "base/context.h"
#include "host/alloc.h"
#include "host/fd.h"
#include "host/pages.h"
#include "host/process_host.h"
#include "base/raw.h"

#if defined(ANYKVM_SANITIZED)
#define USE_MALLOC 1
#else
#define USE_MALLOC 0
#endif

#define ARENA_SIZE (1 * MIB)
#define POISON	   0x6b

static const u32 class_size[ALLOC_CLASSES] = {16,   32,	  48,	 64,	128,   192,  256,
					      384,  512,  768,	 1024,	1536,  2048, 3072,
					      4096, 8192, 12288, 16384, 24576, 32768};
#define NR_SIZES   20
#define CLASS_PAGE (ALLOC_CLASSES - 1)
#define LARGE	   32768

static THREAD_LOCAL volatile u32 alloc_level;

/* One injection point: true if this allocation has to fail. */
static bool fail_now(void)
{
	struct host_process *p = host_process();
	u64 left = a64_load_relaxed(&p->alloc_fail);

	while (unlikely(left)) {
		if (a64_cmpxchg(&p->alloc_fail, left, left - 1))
			return left == 1;
		left = a64_load_relaxed(&p->alloc_fail);
	}
	return false;
}

u64 host_alloc_fail_at(u64 nth)
{
	return a64_xchg(&host_process()->alloc_fail, nth);
}

#if defined(ANYKVM_CHECKED)
void host_alloc_note(void *p)
{
	struct a64 *note = &host_process()->alloc_note;
	u64 left = a64_load_relaxed(note);

	while (unlikely(left)) {
		if (a64_cmpxchg(note, left, left - 1)) {
			if (left == 1)
				aptr_store(&host_process()->alloc_noted, p);
			return;
		}
		left = a64_load_relaxed(note);
	}
}
#endif

void *host_alloc_note_at(u64 nth)
{
	a64_store(&host_process()->alloc_note, nth);
	return aptr_xchg(&host_process()->alloc_noted, NULL);
}

static void count(s64 bytes, s64 objects)
{
	a64_fetch_add(&host_process()->alloc_bytes, bytes);
	a64_fetch_add(&host_process()->alloc_objects, objects);
}

u64 host_alloc_bytes(void)
{
	return a64_load_relaxed(&host_process()->alloc_bytes);
}

u64 host_alloc_objects(void)
{
	return a64_load_relaxed(&host_process()->alloc_objects);
}

static unsigned class_of(size_t size)
{
	unsigned c = 0;

	while (class_size[c] < size)
		c++;
	return c;
}

/* Fresh zeroed memory from the arena of this level, or NULL. */
static void *arena_take(struct alloc_level *l, size_t size, size_t align)
{
	char *p;

	host_spin_lock(&l->arena_lock);
	p = (char *)ALIGN_UP((uintptr_t)l->arena_next, align);
	if (!l->arena_next || p + size > l->arena_end) {
		p = host_mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (host_map_failed(p)) {
			host_spin_unlock(&l->arena_lock);
			return NULL;
		}
		l->arena_end = p + ARENA_SIZE;
	}
	l->arena_next = p + size;
	host_spin_unlock(&l->arena_lock);
	return p;
}

static void check_poison(const unsigned char *p, size_t size)
{
#if defined(ANYKVM_CHECKED)
	for (size_t i = sizeof(void *); i < size; i++)
		if (unlikely(p[i] != POISON))
			bug_at(__FILE__, __LINE__, "freed memory was written to");
#endif
}

static void *class_take(unsigned c, size_t size, size_t align)
{
	u32 level = alloc_level;
	struct alloc_level *l = &host_process()->alloc_level[MIN(level, ALLOC_LEVELS - 1)];
	struct alloc_class *k = &l->class[c];
	void **p;

	alloc_level = level + 1;
	host_spin_lock(&k->lock);
	p = k->free;
	if (p)
		k->free = *p;
	host_spin_unlock(&k->lock);
	if (p) {
		check_poison((void *)p, size);
		memset(p, 0, size);
	} else {
		p = arena_take(l, size, align);
	}
	alloc_level = level;
	return p;
}

static void class_give(unsigned c, void *obj, size_t size)
{
	u32 level = alloc_level;
	struct alloc_class *k = &host_process()->alloc_level[MIN(level, ALLOC_LEVELS - 1)].class[c];

#if defined(ANYKVM_CHECKED)
	memset(obj, POISON, size);
#endif
	alloc_level = level + 1;
	host_spin_lock(&k->lock);
	*(void **)obj = k->free;
	k->free = obj;
	host_spin_unlock(&k->lock);
	alloc_level = level;
}

static void *malloc_zeroed(size_t size)
{
	void *p;

#if defined(ANYKVM_ASAN)
	/* Fresh from the system, as without a sanitizer: most of it is never touched. ASan's redzone aligns it. */
	if (size > LARGE) {
		p = calloc(1, size);
		BUG_ON(!IS_ALIGNED((uintptr_t)p, 64));
		return p;
	}
#endif
	if (posix_memalign(&p, size >= 64 ? 64 : 16, size))
		return NULL;
	memset(p, 0, size);
	return p;
}

void *host_alloc(size_t size)
{
	void *p;

	CONTEXT_MAY_BLOCK("allocation");
	if (!size)
		size = 1;
	if (fail_now())
		return NULL;
	if (USE_MALLOC) {
		p = malloc_zeroed(size);
		if (!p)
			return NULL;
	} else if (size > LARGE) {
		p = host_mmap(NULL, ALIGN_UP(size, 4096), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (host_map_failed(p))
			return NULL;
	} else {
		unsigned c = class_of(size);

		p = class_take(c, class_size[c], class_size[c] >= 64 ? 64 : 16);
		if (!p)
			return NULL;
	}
	count(size, 1);
	host_alloc_note(p);
	return p;
}

void host_free(void *p, size_t size)
{
	CONTEXT_MAY_BLOCK("free");
	if (!p)
		return;
	if (!size)
		size = 1;
	count(-(s64)size, -1);
	if (USE_MALLOC) {
		free(p);
	} else if (size > LARGE) {
		host_munmap(p, ALIGN_UP(size, 4096));
	} else {
		unsigned c = class_of(size);

		class_give(c, p, class_size[c]);
	}
}

void *host_page_alloc(void)
{
	void *p;

	CONTEXT_MAY_BLOCK("allocation");
	if (fail_now())
		return NULL;
	if (USE_MALLOC) {
		if (posix_memalign(&p, 4096, 4096))
			return NULL;
		memset(p, 0, 4096);
	} else {
		p = class_take(CLASS_PAGE, 4096, 4096);
		if (!p)
			return NULL;
	}
	count(4096, 1);
	host_alloc_note(p);
	return p;
}

void host_page_free(void *page)
{
	CONTEXT_MAY_BLOCK("free");
	if (!page)
		return;
	count(-4096, -1);
	if (USE_MALLOC)
		free(page);
	else
		class_give(CLASS_PAGE, page, 4096);
}

void host_begin_anew(void)
{
	struct host_process *p = host_process();

	memset(p->alloc_level, 0, sizeof(p->alloc_level));
	a64_store(&p->alloc_bytes, 0);
	a64_store(&p->alloc_objects, 0);
	a32_store(&p->guarded_lock, 0);
}

/* Needs no mapping of its own: a page of those that were used before costs less than two system calls. */
static bool is_one_page(u64 size)
{
	return !USE_MALLOC && size <= 4096;
}

void *host_pages_map(u64 size)
{
	void *p;

	CONTEXT_MAY_BLOCK("mapping");
	if (fail_now())
		return NULL;
	if (is_one_page(size))
		return class_take(CLASS_PAGE, 4096, 4096);
	p = host_mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return host_map_failed(p) ? NULL : p;
}

void host_pages_unmap(void *p, u64 size)
{
	CONTEXT_MAY_BLOCK("unmapping");
	if (!p)
		return;
	if (is_one_page(size))
		class_give(CLASS_PAGE, p, 4096);
	else
		host_munmap(p, size);
}

void host_pages_discard(void *p, u64 size)
{
	host_madvise(p, size, MADV_DONTNEED);
}

u64 host_page_size(void)
{
	return getauxval(AT_PAGESZ);
}
