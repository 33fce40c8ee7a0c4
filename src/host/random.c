/* SPDX-License-Identifier: MIT */
#include "base/bug.h"
#include "host/random.h"
#include "base/raw.h"

void host_random_fill(void *buf, size_t n)
{
	char *p = buf;

	while (n) {
		long got = raw_syscall(SYS_getrandom, p, n, 0);

		if (got == -EINTR)
			continue;
		BUG_ON(got <= 0);
		p += got;
		n -= got;
	}
}

u64 host_random_u64(void)
{
	u64 v;

	host_random_fill(&v, sizeof(v));
	return v;
}
