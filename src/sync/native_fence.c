/* SPDX-License-Identifier: MIT */
#include "sync/process_sync.h"

#if defined(ANYKVM_TSAN)
/* TSan knows no stand-alone fences; read-modify-writes of one word order the same accesses and more. */
void fence_full(void)
{
	a64_fetch_add(&sync_process()->fence_word, 1);
}
#endif
