/* SPDX-License-Identifier: MIT */
#ifndef ANYKVM_INTERP_SELECT_H
#define ANYKVM_INTERP_SELECT_H

#include "interp/interp.h"

/* The handler for a word; UNDEFINED words have one too. */
op_fn *interp_select(u32 insn);

op_fn op_unallocated;

#endif
