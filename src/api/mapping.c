/* SPDX-License-Identifier: MIT */
/*
 * Which pieces of the address space map one of our files. Each piece holds a reference, so that kvm_run pages and rings
 * outlive their descriptors as mappings of real files do. Records are disjoint.
 */
#include "api/api.h"
#include "host/alloc.h"

struct mapping {
	struct itree_node node;
	struct file *file;
	struct mapping *next; /* on a list of removed pieces */
};

struct mapping *mapping_alloc(void)
{
	return NEW(struct mapping);
}

void mapping_free(struct mapping *spare)
{
	if (spare)
		DELETE(spare);
}

void mapping_record(struct mapping *m, struct file *f, u64 start, u64 end)
{
	struct api_process *p = api_process();

	m->file = f;
	mutex_lock(&p->map_lock);
	itree_insert(&p->mappings, &m->node, start, end);
	mutex_unlock(&p->map_lock);
}

bool mapping_overlaps(u64 start, u64 end)
{
	struct api_process *p = api_process();
	bool found;

	mutex_lock(&p->map_lock);
	found = itree_first_overlap(&p->mappings, start, end);
	mutex_unlock(&p->map_lock);
	return found;
}

void mapping_forget(u64 start, u64 end, struct mapping **spare)
{
	struct api_process *p = api_process();
	struct mapping *gone = NULL;
	struct itree_node *n;

	mutex_lock(&p->map_lock);
	while ((n = itree_first_overlap(&p->mappings, start, end))) {
		struct mapping *m = container_of(n, struct mapping, node);
		u64 left = n->start, right = n->end;

		itree_remove(&p->mappings, n);
		if (left < start && right > end) {
			/* A hole in the middle: one record becomes two. Only one piece can be so. */
			struct mapping *tail = *spare;

			*spare = NULL;
			tail->file = m->file;
			file_get(tail->file);
			itree_insert(&p->mappings, &tail->node, end, right);
			itree_insert(&p->mappings, &m->node, left, start);
		} else if (left < start) {
			itree_insert(&p->mappings, &m->node, left, start);
		} else if (right > end) {
			itree_insert(&p->mappings, &m->node, end, right);
		} else {
			m->next = gone;
			gone = m;
		}
	}
	mutex_unlock(&p->map_lock);
	while (gone) {
		struct mapping *m = gone;

		gone = m->next;
		file_put(m->file);
		DELETE(m);
	}
}
