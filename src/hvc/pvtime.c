/* SPDX-License-Identifier: MIT */
/*
 * Stolen time (Arm DEN 0057): a 64-byte record in guest memory that tells how long the vCPU was
 * ready to run and the host ran something else. The host kernel counts that for each thread (run
 * delay); the vCPU's share is what its thread gained since the guest asked.
 */
#include <errno.h>

#include <anykvm/kvm.h>

#include "host/clock.h"
#include "host/guarded.h"
#include "hvc/internal.h"

#define STEAL_ALIGN	64
#define STEAL_OFFSET	8 /* of stolen_time in the record */
#define STEAL_PERIOD_NS 1000000

u64 pvtime_features(const struct vcpu *v)
{
	u32 fn = (u32)smccc_arg(v, 1);

	if (fn != FN_PV_TIME_FEATURES && fn != FN_PV_TIME_ST)
		return SMCCC_NOT_SUPPORTED;
	return hvc_cpu_of(v)->steal_ipa == HVC_NO_IPA ? SMCCC_NOT_SUPPORTED : SMCCC_SUCCESS;
}

u64 pvtime_start(struct vcpu *v)
{
	static const u8 record[STEAL_ALIGN];
	struct hvc_cpu *c = hvc_cpu_of(v);

	if (c->steal_ipa == HVC_NO_IPA)
		return SMCCC_NOT_SUPPORTED;
	c->steal_last = host_clock_run_delay_ns();
	/* As KVM: a record that cannot be written is the guest's loss. */
	mem_write_guest(v->group->mem, &v->mem, c->steal_ipa, record, sizeof(record));
	return c->steal_ipa;
}

void hvc_before_run(struct vcpu *v)
{
	struct hvc_cpu *c = hvc_cpu_of(v);
	u64 now, delay, stolen;

	if (likely(c->steal_ipa == HVC_NO_IPA))
		return;
	/* The count costs three system calls. */
	now = host_clock_ns();
	if (now - c->steal_looked_ns < STEAL_PERIOD_NS)
		return;
	c->steal_looked_ns = now;
	if (mem_read_guest(v->group->mem, c->steal_ipa + STEAL_OFFSET, &stolen, sizeof(stolen)))
		return;
	delay = host_clock_run_delay_ns();
	/* KVM_RUN came from another thread: its past is not this vCPU's. */
	if (delay < c->steal_last)
		c->steal_last = delay;
	stolen += delay - c->steal_last;
	c->steal_last = delay;
	mem_write_guest(v->group->mem, &v->mem, c->steal_ipa + STEAL_OFFSET, &stolen,
			sizeof(stolen));
}

int hvc_pvtime_set_attr(struct vcpu *v, u64 attr, const void *user)
{
	struct hvc_cpu *c = hvc_cpu_of(v);
	u64 ipa;

	if (attr != KVM_ARM_VCPU_PVTIME_IPA)
		return -ENXIO;
	if (!guarded_copy_from(&ipa, user, sizeof(ipa)))
		return -EFAULT;
	if (!IS_ALIGNED(ipa, STEAL_ALIGN))
		return -EINVAL;
	if (c->steal_ipa != HVC_NO_IPA)
		return -EEXIST;
	/* Whether there is memory behind the slot shows when the guest asks for the record. */
	if (!mem_is_writable(v->group->mem, ipa))
		return -EINVAL;
	c->steal_ipa = ipa;
	return 0;
}

int hvc_pvtime_get_attr(struct vcpu *v, u64 attr, void *user)
{
	if (attr != KVM_ARM_VCPU_PVTIME_IPA)
		return -ENXIO;
	return guarded_copy_to(user, &hvc_cpu_of(v)->steal_ipa, sizeof(u64)) ? 0 : -EFAULT;
}

int hvc_pvtime_has_attr(struct vcpu *v, u64 attr)
{
	(void)v;
	return attr == KVM_ARM_VCPU_PVTIME_IPA ? 0 : -ENXIO;
}
