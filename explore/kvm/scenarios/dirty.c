/* SPDX-License-Identifier: MIT */
/* Table pages under walkers, splits and unmaps that let go of mmu_lock, and dirty rings. */
#include <errno.h>

#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "host/signal.h"
#include "mem/memslot.h"
#include "mem/page_cache.h"
#include "mem/stage2.h"

static int vm, vcpu, ret;
static struct vm_mem *m;

/* Leaves as faults would have left them: what the host has at hva is nobody's business here, since no guest runs. */
static void map(struct mem_vcpu *mv, u64 ipa, unsigned level, u64 hva)
{
	u64 sigmask = host_signals_block();
	int r = 0;

	explore_check(!page_cache_topup(mv, stage2_cache_min(m->ipa_bits)));
	read_lock(&m->mmu_lock);
	if (!m->s2_dead)
		r = stage2_map(m, &m->mmu, mv, ipa, level, hva, S2_PROT_ALL);
	explore_check(!r || r == -EAGAIN);
	read_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
}

static void machine(void)
{
	vm = kit_vm();
	m = &kit_vm_of(vm)->mem;
	vcpu = kit_vcpu(vm, 0);
}

static struct mem_vcpu *mem_of(int fd)
{
	return &kit_vcpu_of(fd)->mem;
}

static void close_machine(void)
{
	kit_close(vcpu);
	kit_close(vm);
}

static void mm_exit(void)
{
	explore_step("mm exit: anykvm_mm_release");
	anykvm_mm_release();
}

/* --- 17: a split lets go of mmu_lock -------------------------------------------------------------------------------------- */

#define BLOCK 0x200000ull
#define HVA   0x40000000ull

static int enable_cap(unsigned cap, uint64_t arg)
{
	struct kvm_enable_cap c = {.cap = cap, .args = {arg}};

	return kit_call(vm, KVM_ENABLE_CAP, (uintptr_t)&c);
}

/* Two blocks, a chunk each: between the two the lock is dropped if somebody waits for it. */
static void setup_split(void)
{
	machine();
	explore_check(!enable_cap(KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, BLOCK));
	explore_check(!kit_slot(vm, 0, BLOCK, 1024, (void *)HVA, 0));
	map(mem_of(vcpu), BLOCK, 2, HVA);
	map(mem_of(vcpu), 2 * BLOCK, 2, HVA + BLOCK);
}

static void log_on(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: log on, split");
	ret = kit_slot(vm, 0, BLOCK, 1024, (void *)HVA, KVM_MEM_LOG_DIRTY_PAGES);
}

static void finish_split(void)
{
	explore_check(ret == 0 || ret == -EIO || ret == -ENOMEM);
	close_machine();
}

const struct explore_scenario scenario_split_and_flush = {
	.name = "split-and-flush",
	.summary = "eager splitting, which lets go of mmu_lock between blocks, against the end of "
		   "the mm",
	.property = "after each time the lock was taken the root is read again; none ends the walk",
	.source = "design of e7bf7a490c68: KVM's split drops mmu_lock to fill its cache and reads "
		  "the table's root anew",
	.mutants = "mem-T3-split-of-a-detached-table",
	.setup = setup_split,
	.thread = {{"log on", log_on}, {"mm exit", mm_exit}},
	.finish = finish_split,
	.faults = 1,
};

/* --- 18: an unmap lets go of mmu_lock ------------------------------------------------------------------------------------- */

#define FAR (1ull << 30)

/* Leaves in two pieces of 1 GiB. */
static void setup_unmap(void)
{
	machine();
	explore_check(!kit_slot(vm, 0, 0, 2 * FAR / 4096, (void *)(2 * FAR), 0));
	map(mem_of(vcpu), 0x1000, 3, 2 * FAR + 0x1000);
	map(mem_of(vcpu), FAR + 0x1000, 3, 3 * FAR + 0x1000);
}

