// SPDX-License-Identifier: MIT
/*
 * The CPU model. A field of an ID register is non-zero only if its feature is implemented and some
 * test exercises it: the table below is the list of both, and the reset values are computed from
 * it.
 */
#include "vcpu/idregs.h"

#include <errno.h>

#include "vcpu/internal.h"
#include "vcpu/onereg.h"
#include "vcpu/sysreg_hooks.h"
#include "vcpu/translate.h"

#define FIELD(reg, field, at, val, by)                                                            \
	{                                                                                         \
		.slot = reg, .shift = (at), .value = (val), .name = #reg "." #field, .test = (by) \
	}

/* "engine:..." names a feature class of the random stream comparison (tests/diff), the rest are
 * programs of tests/. */
const struct idreg_field idreg_fields[] = {
	FIELD(ID_AA64PFR0, EL0, 0, 1, "unit/vcpu_exception:svc_from_el0_reports_the_immediate"),
	FIELD(ID_AA64PFR0, EL1, 4, 1,
	      "unit/vcpu_exception:undefined_at_el1_uses_the_current_el_vector"),
	FIELD(ID_AA64PFR0, FP, 16, 1, "engine:fp16"),
	FIELD(ID_AA64PFR0, AdvSIMD, 20, 1, "engine:fp16"),
	FIELD(ID_AA64PFR0, GIC, 24, 1, "unit/irq/gic:identification_registers_read_as_in_kvm"),
	FIELD(ID_AA64PFR0, DIT, 48, 1, "unit/vcpu_sysreg:pstate_fields_read_back"),
	FIELD(ID_AA64PFR0, CSV2, 56, 1, "unit/vcpu_sysreg:id_registers_have_their_values"),
	FIELD(ID_AA64PFR0, CSV3, 60, 1, "unit/vcpu_sysreg:id_registers_have_their_values"),
	FIELD(ID_AA64PFR1, SSBS, 4, 2, "unit/vcpu_sysreg:pstate_fields_read_back"),
	FIELD(ID_AA64DFR0, DebugVer, 0, 6, "unit/vcpu_debug:software_step_of_el0"),
	FIELD(ID_AA64DFR0, BRPs, 12, NR_BRPS - 1,
	      "unit/vcpu_breakpoint:breakpoints_match_by_address"),
	FIELD(ID_AA64DFR0, WRPs, 20, NR_WRPS - 1, "unit/vcpu_breakpoint:watchpoints_select_bytes"),
	FIELD(ID_AA64DFR0, CTX_CMPs, 28, NR_CONTEXT_BRPS - 1,
	      "unit/vcpu_breakpoint:links_compare_the_context"),
	FIELD(ID_AA64ISAR0, AES, 4, 2, "engine:aes"),
	FIELD(ID_AA64ISAR0, SHA1, 8, 1, "engine:sha1"),
	FIELD(ID_AA64ISAR0, SHA2, 12, 1, "engine:sha256"),
	FIELD(ID_AA64ISAR0, CRC32, 16, 1, "engine:crc32"),
	FIELD(ID_AA64ISAR0, Atomic, 20, 2, "engine:lse"),
	FIELD(ID_AA64ISAR0, RDM, 28, 1, "engine:rdm"),
	FIELD(ID_AA64ISAR0, DP, 44, 1, "engine:dotprod"),
	FIELD(ID_AA64ISAR0, TS, 52, 1, "engine:flagm"),
	FIELD(ID_AA64ISAR0, TLB, 56, 2,
	      "unit/vcpu_tlbi:range_and_outer_shareable_forms_reach_other_vcpus"),
	FIELD(ID_AA64ISAR1, DPB, 0, 1, "unit/vcpu_sysreg:cache_maintenance_checks_rights"),
	FIELD(ID_AA64ISAR1, JSCVT, 12, 1, "engine:jscvt"),
	FIELD(ID_AA64ISAR1, FCMA, 16, 1, "engine:fcma"),
	FIELD(ID_AA64ISAR1, LRCPC, 20, 1, "engine:lrcpc"),
	FIELD(ID_AA64ISAR1, SB, 36, 1, "engine:sb"),
	FIELD(ID_AA64MMFR0, PARange, 0, 5,
	      "unit/vcpu_translate:output_beyond_the_address_size_faults"),
	FIELD(ID_AA64MMFR0, ASIDBits, 4, 2, "unit/vcpu_tlbi:asid_switch_needs_no_flush"),
	FIELD(ID_AA64MMFR0, TGran16, 20, 1, "unit/vcpu_translate:walks_of_every_granule"),
	FIELD(ID_AA64MMFR1, HAFDBS, 0, 2,
	      "unit/vcpu_translate:hardware_sets_access_flag_and_dirty_state"),
	FIELD(ID_AA64MMFR1, HPDS, 12, 1,
	      "unit/vcpu_translate:hierarchical_permissions_can_be_disabled"),
	FIELD(ID_AA64MMFR1, PAN, 20, 2, "unit/vcpu_translate:pan_keeps_el1_out_of_user_pages"),
	FIELD(ID_AA64MMFR2, CnP, 0, 1,
	      "unit/vcpu_translate:common_not_private_is_not_part_of_the_base"),
	FIELD(ID_AA64MMFR2, UAO, 4, 1,
	      "unit/vcpu_translate:uao_gives_unprivileged_accesses_el1_rights"),
	FIELD(ID_AA64MMFR2, TTL, 48, 1, "unit/vcpu_tlbi:level_hints_are_accepted"),
	FIELD(ID_AA64MMFR2, E0PD, 60, 1, "unit/vcpu_translate:e0pd_hides_a_half_from_el0"),
};
const u32 nr_idreg_fields = ARRAY_SIZE(idreg_fields);

