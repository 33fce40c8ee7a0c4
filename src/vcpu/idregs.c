// SPDX-License-Identifier: MIT
/*
 * The CPU model. A field of an ID register is non-zero only if its feature is implemented and some
 * test exercises it: the table below is the list of both, and the reset values are computed from
 * it.
 */
#include "vcpu/idregs.h"

#include <errno.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "vcpu/internal.h"
#include "vcpu/onereg.h"
#include "vcpu/sysreg_hooks.h"
#include "vcpu/translate.h"

#define FIELD(reg, field, at, val, by)                                                            \
	{                                                                                         \
		.slot = reg, .shift = (at), .value = (val), .name = #reg "." #field, .test = (by) \
	}

/* A field of vCPUs with one of these KVM_ARM_VCPU_* bits only. */
#define FIELD_OF(features_, reg, field, at, val, by)                                 \
	{                                                                            \
		.slot = reg, .shift = (at), .value = (val), .features = (features_), \
		.name = #reg "." #field, .test = (by)                                \
	}
#define PTRAUTH BIT(KVM_ARM_VCPU_PTRAUTH_ADDRESS)

/* "engine:..." names a feature class of the random stream comparison (tests/diff), the rest are
 * programs of tests/. */
const struct idreg_field idreg_fields[] = {
	FIELD(ID_AA64PFR0, EL0, 0, 1, "unit/vcpu_exception:svc_from_el0_reports_the_immediate"),
	FIELD(ID_AA64PFR0, EL1, 4, 1,
	      "unit/vcpu_exception:undefined_at_el1_uses_the_current_el_vector"),
	FIELD(ID_AA64PFR0, FP, 16, 1, "engine:fp16"),
	FIELD(ID_AA64PFR0, AdvSIMD, 20, 1, "engine:fp16"),
	FIELD(ID_AA64PFR0, GIC, 24, 1, "unit/irq/gic:identification_registers_read_as_in_kvm"),
	FIELD(ID_AA64PFR0, RAS, 28, 1, "api/events:a_masked_serror_waits_and_esb_puts_it_off"),
	FIELD(ID_AA64PFR0, DIT, 48, 1, "unit/vcpu_sysreg:pstate_fields_read_back"),
	FIELD(ID_AA64PFR0, CSV2, 56, 1, "unit/vcpu_sysreg:id_registers_have_their_values"),
	FIELD(ID_AA64PFR0, CSV3, 60, 1, "unit/vcpu_sysreg:id_registers_have_their_values"),
	FIELD(ID_AA64PFR1, SSBS, 4, 2, "unit/vcpu_sysreg:pstate_fields_read_back"),
	FIELD(ID_AA64DFR0, DebugVer, 0, 6, "unit/vcpu_debug:software_step_of_el0"),
	FIELD_OF(BIT(KVM_ARM_VCPU_PMU_V3), ID_AA64DFR0, PMUVer, 8, 6,
		 "api/pmu:counters_have_64_bits"),
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
	FIELD_OF(PTRAUTH, ID_AA64ISAR1, API, 8, 5,
		 "api/pauth:pointers_are_signed_checked_and_stripped"),
	FIELD(ID_AA64ISAR1, JSCVT, 12, 1, "engine:jscvt"),
	FIELD(ID_AA64ISAR1, FCMA, 16, 1, "engine:fcma"),
	FIELD(ID_AA64ISAR1, LRCPC, 20, 1, "engine:lrcpc"),
	FIELD_OF(PTRAUTH, ID_AA64ISAR1, GPI, 28, 1,
		 "api/pauth:pointers_are_signed_checked_and_stripped"),
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
	FIELD(ID_AA64MMFR2, IDS, 36, 1,
	      "api/idregs:reads_of_the_id_space_that_are_refused_say_which_register"),
	FIELD(ID_AA64MMFR2, TTL, 48, 1, "unit/vcpu_tlbi:level_hints_are_accepted"),
	FIELD(ID_AA64MMFR2, E0PD, 60, 1, "unit/vcpu_translate:e0pd_hides_a_half_from_el0"),
};
const u32 nr_idreg_fields = ARRAY_SIZE(idreg_fields);

