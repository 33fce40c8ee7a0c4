/* SPDX-License-Identifier: MIT */
/* The line of progress of a search that runs, and the table of a campaign that ended. */
#include "report/json.h"
#include "report/sheet.h"

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

static const char *verdict_word(enum search_verdict verdict)
{
	return verdict == SEARCH_FOUND	  ? "violation"
	       : verdict == SEARCH_PROVED ? "proved"
					  : "searched";
}

static void describe_row(const struct report_row *r, char *buf, size_t size)
{
	char classes[32];

	switch (r->verdict) {
	case SEARCH_FOUND:
		snprintf(buf, size, "%s", r->detail ? r->detail : "");
		return;
	case SEARCH_PROVED:
		snprintf(buf, size, "%s class%s", with_commas(r->classes, classes),
			 r->classes == 1 ? "" : "es");
		return;
	default:
		break;
	}
	if (r->bound != ~0u)
		snprintf(buf, size, "bound %u exhausted, %.1f %% covered", r->bound, r->done * 100);
	else
		snprintf(buf, size, "%.1f %% covered", r->done * 100);
}

void report_campaign(FILE *out, const struct report_row *row, size_t nr_rows,
		     const struct report_style *style)
{
	static const enum ink ink[] = {
		[SEARCH_FOUND] = INK_BAD, [SEARCH_PROVED] = INK_GOOD, [SEARCH_SEARCHED] = INK_BOLD};
	struct sheet sheet = {.out = out, .width = style->width, .colour = style->colour};
	size_t count[3] = {0};
	unsigned longest = 0;
	char name[200], text[1200], line[1500];

	for (size_t i = 0; i < nr_rows; i++) {
		unsigned n = (unsigned)(strlen(row[i].scenario) +
					(row[i].mutant ? strlen(row[i].mutant) + 3 : 0));

		longest = n > longest ? n : longest;
	}
	longest = longest > sheet.width / 2 ? sheet.width / 2 : longest;
	for (size_t i = 0; i < nr_rows; i++) {
		count[row[i].verdict]++;
		snprintf(name, sizeof(name), "%s%s%s", row[i].scenario, row[i].mutant ? " + " : "",
			 row[i].mutant ? row[i].mutant : "");
		describe_row(&row[i], text, sizeof(text));
		fprintf(out, "%-*s", (int)longest, name);
		snprintf(line, sizeof(line), "%-9s  %s", verdict_word(row[i].verdict), text);
		if (strlen(name) > longest || longest + 2 + strlen(line) > sheet.width) {
			fputc('\n', out);
			sheet_cell(&sheet, 4, sheet.width - 4, ink[row[i].verdict], line, NULL);
		} else {
			sheet_cell(&sheet, 2, sheet.width - 2, ink[row[i].verdict], line, NULL);
		}
	}
	fprintf(out, "%zu violation%s, %zu proved, %zu searched\n", count[SEARCH_FOUND],
		count[SEARCH_FOUND] == 1 ? "" : "s", count[SEARCH_PROVED], count[SEARCH_SEARCHED]);
}

/* Schema, version 1: format "explore-campaign-1"; rows [{scenario, mutant, verdict, classes, executions, exhausted_bound, share, detail}]. */
void report_campaign_json(FILE *out, const struct report_row *row, size_t nr_rows)
{
	struct json j = {.out = out};

	json_open(&j, NULL, '{');
	json_string(&j, "format", "explore-campaign-1");
	json_open(&j, "rows", '[');
	for (size_t i = 0; i < nr_rows; i++) {
		json_open(&j, NULL, '{');
		json_string(&j, "scenario", row[i].scenario);
		json_string(&j, "mutant", row[i].mutant);
		json_string(&j, "verdict", verdict_word(row[i].verdict));
		json_number(&j, "classes", row[i].classes);
		json_number(&j, "executions", row[i].runs);
		if (row[i].bound != ~0u)
			json_number(&j, "exhausted_bound", row[i].bound);
		else
			json_string(&j, "exhausted_bound", NULL);
		json_share(&j, "share", row[i].verdict == SEARCH_PROVED ? 1 : row[i].done);
		json_string(&j, "detail", row[i].detail);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
}
