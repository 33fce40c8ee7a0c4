/* SPDX-License-Identifier: MIT */
/*
 * Changes of host mappings, with the freeing of the host's pages, which is the same work for both: taken from under a guest
 * that has them mapped, and elsewhere in a process that has a VM with 512 slots.
 */
#include <anykvm/kvm.h>

#include <sys/mman.h>

#include "bench.h"
#include "guest.h"

#define SIZE (64 * MIB)

/* Small pages, one page off the boundary of a huge one, so that leaves are 4 KiB whatever the policy. */
static char *map_small(char **whole)
{
	char *p = mmap(NULL, SIZE + 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	must(p == MAP_FAILED ? -1 : 0, "mmap");
	must(madvise(p, SIZE + 4 * MIB, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	*whole = p;
	p = (char *)((((uintptr_t)p + 2 * MIB - 1) & ~(2 * MIB - 1)) + 4 * KIB);
	for (size_t at = 0; at < SIZE; at += 4096)
		p[at] = 1;
	return p;
}

/* How the mapped memory goes: ns per call. */
enum way { DISCARD_PAGES, DISCARD_ALL, UNMAP_ALL };

static double take_away(struct backend *b, unsigned rounds, enum way way)
{
	unsigned long calls = way == DISCARD_PAGES ? SIZE / 4096 : 1;
	double spent = 0;
	struct guest g;

	guest_create(&g, b, 1);
	for (unsigned i = 0; i < rounds; i++) {
		char *whole, *p = map_small(&whole);
		double start;

		set_slot(b, g.vm, 0, 0, GUEST_DATA, SIZE, p);
		guest_touch(&g, GUEST_DATA, SIZE, 4 * KIB);
		start = now_ns();
		if (way == UNMAP_ALL)
			must(b->munmap(p, SIZE), "munmap");
		for (unsigned long c = 0; c < calls && way != UNMAP_ALL; c++)
			must(b->madvise(p + c * 4096, SIZE / calls, MADV_DONTNEED), "madvise");
		spent += now_ns() - start;
		set_slot(b, g.vm, 0, 0, GUEST_DATA, 0, p);
		b->munmap(whole, SIZE + 4 * MIB);
	}
	guest_destroy(&g);
	return spent / rounds / calls;
}

static double notifier_discard_4k(struct backend *b, unsigned rounds)
{
	return take_away(b, rounds, DISCARD_PAGES);
}

static double notifier_discard_64m(struct backend *b, unsigned rounds)
{
	return take_away(b, rounds, DISCARD_ALL);
}

static double notifier_munmap_64m(struct backend *b, unsigned rounds)
{
	return take_away(b, rounds, UNMAP_ALL);
}

static double notifier_elsewhere(struct backend *b, unsigned rounds)
{
	int vm = make_vm(b);
	double start, spent;
	char *p, *whole;

	for (unsigned i = 0; i < 512; i++)
		set_slot(b, vm, i, 0, GIB + i * 8 * KIB, 4 * KIB, memory_base());
	p = map_small(&whole);
	start = now_ns();
	for (unsigned i = 0; i < rounds; i++)
		must(b->madvise(p + i % 4096 * 4096, 4096, MADV_DONTNEED), "madvise");
	spent = now_ns() - start;
	b->munmap(whole, SIZE + 4 * MIB);
	b->close(vm);
	return spent / rounds;
}

static const struct op ops[] = {
	{"notifier_discard_4k", 2, 3, notifier_discard_4k},
	{"notifier_discard_64m", 3, 3, notifier_discard_64m},
	{"notifier_munmap_64m", 3, 3, notifier_munmap_64m},
	{"notifier_elsewhere", 4096, 3, notifier_elsewhere},
};
GROUP(notifier, ops);
