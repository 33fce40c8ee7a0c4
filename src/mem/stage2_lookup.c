/* SPDX-License-Identifier: MIT */
/*
 * The software walk: what the MMU does in hardware. It takes no lock. Table pages stay because they are freed by RCU; the hva
 * found stays usable until the end of the caller's access section, because whoever takes the page away waits for a shootdown
 * after clearing the entry (G-TLB-A), and a vCPU acknowledges outside sections only.
 */
#include <errno.h>

#include "mem/hook.h"
#include "mem/stage2.h"

static int walk_fault(struct mem_fault *f, enum mem_fault_type type, unsigned level)
{
	f->type = type;
	f->level = level;
	return -EFAULT;
}

static bool executable(u64 pte, bool el0)
{
	static const bool el1_may[4] = {true, false, false, true},
			  el0_may[4] = {true, true, false, false};
	unsigned xn = bits_get(pte, 53, 2);

	return el0 ? el0_may[xn] : el1_may[xn];
}

static int walk(struct s2_pgt *pgt, u64 ipa, bool want_write, bool want_exec, bool el0,
		struct s2_result *out, struct mem_fault *fault)
{
	unsigned level = pgt->start_level;
	struct s2_table *t;
	struct a64 *entry;
	u64 pte;

	if (ipa >> pgt->ipa_bits)
		return walk_fault(fault, MEM_FAULT_TRANSLATION, 0);
	t = pgt->root[ipa >> (s2_shift(level) + 9)];
again:
	for (;; level++) {
		mem_hook(HOOK_WALK_TABLE, t);
		entry = &t->entry[(ipa >> s2_shift(level)) % S2_ENTRIES];
		/* Acquire pairs with the release that linked the table. */
		pte = a64_load_acquire(entry);
		if (!s2_is_table(pte, level))
			break;
		t = s2_child(pte);
	}
	/* LOCKED is invalid as well: the fault comes back when the other vCPU is done. */
	if (!(pte & S2_VALID))
		return walk_fault(fault, MEM_FAULT_TRANSLATION, level);
	/* A guest hypervisor may grant writes alone. */
	if ((!want_exec && !want_write && !(pte & S2_R)) || (want_write && !(pte & S2_W)) ||
	    (want_exec && !executable(pte, el0)))
		return walk_fault(fault, MEM_FAULT_PERMISSION, level);
	if (!(pte & S2_AF)) {
		if (!S2_HARDWARE_AF)
			return walk_fault(fault, MEM_FAULT_ACCESS_FLAG, level);
		if (!a64_cmpxchg(entry, pte, pte | S2_AF))
			goto again;
	}
	out->hva = (pte & S2_OA) + (ipa & (s2_size(level) - 1));
	out->page_ipa = ALIGN_DOWN(ipa, 4096);
	out->r = pte & S2_R;
	out->w = pte & S2_W;
	out->x_el0 = executable(pte, true);
	out->x_el1 = executable(pte, false);
	out->level = level;
	return 0;
}

int s2_lookup(struct s2_mmu *mmu, u64 ipa, bool want_write, bool want_exec, bool el0,
	      struct s2_result *out, struct mem_fault *fault)
{
	struct s2_pgt *pgt;
	int ret;

	rcu_read_lock();
	pgt = rcu_load(&mmu->pgt);
	/* Torn down: the fault path answers EIO. */
	ret = pgt ? walk(pgt, ipa, want_write, want_exec, el0, out, fault)
		  : walk_fault(fault, MEM_FAULT_TRANSLATION, 0);
	rcu_read_unlock();
	return ret;
}