static void unmap(void)
{
	struct anykvm_invalidate inv;

	explore_step("a pair over both pieces");
	explore_check(!anykvm_invalidate_start((void *)(2 * FAR), 2 * FAR, &inv));
	if (!a32_load(&m->dead)) {
		struct s2_result r;
		struct mem_fault f;

		explore_check(s2_lookup(&m->mmu, 0x1000, false, false, false, &r, &f));
		explore_check(s2_lookup(&m->mmu, FAR + 0x1000, false, false, false, &r, &f));
	}
	anykvm_invalidate_end(&inv);
}

const struct explore_scenario scenario_unmap_and_flush = {
	.name = "unmap-and-flush",
	.summary =
		"a long unmap, which lets go of mmu_lock between pieces, against the end of the mm",
	.property =
		"the walk goes on in the table that is there, or ends; the whole range is unmapped",
	.source =
		"0c428a6a9256: teardown freed the table under an unmap that had let go of the lock",
	.mutants = "mem-I18-unmap-keeps-its-root",
	.setup = setup_unmap,
	.thread = {{"unmap", unmap}, {"mm exit", mm_exit}},
	.finish = close_machine,
	.faults = 1,
};

const struct explore_scenario scenario_unmap_twice = {
	.name = "unmap-twice",
	.summary = "two long unmaps of one range, each letting go of mmu_lock between pieces",
	.property = "tables are unlinked once; when either returns its range is unmapped",
	.source = "0c428a6a9256",
	.mutants = "mem-I21-tables-freed-at-once",
	.setup = setup_unmap,
	.thread = {{"unmap", unmap}, {"unmap too", unmap}},
	.finish = close_machine,
	.faults = 1,
};

/* --- 19: a table goes under walkers --------------------------------------------------------------------------------------- */

static int second;

static void setup_walkers(void)
{
	machine();
	second = kit_vcpu(vm, 1);
	/* It has run before: its caches are there. */
	kit_guest(vm, second, 0, false);
	explore_check(!kit_slot(vm, 0, BLOCK, 512, (void *)HVA, 0));
	map(mem_of(vcpu), BLOCK + 0x1000, 3, HVA + 0x1000);
}

static void displace(void)
{
	explore_step("a fault puts a block in the table's place");
	map(mem_of(vcpu), BLOCK, 2, HVA);
}

static void walk(void)
{
	struct tlb_client *c = &kit_vcpu_of(second)->tlb;
	struct s2_result r = {0};
	struct mem_fault f;
	bool found;

	explore_step("another vCPU walks the table");
	tlb_enter(c);
	access_section_begin(c);
	found = !s2_lookup(&m->mmu, BLOCK + 0x1000, false, false, false, &r, &f);
	access_section_end(c);
	tlb_leave(c);
	/* LOCKED is a fault; what is found is the same page by either way. */
	explore_check(!found || r.hva == HVA + 0x1000);
}

static void map_below(void)
{
	explore_step("another vCPU maps a page below");
	map(mem_of(second), BLOCK + 0x2000, 3, HVA + 0x2000);
}

static void finish_walkers(void)
{
	u64 sigmask = host_signals_block();
	s64 leaves;

	write_lock(&m->mmu_lock);
	leaves = stage2_check(aptr_load_relaxed(&m->mmu.pgt));
	write_unlock(&m->mmu_lock);
	host_signals_restore(sigmask);
	explore_check(leaves >= 0);
	kit_close(second);
	close_machine();
}

static char text[64];

static void inspect(void)
{
	explore_step("anykvm_inspect of stage 2");
	explore_check(anykvm_inspect(vm, ANYKVM_INSPECT_STAGE2, text, sizeof(text)) > 0);
}

const struct explore_scenario scenario_table_under_walker = {
	.name = "table-under-walker",
	.summary = "a block displaces a table while somebody looks at all tables",
	.property = "no walk reads a table that was freed",
	.source = "\"KVM: arm64: Free removed stage-2 tables in RCU callback\", 2022",
	.mutants = "mem-I21-displaced-table-freed-at-once,mem-I21-inspect-outside-rcu",
	.setup = setup_walkers,
	.thread = {{"vCPU 0", displace}, {"inspect", inspect}},
	.finish = finish_walkers,
};

