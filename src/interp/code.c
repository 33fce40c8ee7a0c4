/* SPDX-License-Identifier: MIT */
/* See code.h. */
#include <errno.h>
#include <string.h>

#include "base/bug.h"
#include "host/pages.h"
#include "interp/code.h"
#include "interp/select.h"

static s32 handler_offset(op_fn *fn)
{
	return (s32)((intptr_t)fn - (intptr_t)code_fill);
}

/* Control fell off the page: pc is right, only the page is not. This is no instruction, but the loop counts it. */
static OP(page_end)
{
	v->stats.instructions--;
	return OP_BRANCH;
}

int code_init(struct interp *c)
{
	c->page = host_pages_map(CODE_NR_PAGES * sizeof(*c->page));
	return c->page ? 0 : -ENOMEM;
}

void code_fini(struct interp *c)
{
	host_pages_unmap(c->page, CODE_NR_PAGES * sizeof(*c->page));
	c->page = NULL;
}

static u16 *hash_bucket(struct interp *c, u64 hva)
{
	u64 h = (hva >> 12) * 0x9e3779b97f4a7c15;

	return &c->hash[h >> 53 & (CODE_HASH_SIZE - 1)];
}

static struct code_page *hash_find(struct interp *c, u64 hva)
{
	unsigned i = *hash_bucket(c, hva);

	while (i && c->page[i - 1].hva != hva)
		i = c->page[i - 1].next_hash;
	return i ? &c->page[i - 1] : NULL;
}

static void hash_remove(struct interp *c, struct code_page *p)
{
	u16 *link = hash_bucket(c, p->hva);

	while (*link != (u16)(p - c->page + 1))
		link = &c->page[*link - 1].next_hash;
	*link = p->next_hash;
}

static void slots_clear(struct code_page *p, unsigned from, unsigned to)
{
	from = MAX(from, p->low);
	to = MIN(to, p->high);
	if (from < to)
		memset(&p->slot[from], 0, (to - from) * sizeof(p->slot[0]));
	if (from <= p->low && to >= p->high) {
		p->low = CODE_SLOTS;
		p->high = 0;
	}
}

/* An unused page, or the next one that was not looked up since the hand passed last. */
static struct code_page *page_take(struct interp *c)
{
	struct code_page *p;

	for (;;) {
		p = &c->page[c->hand];
		c->hand = (c->hand + 1) % CODE_NR_PAGES;
		if (!p->recent && p != c->cur)
			break;
		p->recent = false;
	}
	if (!p->hva) {
		p->low = CODE_SLOTS;
		p->slot[CODE_SLOTS].fn = handler_offset(op_page_end);
		return p;
	}
	hash_remove(c, p);
	slots_clear(p, 0, CODE_SLOTS);
	for (unsigned i = 0; i < CODE_MAP_SIZE; i++) {
		if (c->map[i].page == p)
			c->map[i].page = NULL;
	}
	return p;
}

struct code_page *code_lookup(struct vcpu *v, struct interp *c)
{
	u64 va = v->arch.pc & ~0xfffull;
	struct code_map *m = &c->map[va >> 12 & (CODE_MAP_SIZE - 1)];
	struct code_page *p;
	u16 *bucket;
	void *hva;

	if (likely(m->page && m->va == va && m->generation == v->vtlb.generation)) {
		c->cur = m->page;
		c->generation = m->generation;
		m->page->recent = true;
		return m->page;
	}
	hva = vmem_fetch_page(v, v->arch.pc);
	if (!hva)
		return NULL;
	p = hash_find(c, (uintptr_t)hva);
	if (!p) {
		p = page_take(c);
		p->hva = (uintptr_t)hva;
		bucket = hash_bucket(c, p->hva);
		p->next_hash = *bucket;
		*bucket = (u16)(p - c->page + 1);
	}
	p->recent = true;
	/* The fetch may have filled or flushed: the generation is the one after it. */
	*m = (struct code_map){.va = va, .generation = v->vtlb.generation, .page = p};
	c->cur = p;
	c->generation = m->generation;
	return p;
}

enum op_result code_fill(struct vcpu *v, u32 insn)
{
	struct interp *c = v->engine;
	struct code_page *p = c->cur;
	unsigned i = v->arch.pc >> 2 & (CODE_SLOTS - 1);
	const void *hva = (const void *)(uintptr_t)(p->hva + i * 4);
	op_fn *fn;

	/*
	 * After a flush (this vCPU's own TLBI, or one acknowledged inside a barrier) the host page may be gone: nothing may be
	 * read from it until the loop has looked it up again.
	 */
	if (unlikely(c->generation != v->vtlb.generation)) {
		v->stats.instructions--;
		return OP_BRANCH;
	}
	if (!guarded_load32(hva, &insn))
		return vmem_host_fault(v, v->arch.pc, (void *)(uintptr_t)hva, false);
	fn = interp_select(insn, v->absent.insns);
	p->slot[i].insn = insn;
	p->slot[i].fn = handler_offset(fn);
	p->low = MIN(p->low, i);
	p->high = MAX(p->high, i + 1);
	return fn(v, insn);
}

/*
 * Only slots are emptied: a page stays where it is in the hash and may even be the one being executed, whose next slot is then
 * decoded anew.
 */
void code_drop(struct vcpu *v, u64 start, u64 end)
{
	struct interp *c = v->engine;

	if (start >= end)
		return;
	if (end - start <= 64 * 4096) {
		for (u64 hva = ALIGN_DOWN(start, 4096); hva < end; hva += 4096) {
			struct code_page *p = hash_find(c, hva);

			if (p)
				slots_clear(p, start > hva ? (unsigned)(start - hva) / 4 : 0,
					    end - hva < 4096 ? (unsigned)(end - hva + 3) / 4
							     : CODE_SLOTS);
		}
		return;
	}
	for (unsigned i = 0; i < CODE_NR_PAGES; i++) {
		struct code_page *p = &c->page[i];

		/* Pages are used in order: an unused one ends the list until the first round is over. */
		if (!p->hva)
			break;
		if (p->hva < end && p->hva + 4096 > start)
			slots_clear(p, 0, CODE_SLOTS);
	}
}
