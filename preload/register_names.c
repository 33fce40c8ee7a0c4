/* SPDX-License-Identifier: MIT */
/* Registers of KVM_GET_ONE_REG and KVM_SET_ONE_REG by name. */
#include <stddef.h>

#include <anykvm.h>

#include "names.h"

#define NR(array) (sizeof(array) / sizeof((array)[0]))
/* As in bits 15 to 0 of an id. */
#define S(op0, op1, crn, crm, op2) (op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2)

static const struct {
	uint16_t encoding;
	const char *name;
} system_registers[] = {
	{S(2, 0, 0, 2, 0), "MDCCINT_EL1"},
	{S(2, 0, 0, 2, 2), "MDSCR_EL1"},
	{S(2, 0, 1, 1, 4), "OSLSR_EL1"},
	{S(2, 4, 0, 7, 0), "DBGVCR32_EL2"},
	{S(3, 0, 0, 0, 0), "MIDR_EL1"},
	{S(3, 0, 0, 0, 5), "MPIDR_EL1"},
	{S(3, 0, 0, 0, 6), "REVIDR_EL1"},
	{S(3, 0, 0, 1, 0), "ID_PFR0_EL1"},
	{S(3, 0, 0, 1, 1), "ID_PFR1_EL1"},
	{S(3, 0, 0, 1, 2), "ID_DFR0_EL1"},
	{S(3, 0, 0, 1, 3), "ID_AFR0_EL1"},
	{S(3, 0, 0, 1, 4), "ID_MMFR0_EL1"},
	{S(3, 0, 0, 1, 5), "ID_MMFR1_EL1"},
	{S(3, 0, 0, 1, 6), "ID_MMFR2_EL1"},
	{S(3, 0, 0, 1, 7), "ID_MMFR3_EL1"},
	{S(3, 0, 0, 2, 0), "ID_ISAR0_EL1"},
	{S(3, 0, 0, 2, 1), "ID_ISAR1_EL1"},
	{S(3, 0, 0, 2, 2), "ID_ISAR2_EL1"},
	{S(3, 0, 0, 2, 3), "ID_ISAR3_EL1"},
	{S(3, 0, 0, 2, 4), "ID_ISAR4_EL1"},
	{S(3, 0, 0, 2, 5), "ID_ISAR5_EL1"},
	{S(3, 0, 0, 2, 6), "ID_MMFR4_EL1"},
	{S(3, 0, 0, 2, 7), "ID_ISAR6_EL1"},
	{S(3, 0, 0, 3, 0), "MVFR0_EL1"},
	{S(3, 0, 0, 3, 1), "MVFR1_EL1"},
	{S(3, 0, 0, 3, 2), "MVFR2_EL1"},
	{S(3, 0, 0, 3, 4), "ID_PFR2_EL1"},
	{S(3, 0, 0, 3, 5), "ID_DFR1_EL1"},
	{S(3, 0, 0, 3, 6), "ID_MMFR5_EL1"},
	{S(3, 0, 0, 4, 0), "ID_AA64PFR0_EL1"},
	{S(3, 0, 0, 4, 1), "ID_AA64PFR1_EL1"},
	{S(3, 0, 0, 4, 2), "ID_AA64PFR2_EL1"},
	{S(3, 0, 0, 4, 4), "ID_AA64ZFR0_EL1"},
	{S(3, 0, 0, 4, 5), "ID_AA64SMFR0_EL1"},
	{S(3, 0, 0, 4, 7), "ID_AA64FPFR0_EL1"},
	{S(3, 0, 0, 5, 0), "ID_AA64DFR0_EL1"},
	{S(3, 0, 0, 5, 1), "ID_AA64DFR1_EL1"},
	{S(3, 0, 0, 5, 4), "ID_AA64AFR0_EL1"},
	{S(3, 0, 0, 5, 5), "ID_AA64AFR1_EL1"},
	{S(3, 0, 0, 6, 0), "ID_AA64ISAR0_EL1"},
	{S(3, 0, 0, 6, 1), "ID_AA64ISAR1_EL1"},
	{S(3, 0, 0, 6, 2), "ID_AA64ISAR2_EL1"},
	{S(3, 0, 0, 6, 3), "ID_AA64ISAR3_EL1"},
	{S(3, 0, 0, 7, 0), "ID_AA64MMFR0_EL1"},
	{S(3, 0, 0, 7, 1), "ID_AA64MMFR1_EL1"},
	{S(3, 0, 0, 7, 2), "ID_AA64MMFR2_EL1"},
	{S(3, 0, 0, 7, 3), "ID_AA64MMFR3_EL1"},
	{S(3, 0, 0, 7, 4), "ID_AA64MMFR4_EL1"},
	{S(3, 0, 1, 0, 0), "SCTLR_EL1"},
	{S(3, 0, 1, 0, 1), "ACTLR_EL1"},
	{S(3, 0, 1, 0, 2), "CPACR_EL1"},
	{S(3, 0, 2, 0, 0), "TTBR0_EL1"},
	{S(3, 0, 2, 0, 1), "TTBR1_EL1"},
	{S(3, 0, 2, 0, 2), "TCR_EL1"},
	{S(3, 0, 2, 1, 0), "APIAKEYLO_EL1"},
	{S(3, 0, 2, 1, 1), "APIAKEYHI_EL1"},
	{S(3, 0, 2, 1, 2), "APIBKEYLO_EL1"},
	{S(3, 0, 2, 1, 3), "APIBKEYHI_EL1"},
	{S(3, 0, 2, 2, 0), "APDAKEYLO_EL1"},
	{S(3, 0, 2, 2, 1), "APDAKEYHI_EL1"},
	{S(3, 0, 2, 2, 2), "APDBKEYLO_EL1"},
	{S(3, 0, 2, 2, 3), "APDBKEYHI_EL1"},
	{S(3, 0, 2, 3, 0), "APGAKEYLO_EL1"},
	{S(3, 0, 2, 3, 1), "APGAKEYHI_EL1"},
	{S(3, 0, 4, 6, 0), "ICC_PMR_EL1"},
	{S(3, 0, 5, 1, 0), "AFSR0_EL1"},
	{S(3, 0, 5, 1, 1), "AFSR1_EL1"},
	{S(3, 0, 5, 2, 0), "ESR_EL1"},
	{S(3, 0, 6, 0, 0), "FAR_EL1"},
	{S(3, 0, 7, 4, 0), "PAR_EL1"},
	{S(3, 0, 9, 14, 1), "PMINTENSET_EL1"},
	{S(3, 0, 9, 14, 2), "PMINTENCLR_EL1"},
	{S(3, 0, 9, 14, 6), "PMMIR_EL1"},
	{S(3, 0, 10, 2, 0), "MAIR_EL1"},
	{S(3, 0, 10, 3, 0), "AMAIR_EL1"},
	{S(3, 0, 12, 0, 0), "VBAR_EL1"},
	{S(3, 0, 12, 1, 1), "DISR_EL1"},
	{S(3, 0, 12, 8, 3), "ICC_BPR0_EL1"},
	{S(3, 0, 12, 12, 3), "ICC_BPR1_EL1"},
	{S(3, 0, 12, 12, 4), "ICC_CTLR_EL1"},
	{S(3, 0, 12, 12, 5), "ICC_SRE_EL1"},
	{S(3, 0, 12, 12, 6), "ICC_IGRPEN0_EL1"},
	{S(3, 0, 12, 12, 7), "ICC_IGRPEN1_EL1"},
	{S(3, 0, 13, 0, 1), "CONTEXTIDR_EL1"},
	{S(3, 0, 13, 0, 4), "TPIDR_EL1"},
	{S(3, 0, 14, 1, 0), "CNTKCTL_EL1"},
	{S(3, 1, 0, 0, 1), "CLIDR_EL1"},
	{S(3, 1, 0, 0, 7), "AIDR_EL1"},
	{S(3, 2, 0, 0, 0), "CSSELR_EL1"},
	{S(3, 3, 0, 0, 1), "CTR_EL0"},
	{S(3, 3, 9, 12, 0), "PMCR_EL0"},
	{S(3, 3, 9, 12, 1), "PMCNTENSET_EL0"},
	{S(3, 3, 9, 12, 2), "PMCNTENCLR_EL0"},
	{S(3, 3, 9, 12, 3), "PMOVSCLR_EL0"},
	{S(3, 3, 9, 12, 4), "PMSWINC_EL0"},
	{S(3, 3, 9, 12, 5), "PMSELR_EL0"},
	{S(3, 3, 9, 13, 0), "PMCCNTR_EL0"},
	{S(3, 3, 9, 14, 0), "PMUSERENR_EL0"},
	{S(3, 3, 9, 14, 3), "PMOVSSET_EL0"},
	{S(3, 3, 13, 0, 2), "TPIDR_EL0"},
	{S(3, 3, 13, 0, 3), "TPIDRRO_EL0"},
	{S(3, 3, 14, 0, 1), "PTIMER_CNT"},
	{S(3, 3, 14, 2, 1), "PTIMER_CTL"},
	{S(3, 3, 14, 2, 2), "PTIMER_CVAL"},
	/* The virtual timer's ids are not what their encodings say: KVM's names, not the manual's. */
	{S(3, 3, 14, 3, 1), "TIMER_CTL"},
	{S(3, 3, 14, 0, 2), "TIMER_CVAL"},
	{S(3, 3, 14, 3, 2), "TIMER_CNT"},
	{S(3, 3, 14, 15, 7), "PMCCFILTR_EL0"},
	{S(3, 4, 3, 0, 0), "DACR32_EL2"},
	{S(3, 4, 5, 0, 1), "IFSR32_EL2"},
	{S(3, 4, 5, 3, 0), "FPEXC32_EL2"},
};

