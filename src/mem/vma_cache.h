/* SPDX-License-Identifier: MIT */
/*
 * What the host kernel said about the mappings under a VM's slots, so that a fault need not ask again. A fact is dropped when an
 * invalidation pair covers it, and when memory turns out not to be as the fact says (somebody used a raw system call).
 *
 * A query runs without the lock, so its answer may be old when it comes: it is kept only if no pair that changes mappings was in
 * flight at any time since the question. The fault that asked uses the answer in any case; if it is wrong, the retry rule
 * finds out.
 *
 * struct vma_fact. born: a query. seen by: faults, by copy under the lock. hidden and freed: invalidation, a full cache, VM
 * destroy.
 */
#ifndef ANYKVM_MEM_VMA_CACHE_H
#define ANYKVM_MEM_VMA_CACHE_H

#include "base/itree.h"
#include "host/vma.h"
#include "mem/mem.h"

#define VMA_CACHE_MAX 512u

struct vma_fact {
	struct itree_node node;
	struct host_vma vma;
	struct vma_fact *next_free;
};

struct vma_cache {
	struct mutex lock; /* a leaf: nothing is allocated or freed under it */
	struct itree tree GUARDED_BY(lock);
	u32 pairs GUARDED_BY(lock); /* in flight, of those that change mappings */
	u64 seq GUARDED_BY(lock);   /* raised by each invalidation, at both ends of a pair */
};

struct vma_cache *vma_cache_create(void);
void vma_cache_destroy(struct vma_cache *c);
/* The mapping that holds hva: from the cache, or from the host. 0 or -ENOENT. */
int vma_cache_lookup(struct vma_cache *c, u64 hva, struct host_vma *out);
/* A pair begins and ends. */
void vma_cache_begin(struct vma_cache *c, u64 start, u64 end);
void vma_cache_end(struct vma_cache *c);
/* The fact about hva was wrong. */
void vma_cache_drop(struct vma_cache *c, u64 hva);

#endif
