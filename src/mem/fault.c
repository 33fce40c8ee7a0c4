/* SPDX-License-Identifier: MIT */
/*
 * A stage-2 fault, from the guest's address to a leaf or an answer. A pipeline over one struct fault:
 *
 *	fault_nested	on a shadow MMU: the guest hypervisor's stage 2 gives the address, a limit of size, and rights
 *	fault_slot	which slot, if any; what happens where there is no memory
 *	fault_plan	what the host maps there: largest block, rights
 *	fault_populate	make the page present, before any lock
 *	fault_install	under mmu_lock read: the retry rule, then map or relax, then the dirty bit
 *
 * One SRCU section spans all of it: whoever deletes or changes the slot waits for us and then undoes what we installed.
 *
 * The retry rule (G-MN-A). inv_seq is read before anything about the host, and before the guest's tables; under mmu_lock a pair in flight or another inv_seq
 * means that what we read may be of the past, so the guest simply runs again:
 *
 *	seq read	mmu_lock taken		seen		outcome
 *	before start	before start's		nothing		old memory is mapped; start then unmaps it
 *	before start	between start and end	count		again
 *	before start	after end		seq		again
 *	between		between			count		again
 *	between		after end		seq		again
 *	after end	any			-		new memory is mapped
 */
#include <errno.h>

#include "base/bug.h"
#include "host/clock.h"
#include "mem/attrs.h"
#include "mem/gmem.h"
#include "mem/hook.h"
#include "mem/memslot.h"
#include "mem/nested_mmu.h"
#include "mem/page_cache.h"
#include "mem/userfault.h"
#include "mem/vma_cache.h"

/* What our ID registers report as PARange. */
#define PLATFORM_IPA_BITS 48
#define RETRY_WAIT_NS	  1000000

struct fault {
	const struct mem_fault *in;
	struct s2_mmu *mmu; /* whose table gets the leaf */
	u64 ipa;	    /* of the faulting page, as mmu translates it */
	u64 canonical;	    /* the faulting address as the VM's own */
	struct memslot *slot;
	struct mem_attr attr; /* of the faulting page */
	u64 gfn, hva;	      /* of the faulting page: canonical frame, host address */
	u64 seq;
	unsigned min_level, allowed; /* size and rights at most (enum s2_prot) */
	unsigned level;		     /* of the leaf to install */
	unsigned prot;
	bool write;	/* for the purpose of memory: not for cache maintenance */
	bool done;	/* action says all */
	bool in_flight; /* nothing was installed because of a pair that has not ended; */
	u32 ticket;	/* of inv_ends, taken then */
};

static void decide(struct fault *f, enum mem_fault_action *action, enum mem_fault_action what)
{
	*action = what;
	f->done = true;
}

static bool address_beyond(struct vm_mem *m, struct fault *f, enum mem_fault_action *action)
{
	if (f->canonical >> PLATFORM_IPA_BITS)
		decide(f, action, MEM_FAULT_INJECT_SIZE);
	else if (f->canonical >> m->ipa_bits)
		decide(f, action, f->in->exec ? MEM_FAULT_INJECT_IABT : MEM_FAULT_INJECT_DABT);
	return f->done;
}

static bool refused(const struct fault *f, const struct nested_walk *w)
{
	if (f->in->exec)
		return f->in->el0 ? !w->x_el0 : !w->x_el1;
	return f->write ? !w->w : !w->r;
}

/*
 * The address is one of the guest's guest: its hypervisor says what it means, how large the piece is that it gave, and
 * with which rights. The hypervisor's own level is kept in the leaf, for its invalidations.
 */
static int fault_nested(struct vm_mem *m, struct mem_vcpu *mv, struct fault *f,
			enum mem_fault_action *action) REQUIRES_SHARED(&m->srcu)
{
	struct nested_walk *w = &mv->walk;
	int ret;

	ret = nested_walk(m, mv, &mv->key, f->in->ipa, w);
	mem_hook(HOOK_NESTED_WALKED, m);
	if (ret)
		return ret;
	if (!w->fault && refused(f, w))
		w->fault = NESTED_FAULT_PERMISSION;
	if (w->fault) {
		decide(f, action, MEM_FAULT_INJECT_NESTED);
		return 0;
	}
	f->canonical = w->ipa;
	f->min_level = w->size < s2_size(2) ? 3 : 2;
	f->allowed = (w->r ? S2_PROT_R : 0) | (w->w ? S2_PROT_W : 0) |
		     (w->x_el0 ? S2_PROT_X_EL0 : 0) | (w->x_el1 ? S2_PROT_X_EL1 : 0) |
		     w->level << S2_PROT_GUEST_LEVEL_SHIFT;
	return 0;
}

