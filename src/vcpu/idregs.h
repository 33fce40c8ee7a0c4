/* SPDX-License-Identifier: MIT */
/* The CPU model: values of the ID registers, what a VMM may change in them, and which test shows
 * each field. */
#ifndef ANYKVM_VCPU_IDREGS_H
#define ANYKVM_VCPU_IDREGS_H

#include "vcpu/vcpu.h"

/* Slot of an ID register in vcpu_group.idreg[]: CRm 1..7, op2 0..7. */
#define IDREG_SLOT(crm, op2) (((crm)-1) * 8 + (op2))

enum idreg_slot {
	ID_AA64PFR0 = IDREG_SLOT(4, 0),
	ID_AA64PFR1 = IDREG_SLOT(4, 1),
	ID_AA64DFR0 = IDREG_SLOT(5, 0),
	ID_AA64ISAR0 = IDREG_SLOT(6, 0),
	ID_AA64ISAR1 = IDREG_SLOT(6, 1),
	ID_AA64ISAR2 = IDREG_SLOT(6, 2),
	ID_AA64MMFR0 = IDREG_SLOT(7, 0),
	ID_AA64MMFR1 = IDREG_SLOT(7, 1),
	ID_AA64MMFR2 = IDREG_SLOT(7, 2),
};

/*
 * One field that is not 0. test names the test (program:test name, or a row of the engine's
 * differential suite) that exercises what the field promises; a unit test checks that every
 * non-zero field of the reset values has a row here and that no row has an empty name.
 */
struct idreg_field {
	u8 slot, shift;
	u8 value;
	u32 features; /* any of these vCPU features brings it; 0: always there */
	const char *name, *test;
};
extern const struct idreg_field idreg_fields[];
extern const u32 nr_idreg_fields;

/* Value for vCPUs of these features (KVM_ARM_VCPU_* bits), made of the fields. */
u64 idreg_reset_value(unsigned slot, u32 features);
/* The most that a VMM may claim: the reset value, with what the features of this VM's vCPUs add. */
u64 idreg_limit(const struct vcpu_group *g, unsigned slot);
/* CLIDR_EL1 and CCSIDR_EL1 of a new vCPU: a reset keeps what the VMM made of them. */
void idregs_init_vcpu(struct vcpu *v);
/* What the ID registers rule out of what there is otherwise: idreg_insns.c. */
struct vcpu_absent idregs_absent(const struct vcpu_group *g);
/* Before the first entry into the guest: fields that depend on the VM's devices. */
void idregs_finalize(struct vcpu_group *g);

static inline bool idreg_has(const struct vcpu *v, unsigned slot, unsigned shift, unsigned min)
{
	return bits_get(v->group->idreg[slot], shift, 4) >= min;
}

/* --- idreg_rules.c --- */

#define CTR_WRITABLE   0x300fc00full
#define CLIDR_WRITABLE GENMASK(46, 0)

/* Writes succeed and change nothing. */
bool idreg_ignores_writes(unsigned slot);
/* Rules that hold also for a value that is there already: corrects *value, or -EINVAL. */
int idreg_check_always(unsigned slot, u64 *value);
/* Whether the VM's CPUs can do what value says. */
bool idreg_value_allowed(const struct vcpu_group *g, unsigned slot, u64 value);

#endif
