// SPDX-License-Identifier: MIT
/*
 * Pointer authentication (Arm ARM D8.10, FEAT_PAuth2 with FEAT_FPACCOMBINE: a code is mixed into the unused bits of a pointer, and
 * authentication that fails is an exception), with an algorithm of our own: ID_AA64ISAR1_EL1.API and GPI say that it is
 * IMPLEMENTATION DEFINED. Its result is part of the saved state of a guest: it must stay as it is.
 */
#include "vcpu/pauth.h"

#include <anykvm/kvm.h>

#include "vcpu/internal.h"
#include "vcpu/sysreg_hooks.h"
#include "vcpu/translate.h"

#define EC_PAC_FAIL 0x1cu

#define TCR_T0SZ_SHIFT 0
#define TCR_T1SZ_SHIFT 16
/* Sizes that the walk takes a smaller or larger field for. */
#define TSZ_MIN 16
#define TSZ_MAX 39

bool pauth_present(const struct vcpu *v, const struct sysreg_row *row)
{
	(void)row;
	return v->features & BIT(KVM_ARM_VCPU_PTRAUTH_ADDRESS);
}

/* A keyed hash of three rounds: every bit of pointer, modifier and key reaches every bit of the code. */
static u64 mix(u64 z)
{
	z = (z ^ z >> 33) * 0xff51afd7ed558ccdull;
	z = (z ^ z >> 33) * 0xc4ceb9fe1a85ec53ull;
	return z ^ z >> 33;
}

static u64 compute_code(const struct vcpu *v, u64 ptr, u64 modifier, enum pauth_key key)
{
	u64 lo = v->arch.sys[SR_APIAKEYLO_EL1 + 2 * key];
	u64 hi = v->arch.sys[SR_APIAKEYLO_EL1 + 2 * key + 1];
	u64 z = mix(ptr ^ lo);

	z = mix(z ^ hi ^ (modifier << 17 | modifier >> 47));
	return mix(z ^ lo ^ (hi << 32 | hi >> 32));
}

static bool key_enabled(const struct vcpu *v, enum pauth_key key)
{
	static const u64 enable[] = {[PAUTH_IA] = SCTLR_ENIA,
				     [PAUTH_IB] = SCTLR_ENIB,
				     [PAUTH_DA] = SCTLR_ENDA,
				     [PAUTH_DB] = SCTLR_ENDB};

	return v->arch.sys[SR_SCTLR_EL1] & enable[key];
}

static bool key_is_data(enum pauth_key key)
{
	return key == PAUTH_DA || key == PAUTH_DB;
}

/* The bits that hold the code: from the size of the half's address space up, without bit 55 and a top byte that is ignored. */
static u64 code_bits(u64 tcr, bool upper, bool tbi)
{
	unsigned tsz = tcr >> (upper ? TCR_T1SZ_SHIFT : TCR_T0SZ_SHIFT) & 63;
	unsigned bottom = 64 - MIN(MAX(tsz, TSZ_MIN), TSZ_MAX);

	return GENMASK(tbi ? 54 : 63, bottom) & ~BIT(55);
}

/* Arm ARM AddPAC. */
u64 vcpu_pac(struct vcpu *v, u64 ptr, u64 modifier, enum pauth_key key)
{
	u64 tcr = v->arch.sys[SR_TCR_EL1], bits, canonical, code;
	bool data = key_is_data(key), either, upper, tbi;

	if (!key_enabled(v, key))
		return ptr;
	/* Where either half may have tags, bit 55 alone says which half a pointer is of. */
	either = mmu_ignores_top_byte(tcr, false, !data) || mmu_ignores_top_byte(tcr, true, !data);
	upper = ptr >> (either ? 55 : 63) & 1;
	tbi = mmu_ignores_top_byte(tcr, ptr >> 55 & 1, !data);
	bits = code_bits(tcr, upper, tbi);
	canonical = upper ? ptr | bits | BIT(55) : ptr & ~(bits | BIT(55));
	code = compute_code(v, canonical, modifier, key);
	return ((ptr ^ (code & bits)) & ~BIT(55)) | (u64)upper << 55;
}

static u64 canonical_pointer(u64 ptr, u64 bits)
{
	return ptr >> 55 & 1 ? ptr | bits : ptr & ~bits;
}

/* Arm ARM Auth. */
bool vcpu_aut(struct vcpu *v, u64 *ptr, u64 modifier, enum pauth_key key)
{
	u64 tcr = v->arch.sys[SR_TCR_EL1], bits, canonical, code;
	bool data = key_is_data(key), upper = *ptr >> 55 & 1;

	if (!key_enabled(v, key))
		return true;
	bits = code_bits(tcr, upper, mmu_ignores_top_byte(tcr, upper, !data));
	canonical = canonical_pointer(*ptr, bits);
	code = compute_code(v, canonical, modifier, key);
	if (unlikely((*ptr ^ code ^ canonical) & bits)) {
		/* ISS: a data key, a B key. */
		vcpu_raise(v, EC_PAC_FAIL, (u32)data << 1 | (key & 1));
		return false;
	}
	*ptr = canonical;
	return true;
}

u64 vcpu_xpac(const struct vcpu *v, u64 ptr, bool data)
{
	u64 tcr = v->arch.sys[SR_TCR_EL1];
	bool upper = ptr >> 55 & 1;

	return canonical_pointer(ptr,
				 code_bits(tcr, upper, mmu_ignores_top_byte(tcr, upper, !data)));
}

u64 vcpu_pacga(const struct vcpu *v, u64 value, u64 modifier)
{
	return compute_code(v, value, modifier, PAUTH_GA) & GENMASK(63, 32);
}
