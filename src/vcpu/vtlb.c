// SPDX-License-Identifier: MIT
/*
 * Contexts of the software TLB: finding, recycling and selective flushing. See vtlb.h.
 *
 * Every function here runs on the vCPU's own thread, so nothing is locked. What makes a fill safe
 * against a concurrent change of tables is the access section: a record that is posted while an
 * entry is made is applied at the next poll, and the initiator waits for that (mem/tlb.h).
 */
#include "vcpu/vtlb.h"

#include <errno.h>
#include <string.h>

#include "base/bug.h"
#include "host/alloc.h"
#include "vcpu/translate.h"
#include "vcpu/vcpu.h"

#define NR_CONTEXTS 16
#define NR_CONTEXTS_MIN \
	4 /* current EL and EL0 rights, two halves each: all there once a vCPU ran */

struct vtlb_state {
	struct vtlb_context *ctx[NR_CONTEXTS];
	/* Contexts already found for [EL][PAN][half] under the present registers; NULL: not looked
	 * for yet. */
	struct vtlb_context *found[2][2][2];
	u64 clock;
	s32 asid; /* in force when `found` was last right */
	struct vtlb_s2 s2[VTLB_S2_SIZE];
	struct vtlb_first *first;
};

/* The contexts that may not fail to be there. Fresh memory of this size is the host's, unmapped until touched. */
struct vtlb_first {
	struct vtlb_context ctx[NR_CONTEXTS_MIN];
};

/* No page is ever in here: what cur points to before the first miss. */
static const struct vtlb_context empty_context;

static struct vtlb_context *context_empty(void)
{
	return (struct vtlb_context *)(uintptr_t)&empty_context;
}

static void context_clear(struct vtlb_context *c)
{
	if (!c->filled)
		return;
	for (unsigned a = 0; a < NR_VTLB_ACCESS; a++)
		for (unsigned i = 0; i < VTLB_SIZE; i++)
			c->e[a][i].tag = VTLB_EMPTY;
	c->has_large = c->has_global = c->has_local = c->filled = false;
}

static void s2_clear(struct vtlb_state *s)
{
	for (unsigned i = 0; i < VTLB_S2_SIZE; i++)
		s->s2[i].ipa = VTLB_S2_EMPTY;
}

int vtlb_init(struct vcpu *v)
{
	struct vtlb_state *s = NEW(struct vtlb_state);

	if (!s)
		return -ENOMEM;
	v->vtlb.state = s;
	v->vtlb.cur[0] = v->vtlb.cur[1] = context_empty();
	s2_clear(s);
	return 0;
}

int vtlb_prepare(struct vcpu *v)
{
	struct vtlb_state *s = v->vtlb.state;

	if (s->first)
		return 0;
	s->first = NEW(struct vtlb_first);
	if (!s->first)
		return -ENOMEM;
	for (unsigned i = 0; i < NR_CONTEXTS_MIN; i++)
		s->ctx[i] = &s->first->ctx[i];
	return 0;
}

void vtlb_fini(struct vcpu *v)
{
	struct vtlb_state *s = v->vtlb.state;

	if (!s)
		return;
	for (unsigned i = NR_CONTEXTS_MIN; i < NR_CONTEXTS; i++)
		DELETE(s->ctx[i]);
	DELETE(s->first);
	DELETE(s);
	v->vtlb.state = NULL;
}

static unsigned current_pan(const struct vcpu *v)
{
	return v->arch.el == 1 && (v->arch.pstate & PSR_PAN);
}

void vtlb_switch_el(struct vcpu *v)
{
	struct vtlb_context **found = v->vtlb.state->found[v->arch.el & 1][current_pan(v)];

	v->vtlb.cur[0] = found[0] ? found[0] : context_empty();
	v->vtlb.cur[1] = found[1] ? found[1] : context_empty();
	v->vtlb.generation++;
}

/* Not-global entries of the upper half do not outlive the ASID, which is not in its key. */
static void drop_local_upper(struct vtlb_state *s)
{
	for (unsigned n = 0; n < NR_CONTEXTS; n++) {
		struct vtlb_context *c = s->ctx[n];

		if (!c || !c->key.valid || !c->key.half || !c->has_local)
			continue;
		for (unsigned a = 0; a < NR_VTLB_ACCESS; a++)
			for (unsigned i = 0; i < VTLB_SIZE; i++)
				if (!(c->cold[a][i] & VTLB_COLD_GLOBAL))
					c->e[a][i].tag = VTLB_EMPTY;
		c->has_local = false;
	}
}

void vtlb_regs_changed(struct vcpu *v)
{
	struct vtlb_state *s = v->vtlb.state;
	s32 asid = mmu_current_asid(v);

	if (asid != s->asid) {
		drop_local_upper(s);
		s->asid = asid;
	}
	memset(s->found, 0, sizeof(s->found));
	vtlb_switch_el(v);
}

