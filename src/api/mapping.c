/* SPDX-License-Identifier: MIT */
/*
 * Which pieces of the address space map one of our files. Each piece holds a reference, so that kvm_run pages and rings
 * outlive their descriptors as mappings of real files do. Records are disjoint.
 */
#include "api/api.h"
#include "host/alloc.h"
#include "host/signal.h"

struct mapping {
	struct itree_node node;
	struct file *file;
	u64 offset;	      /* of the start, in the file */
	struct mapping *next; /* on a list of removed pieces */
};

/* With signals blocked: a handler's munmap on the same thread takes the lock, too. */
static u64 map_lock(struct api_process *p) ACQUIRE(&p->map_lock)
{
	u64 sigmask = host_signals_block();

	mutex_lock(&p->map_lock);
	return sigmask;
}

static void map_unlock(struct api_process *p, u64 sigmask) RELEASE(&p->map_lock)
{
	mutex_unlock(&p->map_lock);
	host_signals_restore(sigmask);
}

struct mapping *mapping_alloc(void)
{
	return NEW(struct mapping);
}

void mapping_free(struct mapping *spare)
{
	if (spare)
		DELETE(spare);
}

void mapping_record(struct mapping *m, struct file *f, u64 start, u64 end, u64 offset)
{
	struct api_process *p = api_process();
	u64 sigmask;

	m->file = f;
	m->offset = offset;
	sigmask = map_lock(p);
	itree_insert(&p->mappings, &m->node, start, end);
	map_unlock(p, sigmask);
}

bool mapping_first(u64 start, u64 end, bool with_gmem, u64 *at)
{
	struct api_process *p = api_process();
	u64 sigmask = map_lock(p);
	struct itree_node *n;
	bool found = false;

	itree_for_each_overlap(n, &p->mappings, start, end)
	{
		found = with_gmem || !container_of(n, struct mapping, node)->file->gmem;
		*at = MAX(start, n->start);
		if (found)
			break;
	}
	map_unlock(p, sigmask);
	return found;
}

void mapping_forget(u64 start, u64 end, struct mapping **spare)
{
	struct api_process *p = api_process();
	struct mapping *gone = NULL;
	struct itree_node *n;
	u64 sigmask = map_lock(p);

	while ((n = itree_first_overlap(&p->mappings, start, end))) {
		struct mapping *m = container_of(n, struct mapping, node);
		u64 left = n->start, right = n->end;

		itree_remove(&p->mappings, n);
		if (left < start && right > end) {
			/* A hole in the middle: one record becomes two. Only one piece can be so. */
			struct mapping *tail = *spare;

			*spare = NULL;
			tail->file = m->file;
			tail->offset = m->offset + (end - left);
			file_get(tail->file);
			itree_insert(&p->mappings, &tail->node, end, right);
			itree_insert(&p->mappings, &m->node, left, start);
		} else if (left < start) {
			itree_insert(&p->mappings, &m->node, left, start);
		} else if (right > end) {
			m->offset += end - left;
			itree_insert(&p->mappings, &m->node, end, right);
		} else {
			m->next = gone;
			gone = m;
		}
	}
	map_unlock(p, sigmask);
	while (gone) {
		struct mapping *m = gone;

		gone = m->next;
		file_put(m->file);
		DELETE(m);
	}
}

bool mapping_find_gmem_at(u64 start, u64 end, struct mapping_piece *out)
{
	struct api_process *p = api_process();
	u64 sigmask = map_lock(p);
	struct itree_node *n = itree_find(&p->mappings, start);
	struct mapping *m = n ? container_of(n, struct mapping, node) : NULL;
	bool found = m && m->file->gmem;

	if (found) {
		*out = (struct mapping_piece){.start = start,
					      .end = MIN(end, n->end),
					      .offset = m->offset + (start - n->start),
					      .file = m->file};
		file_get(m->file);
	}
	map_unlock(p, sigmask);
	return found;
}

bool mapping_next_gmem(const struct gmem_inode *inode, u64 from, u64 to, u64 at,
		       struct mapping_piece *out)
{
	struct api_process *p = api_process();
	u64 sigmask = map_lock(p);
	struct itree_node *n;
	bool found = false;

	itree_for_each_overlap(n, &p->mappings, at, ~0ull)
	{
		struct mapping *m = container_of(n, struct mapping, node);
		u64 first = MAX(from, m->offset), last = MIN(to, m->offset + (n->end - n->start));

		if (!m->file->gmem || gmem_inode_of(m->file->gmem) != inode || first >= last)
			continue;
		*out = (struct mapping_piece){.start = n->start + (first - m->offset),
					      .end = n->start + (last - m->offset),
					      .offset = first};
		/* A piece that ends at `at` has been seen. */
		found = out->start >= at;
		if (found)
			break;
	}
	map_unlock(p, sigmask);
	return found;
}
