/* SPDX-License-Identifier: MIT */
/*
 * Disagreements with qemu-user 7.2 that the Arm ARM (DDI 0487) decides. Each entry corrects one
 * field of their answer, and only under its condition; a case still has to be equal in everything
 * else.
 */
#ifndef ANYKVM_TESTS_SETTLED_H
#define ANYKVM_TESTS_SETTLED_H

#include "arch/decode.h"
#include "simd_case.h"

/* True if an entry applied: theirs is then what the manual asks for as far as that entry goes. */
static inline bool settled_apply(const struct simd_case *in, struct simd_case *theirs)
{
	uint8_t *rd = theirs->v[in->insn & 31];

	switch (in->op) {
	/*
	 * C7.2, FCVTZS (vector, fixed-point), scalar half precision: the result is 16 bits and V[d]
	 * is written with the rest clear. QEMU 7.2 sign-extends it to 32 bits.
	 */
	case A64_FCVTZS_SIH:
		if (!(rd[1] & 0x80) || rd[2] != 0xff || rd[3] != 0xff)
			return false;
		rd[2] = rd[3] = 0;
		return true;
	default:
		return false;
	}
}

#endif
