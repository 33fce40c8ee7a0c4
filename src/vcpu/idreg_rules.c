// SPDX-License-Identifier: MIT
/*
 * What a VMM may write to ID registers, as KVM 7.2 has it: which bits are writable at all, and for each field which values say no
 * more than the CPU model can do. Most fields may be lowered; the table names those that are different.
 */
#include <errno.h>

#include "vcpu/idregs.h"
#include "vcpu/onereg.h"

#define NR_FIELDS 16 /* of four bits */
#define AT(shift) (u16)(1u << (shift) / 4)

struct idreg_rule {
	u8 slot;
	u64 writable;
	u16 negative;  /* fields (AT) where 0xf means "not there", below 0 */
	u16 raise;     /* fields that may be raised instead: more is what old hardware does */
	u16 none_is_1; /* fields that may become 1, "not there", or stay */
};

static const struct idreg_rule rules[] = {
	{ID_AA64PFR0, 0xffff00f0ff00ffff, 0, 0, 0},
	{ID_AA64PFR1, 0x0f00000f0000f0ff, 0, 0, 0},
	{IDREG_SLOT(4, 2), 0x0000000f0000fff0, 0, 0, 0},
	{IDREG_SLOT(4, 4), 0x0fffff0f0ffff0ff, 0, 0, 0},
	{IDREG_SLOT(4, 7), 0x00000000fc0080ff, 0, 0, 0},
	{ID_AA64DFR0, 0x000000f000f00f0f, AT(36), 0, 0},
	{ID_AA64ISAR0, 0xfffffffff0fffff0, 0, 0, 0},
	{ID_AA64ISAR1, 0xffffffff00fff00f, 0, 0, 0},
	{ID_AA64ISAR2, 0xffffffffffff00ff, 0, 0, 0},
	{IDREG_SLOT(6, 3), 0x00000000ff0f00f0, 0, 0, 0},
	{ID_AA64MMFR0, 0xff00ffffffffff0f, AT(24) | AT(28), 0, AT(32) | AT(36) | AT(40)},
	{ID_AA64MMFR1, 0xffffffff0ffff00f, 0, AT(24), 0},
	{ID_AA64MMFR2, 0xf0ff000ff00fffff, 0, 0, 0},
	{IDREG_SLOT(7, 3), 0x00000000000f0fff, 0, 0, 0},
	{IDREG_SLOT(7, 4), 0x0000000000f00000, 0, 0, 0},
};

static const struct idreg_rule *rule_of(unsigned slot)
{
	static const struct idreg_rule fixed;

	for (u32 i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].slot == slot)
			return &rules[i];
	return &fixed;
}

/* Registers of AArch32, which no exception level has: KVM takes writes to those that have fields there, and drops them. */
bool idreg_ignores_writes(unsigned slot)
{
	return slot < IDREG_SLOT(4, 0) && slot != IDREG_SLOT(1, 3) && slot != IDREG_SLOT(3, 3) &&
	       slot != IDREG_SLOT(3, 5) && slot != IDREG_SLOT(3, 7);
}

int idreg_check_always(unsigned slot, u64 *value)
{
	if (slot == ID_AA64DFR0) {
		/* What KVM said of a counter of the implementer's own, before it stopped doing so. */
		if (bits_get(*value, 8, 4) == 0xf)
			*value = bits_set(*value, 8, 4, 0);
		return bits_get(*value, 0, 4) < 6 ? -EINVAL : 0;
	}
	if (slot == ID_AA64PFR0 && (!bits_get(*value, 0, 4) || !bits_get(*value, 4, 4)))
		return -EINVAL;
	return 0;
}

static bool field_allowed(const struct idreg_rule *rule, unsigned field, u64 value, u64 limit)
{
	s64 new = (s64)value, max = (s64)limit;

	if (new == max)
		return true;
	if (rule->none_is_1 >> field & 1)
		return new == 1;
	if (rule->raise >> field & 1)
		return new > max;
	if (rule->negative >> field & 1)
		return sign_extend(value, 4) < sign_extend(limit, 4);
	return new < max;
}

bool idreg_value_allowed(const struct vcpu_group *g, unsigned slot, u64 value)
{
	const struct idreg_rule *rule = rule_of(slot);
	u64 limit = idreg_limit(g, slot);

	if ((value ^ limit) & ~rule->writable)
		return false;
	for (unsigned f = 0; f < NR_FIELDS; f++)
		if (!field_allowed(rule, f, bits_get(value, f * 4, 4), bits_get(limit, f * 4, 4)))
			return false;
	return true;
}

void vcpu_writable_masks(u64 masks[NR_WRITABLE_MASKS])
{
	for (unsigned i = 0; i < NR_WRITABLE_MASKS; i++)
		masks[i] = 0;
	/* Index: (op1 == 3 ? 2 : op1) * 64 + CRm * 8 + op2. */
	for (u32 i = 0; i < ARRAY_SIZE(rules); i++)
		masks[rules[i].slot + 8] = rules[i].writable;
	/* MIDR, REVIDR and AIDR: whether the capability is on or not. */
	masks[0] = 0xffffffffull;
	masks[6] = ~0ull;
	masks[64 + 7] = ~0ull;
	masks[64 + 1] = CLIDR_WRITABLE;
	masks[128 + 1] = CTR_WRITABLE;
}
