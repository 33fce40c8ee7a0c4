// SPDX-License-Identifier: MIT
/*
 * What the ID registers promise: instructions, PSTATE fields, controls of translation. A VMM may lower a field; what it stood for is UNDEFINED from then on, also where
 * KVM has no way to trap it; a control is ignored.
 */
#include "arch/decode.h"
#include "vcpu/idregs.h"
#include "vcpu/sysreg_hooks.h"
#include "vcpu/translate.h"

static const struct {
	u8 slot, shift, min;
} needs[NR_A64_FEATURES] = {
	[A64_FEATURE_aes] = {ID_AA64ISAR0, 4, 1},
	[A64_FEATURE_crc32] = {ID_AA64ISAR0, 16, 1},
	[A64_FEATURE_dit] = {ID_AA64PFR0, 48, 1},
	[A64_FEATURE_dotprod] = {ID_AA64ISAR0, 44, 1},
	[A64_FEATURE_fcma] = {ID_AA64ISAR1, 16, 1},
	[A64_FEATURE_flagm] = {ID_AA64ISAR0, 52, 1},
	[A64_FEATURE_fp16] = {ID_AA64PFR0, 16, 1},
	[A64_FEATURE_jscvt] = {ID_AA64ISAR1, 12, 1},
	[A64_FEATURE_lrcpc] = {ID_AA64ISAR1, 20, 1},
	[A64_FEATURE_lse] = {ID_AA64ISAR0, 20, 2},
	[A64_FEATURE_pan] = {ID_AA64MMFR1, 20, 1},
	[A64_FEATURE_pauth] = {ID_AA64ISAR1, 8, 1},
	[A64_FEATURE_pmull] = {ID_AA64ISAR0, 4, 2},
	[A64_FEATURE_ras] = {ID_AA64PFR0, 28, 1},
	[A64_FEATURE_rdm] = {ID_AA64ISAR0, 28, 1},
	[A64_FEATURE_sb] = {ID_AA64ISAR1, 36, 1},
	[A64_FEATURE_sha1] = {ID_AA64ISAR0, 8, 1},
	[A64_FEATURE_sha256] = {ID_AA64ISAR0, 12, 1},
	[A64_FEATURE_ssbs] = {ID_AA64PFR1, 4, 2},
	/* 1: the bit, but no instructions for it */[A64_FEATURE_uao] = {ID_AA64MMFR2, 4, 1},
};

static u32 absent_insns(const struct vcpu_group *g)
{
	u32 absent = 0;

	_Static_assert(NR_A64_FEATURES <= 32, "a bit each");
	for (unsigned f = 0; f < NR_A64_FEATURES; f++)
		if (bits_get(g->idreg[needs[f].slot], needs[f].shift, 4) < needs[f].min)
			absent |= 1u << f;
	return absent;
}

/* PAN, UAO, DIT and SSBS as registers. */
bool pstate_present(const struct vcpu *v, const struct sysreg_row *row)
{
	static const struct {
		u32 field;
		u8 feature;
	} fields[] = {{(u32)PSR_PAN, A64_FEATURE_pan},
		      {(u32)PSR_UAO, A64_FEATURE_uao},
		      {(u32)PSR_DIT, A64_FEATURE_dit},
		      {(u32)PSR_SSBS, A64_FEATURE_ssbs}};

	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].field == row->wmask)
			return !(v->absent.insns >> fields[i].feature & 1);
	return true;
}

static u32 absent_pstate(const struct vcpu_group *g)
{
	u32 absent = 0;

	if (!bits_get(g->idreg[ID_AA64MMFR1], 20, 4))
		absent |= PSR_PAN;
	if (!bits_get(g->idreg[ID_AA64MMFR2], 4, 4))
		absent |= PSR_UAO;
	if (!bits_get(g->idreg[ID_AA64PFR0], 48, 4))
		absent |= PSR_DIT;
	if (!bits_get(g->idreg[ID_AA64PFR1], 4, 4))
		absent |= PSR_SSBS;
	return absent;
}

static u64 absent_tcr(const struct vcpu_group *g)
{
	u64 hafdbs = bits_get(g->idreg[ID_AA64MMFR1], 0, 4), absent = 0;

	if (hafdbs < 1)
		absent |= TCR_HA;
	if (hafdbs < 2)
		absent |= TCR_HD;
	if (!bits_get(g->idreg[ID_AA64MMFR1], 12, 4))
		absent |= TCR_HPD0 | TCR_HPD1;
	if (!bits_get(g->idreg[ID_AA64MMFR2], 60, 4))
		absent |= TCR_E0PD0 | TCR_E0PD1;
	return absent;
}

static u8 absent_pa_bits(const struct vcpu_group *g)
{
	static const u8 bits[] = {32, 36, 40, 42, 44, PA_BITS};
	u64 range = bits_get(g->idreg[ID_AA64MMFR0], 0, 4);

	return range < ARRAY_SIZE(bits) ? (u8)(PA_BITS - bits[range]) : 0;
}

static u8 absent_granules(const struct vcpu_group *g)
{
	u64 mmfr0 = g->idreg[ID_AA64MMFR0];

	/* TGran4 and TGran64 say 0xf for no, TGran16 says 0. */
	return (bits_get(mmfr0, 28, 4) == 0xf ? VCPU_GRANULE(12) : 0) |
	       (bits_get(mmfr0, 20, 4) ? 0 : VCPU_GRANULE(14)) |
	       (bits_get(mmfr0, 24, 4) == 0xf ? VCPU_GRANULE(16) : 0);
}

struct vcpu_absent idregs_absent(const struct vcpu_group *g)
{
	return (struct vcpu_absent){
		.insns = absent_insns(g),
		.pstate = absent_pstate(g),
		.tcr = absent_tcr(g),
		.pa_bits = absent_pa_bits(g),
		.granules = absent_granules(g),
	};
}
