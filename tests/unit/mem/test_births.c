/* SPDX-License-Identifier: MIT */
/*
 * What threads share before and besides any machine: the state of the process and the list of machines. In a build for TSan this is
 * the litmus test of the orders in mem/vm_list.c: what one thread makes, another uses with nothing but the list's own words between.
 */
#include "host/alloc.h"
#include "mem/process_mem.h"
#include "rig.h"
#include "test.h"

#define THREADS 3

static struct a32 births_over;

static void pair(void)
{
	struct mem_inval_token t;

	mem_invalidate_start(PAGE, 2 * PAGE, 0, &t);
	mem_invalidate_end(&t);
}

static void first_user(void *arg)
{
	pair();
}

/* Comes late, and nothing tells it that the other one was there. */
static void second_user(void *arg)
{
	sleep_ms(20);
	pair();
}

/* Before any machine: the first test of this program. */
TEST(what_one_thread_makes_of_the_process_another_can_use)
{
	struct helper first, second;

	EXPECT_EQ(a32_load_relaxed(&mem_process()->ready), 0);
	helper_start(&first, first_user, NULL);
	helper_start(&second, second_user, NULL);
	helper_join(&first);
	helper_join(&second);
	EXPECT_NE(a32_load_relaxed(&mem_process()->ready), 0);
}

static void bear_and_bury(void *arg)
{
	struct vm_mem *m = NEW(struct vm_mem);

	for (unsigned i = 0; i < test_rounds(60, 20000); i++) {
		if (mem_init(m, 40))
			abort();
		pair();
		mem_stop_notifier(m);
		mem_fini(m);
	}
	DELETE(m);
}

static void pairs_without_end(void *arg)
{
	while (!a32_load_relaxed(&births_over))
		pair();
}

TEST(machines_of_several_threads_come_and_go_beside_pairs)
{
	struct helper h[THREADS], beside;
	u64 objects;

	rcu_barrier();
	objects = host_alloc_objects();
	a32_store(&births_over, 0);
	helper_start(&beside, pairs_without_end, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		helper_start(&h[i], bear_and_bury, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		helper_join(&h[i]);
	a32_store(&births_over, 1);
	helper_join(&beside);
	EXPECT(!aptr_load_relaxed(&mem_process()->vm_list));
	rcu_barrier();
	EXPECT_EQ(host_alloc_objects(), objects);
}
