/* SPDX-License-Identifier: MIT */
/*
 * Memory slots: which guest frames are which host addresses.
 *
 * Two sets hold the same slots at rest. Readers find the active one under SRCU; a change is made in the inactive set, which
 * nobody reads, then the two are exchanged, the readers of the old one waited for, and the change repeated there.
 *
 *   G-SLOT-A  A slot reached in an SRCU section is not freed before the section ends (I-13).
 *   G-SLOT-B  All fields but gmem.file and the contents of the bitmap are constant once the slot is reachable; a change is a
 *             new slot.
 *   G-SLOT-C  At rest both sets hold the same slots, in all three trees (I-15).
 *   G-SLOT-D  A set's generation changes with every swap and never comes back (I-16): whatever remembers a slot remembers the
 *             generation with it and is void on mismatch.
 *
 * struct memslot. born: mem_set_region, unseen. seen by: SRCU readers, after a swap. kept by: membership in a set. hidden: the
 * swap that removes it. freed: after that swap's SRCU wait and, with guest_memfd, its unbinding, under slots_lock. It pins
 * neither its host memory nor any file.
 */
#ifndef ANYKVM_MEM_MEMSLOT_H
#define ANYKVM_MEM_MEMSLOT_H

#include "base/itree.h"
#include "mem/mem.h"

#define MEMSLOT_MAX	  32767u /* KVM_CAP_NR_MEMSLOTS */
#define MEMSLOT_MAX_PAGES ((1ull << 31) - 1)
#define MEMSLOT_LOG_DIRTY BIT(0) /* KVM_MEM_LOG_DIRTY_PAGES */
#define MEMSLOT_READONLY  BIT(1) /* KVM_MEM_READONLY */
#define MEMSLOT_GMEM \
	BIT(2) /* KVM_MEM_GUEST_MEMFD: guest_memfd serves accesses, see attrs.h which */
#define MEMSLOT_GMEM_ONLY \
	BIT(17) /* the file may be mapped: no access of a guest goes to userspace_addr */
#define MEMSLOT_INVALID \
	BIT(16) /* being deleted or moved: known, but nothing may be mapped through it */

struct memslot {
	/* One per set; the index is the set's node_idx. */
	struct memslot_node {
		struct itree_node gfn, hva, id;
	} node[2];
	u64 base_gfn, npages;
	u64 userspace_addr;
	u32 flags;
	u16 id;
	/* memslot_bitmap_words of it, then what goes with them (dirty_bitmap.h). NULL: no bitmap, but perhaps logging to rings. */
	struct a64 *dirty_bitmap;
	/* MEMSLOT_GMEM. file: written under slots_lock and the inode's inval_lock, read under either, or in srcu and RCU. */
	struct {
		struct aptr
			file; /* struct file *, not counted; NULL: not bound, or the file is gone */
		struct itree_node
			node; /* of the view's bindings: [start, end) are pages of the storage */
	} gmem;
};

struct memslot_set {
	struct a64 generation;
	struct aptr last_used;
	struct itree by_gfn, by_hva, by_id;
	unsigned node_idx;
};

struct memslot_sets {
	struct memslot_set set[2];
	struct aptr active;
	/* slots_lock */
	u64 nr_pages;
	u32 nr_slots;
};

static inline bool memslot_is_logging(const struct memslot *s)
{
	return (s->flags & (MEMSLOT_LOG_DIRTY | MEMSLOT_READONLY)) == MEMSLOT_LOG_DIRTY;
}
static inline bool memslot_is_gmem(const struct memslot *s)
{
	return s->flags & MEMSLOT_GMEM;
}
/* Whether guest_memfd serves a frame of s. */
static inline bool memslot_serves_gmem(const struct memslot *s, bool is_private)
{
	return memslot_is_gmem(s) && (is_private || (s->flags & MEMSLOT_GMEM_ONLY));
}
static inline u64 memslot_bitmap_words(const struct memslot *s)
{
	return (s->npages + 63) / 64;
}
static inline u64 memslot_hva(const struct memslot *s, u64 gfn)
{
	return s->userspace_addr + (gfn - s->base_gfn) * 4096;
}
static inline u64 memslot_hva_end(const struct memslot *s)
{
	return s->userspace_addr + s->npages * 4096;
}

/* --- sets: memslot_set.c. Readers hold m->srcu or slots_lock. ------------------------------------------------------ */

struct memslot_sets *memslot_sets_create(void);
/* Frees every slot too. Nobody reads any more. */
void memslot_sets_destroy(struct memslot_sets *sets);

struct memslot_set *memslot_active(const struct vm_mem *m);
struct memslot_set *memslot_inactive(const struct vm_mem *m) REQUIRES(&m->slots_lock);
struct memslot *memslot_find_gfn(struct memslot_set *set, u64 gfn);
struct memslot *memslot_find_id(struct memslot_set *set, u32 id);
/* As memslot_find_gfn on the active set, with the vCPU's hint. mv may be NULL. */
struct memslot *memslot_lookup(struct vm_mem *m, struct mem_vcpu *mv, u64 gfn);
/* A slot other than id that overlaps the gfns [start, end)? */
bool memslot_overlaps(struct memslot_set *set, u32 id, u64 start, u64 end);

/* Slots whose hvas overlap [start, end), in order of hva. */
struct memslot *memslot_first_hva(struct memslot_set *set, u64 start, u64 end);
struct memslot *memslot_next_hva(struct memslot_set *set, struct memslot *s, u64 start, u64 end);
#define memslot_for_each_hva(s, set, start, end) \
	for (s = memslot_first_hva(set, start, end); s; s = memslot_next_hva(set, s, start, end))
/* All slots, by gfn. */
struct memslot *memslot_first(struct memslot_set *set);
/* The first that holds gfn or lies above. */
struct memslot *memslot_first_from(struct memslot_set *set, u64 gfn);
struct memslot *memslot_next(struct memslot_set *set, struct memslot *s);
#define memslot_for_each(s, set) for (s = memslot_first(set); s; s = memslot_next(set, s))

/* On a set that nobody reads. Either may be NULL. */
void memslot_replace(struct memslot_set *set, struct memslot *old, struct memslot *new);
/*
 * Makes the inactive set active and waits until nobody reads the other one. Drops slots_arch_lock between the two, because a
 * reader may need it to finish (LO-3, LO-4).
 */
void memslot_swap(struct vm_mem *m) REQUIRES(&m->slots_lock) RELEASE(&m->slots_arch_lock);

/* --- dirty_log.c --------------------------------------------------------------------------------------------------- */

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with both bits: all is dirty at first, and protected as it is cleared. */
#define DIRTY_LOG_INITIALLY_ALL_SET 3

/*
 * A write by a guest or for it: noted, if s logs, in the ring of the vCPU whose thread this is (mv, else NULL), or in the bitmap.
 * In the SRCU section through which s was found; atomic against GET, CLEAR and resets. Nothing else decides where.
 */
void memslot_mark_dirty(struct memslot *s, struct mem_vcpu *mv, u64 gfn);
/* False: the ring of mv has no room, the write must wait until KVM_RUN was left. Its own thread. */
bool memslot_dirty_room(struct mem_vcpu *mv);
int memslot_bitmap_create(struct memslot *s, bool all_ones);
void memslot_bitmap_destroy(struct memslot *s);
/* Logging was just turned on for s, which is in both sets. */
void dirty_log_start(struct vm_mem *m, struct memslot *s) REQUIRES(&m->slots_lock);

#endif
