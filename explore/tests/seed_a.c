/* SPDX-License-Identifier: MIT */
/*
 * Flush twice: the address space of a VM's owner ends while another process closes the VM for the last time. Both run the notifier's
 * release hook, with nothing but a reader section around it, and the hook frees the array of nested MMUs and the cache for splitting.
 * What is freed by whom is the question; with the repair each is freed once: the array is taken out under mmu_lock, the cache is left
 * to the VM's destruction.
 */
#include "corpus.h"

enum { NESTED_FIXED = 1, CACHE_FIXED = 2 };

struct cache {
	long objects[4];
};
struct nested_mmu {
	long pgd;
};
struct vm {
	int mmu_lock, list_lock, registered;
	struct nested_mmu *nested;
	unsigned nr_nested;
	struct cache *split_cache;
};

static int notifier_srcu;
static struct vm *vm;
static unsigned fixes;

static void free_nested(void)
{
	struct nested_mmu *nested;

	if (fixes & NESTED_FIXED)
		explore_write_lock(&vm->mmu_lock);
	nested = RELAXED(&vm->nested);
	if (fixes & NESTED_FIXED) {
		SET_RELAXED(&vm->nested, NULL);
		explore_write_unlock(&vm->mmu_lock);
	}
	if (nested)
		explore_free(nested);
	if (!(fixes & NESTED_FIXED))
		SET_RELAXED(&vm->nested, NULL);
}

static void free_split_cache(void)
{
	struct cache *cache = RELAXED(&vm->split_cache);

	if (!cache)
		return;
	explore_free(cache);
	SET_RELAXED(&vm->split_cache, NULL);
}

static void flush_shadow_all(void)
{
	free_nested();
	if (!(fixes & CACHE_FIXED))
		free_split_cache();
}

static void unregister(void)
{
	explore_mutex_lock(&vm->list_lock);
	vm->registered = 0;
	explore_mutex_unlock(&vm->list_lock);
}

static bool is_registered(void)
{
	bool yes;

	explore_mutex_lock(&vm->list_lock);
	yes = vm->registered;
	explore_mutex_unlock(&vm->list_lock);
	return yes;
}

/* Every hook that is still on the list, then off with it. */
static void mm_exit(void)
{
	explore_step("exit_mm()");
	explore_section_enter(&notifier_srcu);
	if (is_registered()) {
		flush_shadow_all();
		unregister();
	}
	explore_section_exit(&notifier_srcu);
	explore_synchronize(&notifier_srcu);
}

/* The last close; VM memory itself stays to the end here, as the other process has the file's reference in the discussion. */
static void vm_close(void)
{
	explore_step("close(vm)");
	explore_section_enter(&notifier_srcu);
	if (is_registered())
		flush_shadow_all();
	explore_section_exit(&notifier_srcu);
	unregister();
	explore_synchronize(&notifier_srcu);
	free_split_cache();
}

static void setup(unsigned what)
{
	fixes = what;
	explore_domain_init(&notifier_srcu, "seed A srcu", EXPLORE_SLEEPABLE);
	vm = NEW_OF(struct vm);
	explore_lock_init(&vm->mmu_lock, "seed A mmu_lock", EXPLORE_ATOMIC);
	explore_lock_init(&vm->list_lock, "seed A list_lock", 0);
	vm->registered = 1;
	vm->nr_nested = 2;
	vm->nested = explore_alloc(2 * sizeof(struct nested_mmu), 0, "struct nested_mmu[]", false);
	vm->split_cache = NEW_OF(struct cache);
}

static void finish(void)
{
	explore_lock_fini(&vm->mmu_lock);
	explore_lock_fini(&vm->list_lock);
	explore_free(vm);
	explore_domain_fini(&notifier_srcu);
}

static void setup_a0(void)
{
	setup(0);
}
static void setup_a1(void)
{
	setup(CACHE_FIXED);
}
static void setup_a2(void)
{
	setup(NESTED_FIXED);
}
static void setup_a3(void)
{
	setup(CACHE_FIXED | NESTED_FIXED);
}

#define SEED_A(n, what)                                                                        \
	const struct explore_scenario seed_a##n = {                                            \
		.name = "seed-a" #n,                                                           \
		.summary = "end of the address space against the last close of the VM; " what, \
		.property = "the nested array and the split cache are freed once",             \
		.source = "linux-arm-kernel 2026-05: Grab KVM MMU write lock in "              \
			  "kvm_arch_flush_shadow_all()",                                       \
		.setup = setup_a##n,                                                           \
		.thread = {{"mm exit", mm_exit}, {"last VM close", vm_close}},                 \
		.finish = finish,                                                              \
	}

SEED_A(0, "both defects");
SEED_A(1, "cache repaired, array not");
SEED_A(2, "array repaired, cache not");
SEED_A(3, "both repaired");
