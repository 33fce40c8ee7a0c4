/* SPDX-License-Identifier: MIT */
/* KVM_PRE_FAULT_MEMORY: the guest's faults taken before the guest runs. */
#include <errno.h>

#include "host/signal.h"
#include "mem/attrs.h"
#include "mem/nested_mmu.h"

/* Bytes from gpa to the end of the leaf that maps it, 0 if none does. */
static u64 mapped_from(struct vm_mem *m, u64 gpa)
{
	struct mem_fault fault = {.ipa = gpa};
	struct s2_result leaf;
	u64 size = 0;

	read_lock(&m->mmu_lock);
	if (!(gpa >> m->ipa_bits) && !s2_lookup(&m->mmu, gpa, false, false, false, &leaf, &fault))
		size = s2_size(leaf.level);
	read_unlock(&m->mmu_lock);
	return size ? size - gpa % size : 0;
}

/*
 * One page or block. Each attempt is an SRCU section of its own, as a vCPU's is, so that slots can change meanwhile; a fault that
 * raced is tried again until it is through, or a signal comes.
 */
static int pre_fault_one(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, u64 sigmask, u64 *mapped)
{
	struct mem_fault read = {.ipa = gpa, .type = MEM_FAULT_TRANSLATION, .level = 3};
	enum mem_fault_action action;
	int ret;

	while (!(*mapped = mapped_from(m, gpa))) {
		if (host_signals_pending(sigmask))
			return -EINTR;
		ret = mem_fault_handle(m, mv, &read, &action);
		if (ret)
			return ret;
		/* What would be an exit or an abort. */
		if (action != MEM_FAULT_RETRY)
			return -ENOENT;
	}
	return 0;
}

int mem_pre_fault(struct vm_mem *m, struct mem_vcpu *mv, u64 *gpa, u64 *size)
{
	u64 sigmask = host_signals_block(), whole = *size, mapped;
	int ret = 0;

	/* The tables in force are not the VM's own. */
	if (mem_vcpu_mmu(m, mv) != &m->mmu)
		ret = -EOPNOTSUPP;
	while (*size && !ret) {
		ret = host_signals_pending(sigmask) ? -EINTR
						    : pre_fault_one(m, mv, *gpa, sigmask, &mapped);
		if (ret)
			break;
		mapped = MIN(mapped, *size);
		*gpa += mapped;
		*size -= mapped;
	}
	host_signals_restore(sigmask);
	return *size < whole ? 0 : ret;
}
