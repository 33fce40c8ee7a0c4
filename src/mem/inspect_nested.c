/* SPDX-License-Identifier: MIT */
/* Shadow MMUs, one after the other: they live until VM destroy, so that a pointer to one outlives the lock under which it was found. */
#include <stdio.h>

#include "host/signal.h"
#include "mem/inspect.h"
#include "mem/nested_mmu.h"

struct nested_record {
	struct nested_mmu *n;
	u64 id;
	struct nested_key key;
	u32 refcnt;
	bool valid, pending_unmap;
};

/* False past the last. */
static bool copy_nested(struct vm_mem *m, u32 i, struct nested_record *out)
{
	u64 sigmask = host_signals_block();
	bool found;

	read_lock(&m->mmu_lock);
	found = i < m->nested.nr;
	if (found) {
		struct nested_mmu *n = nested_mmu_at(m, i);

		*out = (struct nested_record){.n = n,
					      .id = n->mmu.id,
					      .key = n->key,
					      .refcnt = a32_load_relaxed(&n->refcnt),
					      .valid = nested_mmu_is_valid(n),
					      .pending_unmap = n->pending_unmap};
	}
	read_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	return found;
}

static const struct report_column nested_columns[] = {
	{"nested", REPORT_DEC, 6}, {"mmu", REPORT_DEC, 6},     {"vttbr", REPORT_HEX, 0},
	{"vtcr", REPORT_HEX, 0},   {"stage2", REPORT_TEXT, 6}, {"refcnt", REPORT_DEC, 6},
	{"tables", REPORT_DEC, 8}, {"state", REPORT_TEXT, 0},
};

static void write_nested(struct report *r, u32 i, const struct nested_record *record)
{
	const struct report_cell cells[] = {
		{.value = i},
		{.value = record->id},
		{.value = record->key.vttbr},
		{.value = record->key.vtcr},
		{.text = !record->valid	  ? "-"
			 : record->key.s2 ? "on"
					  : "off"},
		{.value = record->refcnt},
		{.value = stage2_table_pages(&record->n->mmu)},
		{.text = !record->valid		 ? "free"
			 : record->pending_unmap ? "to be emptied"
						 : "valid"},
	};

	report_table_row(r, nested_columns, ARRAY_SIZE(nested_columns), cells);
}

void inspect_nested(struct vm_mem *m, struct inspect_walk *w, struct report *r)
{
	struct nested_record record;

	report_section_begin(r, "nested", "Shadow MMUs");
	report_table_begin(r, "mmu");
	for (u32 i = 0; copy_nested(m, i, &record); i++)
		write_nested(r, i, &record);
	report_table_end(r);
	for (u32 i = 0; copy_nested(m, i, &record); i++) {
		char name[32], title[48];

		/* A root alone maps nothing. */
		if (!record.valid || stage2_table_pages(&record.n->mmu) < 2)
			continue;
		snprintf(name, sizeof(name), "tables_%u", i);
		snprintf(title, sizeof(title), "Tables of shadow MMU %u", i);
		report_section_begin(r, name, title);
		inspect_stage2(m, &record.n->mmu, w, r);
		report_section_end(r);
	}
	report_section_end(r);
}

u64 mem_table_pages(struct vm_mem *m)
{
	u64 pages = stage2_table_pages(&m->mmu);
	struct nested_record record;

	for (u32 i = 0; copy_nested(m, i, &record); i++)
		pages += stage2_table_pages(&record.n->mmu);
	return pages;
}
