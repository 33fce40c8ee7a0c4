/* SPDX-License-Identifier: MIT */
/* The dispatcher: filter, feature bitmaps, then the service. */
#include <errno.h>
#include <string.h>

#include <anykvm/kvm.h>

#include "host/alloc.h"
#include "host/clock.h"
#include "hvc/internal.h"
#include "vcpu/sysreg.h"

#define SMCCC_VERSION_1_1 0x10001

int hvc_vm_init(struct vm_hvc *h, struct vcpu_group *g)
{
	h->group = g;
	mutex_init(&h->power, RANK_TIMER, "psci power");
	firmware_init(h);
	g->hvc = h;
	return firmware_add_onereg(h);
}

void hvc_vm_fini(struct vm_hvc *h)
{
	filter_fini(h);
	mutex_fini(&h->power);
}

int hvc_vcpu_init(struct vm_hvc *h, struct vcpu *v)
{
	struct hvc_cpu *c = NEW(struct hvc_cpu);

	(void)h;
	if (!c)
		return -ENOMEM;
	c->steal_ipa = HVC_NO_IPA;
	v->hvc = c;
	return 0;
}

void hvc_vcpu_fini(struct vcpu *v)
{
	if (v->hvc)
		DELETE(hvc_cpu_of(v));
	v->hvc = NULL;
}

/* Calls that no bitmap switches: SMCCC itself and PSCI. */
static bool always_allowed(u32 fn)
{
	if (fn == FN_SMCCC_VERSION || fn == FN_SMCCC_ARCH_FEATURES)
		return true;
	/* Standard service owner, numbers 0 to 0x1f: PSCI 0.2 and later. */
	if ((fn >> 24 & 0x3f) == 4 && (fn & 0xffff) <= 0x1f)
		return true;
	return fn >= KVM_PSCI_FN(0) && fn <= KVM_PSCI_FN(3);
}

static bool bitmap_allowed(const struct vm_hvc *h, u32 fn)
{
	switch (fn) {
	case FN_TRNG_VERSION:
	case FN_TRNG_FEATURES:
	case FN_TRNG_GET_UUID:
	case FN_TRNG_RND32:
	case FN_TRNG_RND64:
		return firmware_has(h, HVC_STD, 0);
	case FN_PV_TIME_FEATURES:
	case FN_PV_TIME_ST:
		return firmware_has(h, HVC_STD_HYP, 0);
	case FN_VENDOR_FEATURES:
	case FN_VENDOR_CALL_UID:
		return firmware_has(h, HVC_VENDOR_HYP, 0);
	case FN_VENDOR_PTP:
		return firmware_has(h, HVC_VENDOR_HYP, 1);
	default:
		return false;
	}
}

static u64 arch_features(const struct vcpu *v, u32 feature)
{
	switch (feature) {
	case FN_ARCH_WORKAROUND_1:
		/* 1: this CPU is not affected. */
		return firmware_workaround_level(v, WORKAROUND_1) == 2 ? 1 : SMCCC_NOT_SUPPORTED;
	case FN_ARCH_WORKAROUND_2:
		return firmware_workaround_level(v, WORKAROUND_2) == 3 ? SMCCC_NOT_REQUIRED
								       : SMCCC_NOT_SUPPORTED;
	case FN_ARCH_WORKAROUND_3:
		return firmware_workaround_level(v, WORKAROUND_3) == 2 ? 1 : SMCCC_NOT_SUPPORTED;
	case FN_PV_TIME_FEATURES:
		return firmware_has(hvc_of(v), HVC_STD_HYP, 0) ? SMCCC_SUCCESS
							       : SMCCC_NOT_SUPPORTED;
	default:
		return SMCCC_NOT_SUPPORTED;
	}
}

