/* SPDX-License-Identifier: MIT */
/*
 * Runs the interpreter without the vCPU layer: guest addresses are host addresses, everything runs at EL0, an exception ends the
 * run. fake_vcpu.c implements the part of vcpu.h and vmem.h that handlers use.
 */
#ifndef ANYKVM_TESTS_RIG_H
#define ANYKVM_TESTS_RIG_H

#include "vcpu/vcpu.h"

enum rig_exit {
	RIG_NONE,
	RIG_SVC,   /* imm; pc at the SVC */
	RIG_UNDEF, /* also: system registers and instructions that the rig does not have */
	RIG_BRK,
	RIG_HVC,
	RIG_SMC,
	RIG_FAULT, /* far, write */
	RIG_SP_ALIGNMENT,
	RIG_PC_ALIGNMENT,
	RIG_FP_TRAP,
	RIG_WFI,
	RIG_WFE,
	RIG_LIMIT, /* limit instructions were run */
};

/* The last call into the vCPU layer and its arguments, rt and op as there. */
enum rig_call {
	RIG_CALL_NONE,
	RIG_CALL_ERET,
	RIG_CALL_MSR_IMM,
	RIG_CALL_SYS,
	RIG_CALL_MSR,
	RIG_CALL_MRS,
	RIG_CALL_DSB,
	RIG_CALL_ESB,
	RIG_CALL_PAUTH
};

#define RIG_MAX_RANGES 8

struct rig {
	struct vcpu v; /* first: fake_vcpu.c casts */
	enum rig_exit exit;
	u32 imm;
	u64 far;
	bool write;
	u64 limit; /* 0: none */
	u64 tpidr;
	u64 events, fetches;
	struct {
		enum rig_call call;
		u32 a, b, c;
	} last;
	unsigned nr_ranges;
	struct {
		u64 start, end;
	} range[RIG_MAX_RANGES];
};

struct rig *rig_create(void);
void rig_destroy(struct rig *r);
/* Zeroed memory at a fixed address; false if the address is taken. */
bool rig_map(struct rig *r, u64 start, u64 size);
/* Memory that exists already. */
void rig_allow(struct rig *r, u64 start, u64 size);
/* As a TLB flush. */
void rig_flush(struct rig *r);
/* As instruction cache maintenance. */
void rig_drop_code(struct rig *r, u64 start, u64 end);
/* Runs from v.arch.pc until an exception or the limit. */
enum rig_exit rig_run(struct rig *r);

#endif
