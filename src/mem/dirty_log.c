/* SPDX-License-Identifier: MIT */
/*
 * Dirty logging with bitmaps. The argument is the order:
 *
 *	snapshot and clear the bits, take away write access, flush, deliver
 *
 * A write after the snapshot through an old translation is covered by the snapshot, which is delivered after the flush; a write
 * after the flush faults and sets the bit anew. The fault path sets the bit in the same read section that installs the writable
 * leaf, so whoever holds mmu_lock for writing sees neither or both: no page is writable and clean (I-22).
 */
#include <errno.h>

#include "base/bug.h"
#include "host/alloc.h"
#include "host/guarded.h"
#include "host/pages.h"
#include "host/signal.h"
#include "mem/hook.h"
#include "mem/memslot.h"
#include "mem/mmu.h"

#define MANUAL_PROTECT 1u /* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE */
#define INITIALLY_SET  2u /* KVM_DIRTY_LOG_INITIALLY_SET */

static u64 bitmap_bytes(const struct memslot *s)
{
	return memslot_bitmap_words(s) * sizeof(struct a64);
}

int memslot_bitmap_create(struct memslot *s, bool all_ones)
{
	/* Mapped, not allocated: a slot of 2^31 pages costs nothing until its bits are set. */
	s->dirty_bitmap = host_pages_map(2 * bitmap_bytes(s));
	if (!s->dirty_bitmap)
		return -ENOMEM;
	for (u64 i = 0; all_ones && i < memslot_bitmap_words(s); i++) {
		u64 left = s->npages - i * 64;

		a64_store_relaxed(&s->dirty_bitmap[i], left >= 64 ? ~0ull : BIT(left) - 1);
	}
	return 0;
}

void memslot_bitmap_destroy(struct memslot *s)
{
	if (s->dirty_bitmap)
		host_pages_unmap(s->dirty_bitmap, 2 * bitmap_bytes(s));
	s->dirty_bitmap = NULL;
}

void memslot_mark_dirty(struct memslot *s, u64 gfn)
{
	u64 bit = gfn - s->base_gfn;

	/*
	 * Always the read-modify-write, even if the bit looks set: a plain look could be done before the data of mem_write_guest
	 * is visible, and GET take bit and old page between the two. Pairs with the xchg in GET and the fetch_and in CLEAR.
	 */
	if (s->dirty_bitmap)
		a64_fetch_or(&s->dirty_bitmap[bit / 64], BIT(bit % 64));
}

static struct a64 *scratch_of(const struct memslot *s)
{
	return s->dirty_bitmap + memslot_bitmap_words(s);
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

	/* All bits are set already: protection comes with each CLEAR. */
	if (m->manual_protect == (MANUAL_PROTECT | INITIALLY_SET))
		return;
	/* The lock may be dropped on the way: faults see the logging flag since the swap, and write-map only what they mark. */
	write_lock(&m->mmu_lock);
	mmu_write_protect_gfns(m, s->base_gfn, s->base_gfn + s->npages, true, &changed);
	write_unlock(&m->mmu_lock);
	flush_changed(m, &changed);
}

/* Takes write access from the pages between the first and the last set bit; those between are protected needlessly. */
static void protect_word(struct vm_mem *m, const struct memslot *s, u64 word, u64 mask,
			 struct s2_range *changed) REQUIRES(&m->mmu_lock)
{
	u64 first = s->base_gfn + word * 64 + __builtin_ctzll(mask);
	u64 last = s->base_gfn + word * 64 + 63 - __builtin_clzll(mask);

	mem_hook(HOOK_LOG_SNAPSHOT, m);
	mmu_write_protect_gfns(m, first, last + 1, false, changed);
}

static int find_logging_slot(struct vm_mem *m, u32 slot, struct memslot **out)
	REQUIRES(&m->slots_lock)
{
	if (slot >> 16 || (slot & 0xffff) >= MEMSLOT_MAX)
		return -EINVAL;
	*out = memslot_find_id(memslot_active(m), slot);
	return *out && (*out)->dirty_bitmap ? 0 : -ENOENT;
}

static int get_dirty_log(struct vm_mem *m, u32 slot, void *bitmap) REQUIRES(&m->slots_lock)
{
	struct s2_range changed = {0, 0};
	struct a64 *source;
	struct memslot *s;
	u64 words;
	int ret;

	ret = find_logging_slot(m, slot, &s);
	if (ret)
		return ret;
	words = memslot_bitmap_words(s);
	source = s->dirty_bitmap;
	if (!m->manual_protect) {
		source = scratch_of(s);
		write_lock(&m->mmu_lock);
		for (u64 i = 0; i < words; i++) {
			u64 mask = 0;

			if (a64_load_relaxed(&s->dirty_bitmap[i]))
				mask = a64_xchg(&s->dirty_bitmap[i], 0);
			a64_store_relaxed(&source[i], mask);
			if (mask)
				protect_word(m, s, i, mask, &changed);
		}
		write_unlock(&m->mmu_lock);
		flush_changed(m, &changed);
	}
	/* Bits already taken are lost if this faults, as on KVM. */
	return guarded_copy_to_user(bitmap, source, words * 8);
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

static int clear_dirty_log(struct vm_mem *m, u32 slot, u32 num_pages, u64 first_page,
			   const void *bitmap) REQUIRES(&m->slots_lock)
{
	struct s2_range changed = {0, 0};
	struct a64 *asked;
	struct memslot *s;
	u64 words = ((u64)num_pages + 63) / 64;
	int ret;

	if (slot >> 16 || (slot & 0xffff) >= MEMSLOT_MAX || (first_page & 63))
		return -EINVAL;
	ret = find_logging_slot(m, slot, &s);
	if (ret)
		return ret;
	if (first_page > s->npages || num_pages > s->npages - first_page ||
	    (num_pages < s->npages - first_page && (num_pages & 63)))
		return -EINVAL;
	asked = scratch_of(s);
	if (guarded_copy_from_user(asked, bitmap, words * 8))
		return -EFAULT;
	write_lock(&m->mmu_lock);
	for (u64 i = 0; i < words; i++) {
		u64 mask = a64_load_relaxed(&asked[i]);
		struct a64 *live = &s->dirty_bitmap[first_page / 64 + i];

		if (mask)
			mask &= a64_fetch_and(live, ~mask);
		if (mask)
			protect_word(m, s, first_page / 64 + i, mask, &changed);
	}
	write_unlock(&m->mmu_lock);
	flush_changed(m, &changed);
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
