// SPDX-License-Identifier: MIT
/* KVM_GET/SET_ONE_REG and the register list; MP state. */
#include "vcpu/onereg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "vcpu/internal.h"
#include "vcpu/sysreg.h"

#define ID_CORE(size)	(KVM_REG_ARM64 | (size) | KVM_REG_ARM_CORE)
#define CORE_OFF(field) (offsetof(struct kvm_regs, field) / 4)
#define OFF_REGS	CORE_OFF(regs.regs)
#define OFF_SP		CORE_OFF(regs.sp)
#define OFF_PC		CORE_OFF(regs.pc)
#define OFF_PSTATE	CORE_OFF(regs.pstate)
#define OFF_SP_EL1	CORE_OFF(sp_el1)
#define OFF_ELR		CORE_OFF(elr_el1)
#define OFF_SPSR	CORE_OFF(spsr)
#define OFF_VREGS	CORE_OFF(fp_regs.vregs)
#define OFF_FPSR	CORE_OFF(fp_regs.fpsr)
#define OFF_FPCR	CORE_OFF(fp_regs.fpcr)
#define NR_CORE_OFFS	(sizeof(struct kvm_regs) / 4)

/* --- core registers
 * ---------------------------------------------------------------------------------------------------
 */

/* The stack pointer of the present EL lives in x[REG_SP]. */
static u64 *sp_of_bank(struct vcpu *v, unsigned bank)
{
	unsigned now = v->arch.pstate & PSR_SP ? v->arch.el : 0;

	return bank == now ? &v->arch.x[REG_SP] : &v->arch.sp_el[bank];
}

/* Storage of the 64-bit registers; NULL for what has its own rule or does not exist. */
static u64 *core_u64(struct vcpu *v, u32 off)
{
	static const u16 spsr[5] = {SR_SPSR_EL1, SR_SPSR_ABT, SR_SPSR_UND, SR_SPSR_IRQ,
				    SR_SPSR_FIQ};

	if (off % 2)
		return NULL;
	if (off < OFF_SP)
		return &v->arch.x[off / 2];
	if (off == OFF_SP)
		return sp_of_bank(v, 0);
	if (off == OFF_PC)
		return &v->arch.pc;
	if (off == OFF_SP_EL1)
		return sp_of_bank(v, 1);
	if (off == OFF_ELR)
		return &v->arch.sys[SR_ELR_EL1];
	if (off >= OFF_SPSR && off < OFF_SPSR + 10)
		return &v->arch.sys[spsr[(off - OFF_SPSR) / 2]];
	return NULL;
}

/* 0 if there is no such register. */
static unsigned core_size(struct vcpu *v, u32 off)
{
	if (off == OFF_PSTATE || core_u64(v, off))
		return 8;
	if (off >= OFF_VREGS && off < OFF_VREGS + 32 * 4)
		return (off - OFF_VREGS) % 4 ? 0 : 16;
	if (off == OFF_FPSR || off == OFF_FPCR)
		return 4;
	return 0;
}

static int set_pstate(struct vcpu *v, u64 value)
{
	u32 mode = value & 0x1f;

	if (mode != 0 && mode != 4 && mode != 5)
		return -EINVAL;
	v->arch.nzcv = (u32)value & 0xf0000000u;
	vcpu_set_pstate(v, (u32)value & 0x0fffffffu);
	return 0;
}

static int core_access(struct vcpu *v, u64 id, void *buf, bool write)
{
	u32 off = id & 0xffff;
	void *at;
	u64 value;

	/* As KVM counts: what would reach the end of the structure is not there, whatever lies at its beginning. */
	if (off >= NR_CORE_OFFS || off + onereg_size(id) / 4 >= NR_CORE_OFFS)
		return -ENOENT;
	if (onereg_size(id) != core_size(v, off))
		return -EINVAL;
	if (off == OFF_PSTATE) {
		if (write) {
			memcpy(&value, buf, 8);
			return set_pstate(v, value);
		}
		value = v->arch.pstate | v->arch.nzcv;
		memcpy(buf, &value, 8);
		return 0;
	}
	if (off == OFF_FPSR)
		at = &v->arch.fpsr;
	else if (off == OFF_FPCR)
		at = &v->arch.fpcr;
	else if (off >= OFF_VREGS)
		at = &v->arch.v[(off - OFF_VREGS) / 4];
	else
		at = core_u64(v, off);
	if (write)
		memcpy(at, buf, onereg_size(id));
	else
		memcpy(buf, at, onereg_size(id));
	return 0;
}

static u32 core_list(struct vcpu *v, u64 *list)
{
	static const u64 size[3] = {KVM_REG_SIZE_U32, KVM_REG_SIZE_U64, KVM_REG_SIZE_U128};
	u32 n = 0;

	for (u32 off = 0; off < NR_CORE_OFFS; off++) {
		unsigned bytes = core_size(v, off);

		if (!bytes)
			continue;
		if (list)
			list[n] = ID_CORE(size[bytes == 4 ? 0 : bytes == 8 ? 1 : 2]) | off;
		n++;
	}
	return n;
}

