/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_INTERP_SELECT_H
#define ANYKVM_INTERP_SELECT_H

#include "interp/interp.h"

/* The handler for a word; UNDEFINED words have one too. absent: bits of enum a64_feature that the vCPU has not. */
op_fn *interp_select(u32 insn, u32 absent);

op_fn op_unallocated;

#endif
