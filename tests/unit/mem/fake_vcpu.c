/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_vcpu.h"
#include "host/signal.h"

static void apply(struct tlb_client *c, const struct tlb_inval *rec)
{
	struct fake_vcpu *v = container_of(c, struct fake_vcpu, tlb);
	u64 code_start = rec->code_start, code_end = rec->code_end;

	v->records++;
	if (rec->kind == TLB_INVAL_CODE) {
		code_start = rec->start;
		code_end = rec->end;
	}
	for (unsigned i = 0; i < FAKE_TLB_SIZE; i++) {
		struct fake_tlb_entry *e = &v->entry[i];

		if (rec->kind == TLB_INVAL_ALL ||
		    (rec->kind == TLB_INVAL_IPA && (!rec->mmu_id || rec->mmu_id == e->mmu_id) &&
		     e->page >= rec->start && e->page < rec->end))
			e->page = ~0ull;
	}
	for (unsigned i = 0; i < FAKE_CODE_SIZE && code_end; i++)
		if (v->code[i].hva >= code_start && v->code[i].hva < code_end)
			v->code[i].hva = ~0ull;
}

void fake_vcpu_init(struct fake_vcpu *v, struct vm_mem *m)
{
	*v = (struct fake_vcpu){.m = m};
	for (unsigned i = 0; i < FAKE_TLB_SIZE; i++)
		v->entry[i].page = ~0ull;
	for (unsigned i = 0; i < FAKE_CODE_SIZE; i++)
		v->code[i].hva = ~0ull;
	v->tlb.apply = apply;
	mem_vcpu_init(m, &v->mem, &v->tlb);
	tlb_client_attach(&m->tlb, &v->tlb);
	guarded_install();
	if (!m->ring_bytes)
		return;
	v->ring = mmap(NULL, m->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		       0);
	if (v->ring == MAP_FAILED)
		abort();
	dirty_ring_init(&v->mem.ring, m, v->ring, m->ring_bytes);
}

void fake_vcpu_fini(struct fake_vcpu *v)
{
	if (v->in_guest)
		fake_leave(v);
	fake_put(v);
	mem_vcpu_fini(&v->mem);
	if (v->ring)
		munmap(v->ring, v->m->ring_bytes);
}

int fake_load(struct fake_vcpu *v, u64 vttbr, u64 vtcr, bool s2)
{
	return nested_mmu_load(v->m, &v->mem, vttbr, vtcr, s2);
}

void fake_put(struct fake_vcpu *v)
{
	nested_mmu_put(&v->mem);
}

void fake_enter(struct fake_vcpu *v)
{
	nested_mmu_sync(v->m, &v->mem);
	tlb_enter(&v->tlb);
	v->in_guest = true;
}

void fake_leave(struct fake_vcpu *v)
{
	tlb_leave(&v->tlb);
	v->in_guest = false;
}

void fake_poll(struct fake_vcpu *v)
{
	if (a32_load_relaxed(&v->tlb.attention))
		tlb_poll(&v->tlb);
}

static bool holds(const struct fake_vcpu *v, const struct fake_tlb_entry *e, u64 ipa)
{
	return e->page == (ipa & ~0xfffull) && e->mmu_id == mem_vcpu_mmu(v->m, &v->mem)->id;
}

static struct fake_tlb_entry *slot_of(struct fake_vcpu *v, u64 ipa)
{
	return &v->entry[(ipa >> 12) % FAKE_TLB_SIZE];
}

const struct fake_tlb_entry *fake_tlb_find(const struct fake_vcpu *v, u64 ipa)
{
	const struct fake_tlb_entry *e = slot_of((struct fake_vcpu *)v, ipa);

	return holds(v, e, ipa) ? e : NULL;
}

static bool allowed(const struct fake_tlb_entry *e, enum fake_op op)
{
	return op == FAKE_WRITE ? e->w : op == FAKE_EXEC ? e->x : e->r;
}

static int translate(struct fake_vcpu *v, u64 ipa, enum fake_op op, u64 *hva,
		     struct mem_fault *fault)
{
	struct fake_tlb_entry *e = slot_of(v, ipa);
	struct s2_result r;

	if (!holds(v, e, ipa) || !allowed(e, op)) {
		struct s2_mmu *mmu = mem_vcpu_mmu(v->m, &v->mem);

		if (s2_lookup(mmu, ipa, op == FAKE_WRITE, op == FAKE_EXEC, false, &r, fault))
			return -EFAULT;
		/* In the section that read the descriptor. */
		*e = (struct fake_tlb_entry){.page = ipa & ~0xfffull,
					     .mmu_id = mmu->id,
					     .hva = r.hva & ~0xfffull,
					     .r = r.r,
					     .w = r.w,
					     .x = r.x_el1,
					     .level = r.level};
	}
	*hva = e->hva + (ipa & 0xfff);
	if (v->no_cache)
		e->page = ~0ull;
	return 0;
}

static bool fetch(struct fake_vcpu *v, u64 hva, u32 *value)
{
	struct fake_code_entry *c = &v->code[(hva >> 2) % FAKE_CODE_SIZE];

	if (c->hva != hva) {
		if (!guarded_load32((void *)(uintptr_t)hva, &c->word))
			return false;
		c->hva = hva;
	}
	*value = c->word;
	return true;
}

int fake_try(struct fake_vcpu *v, u64 ipa, enum fake_op op, u32 *value, struct mem_fault *fault)
{
	bool ok;
	u64 hva;
	int ret;

	access_section_begin(&v->tlb);
	ret = translate(v, ipa, op, &hva, fault);
	if (ret) {
		access_section_end(&v->tlb);
		fault->hva = 0;
		return ret;
	}
	if (op == FAKE_EXEC)
		ok = fetch(v, hva, value);
	else if (op == FAKE_WRITE)
		ok = guarded_store32((void *)(uintptr_t)hva, *value);
	else
		ok = guarded_load32((void *)(uintptr_t)hva, value);
	access_section_end(&v->tlb);
	if (ok)
		return 0;
	fault->hva = hva;
	return -EFAULT;
}

int fake_access(struct fake_vcpu *v, u64 ipa, enum fake_op op, u32 *value)
{
	bool was_in_guest = v->in_guest;
	int ret = 0;

	for (unsigned i = 0; i < 100000; i++) {
		enum mem_fault_action action = MEM_FAULT_RETRY;
		struct mem_fault fault = {.ipa = ipa,
					  .va = ipa,
					  .write = op == FAKE_WRITE,
					  .exec = op == FAKE_EXEC,
					  .size = 4};

		if (v->mem.ring.full && dirty_ring_still_full(&v->mem.ring)) {
			ret = FAKE_RING_FULL;
			goto out;
		}
		if (!v->in_guest)
			fake_enter(v);
		else
			fake_poll(v);
		if (!fake_try(v, ipa, op, value, &fault)) {
			ret = 0;
			goto out;
		}
		fake_leave(v);
		if (fault.hva) {
			v->host_faults++;
			ret = mem_host_fault(v->m, &v->mem, &fault, &action);
		} else {
			v->faults++;
			ret = mem_fault_handle(v->m, &v->mem, &fault, &action);
		}
		if (ret || action != MEM_FAULT_RETRY) {
			ret = ret ? ret : (int)FAKE_ACTION(action);
			goto out;
		}
		v->retries++;
	}
	ret = -EAGAIN;
out:
	if (was_in_guest && !v->in_guest)
		fake_enter(v);
	else if (!was_in_guest && v->in_guest)
		fake_leave(v);
	return ret;
}
