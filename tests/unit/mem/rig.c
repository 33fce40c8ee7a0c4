/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "host/alloc.h"
#include "host/signal.h"
#include "mem/dirty_bitmap.h"
#include "mem/vma_cache.h"
#include "rig.h"
#include "sync/wait.h"

static u64 objects_before;

static void start(struct rig *r, unsigned ipa_bits, u32 ring_bytes, bool with_bitmap)
{
	rcu_barrier();
	objects_before = host_alloc_objects();
	r->sigmask = host_signals_block();
	if (mem_init(&r->m, ipa_bits)) {
		printf("# mem_init failed\n");
		abort();
	}
	if ((ring_bytes && mem_enable_dirty_ring(&r->m, ring_bytes, false)) ||
	    (with_bitmap && mem_enable_ring_bitmap(&r->m)))
		abort();
	fake_vcpu_init(&r->v, &r->m);
}

void rig_open_to_signals(struct rig *r, void (*fn)(void *), void *arg)
{
	host_signals_restore(r->sigmask);
	fn(arg);
	r->sigmask = host_signals_block();
}

void rig_start_bits(struct rig *r, unsigned ipa_bits)
{
	start(r, ipa_bits, 0, false);
}

void rig_start_rings(struct rig *r, u32 ring_bytes, bool with_bitmap)
{
	start(r, 40, ring_bytes, with_bitmap);
}

bool rig_collect(struct fake_vcpu *v, u32 *slot, u64 *page)
{
	struct dirty_ring_entry *e =
		&v->ring[v->collected % (v->m->ring_bytes / sizeof(struct dirty_ring_entry))];

	if (!(a32_load_acquire(&e->flags) & DIRTY_RING_DIRTY))
		return false;
	*slot = a32_load_relaxed(&e->slot);
	*page = a64_load_relaxed(&e->offset);
	a32_store_release(&e->flags, DIRTY_RING_RESET);
	v->collected++;
	return true;
}

void rig_start(struct rig *r)
{
	start(r, 40, 0, false);
}

bool rig_stop(struct rig *r)
{
	bool ok;
	u64 left;

	fake_vcpu_fini(&r->v);
	ok = rig_at_rest(&r->m);
	mem_stop_notifier(&r->m);
	mem_fini(&r->m);
	rcu_barrier();
	host_signals_restore(r->sigmask);
	left = host_alloc_objects() - objects_before;
	if (left) {
		printf("# %lld objects of the library are left\n", (long long)left);
		ok = false;
	}
	return ok;
}

void *rig_map(u64 size, u64 align)
{
	char *p = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start;

	if (p == MAP_FAILED)
		abort();
	if (!align)
		return p;
	start = (char *)ALIGN_UP((uintptr_t)p, align);
	if (start > p)
		munmap(p, start - p);
	if (p + size + align > start + size)
		munmap(start + size, p + align - start);
	return start;
}

void rig_unmap(void *p, u64 size)
{
	struct mem_inval_token t;

	mem_invalidate_start((uintptr_t)p, (uintptr_t)p + size, 0, &t);
	munmap(p, size);
	mem_invalidate_end(&t);
}

int rig_slot(struct vm_mem *m, u32 id, u64 gpa, u64 size, const void *hva, u32 flags)
{
	struct mem_region r = {.slot = id,
			       .flags = flags,
			       .guest_phys_addr = gpa,
			       .memory_size = size,
			       .userspace_addr = (uintptr_t)hva};

	return mem_set_region(m, &r);
}

/* --- at rest ------------------------------------------------------------------------------------------------------- */

/* G-BITS: the summary misses no word. */
static bool same_levels(const struct memslot *s)
{
	for (u64 i = 0; i < memslot_bitmap_words(s); i++) {
		if (a64_load(&s->dirty_bitmap[i]) &&
		    !(a64_load(&bitmap_summary(s)[i / 64]) & BIT(i % 64))) {
			printf("# slot %u: dirty word %llu is not in the summary\n", s->id,
			       (long long)i);
			return false;
		}
	}
	return true;
}

