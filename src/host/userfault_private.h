/* SPDX-License-Identifier: MIT */
/* Of userfault*.c, and what the rest of host/ asks them. */
#ifndef ANYKVM_HOST_USERFAULT_PRIVATE_H
#define ANYKVM_HOST_USERFAULT_PRIVATE_H

#include <signal.h>

#include "base/itree.h"
#include "host/pages.h"
#include "host/userfault.h"
#include "host/vma.h"
#include "sync/atomic.h"

/* The message of userfaultfd(2), 32 bytes, and behind it what our own read needs; a raw read gets the message alone. */
struct userfault_message {
	u8 event, reserved[7];
	u64 flags, address;
	u64 thread;
	u64 waiter;
};

/* On the stack of a thread that waits; on the list until it is woken or gives up. */
struct userfault_waiter {
	struct userfault_waiter *next;
	struct host_userfault *u;
	struct userfault_message message;
	u64 page;
	bool sent, read;
	struct a32 woken;
};

struct host_userfault {
	int out; /* our end: messages go in here */
	u64 features;
	struct a32 enabled;
};

/* An open file of ours, for as many ranges as map it. */
struct userfault_file {
	u32 refs;
	int fd;
	u64 dev, inode;
};

/* Registered memory of one kind, with the same rights. Disjoint. */
struct userfault_range {
	struct itree_node node;
	struct host_userfault *u;
	struct userfault_file *file; /* NULL: private anonymous memory */
	u64 offset;		     /* of the start, in the file */
	u64 mode;
	int prot;     /* the program's */
	u64 *present; /* a bit per page */
	struct userfault_range *next;
};

/* Of a process; born with the first descriptor, never freed. A fork child has a copy, and makes its own if it needs one. */
struct userfault_state {
	u64 mm_id;
	int mem, pagemap; /* /proc/self/... */
	/*
	 * 0, 1: held, 2: and waited for. All below, ranges' files and waiters. Innermost: what is taken inside is the allocator's alone; with
	 * every signal blocked; held over system calls on the memory, and given up before a wait for a pager.
	 */
	struct a32 lock;
	u64 holder_mask; /* the signals that the holder had blocked before */
	struct a32 any;	 /* there are ranges */
	struct itree ranges;
	struct userfault_waiter *waiters;
	u64 next_waiter;
};

/* NULL unless this process, and no parent of it, has made some. */
struct userfault_state *userfault_state(void);
/* Makes it. NULL with *error set. */
struct userfault_state *userfault_state_make(int *error);

/* With signals blocked; the value is for unlock. */
u64 userfault_lock(struct userfault_state *s);
void userfault_unlock(struct userfault_state *s, u64 sigmask);

/* --- userfault_ranges.c: all under the lock --- */

static inline struct userfault_range *range_of_node(struct itree_node *n)
{
	return n ? container_of(n, struct userfault_range, node) : NULL;
}
static inline struct userfault_range *userfault_range_at(struct userfault_state *s, u64 addr)
{
	return range_of_node(itree_find(&s->ranges, addr));
}
static inline struct userfault_range *userfault_range_first(struct userfault_state *s, u64 start,
							    u64 end)
{
	return range_of_node(itree_first_overlap(&s->ranges, start, end));
}
static inline struct userfault_range *userfault_range_next(struct userfault_range *r, u64 start,
							   u64 end)
{
	return range_of_node(itree_next_overlap(&r->node, start, end));
}
static inline u64 range_pages(const struct userfault_range *r)
{
	return (r->node.end - r->node.start) / host_page_size();
}
static inline u64 range_page(const struct userfault_range *r, u64 addr)
{
	return (addr - r->node.start) / host_page_size();
}
static inline bool page_is_present(const struct userfault_range *r, u64 page)
{
	return r->present[page / 64] & BIT(page % 64);
}
static inline void page_set(struct userfault_range *r, u64 page, bool present)
{
	if (present)
		r->present[page / 64] |= BIT(page % 64);
	else
		r->present[page / 64] &= ~BIT(page % 64);
}

/* Which pages of [start, end) are there, by the system: after their rights are gone, so that no more come. 0 or -EINVAL. */
int userfault_range_look(struct userfault_state *s, struct userfault_range *r, u64 start, u64 end);
struct userfault_range *userfault_range_alloc(u64 start, u64 end);
/* Not in the tree. Takes a reference of its file away. */
void userfault_range_free(struct userfault_range *r);
/* Ranges end at start and at end, if they lie around them. 0 or -ENOMEM. */
int userfault_ranges_cut(struct userfault_state *s, u64 start, u64 end);
/* The first of the ranges that [start, end) consists of, if to the kernel they were one mapping, else NULL. */
struct userfault_range *userfault_ranges_as_one(struct userfault_state *s, u64 start, u64 end);
/* Gives the rights prot to the pages of [start, end) that are present (or those that are not). 0 or -errno of mprotect. */
int userfault_range_protect(struct userfault_range *r, u64 start, u64 end, bool present, int prot);
/* Gives every page its rights. 0 or -errno of mprotect. */
int userfault_range_open(const struct userfault_range *r);
/* Takes all ranges of [start, end) out; u: only its. Missing pages get their rights if the memory is still there. */
void userfault_ranges_remove(struct userfault_state *s, struct host_userfault *u, u64 start,
			     u64 end, bool mapped);
void userfault_wake_range(struct userfault_state *s, struct host_userfault *u, u64 start, u64 end);
/* Whether the file has a page at addr. */
bool userfault_file_has_page(const struct userfault_range *r, u64 addr);
u64 userfault_file_size(const struct userfault_range *r);

/* --- for the rest of host/ --- */

enum userfault_outcome {
	USERFAULT_NOT_OURS, /* the access is wrong, or nothing is known of the address */
	USERFAULT_AGAIN,    /* it should work by now */
	USERFAULT_MAPPED,   /* the same, and it is this call that made it so */
	USERFAULT_SERVED,   /* it was waited for: it may work, or not yet */
};

/*
 * An access to addr by user mode failed: asks the pager and waits for it. interruptible: a signal that the thread does not block
 * ends the wait, to come back when it was handled. Else only one whose default action ends the process comes.
 */
enum userfault_outcome host_userfault_serve(u64 addr, bool write, bool interruptible);
/* A copy stopped, because one of these cannot be accessed: waited for, if it is the pager's. */
bool host_userfault_serve_copy(const void *dst, const void *src);
/* In the handler of SIGSEGV: whether the instruction is to be run again. */
bool host_userfault_handle(const siginfo_t *info, void *context);
/* The first mapping that ends above addr, by the system's own tables. 0, -ENOENT if there is none. */
int host_vma_next_system(u64 addr, struct host_vma *out);
/* Whether nothing is mapped in [start, end), by the same. False also where the system cannot be asked. */
bool host_vma_is_hole_system(u64 start, u64 end);
/* What the program made of the mapping at addr; false where there is no range. */
bool host_userfault_vma(u64 addr, struct host_vma *out);

#endif
