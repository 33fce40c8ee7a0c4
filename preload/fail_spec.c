/* SPDX-License-Identifier: MIT */
#include "fail_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MILLION	  1000000u
#define ERRNO_MAX 24

const char fail_no_errno[] = "that is no errno";

static int error_by_name(const char *name)
{
	/* Second names, which strerrorname_np does not tell. */
	if (!strcmp(name, "EWOULDBLOCK"))
		return EWOULDBLOCK;
	if (!strcmp(name, "ENOTSUP"))
		return ENOTSUP;
	for (int e = 1; e <= FAIL_ERRNO_LAST; e++) {
		const char *known = strerrorname_np(e);

		if (known && !strcmp(known, name))
			return e;
	}
	return 0;
}

static const char *parse_number(const char *s, struct fail_spec *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return "there is no number after @";
	out->from = strtoull(s, &end, 10);
	if (!out->from)
		return "calls are counted from 1";
	out->to = out->from;
	if (*end == '+') {
		out->to = UINT64_MAX;
		end++;
	}
	return *end ? "there is more after the number" : NULL;
}

static const char *parse_percent(const char *s, struct fail_spec *out)
{
	char *end;
	double percent;

	if (*s < '0' || *s > '9')
		return "there is no number after %";
	percent = strtod(s, &end);
	if (*end)
		return "there is more after the number";
	if (!(percent <= 100))
		return "a probability is at most 100 percent";
	out->chance = percent * (MILLION / 100);
	return NULL;
}

const char *fail_spec_parse(const char *text, size_t length, struct fail_spec *out)
{
	char copy[FAIL_SPEC_MAX], error[ERRNO_MAX], *colon, *when;
	size_t n;

	*out = (struct fail_spec){.from = 1, .to = UINT64_MAX, .chance = MILLION};
	if (length >= sizeof(copy))
		return "it is too long";
	memcpy(copy, text, length);
	copy[length] = 0;
	colon = strchr(copy, ':');
	if (!colon)
		return "there is no colon and errno after the name";
	*colon = 0;
	n = colon - copy;
	if (!n || n >= sizeof(out->name))
		return "that is no name of a call";
	memcpy(out->name, copy, n + 1);
	out->prefix = out->name[n - 1] == '*';
	if (out->prefix)
		out->name[n - 1] = 0;
	if (strchr(out->name, '*'))
		return "a star stands at the end of a name";
	n = strcspn(colon + 1, "@%");
	when = colon + 1 + n;
	if (n >= sizeof(error))
		return fail_no_errno;
	memcpy(error, colon + 1, n);
	error[n] = 0;
	out->error = error_by_name(error);
	if (!out->error)
		return fail_no_errno;
	if (!*when)
		return NULL;
	return *when == '@' ? parse_number(when + 1, out) : parse_percent(when + 1, out);
}

bool fail_spec_names(const struct fail_spec *spec, const char *name)
{
	return spec->prefix ? !strncmp(name, spec->name, strlen(spec->name))
			    : !strcmp(name, spec->name);
}

/* A well mixed number: splitmix64. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

bool fail_spec_hits(const struct fail_spec *spec, uint64_t nth, uint64_t seed)
{
	return nth >= spec->from && nth <= spec->to &&
	       mix(mix(seed) ^ nth) % MILLION < spec->chance;
}
