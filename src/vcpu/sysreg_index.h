/* SPDX-License-Identifier: MIT */
/* Storage indices of system registers: vcpu_arch.sys[] and vcpu_group.idreg[]. */
#ifndef ANYKVM_VCPU_SYSREG_INDEX_H
#define ANYKVM_VCPU_SYSREG_INDEX_H

/* ID registers: op0 3, op1 0, CRn 0, CRm 1..7, op2 0..7. */
#define NR_IDREG 56

enum sysreg_index {
	SR_SCTLR_EL1,
	SR_ACTLR_EL1,
	SR_CPACR_EL1,
	SR_TTBR0_EL1,
	SR_TTBR1_EL1,
	SR_TCR_EL1,
	SR_MAIR_EL1,
	SR_AMAIR_EL1,
	SR_ESR_EL1,
	SR_FAR_EL1,
	SR_AFSR0_EL1,
	SR_AFSR1_EL1,
	SR_PAR_EL1,
	SR_VBAR_EL1,
	SR_ELR_EL1,
	SR_SPSR_EL1,
	SR_CONTEXTIDR_EL1,
	SR_TPIDR_EL1,
	SR_TPIDR_EL0,
	SR_TPIDRRO_EL0,
	SR_CNTKCTL_EL1,
	SR_CSSELR_EL1,
	SR_MDSCR_EL1,
	SR_MDCCINT_EL1,
	SR_OSLAR_EL1, /* OSLSR_EL1.OSLK lives in bit 1 */
	SR_OSDLR_EL1,
	SR_DISR_EL1,
	/* The keys of pointer authentication, each low half first: vcpu/pauth.h. */
	SR_APIAKEYLO_EL1,
	SR_APGAKEYHI_EL1 = SR_APIAKEYLO_EL1 + 9,
	/* AArch32 registers that the API lists although no AArch32 state exists. */
	SR_DACR32_EL2,
	SR_IFSR32_EL2,
	SR_FPEXC32_EL2,
	SR_DBGVCR32_EL2,
	SR_SPSR_ABT,
	SR_SPSR_UND,
	SR_SPSR_IRQ,
	SR_SPSR_FIQ,
	SR_DBGBVR0_EL1,
	SR_DBGBCR0_EL1 = SR_DBGBVR0_EL1 + 16,
	SR_DBGWVR0_EL1 = SR_DBGBCR0_EL1 + 16,
	SR_DBGWCR0_EL1 = SR_DBGWVR0_EL1 + 16,
	NR_SYSREG = SR_DBGWCR0_EL1 + 16,
	SR_NONE = 0xffff /* no storage: hooks do it */
};

#endif
