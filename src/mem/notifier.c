/* SPDX-License-Identifier: MIT */
/*
 * Invalidation pairs and aging.
 *
 * A pair holds mn_srcu from start to end. start, for each VM: mn_active up (no slot becomes visible from here on), what is
 * cached about the range dropped, then, if a slot overlaps: inv_in_progress up (no fault installs anything from here on), unmap,
 * shootdown (no access through an old translation from here on). Only then may the host mapping change. end undoes the counts
 * in the opposite order, inv_seq first raised.
 */
#include "base/bug.h"
#include "host/clock.h"
#include "host/identity.h"
#include "host/signal.h"
#include "mem/hook.h"
#include "mem/inval.h"
#include "mem/memslot.h"
#include "mem/mmu.h"
#include "mem/notifier.h"
#include "mem/vm_list.h"
#include "mem/vma_cache.h"
#include "sync/wait.h"

/*
 * Which VMs of the list were raised. There are as many bits as the token has room for; VMs past them are raised always, so that
 * start needs no memory and end knows all the same.
 */
struct token_state {
	u64 raised[4];
	u32 flags;
	bool active; /* this process, some VM */
};
_Static_assert(sizeof(struct token_state) <= sizeof(((struct mem_inval_token *)0)->opaque),
	       "token");
#define TOKEN_BITS 256u

/* How long a new pair lets a slot change that waits go first. */
#define SWAP_TURN_NS 5000000

static struct token_state *state_of(struct mem_inval_token *t)
{
	return (struct token_state *)(void *)t->opaque;
}

static bool token_raised(const struct token_state *ts, u32 i)
{
	return i >= TOKEN_BITS || (ts->raised[i / 64] & BIT(i % 64));
}

/* Everything of slot s in hvas [start, end). */
static void unmap_slot_part(struct vm_mem *m, const struct memslot *s, u64 start, u64 end)
	REQUIRES(&m->mmu_lock)
{
	u64 hva = MAX(start, s->userspace_addr), hva_end = MIN(end, memslot_hva_end(s));
	u64 gfn = s->base_gfn + (hva - s->userspace_addr) / 4096;
	u64 gfn_end = s->base_gfn + (ALIGN_UP(hva_end, 4096) - s->userspace_addr) / 4096;
	u64 pages;

	inval_add(m, gfn, gfn_end);
	/* The raised count shuts new mappings out while the lock is dropped. */
	pages = mmu_unmap_gfns(m, gfn, gfn_end, ALIGN_DOWN(hva, 4096), ALIGN_UP(hva_end, 4096));
	a64_fetch_add(&m->stats.inval_pages, pages);
}

/* True if the count was raised. always: even without a slot in the range. */
static bool start_vm(struct vm_mem *m, u64 start, u64 end, u32 flags, bool always)
{
	struct memslot_set *set;
	struct memslot *s;
	bool raised = false;
	int cookie;

	mem_hook(HOOK_NOTIFIER_AT_VM, m);
	mutex_lock(&m->mn_lock);
	/*
	 * Pairs of several threads that overlap without end would keep a slot change out for ever. Bounded, because a pair in
	 * flight may depend on this one (its thread may be this one), and the swap waits for that.
	 */
	if (unlikely(m->swap_waits)) {
		u32 turn = a32_load_relaxed(&m->swap_turn);

		mutex_unlock(&m->mn_lock);
		wait_on_word(&m->swap_turn, turn, host_clock_ns() + SWAP_TURN_NS);
		mutex_lock(&m->mn_lock);
	}
	m->mn_active++;
	mutex_unlock(&m->mn_lock);
	if (!(flags & MEM_INVAL_KEEP_VMA))
		vma_cache_begin(m->vmas, start, end);

	cookie = srcu_read_lock(&m->srcu);
	set = memslot_active(m);
	s = memslot_first_hva(set, start, end);
	if (s || always) {
		write_lock(&m->mmu_lock);
		inval_raise(m);
		raised = true;
		if (s)
			a64_fetch_add(&m->stats.inval_pairs, 1);
		for (; s; s = memslot_next_hva(set, s, start, end))
			unmap_slot_part(m, s, start, end);
		write_unlock(&m->mmu_lock);
	}
	srcu_read_unlock(&m->srcu, cookie);
	return raised;
}

