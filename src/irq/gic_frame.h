/* SPDX-License-Identifier: MIT */
/* Inside of irq/: what the register frames of GICv3 (gic_mmio.c) and GICv2 (gic_v2.c) share. */
#ifndef ANYKVM_IRQ_GIC_FRAME_H
#define ANYKVM_IRQ_GIC_FRAME_H

#include "irq/gic.h"

enum reg_kind {
	REG_RAZ,
	REG_RAO,
	REG_CTLR, /* GICD_CTLR, TYPER, IIDR, TYPER2 */
	REG_GROUP,
	REG_SENABLE,
	REG_CENABLE,
	REG_SPENDING,
	REG_CPENDING,
	REG_SACTIVE,
	REG_CACTIVE,
	REG_PRIORITY,
	REG_CONFIG,
	REG_ROUTER,
	REG_PIDR,
	REG_R_CTLR,
	REG_R_IIDR,
	REG_R_TYPER,
	REG_R_PROPBASER,
	REG_R_PENDBASER,
	REG_R_INVLPIR,
	REG_R_INVALLR,
	/* of a GICv2 */
	REG_TARGET,
	REG_SGIR,
	REG_SGI_CLEAR,
	REG_SGI_SET,
};

/* Widths allowed: the numbers of bytes are distinct bits. */
#define W8  1
#define W32 4
#define W64 8

struct reg {
	u32 start, end; /* [start, end) */
	u8 kind;
	u8 widths;
	u8 bits;  /* per interrupt, 0: not such a register */
	u8 first; /* INTID at start */
};

/* One access, decoded. */
struct access {
	struct vm_irq *vi;
	struct irq_cpu *cpu; /* of the redistributor; of the accessing (or first) vCPU for the
				distributor */
	const struct reg *reg;
	u32 offset;
	unsigned size;
	bool user;
	u32 first; /* first interrupt, registers with bits != 0 */
	u32 nr;	   /* interrupts covered */
};

#define GICD_IIDR_BASE (0x4bu << 24 | 0x43b) /* product 'K', implementer Arm */
#define GICD_IIDR_REV  (0xfu << 12)

/* Finds the register of a->offset among nr. False: there is none for an access of that size and alignment. */
bool gic_access_decode(struct access *a, const struct reg *regs, u32 nr);
/* Registers with a field per interrupt. */
u64 gic_irqs_read(const struct access *a);
void gic_irqs_write(const struct access *a, u64 value);
/* GICD_CTLR's switch. */
void gic_dist_enable(struct vm_irq *vi, bool on);
/* GICD_IIDR by user space: the revision to show. 0 or -EINVAL. */
int gic_iidr_restore(struct vm_irq *vi, u32 value);
u32 gic_iidr(struct vm_irq *vi);

#endif
