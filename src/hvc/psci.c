/* SPDX-License-Identifier: MIT */
/*
 * Power State Coordination Interface (Arm DEN 0022), versions 0.1 to 1.3 as KVM answers them.
 *
 * A vCPU is stopped when v->power_off is VCPU_STOPPED. CPU_ON looks at that, hands over the reset
 * state and starts the target under h->power, so that of several callers one succeeds and the
 * others hear ALREADY_ON.
 */
#include <string.h>

#include <anykvm/kvm.h>

#include "hvc/internal.h"

#define FN(n)	(0x84000000u + (n))
#define FN64(n) (0xc4000000u + (n))

#define FN_VERSION	     0
#define FN_CPU_SUSPEND	     1
#define FN_CPU_OFF	     2
#define FN_CPU_ON	     3
#define FN_AFFINITY_INFO     4
#define FN_MIGRATE_INFO_TYPE 6
#define FN_SYSTEM_OFF	     8
#define FN_SYSTEM_RESET	     9
#define FN_FEATURES	     10
#define FN_SYSTEM_SUSPEND    14
#define FN_SYSTEM_RESET2     18
#define FN_SYSTEM_OFF2	     21

#define RET_SUCCESS	     0
#define RET_NOT_SUPPORTED    ((u64)-1)
#define RET_INVALID_PARAMS   ((u64)-2)
#define RET_ALREADY_ON	     ((u64)-4)
#define RET_INTERNAL_FAILURE ((u64)-6)

#define AFFINITY_ON	   0
#define AFFINITY_OFF	   1
#define TOS_MP		   2 /* no trusted OS that would have to move */
#define OFF_TYPE_HIBERNATE BIT(0)
#define RESET_TYPE_VENDOR  0x80000000u

/* MPIDR_EL1 affinity fields. */
#define AFFINITY_MASK (GENMASK(39, 32) | GENMASK(23, 0))

u32 psci_version(const struct vcpu *v)
{
	u32 set = a32_load_relaxed(&hvc_of(v)->psci_version);

	if (!(v->features & BIT(KVM_ARM_VCPU_PSCI_0_2)))
		return PSCI_VERSION_OF(0, 1);
	return set ? set : PSCI_VERSION_OF(1, 3);
}

static u64 cpu_on(struct vcpu *v)
{
	struct vm_hvc *h = hvc_of(v);
	u64 id = smccc_arg(v, 1), ret = RET_SUCCESS;
	struct vcpu *target;

	if (id & ~AFFINITY_MASK)
		return RET_INVALID_PARAMS;
	target = vcpu_group_by_mpidr(v->group, id);
	if (!target)
		return RET_INVALID_PARAMS;
	mutex_lock(&h->power);
	if (a32_load_acquire(&target->power_off) != VCPU_STOPPED) {
		ret = psci_version(v) == PSCI_VERSION_OF(0, 1) ? RET_INVALID_PARAMS
							       : RET_ALREADY_ON;
	} else {
		target->reset_state.pc = smccc_arg(v, 2);
		target->reset_state.x0 = smccc_arg(v, 3);
		target->reset_state.pending = true;
		/* The request is there before the target is seen running, and its sleep ends on the
		 * kick. */
		vcpu_request(target, VCPU_REQ_RESET);
		a32_store_release(&target->power_off, VCPU_RUNNABLE);
		vcpu_kick(target);
	}
	mutex_unlock(&h->power);
	return ret;
}

static u64 cpu_off(struct vcpu *v)
{
	mutex_lock(&hvc_of(v)->power);
	a32_store_release(&v->power_off, VCPU_STOPPED);
	mutex_unlock(&hvc_of(v)->power);
	vcpu_request(v, VCPU_REQ_SLEEP);
	return RET_SUCCESS;
}

