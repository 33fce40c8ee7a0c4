/* SPDX-License-Identifier: MIT */
/*
 * The library's own memory: the explorer's heap, which knows the type, life and users of each object. Areas of megabytes that are
 * hardly used (decoded code) come from a region of their own, which the heap does not watch; the host zeroes it again before the
 * next execution that used it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/context.h"
#include "explore/kvm/host_sim.h"
#include "host/alloc.h"
#include "host/frame.h"
#include "host/pages.h"

#define LAZY_BASE 0x068000000000ull
#define LAZY_MIN  (256 * KIB)
#define LAZY_ZONE (32 * MIB) /* of one fiber */

static struct {
	bool mapped;
	u64 used[EXPLORE_MAX_FIBERS];
	u64 bytes, objects;
} memory;

void sim_memory_begin(void)
{
	memory.bytes = memory.objects = 0;
	for (unsigned i = 0; i < EXPLORE_MAX_FIBERS; i++) {
		if (memory.used[i])
			madvise((void *)(uintptr_t)(LAZY_BASE + i * LAZY_ZONE), memory.used[i],
				MADV_DONTNEED);
		memory.used[i] = 0;
	}
}

static void *lazy_take(u64 size)
{
	u64 *used = &memory.used[explore_self()], at = *used;

	if (!memory.mapped) {
		void *p = mmap((void *)(uintptr_t)LAZY_BASE, LAZY_ZONE * EXPLORE_MAX_FIBERS,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
			       -1, 0);

		if (p != (void *)(uintptr_t)LAZY_BASE)
			abort();
		memory.mapped = true;
	}
	size = ALIGN_UP(size, SIM_PAGE);
	if (at + size > LAZY_ZONE)
		return NULL;
	*used = at + size;
	return (void *)(uintptr_t)(LAZY_BASE + explore_self() * LAZY_ZONE + at);
}

static bool is_lazy(const void *p)
{
	return (uintptr_t)p - LAZY_BASE < LAZY_ZONE * EXPLORE_MAX_FIBERS;
}

static void count(s64 bytes, s64 objects)
{
	memory.bytes += bytes;
	memory.objects += objects;
}

u64 host_alloc_bytes(void)
{
	return memory.bytes;
}

u64 host_alloc_objects(void)
{
	return memory.objects;
}

/* Setup's allocations succeed: what a scenario is about comes later. */
static bool fallible(void)
{
	return explore_concurrent();
}

void *host_alloc_typed(size_t size, const char *type)
{
	CONTEXT_MAY_BLOCK("allocation");
	count(size, 1);
	return explore_alloc(size ? size : 1, size >= 64 ? 64 : 16, type, fallible());
}

void host_free(void *p, size_t size)
{
	CONTEXT_MAY_BLOCK("free");
	if (!p)
		return;
	count(-(s64)size, -1);
	explore_free(p);
}

void *host_pages_map_typed(u64 size, const char *type)
{
	CONTEXT_MAY_BLOCK("mapping");
	if (size >= LAZY_MIN)
		return lazy_take(size);
	return explore_alloc(ALIGN_UP(size, SIM_PAGE), SIM_PAGE, type, fallible());
}

void host_pages_unmap(void *p, u64 size)
{
	CONTEXT_MAY_BLOCK("unmapping");
	if (p && !is_lazy(p))
		explore_free(p);
}

void host_pages_discard(void *p, u64 size)
{
	memset(p, 0, size);
}

u64 host_page_size(void)
{
	return SIM_PAGE;
}

/* A page and its record are one object, as in sanitizer builds. */
void *host_frame_alloc(void)
{
	CONTEXT_MAY_BLOCK("allocation");
	count(HOST_FRAME_SIZE, 1);
	return explore_alloc(HOST_FRAME_SIZE + HOST_FRAME_META, HOST_FRAME_SIZE, "struct s2_table",
			     fallible());
}

/* From here on the frame is nobody's, so it may as well go at once. */
void host_frame_list_add(struct host_frame_list *l, void *frame)
{
	l->nr++;
	explore_free(frame);
}

void host_frame_list_free(struct host_frame_list *l)
{
	CONTEXT_MAY_BLOCK("free");
	count(-(s64)(l->nr * HOST_FRAME_SIZE), -(s64)l->nr);
	*l = (struct host_frame_list){0};
}

void host_frame_free(void *frame)
{
	struct host_frame_list l = {0};

	CONTEXT_MAY_BLOCK("free");
	if (frame)
		host_frame_list_add(&l, frame);
	host_frame_list_free(&l);
}
