/* SPDX-License-Identifier: MIT */
/* Loads and stores of one or two SIMD&FP registers. */
#include "interp/simd.h"

/* size is the log2 of the bytes, a constant. Registers change after the last access that may fail.
 */
static ALWAYS_INLINE bool load_vreg(struct vcpu *v, u64 va, unsigned size, u32 acc, union vreg *out)
{
	out->d[0] = out->d[1] = 0;
	if (size == 4)
		return vmem_load128(v, va, acc, out->d);
	return vmem_load(v, va, 1u << size, acc, &out->d[0]);
}

static ALWAYS_INLINE bool store_vreg(struct vcpu *v, u64 va, unsigned size, u32 acc,
				     const union vreg *r)
{
	if (size == 4)
		return vmem_store128(v, va, acc, r->d);
	return vmem_store(v, va, 1u << size, acc, elem_get(r, size, 0));
}

/* Loads or stores Rt at va; then, if writeback, the base register becomes new_base. */
static ALWAYS_INLINE enum op_result transfer(struct vcpu *v, u32 insn, unsigned size, bool load,
					     u64 va, bool writeback, u64 new_base)
{
	union vreg r;

	if (load) {
		if (!load_vreg(v, va, size, 0, &r))
			return vmem_result(v);
		v->arch.v[RT(insn)] = r;
	} else if (!store_vreg(v, va, size, 0, &v->arch.v[RT(insn)])) {
		return vmem_result(v);
	}
	if (writeback)
		xw_sp(v, RN(insn), new_base);
	return OP_NEXT;
}

#define BASE_ADDRESS(v, insn, va)                    \
	do {                                         \
		FP_ACCESS_CHECK(v);                  \
		if (!base_address(v, RN(insn), va))  \
			return vcpu_sp_alignment(v); \
	} while (0)

static ALWAYS_INLINE enum op_result offset_form(struct vcpu *v, u32 insn, unsigned size, bool load,
						s64 offset)
{
	u64 va;

	BASE_ADDRESS(v, insn, &va);
	return transfer(v, insn, size, load, va + (u64)offset, false, 0);
}

static ALWAYS_INLINE enum op_result indexed_form(struct vcpu *v, u32 insn, unsigned size, bool load,
						 bool pre)
{
	s64 offset = sfld(insn, 12, 9);
	u64 va;

	BASE_ADDRESS(v, insn, &va);
	return transfer(v, insn, size, load, pre ? va + (u64)offset : va, true, va + (u64)offset);
}

static ALWAYS_INLINE enum op_result register_form(struct vcpu *v, u32 insn, unsigned size,
						  bool load)
{
	u64 offset = xr(v, RM(insn)), va;
	unsigned option = fld(insn, 13, 3);

	BASE_ADDRESS(v, insn, &va);
	if (option == 2)
		offset = (u32)offset;
	else if (option == 6)
		offset = (u64)(s64)(s32)offset;
	if (insn >> 12 & 1)
		offset <<= size;
	return transfer(v, insn, size, load, va + offset, false, 0);
}

#define OP_LOAD_STORE(bits, size, name, load)                                              \
	OP(name##bits##V_UIMM)                                                             \
	{                                                                                  \
		return offset_form(v, insn, size, load, (s64)fld(insn, 10, 12) << (size)); \
	}                                                                                  \
	OP(name##bits##V_UNSCALED)                                                         \
	{                                                                                  \
		return offset_form(v, insn, size, load, sfld(insn, 12, 9));                \
	}                                                                                  \
	OP(name##bits##V_POST)                                                             \
	{                                                                                  \
		return indexed_form(v, insn, size, load, false);                           \
	}                                                                                  \
	OP(name##bits##V_PRE)                                                              \
	{                                                                                  \
		return indexed_form(v, insn, size, load, true);                            \
	}                                                                                  \
	OP(name##bits##V_REG)                                                              \
	{                                                                                  \
		return register_form(v, insn, size, load);                                 \
	}

OP_LOAD_STORE(8, 0, LDR, true)
OP_LOAD_STORE(8, 0, STR, false)
OP_LOAD_STORE(16, 1, LDR, true)
OP_LOAD_STORE(16, 1, STR, false)
OP_LOAD_STORE(32, 2, LDR, true)
OP_LOAD_STORE(32, 2, STR, false)
OP_LOAD_STORE(64, 3, LDR, true)
OP_LOAD_STORE(64, 3, STR, false)
OP_LOAD_STORE(128, 4, LDR, true)
OP_LOAD_STORE(128, 4, STR, false)

/* --- pairs
 * ----------------------------------------------------------------------------------------------------------------
 */

enum pair_form { PAIR_OFFSET, PAIR_PRE, PAIR_POST };

static ALWAYS_INLINE enum op_result pair(struct vcpu *v, u32 insn, unsigned size, bool load,
					 enum pair_form form)
{
	u64 offset = (u64)(sfld(insn, 15, 7) * (1 << size)), base, va;
	union vreg first, second;

	BASE_ADDRESS(v, insn, &base);
	va = form == PAIR_POST ? base : base + offset;
	if (load) {
		if (!load_vreg(v, va, size, 0, &first) ||
		    !load_vreg(v, va + (1u << size), size, 0, &second))
			return vmem_result(v);
		v->arch.v[RT(insn)] = first;
		v->arch.v[RT2(insn)] = second;
	} else {
		/* Nothing is written if the second store would fault. */
		if (((va ^ (va + (2u << size) - 1)) & ~0xfffull) &&
		    !vmem_probe(v, va, 2u << size, true, 0))
			return vmem_result(v);
		if (!store_vreg(v, va, size, 0, &v->arch.v[RT(insn)]) ||
		    !store_vreg(v, va + (1u << size), size, 0, &v->arch.v[RT2(insn)]))
			return vmem_result(v);
	}
	if (form != PAIR_OFFSET)
		xw_sp(v, RN(insn), base + offset);
	return OP_NEXT;
}

#define OP_PAIR_FORM(id, size, load, form)              \
	OP(id)                                          \
	{                                               \
		return pair(v, insn, size, load, form); \
	}
#define OP_PAIRS(bits, size)                                     \
	OP_PAIR_FORM(LDNP##bits##V, size, true, PAIR_OFFSET)     \
	OP_PAIR_FORM(STNP##bits##V, size, false, PAIR_OFFSET)    \
	OP_PAIR_FORM(LDP##bits##V_OFF, size, true, PAIR_OFFSET)  \
	OP_PAIR_FORM(STP##bits##V_OFF, size, false, PAIR_OFFSET) \
	OP_PAIR_FORM(LDP##bits##V_PRE, size, true, PAIR_PRE)     \
	OP_PAIR_FORM(STP##bits##V_PRE, size, false, PAIR_PRE)    \
	OP_PAIR_FORM(LDP##bits##V_POST, size, true, PAIR_POST)   \
	OP_PAIR_FORM(STP##bits##V_POST, size, false, PAIR_POST)

OP_PAIRS(32, 2)
OP_PAIRS(64, 3)
OP_PAIRS(128, 4)

#define OP_LITERAL(name, size)                                                                \
	OP(name)                                                                              \
	{                                                                                     \
		FP_ACCESS_CHECK(v);                                                           \
		return transfer(v, insn, size, true, v->arch.pc + (u64)sfld(insn, 5, 19) * 4, \
				false, 0);                                                    \
	}

OP_LITERAL(LDR32V_LIT, 2)
OP_LITERAL(LDR64V_LIT, 3)
OP_LITERAL(LDR128V_LIT, 4)
