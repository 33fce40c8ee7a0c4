/* SPDX-License-Identifier: MIT */
/*
 * A guest that writes 8 bytes to each of `count` addresses, `stride` apart, and exits to the VMM. Its own memory is GUEST_SYSTEM
 * bytes at guest address 0, so data goes from GUEST_DATA on.
 */
#ifndef ANYKVM_BENCH_GUEST_H
#define ANYKVM_BENCH_GUEST_H

#include "bench.h"

#define GUEST_SYSTEM	  (64 * KIB)
#define GUEST_SYSTEM_SLOT 32000u
#define GUEST_DATA	  (4 * GIB) /* mapped by the guest's own tables, if it has any: 4 GiB from here */
#define GUEST_CODE	  0xf000ul
#define GUEST_VCPUS_MAX	  64

struct kvm_run;

struct guest_arch {
	/* Fills the guest's own memory: code, tables. */
	void (*prepare)(unsigned char *system);
	/* A new vCPU: up to the first instruction of the code. */
	void (*init)(struct backend *b, int vm, int vcpu);
	void (*set)(struct backend *b, int vcpu, unsigned long start, unsigned long count,
		    unsigned long stride);
};
extern const struct guest_arch guest_arm64, guest_x86;

struct guest {
	struct backend *b;
	int vm, nr_vcpus;
	int vcpu[GUEST_VCPUS_MAX];
	struct kvm_run *run[GUEST_VCPUS_MAX];
	unsigned char *system;
};

/* A VM with vCPUs and the slot of the guest's own memory; data slots are the caller's. */
void guest_create(struct guest *g, struct backend *b, int nr_vcpus);
/* The same in a VM that is there and has no slots: it is the guest's from here on. */
void guest_create_in(struct guest *g, struct backend *b, int vm, int nr_vcpus);
void guest_destroy(struct guest *g);
/* ns that all vCPUs together need to touch size bytes from start on, each its share, in threads of their own. */
double guest_touch(struct guest *g, unsigned long start, unsigned long size, unsigned long stride);

#endif
