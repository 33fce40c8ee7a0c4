/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_HVC_INTERNAL_H
#define ANYKVM_HVC_INTERNAL_H

#include "hvc/hvc.h"

#define SMCCC_SUCCESS	    0
#define SMCCC_NOT_SUPPORTED ((u64)-1)
#define SMCCC_NOT_REQUIRED  ((u64)-2)

/* Function identifiers (Arm DEN 0028, 0022, 0057, 0098). */
#define FN_SMCCC_VERSION       0x80000000u
#define FN_SMCCC_ARCH_FEATURES 0x80000001u
#define FN_ARCH_WORKAROUND_1   0x80008000u
#define FN_ARCH_WORKAROUND_2   0x80007fffu
#define FN_ARCH_WORKAROUND_3   0x80003fffu
#define FN_PV_TIME_FEATURES    0xc5000020u
#define FN_PV_TIME_ST	       0xc5000021u
#define FN_TRNG_VERSION	       0x84000050u
#define FN_TRNG_FEATURES       0x84000051u
#define FN_TRNG_GET_UUID       0x84000052u
#define FN_TRNG_RND32	       0x84000053u
#define FN_TRNG_RND64	       0xc4000053u
#define FN_VENDOR_CALL_UID     0x8600ff01u
#define FN_VENDOR_FEATURES     0x86000000u
#define FN_VENDOR_PTP	       0x86000001u

#define PSCI_VERSION_OF(major, minor) ((u32)(major) << 16 | (minor))

static inline struct vm_hvc *hvc_of(const struct vcpu *v)
{
	return v->group->hvc;
}
static inline struct hvc_cpu *hvc_cpu_of(const struct vcpu *v)
{
	return v->hvc;
}

static inline u64 smccc_arg(const struct vcpu *v, unsigned n)
{
	return v->arch.x[n];
}

static inline void smccc_return(struct vcpu *v, u64 a0, u64 a1, u64 a2, u64 a3)
{
	v->arch.x[0] = a0;
	v->arch.x[1] = a1;
	v->arch.x[2] = a2;
	v->arch.x[3] = a3;
}

/* These return as hvc_handle does. */
int psci_call(struct vcpu *v);
u32 psci_version(const struct vcpu *v);
int trng_call(struct vcpu *v);

/* pvtime.c */
u64 pvtime_features(const struct vcpu *v);
/* Clears the record and starts counting: its address, or HVC_NO_IPA. */
u64 pvtime_start(struct vcpu *v);

/* firmware.c */
void firmware_init(struct vm_hvc *h);
int firmware_add_onereg(struct vm_hvc *h);
/* Whether the service of bit is on. */
static inline bool firmware_has(const struct vm_hvc *h, enum hvc_bmap map, unsigned bit)
{
	return a64_load_relaxed(&h->bmap[map]) >> bit & 1;
}
enum workaround { WORKAROUND_1 = 1, WORKAROUND_2, WORKAROUND_3 };
/* KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_n level. */
u64 firmware_workaround_level(const struct vcpu *v, enum workaround n);

/* filter.c: enum kvm_smccc_filter_action for a function. */
u32 filter_action(const struct vm_hvc *h, u32 fn);
void filter_fini(struct vm_hvc *h);

#endif
