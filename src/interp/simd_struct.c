/* SPDX-License-Identifier: MIT */
/* LD1 to LD4 and ST1 to ST4: multiple structures, single structures, replicating loads. */
#include "interp/simd.h"

static bool load_element(struct vcpu *v, u64 va, unsigned size, u64 *out)
{
	switch (size) {
	case 0:
		return vmem_load(v, va, 1, 0, out);
	case 1:
		return vmem_load(v, va, 2, 0, out);
	case 2:
		return vmem_load(v, va, 4, 0, out);
	default:
		return vmem_load(v, va, 8, 0, out);
	}
}

static bool store_element(struct vcpu *v, u64 va, unsigned size, u64 x)
{
	switch (size) {
	case 0:
		return vmem_store(v, va, 1, 0, x);
	case 1:
		return vmem_store(v, va, 2, 0, x);
	case 2:
		return vmem_store(v, va, 4, 0, x);
	default:
		return vmem_store(v, va, 8, 0, x);
	}
}

/* Post-index by a register, or (Rm = 31) by the bytes transferred. Bit 23 tells post-index from
 * none. */
static void post_index(struct vcpu *v, u32 insn, u64 base, unsigned bytes)
{
	if (insn >> 23 & 1)
		xw_sp(v, RN(insn), base + (RM(insn) == 31 ? bytes : xr(v, RM(insn))));
}

/*
 * Structures of nr_struct elements (1: consecutive), nr_regs registers in all. Element e of
 * structure member m of register group: memory order is structure by structure.
 */
static enum op_result multiple(struct vcpu *v, u32 insn, unsigned nr_regs, bool interleaved,
			       bool load)
{
	unsigned size = fld(insn, 10, 2), n = NR_ELEMS(insn, size), bytes = nr_regs * (n << size);
	union vreg r[4] = {0};
	u64 base, va;

	FP_ACCESS_CHECK(v);
	if (!base_address(v, RN(insn), &base))
		return vcpu_sp_alignment(v);
	if (!load && !vmem_probe(v, base, bytes, true, 0))
		return vmem_result(v);
	va = base;
	for (unsigned i = 0; i < n * nr_regs; i++, va += 1u << size) {
		unsigned reg = interleaved ? i % nr_regs : i / n,
			 e = interleaved ? i / nr_regs : i % n;
		const union vreg *source = &v->arch.v[(RT(insn) + reg) & 31];
		u64 x;

		if (load) {
			if (!load_element(v, va, size, &x))
				return vmem_result(v);
			elem_set(&r[reg], size, e, x);
		} else if (!store_element(v, va, size, elem_get(source, size, e))) {
			return vmem_result(v);
		}
	}
	if (load)
		for (unsigned i = 0; i < nr_regs; i++)
			v->arch.v[(RT(insn) + i) & 31] = r[i];
	post_index(v, insn, base, bytes);
	return OP_NEXT;
}

#define OP_MULTIPLE(name, nr_regs, interleaved)                        \
	OP(LD##name##_M)                                               \
	{                                                              \
		return multiple(v, insn, nr_regs, interleaved, true);  \
	}                                                              \
	OP(LD##name##_M_POST)                                          \
	{                                                              \
		return multiple(v, insn, nr_regs, interleaved, true);  \
	}                                                              \
	OP(ST##name##_M)                                               \
	{                                                              \
		return multiple(v, insn, nr_regs, interleaved, false); \
	}                                                              \
	OP(ST##name##_M_POST)                                          \
	{                                                              \
		return multiple(v, insn, nr_regs, interleaved, false); \
	}

OP_MULTIPLE(1X1, 1, false)
OP_MULTIPLE(1X2, 2, false)
OP_MULTIPLE(1X3, 3, false)
OP_MULTIPLE(1X4, 4, false)
OP_MULTIPLE(2, 2, true)
OP_MULTIPLE(3, 3, true)
OP_MULTIPLE(4, 4, true)

/* One structure: an element of each register. Q:S:size holds the index above the element size. */
static enum op_result single(struct vcpu *v, u32 insn, unsigned nr_regs, bool load)
{
	unsigned size = fld(insn, 14, 2), index = INSN_Q(insn) << 3 | fld(insn, 10, 3);
	u64 x[4], base;

	FP_ACCESS_CHECK(v);
	if (size == 2 && (insn >> 10 & 1))
		size = 3;
	index >>= size;
	if (!base_address(v, RN(insn), &base))
		return vcpu_sp_alignment(v);
	if (load) {
		for (unsigned i = 0; i < nr_regs; i++)
			if (!load_element(v, base + (i << size), size, &x[i]))
				return vmem_result(v);
		for (unsigned i = 0; i < nr_regs; i++)
			elem_set(&v->arch.v[(RT(insn) + i) & 31], size, index, x[i]);
	} else {
		if (!vmem_probe(v, base, nr_regs << size, true, 0))
			return vmem_result(v);
		for (unsigned i = 0; i < nr_regs; i++)
			if (!store_element(v, base + (i << size), size,
					   elem_get(&v->arch.v[(RT(insn) + i) & 31], size, index)))
				return vmem_result(v);
	}
	post_index(v, insn, base, nr_regs << size);
	return OP_NEXT;
}

static enum op_result replicate(struct vcpu *v, u32 insn, unsigned nr_regs)
{
	unsigned size = fld(insn, 10, 2);
	u64 x[4], base;

	FP_ACCESS_CHECK(v);
	if (!base_address(v, RN(insn), &base))
		return vcpu_sp_alignment(v);
	for (unsigned i = 0; i < nr_regs; i++)
		if (!load_element(v, base + (i << size), size, &x[i]))
			return vmem_result(v);
	for (unsigned i = 0; i < nr_regs; i++) {
		union vreg r = elem_fill(size, x[i]);

		if (!INSN_Q(insn))
			r.d[1] = 0;
		v->arch.v[(RT(insn) + i) & 31] = r;
	}
	post_index(v, insn, base, nr_regs << size);
	return OP_NEXT;
}

#define OP_SINGLE(nr)                              \
	OP(LD##nr##_L)                             \
	{                                          \
		return single(v, insn, nr, true);  \
	}                                          \
	OP(LD##nr##_L_POST)                        \
	{                                          \
		return single(v, insn, nr, true);  \
	}                                          \
	OP(ST##nr##_L)                             \
	{                                          \
		return single(v, insn, nr, false); \
	}                                          \
	OP(ST##nr##_L_POST)                        \
	{                                          \
		return single(v, insn, nr, false); \
	}                                          \
	OP(LD##nr##R)                              \
	{                                          \
		return replicate(v, insn, nr);     \
	}                                          \
	OP(LD##nr##R_POST)                         \
	{                                          \
		return replicate(v, insn, nr);     \
	}

OP_SINGLE(1)
OP_SINGLE(2)
OP_SINGLE(3)
OP_SINGLE(4)
