/* SPDX-License-Identifier: MIT */
/* guest_memfd below the API: all of it at once, bounded. What must hold at rest, holds. */
#include "gmem_rig.h"

#define FILES 2

static struct {
	struct mutex lock; /* of the array: a reference is taken under it */
	struct file *f[FILES];
	struct a32 stop;
} storm;

static struct file *storm_get(u64 n)
{
	struct file *f;

	mutex_lock(&storm.lock);
	f = storm.f[n % FILES];
	file_get(f);
	mutex_unlock(&storm.lock);
	return f;
}

static void storm_slots(void *arg)
{
	u64 seed = 1;

	for (unsigned i = 0; i < test_rounds(5000, 400000); i++) {
		u64 n = next_random(&seed);
		struct file *f;

		library_enter();
		f = storm_get(n);
		slot(n / 8 % 4, GPA + n / 8 % 4 * SIZE, n & BIT(30) ? 0 : MIB, f, n / 32 % 4 * MIB);
		file_put(f);
		library_exit();
	}
	a32_store(&storm.stop, 1);
}

static void storm_holes(void *arg)
{
	u64 seed = 2;

	while (!a32_load(&storm.stop)) {
		u64 n = next_random(&seed), from = n % (SIZE / PAGE) * PAGE;
		struct file *f;

		library_enter();
		f = storm_get(n >> 40);
		if (n & BIT(30))
			gmem_punch(inode_of(f), from, SIZE, NULL);
		else if (n & BIT(31))
			gmem_error(inode_of(f), from, from + PAGE, NULL);
		else
			gmem_allocate(inode_of(f), from, from + PAGE);
		file_put(f);
		library_exit();
	}
}

static void storm_files(void *arg)
{
	u64 seed = 3;

	while (!a32_load(&storm.stop)) {
		u64 n = next_random(&seed);
		struct file *f = gmem_new(SIZE), *old;

		library_enter();
		mutex_lock(&storm.lock);
		old = storm.f[n % FILES];
		storm.f[n % FILES] = f;
		mutex_unlock(&storm.lock);
		file_put(old);
		library_exit();
	}
}

TEST(I28_files_slots_holes_and_faults_in_any_order_end_at_rest)
{
	struct helper h[3];
	u64 seed = 4;
	u32 x;

	start();
	a32_store(&storm.stop, 0);
	mutex_init(&storm.lock, RANK_LEAF, "storm");
	for (unsigned i = 0; i < FILES; i++)
		storm.f[i] = gmem_new(SIZE);
	helper_start(&h[0], storm_slots, NULL);
	helper_start(&h[1], storm_holes, NULL);
	helper_start(&h[2], storm_files, NULL);
	while (!a32_load(&storm.stop)) {
		u64 n = next_random(&seed);
		int ret = guest(GPA + n % (4 * SIZE / PAGE) * PAGE,
				n & BIT(40) ? FAKE_WRITE : FAKE_READ, &x);

		if (ret && ret != -EFAULT && ret != -EHWPOISON && ret != -EINTR &&
		    ret != FAKE_ACTION(MEM_FAULT_MMIO)) {
			TEST_FAIL("a fault gave %d", ret);
			break;
		}
	}
	for (unsigned i = 0; i < 3; i++)
		helper_join(&h[i]);
	for (u32 id = 0; id < 4; id++)
		slot(id, GPA, 0, NULL, 0);
	for (unsigned i = 0; i < FILES; i++) {
		EXPECT(unbound(storm.f[i]->gmem));
		file_put(storm.f[i]);
	}
	mutex_fini(&storm.lock);
	EXPECT(rig_stop(&r));
}