static u64 affinity_info(struct vcpu *v)
{
	static const u64 level_mask[] = {GENMASK(39, 32) | GENMASK(23, 0),
					 GENMASK(39, 32) | GENMASK(23, 8),
					 GENMASK(39, 32) | GENMASK(23, 16), GENMASK(39, 32)};
	u64 target = smccc_arg(v, 1), level = smccc_arg(v, 2);
	u32 nr = a32_load_acquire(&v->group->nr);
	bool found = false;

	if (target & ~AFFINITY_MASK || level >= ARRAY_SIZE(level_mask))
		return RET_INVALID_PARAMS;
	target &= level_mask[level];
	for (u32 i = 0; i < nr; i++) {
		struct vcpu *o = vcpu_group_get(v->group, i);

		if ((vcpu_mpidr(o) & level_mask[level]) != target)
			continue;
		found = true;
		if (a32_load_acquire(&o->power_off) != VCPU_STOPPED)
			return AFFINITY_ON;
	}
	return found ? AFFINITY_OFF : RET_INVALID_PARAMS;
}

/* Nothing runs any more until user space has decided: all vCPUs are stopped, this one leaves
 * KVM_RUN. */
static int system_event(struct vcpu *v, u32 type, u64 flags)
{
	struct kvm_run *run = v->run;
	u32 nr = a32_load_acquire(&v->group->nr);

	mutex_lock(&hvc_of(v)->power);
	for (u32 i = 0; i < nr; i++)
		a32_store_release(&vcpu_group_get(v->group, i)->power_off, VCPU_STOPPED);
	mutex_unlock(&hvc_of(v)->power);
	for (u32 i = 0; i < nr; i++)
		vcpu_request(vcpu_group_get(v->group, i), VCPU_REQ_SLEEP);
	memset(&run->system_event, 0, sizeof(run->system_event));
	run->system_event.type = type;
	run->system_event.ndata = 1;
	run->system_event.data[0] = flags;
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	return 0;
}

/* As KVM: the registers stay, user space reads the arguments from them. */
static int system_suspend(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	memset(&run->system_event, 0, sizeof(run->system_event));
	run->system_event.type = KVM_SYSTEM_EVENT_SUSPEND;
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	return 0;
}

static int answer(struct vcpu *v, u64 ret)
{
	smccc_return(v, ret, 0, 0, 0);
	return 1;
}

/* The 32-bit forms take 32-bit arguments. */
static void narrow_args(struct vcpu *v, u32 fn)
{
	if (fn & BIT(30))
		return;
	for (int i = 1; i < 4; i++)
		v->arch.x[i] = (u32)v->arch.x[i];
}

static int call_0_2(struct vcpu *v, u32 fn)
{
	switch (fn) {
	case FN(FN_VERSION):
		return answer(v, PSCI_VERSION_OF(0, 2));
	case FN(FN_CPU_SUSPEND):
	case FN64(FN_CPU_SUSPEND):
		/* Every suspend state is a standby: sleep as WFI, keep all registers. */
		answer(v, RET_SUCCESS);
		vcpu_wait_wfi(v);
		return 1;
	case FN(FN_CPU_OFF):
		return answer(v, cpu_off(v));
	case FN(FN_CPU_ON):
	case FN64(FN_CPU_ON):
		narrow_args(v, fn);
		return answer(v, cpu_on(v));
	case FN(FN_AFFINITY_INFO):
	case FN64(FN_AFFINITY_INFO):
		narrow_args(v, fn);
		return answer(v, affinity_info(v));
	case FN(FN_MIGRATE_INFO_TYPE):
		return answer(v, TOS_MP);
	case FN(FN_SYSTEM_OFF):
		/* What the guest sees if user space runs it again nevertheless. */
		answer(v, RET_INTERNAL_FAILURE);
		return system_event(v, KVM_SYSTEM_EVENT_SHUTDOWN, 0);
	case FN(FN_SYSTEM_RESET):
		answer(v, RET_INTERNAL_FAILURE);
		return system_event(v, KVM_SYSTEM_EVENT_RESET, 0);
	default:
		return answer(v, RET_NOT_SUPPORTED);
	}
}

