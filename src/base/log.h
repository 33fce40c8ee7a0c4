/* SPDX-License-Identifier: MIT */
/* Messages of the library to people: one line each on standard error, prefixed "anykvm: ", written in one piece. */
#ifndef ANYKVM_BASE_LOG_H
#define ANYKVM_BASE_LOG_H

#include "base/types.h"

/* No newline in fmt. Longer lines are cut at 500 characters. Keeps errno. Async-signal-safe as far as vsnprintf is. */
void log_line(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
