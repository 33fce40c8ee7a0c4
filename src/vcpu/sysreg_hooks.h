/* SPDX-License-Identifier: MIT */
/* Hooks that sysreg_table.c names. */
#ifndef ANYKVM_VCPU_SYSREG_HOOKS_H
#define ANYKVM_VCPU_SYSREG_HOOKS_H

#include "vcpu/sysreg.h"

#define READ_HOOK(name) \
	enum op_result name(struct vcpu *v, const struct sysreg_row *row, u64 *value)
#define WRITE_HOOK(name) \
	enum op_result name(struct vcpu *v, const struct sysreg_row *row, u64 value)
#define GET_HOOK(name) int name(struct vcpu *v, const struct sysreg_row *row, u64 *value)
#define SET_HOOK(name) int name(struct vcpu *v, const struct sysreg_row *row, u64 value)

/* sysreg.c */
WRITE_HOOK(ignore_write);
WRITE_HOOK(sctlr_write);
WRITE_HOOK(translation_write);
WRITE_HOOK(tcr_write);
WRITE_HOOK(cpacr_write);
READ_HOOK(sp_el0_read);
WRITE_HOOK(sp_el0_write);
READ_HOOK(spsel_read);
WRITE_HOOK(spsel_write);
READ_HOOK(currentel_read);
READ_HOOK(pstate_read);
WRITE_HOOK(pstate_write);
READ_HOOK(daif_read);
WRITE_HOOK(daif_write);
READ_HOOK(nzcv_read);
WRITE_HOOK(nzcv_write);
READ_HOOK(fpcr_read);
WRITE_HOOK(fpcr_write);
READ_HOOK(fpsr_read);
WRITE_HOOK(fpsr_write);
READ_HOOK(isr_read);
WRITE_HOOK(csselr_write);
READ_HOOK(ccsidr_read);
READ_HOOK(dczid_read);
READ_HOOK(mpidr_read);
GET_HOOK(mpidr_get);
SET_HOOK(mpidr_set);
void mpidr_init(struct vcpu *v);

/* idreg_insns.c */
bool pstate_present(const struct vcpu *v, const struct sysreg_row *row);

/* events.c */
bool ras_present(const struct vcpu *v, const struct sysreg_row *row);
READ_HOOK(disr_read);
WRITE_HOOK(disr_write);

/* pauth.c */
bool pauth_present(const struct vcpu *v, const struct sysreg_row *row);

/* debug.c */
WRITE_HOOK(debug_write);
READ_HOOK(pair_read);
WRITE_HOOK(pair_write);
WRITE_HOOK(oslar_write);
SET_HOOK(oslsr_set);

/* idregs.c */
READ_HOOK(idreg_read);
GET_HOOK(idreg_get);
SET_HOOK(idreg_set);
READ_HOOK(impid_read);
GET_HOOK(impid_get);
SET_HOOK(impid_set);
READ_HOOK(clidr_read);
GET_HOOK(clidr_get);
SET_HOOK(clidr_set);
SET_HOOK(ctr_set);
READ_HOOK(ctr_read);

/* Bits that exist in this CPU model; the rest is RES0 (RES1 bits of absent features are kept as
 * written). */
#define SCTLR_WRITABLE                                                                      \
	(SCTLR_M | SCTLR_A | SCTLR_C | SCTLR_SA | SCTLR_SA0 | 0x1e0 | SCTLR_UMA | BIT(11) | \
	 SCTLR_I | SCTLR_DZE | SCTLR_UCT | SCTLR_NTWI | SCTLR_NTWE | SCTLR_WXN | BIT(20) |  \
	 BIT(22) | SCTLR_SPAN | SCTLR_UCI | BIT(28) | BIT(29) | SCTLR_DSSBS)
/* More of them on vCPUs with pointer authentication. */
#define SCTLR_PAUTH   (SCTLR_ENIA | SCTLR_ENIB | SCTLR_ENDA | SCTLR_ENDB)
#define TCR_PAUTH     (TCR_TBID0 | TCR_TBID1)
#define TCR_WRITABLE  (GENMASK(5, 0) | GENMASK(34, 7) | GENMASK(42, 36) | TCR_E0PD0 | TCR_E0PD1)
#define FPCR_WRITABLE (GENMASK(26, 22) | BIT(19))
#define FPSR_WRITABLE (BIT(27) | 0x9f)

#endif