/* The section lasts until mem_invalidate_end, which the analysis cannot see. */
void mem_invalidate_start(u64 start, u64 end, u32 flags,
			  struct mem_inval_token *t) NO_THREAD_SAFETY_ANALYSIS
{
	struct mem_process *p = mem_process();
	struct token_state *ts = state_of(t);
	struct vm_list *list;

	*t = (struct mem_inval_token){.start = start, .end = end};
	/* Also before the first VM: the section is what its registration waits for (I-06). */
	mem_process_init();
	/* In a fork child the VMs are a dead copy and the locks in any state (I-34). */
	if (a64_load_relaxed(&p->mm_id) != host_mm_id())
		return;
	ts->active = true;
	ts->flags = flags;
	t->sigmask = host_signals_block();
	t->cookie = srcu_read_lock(&p->mn_srcu);
	list = vm_list_get();
	t->raised = list;
	if (start >= end)
		return;
	for (u32 i = 0; list && i < list->nr; i++)
		if (start_vm(list->vm[i], start, end, flags, i >= TOKEN_BITS) && i < TOKEN_BITS)
			ts->raised[i / 64] |= BIT(i % 64);
}

static void end_vm(struct vm_mem *m, u32 flags, bool raised)
{
	bool wake;

	if (raised)
		inval_lower(m);
	if (!(flags & MEM_INVAL_KEEP_VMA))
		vma_cache_end(m->vmas);
	mutex_lock(&m->mn_lock);
	BUG_ON(!m->mn_active);
	/* Who waits said so under the lock before it read the word. */
	wake = --m->mn_active == 0 && m->swap_waits;
	if (wake)
		a32_fetch_add(&m->mn_wake, 1);
	mutex_unlock(&m->mn_lock);
	/* m lives until mn_srcu is left. */
	if (wake)
		wake_word_all(&m->mn_wake);
}

void mem_invalidate_end(struct mem_inval_token *t) NO_THREAD_SAFETY_ANALYSIS
{
	struct token_state *ts = state_of(t);
	struct vm_list *list = t->raised;

	if (!ts->active)
		return;
	/* The program forked within its pair: what start raised here is a dead copy, but the mask is this thread's (I-34). */
	if (unlikely(a64_load_relaxed(&mem_process()->mm_id) != host_mm_id())) {
		host_signals_restore(t->sigmask);
		return;
	}
	for (u32 i = 0; list && t->start < t->end && i < list->nr; i++)
		end_vm(list->vm[i], ts->flags, token_raised(ts, i));
	srcu_read_unlock(&mem_process()->mn_srcu, t->cookie);
	host_signals_restore(t->sigmask);
}

static bool age_vm(struct vm_mem *m, u64 start, u64 end, bool clear, bool flush)
{
	struct s2_range changed = {0, 0};
	struct memslot_set *set;
	struct memslot *s;
	bool young = false;
	int cookie;

	cookie = srcu_read_lock(&m->srcu);
	set = memslot_active(m);
	memslot_for_each_hva(s, set, start, end)
	{
		u64 hva = MAX(start, s->userspace_addr), hva_end = MIN(end, memslot_hva_end(s));
		u64 first = ALIGN_DOWN(hva - s->userspace_addr, 4096),
		    end_offset = ALIGN_UP(hva_end - s->userspace_addr, 4096),
		    ipa = s->base_gfn * 4096;

		write_lock(&m->mmu_lock);
		young |= stage2_age(m, &m->mmu, ipa + first, ipa + end_offset, clear, &changed);
		write_unlock(&m->mmu_lock);
	}
	if (flush && changed.end)
		stage2_flush(m, &m->mmu, changed.start, changed.end, 0, 0);
	srcu_read_unlock(&m->srcu, cookie);
	return young;
}

bool mem_age(u64 start, u64 end, bool clear, bool flush)
{
	struct mem_process *p = mem_process();
	struct vm_list *list;
	bool young = false;
	u64 sigmask;
	int cookie;

	mem_process_init();
	sigmask = host_signals_block();
	cookie = srcu_read_lock(&p->mn_srcu);
	list = vm_list_get();
	for (u32 i = 0; list && start < end && i < list->nr; i++)
		young |= age_vm(list->vm[i], start, end, clear, flush);
	srcu_read_unlock(&p->mn_srcu, cookie);
	host_signals_restore(sigmask);
	return young;
}
