/* SPDX-License-Identifier: MIT */
/*
 * A look at one VM's memory while it is in use. Each part is copied under the lock that protects it, a bounded piece at a time,
 * and written to the report with no lock held and in no section: the reader may be slow, or be the one who holds things up.
 *
 *	part		held while copying			at a time
 *	slots		srcu					INSPECT_SLOT_BATCH slots
 *	tables		mmu_lock read, RCU			INSPECT_STEP entries
 *	shadow MMUs	mmu_lock read				one
 *	notifier	mmu_lock read; mn_lock			all of it
 *	caches		the lock of each			counts only
 *
 *   G-INSPECT-A  A range printed was mapped so at some time during the call; one mapped all the time is printed.
 *   G-INSPECT-B  Nothing is allocated, freed, formatted or written under a lock or in a section.
 *   G-INSPECT-C  Whoever waits for a lock or for readers waits for one piece at most.
 *
 * Pieces are of different times: what changes between two of them may be seen before in one place and after in another.
 */
#ifndef ANYKVM_MEM_INSPECT_H
#define ANYKVM_MEM_INSPECT_H

#include "base/report.h"
#include "mem/mem.h"

#define INSPECT_STEP	   512u
#define INSPECT_SLOT_BATCH 256u

/* Sections: the numbers of ANYKVM_INSPECT_*. */
#define INSPECT_SLOTS	 BIT(0)
#define INSPECT_STAGE2	 BIT(1)
#define INSPECT_NESTED	 BIT(2)
#define INSPECT_NOTIFIER BIT(3)
#define INSPECT_CACHES	 BIT(4)
#define INSPECT_GMEM	 BIT(5)

struct inspect_walk; /* what a walk collects; made before it, as nothing is allocated on the way */

struct inspect_request {
	u64 sections;
	/* The nth vCPU of the VM, and its id; NULL past the last. */
	const struct mem_vcpu *(*vcpu)(void *ctx, u32 n, u32 *id);
	void *ctx;
};

/* 0, or -ENOMEM with nothing written. No lock held; in the library (file.h): it may put the last reference to a file. */
int mem_inspect(struct vm_mem *m, const struct inspect_request *request, struct report *r)
	EXCLUDES(&m->mmu_lock);

/* Pages of all tables of m now, canonical and shadow. */
u64 mem_table_pages(struct vm_mem *m) EXCLUDES(&m->mmu_lock);

/* --- inspect_nested.c ---------------------------------------------------------------------------------------------- */

void inspect_nested(struct vm_mem *m, struct inspect_walk *w, struct report *r)
	EXCLUDES(&m->mmu_lock);

/* --- inspect_stage2.c ---------------------------------------------------------------------------------------------- */

struct inspect_walk *inspect_walk_create(void);
void inspect_walk_destroy(struct inspect_walk *w);
/* Writes the leaves of mmu as ranges, and the totals of each level. */
void inspect_stage2(struct vm_mem *m, struct s2_mmu *mmu, struct inspect_walk *w, struct report *r)
	EXCLUDES(&m->mmu_lock);

#endif
