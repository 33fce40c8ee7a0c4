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
	const char *name, *test;
};
extern const struct idreg_field idreg_fields[];
extern const u32 nr_idreg_fields;

/* Value at VM creation, made of the fields. */
u64 idreg_reset_value(unsigned slot);
/* Before the first entry into the guest: fields that depend on the VM's devices. */
void idregs_finalize(struct vcpu_group *g);

#endif
