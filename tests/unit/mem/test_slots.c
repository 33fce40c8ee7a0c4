/* SPDX-License-Identifier: MIT */
/* Memory slots: validation, the two sets, the INVALID protocol, failures. */
#include "host/alloc.h"
#include "rig.h"
#include "test.h"

static struct rig r;

static int region(u32 slot, u32 flags, u64 gpa, u64 size, u64 hva)
{
	struct mem_region q = {.slot = slot,
			       .flags = flags,
			       .guest_phys_addr = gpa,
			       .memory_size = size,
			       .userspace_addr = hva};

	return mem_set_region(&r.m, &q);
}

TEST(bad_requests_get_the_errno_of_the_first_check_they_fail)
{
	u64 p = (uintptr_t)rig_map(16 * PAGE, 0);

	rig_start(&r);
	EXPECT_EQ(region(0, 4, 0, PAGE, p), -EINVAL);	    /* guest_memfd is not there */
	EXPECT_EQ(region(0, BIT(16), 0, PAGE, p), -EINVAL); /* our own flags are not the caller's */
	EXPECT_EQ(region(32767, 0, 0, PAGE, p), -EINVAL);
	EXPECT_EQ(region(32766, 0, 0, PAGE, p), 0);
	EXPECT_EQ(region(32766, 0, 0, 0, p), 0);
	EXPECT_EQ(region(0, 0, 0, PAGE + 1, p), -EINVAL);
	EXPECT_EQ(region(0, 0, 1, PAGE, p), -EINVAL);
	EXPECT_EQ(region(0, 0, 0, PAGE, p + 1), -EINVAL);
	EXPECT_EQ(region(0, 0, 0, PAGE, p | BIT(60)), -EINVAL);
	EXPECT_EQ(region(0, 0, 0, PAGE, BIT(48)), -EINVAL);
	EXPECT_EQ(region(0, 0, 0, PAGE, ~0ull << 12), -EINVAL);
	EXPECT_EQ(region(0, 0, 0, ~0ull << 12, PAGE), -EINVAL);
	EXPECT_EQ(region(1u << 16, 0, 0, PAGE, p), -EINVAL);
	EXPECT_EQ(region(0, 0, ~0ull << 12, 2 * PAGE, p), -EINVAL);
	EXPECT_EQ(region(0, 0, 0, BIT(31) * PAGE, PAGE), -EINVAL);
	EXPECT_EQ(region(0, 0, 0, 0, p), -EINVAL); /* nothing to delete */
	EXPECT_EQ(region(0, 0, BIT(40) - PAGE, 2 * PAGE, p), -EFAULT);
	EXPECT_EQ(region(0, 0, BIT(40), PAGE, p), -EFAULT);
	EXPECT(!mem_has_slots(&r.m));

	ASSERT_EQ(region(0, 0, 4 * PAGE, 4 * PAGE, p), 0);
	EXPECT(mem_has_slots(&r.m));
	EXPECT_EQ(region(0, 0, 4 * PAGE, 4 * PAGE, p), 0); /* nothing changed */
	EXPECT_EQ(region(0, 0, 4 * PAGE, 3 * PAGE, p), -EINVAL);
	EXPECT_EQ(region(0, 0, 4 * PAGE, 4 * PAGE, p + PAGE), -EINVAL);
	EXPECT_EQ(region(0, MEMSLOT_READONLY, 4 * PAGE, 4 * PAGE, p), -EINVAL);
	EXPECT_EQ(region(1, 0, 7 * PAGE, PAGE, p), -EEXIST);
	EXPECT_EQ(region(1, 0, 0, 5 * PAGE, p), -EEXIST);
	EXPECT_EQ(region(1, 0, 8 * PAGE, PAGE, p), 0); /* the same host memory twice is fine */
	EXPECT_EQ(region(0, 0, 6 * PAGE, 4 * PAGE, p), -EEXIST);
	EXPECT_EQ(region(0, 0, 2 * PAGE, 4 * PAGE, p), 0); /* onto itself */
	EXPECT_EQ(region(0, 0, BIT(40) - PAGE, 4 * PAGE, p), -EFAULT);
	EXPECT_EQ(region(0, 0, 1, 0, p), -EINVAL); /* deletion checks the address as well */
	EXPECT(rig_at_rest(&r.m));
	EXPECT_EQ(region(0, 0, 0, 0, 0), 0);
	EXPECT(rig_stop(&r));
	munmap((void *)p, 16 * PAGE);
}

