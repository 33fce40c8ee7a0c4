/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging with bitmaps, and what a write to a slot that logs leaves behind. The argument is the order:
 *
 *	snapshot and clear the bits, take away write access, flush, deliver
 *
 * A write after the snapshot through an old translation is covered by the snapshot, which is delivered after the flush; a write
 * after the flush faults and sets the bit anew. The fault path sets the bit (pushes the ring entry) in the read section that
 * installs the writable leaf, and before it: whoever holds mmu_lock for writing sees neither or both, and whoever sees a write
 * sees its bit. No page is writable and clean (I-22).
 *
 * What is clean costs the user's buffer only: the words between are not looked at (dirty_bitmap.h), zeros are written, not
 * copied, and nothing is flushed unless a leaf lost its write access.
 */
#include <errno.h>

#include "base/bug.h"
#include "host/guarded.h"
#include "host/pages.h"
#include "host/signal.h"
#include "mem/dirty_bitmap.h"
#include "mem/hook.h"
#include "mem/mmu.h"
#include "mem/stage2_split.h"

#define MANUAL_PROTECT 1u /* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE */
#define INITIALLY_SET  2u /* KVM_DIRTY_LOG_INITIALLY_SET */

/*
 * Pages of neighbouring words are protected in one walk if there are no more than this between them: going over clean entries
 * costs less than walking down from the root again.
 */
#define RUN_GAP 64

bool memslot_dirty_room(struct mem_vcpu *mv)
{
	return !mv->ring.entry || dirty_ring_has_room(&mv->ring);
}

void memslot_mark_dirty(struct memslot *s, struct mem_vcpu *mv, u64 gfn)
{
	u64 page = gfn - s->base_gfn;

	if (!(s->flags & MEMSLOT_LOG_DIRTY))
		return;
	/* Without room (for a write of the library's own; faults asked first) the bitmap is better than nothing. */
	if (mv && mv->ring.entry && dirty_ring_push(&mv->ring, s->id, page))
		return;
	if (s->dirty_bitmap)
		bitmap_set(s, page);
}

/* Outside mmu_lock: slots_lock keeps other dirty log calls away until the flush is complete. */
static void flush_changed(struct vm_mem *m, const struct s2_range *changed) REQUIRES(&m->slots_lock)
{
	mem_hook(HOOK_LOG_PROTECTED, m);
	mmu_flush_changed(m, changed);
}

void dirty_log_start(struct vm_mem *m, struct memslot *s)
{
	struct s2_range changed = {0, 0};

	/* All bits are set already: protection comes with each CLEAR. A ring alone has nothing to set. */
	if (m->manual_protect == DIRTY_LOG_INITIALLY_ALL_SET && s->dirty_bitmap)
		return;
	/* The lock may be dropped on the way: faults see the logging flag since the swap, and write-map only what they mark. */
	write_lock(&m->mmu_lock);
	mmu_write_protect_gfns(m, s->base_gfn, s->base_gfn + s->npages, true, &changed);
	write_unlock(&m->mmu_lock);
	flush_changed(m, &changed);
	stage2_split(m, &m->mmu, s->base_gfn * 4096, (s->base_gfn + s->npages) * 4096);
}

/* --- runs of pages to protect -------------------------------------------------------------------------------------- */

struct run {
	u64 gfn, end; /* end == 0: empty */
	struct s2_range changed;
};

static void run_protect(struct vm_mem *m, struct run *run) REQUIRES(&m->mmu_lock)
{
	if (!run->end)
		return;
	mem_hook(HOOK_LOG_SNAPSHOT, m);
	mmu_write_protect_gfns(m, run->gfn, run->end, false, &run->changed);
	run->end = 0;
}

/* The bits of mask in a word whose first page is gfn were taken. Pages between them are protected needlessly. */
static void run_add(struct vm_mem *m, struct run *run, u64 gfn, u64 mask) REQUIRES(&m->mmu_lock)
{
	u64 first = gfn + __builtin_ctzll(mask), end = gfn + 64 - __builtin_clzll(mask);

	if (run->end && first - run->end > RUN_GAP)
		run_protect(m, run);
	if (!run->end)
		run->gfn = first;
	run->end = end;
}

static int find_logging_slot(struct vm_mem *m, u32 slot, struct memslot **out)
	REQUIRES(&m->slots_lock)
{
	*out = memslot_find_id(memslot_active(m), slot);
	return *out && (*out)->dirty_bitmap ? 0 : -ENOENT;
}

/* Rings alone keep no bitmaps. */
static int check_request(struct vm_mem *m, u32 slot) REQUIRES(&m->slots_lock)
{
	if (m->ring_bytes && !m->ring_with_bitmap)
		return -ENXIO;
	return slot >> 16 || (slot & 0xffff) >= MEMSLOT_MAX ? -EINVAL : 0;
}

