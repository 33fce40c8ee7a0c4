/* SPDX-License-Identifier: MIT */
/* Calls that are made to fail. Each spec counts the calls it names. */
#include <string.h>

#include "fail_spec.h"
#include "observe.h"

static struct fail_spec specs[FAIL_SPECS_MAX];
static uint64_t calls[FAIL_SPECS_MAX];
static unsigned nr_specs;

/* What anykvm exec would have refused is left out. */
void fail_setup(const char *text)
{
	while (*text && nr_specs < FAIL_SPECS_MAX) {
		size_t n = strcspn(text, ",");

		if (n && !fail_spec_parse(text, n, &specs[nr_specs]))
			nr_specs++;
		text += n + (text[n] == ',');
	}
}

void fail_forked(void)
{
	memset(calls, 0, sizeof(calls));
}

int fail_now(const char *name)
{
	int error = 0;

	for (unsigned i = 0; i < nr_specs; i++) {
		uint64_t nth;

		if (!fail_spec_names(&specs[i], name))
			continue;
		nth = __atomic_add_fetch(&calls[i], 1, __ATOMIC_RELAXED);
		/* Every spec counts every call, whichever makes it fail. */
		if (!error && fail_spec_hits(&specs[i], nth, observe.seed + i))
			error = specs[i].error;
	}
	return error;
}