TEST(a_moved_slot_serves_the_new_addresses_only)
{
	char *p = rig_map(4 * PAGE, 0);
	u32 x = 5;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 4 * PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_WRITE, &x), 0);
	ASSERT_EQ(rig_slot(&r.m, 0, 64 * PAGE, 4 * PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_READ, &x), FAKE_ACTION(MEM_FAULT_MMIO));
	x = 0;
	EXPECT_EQ(fake_access(&r.v, 65 * PAGE, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 5);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * PAGE);
}

TEST(thirty_thousand_slots_are_found_and_deleted)
{
	char *p = rig_map(30000 * PAGE, 0);
	u32 x = 0;

	rig_start(&r);
	for (u32 i = 0; i < 30000; i++)
		ASSERT_EQ(rig_slot(&r.m, i, i * 2 * PAGE, PAGE, p + i * PAGE, 0), 0);
	EXPECT(rig_at_rest(&r.m));
	for (u32 i = 0; i < 30000; i += 997) {
		EXPECT_EQ(fake_access(&r.v, i * 2 * PAGE, FAKE_READ, &x), 0);
		EXPECT_EQ(fake_access(&r.v, (i * 2 + 1) * PAGE, FAKE_READ, &x),
			  FAKE_ACTION(MEM_FAULT_MMIO));
	}
	for (u32 i = 0; i < 30000; i++)
		ASSERT_EQ(rig_slot(&r.m, (i * 7919) % 30000, 0, 0, p, 0), 0);
	EXPECT(rig_stop(&r));
	munmap(p, 30000 * PAGE);
}

/* --- I-13 ---------------------------------------------------------------------------------------------------------- */

static void delete_slot_0(void *arg)
{
	rig_slot(&r.m, 0, 0, 0, NULL, 0);
}

static int fault_result;
static enum mem_fault_action fault_action;

static void read_fault_at_0(void *arg)
{
	struct mem_fault f = {.type = MEM_FAULT_TRANSLATION, .level = 3};
	struct fake_vcpu *v = arg;

	fault_result = mem_fault_handle(&r.m, &v->mem, &f, &fault_action);
}

TEST(I13_a_slot_is_not_freed_while_a_reader_has_it)
{
	struct helper reader, deleter;
	char *p = rig_map(PAGE, 0);
	struct gate g;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	gate_arm(&g, HOOK_FAULT_SLOT_FOUND, 0);
	helper_start(&reader, read_fault_at_0, &r.v);
	ASSERT(gate_wait(&g));
	helper_start(&deleter, delete_slot_0, NULL);
	/* The reader sleeps with the slot in hand: the deleter has to wait for it. */
	EXPECT(!helper_ended_within(&deleter, 50));
	gate_open(&g);
	helper_join(&reader);
	helper_join(&deleter);
	gate_disarm(&g);
	EXPECT_EQ(fault_result, 0);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- I-14 ---------------------------------------------------------------------------------------------------------- */

static struct a32 stop_hammer;

static void hammer(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 n = 0;
	u32 x;

	fake_enter(v);
	for (; !a32_load(&stop_hammer); n++) {
		fake_access(v, n % 8 * PAGE + (n & 16 ? 2 * MIB : 0),
			    n & 1 ? FAKE_READ : FAKE_WRITE, &x);
		fake_poll(v);
	}
	fake_leave(v);
}

static s64 leaves_now(void)
{
	s64 n;

	write_lock(&r.m.mmu_lock);
	n = stage2_check(aptr_load_relaxed(&r.m.mmu.pgt));
	write_unlock(&r.m.mmu_lock);
	return n;
}

TEST(I14_no_translation_survives_deletion_or_move)
{
	char *p = rig_map(4 * MIB, 2 * MIB);
	struct helper h;

	for (unsigned policy = 0; policy < 2; policy++) {
		rig_start(&r);
		r.m.block_policy = policy ? BLOCK_LINEAR : BLOCK_NONE;
		a32_store(&stop_hammer, 0);
		helper_start(&h, hammer, &r.v);
		for (unsigned i = 0; i < 150; i++) {
			ASSERT_EQ(rig_slot(&r.m, 0, 0, 4 * MIB, p, 0), 0);
			for (unsigned spin = 0; spin < 100 && !leaves_now(); spin++)
				sleep_ms(1);
			if (i % 2) {
				/* Out of the hammer's reach: whatever is mapped then came through the old slot. */
				ASSERT_EQ(rig_slot(&r.m, 0, GIB, 4 * MIB, p, 0), 0);
				EXPECT_EQ(leaves_now(), 0);
			}
			ASSERT_EQ(rig_slot(&r.m, 0, 0, 0, p, 0), 0);
			EXPECT_EQ(leaves_now(), 0);
		}
		a32_store(&stop_hammer, 1);
		helper_join(&h);
		EXPECT(a64_load(&r.m.stats.maps_4k) + a64_load(&r.m.stats.maps_2m) > 0);
		EXPECT(rig_stop(&r));
	}
	munmap(p, 4 * MIB);
}

TEST(I14_a_fault_between_the_two_swaps_maps_nothing)
{
	char *p = rig_map(PAGE, 0);
	struct helper deleter;
	struct gate g;
	u32 x;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	gate_arm(&g, HOOK_SLOT_ZAPPED, 0);
	helper_start(&deleter, delete_slot_0, NULL);
	ASSERT(gate_wait(&g));
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), FAKE_ACTION(MEM_FAULT_MMIO));
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_EXEC, &x), FAKE_ACTION(MEM_FAULT_INJECT_IABT));
	EXPECT_EQ(leaves_now(), 0);
	gate_open(&g);
	helper_join(&deleter);
	gate_disarm(&g);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- I-15, I-17 ---------------------------------------------------------------------------------------------------- */

