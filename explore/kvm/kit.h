/* SPDX-License-Identifier: MIT */
/*
 * What scenarios are built from: machines through the public API, on the simulated host (host_sim.h). What cannot be had ends the
 * scenario with a message, so that a setup needs no checks of its own.
 */
#ifndef ANYKVM_EXPLORE_KVM_KIT_H
#define ANYKVM_EXPLORE_KVM_KIT_H

#include "anykvm.h"
#include "anykvm/explore.h"
#include "host/alloc.h"
#include "host/signal.h"
#include "vm/vm.h"

/* Guest addresses that the kit uses itself. */
#define KIT_CODE 0x0ull	       /* one page of code: slot 15 */
#define KIT_MMIO 0x0f000000ull /* nothing is there: an access leaves KVM_RUN */

/* A handle: anykvm_open of /dev/kvm. */
int kit_open(void);
/* A machine of 39 IPA bits, which is one root table; its handle is closed again. */
int kit_vm(void);
/* KVM_CREATE_VCPU and KVM_ARM_VCPU_INIT. */
int kit_vcpu(int vm, unsigned id);
/* Anonymous memory, never congruent with a guest address: no blocks. Stores to it are no operations, unless kit_content says so. */
void *kit_memory(unsigned pages);
void kit_content(void *p, unsigned pages);
/* anykvm_munmap */
void kit_free(void *p, unsigned pages);
/* KVM_SET_USER_MEMORY_REGION: 0 or -errno. pages 0 deletes. */
int kit_slot(int vm, unsigned id, uint64_t gpa, unsigned pages, void *hva, unsigned flags);
/* KVM_CREATE_GUEST_MEMFD, mapped by and shared with the host. */
int kit_gmem(int vm, unsigned pages);
/* KVM_SET_USER_MEMORY_REGION2: 0 or -errno. */
int kit_gmem_slot(int vm, unsigned id, uint64_t gpa, unsigned pages, int gmem);
/* The objects behind the numbers. They are looked up for good: only in setup, or while the number cannot be closed. */
struct vm *kit_vm_of(int vm);
struct vcpu *kit_vcpu_of(int vcpu);

/*
 * Setup only. Gives the machine a page of code, the same for all vCPUs, and runs vcpu up to its first exit, so that all that is done
 * once is done:
 *	store to KIT_MMIO; load from gpa, or store to it; again from the start
 */
void kit_guest(int vm, int vcpu, uint64_t gpa, bool write);
/* The same with two stores to gpa and a poll point between them: the second finds the page in the vCPU's TLB. */
void kit_guest_twice(int vm, int vcpu, uint64_t gpa);
/* One store to gpa, once; the exit after it is a breakpoint, which asks nothing of the machine: fewer orders. */
void kit_guest_once(int vm, int vcpu, uint64_t gpa);
/* KVM_RUN from that exit to the next: the accesses to gpa. 0; 1: gpa was MMIO, as it has no slot; or -errno. */
int kit_run(int vcpu);

/* anykvm_ioctl: the value or -errno. */
int kit_call(int fd, unsigned long request, uint64_t arg);
void kit_close(int fd);
int kit_eventfd(void);
void kit_eventfd_signal(int fd);
/* For this execution, before the first lock: whether the rank checker of sync/ is on. */
void kit_rank_checker(bool on);
/* Setup only: a thread will send signals. */
void kit_signals_expected(void);
/* A signal that thread (1, 2... as in the scenario) finds pending when it looks. */
void kit_signal(unsigned thread, int signo);

#endif
