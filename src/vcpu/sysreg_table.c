// SPDX-License-Identifier: MIT
/*
 * The base table of system registers, sorted by encoding. What is not here (nor added by irq/) is
 * UNDEFINED. Hooks are in sysreg.c, debug.c and idregs.c.
 */
#include "vcpu/idregs.h"
#include "vcpu/sysreg.h"
#include "vcpu/sysreg_hooks.h"
#include "vcpu/translate.h"

/* What KVM puts into registers whose reset value the architecture leaves open. */
#define UNKNOWN 0x1de7ec7edbadc0deull

#define LISTED SYSREG_LISTED
#define ROW(op0, op1, crn, crm, op2, reg, acc) \
	.op = SYSREG_OP(op0, op1, crn, crm, op2), .name = #reg, .access = (acc)
#define STORED(reg) .index = SR_##reg
#define NO_STORE    .index = SR_NONE
#define HOOKS(r, w) .read = (r), .write = (w)

#define DEBUG_REG(n, op2, reg, at)                                                           \
	{                                                                                    \
		ROW(2, 0, 0, n, op2, reg, SYSREG_RW1), .index = (at) + (n), .flags = LISTED, \
						       HOOKS(pair_read, pair_write)          \
	}
#define DEBUG_REGS(n)                                             \
	DEBUG_REG(n, 4, DBGBVR##n##_EL1, SR_DBGBVR0_EL1),         \
		DEBUG_REG(n, 5, DBGBCR##n##_EL1, SR_DBGBCR0_EL1), \
		DEBUG_REG(n, 6, DBGWVR##n##_EL1, SR_DBGWVR0_EL1), \
		DEBUG_REG(n, 7, DBGWCR##n##_EL1, SR_DBGWCR0_EL1)

#define RAZ_WI(op0, op1, crn, crm, op2, reg, acc)                                     \
	{                                                                             \
		ROW(op0, op1, crn, crm, op2, reg, acc), NO_STORE, .flags = SYSREG_RAZ \
	}

#define RAS(crm, op2, reg, acc)                                                    \
	{                                                                          \
		ROW(3, 0, 5, crm, op2, reg, acc), NO_STORE, .flags = SYSREG_RAZ,   \
							    .present = ras_present \
	}

#define PAUTH_HALF(crm, op2, reg, at)                                                       \
	{                                                                                   \
		ROW(3, 0, 2, crm, op2, reg, SYSREG_RW1), .index = SR_APIAKEYLO_EL1 + (at),  \
							 .flags = LISTED, .reset = UNKNOWN, \
							 .present = pauth_present           \
	}
#define PAUTH_KEY(crm, op2, reg, at) \
	PAUTH_HALF(crm, op2, reg##LO_EL1, at), PAUTH_HALF(crm, (op2) + 1, reg##HI_EL1, (at) + 1)

#define ID(crm, op2, reg)                                                                       \
	{                                                                                       \
		ROW(3, 0, 0, crm, op2, reg, SYSREG_R1), NO_STORE,                               \
			.flags = LISTED, .read = idreg_read, .get = idreg_get, .set = idreg_set \
	}

#define IMP_ID(op1, op2, reg)                                                                   \
	{                                                                                       \
		ROW(3, op1, 0, 0, op2, reg, SYSREG_R1), NO_STORE,                               \
			.flags = LISTED, .read = impid_read, .get = impid_get, .set = impid_set \
	}

const struct sysreg_row sysreg_base_rows[] = {
	DEBUG_REGS(0),
	DEBUG_REGS(1),
	{ROW(2, 0, 0, 2, 0, MDCCINT_EL1, SYSREG_RW1), STORED(MDCCINT_EL1), .flags = LISTED,
	 .wmask = BIT(29) | BIT(30)},
	{ROW(2, 0, 0, 2, 2, MDSCR_EL1, SYSREG_RW1), STORED(MDSCR_EL1), .flags = LISTED,
	 HOOKS(NULL, debug_write)},
	DEBUG_REGS(2),
	DEBUG_REGS(3),
	DEBUG_REGS(4),
	DEBUG_REGS(5),
	DEBUG_REGS(6),
	DEBUG_REGS(7),
	DEBUG_REGS(8),
	DEBUG_REGS(9),
	DEBUG_REGS(10),
	DEBUG_REGS(11),
	DEBUG_REGS(12),
	DEBUG_REGS(13),
	DEBUG_REGS(14),
	DEBUG_REGS(15),
	RAZ_WI(2, 0, 1, 0, 0, MDRAR_EL1, SYSREG_R1),
	{ROW(2, 0, 1, 0, 4, OSLAR_EL1, SYSREG_W1), NO_STORE, HOOKS(NULL, oslar_write)},
	{ROW(2, 0, 1, 1, 4, OSLSR_EL1, SYSREG_R1), STORED(OSLAR_EL1), .flags = LISTED,
	 .reset = BIT(3), .set = oslsr_set},
	RAZ_WI(2, 0, 1, 3, 4, OSDLR_EL1, SYSREG_RW1),
	RAZ_WI(2, 0, 1, 4, 4, DBGPRCR_EL1, SYSREG_RW1),
	RAZ_WI(2, 0, 7, 8, 6, DBGCLAIMSET_EL1, SYSREG_RW1),
	RAZ_WI(2, 0, 7, 9, 6, DBGCLAIMCLR_EL1, SYSREG_RW1),
	RAZ_WI(2, 0, 7, 14, 6, DBGAUTHSTATUS_EL1, SYSREG_R1),
	RAZ_WI(2, 3, 0, 1, 0, MDCCSR_EL0, SYSREG_RO0),
	RAZ_WI(2, 3, 0, 4, 0, DBGDTR_EL0, SYSREG_RW0),
	RAZ_WI(2, 3, 0, 5, 0, DBGDTRTX_EL0, SYSREG_RW0),
	{ROW(2, 4, 0, 7, 0, DBGVCR32_EL2, 0), STORED(DBGVCR32_EL2), .flags = LISTED},

	IMP_ID(0, 0, MIDR_EL1),
	{ROW(3, 0, 0, 0, 5, MPIDR_EL1, SYSREG_R1), NO_STORE, .flags = LISTED, .read = mpidr_read,
	 .get = mpidr_get, .set = mpidr_set},
	IMP_ID(0, 6, REVIDR_EL1),
	ID(1, 0, ID_PFR0_EL1),
	ID(1, 1, ID_PFR1_EL1),
	ID(1, 2, ID_DFR0_EL1),
	ID(1, 3, ID_AFR0_EL1),
	ID(1, 4, ID_MMFR0_EL1),
	ID(1, 5, ID_MMFR1_EL1),
	ID(1, 6, ID_MMFR2_EL1),
	ID(1, 7, ID_MMFR3_EL1),
	ID(2, 0, ID_ISAR0_EL1),
	ID(2, 1, ID_ISAR1_EL1),
	ID(2, 2, ID_ISAR2_EL1),
	ID(2, 3, ID_ISAR3_EL1),
	ID(2, 4, ID_ISAR4_EL1),
	ID(2, 5, ID_ISAR5_EL1),
	ID(2, 6, ID_MMFR4_EL1),
	ID(2, 7, ID_ISAR6_EL1),
	ID(3, 0, MVFR0_EL1),
	ID(3, 1, MVFR1_EL1),
	ID(3, 2, MVFR2_EL1),
	ID(3, 3, ID_RES_3_3),
	ID(3, 4, ID_PFR2_EL1),
	ID(3, 5, ID_DFR1_EL1),
	ID(3, 6, ID_MMFR5_EL1),
	ID(3, 7, ID_RES_3_7),
	ID(4, 0, ID_AA64PFR0_EL1),
	ID(4, 1, ID_AA64PFR1_EL1),
	ID(4, 2, ID_AA64PFR2_EL1),
	ID(4, 3, ID_RES_4_3),
	ID(4, 4, ID_AA64ZFR0_EL1),
	ID(4, 5, ID_AA64SMFR0_EL1),
	ID(4, 6, ID_RES_4_6),
	ID(4, 7, ID_AA64FPFR0_EL1),
	ID(5, 0, ID_AA64DFR0_EL1),
	ID(5, 1, ID_AA64DFR1_EL1),
	ID(5, 2, ID_RES_5_2),
	ID(5, 3, ID_RES_5_3),
	ID(5, 4, ID_AA64AFR0_EL1),
	ID(5, 5, ID_AA64AFR1_EL1),
	ID(5, 6, ID_RES_5_6),
	ID(5, 7, ID_RES_5_7),
	ID(6, 0, ID_AA64ISAR0_EL1),
	ID(6, 1, ID_AA64ISAR1_EL1),
	ID(6, 2, ID_AA64ISAR2_EL1),
	ID(6, 3, ID_AA64ISAR3_EL1),
	ID(6, 4, ID_RES_6_4),
	ID(6, 5, ID_RES_6_5),
	ID(6, 6, ID_RES_6_6),
	ID(6, 7, ID_RES_6_7),
	ID(7, 0, ID_AA64MMFR0_EL1),
	ID(7, 1, ID_AA64MMFR1_EL1),
	ID(7, 2, ID_AA64MMFR2_EL1),
	ID(7, 3, ID_AA64MMFR3_EL1),
	ID(7, 4, ID_AA64MMFR4_EL1),
	ID(7, 5, ID_RES_7_5),
	ID(7, 6, ID_RES_7_6),
	ID(7, 7, ID_RES_7_7),

	{ROW(3, 0, 1, 0, 0, SCTLR_EL1, SYSREG_RW1), STORED(SCTLR_EL1), .flags = LISTED,
	 .reset = 0x00c50078, .wmask = SCTLR_WRITABLE, HOOKS(NULL, sctlr_write)},
	{ROW(3, 0, 1, 0, 1, ACTLR_EL1, SYSREG_RW1), STORED(ACTLR_EL1), .flags = LISTED,
	 HOOKS(NULL, ignore_write)},
	{ROW(3, 0, 1, 0, 2, CPACR_EL1, SYSREG_RW1), STORED(CPACR_EL1), .flags = LISTED,
	 .wmask = 3u << 20, HOOKS(NULL, cpacr_write)},
	{ROW(3, 0, 2, 0, 0, TTBR0_EL1, SYSREG_RW1), STORED(TTBR0_EL1), .flags = LISTED,
	 .reset = UNKNOWN, HOOKS(NULL, translation_write)},
	{ROW(3, 0, 2, 0, 1, TTBR1_EL1, SYSREG_RW1), STORED(TTBR1_EL1), .flags = LISTED,
	 .reset = UNKNOWN, HOOKS(NULL, translation_write)},
	{ROW(3, 0, 2, 0, 2, TCR_EL1, SYSREG_RW1), STORED(TCR_EL1), .flags = LISTED,
	 .wmask = TCR_WRITABLE, HOOKS(NULL, tcr_write)},
	PAUTH_KEY(1, 0, APIAKEY, 0),
	PAUTH_KEY(1, 2, APIBKEY, 2),
	PAUTH_KEY(2, 0, APDAKEY, 4),
	PAUTH_KEY(2, 2, APDBKEY, 6),
	PAUTH_KEY(3, 0, APGAKEY, 8),
	{ROW(3, 0, 4, 0, 0, SPSR_EL1, SYSREG_RW1), STORED(SPSR_EL1)},
	{ROW(3, 0, 4, 0, 1, ELR_EL1, SYSREG_RW1), STORED(ELR_EL1)},
	{ROW(3, 0, 4, 1, 0, SP_EL0, SYSREG_RW1), NO_STORE, HOOKS(sp_el0_read, sp_el0_write)},
	{ROW(3, 0, 4, 2, 0, SPSel, SYSREG_RW1), NO_STORE, HOOKS(spsel_read, spsel_write)},
	{ROW(3, 0, 4, 2, 2, CurrentEL, SYSREG_R1), NO_STORE, HOOKS(currentel_read, NULL)},
	{ROW(3, 0, 4, 2, 3, PAN, SYSREG_RW1), NO_STORE, HOOKS(pstate_read, pstate_write),
	 .wmask = PSR_PAN, .present = pstate_present},
	{ROW(3, 0, 4, 2, 4, UAO, SYSREG_RW1), NO_STORE, HOOKS(pstate_read, pstate_write),
	 .wmask = PSR_UAO, .present = pstate_present},
	{ROW(3, 0, 5, 1, 0, AFSR0_EL1, SYSREG_RW1), STORED(AFSR0_EL1), .flags = LISTED,
	 .reset = UNKNOWN},
	{ROW(3, 0, 5, 1, 1, AFSR1_EL1, SYSREG_RW1), STORED(AFSR1_EL1), .flags = LISTED,
	 .reset = UNKNOWN},
	{ROW(3, 0, 5, 2, 0, ESR_EL1, SYSREG_RW1), STORED(ESR_EL1), .flags = LISTED,
	 .reset = UNKNOWN},
	RAS(3, 0, ERRIDR_EL1, SYSREG_R1),
	RAS(3, 1, ERRSELR_EL1, SYSREG_RW1),
	RAS(4, 0, ERXFR_EL1, SYSREG_R1),
	RAS(4, 1, ERXCTLR_EL1, SYSREG_RW1),
	RAS(4, 2, ERXSTATUS_EL1, SYSREG_RW1),
	RAS(4, 3, ERXADDR_EL1, SYSREG_RW1),
	RAS(5, 0, ERXMISC0_EL1, SYSREG_RW1),
	RAS(5, 1, ERXMISC1_EL1, SYSREG_RW1),
	{ROW(3, 0, 6, 0, 0, FAR_EL1, SYSREG_RW1), STORED(FAR_EL1), .flags = LISTED,
	 .reset = UNKNOWN},
	{ROW(3, 0, 7, 4, 0, PAR_EL1, SYSREG_RW1), STORED(PAR_EL1), .flags = LISTED,
	 .reset = UNKNOWN},
	{ROW(3, 0, 10, 2, 0, MAIR_EL1, SYSREG_RW1), STORED(MAIR_EL1), .flags = LISTED,
	 .reset = UNKNOWN, HOOKS(NULL, translation_write)},
	{ROW(3, 0, 10, 3, 0, AMAIR_EL1, SYSREG_RW1), STORED(AMAIR_EL1), .flags = LISTED},
	{ROW(3, 0, 12, 0, 0, VBAR_EL1, SYSREG_RW1), STORED(VBAR_EL1), .flags = LISTED,
	 .wmask = ~0x7ffull},
	{ROW(3, 0, 12, 1, 0, ISR_EL1, SYSREG_R1), NO_STORE, HOOKS(isr_read, NULL)},
	{ROW(3, 0, 12, 1, 1, DISR_EL1, SYSREG_RW1), STORED(DISR_EL1), .flags = LISTED,
	 HOOKS(disr_read, disr_write)},
	{ROW(3, 0, 13, 0, 1, CONTEXTIDR_EL1, SYSREG_RW1), STORED(CONTEXTIDR_EL1), .flags = LISTED,
	 .wmask = 0xffffffff},
	{ROW(3, 0, 13, 0, 4, TPIDR_EL1, SYSREG_RW1), STORED(TPIDR_EL1), .flags = LISTED,
	 .reset = UNKNOWN},
	{ROW(3, 0, 14, 1, 0, CNTKCTL_EL1, SYSREG_RW1), STORED(CNTKCTL_EL1), .flags = LISTED,
	 .wmask = 0xff},

	{ROW(3, 1, 0, 0, 0, CCSIDR_EL1, SYSREG_R1), NO_STORE, HOOKS(ccsidr_read, NULL)},
	{ROW(3, 1, 0, 0, 1, CLIDR_EL1, SYSREG_R1), NO_STORE, .flags = LISTED, .read = clidr_read,
	 .get = clidr_get, .set = clidr_set},
	IMP_ID(1, 7, AIDR_EL1),
	{ROW(3, 2, 0, 0, 0, CSSELR_EL1, SYSREG_RW1), STORED(CSSELR_EL1), .flags = LISTED,
	 .reset = UNKNOWN, .wmask = 0xf, HOOKS(NULL, csselr_write)},
	{ROW(3, 3, 0, 0, 1, CTR_EL0, SYSREG_RO0), NO_STORE, .flags = LISTED, .read = ctr_read,
	 .get = impid_get, .set = ctr_set},
	{ROW(3, 3, 0, 0, 7, DCZID_EL0, SYSREG_RO0), NO_STORE, HOOKS(dczid_read, NULL)},
	{ROW(3, 3, 4, 2, 0, NZCV, SYSREG_RW0), NO_STORE, HOOKS(nzcv_read, nzcv_write)},
	{ROW(3, 3, 4, 2, 1, DAIF, SYSREG_RW0), NO_STORE, HOOKS(daif_read, daif_write),
	 .wmask = PSR_D | PSR_A | PSR_I | PSR_F},
	{ROW(3, 3, 4, 2, 5, DIT, SYSREG_RW0), NO_STORE, HOOKS(pstate_read, pstate_write),
	 .wmask = PSR_DIT, .present = pstate_present},
	{ROW(3, 3, 4, 2, 6, SSBS, SYSREG_RW0), NO_STORE, HOOKS(pstate_read, pstate_write),
	 .wmask = PSR_SSBS, .present = pstate_present},
	{ROW(3, 3, 4, 4, 0, FPCR, SYSREG_RW0), NO_STORE, HOOKS(fpcr_read, fpcr_write)},
	{ROW(3, 3, 4, 4, 1, FPSR, SYSREG_RW0), NO_STORE, HOOKS(fpsr_read, fpsr_write)},
	{ROW(3, 3, 13, 0, 2, TPIDR_EL0, SYSREG_RW0), STORED(TPIDR_EL0), .flags = LISTED,
	 .reset = UNKNOWN},
	{ROW(3, 3, 13, 0, 3, TPIDRRO_EL0, SYSREG_RW1 | SYSREG_R0), STORED(TPIDRRO_EL0),
	 .flags = LISTED, .reset = UNKNOWN},
	{ROW(3, 4, 3, 0, 0, DACR32_EL2, 0), STORED(DACR32_EL2), .flags = LISTED, .reset = UNKNOWN},
	{ROW(3, 4, 5, 0, 1, IFSR32_EL2, 0), STORED(IFSR32_EL2), .flags = LISTED, .reset = UNKNOWN},
	{ROW(3, 4, 5, 3, 0, FPEXC32_EL2, 0), STORED(FPEXC32_EL2), .flags = LISTED, .reset = 0x700},
};
const u32 sysreg_nr_base_rows = ARRAY_SIZE(sysreg_base_rows);