static void name_system_register(struct line *l, unsigned id)
{
	static const char *const debug[] = {[4] = "DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR"};
	unsigned crm = id >> 3 & 15, op2 = id & 7;

	for (size_t i = 0; i < NR(system_registers); i++) {
		if (system_registers[i].encoding == id) {
			line_add(l, "%s", system_registers[i].name);
			return;
		}
	}
	if (id >> 7 == S(2, 0, 0, 0, 0) >> 7 && op2 >= 4)
		line_add(l, "%s%u_EL1", debug[op2], crm);
	else if (id >> 7 == S(3, 3, 14, 0, 0) >> 7 && crm >= 8)
		line_add(l, "PMEV%s%u_EL0", crm >= 12 ? "TYPER" : "CNTR", (crm & 3) * 8 + op2);
	else
		line_add(l, "S%u_%u_C%u_C%u_%u", id >> 14 & 3, id >> 11 & 7, id >> 7 & 15, crm,
			 op2);
}

/* Offsets in units of 32 bits. */
#define CORE(member) (offsetof(struct kvm_regs, member) / 4)

static void name_core_register(struct line *l, unsigned at)
{
	static const struct {
		unsigned at;
		const char *name;
	} single[] = {
		{CORE(regs.sp), "sp"},	       {CORE(regs.pc), "pc"},
		{CORE(regs.pstate), "pstate"}, {CORE(sp_el1), "sp_el1"},
		{CORE(elr_el1), "elr_el1"},    {CORE(fp_regs.fpsr), "fpsr"},
		{CORE(fp_regs.fpcr), "fpcr"},  {CORE(spsr[0]), "spsr_el1"},
		{CORE(spsr[1]), "spsr_abt"},   {CORE(spsr[2]), "spsr_und"},
		{CORE(spsr[3]), "spsr_irq"},   {CORE(spsr[4]), "spsr_fiq"},
	};

	for (size_t i = 0; i < NR(single); i++) {
		if (single[i].at == at) {
			line_add(l, "%s", single[i].name);
			return;
		}
	}
	if (at < CORE(regs.sp) && !(at & 1))
		line_add(l, "x%u", at / 2);
	else if (at >= CORE(fp_regs.vregs) && at < CORE(fp_regs.fpsr) &&
		 !((at - CORE(fp_regs.vregs)) & 3))
		line_add(l, "v%u", (unsigned)(at - CORE(fp_regs.vregs)) / 4);
	else
		line_add(l, "core[0x%x]", at);
}

