/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/process.h"
#include "host/frame.h"
#include "host/pages.h"
#include "host/process_host.h"

#define GROUP_PAGES 16
#define GROUP_SIZE  (GROUP_PAGES * HOST_FRAME_SIZE)
#define ARENA_SIZE  (32 * GROUP_SIZE) /* mapped at a time; costs nothing until touched */
#define POISON	    0x6b

/* The part PROCESS_FRAME of the process. Frames are never given back to the host: at most a list of poisoned pages remains. */
struct frame_process {
	struct a32 lock;
	void *free;		     /* linked through the first word of the record */
	char *next_page, *arena_end; /* not handed out yet */
};
_Static_assert(sizeof(struct frame_process) <= PROCESS_PART_SIZE, "PROCESS_PART_SIZE");

static bool fail_now(void)
{
	struct a64 *fail = &host_process()->alloc_fail;
	u64 left = a64_load_relaxed(fail);

	while (unlikely(left)) {
		if (a64_cmpxchg(fail, left, left - 1))
			return left == 1;
		left = a64_load_relaxed(fail);
	}
	return false;
}

static void count(s64 bytes, s64 objects)
{
	a64_fetch_add(&host_process()->alloc_bytes, bytes);
	a64_fetch_add(&host_process()->alloc_objects, objects);
}

#if defined(ANYKVM_SANITIZED)
static void *frame_take(void)
{
	void *p;

	if (posix_memalign(&p, HOST_FRAME_SIZE, HOST_FRAME_SIZE + HOST_FRAME_META))
		return NULL;
	memset(p, 0, HOST_FRAME_SIZE + HOST_FRAME_META);
	return p;
}

static void frames_give(struct host_frame_list *l)
{
	void *frame = l->first, *next;

	for (u64 i = 0; i < l->nr; i++, frame = next) {
		next = *(void **)host_frame_meta(frame);
		free(frame);
	}
}
#else
/* A page that was never used: zero. Under the lock. */
static void *arena_take(struct frame_process *fp)
{
	char *page;

	if (fp->next_page == fp->arena_end) {
		char *arena = host_pages_map(ARENA_SIZE + GROUP_SIZE);

		if (!arena)
			return NULL;
		/* The odd ends stay mapped and untouched. */
		fp->next_page = (char *)ALIGN_UP((uintptr_t)arena, GROUP_SIZE);
		fp->arena_end = fp->next_page + ARENA_SIZE;
	}
	if (IS_ALIGNED((uintptr_t)fp->next_page, GROUP_SIZE))
		fp->next_page += HOST_FRAME_SIZE;
	page = fp->next_page;
	fp->next_page += HOST_FRAME_SIZE;
	return page;
}

static void *frame_take(void)
{
	struct frame_process *fp = process_part(PROCESS_FRAME);
	void **page;
	bool used;

	host_spin_lock(&fp->lock);
	page = fp->free;
	used = page;
	if (used)
		fp->free = *(void **)host_frame_meta(page);
	else
		page = arena_take(fp);
	host_spin_unlock(&fp->lock);
	if (used) {
		memset(page, 0, HOST_FRAME_SIZE);
		memset(host_frame_meta(page), 0, HOST_FRAME_META);
	}
	return page;
}

static void frames_give(struct host_frame_list *l)
{
	struct frame_process *fp = process_part(PROCESS_FRAME);

	host_spin_lock(&fp->lock);
	*(void **)host_frame_meta(l->last) = fp->free;
	fp->free = l->first;
	host_spin_unlock(&fp->lock);
}
#endif

void *host_frame_alloc(void)
{
	void *p;

	CONTEXT_MAY_BLOCK("allocation");
	p = fail_now() ? NULL : frame_take();
	if (p) {
		count(HOST_FRAME_SIZE, 1);
		host_alloc_note(p);
	}
	return p;
}

void host_frame_list_add(struct host_frame_list *l, void *frame)
{
#if defined(ANYKVM_CHECKED) && !defined(ANYKVM_SANITIZED)
	memset(frame, POISON, HOST_FRAME_SIZE);
#endif
	*(void **)host_frame_meta(frame) = l->first;
	l->first = frame;
	if (!l->nr++)
		l->last = frame;
}

void host_frame_list_free(struct host_frame_list *l)
{
	CONTEXT_MAY_BLOCK("free");
	if (!l->nr)
		return;
	count(-(s64)(l->nr * HOST_FRAME_SIZE), -(s64)l->nr);
	frames_give(l);
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
