/* SPDX-License-Identifier: MIT */
/*
 * Stage-2 tables: VMSAv8-64, 4 KiB granule, no LPA2 (Arm ARM D8.3). One walker (stage2_walk.c), and what is done with it.
 *
 * OA = hva: the output address of a leaf is an address of this process, of a table the address of the child page.
 *
 *	L0 512 GiB (no block)   L1 1 GiB   L2 2 MiB   L3 4 KiB
 *
 *	exclusive walk: mmu_lock write; entries change by plain stores; never sees LOCKED
 *	shared walk:    mmu_lock read and RCU read; entries change by compare-exchange against the value visited
 *	software walk:  RCU read only (stage2_lookup.c): a vCPU's own
 *
 * A valid entry is replaced only through break-before-make: entry -> LOCKED, flush and wait, entry -> new. LOCKED appears and
 * disappears inside one read section, with no way to fail in between: a write holder never meets it (I-19).
 *
 * Table page. born: page cache of a vCPU, or VM creation for roots. seen by: its parent entry. count: 1 + entries that are
 * neither 0 nor LOCKED (I-18). hidden: parent entry cleared or replaced. freed: by RCU, because software walks and shared walks
 * below a displaced table may still be on it (I-21); directly only when the whole table is out of everybody's reach.
 */
#ifndef ANYKVM_MEM_STAGE2_H
#define ANYKVM_MEM_STAGE2_H

#include "host/frame.h"
#include "mem/mem.h"

#define S2_VALID	  BIT(0)
#define S2_TABLE	  BIT(1) /* levels 0 to 2: table; level 3: page */
#define S2_MEMATTR_NORMAL (0xfull << 2)
#define S2_R		  BIT(6)
#define S2_W		  BIT(7)
#define S2_SH_INNER	  (3ull << 8)
#define S2_AF		  BIT(10)
#define S2_OA		  GENMASK(47, 12)
#define S2_XN		  GENMASK(54, 53) /* 0 both, 1 EL0 only, 2 nobody, 3 EL1 only */
#define S2_SW		  GENMASK(58, 55)
#define S2_LOCKED	  (1ull << 60) /* invalid, type 1: break-before-make in progress */

/*
 * The software walk sets the access flag itself, as hardware with VTCR_EL2.HA does. Tests build with 0 to reach the access
 * flag fault path.
 */
#ifndef S2_HARDWARE_AF
#define S2_HARDWARE_AF 1
#endif

#define S2_ENTRIES   512u
#define S2_MAX_ROOTS 16u

struct s2_table {
	struct a64 entry[S2_ENTRIES];
};

/* Beside each table page (host/frame.h). */
struct s2_table_meta {
	struct a32 count;
	u32 level; /* the rest is for the RCU callback of an unlinked table */
	struct s2_table *page;
	struct rcu_head rcu;
};

struct s2_pgt {
	unsigned ipa_bits, start_level, nr_roots;
	struct rcu_head rcu;
	struct s2_pgt *next;		     /* of a list of detached tables */
	struct s2_table *root[S2_MAX_ROOTS]; /* concatenated start-level tables */
};

static inline unsigned s2_shift(unsigned level)
{
	return 12 + 9 * (3 - level);
}
/* Bytes that one entry of the level maps. */
static inline u64 s2_size(unsigned level)
{
	return 1ull << s2_shift(level);
}
static inline bool s2_is_table(u64 pte, unsigned level)
{
	return level < 3 && (pte & (S2_VALID | S2_TABLE)) == (S2_VALID | S2_TABLE);
}
static inline bool s2_is_leaf(u64 pte, unsigned level)
{
	return (pte & S2_VALID) && !s2_is_table(pte, level);
}
static inline bool s2_is_counted(u64 pte)
{
	return pte && pte != S2_LOCKED;
}
static inline struct s2_table *s2_child(u64 pte)
{
	return (struct s2_table *)(uintptr_t)(pte & S2_OA);
}

/* --- tables: stage2_table.c ---------------------------------------------------------------------------------------- */

/* NULL without memory. ipa_bits 32..48. */
struct s2_pgt *stage2_pgt_create(unsigned ipa_bits);
/* Nobody can reach pgt any more. Frees every page of it at once. */
void stage2_pgt_destroy(struct s2_pgt *pgt);
/* As above after a grace period; callable under mmu_lock. */
void stage2_pgt_free_rcu(struct s2_pgt *pgt);
/* Takes the table of mmu, if it has one, onto *list. From here on mmu answers as torn down. */
void stage2_detach(struct vm_mem *m, struct s2_mmu *mmu, struct s2_pgt **list)
	REQUIRES(&m->mmu_lock);
/* Pages a single map may need: the minimum a vCPU's cache is filled to. */
unsigned stage2_cache_min(unsigned ipa_bits);

struct s2_table *stage2_table_alloc(void);
/* Never linked. */
void stage2_table_free(struct s2_table *t);
/* Unlinked table of the given level and all below it, after a grace period. */
void stage2_table_free_rcu(struct s2_table *t, unsigned level);

static inline struct s2_table_meta *stage2_table_meta(const struct s2_table *t)
{
	return host_frame_meta(t);
}
void stage2_count(struct s2_table *t, int by);
/* Pages that the tables of mmu consist of now, roots included; those that only wait for their grace period are not. */
u64 stage2_table_pages(const struct s2_mmu *mmu);

/* --- the walker: stage2_walk.c ------------------------------------------------------------------------------------- */

enum s2_visit_kind {
	S2_VISIT_PRE = 1,  /* a table, before its entries */
	S2_VISIT_LEAF = 2, /* a leaf, an empty or a LOCKED entry */
	S2_VISIT_POST = 4, /* a table, after its entries */
};

