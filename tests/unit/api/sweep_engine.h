/* SPDX-License-Identifier: MIT */
/*
 * Three things done with every operation of sweep.c:
 *
 *	each allocation fails in turn	 the error is ENOMEM; the machine (slots, bitmaps, leaves, counts), the process (mappings,
 *					 userfault ranges, descriptors) and the library's objects are as before; the operation
 *					 works a moment later; nothing is left when the machine is gone
 *	each descriptor fails in turn	 the same with EMFILE
 *	each allocation is remembered	 once the machine is gone its memory is poisoned: a use after free of any object type would
 *					 be caught (LO-11)
 */
#ifndef ANYKVM_TESTS_SWEEP_ENGINE_H
#define ANYKVM_TESTS_SWEEP_ENGINE_H

#include <sys/resource.h>

#include "../../api/vmm.h"
#include "../../fds.h"
#include "api/api.h"
#include "host/alloc.h"
#include "host/guarded.h"
#include "host/signal.h"
#include "mem/process_mem.h"
#include "sync/rcu.h"

#if defined(ANYKVM_ASAN)
#include <sanitizer/asan_interface.h>
#endif

#define SLOT_GPA  0x80000000ull
#define SLOT_SIZE 0x200000ull
#define POISON	  0x6b /* of freed memory in checked builds */

struct rig {
	struct machine m;
	int gic, gmem, event, file, result_fd;
	unsigned char *slot, *anonymous;
	void *map, *spot;
	/* a second machine, with dirty rings */
	int ring_vm, ring_vcpu;
	void *ring;
};

struct operation {
	const char *name;
	int (*fn)(struct rig *r); /* -1 with errno, or success */
	void (*prepare)(struct rig *r);
	enum {
		EXACT,
		KEEPS_MEMORY, /* what was allocated before the failure may stay, as the machine's */
		RUNS_A_GUEST, /* the same, and the guest may have got further before it failed */
	} strictness;
};

static struct rig rig_new(const struct operation *o);
static void rig_free(struct rig *r);

/* --- state ---------------------------------------------------------------------------------------------------------------- */

#if defined(ANYKVM_CHECKED)
/* tests/unit/mem/rig.c */
char *rig_dump(struct vm_mem *m);
bool rig_at_rest(struct vm_mem *m);

static struct vm *vm_of(int fd)
{
	struct file *f = fd_get(fd, false);
	struct vm *vm;

	ASSERT(f);
	vm = api_file_of(f)->vm;
	file_put(f); /* the descriptor has another */
	return vm;
}

static void memory_state(struct rig *r, FILE *out)
{
	struct vm *vm = vm_of(r->m.vcpu[0]);
	u64 mask = host_signals_block();
	char *memory = rig_dump(&vm->mem);

	host_signals_restore(mask);
	fprintf(out, "%screated %u online %u mappings %llu userfault %llu\n", memory,
		vm->created_vcpus, a32_load(&vm->group.nr),
		(unsigned long long)api_process()->mappings.nr,
		(unsigned long long)mem_process()->userfault.nr);
	free(memory);
}

static bool at_rest(struct rig *r)
{
	u64 mask = host_signals_block();
	bool rest = rig_at_rest(&vm_of(r->m.vcpu[0])->mem);

	host_signals_restore(mask);
	return rest;
}
#else
static void memory_state(struct rig *r, FILE *out)
{
}
static bool at_rest(struct rig *r)
{
	return true;
}
#endif

/* A text to compare; free() it. */
static char *state_of(const struct operation *o, struct rig *r)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (o->strictness != RUNS_A_GUEST)
		memory_state(r, out);
	fprintf(out, "descriptors %d\n", count_fds());
	fclose(out);
	return text;
}

static void check_state(const struct operation *o, unsigned long n, struct rig *r,
			const char *before)
{
	char *after = state_of(o, r);

	if (!at_rest(r))
		TEST_FAIL("%s, failure %lu: not at rest", o->name, n);
	if (strcmp(before, after))
		TEST_FAIL("%s, failure %lu changed the state\n--- before\n%s--- after\n%s", o->name,
			  n, before, after);
	free(after);
}

static void check_after_failure(const struct operation *o, unsigned long n, struct rig *r,
				int error, int wanted, uint64_t objects, const char *state)
{
	uint64_t after;

	rcu_barrier();
	after = host_alloc_objects();
	if (error != wanted && !(wanted == EMFILE && error == ENFILE))
		TEST_FAIL("%s, failure %lu: errno %d, expected %d", o->name, n, error, wanted);
	if (o->strictness == EXACT && after != objects)
		TEST_FAIL("%s, failure %lu: %lld objects left behind", o->name, n,
			  (long long)(after - objects));
	check_state(o, n, r, state);
}

/* What the process keeps while it has machines (the notifier's list and its spare) is there before anything is counted. */
static void anchor(void)
{
	static int done;

	if (done++)
		return;
	/* The host's allocates nothing of ours. */
	setenv("ANYKVM_USERFAULTFD", "emulate", 1);
	for (int i = 0; i < 2; i++)
		ASSERT(ioctl(open_kvm(), KVM_CREATE_VM, 0) >= 0);
}

