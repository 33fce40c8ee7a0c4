/* SPDX-License-Identifier: MIT */
/*
 * Shootdown: how a change of stage-2 tables (or a guest TLBI, or an instruction cache invalidation) reaches the translation
 * caches of vCPUs. Upward need, owned here: a vCPU attaches a struct tlb_client; the layer above says how to apply a record.
 *
 * Guarantees (tests cite them):
 *   G-TLB-A  When tlb_shootdown() returns, no vCPU of the domain will complete an access begun with an old translation.
 *   G-TLB-B  A client applies a record before the first access that follows its next poll or entry.
 *   G-TLB-C  Acknowledgement numbers are monotonic per client; several initiators may wait at once.
 *   G-TLB-D  A client that is OUTSIDE never costs a wait: it applies what is posted before it enters.
 *   G-TLB-E  A client caches what it may do, never what it may not: after rights were only added, nothing need be flushed.
 *
 * Access section: from reading a descriptor or a vTLB entry until the last use of the hva. It contains no poll point (I-12:
 * debug builds count the depth in tlb_client.section and abort when a poll or an acknowledgement sees it non-zero).
 */
#ifndef ANYKVM_MEM_TLB_H
#define ANYKVM_MEM_TLB_H

#include "base/types.h"
#include "sync/atomic.h"
#include "sync/event_count.h"
#include "sync/mutex.h"

enum tlb_mode { TLB_OUTSIDE, TLB_IN_GUEST };

enum tlb_inval_kind {
	TLB_INVAL_ALL, /* everything, all contexts, stage 1 and 2 */
	TLB_INVAL_IPA, /* combined entries whose IPA is in [start, end) of MMU context mmu_id (0 = any) */
	TLB_INVAL_VA, /* guest TLBI by VA: [start, end) va, asid (-1 = any), last-level hint unused */
	TLB_INVAL_ASID,	 /* guest TLBI by ASID, non-global entries */
	TLB_INVAL_VMALL, /* guest TLBI VMALLE1: all stage-1 derived entries */
	TLB_INVAL_CODE,	 /* decoded code of hvas [start, end) */
};

struct tlb_inval {
	enum tlb_inval_kind kind;
	s32 asid;
	u64 mmu_id;
	u64 start, end;
	/* TLB_INVAL_IPA and _ALL also forget decoded code of [code_start, code_end) hvas if code_end != 0 (I-37). */
	u64 code_start, code_end;
};

#define TLB_QUEUE 16

struct tlb_client {
	_Alignas(64) struct a32
		attention; /* non-zero: poll must look (posted records, or a kick by the layer above) */
	struct a32 mode;	 /* enum tlb_mode; sequentially consistent */
	struct a64 posted;	 /* number of the last record posted */
	struct a64 acked;	 /* all records up to this one are applied */
	struct event_count acks; /* of mode and acked, sequentially consistent: initiators sleep */
	struct a32 lock;	 /* spin, leaf: queue */
	u32 nr; /* records in queue; TLB_QUEUE + 1 = overflow, apply ALL and what code was named */
	struct tlb_inval queue[TLB_QUEUE];
	u64 lost_code_start,
		lost_code_end; /* hull of the code that records lost to overflow named; empty: end 0 */
	u32 section;	       /* access-section depth, checked builds */
	/* Applies one record to the caches of this client; on its own thread; must not block. */
	void (*apply)(struct tlb_client *c, const struct tlb_inval *rec);
	/* The VM's memory is gone: wakes the client's thread if it sleeps. Any thread; must not block. May be NULL. */
	void (*torn_down)(struct tlb_client *c);
};

/* All clients of one VM. Attach and detach under the VM's vcpu creation lock; the array only grows until destroy. */
#define TLB_MAX_CLIENTS 512
struct tlb_domain {
	struct aptr client[TLB_MAX_CLIENTS];
	struct a32 nr;
	/* Statistics: shootdowns by the library and how many of them met a vCPU in guest mode; drains by guests. */
	struct a64 shootdowns, waits, drains;
};

void tlb_domain_init(struct tlb_domain *d);
/* c->apply is set. The client is OUTSIDE and its caches are empty. */
void tlb_client_attach(struct tlb_domain *d, struct tlb_client *c);
/* Undoes the last attach of a vCPU whose creation failed: it never entered. Waits for RCU. */
void tlb_client_detach(struct tlb_domain *d, struct tlb_client *c);

/*
 * Enter guest mode: publishes IN_GUEST, full fence, then applies what is posted. Pairs with the fence in tlb_post. The caller
 * holds no lock (LO-7) and afterwards checks its own requests again: attention is cleared here, before they are looked at.
 */
void tlb_enter(struct tlb_client *c);
void tlb_leave(struct tlb_client *c);
/* At a poll point: clears attention, then applies and acknowledges everything posted. Requests are checked after it. */
void tlb_poll(struct tlb_client *c);

/*
 * Posts rec to every client (but `self`, to which it is applied at once; NULL if the caller is no vCPU). Does not wait. May be
 * called in guest mode. Returns nothing to wait on: tlb_drain waits for all posted so far.
 */
void tlb_post(struct tlb_domain *d, struct tlb_client *self, const struct tlb_inval *rec);
/*
 * Waits until every client IN_GUEST has acknowledged what was posted before the call. If self is in guest mode it is made
 * OUTSIDE for the wait and applies its own records meanwhile (no deadlock between two drainers); it is IN_GUEST again on return.
 */
void tlb_drain(struct tlb_domain *d, struct tlb_client *self);
/* post + drain with self == NULL; the only wait that is allowed under mmu_lock. A vCPU thread calling it is OUTSIDE. */
void tlb_shootdown(struct tlb_domain *d, const struct tlb_inval *rec);
/* torn_down of every client. */
void tlb_torn_down(struct tlb_domain *d);

#if defined(ANYKVM_CHECKED)
#define access_section_begin(c) ((void)(c)->section++)
#define access_section_end(c)	((void)(c)->section--)
#else
#define access_section_begin(c) ((void)0)
#define access_section_end(c)	((void)0)
#endif

#endif
