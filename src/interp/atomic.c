/* SPDX-License-Identifier: MIT */
/*
 * Large system extension: each is one sequentially consistent read-modify-write on host memory, which serves every acquire and
 * release form. Operations without a host instruction loop on compare-and-swap.
 */
#include "interp/flags.h"
#include "interp/interp.h"

enum rmw { RMW_ADD, RMW_CLR, RMW_EOR, RMW_SET, RMW_SMAX, RMW_SMIN, RMW_UMAX, RMW_UMIN, RMW_SWP };

/* LDop, STop (Rt = ZR), SWP for one size. */
#define RMW_DEFINE(bits)                                                                          \
	static ALWAYS_INLINE u##bits rmw_new##bits(enum rmw op, u##bits a, u##bits b)             \
	{                                                                                         \
		switch (op) {                                                                     \
		case RMW_CLR:                                                                     \
			return a & (u##bits) ~b;                                                  \
		case RMW_EOR:                                                                     \
			return a ^ b;                                                             \
		case RMW_SET:                                                                     \
			return a | b;                                                             \
		case RMW_SMAX:                                                                    \
			return (s##bits)a > (s##bits)b ? a : b;                                   \
		case RMW_SMIN:                                                                    \
			return (s##bits)a < (s##bits)b ? a : b;                                   \
		case RMW_UMAX:                                                                    \
			return a > b ? a : b;                                                     \
		case RMW_UMIN:                                                                    \
			return a < b ? a : b;                                                     \
		default:                                                                          \
			return b;                                                                 \
		}                                                                                 \
	}                                                                                         \
	static ALWAYS_INLINE bool rmw_host##bits(enum rmw op, void *hva, u##bits b, u##bits *old) \
	{                                                                                         \
		bool swapped;                                                                     \
                                                                                                  \
		if (op == RMW_ADD)                                                                \
			return guarded_fetch_add##bits(hva, b, old);                              \
		if (op == RMW_SWP)                                                                \
			return guarded_xchg##bits(hva, b, old);                                   \
		if (!guarded_load##bits(hva, old))                                                \
			return false;                                                             \
		do {                                                                              \
			/* A failed swap leaves the value found in *old. */                       \
			if (!guarded_cmpxchg##bits(hva, old, rmw_new##bits(op, *old, b),          \
						   &swapped))                                     \
				return false;                                                     \
		} while (!swapped);                                                               \
		return true;                                                                      \
	}                                                                                         \
	static ALWAYS_INLINE enum op_result rmw##bits(struct vcpu *v, u32 insn, enum rmw op)      \
	{                                                                                         \
		u64 va;                                                                           \
		u##bits old;                                                                      \
		void *hva;                                                                        \
                                                                                                  \
		if (!base_address(v, RN(insn), &va))                                              \
			return vcpu_sp_alignment(v);                                              \
		hva = vmem_atomic_ptr(v, va, bits / 8, true, ACC_ATOMIC);                         \
		if (!hva)                                                                         \
			return vmem_result(v);                                                    \
		if (!rmw_host##bits(op, hva, (u##bits)xr(v, RS(insn)), &old))                     \
			return vmem_host_fault(v, va, hva, true);                                 \
		xw(v, RT(insn), old);                                                             \
		return OP_NEXT;                                                                   \
	}                                                                                         \
	OP(CAS##bits)                                                                             \
	{                                                                                         \
		u##bits old = (u##bits)xr(v, RS(insn));                                           \
		bool swapped;                                                                     \
		void *hva;                                                                        \
		u64 va;                                                                           \
                                                                                                  \
		if (!base_address(v, RN(insn), &va))                                              \
			return vcpu_sp_alignment(v);                                              \
		hva = vmem_atomic_ptr(v, va, bits / 8, true, ACC_ATOMIC);                         \
		if (!hva)                                                                         \
			return vmem_result(v);                                                    \
		if (!guarded_cmpxchg##bits(hva, &old, (u##bits)xr(v, RT(insn)), &swapped))        \
			return vmem_host_fault(v, va, hva, true);                                 \
		xw(v, RS(insn), old);                                                             \
		return OP_NEXT;                                                                   \
	}

RMW_DEFINE(8)
RMW_DEFINE(16)
RMW_DEFINE(32)
RMW_DEFINE(64)

#define RMW_OPS(name, op)                  \
	OP(name##_8)                       \
	{                                  \
		return rmw8(v, insn, op);  \
	}                                  \
	OP(name##_16)                      \
	{                                  \
		return rmw16(v, insn, op); \
	}                                  \
	OP(name##_32)                      \
	{                                  \
		return rmw32(v, insn, op); \
	}                                  \
	OP(name##_64)                      \
	{                                  \
		return rmw64(v, insn, op); \
	}

RMW_OPS(LDADD, RMW_ADD)
RMW_OPS(LDCLR, RMW_CLR)
RMW_OPS(LDEOR, RMW_EOR)
RMW_OPS(LDSET, RMW_SET)
RMW_OPS(LDSMAX, RMW_SMAX)
RMW_OPS(LDSMIN, RMW_SMIN)
RMW_OPS(LDUMAX, RMW_UMAX)
RMW_OPS(LDUMIN, RMW_UMIN)
RMW_OPS(SWP, RMW_SWP)

/* Rs and Rt are even: X30 pairs with ZR. */
static ALWAYS_INLINE enum op_result casp(struct vcpu *v, u32 insn, bool sf)
{
	unsigned rs = RS(insn), rt = RT(insn);
	u64 va, old[2] = {xr(v, rs), xr(v, rs + 1)}, new[2] = {xr(v, rt), xr(v, rt + 1)};
	bool swapped;
	void *hva;

	if (!base_address(v, RN(insn), &va))
		return vcpu_sp_alignment(v);
	hva = vmem_atomic_ptr(v, va, sf ? 16 : 8, true, ACC_ATOMIC);
	if (!hva)
		return vmem_result(v);
	if (sf) {
		if (!guarded_cmpxchg128(hva, old, new, &swapped))
			return vmem_host_fault(v, va, hva, true);
	} else {
		u64 both = (u32)old[0] | old[1] << 32;

		if (!guarded_cmpxchg64(hva, &both, (u32) new[0] | new[1] << 32, &swapped))
			return vmem_host_fault(v, va, hva, true);
		old[0] = (u32)both;
		old[1] = both >> 32;
	}
	xw(v, rs, old[0]);
	xw(v, rs + 1, old[1]);
	return OP_NEXT;
}

OP(CASP32)
{
	return casp(v, insn, false);
}

OP(CASP64)
{
	return casp(v, insn, true);
}
