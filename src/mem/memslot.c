/* SPDX-License-Identifier: MIT */
/*
 * KVM_SET_USER_MEMORY_REGION{,2}: create, move, change flags, delete. All under slots_lock.
 *
 *	create	  insert in inactive; swap; insert in the other
 *	flags	  replace in inactive; swap; replace in the other
 *	delete,	  replace by an INVALID copy; swap: every fault that saw the old slot is over, none can map it any more
 *	move	  zap: unmap, shootdown
 *		  remove (replace by the new slot); swap; the same in the other
 *	commit	  counters, write protection of a slot that logs now, free what is unreachable
 *
 * Why two swaps for delete and move: between "translations are gone" and "the slot is gone" none may come back, and vCPUs are
 * not stopped for it. A guest access in between finds a slot through which nothing can be mapped and becomes an MMIO exit (a
 * fetch: an external abort), as on KVM.
 *
 * Everything that can fail (validation, memory for the new slot, its bitmap, the INVALID copy) comes before the first swap. So
 * a request that fails was never visible, and there is no way back to program (I-17).
 */
#include <errno.h>

#include "base/bug.h"
#include "host/alloc.h"
#include "host/pages.h"
#include "host/signal.h"
#include "mem/gmem.h"
#include "mem/hook.h"
#include "mem/memslot.h"
#include "mem/mmu.h"

#if defined(__x86_64__)
#define HVA_LIMIT 0x7ffffffff000ull /* the last page below 2^47 is not user space */
#else
#define HVA_LIMIT BIT(48) /* what an output address can say */
#endif

enum change { CHANGE_CREATE, CHANGE_DELETE, CHANGE_MOVE, CHANGE_FLAGS };

struct request {
	u32 id;
	u64 base_gfn, npages, userspace_addr;
	u32 flags;
	enum change change;
	struct memslot *old, *new, *invalid;
};

/* In KVM's order: the first that fails decides the errno. */
static int validate(const struct mem_region *r)
{
	u64 align = MAX(4096ull, host_page_size()) - 1;
	u32 flags = MEMSLOT_LOG_DIRTY | MEMSLOT_READONLY;

	/* Neither logged nor read-only. */
	if (r->v2 && (r->flags & MEMSLOT_GMEM))
		flags = MEMSLOT_GMEM;
	if (r->flags & ~flags)
		return -EINVAL;
	if ((r->slot & 0xffff) >= MEMSLOT_MAX)
		return -EINVAL;
	if (r->memory_size & align)
		return -EINVAL;
	if (r->guest_phys_addr & align)
		return -EINVAL;
	if ((r->userspace_addr & align) || r->userspace_addr > HVA_LIMIT ||
	    r->memory_size > HVA_LIMIT - r->userspace_addr)
		return -EINVAL;
	if ((r->flags & MEMSLOT_GMEM) &&
	    ((r->guest_memfd_offset & align) ||
	     r->guest_memfd_offset + r->memory_size < r->guest_memfd_offset))
		return -EINVAL;
	if (r->slot >> 16) /* one address space */
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	if (r->memory_size / 4096 > MEMSLOT_MAX_PAGES)
		return -EINVAL;
	return 0;
}

/* 0: nothing to do. 1: req->change says what. */
static int classify(struct vm_mem *m, struct request *req) REQUIRES(&m->slots_lock)
{
	struct memslot_set *set = memslot_active(m);
	struct memslot *old = memslot_find_id(set, req->id);
	const u32 fixed = MEMSLOT_READONLY | MEMSLOT_GMEM;

	req->old = old;
	if (!req->npages) {
		req->change = CHANGE_DELETE;
		return old ? 1 : -EINVAL;
	}
	if (!old) {
		if (m->slots->nr_pages + req->npages < m->slots->nr_pages)
			return -EINVAL;
		req->change = CHANGE_CREATE;
	} else {
		/* A slot with guest_memfd can only be deleted. */
		if (req->flags & MEMSLOT_GMEM)
			return -EINVAL;
		if (req->userspace_addr != old->userspace_addr || req->npages != old->npages ||
		    ((req->flags ^ old->flags) & fixed))
			return -EINVAL;
		if (req->base_gfn != old->base_gfn)
			req->change = CHANGE_MOVE;
		else if (req->flags != old->flags)
			req->change = CHANGE_FLAGS;
		else
			return 0;
	}
	if (req->change != CHANGE_FLAGS &&
	    memslot_overlaps(set, req->id, req->base_gfn, req->base_gfn + req->npages))
		return -EEXIST;
	return 1;
}

