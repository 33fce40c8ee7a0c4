/* SPDX-License-Identifier: MIT */
#include "mem/userfault.h"

#include <errno.h>

#include "base/itree.h"
#include "host/alloc.h"
#include "host/signal.h"
#include "mem/notifier.h"
#include "mem/process_mem.h"

/* Under mem_process.userfault_lock. Disjoint. */
struct userfault_range {
	struct itree_node node;
	struct userfault_range *next_free;
};

/* Takes [start, end) out; tail is used if one range becomes two. Returns the nodes to free. */
static struct userfault_range *cut(struct itree *t, u64 start, u64 end,
				   struct userfault_range **tail)
{
	struct userfault_range *gone = NULL;
	struct itree_node *n;

	while ((n = itree_first_overlap(t, start, end))) {
		u64 left = n->start, right = n->end;

		itree_remove(t, n);
		if (left < start && right > end) {
			itree_insert(t, &(*tail)->node, end, right);
			*tail = NULL;
		}
		if (left < start) {
			itree_insert(t, n, left, start);
		} else if (right > end) {
			itree_insert(t, n, end, right);
		} else {
			struct userfault_range *r = container_of(n, struct userfault_range, node);

			r->next_free = gone;
			gone = r;
		}
	}
	return gone;
}

static void change(u64 start, u64 end, struct userfault_range *tail, struct userfault_range *add)
{
	struct mem_process *p = mem_process();
	struct userfault_range *gone;
	u64 sigmask;

	/* A handler of the program may call munmap, which takes ranges out as well. */
	sigmask = host_signals_block();
	mutex_lock(&p->userfault_lock);
	gone = cut(&p->userfault, start, end, &tail);
	if (add)
		itree_insert(&p->userfault, &add->node, start, end);
	/* Read without the lock by who only wants to know whether there are any. */
	a32_store(&p->userfault_any, !itree_empty(&p->userfault));
	mutex_unlock(&p->userfault_lock);
	host_signals_restore(sigmask);
	if (tail)
		DELETE(tail);
	while (gone) {
		struct userfault_range *next = gone->next_free;

		DELETE(gone);
		gone = next;
	}
}

int mem_userfault_add(u64 start, u64 end)
{
	struct userfault_range *add, *tail;
	struct mem_inval_token t;

	mem_process_init();
	add = NEW(struct userfault_range);
	tail = NEW(struct userfault_range);
	if (!add || !tail) {
		if (add)
			DELETE(add);
		if (tail)
			DELETE(tail);
		return -ENOMEM;
	}
	/* Noted before the pair ends: a fault that planned without it is retried. */
	mem_invalidate_start(start, end, 0, &t);
	change(start, end, tail, add);
	mem_invalidate_end(&t);
	return 0;
}

int mem_userfault_remove(u64 start, u64 end)
{
	struct userfault_range *tail;

	mem_process_init();
	if (!a32_load(&mem_process()->userfault_any))
		return 0;
	tail = NEW(struct userfault_range);
	if (!tail)
		return -ENOMEM;
	change(start, end, tail, NULL);
	return 0;
}

bool mem_userfault_overlaps(u64 start, u64 end)
{
	struct mem_process *p = mem_process();
	bool found;

	if (likely(!a32_load(&p->userfault_any)))
		return false;
	mutex_lock(&p->userfault_lock);
	found = itree_first_overlap(&p->userfault, start, end);
	mutex_unlock(&p->userfault_lock);
	return found;
}
