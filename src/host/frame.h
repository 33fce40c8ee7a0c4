/* SPDX-License-Identifier: MIT */
/*
 * Page frames with something to say about each: 4 KiB pages, and for each page 64 bytes of its owner's own that are found
 * from the page's address alone (what struct page is to a kernel). Translation tables keep their count and RCU head there.
 *
 * Sixteen pages of 64 KiB-aligned memory are a group; its first page holds the 64-byte records of the other fifteen. In
 * sanitizer builds a frame is one malloc of two pages and one free instead, so that ASan sees its lifetime (LO-11). Likewise in
 * explored builds.
 */
#ifndef ANYKVM_HOST_FRAME_H
#define ANYKVM_HOST_FRAME_H

#include "base/types.h"

#define HOST_FRAME_SIZE 4096ull
#define HOST_FRAME_META 64ull

/* A zeroed page, aligned to its size, with a zeroed record; NULL without memory. An injection point like host_alloc. */
void *host_frame_alloc(void);
/* NULL is allowed. Same rules as host_free. */
void host_frame_free(void *frame);
/*
 * Many at once, for the price of one. They are linked through the first word of their records: from add on, a frame and its record
 * are nobody's.
 */
struct host_frame_list {
	void *first, *last;
	u64 nr;
};
void host_frame_list_add(struct host_frame_list *l, void *frame);
void host_frame_list_free(struct host_frame_list *l);

/* The record of the frame that starts at frame. */
static inline void *host_frame_meta(const void *frame)
{
	uintptr_t p = (uintptr_t)frame;

#if defined(ANYKVM_SANITIZED) || defined(ANYKVM_EXPLORED)
	return (void *)(p + HOST_FRAME_SIZE);
#else
	return (void *)(ALIGN_DOWN(p, 16 * HOST_FRAME_SIZE) +
			(p / HOST_FRAME_SIZE % 16) * HOST_FRAME_META);
#endif
}

#endif