static void key_fill(const struct vcpu *v, struct vtlb_key *k, unsigned half, unsigned el,
		     unsigned pan)
{
	const u64 *sys = v->arch.sys;

	memset(k, 0, sizeof(*k));
	k->valid = 1;
	k->half = (u8)half;
	k->el = (u8)el;
	k->pan = (u8)pan;
	k->sctlr = (u32)sys[SR_SCTLR_EL1] & SCTLR_TRANSLATION;
	k->asid = -1;
	if (!(k->sctlr & SCTLR_M))
		return;
	k->tcr = sys[SR_TCR_EL1];
	k->mair = sys[SR_MAIR_EL1];
	k->ttbr = half ? sys[SR_TTBR1_EL1] & ~TTBR_ASID_MASK : sys[SR_TTBR0_EL1];
	if (!half)
		k->asid = mmu_current_asid(v);
}

static void forget_found(struct vtlb_state *s, const struct vtlb_context *c)
{
	struct vtlb_context **f = &s->found[0][0][0];

	for (unsigned i = 0; i < 8; i++)
		if (f[i] == c)
			f[i] = NULL;
}

static struct vtlb_context *context_find(struct vcpu *v, const struct vtlb_key *k)
{
	struct vtlb_state *s = v->vtlb.state;
	struct vtlb_context *victim = NULL;
	unsigned n;

	for (n = 0; n < NR_CONTEXTS && s->ctx[n]; n++) {
		struct vtlb_context *c = s->ctx[n];

		if (!memcmp(&c->key, k, sizeof(*k)))
			return c;
		if (c == v->vtlb.cur[0] || c == v->vtlb.cur[1])
			continue;
		if (!victim || !c->key.valid ||
		    (victim->key.valid && c->last_use < victim->last_use))
			victim = c;
	}
	if (n < NR_CONTEXTS && (!victim || victim->key.valid)) {
		s->ctx[n] = NEW(struct vtlb_context);
		if (s->ctx[n])
			victim = s->ctx[n];
	}
	BUG_ON(!victim);
	forget_found(s, victim);
	context_clear(victim);
	victim->key = *k;
	return victim;
}

struct vtlb_context *vtlb_context_get(struct vcpu *v, u64 va, unsigned el)
{
	struct vtlb_state *s = v->vtlb.state;
	unsigned half = va >> 55 & 1;
	unsigned pan = el == 1 && (v->arch.pstate & PSR_PAN);
	struct vtlb_context *c = s->found[el][pan][half];

	if (unlikely(!c)) {
		struct vtlb_key k;

		key_fill(v, &k, half, el, pan);
		c = context_find(v, &k);
		s->found[el][pan][half] = c;
		c->last_use = ++s->clock;
	}
	if (el == v->arch.el && v->vtlb.cur[half] != c)
		v->vtlb.cur[half] = c;
	return c;
}

void vtlb_insert(struct vtlb_context *c, enum vtlb_access access, u64 va, u64 hva, u64 ipa,
		 unsigned leaf_log2, bool global)
{
	unsigned i = (va >> 12) & (VTLB_SIZE - 1);

	c->e[access][i].tag = vtlb_tag(va);
	c->e[access][i].addend = (hva & ~0xfffull) - (va & ~0xfffull);
	c->cold[access][i] = (ipa & ~0xfffull) | leaf_log2 | (global ? VTLB_COLD_GLOBAL : 0);
	c->filled = true;
	c->has_large |= leaf_log2 > 12;
	if (global)
		c->has_global = true;
	else
		c->has_local = true;
}

struct vtlb_s2 *vtlb_s2_slot(struct vcpu *v, u64 ipa)
{
	return &v->vtlb.state->s2[(ipa >> 12) % VTLB_S2_SIZE];
}

static void flush_ipa(struct vtlb_state *s, u64 start, u64 end)
{
	for (unsigned i = 0; i < VTLB_S2_SIZE; i++)
		if (s->s2[i].ipa >= ALIGN_DOWN(start, 4096ull) && s->s2[i].ipa < end)
			s->s2[i].ipa = VTLB_S2_EMPTY;
	for (unsigned n = 0; n < NR_CONTEXTS; n++) {
		struct vtlb_context *c = s->ctx[n];

		if (!c || !c->filled)
			continue;
		for (unsigned a = 0; a < NR_VTLB_ACCESS; a++)
			for (unsigned i = 0; i < VTLB_SIZE; i++) {
				u64 page = c->cold[a][i] & ~0xfffull;

				if (page + 4096 > start && page < end)
					c->e[a][i].tag = VTLB_EMPTY;
			}
	}
}