/* Which slot, and what happens where there is none. */
static void fault_slot(struct vm_mem *m, struct mem_vcpu *mv, struct fault *f,
		       enum mem_fault_action *action) REQUIRES_SHARED(&m->srcu)
{
	struct memslot *s;
	bool usable;

	f->gfn = f->canonical / 4096;
	s = memslot_lookup(m, mv, f->gfn);
	usable = s && !(s->flags & MEMSLOT_INVALID);
	f->slot = s;
	if (usable && !(f->write && (s->flags & MEMSLOT_READONLY))) {
		f->hva = memslot_hva(s, f->gfn);
		mem_hook(HOOK_FAULT_SLOT_FOUND, f->slot);
		return;
	}
	if (f->in->exec)
		decide(f, action, MEM_FAULT_INJECT_IABT);
	else if (f->in->s1ptw)
		decide(f, action, MEM_FAULT_INJECT_DABT);
	else if (f->in->cache_op && !usable)
		decide(f, action, MEM_FAULT_SKIP);
	else
		decide(f, action, MEM_FAULT_MMIO);
}

/*
 * The largest block that lies in the slot and in one host mapping of uniform rights. OA = hva makes the block contiguous; its
 * other pages need not be present, a first access there is the host kernel's business, and one that fails is caught by guarded
 * access.
 */
static unsigned block_level(struct vm_mem *m, const struct fault *f, const struct host_vma *vma)
{
	const struct memslot *s = f->slot;
	/* Where the slot lies in host addresses, as the faulting page tells. */
	u64 first = f->hva - (f->gfn - s->base_gfn) * 4096, last = first + s->npages * 4096;

	if (m->block_policy == BLOCK_NONE || memslot_is_logging(s))
		return 3;
	if (m->block_policy == BLOCK_HOST && !vma->hugetlb && !vma->hugepage_advised)
		return 3;
	for (unsigned level = f->min_level; level < 3; level++) {
		u64 size = s2_size(level), start = ALIGN_DOWN(f->hva, size),
		    ipa = ALIGN_DOWN(f->gfn * 4096, size);

		if ((f->hva - start) != (f->gfn * 4096 - ipa))
			continue;
		if (start < first || start + size > last)
			continue;
		if (ipa / 4096 < f->attr.gfn || (ipa + size) / 4096 > f->attr.gfn_end)
			continue;
		if (start < vma->start || start + size > vma->end)
			continue;
		/* Rule P: the other pages of a block are not populated. */
		if (mem_userfault_overlaps(start, start + size))
			continue;
		return level;
	}
	return 3;
}

/* -EFAULT: no mapping, or not of the kind the access needs. */
static int fault_plan(struct vm_mem *m, struct fault *f)
{
	struct host_vma vma;

	if (vma_cache_lookup(m->vmas, f->hva, &vma))
		return -EFAULT;
	if (!(f->write ? vma.w : vma.r))
		return -EFAULT;
	f->level = block_level(m, f, &vma);
	f->prot = S2_PROT_R;
	if (vma.w && !(f->slot->flags & MEMSLOT_READONLY) &&
	    (f->write ||
	     (!memslot_is_logging(f->slot) && !mem_userfault_overlaps(f->hva, f->hva + 4096))))
		f->prot |= S2_PROT_W;
	if (f->in->exec)
		f->prot |= S2_PROT_X;
	f->prot &= f->allowed;
	return 0;
}

/*
 * A slot with guest_memfd. Its storage is all ours: nothing is asked of the host. The reference keeps it until
 * the page is present; that it is still the right one is the retry rule's business.
 */
static int fault_gmem(struct vm_mem *m, struct fault *f)
{
	struct gmem_page page;
	int ret;

	ret = gmem_page_get(f->slot, f->gfn, &page);
	if (ret)
		return ret;
	f->hva = page.hva;
	f->level = block_level(m, f, &(struct host_vma){.start = page.start, .end = page.end});
	f->prot = (S2_PROT_R | S2_PROT_W | (f->in->exec ? S2_PROT_X : 0)) & f->allowed;
	a64_fetch_add(&m->stats.gmem_faults, 1);
	ret = host_populate(page.hva, 4096, true);
	gmem_page_put(&page);
	mem_hook(HOOK_FAULT_AFTER_POPULATE, m);
	/* Ours was the last reference: its release waits until this thread leaves the library, so let it leave, as for a signal. */
	return !ret && library_owes() ? -EINTR : ret;
}

