/* SPDX-License-Identifier: MIT */
/* Storage indices of system registers: vcpu_arch.sys[] and vcpu_group.idreg[]. */
#ifndef ANYKVM_VCPU_SYSREG_INDEX_H
#define ANYKVM_VCPU_SYSREG_INDEX_H

/* ID registers: op0 3, op1 0, CRn 0, CRm 1..7, op2 0..7. */
#define NR_IDREG 56

enum sysreg_index {
	SR_SCTLR_EL1,
	NR_SYSREG
};

#endif
