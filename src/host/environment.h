/* SPDX-License-Identifier: MIT */
/* What the environment of the process asks of the library. */
#ifndef ANYKVM_HOST_ENVIRONMENT_H
#define ANYKVM_HOST_ENVIRONMENT_H

#include "base/types.h"

/* Whether word is one of the comma-separated words of the variable. Not while another thread changes the environment. */
bool host_environment_has(const char *variable, const char *word);

#endif