/* --- system registers
 * -------------------------------------------------------------------------------------------------
 */

static u64 row_id(const struct sysreg_row *row)
{
	return row->one_reg_id ? row->one_reg_id
			       : KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | row->op;
}

static bool row_reachable(const struct vcpu *v, const struct sysreg_row *row)
{
	return (row->flags & (SYSREG_LISTED | SYSREG_HIDDEN_IO)) &&
	       (!row->present || row->present(v, row));
}

static const struct sysreg_row *find_by_id(struct vcpu *v, u64 id)
{
	const struct vcpu_group *g = v->group;
	const struct sysreg_row *row;

	/* Ids that are not the encoding come first: the other register of such a pair has this
	 * encoding. */
	for (u32 t = 0; t < g->nr_sysreg_tables; t++)
		for (u32 i = 0; i < g->sysreg_table[t].nr; i++)
			if (g->sysreg_table[t].rows[i].one_reg_id == id)
				return &g->sysreg_table[t].rows[i];
	row = sysreg_find(g, (u16)id);
	return row && row_id(row) == id ? row : NULL;
}

static int sysreg_access(struct vcpu *v, u64 id, u64 *value, bool write)
{
	const struct sysreg_row *row;

	if (onereg_size(id) != 8)
		return -ENOENT;
	row = find_by_id(v, id);
	if (!row || !row_reachable(v, row))
		return -ENOENT;
	if (!write) {
		if (row->get)
			return row->get(v, row, value);
		*value = row->index == SR_NONE ? 0 : v->arch.sys[row->index];
		return 0;
	}
	if (row->set)
		return row->set(v, row, *value);
	if (row->index == SR_NONE)
		return *value ? -EINVAL : 0;
	if ((row->flags & SYSREG_CONST) && *value != v->arch.sys[row->index])
		return -EINVAL;
	v->arch.sys[row->index] = *value;
	return 0;
}

static int compare_rows(const void *a, const void *b)
{
	const struct sysreg_row *const *x = a, *const *y = b;

	return (int)(*x)->op - (int)(*y)->op;
}

#define MAX_LISTED 512

static u32 sysreg_list(struct vcpu *v, u64 *list)
{
	const struct sysreg_row *row[MAX_LISTED];
	const struct vcpu_group *g = v->group;
	u32 n = 0;

	for (u32 t = 0; t <= g->nr_sysreg_tables; t++) {
		const struct sysreg_row *rows = t ? g->sysreg_table[t - 1].rows : sysreg_base_rows;
		u32 nr = t ? g->sysreg_table[t - 1].nr : sysreg_nr_base_rows;

		for (u32 i = 0; i < nr && n < MAX_LISTED; i++)
			if ((rows[i].flags & SYSREG_LISTED) && row_reachable(v, &rows[i]))
				row[n++] = &rows[i];
	}
	if (list) {
		qsort(row, n, sizeof(row[0]), compare_rows);
		for (u32 i = 0; i < n; i++)
			list[i] = row_id(row[i]);
	}
	return n;
}

/* --- CCSIDR
 * -----------------------------------------------------------------------------------------------------------
 */

static int demux_access(struct vcpu *v, u64 id, u32 *value, bool write)
{
	u32 which = id & 0xffff;

	if (onereg_size(id) != 4 || (which & 0xff00) != KVM_REG_ARM_DEMUX_ID_CCSIDR
								<< KVM_REG_ARM_DEMUX_ID_SHIFT)
		return -ENOENT;
	which &= 0xff;
	if (which >= NR_CCSIDR)
		return -ENOENT;
	if (write) {
		/*
		 * LineSize (log2 of bytes, minus 4) may not be below the 64 bytes of CTR_EL0. The top four bits were properties of the
		 * cache once: a VMM may bring them from an older host.
		 */
		if ((*value & 7) < 2)
			return -EINVAL;
		v->ccsidr[which] = *value;
	} else {
		*value = v->ccsidr[which];
	}
	return 0;
}

/* --- all groups
 * -------------------------------------------------------------------------------------------------------
 */

int vcpu_group_add_onereg(struct vcpu_group *g, const struct onereg_group *grp)
{
	if (g->nr_onereg >= ARRAY_SIZE(g->onereg))
		return -ENOSPC;
	g->onereg[g->nr_onereg++] = grp;
	return 0;
}

static const struct onereg_group *group_of(const struct vcpu *v, u64 id)
{
	for (u32 i = 0; i < v->group->nr_onereg; i++)
		if (v->group->onereg[i]->coproc == (id >> 16 & 0xfff))
			return v->group->onereg[i];
	return NULL;
}

