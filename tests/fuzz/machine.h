/* SPDX-License-Identifier: MIT */
/* What both fuzzed programs do to a machine. */
#ifndef ANYKVM_TESTS_FUZZ_MACHINE_H
#define ANYKVM_TESTS_FUZZ_MACHINE_H

#include <anykvm/redirect.h>
#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "fuzz.h"

#define PAGE   4096ull
#define RAM    0x40000000ull
#define DEVICE 0x10000000ull /* nothing is there: accesses leave KVM_RUN */

#define CORE_REG(name) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

static inline int set_slot(int vm, unsigned slot, unsigned flags, uint64_t gpa, uint64_t size,
			   void *hva)
{
	struct kvm_userspace_memory_region r = {slot, flags, gpa, size, (uintptr_t)hva};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static inline int set_reg(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg r = {id, (uintptr_t)&value};

	return ioctl(vcpu, KVM_SET_ONE_REG, &r);
}

static void on_alarm(int sig)
{
}

/* No guest runs for ever: a signal every millisecond, or none. */
static inline void interrupt_guests(bool on)
{
	struct itimerval every = {{0, on ? 1000 : 0}, {0, on ? 1000 : 0}};
	struct sigaction sa = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

#endif