/* The flush comes once, at the end: until then vCPUs may be on what was unlinked. */
static void unmap_table(void)
{
	struct anykvm_invalidate inv;

	explore_step("a pair over all that the table maps");
	explore_check(!anykvm_invalidate_start((void *)HVA, BLOCK, &inv));
	anykvm_invalidate_end(&inv);
}

const struct explore_scenario scenario_table_unmapped_under_walker = {
	.name = "table-unmapped-under-walker",
	.summary = "a table is unlinked as a whole while a vCPU in the guest walks it",
	.property = "no walk reads a table that was freed",
	.source = "\"KVM: arm64: Protect stage-2 traversal with RCU\", 2022; here every linked "
		  "table goes by RCU",
	.mutants = "mem-I21-tables-freed-at-once",
	.setup = setup_walkers,
	.thread = {{"unmap", unmap_table}, {"vCPU 1", walk}},
	.finish = finish_walkers,
};

const struct explore_scenario scenario_table_under_map = {
	.name = "table-under-map",
	.summary = "a block displaces a table while another vCPU maps a page below it",
	.property =
		"the loser's leaf is lost with its table; counts stay right; no entry stays LOCKED",
	.source = "\"KVM: arm64: Protect stage-2 traversal with RCU\", 2022",
	.mutants = "mem-I20-walk-goes-below-its-leaf,mem-I21-displaced-table-freed-at-once,mem-I21-"
		   "map-outside-rcu",
	.setup = setup_walkers,
	.thread = {{"vCPU 0", displace}, {"vCPU 1", map_below}},
	.finish = finish_walkers,
};

/* --- 28: a dirty ring ----------------------------------------------------------------------------------------------------- */

#define GPA 0x10000ull

static struct kvm_dirty_gfn *ring;
static void *ram;
static int resets, resets_too, ran;
static bool alone; /* nobody else resets */

static void setup_ring(void)
{
	vm = kit_vm();
	m = &kit_vm_of(vm)->mem;
	explore_check(!enable_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 4096));
	ram = kit_memory(2);
	explore_check(!kit_slot(vm, 0, GPA, 2, ram, KVM_MEM_LOG_DIRTY_PAGES));
	vcpu = kit_vcpu(vm, 0);
	kit_guest(vm, vcpu, GPA, true);
	/* By the library's own mapping: the program's would be the same memory. */
	ring = (void *)kit_vcpu_of(vcpu)->mem.ring.entry;
	alone = false;
	ran = resets = resets_too = 0;
	/* One entry is there. */
	explore_check(!kit_run(vcpu));
	explore_check(ring[0].flags == KVM_DIRTY_GFN_F_DIRTY);
}

