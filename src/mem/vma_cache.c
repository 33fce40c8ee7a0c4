/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "host/alloc.h"
#include "mem/hook.h"
#include "mem/vma_cache.h"

struct vma_cache *vma_cache_create(void)
{
	struct vma_cache *c = NEW(struct vma_cache);

	if (c)
		mutex_init(&c->lock, RANK_LEAF, "vma_cache");
	return c;
}

static struct vma_fact *fact_of(struct itree_node *n)
{
	return n ? container_of(n, struct vma_fact, node) : NULL;
}

/* Takes what overlaps [start, end) out of the tree; the list is freed after the lock. */
static struct vma_fact *take_range(struct vma_cache *c, u64 start, u64 end) REQUIRES(&c->lock)
{
	struct vma_fact *list = NULL, *f;

	while ((f = fact_of(itree_first_overlap(&c->tree, start, end)))) {
		itree_remove(&c->tree, &f->node);
		f->next_free = list;
		list = f;
	}
	return list;
}

static void free_list(struct vma_fact *f)
{
	while (f) {
		struct vma_fact *next = f->next_free;

		DELETE(f);
		f = next;
	}
}

void vma_cache_destroy(struct vma_cache *c)
{
	struct vma_fact *list;

	mutex_lock(&c->lock);
	list = take_range(c, 0, ~0ull);
	mutex_unlock(&c->lock);
	free_list(list);
	mutex_fini(&c->lock);
	DELETE(c);
}

static void keep(struct vma_cache *c, const struct host_vma *vma, u64 seq)
{
	struct vma_fact *fact = NEW(struct vma_fact), *old = NULL;

	/* Without memory the next fault asks again. */
	if (!fact)
		return;
	fact->vma = *vma;
	mutex_lock(&c->lock);
	if (c->pairs || c->seq != seq) {
		old = fact;
		fact->next_free = NULL;
	} else {
		/* A mapping may have grown since: the new answer replaces what it overlaps. */
		old = c->tree.nr < VMA_CACHE_MAX ? take_range(c, vma->start, vma->end)
						 : take_range(c, 0, ~0ull);
		itree_insert(&c->tree, &fact->node, vma->start, vma->end);
	}
	mutex_unlock(&c->lock);
	free_list(old);
}

int vma_cache_lookup(struct vma_cache *c, u64 hva, struct host_vma *out)
{
	struct vma_fact *fact;
	u64 seq;
	int ret;

	mutex_lock(&c->lock);
	fact = fact_of(itree_find(&c->tree, hva));
	if (fact)
		*out = fact->vma;
	seq = c->seq;
	mutex_unlock(&c->lock);
	if (fact)
		return 0;
	ret = host_vma_query(hva, out);
	mem_hook(HOOK_VMA_QUERIED, c);
	if (!ret) {
		keep(c, out, seq);
	} else if (ret != -ENOENT) {
		/*
		 * The host cannot be asked (no descriptor left): take one page, and let populating it and the guard of the access
		 * itself find out what is allowed.
		 */
		u64 page = ALIGN_DOWN(hva, 4096);

		*out = (struct host_vma){
			.start = page, .end = page + 4096, .r = true, .w = true, .page_size = 4096};
		ret = 0;
	}
	return ret;
}

void vma_cache_begin(struct vma_cache *c, u64 start, u64 end)
{
	struct vma_fact *list;

	mutex_lock(&c->lock);
	c->pairs++;
	c->seq++;
	list = take_range(c, start, end);
	mutex_unlock(&c->lock);
	free_list(list);
}

void vma_cache_end(struct vma_cache *c)
{
	mutex_lock(&c->lock);
	c->pairs--;
	/* Who asked within the pair may have been told of before the change, and keeps nothing either. */
	c->seq++;
	mutex_unlock(&c->lock);
}

void vma_cache_drop(struct vma_cache *c, u64 hva)
{
	struct vma_fact *list;

	mutex_lock(&c->lock);
	/* A query under way must not bring the wrong fact back. */
	c->seq++;
	list = take_range(c, hva, hva + 1);
	mutex_unlock(&c->lock);
	free_list(list);
}
