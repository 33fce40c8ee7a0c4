/* SPDX-License-Identifier: MIT */
/* Everything at once, bounded: vCPUs, slot changes, pairs, dirty logs, aging, raw changes. What must hold at rest, holds. */
#include <time.h>

#include "rig.h"
#include "test.h"

static struct rig r;
static struct fake_vcpu second;
static struct a32 over;
static char *mem;

#define NR_AREAS 4
#define AREA	 (4 * MIB)

static void vcpu_main(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = (uintptr_t)v;
	u32 x = 1;

	fake_enter(v);
	while (!a32_load(&over)) {
		u64 n = next_random(&seed),
		    ipa = (n >> 8) % NR_AREAS * AREA + (n >> 16) % (AREA / PAGE) * PAGE;

		if (n & BIT(60))
			ipa = (n >> 8) % NR_AREAS * AREA + (n >> 16) % 4 * PAGE;
		int ret = fake_access(v, ipa, n % 3, &x);

		if (ret < 0 && ret != -EFAULT && ret != -EAGAIN)
			abort();
		fake_poll(v);
	}
	fake_leave(v);
}

static void pairs_main(void *arg)
{
	u64 seed = 77;

	for (unsigned i = 0; i < test_rounds(1500, 150000); i++) {
		u64 n = next_random(&seed), size = ((n >> 8) % 16 + 1) * PAGE;
		char *start = mem + (n >> 16) % ((NR_AREAS * AREA - size) / PAGE) * PAGE;
		struct mem_inval_token t;
		bool keep = n & 1;

		mem_invalidate_start((uintptr_t)start, (uintptr_t)start + size,
				     keep ? MEM_INVAL_KEEP_VMA : 0, &t);
		if (keep)
			madvise(start, size, MADV_DONTNEED);
		else if (mmap(start, size, n & 2 ? PROT_READ : PROT_READ | PROT_WRITE,
			      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			      0) != start)
			abort();
		mem_invalidate_end(&t);
		if (!(n & 0xff0))
			mem_age((uintptr_t)mem, (uintptr_t)mem + AREA, n & 1, n & 2);
		/* Behind the library's back. */
		if ((n & 0xf) == 7)
			munmap(start, PAGE);
		if ((n & 0xf) == 8)
			mprotect(start, size, PROT_NONE);
	}
}

static void slots_main(void *arg)
{
	static u64 bits[AREA / PAGE / 64];
	u64 seed = 78;

	for (unsigned i = 0; i < test_rounds(1500, 150000); i++) {
		u64 n = next_random(&seed);
		u32 id = n % NR_AREAS;

		switch ((n >> 8) % 6) {
		case 0:
			rig_slot(&r.m, id, id * AREA, 0, mem, 0);
			break;
		case 1:
		case 2:
			rig_slot(&r.m, id, id * AREA, AREA, mem + id * AREA,
				 n & BIT(20) ? MEMSLOT_LOG_DIRTY : 0);
			break;
		case 3:
			rig_slot(&r.m, id, id * AREA + GIB, AREA, mem + id * AREA, 0);
			break;
		case 4:
			mem_get_dirty_log(&r.m, id, bits);
			break;
		case 5:
			mem_clear_dirty_log(&r.m, id, 64, 128, bits);
			break;
		}
	}
}

TEST(everything_at_once_leaves_tables_counts_and_slots_in_order)
{
	struct helper v[2], p, s;

	mem = rig_map(NR_AREAS * AREA, 2 * MIB);
	rig_start(&r);
	fake_vcpu_init(&second, &r.m);
	for (u32 id = 0; id < NR_AREAS; id++)
		ASSERT_EQ(rig_slot(&r.m, id, id * AREA, AREA, mem + id * AREA, 0), 0);
	a32_store(&over, 0);
	helper_start(&v[0], vcpu_main, &r.v);
	helper_start(&v[1], vcpu_main, &second);
	helper_start(&p, pairs_main, NULL);
	helper_start(&s, slots_main, NULL);
	helper_join(&p);
	helper_join(&s);
	/* On a busy machine the vCPUs may only have begun. */
	for (unsigned i = 0; i < 2000 && a64_load(&r.m.stats.faults) < 100; i++)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	a32_store(&over, 1);
	helper_join(&v[0]);
	helper_join(&v[1]);
	EXPECT_CMP(a64_load(&r.m.stats.faults), >=, 100);
	fake_vcpu_fini(&second);
	EXPECT(rig_stop(&r));
	munmap(mem, NR_AREAS * AREA);
}

static void map_storm(void *arg)
{
	struct fake_vcpu *v = arg;
	u64 seed = (uintptr_t)v;
	u32 x = 1;

	fake_enter(v);
	for (unsigned i = 0; i < test_rounds(40000, 4000000); i++) {
		u64 n = next_random(&seed);

		if (fake_access(v, n % 1024 * PAGE, n & BIT(20) ? FAKE_WRITE : FAKE_EXEC, &x))
			abort();
	}
	fake_leave(v);
}

TEST(two_vcpus_that_map_the_same_pages_agree)
{
	struct helper v[2];

	mem = rig_map(AREA, 2 * MIB);
	for (unsigned round = 0; round < 3; round++) {
		rig_start(&r);
		fake_vcpu_init(&second, &r.m);
		r.v.no_cache = second.no_cache = true;
		if (round == 2)
			r.m.block_policy = BLOCK_NONE;
		ASSERT_EQ(rig_slot(&r.m, 0, 0, AREA, mem, round == 1 ? MEMSLOT_LOG_DIRTY : 0), 0);
		helper_start(&v[0], map_storm, &r.v);
		helper_start(&v[1], map_storm, &second);
		helper_join(&v[0]);
		helper_join(&v[1]);
		write_lock(&r.m.mmu_lock);
		EXPECT_EQ(stage2_check(aptr_load_relaxed(&r.m.mmu.pgt)), round ? 1024 : 2);
		write_unlock(&r.m.mmu_lock);
		fake_vcpu_fini(&second);
		EXPECT(rig_stop(&r));
	}
	munmap(mem, AREA);
}