/* The user's side: takes every entry that is there, then asks for a reset. Who sees an entry can give it back. */
static int collect_and_reset(void)
{
	int taken = 0, r;

	for (unsigned i = 0; i < 4; i++) {
		uint32_t flags = __atomic_load_n(&ring[i].flags, __ATOMIC_ACQUIRE);

		if (!(flags & KVM_DIRTY_GFN_F_DIRTY) || (flags & KVM_DIRTY_GFN_F_RESET))
			break;
		__atomic_store_n(&ring[i].flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		taken++;
	}
	r = kit_call(vm, KVM_RESET_DIRTY_RINGS, 0);
	if (alone && r != taken)
		explore_fail("%d entries were taken, %d given back", taken, r);
	return r;
}

static void reset(void)
{
	explore_step("collect, KVM_RESET_DIRTY_RINGS");
	resets = collect_and_reset();
}

static void reset_too(void)
{
	explore_step("KVM_RESET_DIRTY_RINGS");
	resets_too = kit_call(vm, KVM_RESET_DIRTY_RINGS, 0);
}

static void run(void)
{
	explore_step("KVM_RUN: store to the page again");
	ran = kit_run(vcpu);
}

/* A page is writable only if an entry for it is in use. */
static void finish_ring(void)
{
	struct dirty_ring *r = &kit_vcpu_of(vcpu)->mem.ring;
	struct s2_result found;
	struct mem_fault f;

	explore_check(!ran && resets >= 0 && resets_too >= 0);
	explore_check(a32_load(&r->reset) == (u32)(resets + resets_too));
	for (u32 i = 0; i < a32_load(&r->pushed); i++)
		explore_check(i < a32_load(&r->reset) ? !ring[i].flags : !!ring[i].flags);
	if (!s2_lookup(&m->mmu, GPA, true, false, false, &found, &f) && !dirty_ring_used(r))
		explore_fail("the page is writable and in no entry");
	close_machine();
	kit_free(ram, 2);
}

static void setup_ring_alone(void)
{
	setup_ring();
	alone = true;
}

/* The vCPU writes to a page that is in no entry yet. */
static void setup_collect(void)
{
	setup_ring_alone();
	kit_guest(vm, vcpu, GPA + 4096, true);
}

const struct explore_scenario scenario_ring_reset_and_push = {
	.name = "ring-reset-and-push",
	.summary = "a dirty ring is collected and reset while its vCPU writes",
	.property = "no entry is lost, given back twice or wiped out when it is new",
	.source = "design of KVM's dirty ring; 614fb9d1479b",
	.mutants = "mem-I22-reset-forgets-the-last-batch",
	.setup = setup_ring_alone,
	.thread = {{"reset", reset}, {"vCPU", run}},
	.finish = finish_ring,
};

const struct explore_scenario scenario_ring_reset_twice = {
	.name = "ring-reset-twice",
	.summary = "two resets of a dirty ring at once",
	.property = "each entry is given back once: resets exclude each other by slots_lock",
	.source = "614fb9d1479b",
	.mutants = "mem-ring-reset-without-slots-lock",
	.setup = setup_ring,
	.thread = {{"reset", reset}, {"reset too", reset_too}},
	.finish = finish_ring,
};

static void delete_slot(void)
{
	explore_step("KVM_SET_USER_MEMORY_REGION: delete slot 0");
	explore_check(!kit_slot(vm, 0, GPA, 0, ram, 0));
}

const struct explore_scenario scenario_ring_reset_and_delete = {
	.name = "ring-reset-and-delete",
	.summary = "a dirty ring is reset while the slot that its entries name is deleted",
	.property = "a stale entry protects nothing and leads to no slot that was freed",
	.source = "design: the slot of an entry is looked up under slots_lock",
	.mutants = "mem-ring-reset-without-slots-lock",
	.setup = setup_ring,
	.thread = {{"reset", reset}, {"delete slot", delete_slot}},
	.finish = finish_ring,
};

/* Every entry is in use: the vCPU gets the one that is given back. */
static void setup_full_ring(void)
{
	struct dirty_ring *r;

	setup_ring();
	r = &kit_vcpu_of(vcpu)->mem.ring;
	while (dirty_ring_used(r) < r->nr)
		dirty_ring_push(r, 0, a32_load(&r->pushed));
	ring[0].flags = KVM_DIRTY_GFN_F_RESET;
}

static bool pushed;

static void push(void)
{
	explore_step("the vCPU's thread needs an entry");
	pushed = dirty_ring_push(&kit_vcpu_of(vcpu)->mem.ring, 0, 1);
}

static void finish_full_ring(void)
{
	explore_check(resets_too == 1);
	explore_check(ring[0].flags == (pushed ? KVM_DIRTY_GFN_F_DIRTY : 0));
	close_machine();
	kit_free(ram, 2);
}

const struct explore_scenario scenario_ring_full = {
	.name = "ring-full",
	.summary = "an entry of a full dirty ring is given back while the vCPU waits for one",
	.property =
		"an entry is empty before it is given back: what is written there at once stays",
	.source = "design of KVM's dirty ring",
	.mutants = "mem-I22-entry-emptied-late",
	.setup = setup_full_ring,
	.thread = {{"reset", reset_too}, {"vCPU", push}},
	.finish = finish_full_ring,
};

const struct explore_scenario scenario_ring_collect_and_push = {
	.name = "ring-collect-and-push",
	.summary = "a dirty ring is collected and reset while its vCPU makes an entry",
	.property = "who sees an entry and asks for a reset gets it given back",
	.source = "design of KVM's dirty ring",
	.mutants = "mem-I22-entry-counted-late",
	.setup = setup_collect,
	.thread = {{"reset", reset}, {"vCPU", run}},
	.finish = finish_ring,
};
