/* SPDX-License-Identifier: MIT */
/*
 * Signal masks as u64 in the kernel's layout: bit n - 1 is signal n. SEGV, BUS, FPE, ILL (our guarded access and programming
 * errors) and 32, 33 (libc's own) are never blocked by the library.
 */
#ifndef ANYKVM_HOST_SIGNAL_H
#define ANYKVM_HOST_SIGNAL_H

#include "base/types.h"

#define SIGNAL_BIT(signo) (1ull << ((signo)-1))

/*
 * Blocks all catchable asynchronous signals on this thread; returns the program's mask, for restore. Pairs nest, and only the
 * outermost costs system calls. In checked builds mmu_lock and mn_lock are only to be had between the two (LO-12).
 */
u64 host_signals_block(void);
void host_signals_restore(u64 mask);
/* The mask of the calling thread. */
u64 host_signals_mask(void);
/* Unblocks SIGSEGV and SIGBUS on this thread, which guarded access needs. */
void host_signals_unblock_faults(void);
/*
 * Whether a signal is pending for this thread or the process that effective_mask does not block. Signals that are blocked
 * meanwhile count too; those whose disposition is to be ignored do not, and are discarded.
 */
bool host_signals_pending(u64 effective_mask);
/*
 * A pending signal that effective_mask does not block and that ends the process at once, whatever a thread is doing: its action is the
 * default, and that is to end without a core. 0: none.
 */
u64 host_signals_fatal(u64 effective_mask);
/* Lets the signals of set come, on this thread. */
void host_signals_unblock(u64 set);

#endif