u64 idreg_reset_value(unsigned slot)
{
	u64 value = 0;

	for (u32 i = 0; i < nr_idreg_fields; i++)
		if (idreg_fields[i].slot == slot)
			value |= (u64)idreg_fields[i].value << idreg_fields[i].shift;
	return value;
}

/*
 * No implementer's errata list has implementer 0. Architecture field 0xf: features are in the ID
 * registers. CTR: 64-byte lines, IDC (data caches need no cleaning for instruction fetch), no DIC,
 * PIPT. CLIDR: one unified level.
 */
#define MIDR  0x000fa640ull
#define CTR   (BIT(31) | BIT(28) | 4ull << 24 | 4ull << 20 | 4ull << 16 | 3ull << 14 | 4ull)
#define CLIDR (4ull | 1ull << 24)

void idregs_init(struct vcpu_group *g)
{
	for (unsigned i = 0; i < NR_IDREG; i++)
		g->idreg[i] = idreg_reset_value(i);
	g->midr = MIDR;
	g->revidr = 0;
	g->aidr = 0;
	g->ctr = CTR;
	g->clidr = CLIDR;
}

void idregs_finalize(struct vcpu_group *g)
{
	if (!g->has_gicv3)
		g->idreg[ID_AA64PFR0] &= ~(0xfull << 24);
}

/* --- what a VMM may write
 * --------------------------------------------------------------------------------------------- */

/* Writable bits as KVM has them (probe of KVM_ARM_GET_REG_WRITABLE_MASKS), for registers of
 * AArch64. */
static u64 writable(unsigned slot)
{
	switch (slot) {
	case IDREG_SLOT(4, 0):
		return 0xffff00f0ff00ffffull;
	case IDREG_SLOT(4, 1):
		return 0x0f00000f0000f0ffull;
	case IDREG_SLOT(4, 2):
		return 0x0000000f0000fff0ull;
	case IDREG_SLOT(4, 4):
		return 0x0fffff0f0ffff0ffull;
	case IDREG_SLOT(4, 7):
		return 0x00000000fc0080ffull;
	case IDREG_SLOT(5, 0):
		return 0x000000f000f00f0full;
	case IDREG_SLOT(6, 0):
		return 0xfffffffff0fffff0ull;
	case IDREG_SLOT(6, 1):
		return 0xffffffff00fff00full;
	case IDREG_SLOT(6, 2):
		return 0xffffffffffff00ffull;
	case IDREG_SLOT(6, 3):
		return 0x00000000ff0f00f0ull;
	case IDREG_SLOT(7, 0):
		return 0xff00ffffffffff0full;
	case IDREG_SLOT(7, 1):
		return 0xffffffff0ffff00full;
	case IDREG_SLOT(7, 2):
		return 0xf0ff000ff00fffffull;
	case IDREG_SLOT(7, 3):
		return 0x00000000000f0fffull;
	case IDREG_SLOT(7, 4):
		return 0x0000000000f00000ull;
	default:
		return 0;
	}
}

/* Fields where 0xf means "not there", below 0. */
static bool field_is_signed(unsigned slot, unsigned shift)
{
	switch (slot) {
	case ID_AA64PFR0:
		return shift == 16 || shift == 20;
	case ID_AA64MMFR0:
		return shift == 24 || shift == 28;
	case ID_AA64DFR0:
		return shift == 36;
	default:
		return false;
	}
}

/* Each field may be lowered from what the model has, never raised. */
static bool value_allowed(unsigned slot, u64 value)
{
	u64 limit = idreg_reset_value(slot), mask = writable(slot);

	if ((value ^ limit) & ~mask)
		return false;
	for (unsigned shift = 0; shift < 64; shift += 4) {
		s64 new = (s64)bits_get(value, shift, 4), max = (s64)bits_get(limit, shift, 4);

		if (field_is_signed(slot, shift)) {
			new = sign_extend((u64) new, 4);
			max = sign_extend((u64)max, 4);
		}
		if (new > max)
			return false;
	}
	return true;
}

