/* SPDX-License-Identifier: MIT */
/*
 * The system register table. A row is everything that is known about one register: encoding,
 * storage, who may touch it, what a write may change, hooks, reset value, and how the KVM register
 * interface shows it.
 *
 * The base table is in sysreg_table.c. Other layers (timers and the CPU interface of the interrupt
 * controller) add const arrays of rows to a vcpu_group before its first vCPU:
 *
 *     static const struct sysreg_row timer_rows[] = {
 *             { .op = SYSREG_OP(3, 3, 14, 3, 1), .name = "CNTV_CTL_EL0", .access = SYSREG_RW0,
 * .index = SR_NONE, .read = cntv_ctl_read, .write = cntv_ctl_write, .get = ..., .set = ..., .flags
 * = SYSREG_LISTED },
 *     };
 *     vcpu_group_add_rows(group, timer_rows, ARRAY_SIZE(timer_rows));
 *
 * Hooks of guest accesses run on the vCPU thread, usually in guest mode: they may take leaf locks
 * (vgic, timer) but never block, and hold nothing when they return. They return OP_NEXT    done:
 * the caller moves pc past the instruction; OP_BRANCH  an exception was taken (return
 * vcpu_undef(v), vcpu_sysreg_trap(v)), or the write changed something that the engine must look at
 * anew and pc is already past the instruction (return vcpu_context_changed(v)). A hook that makes
 * an interrupt pending for this very vCPU calls vcpu_set_pin as anybody else; the engine sees it at
 * its next poll.
 */
#ifndef ANYKVM_VCPU_SYSREG_H
#define ANYKVM_VCPU_SYSREG_H

#include "vcpu/vcpu.h"

/* The 16-bit encoding, as in MRS/MSR and as in the low half of a KVM_REG_ARM64_SYSREG id. */
#define SYSREG_OP(op0, op1, crn, crm, op2) \
	((u16)(((op0)&3) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2)))

/* access */
#define SYSREG_R1 BIT(0) /* MRS at EL1 */
#define SYSREG_W1 BIT(1)
#define SYSREG_R0 \
	BIT(2) /* MRS at EL0; a hook may still trap it (SCTLR_EL1, CNTKCTL_EL1 controls) */
#define SYSREG_W0  BIT(3)
#define SYSREG_RW1 (SYSREG_R1 | SYSREG_W1)
#define SYSREG_RW0 (SYSREG_RW1 | SYSREG_R0 | SYSREG_W0)
#define SYSREG_RO0 (SYSREG_R1 | SYSREG_R0)

/* flags */
#define SYSREG_LISTED	 BIT(0) /* appears in KVM_GET_REG_LIST and ONE_REG */
#define SYSREG_CONST	 BIT(1) /* ONE_REG writes must equal the present value (-EINVAL otherwise) */
#define SYSREG_RAZ	 BIT(2) /* reads as 0 */
#define SYSREG_HIDDEN_IO BIT(3) /* ONE_REG only by id: reachable but not in KVM_GET_REG_LIST */
#define SYSREG_POLLS \
	BIT(4) /* a hook may raise an interrupt, which comes before the next instruction */

struct sysreg_row {
	u16 op;
	u16 index; /* enum sysreg_index, or SR_NONE when hooks keep it */
	u8 access;
	u8 flags;
	const char *name;
	u64 wmask; /* bits that a guest write changes (the rest is kept); 0 stands for all */
	u64 reset; /* of the storage, unless reset_hook is set */
	enum op_result (*read)(struct vcpu *v, const struct sysreg_row *row, u64 *value);
	enum op_result (*write)(struct vcpu *v, const struct sysreg_row *row, u64 value);
	/* ONE_REG, under v->mutex, outside guest mode. NULL: the storage as it is. 0 or -errno. */
	int (*get)(struct vcpu *v, const struct sysreg_row *row, u64 *value);
	int (*set)(struct vcpu *v, const struct sysreg_row *row, u64 value);
	/* Reset by KVM_ARM_VCPU_INIT. NULL: storage = reset. */
	void (*reset_hook)(struct vcpu *v, const struct sysreg_row *row);
	/* NULL: there. False: the encoding is UNDEFINED and the register is not listed. */
	bool (*present)(const struct vcpu *v, const struct sysreg_row *row);
	u64 one_reg_id; /* 0: KVM_REG_ARM64 | SIZE_U64 | SYSREG | op. (KVM swaps the ids of two
			   timer registers.) */
};

/* rows must stay valid for the group's life. Before the first vCPU. 0 or -ENOSPC. */
#define SYSREG_MAX_TABLES 6
int vcpu_group_add_rows(struct vcpu_group *g, const struct sysreg_row *rows, u32 nr);

/* NULL if there is no such register in this VM (presence is asked by the caller). */
const struct sysreg_row *sysreg_find(const struct vcpu_group *g, u16 op);

/* For a hook of an EL0 access that a control register traps: EC 0x18 to EL1 with the syndrome of
 * the instruction at hand. */
enum op_result vcpu_sysreg_trap(struct vcpu *v);
/* A register write changed the translation context, EL state or masks: moves pc on, rederives,
 * returns OP_BRANCH. */
enum op_result vcpu_context_changed(struct vcpu *v);

/* The base table, sorted by op. */
extern const struct sysreg_row sysreg_base_rows[];
extern const u32 sysreg_nr_base_rows;

static inline u64 sysreg_get(const struct vcpu *v, enum sysreg_index i)
{
	return v->arch.sys[i];
}

#endif
