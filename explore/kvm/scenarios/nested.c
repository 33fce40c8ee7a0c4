/* SPDX-License-Identifier: MIT */
/*
 * Shadow MMUs. No vCPU of this library runs at EL2 yet, so their interface (mem/nested_mmu.h) is driven as the run loop will: load,
 * sync before entry, put. The vCPUs are those of mem/: a TLB client and a struct mem_vcpu.
 */
#include <errno.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "host/alloc.h"
#include "host/signal.h"
#include "mem/nested_mmu.h"
#include "mem/page_cache.h"

#define VTCR	  ((64 - 39) | 1ull << 6 | 5ull << 16)
#define KEY(vmid) ((u64)(vmid) << 48 | 0x1000)
#define IPA	  0x1000ull

static int vm;
static struct vm_mem *m;
static char *ram;
static struct cpu {
	struct mem_vcpu mem;
	struct tlb_client tlb;
	bool cached; /* the translation of IPA */
} * cpu[3];
static unsigned nr_cpus;

static void apply(struct tlb_client *c, const struct tlb_inval *rec)
{
	if (rec->kind == TLB_INVAL_ALL ||
	    (rec->kind == TLB_INVAL_IPA && rec->start <= IPA && IPA < rec->end))
		container_of(c, struct cpu, tlb)->cached = false;
}

static void add_cpu(void)
{
	struct cpu *c = NEW(struct cpu);

	c->tlb.apply = apply;
	mem_vcpu_init(m, &c->mem, &c->tlb);
	tlb_client_attach(&m->tlb, &c->tlb);
	cpu[nr_cpus++] = c;
}

static void machine(unsigned cpus)
{
	vm = kit_vm();
	m = &kit_vm_of(vm)->mem;
	ram = kit_memory(1);
	nr_cpus = 0;
	for (unsigned i = 0; i < cpus; i++) {
		add_cpu();
		explore_check(!nested_mmu_grow(m));
	}
}

/* The VM first: its end may still look at its vCPUs, as the vCPUs of a machine end after the notifier. */
static void close_machine(void)
{
	u64 sigmask = host_signals_block();
	u32 users = 0;

	for (unsigned i = 0; i < nr_cpus; i++) {
		users += !!cpu[i]->mem.nested;
		nested_mmu_put(&cpu[i]->mem);
	}
	read_lock(&m->mmu_lock);
	for (u32 i = 0; i < m->nested.nr; i++)
		explore_check(!a32_load(&nested_mmu_at(m, i)->refcnt));
	read_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	explore_check(!users || m->nested.nr);
	for (unsigned i = 0; i < nr_cpus; i++) {
		mem_vcpu_fini(&cpu[i]->mem);
		tlb_client_detach(&m->tlb, &cpu[i]->tlb);
		DELETE(cpu[i]);
	}
	kit_close(vm);
	kit_free(ram, 1);
}

/* One leaf in the shadow table, as a fault of the inner guest leaves it. */
static void map(struct cpu *c, u64 ipa)
{
	struct s2_mmu *mmu = mem_vcpu_mmu(m, &c->mem);
	u64 sigmask = host_signals_block();

	explore_check(!page_cache_topup(&c->mem, stage2_cache_min(mmu->ipa_bits)));
	read_lock(&m->mmu_lock);
	if (!m->s2_dead)
		explore_check(
			!stage2_map(m, mmu, &c->mem, ipa, 3, (u64)(uintptr_t)ram, S2_PROT_ALL));
	read_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
}

/* Enters the inner guest of that key: what it sees must be its own. */
static void run_on(struct cpu *c, u64 key, u64 ipa, bool mapped)
{
	struct s2_result r;
	struct mem_fault f;
	bool found;

	if (nested_mmu_load(m, &c->mem, key, VTCR, true))
		return; /* torn down */
	nested_mmu_sync(m, &c->mem);
	tlb_enter(&c->tlb);
	access_section_begin(&c->tlb);
	found = !s2_lookup(&c->mem.nested->mmu, ipa, false, false, false, &r, &f);
	access_section_end(&c->tlb);
	tlb_leave(&c->tlb);
	if (found && !mapped)
		explore_fail("a guest enters with a translation of another one's");
	if (c->mem.nested->key.vttbr != key && !m->s2_dead)
		explore_fail("the shadow MMU in use has been given to another key");
	nested_mmu_put(&c->mem);
}

/* --- 20: growth ----------------------------------------------------------------------------------------------------------- */

static void grow(void)
{
	int ret;

	explore_step("vCPU init: two more shadow MMUs");
	add_cpu();
	ret = nested_mmu_grow(m);
	explore_check(ret == 0 || ret == -EIO);
}