static u64 field_value(const struct idreg_field *f, u32 features)
{
	return !f->features || (f->features & features) ? (u64)f->value << f->shift : 0;
}

u64 idreg_reset_value(unsigned slot, u32 features)
{
	u64 value = 0;

	for (u32 i = 0; i < nr_idreg_fields; i++)
		if (idreg_fields[i].slot == slot)
			value |= field_value(&idreg_fields[i], features);
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

void idregs_init_vcpu(struct vcpu *v)
{
	v->clidr = CLIDR;
	/* One unified level that needs no maintenance, as KVM makes it up for hosts with IDC. */
	for (unsigned i = 0; i < NR_CCSIDR; i++)
		v->ccsidr[i] = 2;
}

u64 idreg_limit(const struct vcpu_group *g, unsigned slot)
{
	return idreg_reset_value(slot, a32_load_relaxed(&g->features));
}

void idregs_init(struct vcpu_group *g)
{
	u32 features = a32_load_relaxed(&g->features);

	/* In one pass: a VMM that looks for what a machine can do makes many. */
	memset(g->idreg, 0, sizeof(g->idreg));
	for (u32 i = 0; i < nr_idreg_fields; i++)
		g->idreg[idreg_fields[i].slot] |= field_value(&idreg_fields[i], features);
	g->midr = MIDR;
	g->revidr = 0;
	g->aidr = 0;
	g->ctr = CTR;
}

void idregs_finalize(struct vcpu_group *g)
{
	if (!g->has_gicv3)
		g->idreg[ID_AA64PFR0] &= ~(0xfull << 24);
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
	int r;

	if (idreg_ignores_writes(slot))
		return 0;
	r = idreg_check_always(slot, &value);
	if (r)
		return r;
	if (vcpu_group_ran(g))
		return value == *reg ? 0 : -EBUSY;
	if (!idreg_value_allowed(g, slot, value))
		return -EINVAL;
	*reg = value;
	return 0;
}

/* MIDR, REVIDR, AIDR, CTR: one value a VM. */
static u64 *impid_storage(struct vcpu_group *g, const struct sysreg_row *row)
{
	switch (row->op) {
	case SYSREG_OP(3, 0, 0, 0, 0):
		return &g->midr;
	case SYSREG_OP(3, 0, 0, 0, 6):
		return &g->revidr;
	case SYSREG_OP(3, 1, 0, 0, 7):
		return &g->aidr;
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

static int ctr_store(struct vcpu_group *g, const struct sysreg_row *row, u64 value)
{
	u64 *reg = impid_storage(g, row), limit = CTR;

	/* VPIPT and AIVIVT are reserved, also after the first run. */
	if (bits_get(value, 14, 2) < 2)
		return -EINVAL;
	if (vcpu_group_ran(g))
		return value == *reg ? 0 : -EBUSY;
	if ((value ^ limit) & ~CTR_WRITABLE)
		return -EINVAL;
	/* IDC and DIC may be withdrawn, line sizes lowered, PIPT become VIPT. */
	if ((value & ~limit & (BIT(28) | BIT(29))) ||
	    bits_get(value, 16, 4) > bits_get(limit, 16, 4) ||
	    bits_get(value, 0, 4) > bits_get(limit, 0, 4))
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
LOCKED_SET(ctr)

READ_HOOK(clidr_read)
{
	*value = v->clidr;
	return OP_NEXT;
}

GET_HOOK(clidr_get)
{
	*value = v->clidr;
	return 0;
}

/* Any hierarchy: CTR_EL0.IDC says that nothing needs cleaning to a point of unification. */
SET_HOOK(clidr_set)
{
	if (value & ~CLIDR_WRITABLE)
		return -EINVAL;
	v->clidr = value;
	return 0;
}

READ_HOOK(ctr_read)
{
	if (v->arch.el == 0 && !(v->arch.sys[SR_SCTLR_EL1] & SCTLR_UCT))
		return vcpu_sysreg_trap(v);
	return impid_read(v, row, value);
}
