/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of two general registers. Both accesses are known to succeed before anything changes. With Rt == Rt2 a load
 * leaves the first element.
 */
#include "interp/ldst.h"

enum pair_form { NOALLOC, POST, OFF, PRE };

static ALWAYS_INLINE bool pair_load(struct vcpu *v, u64 va, unsigned size, u64 out[2])
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_READ, va, size * 2);

	if (likely(hva)) {
		if (size == 8) {
			if (likely(guarded_load64(hva, &out[0]) &&
				   guarded_load64((char *)hva + 8, &out[1])))
				return true;
		} else {
			u32 lo, hi;

			if (likely(guarded_load32(hva, &lo) &&
				   guarded_load32((char *)hva + 4, &hi))) {
				out[0] = lo;
				out[1] = hi;
				return true;
			}
		}
	}
	return vmem_load(v, va, size, 0, &out[0]) && vmem_load(v, va + size, size, 0, &out[1]);
}

static ALWAYS_INLINE bool pair_store(struct vcpu *v, u64 va, unsigned size, u64 lo, u64 hi)
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_WRITE, va, size * 2);

	if (likely(hva)) {
		if (size == 8) {
			if (likely(guarded_store64(hva, lo) &&
				   guarded_store64((char *)hva + 8, hi)))
				return true;
		} else if (likely(guarded_store32(hva, (u32)lo) &&
				  guarded_store32((char *)hva + 4, (u32)hi))) {
			return true;
		}
	}
	/* Over a page boundary the second half may fault: find out before the first is written. */
	if ((va & 0xfff) > 0x1000 - size * 2 && !vmem_probe(v, va, size * 2, true, 0))
		return false;
	return vmem_store(v, va, size, 0, lo) && vmem_store(v, va + size, size, 0, hi);
}

static ALWAYS_INLINE enum op_result pair(struct vcpu *v, u32 insn, enum pair_form form, bool store,
					 unsigned scale, bool sext)
{
	u64 offset = (u64)(sfld(insn, 15, 7) * (1 << scale));
	u64 base, va, x[2];

	if (!base_address(v, RN(insn), &base))
		return vcpu_sp_alignment(v);
	va = form == POST ? base : base + offset;
	if (store) {
		if (!pair_store(v, va, 1u << scale, xr(v, RT(insn)), xr(v, RT2(insn))))
			return vmem_result(v);
	} else {
		if (!pair_load(v, va, 1u << scale, x))
			return vmem_result(v);
		xw(v, RT2(insn), extend_loaded(x[1], 1u << scale, sext, true));
		xw(v, RT(insn), extend_loaded(x[0], 1u << scale, sext, true));
	}
	if (form == POST || form == PRE)
		xw_sp(v, RN(insn), base + offset);
	return OP_NEXT;
}

#define PAIR(name, form, ...)                            \
	OP(name##_##form)                                \
	{                                                \
		return pair(v, insn, form, __VA_ARGS__); \
	}

#define PAIRS(name, ...)              \
	PAIR(name, POST, __VA_ARGS__) \
	PAIR(name, OFF, __VA_ARGS__)  \
	PAIR(name, PRE, __VA_ARGS__)

PAIRS(STP32, true, 2, false)
PAIR(STP32, NOALLOC, true, 2, false)
PAIRS(STP64, true, 3, false)
PAIR(STP64, NOALLOC, true, 3, false)
PAIRS(LDP32, false, 2, false)
PAIR(LDP32, NOALLOC, false, 2, false)
PAIRS(LDP64, false, 3, false)
PAIR(LDP64, NOALLOC, false, 3, false)
PAIRS(LDPSW, false, 2, true)