/* Before anything else that looks at the slot may refuse it, as in KVM: the errors come in that order. */
static int bind(struct vm_mem *m, struct memslot *new, const struct mem_region *r)
	REQUIRES(&m->slots_lock)
{
	if (!memslot_is_gmem(new))
		return 0;
	if (!r->guest_memfd)
		return r->guest_memfd_error;
	if (r->guest_memfd->gmem &&
	    (gmem_flags(gmem_inode_of(r->guest_memfd->gmem)) & GMEM_FLAG_MMAP))
		new->flags |= MEMSLOT_GMEM_ONLY;
	return gmem_bind(m, new, r->guest_memfd, r->guest_memfd_offset);
}

/* Without attributes nothing would tell which accesses are meant for the file and which for userspace_addr. */
static bool unusable_gmem(struct vm_mem *m, const struct memslot *new)
{
	return memslot_is_gmem(new) && !(new->flags &MEMSLOT_GMEM_ONLY) && !m->attributes_on;
}

/* The new slot with its memory and its bitmap. */
static int prepare_new(struct vm_mem *m, struct request *req, const struct mem_region *r)
	REQUIRES(&m->slots_lock)
{
	struct memslot *new = NEW(struct memslot);
	bool manual_all_set = m->manual_protect == DIRTY_LOG_INITIALLY_ALL_SET;
	int ret;

	if (!new)
		return -ENOMEM;
	new->id = req->id;
	new->base_gfn = req->base_gfn;
	new->npages = req->npages;
	new->userspace_addr = req->userspace_addr;
	new->flags = req->flags;
	req->new = new;
	ret = bind(m, new, r);
	if (ret)
		return ret;
	if (req->base_gfn + req->npages > BIT(m->ipa_bits - 12))
		return -EFAULT;
	if (unusable_gmem(m, new))
		return -EINVAL;
	if (!(new->flags &MEMSLOT_LOG_DIRTY))
		return 0;
	if (req->old && req->old->dirty_bitmap) {
		new->dirty_bitmap = req->old->dirty_bitmap;
		return 0;
	}
	if (m->ring_bytes && !m->ring_with_bitmap)
		return 0;
	return memslot_bitmap_create(new, manual_all_set);
}

static int prepare(struct vm_mem *m, struct request *req, const struct mem_region *r)
	REQUIRES(&m->slots_lock)
{
	int ret;

	if (req->change != CHANGE_DELETE) {
		ret = prepare_new(m, req, r);
		if (ret)
			return ret;
	}
	if (req->change == CHANGE_DELETE || req->change == CHANGE_MOVE) {
		req->invalid = NEW(struct memslot);
		if (!req->invalid)
			return -ENOMEM;
		req->invalid->id = req->old->id;
		req->invalid->base_gfn = req->old->base_gfn;
		req->invalid->npages = req->old->npages;
		req->invalid->userspace_addr = req->old->userspace_addr;
		req->invalid->flags = req->old->flags | MEMSLOT_INVALID;
	}
	return 0;
}

/* The INVALID copy is the last thing that is prepared: there is none to give back. */
static void unprepare(struct vm_mem *m, struct request *req) REQUIRES(&m->slots_lock)
{
	if (req->new) {
		gmem_unbind(m, req->new);
		if (!req->old || req->new->dirty_bitmap != req->old->dirty_bitmap)
			memslot_bitmap_destroy(req->new);
		DELETE(req->new);
	}
}

