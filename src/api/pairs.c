/* SPDX-License-Identifier: MIT */
/* Pairs around the change of a file: one for each place where the file is mapped. */
#include "api/pairs.h"

void pairs_init(struct pairs *p)
{
	p->nr = p->nr_open = 0;
}

bool pairs_add(struct pairs *p, u64 start, u64 end)
{
	/* One after the other, as mappings that differ in rights alone are. */
	if (p->nr && p->range[p->nr - 1].end == start) {
		p->range[p->nr - 1].end = end;
		return true;
	}
	if (p->nr == PAIRS_MAX) {
		pairs_add_all(p);
		return false;
	}
	p->range[p->nr].start = start;
	p->range[p->nr].end = end;
	p->nr++;
	return true;
}

void pairs_add_all(struct pairs *p)
{
	p->nr = 1;
	p->range[0].start = 0;
	p->range[0].end = BIT(48); /* all that a slot may name, on any host */
}

void pairs_start(struct pairs *p, u32 flags)
{
	for (; p->nr_open < p->nr; p->nr_open++)
		mem_invalidate_start(p->range[p->nr_open].start, p->range[p->nr_open].end, flags,
				     &p->t[p->nr_open]);
}

void pairs_end(struct pairs *p)
{
	while (p->nr_open)
		mem_invalidate_end(&p->t[--p->nr_open]);
}
