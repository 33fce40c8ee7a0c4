/* SPDX-License-Identifier: MIT */
/*
 * Exclusives. A load records address, host address and value; the store is a compare-and-swap against that value at the same
 * host address. That another store put the same value back in between is not seen (as in any monitor made of a CAS).
 */
#include "interp/ldst.h"

/* guarded_load_acquireN and guarded_cmpxchgN on u64, size constant. */
static ALWAYS_INLINE bool load_sized(const void *hva, unsigned size, u64 *out)
{
	u8 x8;
	u16 x16;
	u32 x32;

	switch (size) {
	case 1:
		return guarded_load_acquire8(hva, &x8) && (*out = x8, true);
	case 2:
		return guarded_load_acquire16(hva, &x16) && (*out = x16, true);
	case 4:
		return guarded_load_acquire32(hva, &x32) && (*out = x32, true);
	default:
		return guarded_load_acquire64(hva, out);
	}
}

static ALWAYS_INLINE bool cmpxchg_sized(void *hva, unsigned size, u64 expected, u64 desired,
					bool *swapped)
{
	u8 x8 = (u8)expected;
	u16 x16 = (u16)expected;
	u32 x32 = (u32)expected;

	switch (size) {
	case 1:
		return guarded_cmpxchg8(hva, &x8, (u8)desired, swapped);
	case 2:
		return guarded_cmpxchg16(hva, &x16, (u16)desired, swapped);
	case 4:
		return guarded_cmpxchg32(hva, &x32, (u32)desired, swapped);
	default:
		return guarded_cmpxchg64(hva, &expected, desired, swapped);
	}
}

static ALWAYS_INLINE void monitor_set(struct vcpu *v, u64 va, void *hva, unsigned size, u64 lo,
				      u64 hi)
{
	v->arch.excl.va = va;
	v->arch.excl.hva = hva;
	v->arch.excl.size = size;
	v->arch.excl.value[0] = lo;
	v->arch.excl.value[1] = hi;
}

static ALWAYS_INLINE enum op_result load_exclusive(struct vcpu *v, u32 insn, unsigned size, u32 acc)
{
	u64 va, x;
	void *hva;

	if (!base_address(v, RN(insn), &va))
		return vcpu_sp_alignment(v);
	hva = vmem_atomic_ptr(v, va, size, false, acc);
	if (!hva)
		return vmem_result(v);
	if (!load_sized(hva, size, &x))
		return vmem_host_fault(v, va, hva, false);
	monitor_set(v, va, hva, size, x, 0);
	xw(v, RT(insn), x);
	return OP_NEXT;
}

/* half is the size of one register. */
static ALWAYS_INLINE enum op_result load_exclusive_pair(struct vcpu *v, u32 insn, unsigned half,
							u32 acc)
{
	u64 va, x[2];
	void *hva;

	if (!base_address(v, RN(insn), &va))
		return vcpu_sp_alignment(v);
	hva = vmem_atomic_ptr(v, va, half * 2, false, acc);
	if (!hva)
		return vmem_result(v);
	if (half == 4) {
		if (!load_sized(hva, 8, &x[0]))
			return vmem_host_fault(v, va, hva, false);
		x[1] = x[0] >> 32;
		x[0] = (u32)x[0];
	} else if (!load_sized(hva, 8, &x[0]) || !load_sized((char *)hva + 8, 8, &x[1])) {
		/* A torn pair is harmless: the store then fails, and only a pair that was stored counts as read at once. */
		return vmem_host_fault(v, va, hva, false);
	}
	monitor_set(v, va, hva, half * 2, x[0], x[1]);
	xw(v, RT(insn), x[0]);
	xw(v, RT2(insn), x[1]);
	return OP_NEXT;
}

static ALWAYS_INLINE enum op_result store_exclusive(struct vcpu *v, u32 insn, unsigned size,
						    bool pair, u32 acc)
{
	u64 va, value[2], *expected = v->arch.excl.value;
	bool swapped = false, ok;
	void *hva;

	if (!base_address(v, RN(insn), &va))
		return vcpu_sp_alignment(v);
	/* Alignment is checked first, whatever the monitor says; other aborts only if it is set. */
	if (!(va & (size - 1)) && (v->arch.excl.size != size || v->arch.excl.va != va))
		goto out;
	hva = vmem_atomic_ptr(v, va, size, true, acc);
	if (!hva)
		return vmem_result(v);
	/* The page behind the address changed since the load. */
	if (hva != v->arch.excl.hva)
		goto out;
	value[0] = xr(v, RT(insn));
	value[1] = xr(v, RT2(insn));
	if (!pair)
		ok = cmpxchg_sized(hva, size, expected[0], value[0], &swapped);
	else if (size == 8)
		ok = cmpxchg_sized(hva, 8, expected[0] | expected[1] << 32,
				   (u32)value[0] | value[1] << 32, &swapped);
	else
		ok = guarded_cmpxchg128(hva, expected, value, &swapped);
	if (!ok)
		return vmem_host_fault(v, va, hva, true);
out:
	v->arch.excl.size = 0;
	xw(v, RS(insn), !swapped);
	return OP_NEXT;
}

/* The acquire and release forms are the same here: accesses of exclusives are ordered always. */
#define EXCLUSIVE(suffix, size)                                                       \
	OP(LDXR##suffix)                                                              \
	{                                                                             \
		return load_exclusive(v, insn, size, ACC_EXCL);                       \
	}                                                                             \
	OP(LDAXR##suffix)                                                             \
	{                                                                             \
		return load_exclusive(v, insn, size, ACC_EXCL | ACC_ORDERED);         \
	}                                                                             \
	OP(STXR##suffix)                                                              \
	{                                                                             \
		return store_exclusive(v, insn, size, false, ACC_EXCL);               \
	}                                                                             \
	OP(STLXR##suffix)                                                             \
	{                                                                             \
		return store_exclusive(v, insn, size, false, ACC_EXCL | ACC_ORDERED); \
	}

EXCLUSIVE(8, 1)
EXCLUSIVE(16, 2)
EXCLUSIVE(32, 4)
EXCLUSIVE(64, 8)

#define EXCLUSIVE_PAIR(suffix, half)                                                     \
	OP(LDXP##suffix)                                                                 \
	{                                                                                \
		return load_exclusive_pair(v, insn, half, ACC_EXCL);                     \
	}                                                                                \
	OP(LDAXP##suffix)                                                                \
	{                                                                                \
		return load_exclusive_pair(v, insn, half, ACC_EXCL | ACC_ORDERED);       \
	}                                                                                \
	OP(STXP##suffix)                                                                 \
	{                                                                                \
		return store_exclusive(v, insn, (half)*2, true, ACC_EXCL);               \
	}                                                                                \
	OP(STLXP##suffix)                                                                \
	{                                                                                \
		return store_exclusive(v, insn, (half)*2, true, ACC_EXCL | ACC_ORDERED); \
	}

EXCLUSIVE_PAIR(32, 4)
EXCLUSIVE_PAIR(64, 8)