static unsigned row_slot(const struct sysreg_row *row)
{
	return (row->op & 0x7f) - 8;
}

READ_HOOK(idreg_read)
{
	*value = v->group->idreg[row_slot(row)];
	return OP_NEXT;
}

GET_HOOK(idreg_get)
{
	*value = v->group->idreg[row_slot(row)];
	return 0;
}

static int idreg_store(struct vcpu_group *g, const struct sysreg_row *row, u64 value)
{
	unsigned slot = row_slot(row);
	u64 *reg = &g->idreg[slot];

	if (vcpu_group_ran(g))
		return value == *reg ? 0 : -EBUSY;
	/* A VMM that restores GIC = 0 from a VM without one, or 1, is right either way. */
	if (value != *reg && !value_allowed(slot, value))
		return -EINVAL;
	*reg = value;
	return 0;
}

/* MIDR, REVIDR, AIDR, CLIDR, CTR: one value a VM. */
static u64 *impid_storage(struct vcpu_group *g, const struct sysreg_row *row)
{
	switch (row->op) {
	case SYSREG_OP(3, 0, 0, 0, 0):
		return &g->midr;
	case SYSREG_OP(3, 0, 0, 0, 6):
		return &g->revidr;
	case SYSREG_OP(3, 1, 0, 0, 7):
		return &g->aidr;
	case SYSREG_OP(3, 1, 0, 0, 1):
		return &g->clidr;
	default:
		return &g->ctr;
	}
}

READ_HOOK(impid_read)
{
	*value = *impid_storage(v->group, row);
	return OP_NEXT;
}

GET_HOOK(impid_get)
{
	*value = *impid_storage(v->group, row);
	return 0;
}

static int impid_store(struct vcpu_group *g, const struct sysreg_row *row, u64 value)
{
	u64 *reg = impid_storage(g, row);

	if (value == *reg)
		return 0;
	if (!g->writable_imp_id)
		return -EINVAL;
	if (vcpu_group_ran(g))
		return -EBUSY;
	if (row->op == SYSREG_OP(3, 0, 0, 0, 0) && value >> 32)
		return -EINVAL;
	*reg = value;
	return 0;
}

/* Types may be taken away level by level; nothing may be claimed that CTR does not have. */
static int clidr_store(struct vcpu_group *g, const struct sysreg_row *row, u64 value)
{
	u64 *reg = impid_storage(g, row);

	if (value & ~GENMASK(46, 0))
		return -EINVAL;
	*reg = value;
	return 0;
}

static int ctr_store(struct vcpu_group *g, const struct sysreg_row *row, u64 value)
{
	u64 *reg = impid_storage(g, row), writable_bits = 0x300fc00full;
	u64 limit = CTR;

	if (vcpu_group_ran(g))
		return value == *reg ? 0 : -EBUSY;
	if ((value ^ limit) & ~writable_bits)
		return -EINVAL;
	/* IDC and DIC may be withdrawn, line sizes lowered, PIPT become VIPT. */
	if ((value & ~limit & (BIT(28) | BIT(29))) || bits_get(value, 16, 4) > 4 ||
	    bits_get(value, 0, 4) > 4 || bits_get(value, 14, 2) < 2)
		return -EINVAL;
	*reg = value;
	return 0;
}

/* All vCPUs write the same registers, each under its own mutex only. */
#define LOCKED_SET(name)                                \
	SET_HOOK(name##_set)                            \
	{                                               \
		int r;                                  \
                                                        \
		mutex_lock(&v->group->config);          \
		r = name##_store(v->group, row, value); \
		mutex_unlock(&v->group->config);        \
		return r;                               \
	}
LOCKED_SET(idreg)
LOCKED_SET(impid)
LOCKED_SET(clidr)
LOCKED_SET(ctr)

READ_HOOK(ctr_read)
{
	if (v->arch.el == 0 && !(v->arch.sys[SR_SCTLR_EL1] & SCTLR_UCT))
		return vcpu_sysreg_trap(v);
	return impid_read(v, row, value);
}

void vcpu_writable_masks(const struct vcpu_group *g, u64 masks[NR_WRITABLE_MASKS])
{
	for (unsigned i = 0; i < NR_WRITABLE_MASKS; i++)
		masks[i] = 0;
	/* Index: (op1 == 3 ? 2 : op1) * 64 + CRm * 8 + op2. */
	for (unsigned slot = 0; slot < NR_IDREG; slot++)
		masks[slot + 8] = writable(slot);
	/* Whether the capability is on or not. */
	(void)g;
	masks[0] = 0xffffffffull;
	masks[6] = ~0ull;
	masks[71] = ~0ull;
	masks[65] = GENMASK(46, 0);
	masks[128 + 1] = 0x300fc00full;
}
