// SPDX-License-Identifier: MIT
/*
 * TLBI of EL1, and broadcast maintenance in general.
 *
 * A local form is applied to this vCPU's TLB at once. Broadcast forms (inner or outer shareable, IC
 * IVAU) need take effect only when the DSB that must follow completes: they are collected,
 * neighbours merged into one record, posted to all vCPUs when something else follows, at the DSB,
 * or when guest mode is left; the DSB waits for the other vCPUs. So a loop over the lines or pages
 * of a range costs one record and one wait.
 */
#include "vcpu/idregs.h"
#include "vcpu/internal.h"
#include "vcpu/sysreg.h"
#include "vcpu/translate.h"

static bool merge(struct tlb_inval *open, const struct tlb_inval *rec)
{
	if (open->kind != rec->kind || open->asid != rec->asid)
		return false;
	if (open->kind == TLB_INVAL_VMALL || open->kind == TLB_INVAL_ASID)
		return true;
	/* A range that ends at the top of the address space has end 0: it stays alone. */
	if (rec->start < open->start || rec->start > open->end || rec->end < rec->start)
		return false;
	open->end = MAX(open->end, rec->end);
	return true;
}

void maintenance_post(struct vcpu *v)
{
	if (!v->maintenance_open)
		return;
	v->maintenance_open = false;
	v->maintenance_posted = true;
	tlb_post(&v->group->mem->tlb, &v->tlb, &v->maintenance);
}

void maintenance_add(struct vcpu *v, const struct tlb_inval *rec)
{
	if (v->maintenance_open && merge(&v->maintenance, rec))
		return;
	maintenance_post(v);
	v->maintenance = *rec;
	v->maintenance_open = true;
}

bool maintenance_complete(struct vcpu *v)
{
	maintenance_post(v);
	if (!v->maintenance_posted)
		return false;
	v->maintenance_posted = false;
	tlb_drain(&v->group->mem->tlb, &v->tlb);
	return true;
}

static void post(struct vcpu *v, bool broadcast, const struct tlb_inval *rec)
{
	if (broadcast)
		maintenance_add(v, rec);
	else
		vtlb_apply(v, rec);
}

/* VA[55:12] is in bits 43:0. */
static u64 operand_va(u64 x)
{
	return (u64)sign_extend(x << 12, 56);
}

/* Range operand: BaseADDR 36:0 in granules, TTL 38:37, NUM 43:39, SCALE 45:44, TG 47:46, ASID
 * 63:48. */
static bool operand_range(u64 x, u64 *start, u64 *end)
{
	static const u8 shift[4] = {0, 12, 14, 16};
	unsigned tg = x >> 46 & 3;
	u64 num = x >> 39 & 31, scale = x >> 44 & 3;

	if (!tg)
		return false;
	*start = (u64)sign_extend((x & GENMASK(36, 0)) << shift[tg], 37 + shift[tg]);
	*end = *start + ((num + 1) << (5 * scale + 1 + shift[tg]));
	return true;
}

enum op_result sys_tlbi(struct vcpu *v, u16 op, u64 x)
{
	unsigned op1 = op >> 11 & 7, crm = op >> 3 & 15, op2 = op & 7;
	struct tlb_inval rec = {.kind = TLB_INVAL_VA, .asid = -1};
	s32 asid = (s32)(x >> 48 & (v->arch.sys[SR_TCR_EL1] & TCR_AS ? 0xffff : 0xff));
	bool broadcast = crm == 1 || crm == 2 || crm == 3 || crm == 5;
	bool range = crm == 2 || crm == 5 || crm == 6;

	if (v->arch.el == 0 || op1 != 0)
		return vcpu_undef(v);
	/* FEAT_TLBIRANGE and FEAT_TLBIOS. */
	if ((range && !idreg_has(v, ID_AA64ISAR0, 56, 2)) ||
	    (crm == 1 && !idreg_has(v, ID_AA64ISAR0, 56, 1)))
		return vcpu_undef(v);
	if (range) {
		/* RVAE1, RVAAE1, RVALE1, RVAALE1; OS 5, IS 2, local 6. */
		if (!(op2 & 1))
			return vcpu_undef(v);
		if (!operand_range(x, &rec.start, &rec.end))
			return OP_NEXT;
		if (op2 == 1 || op2 == 5)
			rec.asid = asid;
		post(v, broadcast, &rec);
		return OP_NEXT;
	}
	if (crm != 1 && crm != 3 && crm != 7)
		return vcpu_undef(v);
	switch (op2) {
	case 0: /* VMALLE1 */
		rec.kind = TLB_INVAL_VMALL;
		break;
	case 2: /* ASIDE1 */
		rec.kind = TLB_INVAL_ASID;
		rec.asid = asid;
		break;
	case 1: /* VAE1 */
	case 5: /* VALE1 */
		rec.asid = asid;
		/* fall through */
	case 3: /* VAAE1 */
	case 7: /* VAALE1 */
		rec.start = operand_va(x);
		rec.end = rec.start + 4096;
		break;
	default:
		return vcpu_undef(v);
	}
	post(v, broadcast, &rec);
	return OP_NEXT;
}
