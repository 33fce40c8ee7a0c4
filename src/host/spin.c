/* SPDX-License-Identifier: MIT */
#include "host/process_host.h"
#include "base/raw.h"

void host_spin_lock(struct a32 *lock)
{
	for (unsigned i = 0; a32_xchg(lock, 1); i++) {
		while (a32_load_relaxed(lock))
			if (i++ < 200)
				cpu_relax();
			else
				raw_syscall(SYS_sched_yield);
	}
}

void host_spin_unlock(struct a32 *lock)
{
	a32_store_release(lock, 0); /* pairs with the xchg above */
}
