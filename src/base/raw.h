/* SPDX-License-Identifier: MIT */
/* System calls without libc's wrappers, which preload/ or a VMM may interpose. For sync/, host/ and preload/ only. */
#ifndef ANYKVM_BASE_RAW_H
#define ANYKVM_BASE_RAW_H

#include <errno.h>
#include <sys/syscall.h>

#include "base/types.h"

#if defined(__x86_64__)
static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}
#else
static inline long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}
#endif

#define RAW_PICK(a0, a1, a2, a3, a4, a5, a6, ...) a0, a1, a2, a3, a4, a5, a6
/* raw_syscall(SYS_x, args...): the result, or -errno. */
#define raw_syscall(...)      raw_syscall_args(RAW_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0))
#define raw_syscall_args(...) raw_syscall_cast(__VA_ARGS__)
#define raw_syscall_cast(nr, a, b, c, d, e, f) \
	raw_syscall6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
