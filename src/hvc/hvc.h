/* SPDX-License-Identifier: MIT */
/*
 * What a guest's HVC and SMC reach: SMCCC, PSCI, the entropy and stolen-time services and KVM's
 * vendor calls, as KVM/arm64 answers them. docs/interrupts.md has the table.
 */
#ifndef ANYKVM_HVC_HVC_H
#define ANYKVM_HVC_HVC_H

#include "base/list.h"
#include "sync/atomic.h"
#include "sync/mutex.h"
#include "vcpu/vcpu.h"

/* Bitmaps of KVM_REG_ARM_FW_FEAT_BMAP: which services answer. */
enum hvc_bmap { HVC_STD, HVC_STD_HYP, HVC_VENDOR_HYP, HVC_VENDOR_HYP_2, NR_HVC_BMAPS };

struct vm_hvc {
	struct vcpu_group *group;
	struct a32 psci_version;   /* KVM_REG_ARM_PSCI_VERSION as set, 0 = default */
	struct a32 system_suspend; /* KVM_CAP_ARM_SYSTEM_SUSPEND was enabled: set by api/ */
	/* --- changed under group->config, which orders changes of bmap and filter against the first run --- */
	struct a64 bmap[NR_HVC_BMAPS];
	struct aptr filter; /* struct hvc_filter *: frozen by the first run, NULL = none */
	/* --- power (RANK_TIMER, leaf): CPU_ON looks and acts in one piece --- */
	struct mutex power;
};

/* One vCPU's part. */
struct hvc_cpu {
	/* --- v->mutex --- */
	u64 steal_ipa;	/* HVC_NO_IPA: no record */
	u64 steal_last; /* run delay already accounted */
	u64 steal_looked_ns;
};

#define HVC_NO_IPA (~0ull)

/* 0 or -ENOSPC. Sets g->hvc. Before the first vCPU. */
int hvc_vm_init(struct vm_hvc *h, struct vcpu_group *g);
void hvc_vm_fini(struct vm_hvc *h);
/* 0 or -ENOMEM. */
int hvc_vcpu_init(struct vm_hvc *h, struct vcpu *v);
void hvc_vcpu_fini(struct vcpu *v);

/*
 * vcpu_vm_ops.hypercall. Mode OUTSIDE, v->mutex held, v->stop.imm is the immediate, pc past the HVC
 * or SMC. 1 = handled, 0 = exit to user space with v->run filled.
 */
int hvc_handle(struct vcpu *v, bool smc);
/* At the start of KVM_RUN: accounts the time this thread was kept from running. Cheap without a
 * record. */
void hvc_before_run(struct vcpu *v);

/* VM attributes of group KVM_ARM_VM_SMCCC_CTRL. -ENXIO, -EFAULT, -EINVAL, -EBUSY (a vCPU ran),
 * -EEXIST (overlap), -ENOMEM. */
int hvc_vm_set_attr(struct vm_hvc *h, u64 attr, const void *user);
int hvc_vm_has_attr(struct vm_hvc *h, u64 attr);
/* vCPU attributes of group KVM_ARM_VCPU_PVTIME_CTRL. */
int hvc_pvtime_set_attr(struct vcpu *v, u64 attr, const void *user);
int hvc_pvtime_get_attr(struct vcpu *v, u64 attr, void *user);
int hvc_pvtime_has_attr(struct vcpu *v, u64 attr);

#endif