static bool same_slots(struct vm_mem *m) REQUIRES(&m->slots_lock)
{
	struct memslot_set *a = &m->slots->set[0], *b = &m->slots->set[1];
	struct memslot *s, *t = memslot_first(b);
	u64 pages = 0, nr = 0;

	memslot_for_each(s, a)
	{
		if (s != t) {
			printf("# sets differ at slot %u\n", s->id);
			return false;
		}
		if (s->flags & MEMSLOT_INVALID) {
			printf("# slot %u is INVALID at rest\n", s->id);
			return false;
		}
		for (unsigned i = 0; i < 2; i++) {
			struct memslot_set *set = &m->slots->set[i];
			struct memslot *h;
			bool by_hva = false;

			memslot_for_each_hva(h, set, s->userspace_addr, memslot_hva_end(s))
				by_hva |= h == s;
			if (!by_hva || memslot_find_id(set, s->id) != s ||
			    memslot_find_gfn(set, s->base_gfn) != s ||
			    memslot_find_gfn(set, s->base_gfn + s->npages - 1) != s) {
				printf("# slot %u is not in all trees of set %u\n", s->id, i);
				return false;
			}
		}
		pages += s->npages;
		nr++;
		t = memslot_next(b, t);
	}
	memslot_for_each(s, a)
	{
		if (s->dirty_bitmap && !same_levels(s))
			return false;
	}
	if (t || pages != m->slots->nr_pages || nr != m->slots->nr_slots || a->by_id.nr != nr ||
	    b->by_id.nr != nr || a->by_hva.nr != nr || b->by_hva.nr != nr) {
		printf("# slot counters are off\n");
		return false;
	}
	if (a64_load_relaxed(&m->stats.slot_swaps) !=
	    a64_load_relaxed(&m->stats.slot_swaps_settled)) {
		printf("# a swap waits for readers\n");
		return false;
	}
	return true;
}

bool rig_at_rest(struct vm_mem *m)
{
	struct s2_pgt *pgt = aptr_load_relaxed(&m->mmu.pgt);
	bool ok;

	mutex_lock(&m->slots_lock);
	ok = same_slots(m);
	if (m->inv_in_progress || m->mn_active) {
		printf("# %u pairs raised, %u active at rest\n", m->inv_in_progress, m->mn_active);
		ok = false;
	}
	if (a32_load(&m->inv_ends.waiters) || m->vmas->pairs || m->swap_waits) {
		printf("# at rest %u faults wait, %u pairs keep facts away, %u swaps wait\n",
		       a32_load(&m->inv_ends.waiters), m->vmas->pairs, m->swap_waits);
		ok = false;
	}
	write_lock(&m->mmu_lock);
	if (pgt && stage2_check(pgt) < 0)
		ok = false;
	for (u32 i = 0; i < m->nested.nr; i++) {
		pgt = aptr_load_relaxed(&nested_mmu_at(m, i)->mmu.pgt);
		if (pgt && stage2_check(pgt) < 0)
			ok = false;
	}
	write_unlock(&m->mmu_lock);
	mutex_unlock(&m->slots_lock);
	return ok;
}

/* --- dump ---------------------------------------------------------------------------------------------------------- */

struct text {
	char *p;
	size_t n, cap;
};

PRINTF_LIKE(2, 3) static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->cap - t->n < 200) {
		t->cap = t->cap * 2 + 4096;
		t->p = realloc(t->p, t->cap);
	}
	va_start(ap, fmt);
	n = vsnprintf(t->p + t->n, t->cap - t->n, fmt, ap);
	va_end(ap);
	t->n += n;
}

static int dump_leaf(struct s2_visit *v, enum s2_visit_kind kind)
{
	if (v->old)
		text_add(v->arg, "leaf %llx L%u %llx\n", (long long)v->ipa, v->level,
			 (long long)v->old);
	return 0;
}

