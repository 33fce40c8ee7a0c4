/* SPDX-License-Identifier: MIT */
/* The line of progress of a search that runs. */

#include "report/report.h"

#include <stdio.h>
#include <string.h>

/* 1204000 is "1,204,000". buf: 32 bytes. */
static const char *with_commas(uint64_t n, char *buf)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

static void describe_time(double seconds, char *buf, size_t size)
{
	if (seconds < 90)
		snprintf(buf, size, "%.0f s", seconds < 1 ? 1 : seconds);
	else if (seconds < 90 * 60)
		snprintf(buf, size, "%.0f min", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(buf, size, "%.0f h", seconds / 3600);
	else
		snprintf(buf, size, "%.0f days", seconds / 86400);
}

size_t report_progress(char *buf, size_t size, const struct explore_scenario *sc,
		       const struct search_result *r)
{
	char runs[32], rate[48] = "", left[32] = "", covered[32];
	double per_second = r->seconds > 0 ? (double)r->runs / r->seconds : 0;
	int n;

	if (per_second >= 10000)
		snprintf(rate, sizeof(rate), ", %.0f k/s", per_second / 1000);
	else if (per_second > 0)
		snprintf(rate, sizeof(rate), ", %.0f/s", per_second);
	if (r->done >= 0.001)
		snprintf(covered, sizeof(covered), "%.1f %% covered",
			 (r->done < 1 ? r->done : 1) * 100);
	else
		snprintf(covered, sizeof(covered), "under 0.1 %% covered");
	if (r->done > 0.0001 && r->done < 1 && r->seconds > 0)
		describe_time(r->seconds / r->done * (1 - r->done), left, sizeof(left));
	n = snprintf(buf, size, "%s: %s run%s%s, %s%s%s%s", sc->name, with_commas(r->runs, runs),
		     r->runs == 1 ? "" : "s", rate, covered, left[0] ? ", about " : "", left,
		     left[0] ? " left" : "");
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}
