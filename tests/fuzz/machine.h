/* SPDX-License-Identifier: MIT */
/* What both fuzzed programs do to a machine. */
#ifndef ANYKVM_TESTS_FUZZ_MACHINE_H
#define ANYKVM_TESTS_FUZZ_MACHINE_H

#include <anykvm/redirect.h>
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "fuzz.h"
#include "instructions.h"

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

/* --- time -------------------------------------------------------------------------------------------------------------- */

/* One that neither libFuzzer nor a sanitizer uses. */
#define ALARM_SIGNAL (SIGRTMIN + 4)

static timer_t alarm_timer;

static void on_alarm(int sig)
{
}

static inline void alarm_init(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = ALARM_SIGNAL};

	sigaction(ALARM_SIGNAL, &sa, NULL);
	FUZZ_EXPECT(!timer_create(CLOCK_MONOTONIC, &ev, &alarm_timer));
}

/* KVM_RUN, but not for ever: again and again, for a signal may come before the guest does. */
static inline int run_bounded(int vcpu, long ns)
{
	struct itimerspec every = {{0, ns}, {0, ns}}, never = {{0, 0}, {0, 0}};
	int r, error;

	timer_settime(alarm_timer, 0, &every, NULL);
	r = ioctl(vcpu, KVM_RUN, 0);
	error = errno;
	timer_settime(alarm_timer, 0, &never, NULL);
	errno = error;
	return r;
}

#endif
