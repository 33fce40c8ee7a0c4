/* SPDX-License-Identifier: MIT */
/* BUG_ON is for our own invariants. Guest or VMM input must never reach one. */
#ifndef ANYKVM_BASE_BUG_H
#define ANYKVM_BASE_BUG_H

#include "base/types.h"

/* Prints the message and aborts the process. */
NORETURN void bug_at(const char *file, int line, const char *what);
/* Prints the message; the process goes on. */
void warn_at(const char *file, int line, const char *what);

#define BUG()	  bug_at(__FILE__, __LINE__, __func__)
#define BUG_ON(c) ((void)(unlikely(c) ? (bug_at(__FILE__, __LINE__, #c), 0) : 0))
#define WARN_ON_ONCE(c)                                                                       \
	({                                                                                    \
		static bool warned_;                                                          \
		bool hit_ = (c);                                                              \
		if (unlikely(hit_) && !__atomic_exchange_n(&warned_, true, __ATOMIC_RELAXED)) \
			warn_at(__FILE__, __LINE__, #c);                                      \
		unlikely(hit_);                                                               \
	})

#endif
