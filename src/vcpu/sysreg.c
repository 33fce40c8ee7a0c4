// SPDX-License-Identifier: MIT
/* MRS, MSR and SYS: lookup, access rules, and the hooks of registers that are more than storage. */
#include "vcpu/sysreg.h"

#include <errno.h>

#include "vcpu/idregs.h"
#include "vcpu/internal.h"
#include "vcpu/sysreg_hooks.h"
#include "vcpu/translate.h"

#define EC_SYSREG 0x18u

int vcpu_group_add_rows(struct vcpu_group *g, const struct sysreg_row *rows, u32 nr)
{
	if (g->nr_sysreg_tables >= ARRAY_SIZE(g->sysreg_table))
		return -ENOSPC;
	g->sysreg_table[g->nr_sysreg_tables].rows = rows;
	g->sysreg_table[g->nr_sysreg_tables].nr = nr;
	g->nr_sysreg_tables++;
	return 0;
}

static const struct sysreg_row *find_base(u16 op)
{
	u32 lo = 0, hi = sysreg_nr_base_rows;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (sysreg_base_rows[mid].op == op)
			return &sysreg_base_rows[mid];
		if (sysreg_base_rows[mid].op < op)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct sysreg_row *sysreg_find(const struct vcpu_group *g, u16 op)
{
	const struct sysreg_row *row = find_base(op);

	for (u32 t = 0; !row && t < g->nr_sysreg_tables; t++)
		for (u32 i = 0; !row && i < g->sysreg_table[t].nr; i++)
			if (g->sysreg_table[t].rows[i].op == op)
				row = &g->sysreg_table[t].rows[i];
	return row;
}

static const struct sysreg_row *find_cached(struct vcpu *v, u16 op)
{
	const struct sysreg_row **c = &v->sysreg_cache[(op ^ op >> 7) % SYSREG_CACHE];

	if (unlikely(!*c || (*c)->op != op)) {
		const struct sysreg_row *row = sysreg_find(v->group, op);

		if (!row)
			return NULL;
		*c = row;
	}
	return *c;
}

/* ISS of a trapped MSR, MRS or system instruction. */
static u32 sys_iss(u16 op, unsigned rt, bool read)
{
	return (u32)(op >> 14 & 3) << 20 | (u32)(op & 7) << 17 | (u32)(op >> 11 & 7) << 14 |
	       (u32)(op >> 7 & 15) << 10 | rt << 5 | (u32)(op >> 3 & 15) << 1 | read;
}

enum op_result vcpu_sysreg_trap(struct vcpu *v)
{
	return vcpu_raise(v, EC_SYSREG, v->sys_iss);
}

static bool row_allows(const struct vcpu *v, const struct sysreg_row *row, u8 el1, u8 el0)
{
	return (row->access & (v->arch.el ? el1 : el0)) && (!row->present || row->present(v, row));
}

/* FEAT_IDST: where the ID registers are, a read that is refused says which register it was. */
static enum op_result refuse_read(struct vcpu *v, u16 op, unsigned rt)
{
	unsigned op1 = op >> 11 & 7, crn = op >> 7 & 15, crm = op >> 3 & 15;
	bool id_space = op >> 14 == 3 && !crn && crm < 8 && (op1 < 2 || op1 == 3);

	if (!id_space || !bits_get(v->group->idreg[ID_AA64MMFR2], 36, 4))
		return vcpu_undef(v);
	v->sys_iss = sys_iss(op, rt, true);
	return vcpu_sysreg_trap(v);
}

/* Has the engine poll if the hook asked for attention. */
static enum op_result after_hook(struct vcpu *v, const struct sysreg_row *row, enum op_result r)
{
	if (r == OP_NEXT && (row->flags & SYSREG_POLLS) &&
	    unlikely(a32_load_relaxed(&v->tlb.attention)))
		return vcpu_context_changed(v);
	return r;
}

enum op_result vcpu_sysreg_read(struct vcpu *v, u16 op, unsigned rt)
{
	const struct sysreg_row *row = find_cached(v, op);
	enum op_result r = OP_NEXT;
	u64 value;

	if (!row || !row_allows(v, row, SYSREG_R1, SYSREG_R0))
		return refuse_read(v, op, rt);
	if (row->read) {
		v->sys_iss = sys_iss(op, rt, true);
		r = row->read(v, row, &value);
		if (r != OP_NEXT)
			return r;
	} else {
		value = row->flags & SYSREG_RAZ ? 0 : v->arch.sys[row->index];
	}
	reg_write(&v->arch, rt, value);
	return after_hook(v, row, r);
}

enum op_result vcpu_sysreg_write(struct vcpu *v, u16 op, unsigned rt)
{
	const struct sysreg_row *row = find_cached(v, op);
	u64 value = v->arch.x[rt];

	if (!row || !row_allows(v, row, SYSREG_W1, SYSREG_W0))
		return vcpu_undef(v);
	if (row->write) {
		v->sys_iss = sys_iss(op, rt, false);
		return after_hook(v, row, row->write(v, row, value));
	}
	if (row->flags & SYSREG_RAZ)
		return OP_NEXT;
	if (row->wmask)
		value = (v->arch.sys[row->index] & ~row->wmask) | (value & row->wmask);
	v->arch.sys[row->index] = value;
	return OP_NEXT;
}

enum op_result vcpu_sys_insn(struct vcpu *v, u16 op, unsigned rt)
{
	unsigned crn = op >> 7 & 15, crm = op >> 3 & 15;

	v->sys_iss = sys_iss(op, rt, false);
	if (crn == 8)
		return sys_tlbi(v, op, v->arch.x[rt]);
	if (crn == 7 && (crm == 8 || crm == 9))
		return sys_at(v, op, v->arch.x[rt]);
	if (crn == 7)
		return sys_cache(v, op, rt);
	return vcpu_undef(v);
}

void sysreg_reset_all(struct vcpu *v)
{
	for (u32 t = 0; t <= v->group->nr_sysreg_tables; t++) {
		const struct sysreg_row *rows =
			t ? v->group->sysreg_table[t - 1].rows : sysreg_base_rows;
		u32 nr = t ? v->group->sysreg_table[t - 1].nr : sysreg_nr_base_rows;

		for (u32 i = 0; i < nr; i++) {
			if (rows[i].reset_hook)
				rows[i].reset_hook(v, &rows[i]);
			else if (rows[i].index != SR_NONE)
				v->arch.sys[rows[i].index] = rows[i].reset;
		}
	}
}

/* --- hooks
 * ------------------------------------------------------------------------------------------------------------
 */

static u64 *storage(struct vcpu *v, const struct sysreg_row *row)
{
	return &v->arch.sys[row->index];
}

WRITE_HOOK(ignore_write)
{
	(void)v, (void)row, (void)value;
	return OP_NEXT;
}

WRITE_HOOK(sctlr_write)
{
	u64 *s = storage(v, row), old = *s;
	u64 wmask = row->wmask | (pauth_present(v, row) ? SCTLR_PAUTH : 0);

	*s = (old & ~wmask) | (value & wmask);
	if (*s == old)
		return OP_NEXT;
	vcpu_update_traps(v);
	if ((*s ^ old) & SCTLR_TRANSLATION)
		vtlb_regs_changed(v);
	return vcpu_context_changed(v);
}

static enum op_result change_translation(struct vcpu *v, const struct sysreg_row *row, u64 value)
{
	u64 *s = storage(v, row);

	if (*s == value)
		return OP_NEXT;
	*s = value;
	vtlb_regs_changed(v);
	return vcpu_context_changed(v);
}

WRITE_HOOK(translation_write)
{
	return change_translation(v, row, value);
}

WRITE_HOOK(tcr_write)
{
	u64 wmask = row->wmask | (pauth_present(v, row) ? TCR_PAUTH : 0);

	return change_translation(v, row, value & wmask);
}

WRITE_HOOK(cpacr_write)
{
	*storage(v, row) = value & row->wmask;
	vcpu_update_traps(v);
	return OP_NEXT;
}

READ_HOOK(sp_el0_read)
{
	if (!(v->arch.pstate & PSR_SP))
		return vcpu_undef(v);
	*value = v->arch.sp_el[0];
	return OP_NEXT;
}

WRITE_HOOK(sp_el0_write)
{
	if (!(v->arch.pstate & PSR_SP))
		return vcpu_undef(v);
	v->arch.sp_el[0] = value;
	return OP_NEXT;
}

READ_HOOK(spsel_read)
{
	*value = v->arch.pstate & PSR_SP;
	return OP_NEXT;
}

WRITE_HOOK(spsel_write)
{
	vcpu_set_pstate(v, (v->arch.pstate & ~(u32)PSR_SP) | (value & 1));
	return OP_NEXT;
}

READ_HOOK(currentel_read)
{
	*value = (u64)v->arch.el << 2;
	return OP_NEXT;
}

READ_HOOK(pstate_read)
{
	*value = v->arch.pstate & row->wmask;
	return OP_NEXT;
}

static enum op_result pstate_change(struct vcpu *v, u32 mask, u32 bits)
{
	u32 old = v->arch.pstate;

	vcpu_set_pstate(v, (old & ~mask) | (bits & mask));
	/* PAN is part of the translation context, and an unmasked interrupt is taken at the next
	 * poll. */
	if ((old ^ v->arch.pstate) & (u32)PSR_PAN)
		return vcpu_context_changed(v);
	return OP_NEXT;
}

WRITE_HOOK(pstate_write)
{
	return pstate_change(v, (u32)row->wmask, (u32)value);
}

static bool daif_trapped(const struct vcpu *v)
{
	return v->arch.el == 0 && !(v->arch.sys[SR_SCTLR_EL1] & SCTLR_UMA);
}

READ_HOOK(daif_read)
{
	if (daif_trapped(v))
		return vcpu_sysreg_trap(v);
	return pstate_read(v, row, value);
}

/* After unmasking with an interrupt waiting, or a change of debug: back to the loop, which polls before it runs on. */
static enum op_result daif_change(struct vcpu *v, u32 mask, u32 bits)
{
	bool here = v->debug.here;
	u8 step = v->step;

	pstate_change(v, mask, bits);
	if (unlikely(vcpu_interrupt_deliverable(v) || here != v->debug.here || step != v->step))
		return vcpu_context_changed(v);
	return OP_NEXT;
}

WRITE_HOOK(daif_write)
{
	if (daif_trapped(v))
		return vcpu_sysreg_trap(v);
	return daif_change(v, (u32)row->wmask, (u32)value);
}

READ_HOOK(nzcv_read)
{
	*value = v->arch.nzcv;
	return OP_NEXT;
}

WRITE_HOOK(nzcv_write)
{
	v->arch.nzcv = (u32)value & 0xf0000000u;
	return OP_NEXT;
}

READ_HOOK(fpcr_read)
{
	if (v->arch.fp_trap)
		return vcpu_fp_access_trap(v);
	*value = v->arch.fpcr;
	return OP_NEXT;
}

WRITE_HOOK(fpcr_write)
{
	if (v->arch.fp_trap)
		return vcpu_fp_access_trap(v);
	v->arch.fpcr = (u32)(value & FPCR_WRITABLE);
	return OP_NEXT;
}

READ_HOOK(fpsr_read)
{
	if (v->arch.fp_trap)
		return vcpu_fp_access_trap(v);
	*value = v->arch.fpsr;
	return OP_NEXT;
}

WRITE_HOOK(fpsr_write)
{
	if (v->arch.fp_trap)
		return vcpu_fp_access_trap(v);
	v->arch.fpsr = (u32)(value & FPSR_WRITABLE);
	return OP_NEXT;
}

READ_HOOK(isr_read)
{
	u32 pins = a32_load_relaxed(&v->pins);

	*value = (pins & BIT(PIN_IRQ) ? PSR_I : 0) | (pins & BIT(PIN_FIQ) ? PSR_F : 0) |
		 (v->events.serror_pending ? PSR_A : 0);
	return OP_NEXT;
}

/* The reset value is a pattern: bits that do not exist go with the first write. */
WRITE_HOOK(csselr_write)
{
	*storage(v, row) = value & row->wmask;
	return OP_NEXT;
}

READ_HOOK(ccsidr_read)
{
	u64 csselr = v->arch.sys[SR_CSSELR_EL1] & 0xf;

	*value = csselr < NR_CCSIDR ? v->ccsidr[csselr] : 0;
	return OP_NEXT;
}

READ_HOOK(dczid_read)
{
	*value = 4 | (v->arch.el == 0 && !(v->arch.sys[SR_SCTLR_EL1] & SCTLR_DZE) ? BIT(4) : 0);
	return OP_NEXT;
}

READ_HOOK(mpidr_read)
{
	*value = a64_load_relaxed(&v->mpidr);
	return OP_NEXT;
}

GET_HOOK(mpidr_get)
{
	*value = a64_load_relaxed(&v->mpidr);
	return 0;
}

SET_HOOK(mpidr_set)
{
	a64_store_relaxed(&v->mpidr, value);
	return 0;
}

/* When first initialised, not before: affinity 0 till then. A later reset keeps what the VMM made of it. */
void mpidr_init(struct vcpu *v)
{
	a64_store_relaxed(&v->mpidr, BIT(31) | (v->id & 0xf) | (u64)(v->id >> 4 & 0xff) << 8 |
					     (u64)(v->id >> 12 & 0xff) << 16);
}

/* --- MSR (immediate), barriers
 * ---------------------------------------------------------------------------------------- */

enum op_result vcpu_msr_imm(struct vcpu *v, u32 op1, u32 op2, u32 crm)
{
	u32 on = crm & 1 ? ~0u : 0;

	v->sys_iss = sys_iss(SYSREG_OP(0, op1, 4, crm, op2), 31, false);
	switch (op1 << 3 | op2) {
	case 3: /* UAO */
		return v->arch.el ? pstate_change(v, (u32)PSR_UAO, on) : vcpu_undef(v);
	case 4: /* PAN */
		return v->arch.el ? pstate_change(v, (u32)PSR_PAN, on) : vcpu_undef(v);
	case 5: /* SPSel */
		return v->arch.el ? pstate_change(v, (u32)PSR_SP, on) : vcpu_undef(v);
	case 3 << 3 | 1: /* SSBS */
		return pstate_change(v, (u32)PSR_SSBS, on);
	case 3 << 3 | 2: /* DIT */
		return pstate_change(v, (u32)PSR_DIT, on);
	case 3 << 3 | 6: /* DAIFSet */
	case 3 << 3 | 7: /* DAIFClr */
		if (daif_trapped(v))
			return vcpu_sysreg_trap(v);
		return daif_change(v, (crm & 15) << 6, op2 == 6 ? ~0u : 0);
	default:
		return vcpu_undef(v);
	}
}

enum op_result vcpu_dsb(struct vcpu *v, u32 crm)
{
	(void)crm;
	fence_full();
	/*
	 * Other vCPUs must have applied what this one posted. It applies what they posted
	 * meanwhile, which may concern the very page that is executed.
	 */
	if (unlikely(v->maintenance_open || v->maintenance_posted) && maintenance_complete(v))
		return vcpu_context_changed(v);
	return OP_NEXT;
}

enum op_result vcpu_isb(struct vcpu *v)
{
	/* IC records posted by others are applied at polls; an ISB is one, so that code changed
	 * before it is seen after it. */
	if (a32_load_relaxed(&v->tlb.attention)) {
		v->arch.pc += 4;
		v->vtlb.generation++;
		return OP_BRANCH;
	}
	return OP_NEXT;
}