/* For KVM_EXIT_MEMORY_FAULT. KVM/arm64 tells it for guest_memfd only; a VM with attributes hears of all. */
static void fault_report(struct vm_mem *m, struct mem_vcpu *mv, const struct fault *f, int ret)
{
	if ((ret != -EFAULT && ret != -EHWPOISON) ||
	    (!memslot_is_gmem(f->slot) && !m->attributes_on))
		return;
	mv->report =
		(struct mem_fault_report){.valid = true,
					  .gpa = f->gfn * 4096,
					  .size = 4096,
					  .flags = f->attr.private ? MEM_FAULT_FLAG_PRIVATE : 0};
}

/*
 * What the cache said may be out of date if a mapping changed unannounced: before the answer is no, the page itself is asked. Where
 * both say no that is all; the host's list of mappings, which costs far more, is read again where they disagree.
 */
static int fault_populate(struct vm_mem *m, struct fault *f)
{
	int plan, ret;

	for (unsigned attempt = 0;; attempt++) {
		plan = fault_plan(m, f);
		ret = host_populate(f->hva, 4096, f->write);
		if (attempt || !plan == (ret != -EFAULT))
			break;
		vma_cache_drop(m->vmas, f->hva);
	}
	if (plan)
		ret = plan;
	mem_hook(HOOK_FAULT_AFTER_POPULATE, m);
	return ret;
}

/* Which memory it is. The attribute is read after inv_seq, as all that a pair may change. */
static int fault_memory(struct vm_mem *m, struct fault *f)
{
	mem_attr_at(m, f->gfn, &f->attr);
	mem_hook(HOOK_FAULT_ATTRIBUTE, m);
	if (memslot_serves_gmem(f->slot, f->attr.private))
		return fault_gmem(m, f);
	return f->attr.private ? -EFAULT : fault_populate(m, f);
}

/* The retry rule. */
static bool must_retry(struct vm_mem *m, const struct fault *f) REQUIRES_SHARED(&m->mmu_lock)
{
	if (m->inv_in_progress)
		return true;
	/* The count is read before the sequence; end raises the sequence before it lowers the count (I-10). */
	fence_acquire();
	return a64_load_acquire(&m->inv_seq) != f->seq;
}

static int map_or_relax(struct vm_mem *m, struct mem_vcpu *mv, const struct fault *f)
	REQUIRES_SHARED(&m->mmu_lock)
{
	u64 size = s2_size(f->level), hva = ALIGN_DOWN(f->hva, size);
	int ret;

	/* Before the leaf is there: write-protection looks at this first. */
	if (mv->nested && (f->prot & S2_PROT_W))
		a32_store_relaxed(&mv->nested->may_write, 1);
	if (f->in->type == MEM_FAULT_PERMISSION && f->in->level == f->level) {
		ret = stage2_relax(m, f->mmu, f->ipa, f->level, hva, f->prot);
		if (!ret)
			a64_fetch_add(&m->stats.relaxes, 1);
		/* The guest hypervisor gave the address another page and did not say so: that page is mapped in its place. */
		if (ret != -ESTALE)
			return ret;
	}
	ret = stage2_map(m, f->mmu, mv, ALIGN_DOWN(f->ipa, size), f->level, hva,
			 f->prot | (f->allowed & ~S2_PROT_ALL));
	if (!ret)
		a64_fetch_add(f->level == 3   ? &m->stats.maps_4k
			      : f->level == 2 ? &m->stats.maps_2m
					      : &m->stats.maps_1g,
			      1);
	return ret;
}

/* 0, -EAGAIN (raced: run again), -EIO, -ENOMEM. */
static int fault_install(struct vm_mem *m, struct mem_vcpu *mv, struct fault *f)
	REQUIRES_SHARED(&m->srcu)
{
	bool marks = (f->prot & S2_PROT_W) && memslot_is_logging(f->slot);
	int ret;

	read_lock(&m->mmu_lock);
	if (m->s2_dead) {
		ret = -EIO;
	} else if (must_retry(m, f)) {
		f->in_flight = m->inv_in_progress;
		/* Under the lock that the end lowers the count under, before it notifies: inval_lower. */
		if (f->in_flight)
			f->ticket = event_count_prepare(&m->inv_ends);
		ret = -EAGAIN;
	} else if (marks && !memslot_dirty_room(mv)) {
		/* Nothing is installed that could not be reported; KVM_RUN is left before the guest tries again. */
		ret = -EAGAIN;
	} else {
		/*
		 * Before the leaf is there: another vCPU may write through it at once, and whoever sees that write asks a
		 * log that is read without mmu_lock (a ring; GET with manual protection). In the same section: a write
		 * holder finds both or neither (I-22). If nothing is installed after all, the page is reported once too often.
		 */
		if (marks)
			memslot_mark_dirty(f->slot, mv, f->gfn);
		ret = map_or_relax(m, mv, f);
		mem_hook(HOOK_FAULT_INSTALLED, m);
	}
	read_unlock(&m->mmu_lock);
	mem_hook(HOOK_FAULT_DONE, m);
	return ret;
}

