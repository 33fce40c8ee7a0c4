/* SPDX-License-Identifier: MIT */
/*
 * The dirty log of a slot of 4 GiB that the guest has mapped by pages: GET (which clears and protects), and in manual mode GET and
 * CLEAR apart; with no page dirty, one in 512, and all. And turning the log on over large leaves, with eager splitting (which an
 * x86 KVM does by itself) and without.
 */
#include <anykvm/kvm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "guest.h"

#define PAGES  (MEMORY_SIZE / 4096)
#define SPARSE (2 * MIB) /* from one dirty page to the next */
#define FULL   (4 * KIB)
#define CLEAN  0ul

enum request { GET, MANUAL_GET, CLEAR };

static void enable(struct backend *b, int vm, unsigned cap, uint64_t value)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {value}};

	must(b->ioctl(vm, KVM_ENABLE_CAP, &enable), "KVM_ENABLE_CAP");
}

static void get(struct backend *b, int vm, void *bitmap)
{
	struct kvm_dirty_log log = {.dirty_bitmap = bitmap};

	must(b->ioctl(vm, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
}

static void clear(struct backend *b, int vm, void *bitmap)
{
	struct kvm_clear_dirty_log log = {.num_pages = PAGES, .dirty_bitmap = bitmap};

	must(b->ioctl(vm, KVM_CLEAR_DIRTY_LOG, &log), "KVM_CLEAR_DIRTY_LOG");
}

/* Each page has to be told exactly: a log that forgets is fast. */
static void check(const uint64_t *bitmap, unsigned long stride)
{
	unsigned long nr = 0;

	for (unsigned long i = 0; i < PAGES / 64; i++)
		nr += __builtin_popcountl(bitmap[i]);
	must(nr == (stride ? MEMORY_SIZE / stride : 0) ? 0 : -1, "wrong number of dirty pages");
}

static double dirty_log(struct backend *b, unsigned rounds, enum request request,
			unsigned long stride)
{
	void *bitmap = calloc(1, PAGES / 8);
	double spent = 0, start;
	struct guest g;

	memory_populate(MEMORY_SIZE + MEMORY_TAIL);
	guest_create(&g, b, 1);
	if (request != GET)
		enable(b, g.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1);
	set_slot(b, g.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, GUEST_DATA, MEMORY_SIZE,
		 (char *)memory_base() + LEAF_4K);
	guest_touch(&g, GUEST_DATA, MEMORY_SIZE, 4 * KIB);
	get(b, g.vm, bitmap);
	check(bitmap, FULL);
	if (request != GET)
		clear(b, g.vm, bitmap);
	for (unsigned i = 0; i < rounds; i++) {
		if (stride)
			guest_touch(&g, GUEST_DATA, MEMORY_SIZE, stride);
		start = now_ns();
		get(b, g.vm, bitmap);
		if (request == CLEAR) {
			start = now_ns();
			clear(b, g.vm, bitmap);
		}
		spent += now_ns() - start;
		check(bitmap, stride);
		/* The next round begins clean. */
		if (request == MANUAL_GET && stride)
			clear(b, g.vm, bitmap);
	}
	guest_destroy(&g);
	free(bitmap);
	return spent / rounds;
}

#define DIRTY(name, request, stride)                            \
	static double name(struct backend *b, unsigned rounds)  \
	{                                                       \
		return dirty_log(b, rounds, (request), stride); \
	}
DIRTY(dirty_get_4g_clean, GET, CLEAN)
DIRTY(dirty_get_4g_sparse, GET, SPARSE)
DIRTY(dirty_get_4g_full, GET, FULL)
DIRTY(dirty_manual_get_4g_clean, MANUAL_GET, CLEAN)
DIRTY(dirty_manual_get_4g_sparse, MANUAL_GET, SPARSE)
DIRTY(dirty_clear_4g_clean, CLEAR, CLEAN)
DIRTY(dirty_clear_4g_sparse, CLEAR, SPARSE)
DIRTY(dirty_clear_4g_full, CLEAR, FULL)

/* Whether turning the log on can split: arm64 is asked, an x86 KVM does it unasked if it has the TDP MMU. */
static bool splits_eagerly(struct backend *b)
{
	char answer = 0;
	FILE *f;

	if (b->arch == &guest_arm64)
		return b->ioctl(b->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES) > 0;
	f = fopen("/sys/module/kvm/parameters/tdp_mmu", "r");
	if (f) {
		answer = fgetc(f);
		fclose(f);
	}
	return answer == 'Y';
}

/* chunk: of KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 0 for no splitting. */
static double log_on(struct backend *b, unsigned rounds, size_t offset, unsigned long stride,
		     uint64_t chunk)
{
	char *memory = (char *)memory_base() + offset;
	double spent = 0, start;
	struct guest g;

	if (chunk && !splits_eagerly(b))
		return UNSUPPORTED;
	memory_populate(MEMORY_SIZE + MEMORY_TAIL);
	for (unsigned i = 0; i < rounds; i++) {
		int vm = make_vm(b);

		if (chunk && b->arch == &guest_arm64)
			enable(b, vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, chunk);
		guest_create_in(&g, b, vm, 1);
		set_slot(b, g.vm, 0, 0, GUEST_DATA, MEMORY_SIZE, memory);
		guest_touch(&g, GUEST_DATA, MEMORY_SIZE, stride);
		start = now_ns();
		set_slot(b, g.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, GUEST_DATA, MEMORY_SIZE, memory);
		spent += now_ns() - start;
		guest_destroy(&g);
	}
	return spent / rounds;
}

static double log_on_4g_4k(struct backend *b, unsigned rounds)
{
	return log_on(b, rounds, LEAF_4K, 4 * KIB, 0);
}

static double log_on_4g_2m(struct backend *b, unsigned rounds)
{
	return log_on(b, rounds, LEAF_2M, 2 * MIB, 0);
}

static double eager_split_4g_2m(struct backend *b, unsigned rounds)
{
	return log_on(b, rounds, LEAF_2M, 2 * MIB, 2 * MIB);
}

static double eager_split_4g_1g(struct backend *b, unsigned rounds)
{
	double ns = log_on(b, rounds, LEAF_1G, 2 * MIB, GIB);

	memory_release();
	return ns;
}

static const struct op ops[] = {
	{"dirty_get_4g_clean", 100, 2, dirty_get_4g_clean},
	{"dirty_get_4g_sparse", 10, 2, dirty_get_4g_sparse},
	{"dirty_get_4g_full", 1, 3, dirty_get_4g_full},
	{"dirty_manual_get_4g_clean", 100, 2, dirty_manual_get_4g_clean},
	{"dirty_manual_get_4g_sparse", 10, 2, dirty_manual_get_4g_sparse},
	{"dirty_clear_4g_clean", 100, 2, dirty_clear_4g_clean},
	{"dirty_clear_4g_sparse", 10, 2, dirty_clear_4g_sparse},
	{"dirty_clear_4g_full", 1, 3, dirty_clear_4g_full},
	{"log_on_4g_4k", 1, 2, log_on_4g_4k},
	{"log_on_4g_2m", 1, 3, log_on_4g_2m},
	{"eager_split_4g_2m", 1, 3, eager_split_4g_2m},
	{"eager_split_4g_1g", 1, 3, eager_split_4g_1g},
};
GROUP(dirty, ops);