#define MODEL_SLOTS 24

struct model_slot {
	bool used;
	u64 gpa, size, hva;
	u32 flags;
};

static struct model_slot model[MODEL_SLOTS];

static bool model_overlap(u32 id, u64 gpa, u64 size)
{
	for (u32 i = 0; i < MODEL_SLOTS; i++)
		if (i != id && model[i].used && gpa < model[i].gpa + model[i].size &&
		    model[i].gpa < gpa + size)
			return true;
	return false;
}

/* What the request should answer, and the model after it. */
static int model_apply(u32 id, u32 flags, u64 gpa, u64 size, u64 hva, bool commit)
{
	struct model_slot *s = &model[id], new = {true, gpa, size, hva, flags};

	if (!size) {
		if (!s->used)
			return -EINVAL;
		new = (struct model_slot){0};
	} else if (s->used) {
		if (hva != s->hva || size != s->size || ((flags ^ s->flags) & MEMSLOT_READONLY))
			return -EINVAL;
		if (gpa != s->gpa && model_overlap(id, gpa, size))
			return -EEXIST;
	} else if (model_overlap(id, gpa, size)) {
		return -EEXIST;
	}
	if (commit)
		*s = new;
	return 0;
}

static bool model_matches(void)
{
	struct memslot_set *set = memslot_active(&r.m);

	for (u32 i = 0; i < MODEL_SLOTS; i++) {
		struct memslot *s = memslot_find_id(set, i);

		if (!!s != model[i].used)
			return false;
		if (s && (s->base_gfn * PAGE != model[i].gpa || s->npages * PAGE != model[i].size ||
			  s->userspace_addr != model[i].hva || s->flags != model[i].flags ||
			  !!s->dirty_bitmap != !!(s->flags & MEMSLOT_LOG_DIRTY)))
			return false;
	}
	return true;
}

TEST(I15_sets_and_trees_agree_after_every_change_and_every_failure)
{
	u64 p = (uintptr_t)rig_map(256 * PAGE, 0), seed = 15, failures = 0;
	u32 x;

	memset(model, 0, sizeof(model));
	rig_start(&r);
	for (unsigned i = 0; i < test_rounds(4000, 400000); i++) {
		u32 id = next_random(&seed) % MODEL_SLOTS, flags = next_random(&seed) % 4;
		u64 gpa = next_random(&seed) % 200 * PAGE, size = next_random(&seed) % 12 * PAGE;
		u64 hva = p + next_random(&seed) % 200 * PAGE;
		bool inject = next_random(&seed) % 3 == 0;
		int want, got;

		if (model[id].used && next_random(&seed) % 4) {
			/* Mostly requests that can succeed: move, flags, delete. */
			hva = model[id].hva;
			size = next_random(&seed) % 3 ? model[id].size : 0;
			flags = (flags & 1) | (model[id].flags & 2);
		}
		want = model_apply(id, flags, gpa, size, hva, false);
		if (inject)
			host_alloc_fail_at(1 + next_random(&seed) % 4);
		got = region(id, flags, gpa, size, hva);
		host_alloc_fail_at(0);
		if (inject && got == -ENOMEM && !want) {
			failures++;
		} else {
			EXPECT_EQ(got, want);
			model_apply(id, flags, gpa, size, hva, true);
		}
		fake_access(&r.v, next_random(&seed) % 200 * PAGE,
			    next_random(&seed) % 2 ? FAKE_READ : FAKE_WRITE, &x);
		ASSERT(rig_at_rest(&r.m));
		ASSERT(model_matches());
	}
	EXPECT(failures > 100);
	EXPECT(rig_stop(&r));
	munmap((void *)p, 256 * PAGE);
}

