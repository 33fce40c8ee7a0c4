/* SPDX-License-Identifier: MIT */
/* Birth and end of machines and vCPUs. */
#include <anykvm/kvm.h>

#include <sys/mman.h>

#include "bench.h"
#include "guest.h"

static double vm_create_close(struct backend *b, unsigned rounds)
{
	double start = now_ns();

	for (unsigned i = 0; i < rounds; i++)
		b->close(make_vm(b));
	return (now_ns() - start) / rounds;
}

/* A vCPU lives until its VM ends, so closing it costs something only with the VM. */
static double vcpus(struct backend *b, unsigned rounds, unsigned nr, bool create, bool end)
{
	double spent = 0;
	int vcpu[GUEST_VCPUS_MAX];

	for (unsigned i = 0; i < rounds; i++) {
		int vm = make_vm(b);
		double start = now_ns(), made, over;

		for (unsigned n = 0; n < nr; n++)
			vcpu[n] = must(b->ioctl(vm, KVM_CREATE_VCPU, (unsigned long)n),
				       "KVM_CREATE_VCPU");
		made = now_ns();
		for (unsigned n = 0; n < nr; n++)
			b->close(vcpu[n]);
		b->close(vm);
		over = now_ns();
		spent += (create ? made - start : 0) + (end ? over - made : 0);
	}
	return spent / rounds;
}

static double vcpu_create_close(struct backend *b, unsigned rounds)
{
	return vcpus(b, rounds, 1, true, true);
}

static double vcpu_64_create(struct backend *b, unsigned rounds)
{
	return vcpus(b, rounds, 64, true, false);
}

static double vcpu_64_close(struct backend *b, unsigned rounds)
{
	return vcpus(b, rounds, 64, false, true);
}

/* From nothing to the first exit of a guest and back to nothing. */
static double vm_first_exit(struct backend *b, unsigned rounds)
{
	double start = now_ns();

	for (unsigned i = 0; i < rounds; i++) {
		struct guest g;

		guest_create(&g, b, 1);
		b->arch->set(b, g.vcpu[0], GUEST_CODE + 4096 - 8, 1, 4096);
		must(b->ioctl(g.vcpu[0], KVM_RUN, 0ul), "KVM_RUN");
		guest_destroy(&g);
	}
	return (now_ns() - start) / rounds;
}

/* The end of a VM with all of its 4 GiB mapped: everything that its last close does. */
static double teardown(struct backend *b, unsigned rounds, size_t offset, unsigned long stride)
{
	double spent = 0, start;
	struct guest g;

	memory_populate(MEMORY_SIZE + MEMORY_TAIL);
	for (unsigned i = 0; i < rounds; i++) {
		guest_create(&g, b, 1);
		set_slot(b, g.vm, 0, 0, GUEST_DATA, MEMORY_SIZE, (char *)memory_base() + offset);
		guest_touch(&g, GUEST_DATA, MEMORY_SIZE, stride);
		start = now_ns();
		guest_destroy(&g);
		spent += now_ns() - start;
	}
	return spent / rounds;
}

static double vm_teardown_4g_4k(struct backend *b, unsigned rounds)
{
	return teardown(b, rounds, LEAF_4K, 4 * KIB);
}

static double vm_teardown_4g_2m(struct backend *b, unsigned rounds)
{
	return teardown(b, rounds, LEAF_2M, 2 * MIB);
}

static double vm_teardown_4g_1g(struct backend *b, unsigned rounds)
{
	double ns = teardown(b, rounds, LEAF_1G, 2 * MIB);

	memory_release();
	return ns;
}

static const struct op ops[] = {
	{"vm_create_close", 200, 3, vm_create_close},
	{"vcpu_create_close", 200, 3, vcpu_create_close},
	{"vcpu_64_create", 5, 3, vcpu_64_create},
	{"vcpu_64_close", 5, 3, vcpu_64_close},
	{"vm_first_exit", 100, 3, vm_first_exit},
	{"vm_teardown_4g_4k", 1, 3, vm_teardown_4g_4k},
	{"vm_teardown_4g_2m", 3, 3, vm_teardown_4g_2m},
	{"vm_teardown_4g_1g", 3, 3, vm_teardown_4g_1g},
};
GROUP(vm, ops);
