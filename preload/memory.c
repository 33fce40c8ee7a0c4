/* SPDX-License-Identifier: MIT */
/* Changes of memory that <anykvm.h> has no call for. */
#include <errno.h>
#include <sys/mman.h>

#include "preload.h"

int kvm_madvise(void *addr, size_t length, int advice)
{
	int saved = errno, r = anykvm_madvise(addr, length, advice);

	/*
	 * An emulator (qemu-user) refuses advice about huge pages, which every host of KVM/arm64 takes. Where pages are the
	 * emulator's own the advice is kept by doing nothing.
	 */
	if (r && errno == EINVAL && (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE) &&
	    (uintptr_t)addr % sysconf(_SC_PAGESIZE) == 0) {
		errno = saved;
		return 0;
	}
	return r;
}
