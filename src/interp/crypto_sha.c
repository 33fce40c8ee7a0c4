/* SPDX-License-Identifier: MIT */
/* SHA-1 and SHA-256 acceleration instructions (FIPS 180-4; Arm ARM SHA1 and SHA256 pseudocode). */
#include "interp/simd.h"

static u32 rol(u32 x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static u32 ror(u32 x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static u32 choose(u32 x, u32 y, u32 z)
{
	return ((y ^ z) & x) ^ z;
}

static u32 parity(u32 x, u32 y, u32 z)
{
	return x ^ y ^ z;
}

static u32 majority(u32 x, u32 y, u32 z)
{
	return (x & y) | ((x | y) & z);
}

/* Four rounds of SHA-1: Rd holds a..d, Sn e, Rm the schedule with its constant added. */
static enum op_result sha1_rounds(struct vcpu *v, u32 insn, u32 (*fn)(u32, u32, u32))
{
	const union vreg *w = &v->arch.v[RM(insn)];
	union vreg x = v->arch.v[RD(insn)];
	u32 e = v->arch.v[RN(insn)].s[0];

	for (unsigned i = 0; i < 4; i++) {
		u32 t = e + rol(x.s[0], 5) + fn(x.s[1], x.s[2], x.s[3]) + w->s[i];

		e = x.s[3];
		x.s[3] = x.s[2];
		x.s[2] = rol(x.s[1], 30);
		x.s[1] = x.s[0];
		x.s[0] = t;
	}
	v->arch.v[RD(insn)] = x;
	return OP_NEXT;
}

OP(SHA1C)
{
	FP_ACCESS_CHECK(v);
	return sha1_rounds(v, insn, choose);
}

OP(SHA1P)
{
	FP_ACCESS_CHECK(v);
	return sha1_rounds(v, insn, parity);
}

OP(SHA1M)
{
	FP_ACCESS_CHECK(v);
	return sha1_rounds(v, insn, majority);
}

OP(SHA1H)
{
	FP_ACCESS_CHECK(v);
	vreg_set_scalar(v, RD(insn), rol(v->arch.v[RN(insn)].s[0], 30));
	return OP_NEXT;
}

OP(SHA1SU0)
{
	const union vreg *n = &v->arch.v[RN(insn)], *m = &v->arch.v[RM(insn)];
	union vreg r = v->arch.v[RD(insn)];
	u64 high = r.d[1];

	FP_ACCESS_CHECK(v);
	r.d[1] ^= n->d[0] ^ m->d[1];
	r.d[0] ^= high ^ m->d[0];
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

OP(SHA1SU1)
{
	const union vreg *n = &v->arch.v[RN(insn)], *d = &v->arch.v[RD(insn)];
	union vreg r;

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < 4; i++)
		r.s[i] = rol(d->s[i] ^ (i < 3 ? n->s[i + 1] : 0), 1);
	r.s[3] ^= rol(r.s[0], 1);
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

/* Four rounds of SHA-256 on x = a..d and y = e..h. */
static void sha256_rounds(union vreg *x, union vreg *y, const union vreg *w)
{
	for (unsigned i = 0; i < 4; i++) {
		u32 a = x->s[0], e = y->s[0];
		u32 t = y->s[3] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) +
			choose(e, y->s[1], y->s[2]) + w->s[i];
		u32 u = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + majority(a, x->s[1], x->s[2]);

		y->s[3] = y->s[2];
		y->s[2] = y->s[1];
		y->s[1] = e;
		y->s[0] = x->s[3] + t;
		x->s[3] = x->s[2];
		x->s[2] = x->s[1];
		x->s[1] = a;
		x->s[0] = t + u;
	}
}

OP(SHA256H)
{
	union vreg x = v->arch.v[RD(insn)], y = v->arch.v[RN(insn)];

	FP_ACCESS_CHECK(v);
	sha256_rounds(&x, &y, &v->arch.v[RM(insn)]);
	v->arch.v[RD(insn)] = x;
	return OP_NEXT;
}

OP(SHA256H2)
{
	union vreg x = v->arch.v[RN(insn)], y = v->arch.v[RD(insn)];

	FP_ACCESS_CHECK(v);
	sha256_rounds(&x, &y, &v->arch.v[RM(insn)]);
	v->arch.v[RD(insn)] = y;
	return OP_NEXT;
}

OP(SHA256SU0)
{
	const union vreg *n = &v->arch.v[RN(insn)], *d = &v->arch.v[RD(insn)];
	union vreg r;

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < 4; i++) {
		u32 x = i < 3 ? d->s[i + 1] : n->s[0];

		r.s[i] = d->s[i] + (ror(x, 7) ^ ror(x, 18) ^ x >> 3);
	}
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}

OP(SHA256SU1)
{
	const union vreg *d = &v->arch.v[RD(insn)], *n = &v->arch.v[RN(insn)],
			 *m = &v->arch.v[RM(insn)];
	union vreg r;

	FP_ACCESS_CHECK(v);
	for (unsigned i = 0; i < 4; i++) {
		u32 x = i < 2 ? m->s[i + 2] : r.s[i - 2];

		r.s[i] = d->s[i] + (i < 3 ? n->s[i + 1] : m->s[0]) +
			 (ror(x, 17) ^ ror(x, 19) ^ x >> 10);
	}
	v->arch.v[RD(insn)] = r;
	return OP_NEXT;
}
