/* SPDX-License-Identifier: MIT */
/* Schedules as text: "scenario:7>2,12>1,c3=1". */
#include "search/schedule.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/memory.h"

#define DEVIATION_SIZE 32 /* of one as text, its comma included */

char *schedule_format(const char *scenario, const struct schedule *s)
{
	size_t size = strlen(scenario) + 2 + (size_t)s->nr * DEVIATION_SIZE;
	char *text = memory_get(size);
	size_t n = snprintf(text, size, "%s:", scenario);

	for (uint32_t i = 0; i < s->nr; i++) {
		const struct deviation *d = &s->deviation[i];

		n += snprintf(text + n, size - n,
			      d->choice ? "%sc%" PRIu32 "=%" PRIu32 : "%s%" PRIu32 ">%" PRIu32,
			      i ? "," : "", d->at, d->take);
	}
	return text;
}

static bool parse_number(const char **p, uint32_t *value)
{
	uint64_t v = 0;
	const char *start = *p;

	for (; **p >= '0' && **p <= '9'; ++*p) {
		v = v * 10 + (**p - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*value = v;
	return *p != start;
}

static bool parse_deviation(const char **p, struct deviation *d)
{
	d->choice = **p == 'c';
	*p += d->choice;
	if (!parse_number(p, &d->at) || **p != (d->choice ? '=' : '>'))
		return false;
	++*p;
	return parse_number(p, &d->take) && (!**p || **p == ',');
}

/* Fibers in order, then choices in order. */
static bool comes_after(const struct deviation *a, const struct deviation *b)
{
	return b->choice == a->choice ? b->at > a->at : b->choice;
}

static bool parse_deviations(const char *text, const char *p, struct schedule *s, char *err,
			     size_t err_size)
{
	for (;;) {
		struct deviation *d = &s->deviation[s->nr];
		long at = p - text + 1;

		if (!parse_deviation(&p, d)) {
			snprintf(err, err_size,
				 "character %ld: expected EVENT>FIBER or cCHOICE=VALUE, as in "
				 "\"name:7>2,12>1,c3=1\"",
				 at);
			return false;
		}
		if (s->nr && !comes_after(d - 1, d)) {
			snprintf(err, err_size,
				 "character %ld: out of order (events ascending, then choices "
				 "ascending)",
				 at);
			return false;
		}
		if (!d->choice && d->take >= MAX_FIBERS) {
			snprintf(err, err_size, "character %ld: fibers have numbers below %d", at,
				 MAX_FIBERS);
			return false;
		}
		s->nr++;
		if (!*p)
			return true;
		p++;
	}
}

bool schedule_parse(const char *text, char *scenario, size_t scenario_size, struct schedule *s,
		    char *err, size_t err_size)
{
	const char *colon = strrchr(text, ':');
	size_t room = 1;

	memset(s, 0, sizeof(*s));
	if (!colon || colon == text) {
		snprintf(err, err_size,
			 "a schedule has the form SCENARIO:DEVIATIONS, as in "
			 "\"name:7>2,12>1,c3=1\"");
		return false;
	}
	for (const char *p = text; p < colon; p++)
		if (*p <= ' ' || *p > '~') {
			snprintf(err, err_size, "character %ld: not part of a scenario's name",
				 (long)(p - text + 1));
			return false;
		}
	if ((size_t)(colon - text) >= scenario_size) {
		snprintf(err, err_size, "the scenario's name is too long");
		return false;
	}
	snprintf(scenario, scenario_size, "%.*s", (int)(colon - text), text);
	if (!colon[1])
		return true;
	for (const char *p = colon; *p; p++)
		room += *p == ',';
	s->deviation = memory_get(room * sizeof(*s->deviation));
	if (parse_deviations(text, colon + 1, s, err, err_size))
		return true;
	schedule_free(s);
	return false;
}
