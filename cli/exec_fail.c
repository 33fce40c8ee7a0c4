/* SPDX-License-Identifier: MIT */
/*
 * anykvm exec --fail: specs that would never hit anything are refused, since a test that makes nothing fail passes. What may be
 * meant is told by the name with the fewest characters to change.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include <anykvm/kvm.h>

#include "cli.h"
#include "exec.h"
#include "fail_spec.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define NR(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	uint32_t request;
	const char *name;
} calls[] = {
#include "request_names.inc"
	{0, "open"},
	{0, "close"},
	{0, "mmap"},
	{0, "munmap"},
};

/* How many characters of a are to be changed, put in or left out to make b of it; case does not count. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[FAIL_NAME_MAX + 1];
	size_t n = MIN(strlen(b), (size_t)FAIL_NAME_MAX);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			char pair[2][2] = {{a[i - 1]}, {b[j - 1]}};
			unsigned change = diagonal + (strcasecmp(pair[0], pair[1]) != 0);

			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

struct nearest {
	const char *name; /* NULL: none is near */
	unsigned away;
};

/* candidate is what text is compared with, name what is meant by it. */
static void compare(struct nearest *best, const char *text, const char *candidate, const char *name)
{
	unsigned away = distance(text, candidate);

	if (away < best->away)
		*best = (struct nearest){name, away};
}

static bool names_a_call(const struct fail_spec *spec, const char **meant)
{
	struct nearest best = {.away = strlen(spec->name) / 2 + 1};

	for (size_t i = 0; i < NR(calls); i++) {
		const char *name = calls[i].name;

		if (fail_spec_names(spec, name))
			return true;
		compare(&best, spec->name, name, name);
		/* Without the beginning that all requests have. */
		if (calls[i].request)
			compare(&best, spec->name, name + strlen("KVM_"), name);
	}
	*meant = best.name;
	return false;
}

static const char *nearest_errno(const char *spec)
{
	const char *colon = strchr(spec, ':');
	struct nearest best = {.name = NULL};
	char text[16];

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(colon + 1, "@%"), colon + 1);
	best.away = strlen(text) / 2 + 1;
	for (int e = 1; *text && e <= FAIL_ERRNO_LAST; e++) {
		const char *name = strerrorname_np(e);

		if (name)
			compare(&best, text, name, name);
	}
	return best.name;
}

static bool refuse(const char *spec, const char *why, const char *meant)
{
	if (meant)
		cli_say("exec: --fail %s: %s; is %s meant?", spec, why, meant);
	else
		cli_say("exec: --fail %s: %s", spec, why);
	return false;
}

bool exec_add_failure(struct exec_failures *all, const char *spec)
{
	size_t n = strlen(all->specs);
	struct fail_spec parsed;
	const char *why, *meant = NULL;

	if (strchr(spec, ','))
		return refuse(spec, "there is a comma in it", NULL);
	why = fail_spec_parse(spec, strlen(spec), &parsed);
	if (why)
		return refuse(spec, why, why == fail_no_errno ? nearest_errno(spec) : NULL);
	if (!names_a_call(&parsed, &meant))
		return refuse(
			spec,
			"there is no such request, and the functions are open, close, mmap, munmap",
			meant);
	if (all->nr == FAIL_SPECS_MAX || n + strlen(spec) + 2 > sizeof(all->specs))
		return refuse(spec, "that is too much", NULL);
	all->nr++;
	snprintf(all->specs + n, sizeof(all->specs) - n, "%s%s", n ? "," : "", spec);
	return true;
}
