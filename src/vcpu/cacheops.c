// SPDX-License-Identifier: MIT
/*
 * Cache maintenance. Data caches are coherent (host memory is what the guest sees), so DC by VA
 * checks rights and does nothing else. IC forgets decoded code: CTR_EL0.DIC is 0, a guest must use
 * it.
 */
#include "vcpu/idregs.h"
#include "vcpu/internal.h"
#include "vcpu/sysreg.h"
#include "vcpu/translate.h"
#include "vcpu/vmem.h"

#define ISS_CM BIT(8)

/* SYS op1, CRm, op2 of CRn 7, packed. */
#define C7(op1, crm, op2) ((op1) << 7 | (crm) << 3 | (op2))

/* Rights and mapping of an operation by address. False: as vmem functions. */
static bool check_va(struct vcpu *v, u64 va, bool write, u32 acc, struct page_result *r)
{
	struct s1_access a = {.va = va, .el = v->arch.el, .write = write, .cache_op = true};
	bool ok;

	access_section_begin(&v->tlb);
	ok = translate_access(v, &a, acc | ACC_CACHE, 1, r);
	access_section_end(&v->tlb);
	return ok;
}

static void post_code(struct vcpu *v, u64 start, u64 end, bool broadcast)
{
	struct tlb_inval rec = {.kind = TLB_INVAL_CODE, .start = start, .end = end};

	if (broadcast)
		maintenance_add(v, &rec);
	else
		v->tlb.apply(&v->tlb, &rec);
}

static enum op_result dc_by_va(struct vcpu *v, u64 va, bool write)
{
	struct page_result r;

	/* Every page that can be touched is in the read array; a miss finds out. */
	if (!write && vtlb_hit(&v->vtlb, VTLB_READ, va, 1))
		return OP_NEXT;
	if (!check_va(v, va, write, 0, &r))
		return vmem_result(v);
	/* Only an invalidation can change what a load finds: it is a store of the whole line. */
	if (write && unlikely(v->debug.watchpoints) &&
	    vcpu_watchpoint(v, va & ~63ull, 64, WATCH_STORE, v->arch.el, ISS_CM))
		return vmem_result(v);
	return OP_NEXT;
}

static enum op_result ic_ivau(struct vcpu *v, u64 va)
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_READ, va, 1);
	struct page_result r;
	u64 line;

	if (!hva) {
		if (!check_va(v, va, false, 0, &r))
			return vmem_result(v);
		hva = (void *)(uintptr_t)r.hva;
	}
	line = (u64)(uintptr_t)hva & ~63ull;
	post_code(v, line, line + 64, true);
	return OP_NEXT;
}

static bool el0_trapped(const struct vcpu *v, u64 allow)
{
	return v->arch.el == 0 && !(v->arch.sys[SR_SCTLR_EL1] & allow);
}

enum op_result sys_cache(struct vcpu *v, u16 op, unsigned rt)
{
	unsigned op1 = op >> 11 & 7, crm = op >> 3 & 15, op2 = op & 7;
	u64 va = v->arch.x[rt];

	switch (C7(op1, crm, op2)) {
	case C7(0, 1, 0): /* IC IALLUIS */
	case C7(0, 5, 0): /* IC IALLU */
		if (v->arch.el == 0)
			return vcpu_undef(v);
		post_code(v, 0, ~0ull, crm == 1);
		return vcpu_context_changed(v);
	case C7(0, 6, 2): /* DC ISW, CSW, CISW: there are no sets to clean */
	case C7(0, 10, 2):
	case C7(0, 14, 2):
		return v->arch.el == 0 ? vcpu_undef(v) : OP_NEXT;
	case C7(0, 6, 1): /* DC IVAC: needs write permission */
		return v->arch.el == 0 ? vcpu_undef(v) : dc_by_va(v, va, true);
	case C7(3, 4, 1): /* DC ZVA */
		if (el0_trapped(v, SCTLR_DZE))
			return vcpu_sysreg_trap(v);
		return vmem_zero_block(v, va) ? OP_NEXT : vmem_result(v);
	case C7(3, 5, 1): /* IC IVAU */
		if (el0_trapped(v, SCTLR_UCI))
			return vcpu_sysreg_trap(v);
		return ic_ivau(v, va);
	case C7(3, 12, 1): /* DC CVAP */
		if (!idreg_has(v, ID_AA64ISAR1, 0, 1))
			return vcpu_undef(v);
		/* fall through */
	case C7(3, 10, 1): /* DC CVAC, CVAU, CIVAC */
	case C7(3, 11, 1):
	case C7(3, 14, 1):
		if (el0_trapped(v, SCTLR_UCI))
			return vcpu_sysreg_trap(v);
		return dc_by_va(v, va, false);
	default:
		return vcpu_undef(v);
	}
}
