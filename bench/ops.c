/* SPDX-License-Identifier: MIT */
/*
 * What operations of the KVM API cost: one JSON line each, {"op", "backend", "ns", "rounds"}. With --kvm they run on the
 * machine's own /dev/kvm as well (the operations are the same on every architecture), alternating with ours, and a line
 * {"op", "ratio"} follows: the kernel's time over ours.
 */
#include <anykvm.h>
#include <anykvm/kvm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct backend {
	const char *name;
	int (*open)(const char *path, int flags, ...);
	int (*ioctl)(int fd, unsigned long request, ...);
	int (*close)(int fd);
	int kvm;
};

static struct backend ours = {"anykvm", anykvm_open, anykvm_ioctl, anykvm_close, -1};
static struct backend kernel = {"kernel", open, ioctl, close, -1};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static int make_vm(struct backend *b)
{
	return must(b->ioctl(b->kvm, KVM_CREATE_VM, 0ul), "KVM_CREATE_VM");
}

static void set_slot(struct backend *b, int vm, unsigned slot, unsigned flags, unsigned long gpa,
		     unsigned long size, void *memory)
{
	struct kvm_userspace_memory_region r = {.slot = slot,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (unsigned long)memory};

	must(b->ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
}

/* Each operation returns ns per round. */
struct op {
	const char *name;
	unsigned rounds;
	double (*run)(struct backend *b, unsigned rounds);
};

static double vm_create_close(struct backend *b, unsigned rounds)
{
	double start = now_ns();

	for (unsigned i = 0; i < rounds; i++)
		b->close(make_vm(b));
	return (now_ns() - start) / rounds;
}

static double vcpu_create_close(struct backend *b, unsigned rounds)
{
	double spent = 0;

	for (unsigned i = 0; i < rounds; i++) {
		int vm = make_vm(b);
		double start = now_ns();
		int vcpu = must(b->ioctl(vm, KVM_CREATE_VCPU, 0ul), "KVM_CREATE_VCPU");

		b->close(vcpu);
		b->close(vm);
		spent += now_ns() - start;
	}
	return spent / rounds;
}

static void *memory;
#define MEMORY (1ul << 30)

static double slots_add_delete(struct backend *b, unsigned rounds, unsigned others, bool move)
{
	int vm = make_vm(b);
	double start, spent;

	for (unsigned i = 0; i < others; i++)
		set_slot(b, vm, i + 1, 0, (16ul << 30) + i * 8192ul, 4096, memory);
	start = now_ns();
	for (unsigned i = 0; i < rounds; i++) {
		if (move) {
			set_slot(b, vm, 0, 0, (1ul << 30) + (i & 1) * (2ul << 30), 2ul << 20,
				 memory);
		} else {
			set_slot(b, vm, 0, 0, 1ul << 30, 2ul << 20, memory);
			set_slot(b, vm, 0, 0, 1ul << 30, 0, memory);
		}
	}
	spent = now_ns() - start;
	b->close(vm);
	return spent / rounds;
}

static double slot_add_delete_1(struct backend *b, unsigned rounds)
{
	return slots_add_delete(b, rounds, 0, false);
}

static double slot_add_delete_512(struct backend *b, unsigned rounds)
{
	return slots_add_delete(b, rounds, 511, false);
}

static double slot_add_delete_32000(struct backend *b, unsigned rounds)
{
	return slots_add_delete(b, rounds, 31999, false);
}

static double slot_move(struct backend *b, unsigned rounds)
{
	return slots_add_delete(b, rounds, 0, true);
}

static double dirty_log_get_1g(struct backend *b, unsigned rounds)
{
	int vm = make_vm(b);
	void *bitmap = calloc(1, MEMORY / 4096 / 8);
	struct kvm_dirty_log log = {.slot = 0, .dirty_bitmap = bitmap};
	double start, spent;

	set_slot(b, vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 1ul << 30, MEMORY, memory);
	start = now_ns();
	for (unsigned i = 0; i < rounds; i++)
		must(b->ioctl(vm, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
	spent = now_ns() - start;
	b->close(vm);
	free(bitmap);
	return spent / rounds;
}

static const struct op ops[] = {
	{"vm_create_close", 300, vm_create_close},
	{"vcpu_create_close", 200, vcpu_create_close},
	{"slot_add_delete_1", 300, slot_add_delete_1},
	{"slot_add_delete_512", 300, slot_add_delete_512},
	{"slot_add_delete_32000", 100, slot_add_delete_32000},
	{"slot_move", 300, slot_move},
	{"dirty_log_get_1g", 200, dirty_log_get_1g},
};

static double measure(const struct op *op, struct backend *b)
{
	double ns = op->run(b, op->rounds);

	printf("{\"op\": \"%s\", \"backend\": \"%s\", \"ns\": %.0f, \"rounds\": %u}\n", op->name,
	       b->name, ns, op->rounds);
	return ns;
}

int main(int argc, char **argv)
{
	bool with_kernel = argc > 1 && !strcmp(argv[1], "--kvm");

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	ours.kvm = must(anykvm_open("/dev/kvm", O_RDWR), "anykvm_open");
	if (with_kernel) {
		kernel.kvm = open("/dev/kvm", O_RDWR);
		if (kernel.kvm < 0)
			fprintf(stderr, "bench: no /dev/kvm on this machine: %s\n",
				strerror(errno));
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		double a = 1e18, k = 1e18;

		/* Alternate, and keep the best of three of each: machines are shared. */
		for (int round = 0; round < 3; round++) {
			double ns = measure(&ops[i], &ours);

			a = ns < a ? ns : a;
			if (kernel.kvm >= 0) {
				ns = measure(&ops[i], &kernel);
				k = ns < k ? ns : k;
			}
		}
		if (kernel.kvm >= 0)
			printf("{\"op\": \"%s\", \"ratio\": %.2f}\n", ops[i].name, k / a);
	}
	return 0;
}
