/* SPDX-License-Identifier: MIT */
/*
 * The library's own memory: the explorer's heap, which knows the type, life and users of each object.
 */
#include <string.h>

#include "base/bug.h"
#include "base/context.h"
#include "explore/kvm/host_sim.h"
#include "host/alloc.h"
#include "host/frame.h"
#include "host/pages.h"
#include "vm/vm.h"

#include "engine/engine.h"

static struct {
	u64 bytes, objects;
} memory;

void sim_memory_begin(void)
{
	memory.bytes = memory.objects = 0;
}

static void count(s64 bytes, s64 objects)
{
	memory.bytes += bytes;
	memory.objects += objects;
}

/* For a fork child, which no scenario has. */
void host_begin_anew(void)
{
	BUG();
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

/* Statistics of a machine: nobody decides by them. */
static void quiet_vm(struct vm *vm)
{
	explore_quiet(&vm->mem.stats, sizeof(vm->mem.stats));
	explore_quiet(&vm->mem.tlb.shootdowns, sizeof(struct a64));
	explore_quiet(&vm->mem.tlb.waits, sizeof(struct a64));
	explore_quiet(&vm->mem.tlb.drains, sizeof(struct a64));
}

void *host_alloc_typed(size_t size, const char *type)
{
	void *p;

	CONTEXT_MAY_BLOCK("allocation");
	if (size != sizeof(struct vm) || strcmp(type, "struct vm")) {
		count(size, 1);
		return explore_alloc(size ? size : 1, size >= 64 ? 64 : 16, type, fallible());
	}
	p = heap_alloc(size, 64, type, fallible(), (uintptr_t)__builtin_return_address(0));
	if (p)
		quiet_vm(p);
	return p;
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
	return explore_alloc(ALIGN_UP(size, SIM_PAGE), SIM_PAGE, type, fallible());
}

void host_pages_unmap(void *p, u64 size)
{
	CONTEXT_MAY_BLOCK("unmapping");
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
