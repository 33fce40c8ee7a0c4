/* SPDX-License-Identifier: MIT */
#include "mem/inspect.h"

#include <errno.h>
#include <stdio.h>

#include "host/alloc.h"
#include "host/signal.h"
#include "mem/gmem.h"
#include "mem/memslot.h"
#include "mem/vma_cache.h"

/* --- slots --------------------------------------------------------------------------------------------------------- */

struct slot_record {
	u64 base_gfn, npages, hva;
	u32 flags;
	u16 id;
	bool bitmap;
	bool gmem_alive; /* gmem is filled */
	struct gmem_slot_facts gmem;
};

struct slot_batch {
	struct slot_record slot[INSPECT_SLOT_BATCH];
	unsigned nr;
	u64 generation;
	bool settling; /* readers of the set before it are waited for */
	u64 next;      /* gfn */
};

/* False if these were the last. */
static bool copy_slots(struct vm_mem *m, struct slot_batch *b)
{
	u64 sigmask = host_signals_block();
	int cookie = srcu_read_lock(&m->srcu);
	struct memslot_set *set = memslot_active(m);
	struct memslot *s = memslot_first_from(set, b->next);

	b->nr = 0;
	b->generation = a64_load_relaxed(&set->generation);
	b->settling = a64_load_acquire(&m->stats.slot_swaps) !=
		      a64_load_acquire(&m->stats.slot_swaps_settled);
	for (; s && b->nr < INSPECT_SLOT_BATCH; s = memslot_next(set, s)) {
		struct slot_record *record = &b->slot[b->nr++];

		*record = (struct slot_record){.base_gfn = s->base_gfn,
					       .npages = s->npages,
					       .hva = s->userspace_addr,
					       .flags = s->flags,
					       .id = s->id,
					       .bitmap = s->dirty_bitmap};
		record->gmem_alive = memslot_is_gmem(s) && gmem_slot_facts(s, &record->gmem);
		b->next = s->base_gfn + s->npages;
	}
	srcu_read_unlock(&m->srcu, cookie);
	host_signals_restore(sigmask);
	return s;
}

static const struct report_column slot_columns[] = {
	{"id", REPORT_DEC, 5},	{"gpa", REPORT_RANGE, 0},  {"size", REPORT_SIZE, 6},
	{"hva", REPORT_HEX, 0}, {"flags", REPORT_TEXT, 0},
};

static void write_slot(struct report *r, const struct slot_record *s)
{
	char flags[64];
	int n = snprintf(flags, sizeof(flags), "%s%s%s%s%s",
			 s->flags & MEMSLOT_LOG_DIRTY ? " LOG_DIRTY_PAGES" : "",
			 s->bitmap ? " bitmap" : "", s->flags & MEMSLOT_READONLY ? " READONLY" : "",
			 s->flags & MEMSLOT_GMEM ? " GUEST_MEMFD" : "",
			 s->flags & MEMSLOT_INVALID ? " INVALID" : "");
	const struct report_cell cells[] = {
		{.value = s->id},
		{.value = s->base_gfn * 4096, .end = (s->base_gfn + s->npages) * 4096},
		{.value = s->npages * 4096},
		{.value = s->hva},
		{.text = n ? flags + 1 : "-"},
	};

	report_table_row(r, slot_columns, ARRAY_SIZE(slot_columns), cells);
}

static void inspect_slots(struct vm_mem *m, struct slot_batch *b, struct report *r)
{
	u64 slots = 0, pages = 0;
	bool more;

	b->next = 0;
	more = copy_slots(m, b);
	report_section_begin(r, "slots", "Memory slots");
	report_value(r, "generation", b->generation);
	report_value_text(r, "old_readers", b->settling ? "waited for" : "gone");
	report_table_begin(r, "slot");
	for (;;) {
		for (unsigned i = 0; i < b->nr; i++) {
			write_slot(r, &b->slot[i]);
			pages += b->slot[i].npages;
		}
		slots += b->nr;
		if (!more)
			break;
		more = copy_slots(m, b);
	}
	report_table_end(r);
	report_value(r, "nr_slots", slots);
	report_value(r, "nr_pages", pages);
	report_section_end(r);
}

/* --- guest_memfd --------------------------------------------------------------------------------------------------- */

static const struct report_column gmem_columns[] = {
	{"slot", REPORT_DEC, 5},    {"gpa", REPORT_HEX, 0}, {"size", REPORT_SIZE, 6},
	{"offset", REPORT_SIZE, 8}, {"hva", REPORT_HEX, 0}, {"file_size", REPORT_SIZE, 9},
	{"flags", REPORT_TEXT, 0},
};

static void write_gmem(struct report *r, const struct slot_record *s)
{
	const struct gmem_slot_facts *g = &s->gmem;
	char flags[64];
	int n = snprintf(flags, sizeof(flags), "%s%s%s", g->flags & GMEM_FLAG_MMAP ? " MMAP" : "",
			 g->flags & GMEM_FLAG_INIT_SHARED ? " INIT_SHARED" : "",
			 g->poison ? " poisoned" : "");
	const struct report_cell cells[] = {
		{.value = s->id},
		{.value = s->base_gfn * 4096},
		{.value = s->npages * 4096},
		{.value = g->offset},
		{.value = g->hva},
		{.value = g->size},
		{.text = !s->gmem_alive ? "file is gone"
			 : n		? flags + 1
					: "-"},
	};

	report_table_row(r, gmem_columns, ARRAY_SIZE(gmem_columns), cells);
}

