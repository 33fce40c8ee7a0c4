/* SPDX-License-Identifier: MIT */
/*
 * Guest virtual memory, for engines. Every call either succeeds, or returns false after recording
 * what happens instead: an exception was taken (pc changed, v->stop.kind == STOP_NONE) or v->stop
 * is set; the handler then returns vmem_result(v).
 *
 * Fast path: the vTLB array for this access right, permission = presence. Everything else (miss,
 * page crossing, alignment checks, Device memory) is out of line in vcpu/vmem.c.
 */
#ifndef ANYKVM_VCPU_VMEM_H
#define ANYKVM_VCPU_VMEM_H

#include "host/guarded.h"
#include "vcpu/vcpu.h"

/*
 * Access description, constant per call site but for rt. The low byte says how; ISV fields describe
 * a plain single-register load or store without writeback so that an abort can carry a valid
 * syndrome (ESR ISS.ISV) and MMIO can be emulated.
 */
#define ACC_UNPRIV  BIT(0) /* LDTR/STTR: EL0 rights (unless PSTATE.UAO) */
#define ACC_ORDERED BIT(1) /* load-acquire / store-release: ISS.AR; alignment checked */
#define ACC_ATOMIC \
	BIT(2) /* LSE or exclusive: natural alignment always checked, write permission needed with \
		  read */
#define ACC_EXCL	      BIT(3)
#define ACC_CACHE	      BIT(4) /* cache maintenance: ISS.CM, reported as a write */
#define ACC_ISV		      BIT(8)
#define ACC_SEXT	      BIT(9)  /* ISS.SSE */
#define ACC_SF		      BIT(10) /* ISS.SF: 64-bit register */
#define ACC_RT(rt)	      ((u32)(rt) << 16)
#define ACC_GPR(rt, sext, sf) (ACC_ISV | ((sext) ? ACC_SEXT : 0) | ((sf) ? ACC_SF : 0) | ACC_RT(rt))

bool vmem_load_slow(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 *out);
bool vmem_store_slow(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 value);

/* size is 1, 2, 4 or 8 and a constant at the call. The value is zero-extended. */
static ALWAYS_INLINE bool vmem_load(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 *out)
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_READ, va, size);
	bool ok;

	if (unlikely(!hva || (acc & (ACC_UNPRIV | ACC_ORDERED | ACC_ATOMIC))))
		return vmem_load_slow(v, va, size, acc, out);
	switch (size) {
	case 1: {
		u8 x = 0;
		ok = guarded_load8(hva, &x);
		*out = x;
		break;
	}
	case 2: {
		u16 x = 0;
		ok = guarded_load16(hva, &x);
		*out = x;
		break;
	}
	case 4: {
		u32 x = 0;
		ok = guarded_load32(hva, &x);
		*out = x;
		break;
	}
	default:
		ok = guarded_load64(hva, out);
	}
	return likely(ok) || vmem_load_slow(v, va, size, acc, out);
}

static ALWAYS_INLINE bool vmem_store(struct vcpu *v, u64 va, unsigned size, u32 acc, u64 value)
{
	void *hva = vtlb_hit(&v->vtlb, VTLB_WRITE, va, size);
	bool ok;

	if (unlikely(!hva || (acc & (ACC_UNPRIV | ACC_ORDERED | ACC_ATOMIC))))
		return vmem_store_slow(v, va, size, acc, value);
	switch (size) {
	case 1:
		ok = guarded_store8(hva, (u8)value);
		break;
	case 2:
		ok = guarded_store16(hva, (u16)value);
		break;
	case 4:
		ok = guarded_store32(hva, (u32)value);
		break;
	default:
		ok = guarded_store64(hva, value);
	}
	return likely(ok) || vmem_store_slow(v, va, size, acc, value);
}

/*
 * 16 bytes; not atomic as a whole (SIMD Q registers). out and value are {low,
 * high}. A page crossing is handled; nothing is written if either page faults.
 */
bool vmem_load128(struct vcpu *v, u64 va, u32 acc, u64 out[2]);
bool vmem_store128(struct vcpu *v, u64 va, u32 acc, const u64 value[2]);

/* Makes sure that [va, va + len) (len <= 512) can be read, and written if write; needed before
 * multi-access stores and loads. */
bool vmem_probe(struct vcpu *v, u64 va, unsigned len, bool write, u32 acc);

/*
 * hva for an atomic operation on size bytes at va: alignment checked, readable and (if write)
 * writable. NULL = as false above. The caller does exactly one guarded_* operation on it at once;
 * if that fails it returns vmem_host_fault(v, va, hva, write).
 */
void *vmem_atomic_ptr(struct vcpu *v, u64 va, unsigned size, bool write, u32 acc);
enum op_result vmem_host_fault(struct vcpu *v, u64 va, void *hva, bool write);

/*
 * Instruction fetch: hva of the 4 KiB-aligned host chunk that holds va (execute permission of the
 * current EL), NULL as above. Two different guest pages may give the same hva.
 */
void *vmem_fetch_page(struct vcpu *v, u64 va);

/* DC ZVA: zero the 64-byte block around va. */
bool vmem_zero_block(struct vcpu *v, u64 va);

static ALWAYS_INLINE enum op_result vmem_result(struct vcpu *v)
{
	return v->stop.kind == STOP_NONE ? OP_BRANCH : OP_STOP;
}

#endif