/* Real time and the counter at the same moment, so that a guest can discipline its clock. */
static void ptp_call(struct vcpu *v)
{
	/* Argument 0: virtual counter, 1: physical. */
	u32 which = (u32)smccc_arg(v, 1);
	const struct sysreg_row *row =
		which > 1 ? NULL : sysreg_find(v->group, SYSREG_OP(3, 3, 14, 0, which ? 1 : 2));
	u64 before, after, real, count;

	if (!row || !row->get || row->get(v, row, &before)) {
		smccc_return(v, SMCCC_NOT_SUPPORTED, 0, 0, 0);
		return;
	}
	real = host_clock_realtime_ns();
	row->get(v, row, &after);
	count = before + (after - before) / 2;
	smccc_return(v, real >> 32, (u32)real, count >> 32, (u32)count);
}

/* KVM_EXIT_HYPERCALL: user space answers in x0 to x3. */
static int forward(struct vcpu *v, u32 fn, bool smc)
{
	struct kvm_run *run = v->run;

	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = fn;
	run->hypercall.flags = smc ? KVM_HYPERCALL_EXIT_SMC : 0;
	return 0;
}

static bool is_workaround(u32 fn)
{
	return fn == FN_ARCH_WORKAROUND_1 || fn == FN_ARCH_WORKAROUND_2 ||
	       fn == FN_ARCH_WORKAROUND_3;
}

static bool service_allowed(const struct vm_hvc *h, u32 fn, u32 action)
{
	return action == KVM_SMCCC_FILTER_HANDLE && (bitmap_allowed(h, fn) || always_allowed(fn));
}

int hvc_handle(struct vcpu *v, bool smc)
{
	struct vm_hvc *h = hvc_of(v);
	u32 fn = (u32)smccc_arg(v, 0), action;

	/* The immediate of SMC is reserved; that of HVC is not looked at. */
	if (smc && v->stop.imm) {
		v->arch.x[0] = SMCCC_NOT_SUPPORTED;
		return 1;
	}
	/* By HVC they succeed whatever is said of them, and of the other results only x1 is lost. */
	if (!smc && is_workaround(fn)) {
		v->arch.x[0] = SMCCC_SUCCESS;
		v->arch.x[1] = 0;
		return 1;
	}
	action = filter_action(h, fn);
	if (action == KVM_SMCCC_FILTER_FWD_TO_USER)
		return forward(v, fn, smc);
	if (!service_allowed(h, fn, action)) {
		smccc_return(v, SMCCC_NOT_SUPPORTED, 0, 0, 0);
		return 1;
	}
	switch (fn) {
	case FN_SMCCC_VERSION:
		smccc_return(v, SMCCC_VERSION_1_1, 0, 0, 0);
		return 1;
	case FN_SMCCC_ARCH_FEATURES:
		smccc_return(v, arch_features(v, (u32)smccc_arg(v, 1)), 0, 0, 0);
		return 1;
	case FN_PV_TIME_FEATURES:
		smccc_return(v, pvtime_features(v), 0, 0, 0);
		return 1;
	case FN_PV_TIME_ST:
		smccc_return(v, pvtime_start(v), 0, 0, 0);
		return 1;
	case FN_VENDOR_CALL_UID: /* 28b46fb6-2ec5-11e9-a9ca-4b564d003a74 */
		smccc_return(v, 0xb66fb428, 0xe911c52e, 0x564bcaa9, 0x743a004d);
		return 1;
	case FN_VENDOR_FEATURES:
		smccc_return(v, a64_load_relaxed(&h->bmap[HVC_VENDOR_HYP]), 0,
			     a64_load_relaxed(&h->bmap[HVC_VENDOR_HYP_2]), 0);
		return 1;
	case FN_VENDOR_PTP:
		ptp_call(v);
		return 1;
	case FN_TRNG_VERSION:
	case FN_TRNG_FEATURES:
	case FN_TRNG_GET_UUID:
	case FN_TRNG_RND32:
	case FN_TRNG_RND64:
		return trng_call(v);
	default:
		return psci_call(v);
	}
}
