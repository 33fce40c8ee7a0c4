/* SPDX-License-Identifier: MIT */
#include "host/environment.h"

#include <stdlib.h>
#include <string.h>

bool host_environment_has(const char *variable, const char *word)
{
	const char *at = getenv(variable);
	size_t length = strlen(word);

	while (at && *at) {
		size_t n = strcspn(at, ",");

		if (n == length && !memcmp(at, word, n))
			return true;
		at += n + (at[n] == ',');
	}
	return false;
}