/*
 * A leaf of more than 4 KiB is held as several entries of 4 KiB: an invalidation of any address in
 * it must drop all of them, so contexts with such leaves are searched whole.
 */
static void flush_va_context(struct vtlb_context *c, u64 start, u64 last, bool globals_only)
{
	u64 pages = ((last - start) >> 12) + 1;
	bool scan = c->has_large || pages > VTLB_SIZE / 2;

	for (unsigned a = 0; a < NR_VTLB_ACCESS; a++) {
		u64 n = scan ? VTLB_SIZE : pages;

		for (u64 k = 0; k < n; k++) {
			unsigned i = scan ? (unsigned)k : ((start >> 12) + k) & (VTLB_SIZE - 1);
			u64 mask, tag = c->e[a][i].tag;

			if (tag == VTLB_EMPTY ||
			    (globals_only && !(c->cold[a][i] & VTLB_COLD_GLOBAL)))
				continue;
			/* Compared without the tag byte: sign extension from bit 55 makes both
			 * canonical. */
			tag = (u64)sign_extend(tag, 56);
			mask = (1ull << (c->cold[a][i] & VTLB_COLD_SIZE_MASK)) - 1;
			if ((tag | mask) >= start && (tag & ~mask) <= last)
				c->e[a][i].tag = VTLB_EMPTY;
		}
	}
}

static void flush_va(struct vtlb_state *s, const struct tlb_inval *r)
{
	u64 start = (u64)sign_extend(r->start & ~0xfffull, 56);
	/* end is exclusive and may be 0 for a range that reaches the top of the address space. */
	u64 last = (u64)sign_extend(r->end - 1, 56);

	if (last < start)
		last = ~0ull;
	for (unsigned n = 0; n < NR_CONTEXTS; n++) {
		struct vtlb_context *c = s->ctx[n];

		if (!c || !c->filled || c->key.half != (start >> 55 & 1))
			continue;
		if (r->asid < 0 || c->key.asid < 0 || c->key.asid == r->asid)
			flush_va_context(c, start, last, false);
		else if (c->has_global)
			flush_va_context(c, start, last, true);
	}
}

static void flush_asid(struct vtlb_state *s, s32 asid)
{
	for (unsigned n = 0; n < NR_CONTEXTS; n++) {
		struct vtlb_context *c = s->ctx[n];

		if (!c || !c->filled || !c->has_local)
			continue;
		if (c->key.asid >= 0 && c->key.asid != asid)
			continue;
		if (!c->has_global) {
			context_clear(c);
			continue;
		}
		for (unsigned a = 0; a < NR_VTLB_ACCESS; a++)
			for (unsigned i = 0; i < VTLB_SIZE; i++)
				if (!(c->cold[a][i] & VTLB_COLD_GLOBAL))
					c->e[a][i].tag = VTLB_EMPTY;
		c->has_local = false;
	}
}

static void flush_all(struct vtlb_state *s)
{
	for (unsigned n = 0; n < NR_CONTEXTS; n++)
		if (s->ctx[n])
			context_clear(s->ctx[n]);
}

void vtlb_drop_hva(struct vcpu *v, u64 hva)
{
	struct vtlb_state *s = v->vtlb.state;

	hva &= ~0xfffull;
	for (unsigned i = 0; i < VTLB_S2_SIZE; i++)
		if (s->s2[i].hva == hva)
			s->s2[i].ipa = VTLB_S2_EMPTY;
	for (unsigned n = 0; n < NR_CONTEXTS; n++) {
		struct vtlb_context *c = s->ctx[n];

		if (!c || !c->filled)
			continue;
		for (unsigned a = 0; a < NR_VTLB_ACCESS; a++)
			for (unsigned i = 0; i < VTLB_SIZE; i++)
				if (c->e[a][i].tag + c->e[a][i].addend == vtlb_tag(hva))
					c->e[a][i].tag = VTLB_EMPTY;
	}
	v->vtlb.generation++;
}

void vtlb_apply(struct vcpu *v, const struct tlb_inval *rec)
{
	struct vtlb_state *s = v->vtlb.state;

	switch (rec->kind) {
	case TLB_INVAL_ALL:
		s2_clear(s);
		flush_all(s);
		break;
	case TLB_INVAL_IPA:
		flush_ipa(s, rec->start, rec->end);
		break;
	case TLB_INVAL_VA:
		flush_va(s, rec);
		break;
	case TLB_INVAL_ASID:
		flush_asid(s, rec->asid);
		break;
	case TLB_INVAL_VMALL:
		flush_all(s);
		break;
	case TLB_INVAL_CODE:
		break;
	}
	v->vtlb.generation++;
}
