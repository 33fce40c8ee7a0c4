/* SPDX-License-Identifier: MIT */
/*
 * Unicorn (QEMU's arm64 core as a library) as the other implementation of the architecture, at EL0 and EL1 with translation.
 * It does not enter exceptions: it stops at them, and hands out the syndrome that they would have.
 */
#ifndef ANYKVM_TESTS_DIFF_UNICORN_ORACLE_H
#define ANYKVM_TESTS_DIFF_UNICORN_ORACLE_H

#include "../base/format.h"
#include "base/types.h"

/* QEMU's exception numbers. */
enum oracle_exception {
	ORACLE_NONE = -1, /* ran into the limit, or the host refused: see error */
	ORACLE_UNDEF = 1,
	ORACLE_SVC = 2,
	ORACLE_INSN_ABORT = 3,
	ORACLE_DATA_ABORT = 4,
	ORACLE_BKPT = 7,
};

struct oracle_stop {
	int exception; /* enum oracle_exception, or another number of QEMU's */
	int error;     /* uc_err; 0 if it stopped for an exception or at the limit */
	u64 pc;	       /* what ELR would hold */
	u32 syndrome;
	u64 far; /* of aborts */
};

struct oracle;

/* NULL: why it is not there is in *reason. */
struct oracle *oracle_create(const char **reason);
void oracle_destroy(struct oracle *o);
/* Guest-physical [at, at + size) is the host's memory at p. */
void oracle_map(struct oracle *o, u64 at, u64 size, void *p);
/* op: SYSREG_OP of the register. No side effects, as a debugger would. False: Unicorn has no such register. */
bool oracle_set_sys(struct oracle *o, u16 op, u64 value);
bool oracle_get_sys(struct oracle *o, u16 op, u64 *value);
/*
 * pstate without NZCV, which is in s. The EL must be the present one: what Unicorn derives from it is not computed anew. A new
 * oracle is at EL1 with SP_EL1.
 */
void oracle_set_state(struct oracle *o, const struct diff_state *s, u32 pstate);
void oracle_get_state(struct oracle *o, struct diff_state *s, u32 *pstate);
/* Everything but memory as it is now, and back to that: the way from EL0 to EL1. */
void oracle_keep_home(struct oracle *o);
void oracle_go_home(struct oracle *o);
/* Host code wrote guest code in [start, end). */
void oracle_drop_code(struct oracle *o, u64 start, u64 end);
/* From pc until the first exception or for at most limit instructions (0: no limit). */
struct oracle_stop oracle_run(struct oracle *o, u64 pc, unsigned limit);

#endif