static void name_firmware_register(struct line *l, uint64_t id)
{
	static const char *const firmware[] = {"PSCI_VERSION", "SMCCC_ARCH_WORKAROUND_1",
					       "SMCCC_ARCH_WORKAROUND_2",
					       "SMCCC_ARCH_WORKAROUND_3"};
	static const char *const bitmaps[] = {"STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP",
					      "VENDOR_HYP_BMAP_2"};
	bool bitmap = (id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM_FW_FEAT_BMAP;
	unsigned number = id & 0xffff;

	if (number < NR(firmware))
		line_add(l, "%s", bitmap ? bitmaps[number] : firmware[number]);
	else
		line_add(l, "%s[0x%x]", bitmap ? "features" : "firmware", number);
}

void name_register(struct line *l, uint64_t id)
{
	switch (id & KVM_REG_ARM_COPROC_MASK) {
	case KVM_REG_ARM_CORE:
		name_core_register(l, id & 0xffff);
		break;
	case KVM_REG_ARM64_SYSREG:
		name_system_register(l, id & 0xffff);
		break;
	case KVM_REG_ARM_FW:
	case KVM_REG_ARM_FW_FEAT_BMAP:
		name_firmware_register(l, id);
		break;
	case KVM_REG_ARM_DEMUX:
		line_add(l, "CCSIDR_EL1[%u]", (unsigned)(id & KVM_REG_ARM_DEMUX_VAL_MASK));
		break;
	default:
		line_add(l, "0x%llx", (unsigned long long)id);
	}
}
