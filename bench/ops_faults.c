/* SPDX-License-Identifier: MIT */
/*
 * How fast a guest gets at memory that is present in the host: ns per fault, all vCPUs together. Between the rounds the slot is
 * deleted and added, which takes every leaf away.
 */
#include <anykvm/kvm.h>

#include "bench.h"
#include "guest.h"

static double faults(struct backend *b, unsigned rounds, int nr_vcpus, size_t size, size_t offset,
		     unsigned long stride)
{
	double spent = 0;
	struct guest g;

	memory_populate(size + MEMORY_TAIL);
	guest_create(&g, b, nr_vcpus);
	for (unsigned i = 0; i < rounds; i++) {
		set_slot(b, g.vm, 0, 0, GUEST_DATA, size, (char *)memory_base() + offset);
		spent += guest_touch(&g, GUEST_DATA, size, stride);
		set_slot(b, g.vm, 0, 0, GUEST_DATA, 0, (char *)memory_base() + offset);
	}
	guest_destroy(&g);
	return spent / rounds / (size / stride);
}

static double fault_4k_1(struct backend *b, unsigned rounds)
{
	return faults(b, rounds, 1, GIB / 2, LEAF_4K, 4 * KIB);
}

static double fault_4k_4(struct backend *b, unsigned rounds)
{
	return faults(b, rounds, 4, GIB / 2, LEAF_4K, 4 * KIB);
}

static double fault_2m_1(struct backend *b, unsigned rounds)
{
	return faults(b, rounds, 1, MEMORY_SIZE, LEAF_2M, 2 * MIB);
}

static double fault_2m_4(struct backend *b, unsigned rounds)
{
	double ns = faults(b, rounds, 4, MEMORY_SIZE, LEAF_2M, 2 * MIB);

	memory_release();
	return ns;
}

static const struct op ops[] = {
	{"fault_4k_1", 2, 3, fault_4k_1},
	{"fault_4k_4", 2, 3, fault_4k_4},
	{"fault_2m_1", 5, 3, fault_2m_1},
	{"fault_2m_4", 5, 3, fault_2m_4},
};
GROUP(faults, ops);