static void hold(void)
{
	explore_step("a vCPU loads, maps and puts");
	if (nested_mmu_load(m, &cpu[0]->mem, KEY(1), VTCR, true))
		return;
	nested_mmu_sync(m, &cpu[0]->mem);
	map(cpu[0], 0x1000);
	nested_mmu_put(&cpu[0]->mem);
}

static void mm_exit(void)
{
	explore_step("mm exit: anykvm_mm_release");
	anykvm_mm_release();
}

static void setup_growth(void)
{
	machine(1);
}

const struct explore_scenario scenario_nested_growth = {
	.name = "nested-growth",
	.summary = "a vCPU adds shadow MMUs while another one uses its own",
	.property = "a shadow MMU in use never moves and never goes",
	.source = "4f128f8e1aaa kept them in one array that was reallocated; now pointers are "
		  "published under mmu_lock",
	.mutants = "mem-I04-growth-moves-the-others",
	.setup = setup_growth,
	.thread = {{"vCPU init", grow}, {"vCPU", hold}},
	.finish = close_machine,
};

/* After a flush no shadow MMU has a table. */
static void finish_growth_and_flush(void)
{
	u64 sigmask = host_signals_block();

	write_lock(&m->mmu_lock);
	for (u32 i = 0; i < m->nested.nr; i++)
		explore_check(!aptr_load_relaxed(&nested_mmu_at(m, i)->mmu.pgt));
	write_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	close_machine();
}

const struct explore_scenario scenario_nested_growth_and_flush = {
	.name = "nested-growth-and-flush",
	.summary = "a vCPU adds shadow MMUs while the mm ends",
	.property = "tables made beside the flush are not reachable after it",
	.source = "design: docs/memory.md, \"Teardown\"",
	.mutants = "mem-I04-growth-ignores-the-flush",
	.setup = setup_growth,
	.thread = {{"vCPU init", grow}, {"mm exit", mm_exit}},
	.finish = finish_growth_and_flush,
};

const struct explore_scenario scenario_nested_use_and_flush = {
	.name = "nested-use-and-flush",
	.summary = "a vCPU uses a shadow MMU while the mm ends",
	.property = "the flush takes the table and nothing else: who holds the MMU finds it empty",
	.source = "discussion of stage-2 teardown, May 2026: the flush freed the array under its "
		  "users",
	.mutants = "mem-I04-flush-frees-shadow-mmus",
	.setup = setup_growth,
	.thread = {{"vCPU", hold}, {"mm exit", mm_exit}},
	.finish = finish_growth_and_flush,
};

/* --- 21: recycling -------------------------------------------------------------------------------------------------------- */

static void setup_recycle(void)
{
	machine(1);
	/* Both MMUs have belonged to somebody. */
	for (unsigned i = 1; i <= 2; i++) {
		explore_check(!nested_mmu_load(m, &cpu[0]->mem, KEY(i), VTCR, true));
		nested_mmu_sync(m, &cpu[0]->mem);
		map(cpu[0], 0x1000);
		nested_mmu_put(&cpu[0]->mem);
	}
	add_cpu();
	/* The first is in use, so that the second vCPU's new key gets the second. */
	explore_check(!nested_mmu_load(m, &cpu[0]->mem, KEY(1), VTCR, true));
}

static void recycle(void)
{
	explore_step("vCPU B runs with a new key");
	run_on(cpu[1], KEY(3), 0x1000, false);
}

static void come_back(void)
{
	explore_step("vCPU A puts, and runs with the same new key");
	nested_mmu_put(&cpu[0]->mem);
	run_on(cpu[0], KEY(3), 0x1000, false);
}

const struct explore_scenario scenario_nested_recycle = {
	.name = "nested-recycle",
	.summary = "two vCPUs run with one new key, on a shadow MMU that was another key's",
	.property = "nobody enters before what the old key left is gone",
	.source = "c268f204f7c5",
	.mutants = "mem-I29-only-the-recycler-empties,mem-I29-recycled-context-keeps-its-table,mem-"
		   "I30-only-the-first-user-counts",
	.setup = setup_recycle,
	.thread = {{"vCPU B", recycle}, {"vCPU A", come_back}},
	.finish = close_machine,
};

static void use_old(void)
{
	explore_step("vCPU A puts, and loads its old key");
	nested_mmu_put(&cpu[0]->mem);
	run_on(cpu[0], KEY(1), 0x1000, true);
}