/* Fails each allocation of a change in turn; the dumps before and after a failure are equal. */
static unsigned sweep(u32 slot, u32 flags, u64 gpa, u64 size, u64 hva)
{
	for (unsigned nth = 1; nth < 100; nth++) {
		char *before = rig_dump(&r.m), *after;
		u64 objects, left;
		int ret;

		rcu_barrier();
		objects = host_alloc_objects();
		host_alloc_fail_at(nth);
		ret = region(slot, flags, gpa, size, hva);
		left = host_alloc_fail_at(0);
		if (!ret) {
			free(before);
			EXPECT(left != 0 || nth == 1);
			return nth - 1;
		}
		rcu_barrier();
		after = rig_dump(&r.m);
		EXPECT_EQ(ret, -ENOMEM);
		EXPECT(!strcmp(before, after));
		EXPECT_EQ(host_alloc_objects(), objects);
		EXPECT(rig_at_rest(&r.m));
		free(before);
		free(after);
	}
	EXPECT(!"the sweep ends");
	return 0;
}

TEST(I17_a_failed_change_leaves_everything_as_it_was)
{
	u64 p = (uintptr_t)rig_map(16 * PAGE, 0);
	u32 x = 1;

	rig_start(&r);
	EXPECT(sweep(0, MEMSLOT_LOG_DIRTY, 0, 8 * PAGE, p) >= 2); /* create: slot, bitmap */
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_WRITE, &x), 0);
	EXPECT_EQ(fake_access(&r.v, PAGE, FAKE_READ, &x), 0);
	EXPECT(sweep(0, MEMSLOT_LOG_DIRTY, 32 * PAGE, 8 * PAGE, p) >=
	       2); /* move: slot, INVALID copy */
	EXPECT_EQ(fake_access(&r.v, 32 * PAGE, FAKE_WRITE, &x), 0);
	/* The bitmap moved along. */
	EXPECT_EQ(a64_load(&memslot_find_id(memslot_active(&r.m), 0)->dirty_bitmap[0]), 1);
	EXPECT(sweep(0, 0, 32 * PAGE, 8 * PAGE, p) >= 1); /* flags off: slot */
	EXPECT(sweep(0, MEMSLOT_LOG_DIRTY, 32 * PAGE, 8 * PAGE, p) >=
	       2);			   /* flags on: slot, bitmap */
	EXPECT(sweep(0, 0, 0, 0, 0) >= 1); /* delete: INVALID copy */
	EXPECT(rig_stop(&r));
	munmap((void *)p, 16 * PAGE);
}

TEST(I17_a_vm_whose_birth_fails_leaves_nothing)
{
	static struct vm_mem m;
	unsigned failed = 0;

	rcu_barrier();
	for (u64 nth = 1; nth < 100; nth++) {
		u64 objects = host_alloc_objects();
		int ret;

		host_alloc_fail_at(nth);
		ret = mem_init(&m, 48);
		host_alloc_fail_at(0);
		if (!ret) {
			mem_stop_notifier(&m);
			mem_fini(&m);
			EXPECT_EQ(host_alloc_objects(), objects);
			break;
		}
		EXPECT_EQ(ret, -ENOMEM);
		EXPECT_EQ(host_alloc_objects(), objects);
		failed++;
	}
	EXPECT(failed >= 5);
}