/* --- GET ----------------------------------------------------------------------------------------------------------- */

/* Takes every word that is not clean into scratch, and write access with it. */
static void take_all(struct vm_mem *m, struct memslot *s, struct run *run) REQUIRES(&m->mmu_lock)
{
	struct a64 *scratch = bitmap_scratch(s), *taken = bitmap_taken(s);
	u64 words = memslot_bitmap_words(s), groups = bitmap_summary_words(s);

	for (u64 i = 0; i < groups; i++) {
		u64 some = bitmap_take_summary(s, i), end = MIN(words, i * 64 + 64);

		a64_store_relaxed(&taken[i], some);
		for (u64 word = i * 64; some && word < end; word++) {
			u64 mask = some & BIT(word % 64) ? bitmap_take(s, word) : 0;

			a64_store_relaxed(&scratch[word], mask);
			if (mask)
				run_add(m, run, s->base_gfn + word * 64, mask);
		}
	}
	run_protect(m, run);
}

/* The words to the user, 64 by 64: those that taken says nothing about are zero. to: a number, which may be anything. */
static int deliver(const struct memslot *s, const struct a64 *from, u64 to)
{
	const struct a64 *taken = bitmap_taken(s);
	u64 words = memslot_bitmap_words(s), groups = bitmap_summary_words(s);

	for (u64 i = 0, next; i < groups; i = next) {
		bool clean = !a64_load_relaxed(&taken[i]), done;
		void *at = (void *)(uintptr_t)(to + i * 512);
		u64 bytes;

		for (next = i + 1; next < groups && !a64_load_relaxed(&taken[next]) == clean;)
			next++;
		bytes = (MIN(words, next * 64) - i * 64) * 8;
		done = clean ? guarded_zero(at, bytes) : guarded_copy_to(at, &from[i * 64], bytes);
		if (!done)
			return -EFAULT;
	}
	return 0;
}

static int get_dirty_log(struct vm_mem *m, u32 slot, void *bitmap) REQUIRES(&m->slots_lock)
{
	struct run run = {0};
	struct memslot *s;
	int ret;

	ret = check_request(m, slot);
	if (!ret)
		ret = find_logging_slot(m, slot, &s);
	if (ret)
		return ret;
	if (m->manual_protect) {
		for (u64 i = 0; i < bitmap_summary_words(s); i++)
			a64_store_relaxed(&bitmap_taken(s)[i],
					  a64_load_relaxed(&bitmap_summary(s)[i]));
		return deliver(s, s->dirty_bitmap, (uintptr_t)bitmap);
	}
	write_lock(&m->mmu_lock);
	take_all(m, s, &run);
	write_unlock(&m->mmu_lock);
	flush_changed(m, &run.changed);
	/* Bits already taken are lost if this faults, as on KVM. */
	return deliver(s, bitmap_scratch(s), (uintptr_t)bitmap);
}

int mem_get_dirty_log(struct vm_mem *m, u32 slot, void *bitmap)
{
	u64 sigmask = host_signals_block();
	int ret;

	mutex_lock(&m->slots_lock);
	ret = get_dirty_log(m, slot, bitmap);
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return ret;
}

/* --- CLEAR --------------------------------------------------------------------------------------------------------- */

/* Words of the bitmap, [first, end), and the user's mask for them. */
struct asked {
	u64 first, end;
	u64 mask; /* its address, which may be anything */
};

/* The part of summary word i that lies in the range. */
static u64 asked_groups(const struct asked *a, u64 i)
{
	u64 bits = ~0ull;

	if (a->first > i * 64)
		bits &= ~0ull << (a->first - i * 64);
	if (a->end < i * 64 + 64)
		bits &= BIT(a->end - i * 64) - 1;
	return bits;
}

/* Every page of the user's mask is looked at, since an unreadable one is an error whether or not it matters. */
static bool mask_readable(const struct asked *a)
{
	u64 page = host_page_size(), start = a->mask, end = start + (a->end - a->first) * 8;
	u8 byte;

	for (u64 at = start; at < end; at = ALIGN_DOWN(at, page) + page)
		if (!guarded_load8((const void *)(uintptr_t)at, &byte))
			return false;
	return true;
}

/*
 * Copies the mask to scratch where something is dirty, before the lock. What becomes dirty from here on elsewhere counts as
 * written after the call. *any: there is something to clear.
 */
