/* SPDX-License-Identifier: MIT */
/* What loads and stores of one register share. */
#ifndef ANYKVM_INTERP_LDST_H
#define ANYKVM_INTERP_LDST_H

#include "interp/flags.h"
#include "interp/interp.h"

/* Extension of a loaded value of size bytes into a register of 64 (sf) or 32 bits. */
static ALWAYS_INLINE u64 extend_loaded(u64 x, unsigned size, bool sext, bool sf)
{
	if (!sext)
		return x;
	x = (u64)sign_extend(x, size * 8);
	return sf ? x : (u32)x;
}

/* Offset of a register-offset access. */
static ALWAYS_INLINE u64 reg_offset(const struct vcpu *v, u32 insn, unsigned scale)
{
	return extend_reg(xr(v, RM(insn)), fld(insn, 13, 3)) << ((insn >> 12 & 1) ? scale : 0);
}

/* size is a constant power of two; an ordered access must be aligned, which is left to the slow path when it is not. */
static ALWAYS_INLINE bool load_acquire(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 *out)
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_READ, va, size);
	bool ok;

	if (unlikely(!hva || (va & (size - 1))))
		return vmem_load_slow(v, va, size, acc | ACC_ORDERED, out);
	switch (size) {
	case 1: {
		u8 x = 0;
		ok = guarded_load_acquire8(hva, &x);
		*out = x;
		break;
	}
	case 2: {
		u16 x = 0;
		ok = guarded_load_acquire16(hva, &x);
		*out = x;
		break;
	}
	case 4: {
		u32 x = 0;
		ok = guarded_load_acquire32(hva, &x);
		*out = x;
		break;
	}
	default:
		ok = guarded_load_acquire64(hva, out);
	}
	return likely(ok) || vmem_load_slow(v, va, size, acc | ACC_ORDERED, out);
}

static ALWAYS_INLINE bool store_release(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 value)
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_WRITE, va, size);
	bool ok;

	if (unlikely(!hva || (va & (size - 1))))
		return vmem_store_slow(v, va, size, acc | ACC_ORDERED, value);
	switch (size) {
	case 1:
		ok = guarded_store_seqcst8(hva, (u8)value);
		break;
	case 2:
		ok = guarded_store_seqcst16(hva, (u16)value);
		break;
	case 4:
		ok = guarded_store_seqcst32(hva, (u32)value);
		break;
	default:
		ok = guarded_store_seqcst64(hva, value);
	}
	return likely(ok) || vmem_store_slow(v, va, size, acc | ACC_ORDERED, value);
}

#endif