/* --- failures ------------------------------------------------------------------------------------------------------------- */

/* Objects when no machine of o's is there, after the first of its kind. */
static uint64_t objects_at_rest(const struct operation *o)
{
	struct rig warm = rig_new(o);

	EXPECT(o->fn(&warm) >= 0);
	rig_free(&warm);
	return host_alloc_objects();
}

/* False once o has fewer than n allocations. */
static bool fail_allocation(const struct operation *o, unsigned long n, unsigned long *failures)
{
	struct rig r = rig_new(o);
	char *state = state_of(o, &r);
	uint64_t objects = host_alloc_objects(), left;
	int result, error;

	host_alloc_fail_at(n);
	errno = 0;
	result = o->fn(&r);
	error = errno;
	left = host_alloc_fail_at(0);
	if (!left && result < 0) {
		++*failures;
		check_after_failure(o, n, &r, error, ENOMEM, objects, state);
		/* once more, with memory */
		if (o->fn(&r) < 0)
			TEST_FAIL("%s does not work after failure %lu", o->name, n);
	} else if (result < 0) {
		TEST_FAIL("%s failed without a failing allocation (errno %d)", o->name, error);
	}
	free(state);
	rig_free(&r);
	return !left;
}

static void fail_each_allocation(const struct operation *o)
{
	uint64_t at_rest = objects_at_rest(o);
	unsigned long n, failures = 0;

	for (n = 1; n < 400 && fail_allocation(o, n, &failures); n++)
		if (host_alloc_objects() != at_rest)
			TEST_FAIL("%s, failure %lu: %lld objects leaked by the machine", o->name, n,
				  (long long)(host_alloc_objects() - at_rest));
	EXPECT(n < 400);
	printf("# %-40s %lu allocations, %lu failures\n", o->name, n - 1, failures);
}

/* With few descriptors: qemu-user makes up this file, and leaves it empty where it cannot open the host's. */
static bool maps_are_empty(void)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	bool empty;
	char c;

	if (fd < 0)
		return false;
	empty = !read(fd, &c, 1);
	close(fd);
	return empty;
}

static void fail_each_descriptor(const struct operation *o)
{
	struct rlimit before;

	getrlimit(RLIMIT_NOFILE, &before);
	for (int room = 0; room < 6; room++) {
		struct rig r = rig_new(o);
		char *state = state_of(o, &r);
		uint64_t objects = host_alloc_objects();
		struct rlimit limit = before;
		int result, error, highest;
		bool empty;

		/* numbers are handed out lowest first: only `room` are left */
		highest = dup(0);
		close(highest);
		limit.rlim_cur = highest + room;
		setrlimit(RLIMIT_NOFILE, &limit);
		empty = maps_are_empty();
		errno = 0;
		result = o->fn(&r);
		error = errno;
		setrlimit(RLIMIT_NOFILE, &before);
		if (result < 0) {
			if (empty && error == EIO)
				error = EMFILE;
			check_after_failure(o, room, &r, error, EMFILE, objects, state);
			if (o->fn(&r) < 0)
				TEST_FAIL("%s does not work after a full table", o->name);
		}
		free(state);
		rig_free(&r);
	}
}

/* --- freed memory --------------------------------------------------------------------------------------------------------- */

#if defined(ANYKVM_ASAN)
/* Asked rather than touched: a report would end the program. Poison that tells is shown by unit/host. */
static bool is_poisoned(const unsigned char *p)
{
	return __asan_address_is_poisoned(p) && __asan_address_is_poisoned(p + 15);
}
#else
/* The first word is the free list's. Large objects are unmapped. */
static bool is_poisoned(const unsigned char *p)
{
	u8 byte;

	return !guarded_load8(p + 8, &byte) ||
	       (byte == POISON && guarded_load8(p + 15, &byte) && byte == POISON);
}
#endif

/* False once o has fewer than n allocations. */
static bool look_at_freed_object(const struct operation *o, unsigned long n, uint64_t at_rest)
{
	const unsigned char *p;
	struct rig r;

	/* From the birth of the machine on. */
	host_alloc_note_at(n);
	r = rig_new(o);
	EXPECT(o->fn(&r) >= 0);
	p = host_alloc_note_at(0);
	rig_free(&r);
	if (!p)
		return false;
	if (host_alloc_objects() != at_rest)
		TEST_FAIL("%s: objects leaked", o->name);
	if (!is_poisoned(p))
		TEST_FAIL("%s: allocation %lu is not poisoned after its end", o->name, n);
	return true;
}

static void look_at_each_freed_object(const struct operation *o)
{
#if defined(ANYKVM_TSAN) || !defined(ANYKVM_CHECKED)
	SKIP("freed memory is poisoned in ASan and in checked builds");
#endif
	uint64_t at_rest = objects_at_rest(o);
	unsigned long n = 1;

	while (n < 1000 && look_at_freed_object(o, n, at_rest))
		n++;
	EXPECT(n > 1 && n < 1000);
}

#endif
