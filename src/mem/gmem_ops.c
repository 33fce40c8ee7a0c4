/* SPDX-License-Identifier: MIT */
/* guest_memfd: what changes the storage. Population, holes, memory errors. */
#include <errno.h>
#include <linux/falloc.h>

#include "base/bug.h"
#include "host/fd.h"
#include "host/pages.h"
#include "host/signal.h"
#include "host/vma.h"
#include "mem/gmem_inode.h"
#include "mem/hook.h"
#include "mem/notifier.h"

/* --- poison ------------------------------------------------------------------------------------------------------------- */

static u64 poison_bytes(const struct gmem_inode *inode)
{
	return (inode->size / 4096 + 63) / 64 * sizeof(struct a64);
}

/* Acquire pairs with the release in gmem_error. */
static struct a64 *poison_map(const struct gmem_inode *inode)
{
	return aptr_load_acquire(&inode->poison);
}

static bool poison_test(const struct a64 *map, u64 page)
{
	return a64_load_relaxed(&map[page / 64]) & BIT(page % 64);
}

void gmem_poison_free(struct gmem_inode *inode)
{
	host_pages_unmap(aptr_load_relaxed(&inode->poison), poison_bytes(inode));
}

bool gmem_has_poison(const struct gmem_inode *inode)
{
	return poison_map(inode);
}

/*
 * No lock: a page that is poisoned after the look is taken away by the error's zap, and the count and sequence that go with it
 * make the fault that looked too early run again.
 */
bool gmem_is_poisoned(const struct gmem_inode *inode, u64 offset)
{
	const struct a64 *map = poison_map(inode);

	return unlikely(map) && poison_test(map, offset / 4096);
}

/* With an error anywhere blocks are given up for single pages, which are looked at one by one. */
void gmem_poison_bounds(const struct gmem_inode *inode, u64 page, u64 *start, u64 *end)
{
	if (likely(!poison_map(inode)))
		return;
	*start = page;
	*end = page + 1;
}

/* --- population --------------------------------------------------------------------------------------------------------- */

#define PIECE (2 * MIB)

static int populate(const struct gmem_inode *inode, u64 from, u64 to)
{
	/* A piece of a whole huge page, if the host can be talked into it: twice as fast to make, many times to give back. */
	if (to - from == PIECE &&
	    !host_file_populate_huge(inode->fd, from, inode->base + from, PIECE))
		return 0;
	return host_fallocate(inode->fd, FALLOC_FL_KEEP_SIZE, from, to - from);
}

static int allocate_piece(struct gmem_inode *inode, u64 from, u64 to)
{
	int r;

	mutex_lock(&inode->inval_lock);
	r = gmem_storage_make(inode);
	if (!r)
		r = populate(inode, from, to);
	mutex_unlock(&inode->inval_lock);
	return r == -ENOSPC ? -ENOMEM : r;
}

int gmem_allocate(struct gmem_inode *inode, u64 from, u64 to)
{
	u64 sigmask = host_signals_block(), start = from;
	int r = 0;

	while (from < to && !r) {
		u64 next = MIN(to, ALIGN_DOWN(from, PIECE) + PIECE);

		/* What was pending before the first piece was delivered when the caller came here. */
		if (from != start && host_signals_pending(sigmask))
			r = -EINTR;
		else
			r = allocate_piece(inode, from, next);
		mem_hook(HOOK_GMEM_PIECE, inode);
		from = next;
	}
	host_signals_restore(sigmask);
	return r;
}

/* --- holes and errors --------------------------------------------------------------------------------------------------- */

static void host_start(const struct gmem_host_ops *host, u64 from, u64 to, bool remaps)
{
	/* A mapping that is made anew is another mapping to whoever remembers facts about it. */
	if (host)
		host->start(host->ctx, from, to, remaps ? 0 : MEM_INVAL_KEEP_VMA);
}

static void host_remap(const struct gmem_host_ops *host, u64 from, u64 to)
{
	if (host)
		host->remap(host->ctx, from, to);
}

static void host_end(const struct gmem_host_ops *host)
{
	if (host)
		host->end(host->ctx);
}

u64 gmem_mapping_begin(struct gmem_inode *inode) NO_THREAD_SAFETY_ANALYSIS
{
	u64 sigmask = host_signals_block();

	mutex_lock(&inode->inval_lock);
	return sigmask;
}

void gmem_mapping_end(struct gmem_inode *inode, u64 sigmask) NO_THREAD_SAFETY_ANALYSIS
{
	mutex_unlock(&inode->inval_lock);
	host_signals_restore(sigmask);
}

/* True if there was any. */
static bool poison_clear(struct gmem_inode *inode, u64 from, u64 to)
{
	struct a64 *map = poison_map(inode);
	bool any = false;

	for (u64 page = from / 4096; map && page < to / 4096; page++) {
		if (!poison_test(map, page))
			continue;
		a64_fetch_and(&map[page / 64], ~BIT(page % 64));
		any = true;
	}
	return any;
}

static int punch_storage(const struct gmem_inode *inode, u64 from, u64 to)
{
	/* Without a storage there is no page to give back. */
	if (!inode->storage)
		return 0;
	return host_fallocate(inode->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from,
			      to - from);
}

int gmem_punch(struct gmem_inode *inode, u64 from, u64 to, const struct gmem_host_ops *host)
{
	u64 sigmask, end = MIN(to, inode->size);
	bool was_poisoned;
	int r;

	if (from >= end)
		return 0;
	sigmask = host_signals_block();
	mutex_lock(&inode->inval_lock);
	gmem_zap_start(inode, from, end);
	host_start(host, from, end, poison_map(inode));
	mem_hook(HOOK_GMEM_PUNCH, inode);
	r = punch_storage(inode, from, end);
	was_poisoned = !r && poison_clear(inode, from, end);
	if (was_poisoned)
		host_remap(host, from, end);
	host_end(host);
	gmem_zap_finish(inode);
	mutex_unlock(&inode->inval_lock);
	host_signals_restore(sigmask);
	return r;
}

/* The map, made if there is none; or NULL. Release pairs with poison_map. */
static struct a64 *poison_map_make(struct gmem_inode *inode) REQUIRES(&inode->inval_lock)
{
	if (!poison_map(inode))
		aptr_store_release(&inode->poison, host_pages_map(poison_bytes(inode)));
	return poison_map(inode);
}

static void poison_set(struct a64 *map, u64 from, u64 to)
{
	for (u64 page = from / 4096; page < to / 4096; page++)
		a64_fetch_or(&map[page / 64], BIT(page % 64));
}

int gmem_error(struct gmem_inode *inode, u64 from, u64 to, const struct gmem_host_ops *host)
{
	u64 sigmask = host_signals_block();
	struct a64 *map;

	mutex_lock(&inode->inval_lock);
	map = poison_map_make(inode);
	if (map) {
		gmem_zap_start(inode, from, to);
		host_start(host, from, to, true);
		mem_hook(HOOK_GMEM_ERROR, inode);
		poison_set(map, from, to);
		host_remap(host, from, to);
		host_end(host);
		gmem_zap_finish(inode);
	}
	mutex_unlock(&inode->inval_lock);
	host_signals_restore(sigmask);
	return map ? 0 : -ENOMEM;
}