static int access_flag_fault(struct vm_mem *m, const struct fault *f)
{
	read_lock(&m->mmu_lock);
	stage2_make_young(m, f->mmu, f->ipa);
	read_unlock(&m->mmu_lock);
	return 0;
}

static int handle(struct vm_mem *m, struct mem_vcpu *mv, struct fault *f,
		  enum mem_fault_action *action) REQUIRES_SHARED(&m->srcu)
{
	int ret = 0;

	/* Acquire: the guest's tables and everything about the host are read after it. Pairs with the raise in inval_lower. */
	f->seq = a64_load_acquire(&m->inv_seq);
	if (mv->nested && mv->key.s2)
		ret = fault_nested(m, mv, f, action);
	if (ret || f->done || address_beyond(m, f, action))
		return ret;
	fault_slot(m, mv, f, action);
	if (f->done)
		return 0;
	if (f->in->type == MEM_FAULT_ACCESS_FLAG)
		return access_flag_fault(m, f);
	ret = page_cache_topup(mv, stage2_cache_min(f->mmu->ipa_bits));
	if (!ret)
		ret = fault_memory(m, f);
	if (!ret)
		ret = fault_install(m, mv, f);
	if (!ret && (f->prot & S2_PROT_W) && memslot_is_logging(f->slot))
		a64_fetch_add(&m->stats.dirty_pages, 1);
	fault_report(m, mv, f, ret);
	return ret;
}

int mem_fault_handle(struct vm_mem *m, struct mem_vcpu *mv, const struct mem_fault *in,
		     enum mem_fault_action *action)
{
	struct s2_mmu *mmu = mem_vcpu_mmu(m, mv);
	struct fault f = {.in = in,
			  .mmu = mmu,
			  .ipa = ALIGN_DOWN(in->ipa, 4096),
			  .canonical = in->ipa,
			  .min_level = MAX(1u, 3 - stage2_cache_min(mmu->ipa_bits)),
			  .allowed = S2_PROT_ALL,
			  .write = in->write && !in->cache_op};
	int cookie, ret;
	u32 dead;

	a64_fetch_add(&m->stats.faults, 1);
	*action = MEM_FAULT_RETRY;
	mv->report.valid = false;
	cookie = srcu_read_lock(&m->srcu);
	ret = handle(m, mv, &f, action);
	srcu_read_unlock(&m->srcu, cookie);
	dead = a32_load_acquire(&m->dead);
	/* Outside SRCU: the slot writer that the pair's end lets go on must not wait for this sleep as well. */
	if (f.in_flight && !dead)
		event_count_wait(&m->inv_ends, f.ticket, host_clock_ns() + RETRY_WAIT_NS);
	else if (f.in_flight)
		event_count_cancel(&m->inv_ends);
	/* Whatever else was found in memory that is perhaps gone already. Pairs with the store in teardown.c. */
	if (unlikely(dead))
		return -EIO;
	if (ret != -EAGAIN)
		return ret;
	a64_fetch_add(&m->stats.retries, 1);
	return 0;
}

/* The leaf promised memory that is not there. What lay behind it is unknown, so code decoded from it goes too. */
static void drop_leaf(struct vm_mem *m, struct s2_mmu *mmu, u64 ipa, u64 hva)
{
	u64 page = ALIGN_DOWN(ipa, 4096), code = ALIGN_DOWN(hva, 4096);
	struct s2_range gone = {.start = page, .end = page + 4096};

	write_lock(&m->mmu_lock);
	stage2_unmap(m, mmu, page, page + 4096, false, &gone);
	stage2_flush(m, mmu, gone.start, gone.end, code, code + 4096);
	write_unlock(&m->mmu_lock);
}

int mem_host_fault(struct vm_mem *m, struct mem_vcpu *mv, const struct mem_fault *in,
		   enum mem_fault_action *action)
{
	struct s2_mmu *mmu = mem_vcpu_mmu(m, mv);
	struct mem_fault again = *in;

	a64_fetch_add(&m->stats.host_faults, 1);
	if (in->ipa >> mmu->ipa_bits)
		return mem_fault_handle(m, mv, in, action);
	vma_cache_drop(m->vmas, in->hva);
	drop_leaf(m, mmu, in->ipa, in->hva);
	again.type = MEM_FAULT_TRANSLATION;
	again.level = 3;
	return mem_fault_handle(m, mv, &again, action);
}
