/* SPDX-License-Identifier: MIT */
/* KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST and the other vCPU state ioctls, without their
 * user-space copies. */
#ifndef ANYKVM_VCPU_ONEREG_H
#define ANYKVM_VCPU_ONEREG_H

#include "vcpu/vcpu.h"

/*
 * Register groups of other layers (firmware registers: coprocessor 0x14 and 0x16 of the id). Listed
 * between the core registers and the system registers, in the order of adding. Values of 64 bits.
 */
struct onereg_group {
	u32 coproc; /* bits [31:16] of the id, shifted down: 0x14 */
	/* The id is one of this coprocessor and of size U64. 0, -ENOENT, -EINVAL, -EBUSY, -EPERM.
	 */
	int (*get)(struct vcpu *v, u64 id, u64 *value);
	int (*set)(struct vcpu *v, u64 id, u64 value);
	/* Number of ids; writes them to ids unless it is NULL. */
	u32 (*list)(struct vcpu *v, u64 *ids);
};

/* Before the first vCPU. 0 or -ENOSPC. */
int vcpu_group_add_onereg(struct vcpu_group *g, const struct onereg_group *grp);

/* Size in bytes that the id names: 1 << bits [55:52]. */
static inline unsigned onereg_size(u64 id)
{
	return 1u << ((id >> 52) & 15);
}

/* buf holds onereg_size(id) bytes, 256 at most: larger sizes fail without a look at it. Errors: -ENOENT, -EINVAL, -EBUSY,
 * -EPERM. */
int vcpu_get_one_reg(struct vcpu *v, u64 id, void *buf) REQUIRES(&v->mutex);
int vcpu_set_one_reg(struct vcpu *v, u64 id, const void *buf) REQUIRES(&v->mutex);
/* Number of registers; ids are written to list unless it is NULL. */
u32 vcpu_reg_list(struct vcpu *v, u64 *list) REQUIRES(&v->mutex);

/* KVM_ARM_GET_REG_WRITABLE_MASKS, range 0: 192 words. */
#define NR_WRITABLE_MASKS 192
void vcpu_writable_masks(u64 masks[NR_WRITABLE_MASKS]);

/* KVM_GET/SET_MP_STATE. -EINVAL for other states. */
int vcpu_get_mp_state(struct vcpu *v, u32 *state) REQUIRES(&v->mutex);
int vcpu_set_mp_state(struct vcpu *v, u32 state) REQUIRES(&v->mutex);

/* KVM_GET/SET_VCPU_EVENTS. */
struct vcpu_events {
	bool serror_pending, serror_has_esr, ext_dabt_pending;
	u64 serror_esr;
};
void vcpu_get_events(struct vcpu *v, struct vcpu_events *ev) REQUIRES(&v->mutex);
int vcpu_set_events(struct vcpu *v, const struct vcpu_events *ev) REQUIRES(&v->mutex);

/* KVM_SET_GUEST_DEBUG. -EINVAL for bits that are not offered (vcpu_guest_debug_mask). */
u32 vcpu_guest_debug_mask(void);
/* regs: the VMM's breakpoints and watchpoints, read with KVM_GUESTDBG_USE_HW. */
int vcpu_set_guest_debug(struct vcpu *v, u32 control, const struct kvm_guest_debug_arch *regs)
	REQUIRES(&v->mutex);

/* KVM_SET_SIGNAL_MASK: NULL = none set. */
void vcpu_set_signal_mask(struct vcpu *v, const u64 *mask) REQUIRES(&v->mutex);

#endif
