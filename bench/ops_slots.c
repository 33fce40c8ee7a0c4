/* SPDX-License-Identifier: MIT */
/* Memory slots: add, move, change of flags, delete, among nr slots; and a delete with a mapped gigabyte behind it. */
#include <anykvm/kvm.h>

#include "bench.h"
#include "guest.h"

#define SLOT_GPA  (1 * GIB)
#define SLOT_SIZE (2 * MIB)
#define OTHERS	  (16 * GIB)

enum step { ADD, MOVE, FLAGS, DELETE };

/* Of each round of add, move, flags, delete the time of one step. */
static double slots(struct backend *b, unsigned rounds, unsigned nr, enum step which)
{
	int vm = make_vm(b);
	double spent = 0;

	for (unsigned i = 1; i < nr; i++)
		set_slot(b, vm, i, 0, OTHERS + i * 8 * KIB, 4 * KIB, memory_base());
	for (unsigned i = 0; i < rounds; i++) {
		double at[5];

		at[0] = now_ns();
		set_slot(b, vm, 0, 0, SLOT_GPA, SLOT_SIZE, memory_base());
		at[1] = now_ns();
		set_slot(b, vm, 0, 0, 2 * SLOT_GPA, SLOT_SIZE, memory_base());
		at[2] = now_ns();
		set_slot(b, vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 2 * SLOT_GPA, SLOT_SIZE, memory_base());
		at[3] = now_ns();
		set_slot(b, vm, 0, 0, 2 * SLOT_GPA, 0, memory_base());
		at[4] = now_ns();
		spent += at[which + 1] - at[which];
	}
	b->close(vm);
	return spent / rounds;
}

#define SLOTS(nr)                                                     \
	static double add_##nr(struct backend *b, unsigned rounds)    \
	{                                                             \
		return slots(b, rounds, nr, ADD);                     \
	}                                                             \
	static double move_##nr(struct backend *b, unsigned rounds)   \
	{                                                             \
		return slots(b, rounds, nr, MOVE);                    \
	}                                                             \
	static double flags_##nr(struct backend *b, unsigned rounds)  \
	{                                                             \
		return slots(b, rounds, nr, FLAGS);                   \
	}                                                             \
	static double delete_##nr(struct backend *b, unsigned rounds) \
	{                                                             \
		return slots(b, rounds, nr, DELETE);                  \
	}
SLOTS(1)
SLOTS(512)
SLOTS(32000)

static double delete_mapped(struct backend *b, unsigned rounds, size_t offset, unsigned long stride)
{
	double spent = 0;
	struct guest g;

	memory_populate(GIB + MEMORY_TAIL);
	guest_create(&g, b, 1);
	for (unsigned i = 0; i < rounds; i++) {
		double start;

		set_slot(b, g.vm, 0, 0, GUEST_DATA, GIB, (char *)memory_base() + offset);
		guest_touch(&g, GUEST_DATA, GIB, stride);
		start = now_ns();
		set_slot(b, g.vm, 0, 0, GUEST_DATA, 0, (char *)memory_base() + offset);
		spent += now_ns() - start;
	}
	guest_destroy(&g);
	return spent / rounds;
}

static double slot_delete_1g_4k(struct backend *b, unsigned rounds)
{
	return delete_mapped(b, rounds, LEAF_4K, 4 * KIB);
}

static double slot_delete_1g_2m(struct backend *b, unsigned rounds)
{
	double ns = delete_mapped(b, rounds, LEAF_2M, 2 * MIB);

	memory_release();
	return ns;
}

#define FOUR(nr)                                                                    \
	{"slot_add_" #nr, 100, 3, add_##nr}, {"slot_move_" #nr, 100, 3, move_##nr}, \
		{"slot_flags_" #nr, 100, 3, flags_##nr},                            \
	{                                                                           \
		"slot_delete_" #nr, 100, 3, delete_##nr                             \
	}

static const struct op ops[] = {
	FOUR(1),
	FOUR(512),
	FOUR(32000),
	{"slot_delete_1g_4k", 2, 3, slot_delete_1g_4k},
	{"slot_delete_1g_2m", 5, 3, slot_delete_1g_2m},
};
GROUP(slots, ops);