static void dump_set(struct text *t, struct vm_mem *m, struct memslot_set *set)
{
	struct memslot *s;

	text_add(t, "set %u\n", set->node_idx);
	memslot_for_each(s, set)
	{
		text_add(t, "slot %u gfn %llx pages %llx hva %llx flags %x bitmap %p\n", s->id,
			 (long long)s->base_gfn, (long long)s->npages, (long long)s->userspace_addr,
			 s->flags, (void *)s->dirty_bitmap);
		if (memslot_is_gmem(s))
			text_add(t, " gmem %p pages %llx..%llx\n", aptr_load_relaxed(&s->gmem.file),
				 (long long)s->gmem.node.start, (long long)s->gmem.node.end);
		for (u64 i = 0; s->dirty_bitmap && i < memslot_bitmap_words(s); i++)
			if (a64_load_relaxed(&s->dirty_bitmap[i]))
				text_add(t, " word %llx %llx\n", (long long)i,
					 (long long)a64_load_relaxed(&s->dirty_bitmap[i]));
	}
}

char *rig_dump(struct vm_mem *m)
{
	struct s2_pgt *pgt = aptr_load_relaxed(&m->mmu.pgt);
	struct text t = {0};

	mutex_lock(&m->slots_lock);
	text_add(&t, "pages %llx slots %u manual %llx\n", (long long)m->slots->nr_pages,
		 m->slots->nr_slots, (long long)m->manual_protect);
	for (unsigned i = 0; i < 2; i++)
		dump_set(&t, m, &m->slots->set[i]);
	write_lock(&m->mmu_lock);
	if (pgt) {
		struct s2_walker w = {.visit = dump_leaf, .kinds = S2_VISIT_LEAF, .arg = &t};

		stage2_walk(pgt, 0, BIT(pgt->ipa_bits), &w);
	}
	write_unlock(&m->mmu_lock);
	mutex_unlock(&m->slots_lock);
	return t.p;
}

/* --- gates and threads --------------------------------------------------------------------------------------------- */

static struct gate *gates[NR_MEM_HOOKS];

static void gate_hit(int id, void *what)
{
	struct gate *g = __atomic_load_n(&gates[id], __ATOMIC_ACQUIRE);

	if (!g || (g->thread && g->thread != thread_self()))
		return;
	a32_fetch_add(&g->hits, 1);
	if (!a32_cmpxchg(&g->state, 0, 1))
		return;
	wake_word_all(&g->state);
	while (a32_load(&g->state) == 1)
		wait_on_word_atomic(&g->state, 1, WAIT_FOREVER);
}

void gate_arm(struct gate *g, enum mem_hook id, u32 thread)
{
	*g = (struct gate){.id = id, .thread = thread};
	__atomic_store_n(&gates[id], g, __ATOMIC_RELEASE);
	aptr_store_release(&mem_process()->hook[id], (void *)gate_hit);
}

bool gate_wait(struct gate *g)
{
	for (unsigned i = 0; i < 10000; i++) {
		if (a32_load(&g->state))
			return true;
		sleep_ms(1);
	}
	printf("# nobody came to hook %d\n", g->id);
	return false;
}

void gate_open(struct gate *g)
{
	a32_store(&g->state, 2);
	wake_word_all(&g->state);
}

void gate_disarm(struct gate *g)
{
	aptr_store_release(&mem_process()->hook[g->id], NULL);
	gate_open(g);
}

static void helper_main(void *arg)
{
	struct helper *h = arg;

	a32_store(&h->id, thread_self());
	h->fn(h->arg);
	a32_store(&h->done, 1);
}

void helper_start(struct helper *h, void (*fn)(void *), void *arg)
{
	*h = (struct helper){.fn = fn, .arg = arg};
	if (thread_create(&h->t, "helper", helper_main, h))
		abort();
}

void helper_join(struct helper *h)
{
	thread_join(h->t);
}

bool helper_ended_within(struct helper *h, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		if (a32_load(&h->done))
			return true;
		sleep_ms(1);
	}
	return a32_load(&h->done);
}

bool aborts(void (*fn)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* The message of the abort is expected. */
		close(2);
		close(1);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGABRT;
}

void sleep_ms(unsigned ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000l};

	nanosleep(&ts, NULL);
}

u64 next_random(u64 *state)
{
	u64 x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}