static int copy_mask(struct memslot *s, const struct asked *a, bool *any)
{
	struct a64 *scratch = bitmap_scratch(s), *taken = bitmap_taken(s);

	*any = false;
	if (!mask_readable(a))
		return -EFAULT;
	for (u64 i = a->first / 64; i * 64 < a->end; i++) {
		u64 some = a64_load_relaxed(&bitmap_summary(s)[i]) & asked_groups(a, i);
		u64 word = MAX(a->first, i * 64), n = MIN(a->end, i * 64 + 64) - word;

		a64_store_relaxed(&taken[i], some);
		if (!some)
			continue;
		*any = true;
		if (!guarded_copy_from(&scratch[word],
				       (const void *)(uintptr_t)(a->mask + (word - a->first) * 8),
				       n * 8))
			return -EFAULT;
	}
	return 0;
}

/* Clears what was asked and set. scratch is then what was cleared, in the words that taken names. */
static void clear_asked(struct vm_mem *m, struct memslot *s, const struct asked *a, struct run *run)
	REQUIRES(&m->mmu_lock)
{
	struct a64 *scratch = bitmap_scratch(s), *taken = bitmap_taken(s);

	for (u64 i = a->first / 64; i * 64 < a->end; i++) {
		u64 gone = 0;

		for (u64 left = a64_load_relaxed(&taken[i]); left; left &= left - 1) {
			u64 word = i * 64 + __builtin_ctzll(left),
			    mask = a64_load_relaxed(&scratch[word]);
			bool empty;

			if (!mask)
				continue;
			mask = bitmap_clear(s, word, mask, &empty);
			a64_store_relaxed(&scratch[word], mask);
			if (empty)
				gone |= BIT(word % 64);
			if (mask)
				run_add(m, run, s->base_gfn + word * 64, mask);
		}
		bitmap_words_emptied(s, i, gone);
	}
	run_protect(m, run);
}

/*
 * With initially-set nothing was split when logging began. Neighbours that lie in one block of 2 MiB are one range: it is split
 * whole anyway.
 */
static void split_cleared(struct vm_mem *m, struct memslot *s, const struct asked *a)
	REQUIRES(&m->slots_lock)
{
	const u64 block_words = 2 * MIB / 4096 / 64;
	struct a64 *scratch = bitmap_scratch(s), *taken = bitmap_taken(s);
	u64 start = 0, end = 0;

	for (u64 i = a->first / 64; i * 64 < a->end; i++) {
		for (u64 left = a64_load_relaxed(&taken[i]); left; left &= left - 1) {
			u64 word = i * 64 + __builtin_ctzll(left);

			if (!a64_load_relaxed(&scratch[word]))
				continue;
			if (end && word - end >= block_words) {
				stage2_split(m, &m->mmu, (s->base_gfn + start * 64) * 4096,
					     (s->base_gfn + end * 64) * 4096);
				end = 0;
			}
			if (!end)
				start = word;
			end = word + 1;
		}
	}
	end = MIN(end * 64, s->npages);
	if (end)
		stage2_split(m, &m->mmu, (s->base_gfn + start * 64) * 4096,
			     (s->base_gfn + end) * 4096);
}

static int clear_dirty_log(struct vm_mem *m, u32 slot, u32 num_pages, u64 first_page,
			   const void *bitmap) REQUIRES(&m->slots_lock)
{
	struct asked a = {.first = first_page / 64,
			  .end = first_page / 64 + ((u64)num_pages + 63) / 64,
			  .mask = (uintptr_t)bitmap};
	struct run run = {0};
	struct memslot *s;
	bool any;
	int ret;

	ret = check_request(m, slot);
	if (ret)
		return ret;
	if (first_page & 63)
		return -EINVAL;
	ret = find_logging_slot(m, slot, &s);
	if (ret)
		return ret;
	if (first_page > s->npages || num_pages > s->npages - first_page ||
	    (num_pages < s->npages - first_page && (num_pages & 63)))
		return -EINVAL;
	ret = copy_mask(s, &a, &any);
	if (ret || !any)
		return ret;
	write_lock(&m->mmu_lock);
	clear_asked(m, s, &a, &run);
	write_unlock(&m->mmu_lock);
	flush_changed(m, &run.changed);
	if (m->manual_protect == DIRTY_LOG_INITIALLY_ALL_SET && m->split_chunk)
		split_cleared(m, s, &a);
	return 0;
}

int mem_clear_dirty_log(struct vm_mem *m, u32 slot, u32 num_pages, u64 first_page,
			const void *bitmap)
{
	u64 sigmask = host_signals_block();
	int ret;

	mutex_lock(&m->slots_lock);
	ret = clear_dirty_log(m, slot, num_pages, first_page, bitmap);
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return ret;
}

int mem_set_manual_protect(struct vm_mem *m, u64 bits)
{
	u64 allowed = bits & MANUAL_PROTECT ? MANUAL_PROTECT | INITIALLY_SET : MANUAL_PROTECT;
	u64 sigmask;

	if (bits & ~allowed)
		return -EINVAL;
	sigmask = host_signals_block();
	mutex_lock(&m->slots_lock);
	m->manual_protect = bits;
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return 0;
}