const struct explore_scenario scenario_nested_busy = {
	.name = "nested-busy",
	.summary = "a vCPU looks for a shadow MMU to recycle while another gives its own up and "
		   "takes it again",
	.property = "an MMU in use is not recycled; there is always a free one",
	.source = "6ded46b5a4fd, c268f204f7c5; the count is read under mmu_lock",
	.mutants = "mem-I30-base-is-no-part-of-the-key,mem-I30-only-the-first-user-counts,mem-I30-"
		   "recycles-what-is-in-use",
	.setup = setup_recycle,
	.thread = {{"vCPU B", recycle}, {"vCPU A", use_old}},
	.finish = close_machine,
};

static void setup_shadow(void)
{
	machine(1);
	explore_check(!kit_slot(vm, 0, 0, 1, ram, 0));
	explore_check(!nested_mmu_load(m, &cpu[0]->mem, KEY(1), VTCR, true));
	map(cpu[0], 0x1000);
	nested_mmu_put(&cpu[0]->mem);
}

static void inner_guest(void)
{
	explore_step("the inner guest runs twice");
	run_on(cpu[0], KEY(1), 0x1000, true);
	run_on(cpu[0], KEY(1), 0x1000, true);
}

static void discard(void)
{
	struct s2_result r;
	struct mem_fault f;
	u64 sigmask;
	int found;

	explore_step("madvise(MADV_DONTNEED)");
	explore_check(!anykvm_madvise(ram, 4096, 4 /* MADV_DONTNEED */));
	sigmask = host_signals_block();
	read_lock(&m->mmu_lock);
	found = s2_lookup(&nested_mmu_at(m, 0)->mmu, 0x1000, false, false, false, &r, &f);
	read_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	if (!found)
		explore_fail("a shadow leaf leads to memory that was given back");
}

const struct explore_scenario scenario_nested_discard = {
	.name = "nested-discard",
	.summary = "host memory is discarded while an inner guest has a shadow translation of it",
	.property = "what the host takes is taken from every shadow table",
	.source = "design: KVM unmaps nested stage 2 on every canonical unmap",
	.mutants = "mem-I31-canonical-table-only",
	.setup = setup_shadow,
	.thread = {{"discard", discard}, {"vCPU", inner_guest}},
	.finish = close_machine,
};

/* --- TLBI of the guest hypervisor --------------------------------------------------------------------------------------- */

static struct a32 invalidated;

static void setup_inner(void)
{
	setup_shadow();
	explore_check(!nested_mmu_load(m, &cpu[0]->mem, KEY(1), VTCR, true));
	a32_store(&invalidated, 0);
}

/* The leaf is not made again: what was looked at after the TLBI finds none, neither in the table nor in the cache. */
static void access_ipa(struct cpu *c)
{
	bool gone = a32_load(&invalidated);
	struct s2_result r;
	struct mem_fault f;

	access_section_begin(&c->tlb);
	c->cached = c->cached || !s2_lookup(&c->mem.nested->mmu, IPA, false, false, false, &r, &f);
	access_section_end(&c->tlb);
	if (gone && c->cached)
		explore_fail("a translation is used whose invalidation has completed");
}

static void inner_accesses(void)
{
	struct cpu *c = cpu[0];

	explore_step("the inner guest accesses a page twice");
	tlb_enter(&c->tlb);
	access_ipa(c);
	tlb_poll(&c->tlb);
	access_ipa(c);
	tlb_leave(&c->tlb);
}

static void tlbi_vmid(void)
{
	explore_step("TLBI VMALLS12E1");
	nested_tlbi_vmid(m, 1);
	a32_store(&invalidated, 1);
}

static void tlbi_ipa(void)
{
	explore_step("TLBI IPAS2E1");
	nested_tlbi_ipa(m, 1, IPA, 0);
	a32_store(&invalidated, 1);
}

const struct explore_scenario scenario_nested_tlbi_vmid = {
	.name = "nested-tlbi-vmid",
	.summary = "the guest hypervisor invalidates a VMID while its guest runs",
	.property = "when the TLBI is over nobody uses, from table or cache, what it took",
	.source = "Arm ARM, TLB maintenance: a completed TLBI; KVM unmaps the shadow table first",
	.mutants = "mem-nested-tlbi-flushes-first",
	.setup = setup_inner,
	.thread = {{"hypervisor", tlbi_vmid}, {"inner guest", inner_accesses}},
	.finish = close_machine,
};

const struct explore_scenario scenario_nested_tlbi_ipa = {
	.name = "nested-tlbi-ipa",
	.summary = "the guest hypervisor invalidates an address while its guest runs",
	.property = "as nested-tlbi-vmid, for the leaf that holds the address",
	.source = "Arm ARM, TLB maintenance: a completed TLBI; KVM unmaps the shadow table first",
	.mutants = "mem-nested-tlbi-flushes-first",
	.setup = setup_inner,
	.thread = {{"hypervisor", tlbi_ipa}, {"inner guest", inner_accesses}},
	.finish = close_machine,
};
