/* SPDX-License-Identifier: MIT */
/*
 * The dying file: a memory slot is bound to a guest_memfd file. The file's last close, the slot's deletion and faults of vCPUs meet.
 *
 *	close	the last put runs release, which under slots_lock takes the binding away and tells the slot
 *	delete	under slots_lock: hides the slot, waits for the readers of slots, unbinds, frees the slot
 *	fault	in a reader section finds the slot, in an RCU section its file, and tries to get it
 *
 * A file that dies cannot be got, but its release may not have run: who deletes the slot must take the binding away all the same, or
 * release follows it to a freed slot (B0). The last put may be a fault's: release run there, inside the reader section, waits for
 * slots_lock, whose holder waits for the section (B2).
 */
#include "corpus.h"

enum { DYING_UNBOUND = 1, RELEASE_AFTER_SECTION = 2 };

struct slot {
	struct file *file;
};
struct gmem_file {
	struct slot *binding; /* under slots_lock */
};
struct file {
	uint32_t users;
	struct gmem_file *gmem;
};
struct vm {
	int slots_lock, srcu;
	struct slot *slot;
};

static int rcu;
static struct vm *vm;
static struct file *gmem;
static unsigned variant;

static void free_file(void *arg)
{
	explore_free(arg);
}

static void release(struct file *f)
{
	explore_mutex_lock(&vm->slots_lock);
	if (f->gmem->binding) {
		SET_RELAXED(&f->gmem->binding->file, NULL);
		f->gmem->binding = NULL;
	}
	explore_mutex_unlock(&vm->slots_lock);
	explore_free(f->gmem);
	explore_defer(&rcu, free_file, f);
}

static void close_gmem(void)
{
	explore_step("close(gmem)");
	if (explore_ref_put(&gmem->users))
		release(gmem);
}

static void unbind_locked(struct slot *s, struct gmem_file *gf)
{
	gf->binding = NULL;
	SET_RELAXED(&s->file, NULL);
}

/* The file whose last reference the caller took, to be released without slots_lock; or NULL. */
static struct file *unbind(struct slot *s)
{
	struct file *f = RELAXED(&s->file);

	if (!f)
		return NULL;
	if (!explore_ref_try_get(&f->users)) {
		if (variant & DYING_UNBOUND)
			unbind_locked(s, f->gmem);
		return NULL;
	}
	unbind_locked(s, f->gmem);
	return explore_ref_put(&f->users) ? f : NULL;
}

static void delete_slot(void)
{
	struct file *dead;
	struct slot *s;

	explore_step("KVM_SET_USER_MEMORY_REGION2: delete slot 0");
	explore_mutex_lock(&vm->slots_lock);
	s = vm->slot;
	RELEASE(&vm->slot, NULL);
	explore_synchronize(&vm->srcu);
	dead = unbind(s);
	explore_free(s);
	explore_mutex_unlock(&vm->slots_lock);
	if (dead)
		release(dead);
}

static void fault(void)
{
	struct file *f = NULL, *dead = NULL;
	struct slot *s;

	explore_step("KVM_RUN: fault");
	explore_section_enter(&vm->srcu);
	s = ACQUIRE(&vm->slot);
	if (s) {
		explore_section_enter(&rcu);
		f = ACQUIRE(&s->file);
		if (f && !explore_ref_try_get(&f->users))
			f = NULL;
		explore_section_exit(&rcu);
	}
	if (f && explore_ref_put(&f->users))
		dead = f;
	if (dead && !(variant & RELEASE_AFTER_SECTION)) {
		release(dead);
		dead = NULL;
	}
	explore_section_exit(&vm->srcu);
	if (dead)
		release(dead);
}

static void setup(unsigned what)
{
	variant = what;
	explore_domain_init(&rcu, "seed B rcu", 0);
	vm = NEW_OF(struct vm);
	explore_lock_init(&vm->slots_lock, "seed B slots_lock", 0);
	explore_domain_init(&vm->srcu, "seed B srcu", EXPLORE_SLEEPABLE);
	gmem = NEW_OF(struct file);
	gmem->gmem = NEW_OF(struct gmem_file);
	explore_ref_init(&gmem->users, 1);
	vm->slot = NEW_OF(struct slot);
	vm->slot->file = gmem;
	gmem->gmem->binding = vm->slot;
}

static void finish(void)
{
	explore_barrier(&rcu);
	explore_check(!vm->slot);
	explore_lock_fini(&vm->slots_lock);
	explore_domain_fini(&vm->srcu);
	explore_domain_fini(&rcu);
	explore_free(vm);
}

static void setup_b0(void)
{
	setup(RELEASE_AFTER_SECTION);
}
static void setup_b1(void)
{
	setup(DYING_UNBOUND | RELEASE_AFTER_SECTION);
}
static void setup_b2(void)
{
	setup(DYING_UNBOUND);
}

#define VCPU_1                  \
	{                       \
		"vCPU 0", fault \
	}
#define VCPU_2                  \
	VCPU_1,                 \
	{                       \
		"vCPU 1", fault \
	}
#define VCPU_3                  \
	VCPU_2,                 \
	{                       \
		"vCPU 2", fault \
	}
#define VCPU_4                  \
	VCPU_3,                 \
	{                       \
		"vCPU 3", fault \
	}

#define SEED_B(id, name_, setup_, what, ...)                                                       \
	const struct explore_scenario id = {                                                       \
		.name = name_,                                                                     \
		.summary = "last close of a guest_memfd, deletion of its slot, faults; " what,     \
		.property = "release never meets a freed slot and never waits for its own caller", \
		.source = "kvm 2026-06: Elaborate on how release() vs. get_pfn() is safe against " \
			  "UAF",                                                                   \
		.setup = setup_,                                                                   \
		.thread = {{"close(gmem)", close_gmem},                                            \
			   {"delete slot", delete_slot},                                           \
			   __VA_ARGS__},                                                           \
		.finish = finish,                                                                  \
	}

SEED_B(seed_b0, "seed-b0", setup_b0, "unbind gives up on a dying file", VCPU_1);
SEED_B(seed_b1, "seed-b1", setup_b1, "repaired", VCPU_1);
SEED_B(seed_b2, "seed-b2", setup_b2, "release runs inside the section", VCPU_1);
static SEED_B(seed_b1_4, "seed-b1-4-threads", setup_b1, "repaired, 2 vCPUs", VCPU_2);
static SEED_B(seed_b1_5, "seed-b1-5-threads", setup_b1, "repaired, 3 vCPUs", VCPU_3);
static SEED_B(seed_b1_6, "seed-b1-6-threads", setup_b1, "repaired, 4 vCPUs", VCPU_4);

const struct explore_scenario *const seed_b_grown[4] = {&seed_b1, &seed_b1_4, &seed_b1_5,
							&seed_b1_6};