/* SVE is not offered: its registers are not there, and other numbers are no registers. */
static int sve_error(u64 id)
{
	bool zreg = id >= KVM_REG_ARM64_SVE_ZREG(0, 0) && id <= KVM_REG_ARM64_SVE_ZREG(31, 31);
	bool preg = id >= KVM_REG_ARM64_SVE_PREG(0, 0) && id <= KVM_REG_ARM64_SVE_FFR(31);

	return zreg || preg || id == KVM_REG_ARM64_SVE_VLS ? -ENOENT : -EINVAL;
}

static int one_reg(struct vcpu *v, u64 id, void *buf, bool write)
{
	const struct onereg_group *grp;
	u64 value = 0;
	u32 word = 0;
	int r;

	/* KVM looks at the architecture byte, the coprocessor and the low half. */
	if ((id & ~(KVM_REG_SIZE_MASK)) >> 32 != KVM_REG_ARM64 >> 32)
		return -EINVAL;
	switch (id & KVM_REG_ARM_COPROC_MASK) {
	case KVM_REG_ARM_CORE:
		return core_access(v, id, buf, write);
	case KVM_REG_ARM64_SVE:
		return sve_error(id);
	case KVM_REG_ARM64_SYSREG:
		if (write && onereg_size(id) == 8)
			memcpy(&value, buf, 8);
		r = sysreg_access(v, id, &value, write);
		if (!r && !write)
			memcpy(buf, &value, 8);
		return r;
	case KVM_REG_ARM_DEMUX:
		if (write && onereg_size(id) == 4)
			memcpy(&word, buf, 4);
		r = demux_access(v, id, &word, write);
		if (!r && !write)
			memcpy(buf, &word, 4);
		return r;
	}
	grp = group_of(v, id);
	if (!grp || onereg_size(id) != 8)
		return -ENOENT;
	if (write) {
		memcpy(&value, buf, 8);
		return grp->set(v, id, value);
	}
	r = grp->get(v, id, &value);
	if (!r)
		memcpy(buf, &value, 8);
	return r;
}

/* CPU_ON was called for a vCPU that has not run since: its registers are those of the reset to
 * come, as KVM shows them. */
static void apply_owed_reset(struct vcpu *v) REQUIRES(&v->mutex)
{
	if (a32_load(&v->requests) & VCPU_REQ_RESET) {
		a32_fetch_and(&v->requests, ~(u32)VCPU_REQ_RESET);
		vcpu_reset(v);
	}
}

int vcpu_get_one_reg(struct vcpu *v, u64 id, void *buf)
{
	if (!v->initialized)
		return -ENOEXEC;
	apply_owed_reset(v);
	return one_reg(v, id, buf, false);
}

int vcpu_set_one_reg(struct vcpu *v, u64 id, const void *buf)
{
	u8 copy[256];

	if (!v->initialized)
		return -ENOEXEC;
	apply_owed_reset(v);
	/* one_reg only reads it when writing the register. */
	memcpy(copy, buf, MIN(onereg_size(id), sizeof(copy)));
	return one_reg(v, id, copy, true);
}

u32 vcpu_reg_list(struct vcpu *v, u64 *list)
{
	u32 n = core_list(v, list);

	for (u32 i = 0; i < v->group->nr_onereg; i++)
		n += v->group->onereg[i]->list(v, list ? list + n : NULL);
	n += sysreg_list(v, list ? list + n : NULL);
	for (u32 i = 0; i < NR_CCSIDR; i++, n++)
		if (list)
			list[n] = KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_DEMUX | i;
	return n;
}

/* --- MP state, signal mask
 * ------------------------------------------------------------------------------------ */

int vcpu_get_mp_state(struct vcpu *v, u32 *state)
{
	switch (a32_load(&v->power_off)) {
	case VCPU_STOPPED:
		*state = KVM_MP_STATE_STOPPED;
		break;
	case VCPU_SUSPENDED:
		*state = KVM_MP_STATE_SUSPENDED;
		break;
	default:
		*state = KVM_MP_STATE_RUNNABLE;
	}
	return 0;
}

int vcpu_set_mp_state(struct vcpu *v, u32 state)
{
	switch (state) {
	case KVM_MP_STATE_RUNNABLE:
		a32_store(&v->power_off, VCPU_RUNNABLE);
		return 0;
	case KVM_MP_STATE_STOPPED:
		a32_store(&v->power_off, VCPU_STOPPED);
		return 0;
	case KVM_MP_STATE_SUSPENDED:
		a32_store(&v->power_off, VCPU_SUSPENDED);
		return 0;
	default:
		return -EINVAL;
	}
}

void vcpu_set_signal_mask(struct vcpu *v, const u64 *mask)
{
	v->run_sigmask_set = mask;
	v->run_sigmask = mask ? *mask : 0;
}
