/* SPDX-License-Identifier: MIT */
/*
 * Which address space this is. A VM remembers the id of its creator; a fork child sees another id and gets EIO (memory-
 * lifetimes I-34). The id lives in a page marked wipe-on-fork, so raw clone is covered too; where the host does not wipe
 * (probed once by a fork), the process id is compared instead.
 */
#ifndef ANYKVM_HOST_IDENTITY_H
#define ANYKVM_HOST_IDENTITY_H

#include "base/types.h"

/* Never 0, the same for all threads, another one in a fork child. Takes no lock. A load where the host wipes. */
u64 host_mm_id(void);
/* getpid and gettid without libc's cache. */
u32 host_pid(void);
u32 host_tid(void);

#endif