static u64 features_1_x(struct vcpu *v, u32 minor)
{
	u32 fn = (u32)smccc_arg(v, 1);

	switch (fn) {
	case FN(FN_VERSION):
	case FN(FN_CPU_SUSPEND):
	case FN64(FN_CPU_SUSPEND):
	case FN(FN_CPU_OFF):
	case FN(FN_CPU_ON):
	case FN64(FN_CPU_ON):
	case FN(FN_AFFINITY_INFO):
	case FN64(FN_AFFINITY_INFO):
	case FN(FN_MIGRATE_INFO_TYPE):
	case FN(FN_SYSTEM_OFF):
	case FN(FN_SYSTEM_RESET):
	case FN(FN_FEATURES):
	case FN_SMCCC_VERSION:
		return RET_SUCCESS;
	case FN(FN_SYSTEM_SUSPEND):
	case FN64(FN_SYSTEM_SUSPEND):
		return a32_load_relaxed(&hvc_of(v)->system_suspend) ? RET_SUCCESS
								    : RET_NOT_SUPPORTED;
	case FN(FN_SYSTEM_RESET2):
	case FN64(FN_SYSTEM_RESET2):
		return minor >= 1 ? RET_SUCCESS : RET_NOT_SUPPORTED;
	case FN(FN_SYSTEM_OFF2):
	case FN64(FN_SYSTEM_OFF2):
		return minor >= 3 ? OFF_TYPE_HIBERNATE : RET_NOT_SUPPORTED;
	default:
		return RET_NOT_SUPPORTED;
	}
}

static int system_reset2(struct vcpu *v)
{
	u32 type = (u32)smccc_arg(v, 1);

	if (type != 0 && type < RESET_TYPE_VENDOR)
		return answer(v, RET_INVALID_PARAMS);
	/* The other registers stay: user space reads type and cookie from them. */
	v->arch.x[0] = RET_INTERNAL_FAILURE;
	return system_event(v, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2);
}

static int system_off2(struct vcpu *v)
{
	u32 type = (u32)smccc_arg(v, 1);

	if ((type && type != OFF_TYPE_HIBERNATE) || smccc_arg(v, 2))
		return answer(v, RET_INVALID_PARAMS);
	answer(v, RET_INTERNAL_FAILURE);
	return system_event(v, KVM_SYSTEM_EVENT_SHUTDOWN, KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2);
}

static int call_1_x(struct vcpu *v, u32 fn, u32 minor)
{
	switch (fn) {
	case FN(FN_VERSION):
		return answer(v, PSCI_VERSION_OF(1, minor));
	case FN(FN_FEATURES):
		return answer(v, features_1_x(v, minor));
	case FN(FN_SYSTEM_SUSPEND):
	case FN64(FN_SYSTEM_SUSPEND):
		narrow_args(v, fn);
		if (!a32_load_relaxed(&hvc_of(v)->system_suspend))
			return answer(v, RET_NOT_SUPPORTED);
		return system_suspend(v);
	case FN(FN_SYSTEM_RESET2):
	case FN64(FN_SYSTEM_RESET2):
		narrow_args(v, fn);
		return minor >= 1 ? system_reset2(v) : answer(v, RET_NOT_SUPPORTED);
	case FN(FN_SYSTEM_OFF2):
	case FN64(FN_SYSTEM_OFF2):
		narrow_args(v, fn);
		return minor >= 3 ? system_off2(v) : answer(v, RET_NOT_SUPPORTED);
	default:
		return call_0_2(v, fn);
	}
}

/* Before 0.2 there were no standard numbers: KVM's own. */
static int call_0_1(struct vcpu *v, u32 fn)
{
	switch (fn) {
	case KVM_PSCI_FN_CPU_OFF:
		return answer(v, cpu_off(v));
	case KVM_PSCI_FN_CPU_ON:
		return answer(v, cpu_on(v));
	default:
		return answer(v, RET_NOT_SUPPORTED);
	}
}

int psci_call(struct vcpu *v)
{
	u32 fn = (u32)smccc_arg(v, 0), version = psci_version(v);

	if (version == PSCI_VERSION_OF(0, 1))
		return call_0_1(v, fn);
	if (version == PSCI_VERSION_OF(0, 2))
		return call_0_2(v, fn);
	return call_1_x(v, fn, version & 0xffff);
}
