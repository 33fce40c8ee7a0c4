// SPDX-License-Identifier: MIT
/* See breakpoint.h. */
#include "vcpu/breakpoint.h"

/* Addresses are compared by bits 48..0: that leaves tags out, and the sign bits that hardware may not store. */
#define VA_BITS 49

#define CONTROL_PRIV(c) ((c) >> 1 & 3) /* PMC, PAC: EL1 bit 0, EL0 bit 1 */
#define CONTROL_HMC(c)	((c) >> 13 & 1)
#define CONTROL_SSC(c)	((c) >> 14 & 3)
#define CONTROL_LBN(c)	((c) >> 16 & 15)
#define BCR_BAS0	BIT(5)
#define BCR_TYPE(c)	((c) >> 20 & 15)
#define WCR_LSC(c)	((c) >> 3 & 3)
#define WCR_BAS(c)	((c) >> 5 & 0xff)
#define WCR_LINKED	BIT(20)
#define WCR_MASK(c)	((c) >> 24 & 31)
#define WORD_ADDRESS	BIT(2) /* of DBGWVR */

/* DBGBCR.BT */
enum { TYPE_ADDRESS, TYPE_ADDRESS_LINKED, TYPE_CONTEXT, TYPE_CONTEXT_LINKED };

static u64 canonical(u64 va)
{
	return (u64)sign_extend(va, VA_BITS);
}

/* Whether breakpoint n, the other end of a link, is in its context. */
static bool link_matches(const struct debug_regs *r, unsigned n, struct debug_context c)
{
	if (n < NR_BRPS - NR_CONTEXT_BRPS || n >= NR_BRPS)
		return false;
	return (r->bcr[n] & DEBUG_CONTROL_E) && BCR_TYPE(r->bcr[n]) == TYPE_CONTEXT_LINKED &&
	       (u32)r->bvr[n] == c.contextidr;
}

static bool state_matches(const struct debug_regs *r, u64 control, bool linked,
			  struct debug_context c)
{
	unsigned ssc = CONTROL_SSC(control);

	if (!(CONTROL_PRIV(control) & (c.el ? 1 : 2)))
		return false;
	/* Secure only: SSC 2, and 3 without HMC. */
	if (ssc == 2 || (ssc == 3 && !CONTROL_HMC(control)))
		return false;
	return !linked || link_matches(r, CONTROL_LBN(control), c);
}

bool breakpoint_matches(const struct debug_regs *r, unsigned n, struct debug_context c, u64 va)
{
	u64 control = r->bcr[n];
	unsigned type = BCR_TYPE(control);

	if (!(control & DEBUG_CONTROL_E) || !(control & BCR_BAS0))
		return false;
	if (type == TYPE_ADDRESS || type == TYPE_ADDRESS_LINKED) {
		if ((canonical(r->bvr[n]) ^ canonical(va)) & ~3ull)
			return false;
	} else if (type != TYPE_CONTEXT || n < NR_BRPS - NR_CONTEXT_BRPS ||
		   (u32)r->bvr[n] != c.contextidr) {
		return false;
	}
	return state_matches(r, control, type == TYPE_ADDRESS_LINKED, c);
}

bool breakpoint_in_page(const struct debug_regs *r, unsigned n, u64 va)
{
	switch (BCR_TYPE(r->bcr[n])) {
	case TYPE_ADDRESS:
	case TYPE_ADDRESS_LINKED:
		return !((canonical(r->bvr[n]) ^ canonical(va)) & ~0xfffull);
	case TYPE_CONTEXT:
		return true;
	default:
		return false;
	}
}

/* The first byte of [va, va + size) that the pair watches. */
static bool watched_byte(u64 value, u64 control, u64 va, u64 size, u64 *at)
{
	unsigned mask = WCR_MASK(control), bytes = 8;
	u64 first = canonical(value), start = canonical(va), best = ~0ull;

	if (mask > 2) {
		u64 last = (1ull << mask) - 1;

		first &= ~last;
		if (start - first <= last) {
			*at = va;
			return true;
		}
		if (first - start >= size)
			return false;
		*at = va + (first - start);
		return true;
	}
	if (value & WORD_ADDRESS)
		bytes = 4;
	first &= ~(u64)(bytes - 1);
	for (unsigned i = 0; i < bytes; i++)
		if (WCR_BAS(control) >> i & 1)
			best = MIN(best, first + i - start);
	*at = va + best;
	return best < size;
}

bool watchpoint_matches(const struct debug_regs *r, unsigned n, struct debug_context c,
			unsigned kinds, u64 va, u64 size, u64 *at)
{
	u64 control = r->wcr[n];

	if (!(control & DEBUG_CONTROL_E) || !(WCR_LSC(control) & kinds))
		return false;
	return watched_byte(r->wvr[n], control, va, size, at) &&
	       state_matches(r, control, control & WCR_LINKED, c);
}

bool watchpoint_in_page(const struct debug_regs *r, unsigned n, u64 va)
{
	u64 at;

	return watched_byte(r->wvr[n], r->wcr[n], va & ~0xfffull, 4096, &at);
}
