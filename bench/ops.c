/* SPDX-License-Identifier: MIT */
/*
 * Runs operations: ops [--kvm] [GROUP...] [OPERATION...]. One JSON line for each call, {"op", "backend", "ns",
 * "rounds"}, ns per round. With --kvm they run on the machine's own /dev/kvm as well, alternating with ours, and a line
 * {"op", "ratio"} follows: the kernel's best time over ours. What a backend does not have says {"op", "backend", "skipped"}.
 */
#include <anykvm.h>
#include <anykvm/kvm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "guest.h"

static struct backend ours = {
	.name = "anykvm",
	.open = anykvm_open,
	.ioctl = anykvm_ioctl,
	.close = anykvm_close,
	.mmap = anykvm_mmap,
	.munmap = anykvm_munmap,
	.madvise = anykvm_madvise,
	.fallocate = anykvm_fallocate,
	.arch = &guest_arm64,
	.kvm = -1,
};
static struct backend kernel = {
	.name = "kernel",
	.open = open,
	.ioctl = ioctl,
	.close = close,
	.mmap = mmap,
	.munmap = munmap,
	.madvise = madvise,
	.fallocate = fallocate,
#if defined(__x86_64__)
	.arch = &guest_x86,
#else
	.arch = &guest_arm64,
#endif
	.kvm = -1,
};

static const struct group *const groups[] = {
	&group_vm, &group_slots, &group_faults, &group_notifier, &group_dirty, &group_gmem,
};
#define NR_GROUPS (sizeof(groups) / sizeof(groups[0]))

double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int must(int result, const char *what)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

int make_vm(struct backend *b)
{
	return must(b->ioctl(b->kvm, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM");
}

void set_slot(struct backend *b, int vm, unsigned slot, unsigned flags, unsigned long gpa,
	      unsigned long size, void *memory)
{
	struct kvm_userspace_memory_region r = {.slot = slot,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (unsigned long)memory};

	must(b->ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
}

/* Mapped once: the first GiB boundary in a reservation of one GiB more. */
void *memory_base(void)
{
	static char *base;
	char *p;

	if (base)
		return base;
	p = mmap(NULL, MEMORY_SIZE + MEMORY_TAIL + GIB, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(p == MAP_FAILED ? -1 : 0, "mmap");
	base = (char *)(((uintptr_t)p + GIB - 1) & ~(GIB - 1));
	must(madvise(base, MEMORY_SIZE + MEMORY_TAIL, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	return base;
}

void memory_populate(size_t size)
{
	volatile char *p = memory_base();

	for (size_t at = 0; at < size; at += 4096)
		p[at] = 1;
}

void memory_release(void)
{
	must(madvise(memory_base(), MEMORY_SIZE + MEMORY_TAIL, MADV_DONTNEED), "MADV_DONTNEED");
}

static double measure(const struct op *op, struct backend *b)
{
	double ns = op->run(b, op->rounds);

	if (ns == UNSUPPORTED)
		printf("{\"op\": \"%s\", \"backend\": \"%s\", \"skipped\": \"not supported\"}\n",
		       op->name, b->name);
	else
		printf("{\"op\": \"%s\", \"backend\": \"%s\", \"ns\": %.0f, \"rounds\": %u}\n",
		       op->name, b->name, ns, op->rounds);
	fflush(stdout);
	return ns;
}

static double lower(double best, double ns)
{
	return best == UNSUPPORTED || ns < best ? ns : best;
}

/* Alternates, and keeps the best of each: machines are shared. */
static void compare(const struct op *op)
{
	double a = UNSUPPORTED, k = UNSUPPORTED;

	for (unsigned i = 0; i < op->repeats; i++) {
		a = lower(a, measure(op, &ours));
		if (kernel.kvm >= 0)
			k = lower(k, measure(op, &kernel));
		if (a == UNSUPPORTED && (k == UNSUPPORTED || kernel.kvm < 0))
			break;
	}
	if (a != UNSUPPORTED && k != UNSUPPORTED)
		printf("{\"op\": \"%s\", \"ratio\": %.2f}\n", op->name, k / a);
	fflush(stdout);
}

static bool asked_for(const char *name, char **names)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static bool known(const char *name)
{
	for (unsigned g = 0; g < NR_GROUPS; g++) {
		if (!strcmp(groups[g]->name, name))
			return true;
		for (unsigned i = 0; i < groups[g]->nr; i++)
			if (!strcmp(groups[g]->op[i].name, name))
				return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	bool with_kernel = argc > 1 && !strcmp(argv[1], "--kvm");
	char **names = argv + 1 + with_kernel;

	for (char **name = names; *name; name++) {
		if (known(*name))
			continue;
		fprintf(stderr, "bench: no group or operation %s\n", *name);
		return 2;
	}
	ours.kvm = must(anykvm_open("/dev/kvm", O_RDWR), "anykvm_open");
	if (with_kernel) {
		kernel.kvm = open("/dev/kvm", O_RDWR);
		if (kernel.kvm < 0)
			fprintf(stderr, "bench: no /dev/kvm on this machine: %s\n",
				strerror(errno));
	}
	for (unsigned g = 0; g < NR_GROUPS; g++)
		for (unsigned i = 0; i < groups[g]->nr; i++)
			if (!*names || asked_for(groups[g]->name, names) ||
			    asked_for(groups[g]->op[i].name, names))
				compare(&groups[g]->op[i]);
	return 0;
}
