/* SPDX-License-Identifier: MIT */
/*
 * All process-wide mutable state of the library lives in one struct process, so that a test (and the schedule explorer) can
 * reset it between runs and so that nothing hides in file-scope variables. A layer owns one part; it defines the struct of
 * that part in its own header and reaches it with process_part().
 */
#ifndef ANYKVM_BASE_PROCESS_H
#define ANYKVM_BASE_PROCESS_H

#include <string.h>

#include "base/types.h"

enum process_part_id {
	PROCESS_SYNC,
	PROCESS_HOST,
	PROCESS_FRAME,
	PROCESS_MEM,
	PROCESS_VCPU,
	PROCESS_IRQ,
	PROCESS_API,
	NR_PROCESS_PARTS
};

#define PROCESS_PART_SIZE 4096

struct process {
	_Alignas(64) unsigned char part[NR_PROCESS_PARTS][PROCESS_PART_SIZE];
};

/* The one instance; zero at start. */
extern struct process process;

/* Each layer static_asserts that its struct fits PROCESS_PART_SIZE. A part is all zero before first use. */
static inline void *process_part(enum process_part_id id)
{
	return process.part[id];
}

/* As before first use. What it named is forgotten: for a fork child that begins anew. */
static inline void process_part_clear(enum process_part_id id)
{
	memset(process.part[id], 0, PROCESS_PART_SIZE);
}

#endif
