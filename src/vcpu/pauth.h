/* SPDX-License-Identifier: MIT */
/* Pointer authentication, as the handlers of its instructions need it. A key that SCTLR_EL1 has off leaves pointers as they are. */
#ifndef ANYKVM_VCPU_PAUTH_H
#define ANYKVM_VCPU_PAUTH_H

#include "vcpu/vcpu.h"

/* In the order of the key registers. */
enum pauth_key { PAUTH_IA, PAUTH_IB, PAUTH_DA, PAUTH_DB, PAUTH_GA };

/* The pointer with its code. */
u64 vcpu_pac(struct vcpu *v, u64 ptr, u64 modifier, enum pauth_key key);
/* Checks *ptr and makes it canonical. False: an exception was taken, the handler returns OP_BRANCH. */
bool vcpu_aut(struct vcpu *v, u64 *ptr, u64 modifier, enum pauth_key key);
/* The pointer without a code, unchecked. */
u64 vcpu_xpac(const struct vcpu *v, u64 ptr, bool data);
/* The generic code of value, in the upper half. */
u64 vcpu_pacga(const struct vcpu *v, u64 value, u64 modifier);
/* ERETAA, ERETAB. */
enum op_result vcpu_eret_authenticated(struct vcpu *v, enum pauth_key key);

#endif
