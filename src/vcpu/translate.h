/* SPDX-License-Identifier: MIT */
/* Stage-1 translation: facts of the registers, and the walk. Only vcpu/ includes this. */
#ifndef ANYKVM_VCPU_TRANSLATE_H
#define ANYKVM_VCPU_TRANSLATE_H

#include "vcpu/vcpu.h"

/* SCTLR_EL1 */
#define SCTLR_M	    BIT(0)
#define SCTLR_A	    BIT(1)
#define SCTLR_C	    BIT(2)
#define SCTLR_SA    BIT(3)
#define SCTLR_SA0   BIT(4)
#define SCTLR_UMA   BIT(9)
#define SCTLR_I	    BIT(12)
#define SCTLR_DZE   BIT(14)
#define SCTLR_UCT   BIT(15)
#define SCTLR_ENDB  BIT(13)
#define SCTLR_NTWI  BIT(16)
#define SCTLR_NTWE  BIT(18)
#define SCTLR_WXN   BIT(19)
#define SCTLR_SPAN  BIT(23)
#define SCTLR_UCI   BIT(26)
#define SCTLR_ENDA  BIT(27)
#define SCTLR_ENIB  BIT(30)
#define SCTLR_ENIA  BIT(31)
#define SCTLR_DSSBS BIT(44)
/* What the meaning of a cached translation depends on. */
#define SCTLR_TRANSLATION (SCTLR_M | SCTLR_A | SCTLR_WXN)

/* TCR_EL1 */
#define TCR_EPD0  BIT(7)
#define TCR_A1	  BIT(22)
#define TCR_EPD1  BIT(23)
#define TCR_AS	  BIT(36)
#define TCR_TBI0  BIT(37)
#define TCR_TBI1  BIT(38)
#define TCR_HA	  BIT(39)
#define TCR_HD	  BIT(40)
#define TCR_HPD0  BIT(41)
#define TCR_HPD1  BIT(42)
#define TCR_TBID0 BIT(51)
#define TCR_TBID1 BIT(52)
#define TCR_E0PD0 BIT(55)
#define TCR_E0PD1 BIT(56)

#define TTBR_ASID_MASK GENMASK(63, 48)

/* Output address bits: ID_AA64MMFR0_EL1.PARange of idregs.c. */
#define PA_BITS 48

static inline s32 mmu_current_asid(const struct vcpu *v)
{
	u64 tcr = v->arch.sys[SR_TCR_EL1];
	u64 ttbr = v->arch.sys[tcr & TCR_A1 ? SR_TTBR1_EL1 : SR_TTBR0_EL1];

	return (s32)(ttbr >> 48 & (tcr & TCR_AS ? 0xffff : 0xff));
}

/* Whether the top byte of an address is the program's (TBI); of one that is fetched from, TBID can take that back. */
static inline bool mmu_ignores_top_byte(u64 tcr, bool upper, bool exec)
{
	if (upper)
		return (tcr & TCR_TBI1) && !(exec && (tcr & TCR_TBID1));
	return (tcr & TCR_TBI0) && !(exec && (tcr & TCR_TBID0));
}

static inline bool mmu_is_on(const struct vcpu *v)
{
	return v->arch.sys[SR_SCTLR_EL1] & SCTLR_M;
}

/* Fault status codes; level 0..3 in the low bits where the name ends in _L. */
#define FSC_ADDRESS_SIZE_L 0x00
#define FSC_TRANSLATION_L  0x04
#define FSC_ACCESS_FLAG_L  0x08
#define FSC_PERMISSION_L   0x0c
#define FSC_EXTERNAL	   0x10
#define FSC_EXTERNAL_TTW_L 0x14
#define FSC_ALIGNMENT	   0x21
#define FSC_EXCL_ATOMIC	   0x35

/* Description of one access, for the walk. */
struct s1_access {
	u64 va;
	u8 el; /* whose rights: 0 or 1 */
	bool write, exec;
	bool pan;    /* PSTATE.PAN counts for this access */
	bool atomic; /* read and write in one: read rights are looked at first */
	bool cache_op;
	bool zeroes;	/* DC ZVA: in Device memory an alignment fault, whatever lies there */
	bool no_update; /* AT: do not set the access flag or clear the dirty state */
};

/* What a walk found. */
struct s1_result {
	u64 ipa;
	u8 attr; /* MAIR byte; 0 (Device-nGnRnE) with the MMU off */
	u8 sh;
	u8 leaf_log2; /* size of the leaf (of the contiguous set) */
	u8 level;
	bool device;
	bool global;
};

enum s1_status {
	S1_OK,
	S1_FAULT,      /* stage-1 fault: fsc */
	S1_S2_FAULT,   /* stage 2 refused a descriptor: v->stop.fault is filled (without access
			  details) */
	S1_HOST_FAULT, /* the host refused a descriptor: same */
};

struct s1_fault {
	u32 fsc;
	bool write; /* ISS.WnR of an atomic may differ from the access */
};

/* Inside an access section. */
enum s1_status s1_walk(struct vcpu *v, const struct s1_access *a, struct s1_result *r,
		       struct s1_fault *f);

/* Output of stage 2 for one page of the stage-1 output. */
struct page_result {
	u64 hva; /* of the byte */
	u64 ipa;
};

/*
 * Both stages for one access, with the entry made in the TLB where that is allowed. On false an
 * exception was taken or v->stop is set, as for every vmem function. acc: ACC_* of vmem.h, size:
 * bytes of the access (for alignment to Device memory).
 */
bool translate_access(struct vcpu *v, const struct s1_access *a, u32 acc, unsigned size,
		      struct page_result *out);

/* Reports f of an access to the guest: data or instruction abort. */
void translate_report(struct vcpu *v, const struct s1_access *a, const struct s1_fault *f);
/* Fills v->stop for a stage-2 fault of the access itself from f (ipa, type, level). */
void translate_stop_s2(struct vcpu *v, const struct s1_access *a, u32 acc, unsigned size);

#endif
