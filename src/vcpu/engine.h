/* SPDX-License-Identifier: MIT */
/*
 * What an execution engine is to the vCPU layer, and what it may use. interp/ and jit/ implement
 * struct engine_ops.
 *
 * An engine runs guest instructions in guest mode (mode IN_GUEST, see mem/tlb.h) until v->stop.kind
 * is not STOP_NONE. It holds no lock. It calls vcpu_poll() at every taken branch to a lower or
 * equal address, at every page change, at every exception boundary and at least every 1024
 * instructions; never inside an access section (I-12).
 */
#ifndef ANYKVM_VCPU_ENGINE_H
#define ANYKVM_VCPU_ENGINE_H

#include "base/types.h"

struct vcpu;

/* What a handler of one instruction tells its loop. */
enum op_result {
	OP_NEXT = 0,   /* go on at pc + 4 */
	OP_BRANCH = 1, /* pc was set (branch, exception taken, eret, context change): fetch again
			  there */
	OP_STOP = 2,   /* v->stop says why; pc is where to resume; leave the engine */
};

/* Why the engine left guest mode. The run loop in vcpu/run.c handles each with mode OUTSIDE. */
enum stop_kind {
	STOP_NONE = 0,
	STOP_REQUEST,	 /* a request or kick is pending: run.c looks at it */
	STOP_S2_FAULT,	 /* stage-2 fault: v->stop.fault; the instruction is run again, or completed
			    as MMIO */
	STOP_HOST_FAULT, /* a guarded access failed at v->stop.fault.hva: drop the leaf, take the
			    fault path */
	STOP_HVC,	 /* v->stop.imm; pc already past the HVC */
	STOP_SMC,	 /* v->stop.imm; pc at the SMC (trapped: preferred return is the instruction
			    itself) */
	STOP_WFI,	 /* pc past the WFI */
	STOP_WFE,
	STOP_DEBUG, /* guest debug exit to user space: v->stop.esr, .far */
};

struct engine_ops {
	const char *name;
	/* Before the first run: per-vCPU state in v->engine. 0 or -ENOMEM. */
	int (*vcpu_init)(struct vcpu *v);
	void (*vcpu_fini)(struct vcpu *v);
	/* Runs until v->stop.kind != STOP_NONE. */
	void (*run)(struct vcpu *v);
	/*
	 * Executes the one instruction at pc (which may end in an exception or a stop), as run
	 * does, without a poll. For software step.
	 */
	void (*step)(struct vcpu *v);
	/*
	 * Forget decoded or translated code of host pages in [start, end) (hvas). Called on the
	 * vCPU's own thread at a poll or outside guest mode. The engine must look up its current
	 * page again afterwards.
	 */
	void (*drop_code)(struct vcpu *v, u64 start, u64 end);
};

#endif
