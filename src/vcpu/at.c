// SPDX-License-Identifier: MIT
/* AT S1E1R, S1E1W, S1E0R, S1E0W, S1E1RP, S1E1WP: the stage-1 walk, its result in PAR_EL1. */
#include "vcpu/idregs.h"
#include "vcpu/internal.h"
#include "vcpu/sysreg.h"
#include "vcpu/translate.h"
#include "vcpu/vmem.h"

#define PAR_F	     BIT(0)
#define PAR_RES1     BIT(11)
#define PAR_NS	     BIT(9)
#define PAR_SH_SHIFT 7

static u64 par_of(const struct vcpu *v, const struct s1_result *r)
{
	/* Device and non-cacheable memory is outer shareable whatever the descriptor says. */
	u64 sh = r->device || r->attr == 0x44 ? 2 : r->sh;

	(void)v;
	return (r->ipa & GENMASK(47, 12)) | (u64)r->attr << 56 | PAR_RES1 | PAR_NS |
	       sh << PAR_SH_SHIFT;
}

enum op_result sys_at(struct vcpu *v, u16 op, u64 va)
{
	unsigned op1 = op >> 11 & 7, crm = op >> 3 & 15, op2 = op & 7;
	struct s1_access a = {.va = va};
	enum op_result ret = OP_NEXT;
	struct s1_result r;
	struct s1_fault f;

	if (v->arch.el == 0 || op1 != 0)
		return vcpu_undef(v);
	if (crm == 8 && op2 < 4) {
		a.el = op2 < 2;
	} else if (crm == 9 && op2 < 2 && idreg_has(v, ID_AA64MMFR1, 20, 2)) {
		a.el = 1;
		a.pan = v->arch.pstate & PSR_PAN;
	} else {
		return vcpu_undef(v);
	}
	a.write = op2 & 1;
	/* Whether AT sets the access flag is a choice of the implementation; the dirty state is
	 * never touched. */
	a.no_update = true;
	access_section_begin(&v->tlb);
	switch (s1_walk(v, &a, &r, &f)) {
	case S1_OK:
		v->arch.sys[SR_PAR_EL1] = par_of(v, &r);
		break;
	case S1_FAULT:
		v->arch.sys[SR_PAR_EL1] = PAR_F | PAR_RES1 | (u64)f.fsc << 1;
		break;
	case S1_S2_FAULT:
		/* The descriptor is not mapped yet: map it and run the AT again. */
		v->stop.kind = STOP_S2_FAULT;
		translate_stop_s2(v, &a, 0, 8);
		ret = OP_STOP;
		break;
	case S1_HOST_FAULT:
		v->stop.kind = STOP_HOST_FAULT;
		translate_stop_s2(v, &a, 0, 8);
		ret = OP_STOP;
		break;
	}
	access_section_end(&v->tlb);
	return ret;
}