static void inspect_gmem(struct vm_mem *m, struct slot_batch *b, struct report *r)
{
	bool more;

	report_section_begin(r, "gmem", "Bindings of guest_memfd");
	report_table_begin(r, "binding");
	b->next = 0;
	do {
		more = copy_slots(m, b);
		for (unsigned i = 0; i < b->nr; i++)
			if (b->slot[i].flags & MEMSLOT_GMEM)
				write_gmem(r, &b->slot[i]);
	} while (more);
	report_table_end(r);
	report_section_end(r);
}

/* --- notifier ------------------------------------------------------------------------------------------------------ */

static void inspect_notifier(struct vm_mem *m, struct report *r)
{
	u64 sigmask = host_signals_block(), seq, start = 0, end = 0;
	u32 active, in_progress;
	bool swap_waits;

	mutex_lock(&m->mn_lock);
	active = m->mn_active;
	swap_waits = m->swap_waits;
	mutex_unlock(&m->mn_lock);
	read_lock(&m->mmu_lock);
	in_progress = m->inv_in_progress;
	/* Before the first slot of the first pair is added there is no range. */
	if (in_progress && m->inv_start < m->inv_end) {
		start = m->inv_start * 4096;
		end = m->inv_end * 4096;
	}
	seq = a64_load_relaxed(&m->inv_seq);
	read_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);

	report_section_begin(r, "notifier", "Notifier");
	report_value(r, "mn_active", active);
	report_value_text(r, "slot_swap", swap_waits ? "waits for pairs" : "none waits");
	report_value(r, "inv_in_progress", in_progress);
	if (end)
		report_value_as(r, "inv_range", REPORT_RANGE, start, end);
	report_value(r, "inv_seq", seq);
	report_section_end(r);
}

/* --- caches -------------------------------------------------------------------------------------------------------- */

/* A plain word of another thread's: aligned, and of any time. */
NO_TSAN static u64 glance(const unsigned *word)
{
	return *(const volatile unsigned *)word;
}

static const struct report_column vcpu_columns[] = {
	{"vcpu", REPORT_DEC, 5},	{"mode", REPORT_TEXT, 7},
	{"posted", REPORT_DEC, 12},	{"applied", REPORT_DEC, 12},
	{"waited_for", REPORT_DEC, 10}, {"table_pages", REPORT_DEC, 11},
	{"ring_used", REPORT_DEC, 9},	{"ring_size", REPORT_DEC, 9},
};

static void write_vcpu(struct report *r, const struct mem_vcpu *mv, u32 id)
{
	const struct tlb_client *c = mv->tlb;
	/* Applied before posted, which only grows: never more applied than posted. Pairs with the stores in tlb.c. */
	u64 acked = a64_load_acquire(&c->acked), posted = a64_load_acquire(&c->posted);
	/* In the same way: never more given back than was pushed. */
	u32 reset = a32_load_acquire(&mv->ring.reset), pushed = a32_load_acquire(&mv->ring.pushed);
	const struct report_cell cells[] = {
		{.value = id},
		{.text = a32_load_relaxed(&c->mode) == TLB_IN_GUEST ? "guest" : "outside"},
		{.value = posted},
		{.value = acked},
		{.value = a32_load_relaxed(&c->acks.waiters)},
		{.value = glance(&mv->nr_pages)},
		{.value = pushed - reset},
		{.value = mv->ring.nr},
	};

	report_table_row(r, vcpu_columns, ARRAY_SIZE(vcpu_columns), cells);
}

static void inspect_caches(struct vm_mem *m, const struct inspect_request *request,
			   struct report *r)
{
	u64 sigmask = host_signals_block(), facts;
	const struct mem_vcpu *mv;
	u32 pairs, id;

	mutex_lock(&m->vmas->lock);
	facts = m->vmas->tree.nr;
	pairs = m->vmas->pairs;
	mutex_unlock(&m->vmas->lock);
	host_signals_restore(sigmask);

	report_section_begin(r, "caches", "Caches");
	report_value(r, "vma_facts", facts);
	report_value(r, "vma_pairs", pairs);
	report_value(r, "shootdowns", a64_load_relaxed(&m->tlb.shootdowns));
	report_value(r, "shootdown_waits", a64_load_relaxed(&m->tlb.waits));
	report_value(r, "guest_tlb_syncs", a64_load_relaxed(&m->tlb.drains));
	report_table_begin(r, "vcpus");
	for (u32 n = 0; (mv = request->vcpu(request->ctx, n, &id)); n++)
		write_vcpu(r, mv, id);
	report_table_end(r);
	report_value(r, "split_cache_pages", glance(&m->split_cache.nr));
	report_value(r, "library_bytes", host_alloc_bytes());
	report_value(r, "library_objects", host_alloc_objects());
	report_section_end(r);
}

int mem_inspect(struct vm_mem *m, const struct inspect_request *request, struct report *r)
{
	u64 sections = request->sections;
	struct slot_batch *slots = NEW(struct slot_batch);
	struct inspect_walk *walk = inspect_walk_create();
	int ret = slots && walk ? 0 : -ENOMEM;

	if (!ret && (sections & INSPECT_SLOTS))
		inspect_slots(m, slots, r);
	if (!ret && (sections & INSPECT_STAGE2)) {
		report_section_begin(r, "stage2", "Stage-2 tables");
		inspect_stage2(m, &m->mmu, walk, r);
		report_section_end(r);
	}
	if (!ret && (sections & INSPECT_NESTED))
		inspect_nested(m, walk, r);
	if (!ret && (sections & INSPECT_NOTIFIER))
		inspect_notifier(m, r);
	if (!ret && (sections & INSPECT_CACHES))
		inspect_caches(m, request, r);
	if (!ret && (sections & INSPECT_GMEM))
		inspect_gmem(m, slots, r);
	if (walk)
		inspect_walk_destroy(walk);
	if (slots)
		DELETE(slots);
	return ret;
}