struct s2_visit {
	struct s2_table *table; /* that holds the entry */
	struct a64 *entry;
	u64 old;      /* as read before the visit */
	u64 ipa, end; /* the part of the walk that lies in this entry */
	unsigned level;
	bool shared;
	void *arg;
};

struct s2_walker {
	int (*visit)(struct s2_visit *v, enum s2_visit_kind kind);
	/* Exclusive walks only: in place of LEAF visits at level 3, the entries of a table from v->entry up to v->end at once. */
	void (*visit_pages)(struct s2_visit *v);
	unsigned kinds;
	bool shared;
	bool ignore_eagain; /* go on with the next entry */
	void *arg;
};

/*
 * Depth first over [ipa, end), aligned to 4 KiB. After a PRE or LEAF visit the entry is read again, so a visitor may install or
 * replace a table and the walk goes down into it. Stops at the first error of a visitor. -ERANGE beyond the table. The caller
 * holds mmu_lock as w->shared says; a shared walk is inside RCU.
 */
int stage2_walk(struct s2_pgt *pgt, u64 ipa, u64 end, const struct s2_walker *w);

/* Replaces v->old by new: true if done. Shared: false if another walk was faster. No break-before-make, no counting. */
bool stage2_try_replace(struct s2_visit *v, u64 new);

/* --- changes ------------------------------------------------------------------------------------------------------- */

enum s2_prot {
	S2_PROT_R = 1,
	S2_PROT_W = 2,
	S2_PROT_X_EL0 = 4,
	S2_PROT_X_EL1 = 8,
	S2_PROT_X = S2_PROT_X_EL0 | S2_PROT_X_EL1,
	S2_PROT_ALL = 15,
	/* Not a right: in shadow tables, the level of the guest's own leaf, for invalidations without a hint. In S2_SW. */
	S2_PROT_GUEST_LEVEL_SHIFT = 4,
};
static inline u64 s2_xn(unsigned prot)
{
	/* By EL0 and EL1: nobody, EL0 only, EL1 only, both. */
	static const u8 xn[4] = {2, 1, 3, 0};

	return (u64)xn[prot / S2_PROT_X_EL0 & 3] << 53;
}
static inline unsigned s2_guest_level(u64 pte)
{
	return pte >> 55 & 3;
}

/*
 * Maps the 4 KiB, 2 MiB or 1 GiB at ipa (aligned to the size of level) to hva. Table pages come from mv's cache. 0; -EAGAIN: an
 * equal mapping is there (or one that differs in rights: the relax path's business), or another walk was faster; -ENOMEM: the
 * cache ran dry, a bug. stage2_map.c
 */
int stage2_map(struct vm_mem *m, struct s2_mmu *mmu, struct mem_vcpu *mv, u64 ipa, unsigned level,
	       u64 hva, unsigned prot) REQUIRES_SHARED(&m->mmu_lock);

/*
 * Adds rights to the leaf of level at ipa, and marks it accessed. hva: where that leaf must lead. -EAGAIN: no such leaf, or raced;
 * -ESTALE: it leads elsewhere. stage2_attr.c
 */
int stage2_relax(struct vm_mem *m, struct s2_mmu *mmu, u64 ipa, unsigned level, u64 hva,
		 unsigned prot) REQUIRES_SHARED(&m->mmu_lock);
/* Sets the access flag of the leaf at ipa, if there is one. */
void stage2_make_young(struct vm_mem *m, struct s2_mmu *mmu, u64 ipa) REQUIRES_SHARED(&m->mmu_lock);

/*
 * What a change took away: the covering range of the entries that lost something (end == 0: nothing), and how many these were,
 * in leaves and in pages of 4 KiB (unmap alone counts those).
 */
struct s2_range {
	u64 start, end;
	u64 leaves, pages;
};

/*
 * The three below walk [start, end) in pieces of 1 GiB and, if may_block, let go of mmu_lock between two pieces when somebody
 * waits for it; the caller knows why no new mapping matters meanwhile. A table that is gone counts as empty. The flush is the
 * caller's (stage2_flush), over *changed at least.
 */
void stage2_unmap(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
		  struct s2_range *changed) REQUIRES(&m->mmu_lock);
void stage2_write_protect(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool may_block,
			  struct s2_range *changed) REQUIRES(&m->mmu_lock);
/* Everything, at once and without letting go of the lock: subtrees are unlinked from the roots. */
void stage2_unmap_whole(struct vm_mem *m, struct s2_mmu *mmu) REQUIRES(&m->mmu_lock);
/* True if a leaf was accessed since its flag was cleared. */
bool stage2_age(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, bool clear,
		struct s2_range *changed) REQUIRES(&m->mmu_lock);

/* Shootdown of IPAs [start, end) of mmu (NULL: of every context), and of code decoded from hvas [code_start, code_end). Complete on return (G-TLB-A). */
void stage2_flush(struct vm_mem *m, struct s2_mmu *mmu, u64 start, u64 end, u64 code_start,
		  u64 code_end);

/* Every IPA. */
#define S2_RANGE_ALL ((struct s2_range){0, ~0ull})

static inline void s2_range_add(struct s2_range *r, u64 start, u64 end)
{
	r->start = r->end ? MIN(r->start, start) : start;
	r->end = MAX(r->end, end);
}

#if defined(ANYKVM_CHECKED)
/* Recounts every table; the number of leaves, or -1 after printing what is wrong (I-18, I-19). Nobody changes the table. */
s64 stage2_check(struct s2_pgt *pgt);
#endif

#endif