/* Replaces old by new in both sets; when it returns no reader knows old. */
static void exchange(struct vm_mem *m, struct memslot *old, struct memslot *new)
	REQUIRES(&m->slots_lock)
{
	mutex_lock(&m->slots_arch_lock);
	memslot_replace(memslot_inactive(m), old, new);
	memslot_swap(m);
	memslot_replace(memslot_inactive(m), old, new);
}

/*
 * The slot is INVALID and every fault through the valid one has finished (SRCU): what is mapped now is all there will be. Code
 * goes with it, because once no slot covers the host range its notifier events are no longer for this VM (I-37). Memory of a
 * guest_memfd that is gone took its code with it.
 */
static void zap(struct vm_mem *m, const struct memslot *s) REQUIRES(&m->slots_lock)
{
	u64 gfn = s->base_gfn, gfn_end = gfn + s->npages, code, code_end;

	write_lock(&m->mmu_lock);
	mmu_unmap_gfns(m, gfn, gfn_end, s->userspace_addr, memslot_hva_end(s));
	if (memslot_is_gmem(s) && gmem_slot_hvas(m, s, &code, &code_end))
		mmu_unmap_gfns(m, gfn, gfn_end, code, code_end);
	write_unlock(&m->mmu_lock);
	mem_hook(HOOK_SLOT_ZAPPED, m);
}

static void commit(struct vm_mem *m, struct request *req) REQUIRES(&m->slots_lock)
{
	struct memslot *old = req->old, *new = req->new;

	if (req->change == CHANGE_CREATE) {
		m->slots->nr_pages += new->npages;
		m->slots->nr_slots++;
	} else if (req->change == CHANGE_DELETE) {
		m->slots->nr_pages -= old->npages;
		m->slots->nr_slots--;
	}
	/* Faults that used the old flags have installed what they will: the swap waited for them. */
	if (req->change == CHANGE_FLAGS && (new->flags &MEMSLOT_LOG_DIRTY))
		dirty_log_start(m, new);
	if (old) {
		gmem_unbind(m, old);
		if (!new || !new->dirty_bitmap)
			memslot_bitmap_destroy(old);
		DELETE(old);
	}
	DELETE(req->invalid);
}

static int set_region(struct vm_mem *m, const struct mem_region *r) REQUIRES(&m->slots_lock)
{
	struct request req = {
		.id = r->slot & 0xffff,
		.base_gfn = r->guest_phys_addr / 4096,
		.npages = r->memory_size / 4096,
		.userspace_addr = r->userspace_addr,
		.flags = r->flags,
	};
	int ret;

	ret = classify(m, &req);
	if (ret <= 0)
		return ret;
	ret = prepare(m, &req, r);
	if (ret) {
		unprepare(m, &req);
		return ret;
	}
	if (req.invalid) {
		/* old leaves both sets at once: without a way to fail it is not needed for going back. */
		exchange(m, req.old, req.invalid);
		zap(m, req.old);
		exchange(m, req.invalid, req.new);
	} else {
		exchange(m, req.old, req.new);
	}
	commit(m, &req);
	a64_fetch_add(&m->stats.slot_changes, 1);
	return 0;
}

int mem_set_region(struct vm_mem *m, const struct mem_region *r)
{
	u64 sigmask;
	int ret;

	ret = validate(r);
	if (ret)
		return ret;
	/* LO-12: a handler of the program must not call back into a thread that holds these locks. */
	sigmask = host_signals_block();
	mutex_lock(&m->slots_lock);
	ret = set_region(m, r);
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return ret;
}

bool mem_has_slots(struct vm_mem *m)
{
	u64 sigmask = host_signals_block();
	bool any;

	mutex_lock(&m->slots_lock);
	any = m->slots->nr_slots;
	mutex_unlock(&m->slots_lock);
	host_signals_restore(sigmask);
	return any;
}