TEST(I17_a_fault_without_memory_changes_no_leaf)
{
	char *p = rig_map(4 * PAGE, 0);
	unsigned failed = 0;
	u32 x = 1;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 5 * GIB, 4 * PAGE, p, MEMSLOT_LOG_DIRTY), 0);
	for (u64 nth = 1; nth < 100; nth++) {
		char *before = rig_dump(&r.m), *after;
		struct mem_fault f = {.ipa = 5 * GIB, .type = MEM_FAULT_TRANSLATION, .write = true};
		enum mem_fault_action action;
		u64 left;
		int ret;

		host_alloc_fail_at(nth);
		ret = mem_fault_handle(&r.m, &r.v.mem, &f, &action);
		left = host_alloc_fail_at(0);
		after = rig_dump(&r.m);
		if (ret) {
			EXPECT_EQ(ret, -ENOMEM);
			EXPECT(!strcmp(before, after));
			EXPECT(rig_at_rest(&r.m));
			failed++;
		}
		free(before);
		free(after);
		if (!ret && left)
			break;
	}
	EXPECT(failed >= 2);
	EXPECT_EQ(fake_access(&r.v, 5 * GIB, FAKE_WRITE, &x), 0);
	EXPECT(rig_stop(&r));
	munmap(p, 4 * PAGE);
}

TEST(a_lookup_that_finds_nothing_keeps_the_hint)
{
	char *p = rig_map(PAGE, 0);
	struct memslot_set *set;
	struct memslot *s;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, GIB, PAGE, p, 0), 0);
	mutex_lock(&r.m.slots_lock);
	set = memslot_active(&r.m);
	s = memslot_find_gfn(set, GIB / PAGE);
	EXPECT(s && aptr_load_relaxed(&set->last_used) == s);
	/* MMIO lies between accesses to memory. */
	EXPECT(!memslot_find_gfn(set, 0));
	EXPECT(aptr_load_relaxed(&set->last_used) == s);
	mutex_unlock(&r.m.slots_lock);
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

/* --- I-16 ---------------------------------------------------------------------------------------------------------- */

TEST(I16_generations_change_with_every_swap_and_never_repeat)
{
	char *p = rig_map(PAGE, 0);
	u64 last, now;

	rig_start(&r);
	last = a64_load(&memslot_active(&r.m)->generation);
	for (unsigned i = 0; i < 200; i++) {
		ASSERT_EQ(rig_slot(&r.m, 0, 0, i % 2 ? 0 : PAGE, p, 0), 0);
		now = a64_load(&memslot_active(&r.m)->generation);
		EXPECT_CMP(now, >, last);
		last = now;
	}
	EXPECT(rig_stop(&r));
	munmap(p, PAGE);
}

TEST(I16_a_hint_of_an_older_generation_is_not_used)
{
	char *p = rig_map(2 * PAGE, 0);
	struct memslot planted = {.npages = 1, .userspace_addr = (uintptr_t)p + PAGE};
	u32 x = 0;

	rig_start(&r);
	((u32 *)p)[0] = 1111;
	((u32 *)p)[1024] = 2222;
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	/* What a vCPU remembers of a slot that is no more. */
	r.v.mem.last_slot = &planted;
	r.v.mem.last_gen = a64_load(&memslot_active(&r.m)->generation) - 1;
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 1111);
	/* And for real: seen, deleted, created elsewhere. */
	ASSERT_EQ(rig_slot(&r.m, 0, 0, 0, p, 0), 0);
	ASSERT_EQ(rig_slot(&r.m, 1, 0, PAGE, p + PAGE, 0), 0);
	EXPECT_EQ(fake_access(&r.v, 0, FAKE_READ, &x), 0);
	EXPECT_EQ(x, 2222);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * PAGE);
}

TEST(I16_a_generation_is_final_when_its_set_is_published)
{
	char *p = rig_map(2 * PAGE, 0);
	struct helper deleter;
	struct memslot_set *published;
	struct gate g;
	u64 before, during;

	rig_start(&r);
	ASSERT_EQ(rig_slot(&r.m, 0, 0, PAGE, p, 0), 0);
	before = a64_load(&memslot_active(&r.m)->generation);
	gate_arm(&g, HOOK_SWAP_PUBLISHED, 0);
	helper_start(&deleter, delete_slot_0, NULL);
	ASSERT(gate_wait(&g));
	published = memslot_active(&r.m);
	during = a64_load(&published->generation);
	EXPECT_EQ(during, before + 1);
	EXPECT_NE(a64_load(&r.m.stats.slot_swaps), a64_load(&r.m.stats.slot_swaps_settled));
	gate_open(&g);
	helper_join(&deleter);
	gate_disarm(&g);
	/* The deletion's second swap made the other set the active one. */
	EXPECT_EQ(a64_load(&published->generation), during);
	EXPECT_EQ(a64_load(&memslot_active(&r.m)->generation), during + 1);
	EXPECT(rig_stop(&r));
	munmap(p, 2 * PAGE);
}
