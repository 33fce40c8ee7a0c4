/* SPDX-License-Identifier: MIT */
/* The part of guest.h that all architectures share. */
#include <anykvm/kvm.h>

#include "guest.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static size_t run_size(struct backend *b)
{
	return must(b->ioctl(b->kvm, KVM_GET_VCPU_MMAP_SIZE, 0ul), "KVM_GET_VCPU_MMAP_SIZE");
}

void guest_create(struct guest *g, struct backend *b, int nr_vcpus)
{
	guest_create_in(g, b, make_vm(b), nr_vcpus);
}

void guest_create_in(struct guest *g, struct backend *b, int vm, int nr_vcpus)
{
	g->b = b;
	g->nr_vcpus = nr_vcpus;
	g->vm = vm;
	g->system = mmap(NULL, GUEST_SYSTEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	must(g->system == MAP_FAILED ? -1 : 0, "mmap");
	b->arch->prepare(g->system);
	set_slot(b, g->vm, GUEST_SYSTEM_SLOT, 0, 0, GUEST_SYSTEM, g->system);
	for (int i = 0; i < nr_vcpus; i++) {
		g->vcpu[i] =
			must(b->ioctl(g->vm, KVM_CREATE_VCPU, (unsigned long)i), "KVM_CREATE_VCPU");
		g->run[i] = b->mmap(NULL, run_size(b), PROT_READ | PROT_WRITE, MAP_SHARED,
				    g->vcpu[i], 0);
		must(g->run[i] == MAP_FAILED ? -1 : 0, "mmap of a vCPU");
		b->arch->init(b, g->vm, g->vcpu[i]);
	}
}

void guest_destroy(struct guest *g)
{
	for (int i = 0; i < g->nr_vcpus; i++) {
		g->b->munmap(g->run[i], run_size(g->b));
		g->b->close(g->vcpu[i]);
	}
	g->b->close(g->vm);
	munmap(g->system, GUEST_SYSTEM);
}

struct toucher {
	struct guest *g;
	int index;
	unsigned long start, count, stride;
	pthread_barrier_t *barrier;
	pthread_t thread;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	struct guest *g = t->g;
	unsigned reason;

	g->b->arch->set(g->b, g->vcpu[t->index], t->start, t->count, t->stride);
	pthread_barrier_wait(t->barrier);
	do
		must(g->b->ioctl(g->vcpu[t->index], KVM_RUN, 0ul), "KVM_RUN");
	while (g->run[t->index]->exit_reason == KVM_EXIT_INTR);
	reason = g->run[t->index]->exit_reason;
	if (reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "bench: the guest of %s ended for reason %u\n", g->b->name, reason);
		exit(1);
	}
	pthread_barrier_wait(t->barrier);
	return NULL;
}

double guest_touch(struct guest *g, unsigned long start, unsigned long size, unsigned long stride)
{
	struct toucher t[GUEST_VCPUS_MAX];
	unsigned long share = size / g->nr_vcpus;
	pthread_barrier_t barrier;
	double begin, spent;

	pthread_barrier_init(&barrier, NULL, g->nr_vcpus + 1);
	for (int i = 0; i < g->nr_vcpus; i++) {
		t[i] = (struct toucher){.g = g,
					.index = i,
					.start = start + i * share,
					.count = share / stride,
					.stride = stride,
					.barrier = &barrier};
		if (pthread_create(&t[i].thread, NULL, touch, &t[i]))
			must(-1, "pthread_create");
	}
	pthread_barrier_wait(&barrier);
	begin = now_ns();
	pthread_barrier_wait(&barrier);
	spent = now_ns() - begin;
	for (int i = 0; i < g->nr_vcpus; i++)
		pthread_join(t[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
	return spent;
}
