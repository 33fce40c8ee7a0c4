/* SPDX-License-Identifier: MIT */
#include "mem/attrs.h"

#include <errno.h>

#include "host/alloc.h"
#include "host/pages.h"
#include "host/signal.h"
#include "mem/gmem.h"
#include "mem/hook.h"
#include "mem/inval.h"
#include "mem/mmu.h"

/* Private frames; ranges neither overlap nor touch. */
struct attr_range {
	struct itree_node node; /* gfns */
	struct attr_range *next_free;
};

#define RANGE_OF(n) container_of(n, struct attr_range, node)

void mem_attr_at(struct vm_mem *m, u64 gfn, struct mem_attr *out)
{
	struct itree_node *n, *next;

	*out = (struct mem_attr){.gfn = 0, .gfn_end = ~0ull};
	if (likely(!m->attributes_on))
		return;
	read_lock(&m->mmu_lock);
	n = itree_floor(&m->attributes, gfn);
	next = n ? itree_next(n) : itree_first(&m->attributes);
	if (n && gfn < n->end) {
		*out = (struct mem_attr){.private = true, .gfn = n->start, .gfn_end = n->end};
	} else {
		out->gfn = n ? n->end : 0;
		out->gfn_end = next ? next->start : ~0ull;
	}
	read_unlock(&m->mmu_lock);
}

void mem_attrs_fini(struct vm_mem *m)
{
	struct itree_node *n;

	while ((n = itree_first(&m->attributes))) {
		itree_remove(&m->attributes, n);
		DELETE(RANGE_OF(n));
	}
}

/* --- change -------------------------------------------------------------------------------------------------------------- */

struct change {
	u64 gfn, gfn_end;
	bool private;
	struct attr_range *spare; /* one is enough for any change */
	struct attr_range *gone;
};

static bool is_already(struct vm_mem *m, const struct change *c) REQUIRES(&m->slots_lock)
{
	struct itree_node *n = itree_first_overlap(&m->attributes, c->gfn, c->gfn_end);

	if (!c->private)
		return !n;
	return n && n->start <= c->gfn && n->end >= c->gfn_end;
}

static void drop(struct change *c, struct itree_node *n)
{
	RANGE_OF(n)->next_free = c->gone;
	c->gone = RANGE_OF(n);
}

/* One range takes the place of all that it covers or touches. */
static void add_private(struct vm_mem *m, struct change *c) REQUIRES(&m->mmu_lock)
{
	u64 start = c->gfn, end = c->gfn_end;
	struct itree_node *n;

	while ((n = itree_first_overlap(&m->attributes, start ? start - 1 : 0, end + 1))) {
		itree_remove(&m->attributes, n);
		start = MIN(start, n->start);
		end = MAX(end, n->end);
		drop(c, n);
	}
	itree_insert(&m->attributes, &c->spare->node, start, end);
	c->spare = NULL;
}

static void remove_private(struct vm_mem *m, struct change *c) REQUIRES(&m->mmu_lock)
{
	struct itree_node *n;

	while ((n = itree_first_overlap(&m->attributes, c->gfn, c->gfn_end))) {
		u64 start = n->start, end = n->end;

		itree_remove(&m->attributes, n);
		if (start < c->gfn) {
			itree_insert(&m->attributes, n, start, c->gfn);
			n = NULL;
		}
		if (end > c->gfn_end) {
			/* A hole in the middle: only one range can have it. */
			if (!n) {
				n = &c->spare->node;
				c->spare = NULL;
			}
			itree_insert(&m->attributes, n, c->gfn_end, end);
			n = NULL;
		}
		if (n)
			drop(c, n);
	}
}

/* What is mapped by the old attribute, and the code that was read through it. */
static void zap(struct vm_mem *m, const struct change *c) REQUIRES(&m->slots_lock, &m->mmu_lock)
{
	struct memslot *s;

	memslot_for_each(s, memslot_active(m))
	{
		u64 gfn = MAX(c->gfn, s->base_gfn), end = MIN(c->gfn_end, s->base_gfn + s->npages);
		u64 code, code_end;

		if (gfn >= end)
			continue;
		mmu_unmap_gfns(m, gfn, end, memslot_hva(s, gfn), memslot_hva(s, end));
		if (memslot_is_gmem(s) && gmem_slot_hvas(m, s, &code, &code_end))
			mmu_unmap_gfns(m, gfn, end, code + (gfn - s->base_gfn) * 4096,
				       code + (end - s->base_gfn) * 4096);
	}
}

static int change(struct vm_mem *m, struct change *c) REQUIRES(&m->slots_lock)
{
	if (is_already(m, c))
		return 0;
	c->spare = NEW(struct attr_range);
	if (!c->spare)
		return -ENOMEM;
	write_lock(&m->mmu_lock);
	inval_raise(m);
	inval_add(m, c->gfn, c->gfn_end);
	/* May let go of mmu_lock: the count shuts new mappings out, slots_lock keeps slots and set. */
	zap(m, c);
	write_unlock(&m->mmu_lock);
	mem_hook(HOOK_ATTR_ZAPPED, m);
	write_lock(&m->mmu_lock);
	if (c->private)
		add_private(m, c);
	else
		remove_private(m, c);
	write_unlock(&m->mmu_lock);
	inval_lower(m);
	return 0;
}

int mem_set_attributes(struct vm_mem *m, u64 gpa, u64 size, u64 attributes)
{
	u64 align = MAX(4096ull, host_page_size()), sigmask;
	struct change c = {.gfn = gpa / 4096,
			   .gfn_end = (gpa + size) / 4096,
			   .private = attributes & MEM_ATTRIBUTE_PRIVATE};
	struct attr_range *gone;
	int ret;

	if (attributes & ~MEM_ATTRIBUTES_OFFERED)
		return -EINVAL;
	if (!size || gpa + size < gpa || !IS_ALIGNED(gpa, align) || !IS_ALIGNED(size, align))
		return -EINVAL;
	sigmask = host_signals_block();
	mutex_lock(&m->slots_lock);
	ret = change(m, &c);
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	if (c.spare)
		DELETE(c.spare);
	while ((gone = c.gone)) {
		c.gone = gone->next_free;
		DELETE(gone);
	}
	return ret;
}
