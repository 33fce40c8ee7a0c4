/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/output.h"
#include "command/pool.h"

static struct report_search search_of(const struct item *it)
{
	return (struct report_search){.suite = it->suite,
				      .scenario = &it->scenario,
				      .options = &it->options,
				      .result = &it->result,
				      .mutant = it->mutant};
}

static bool is_violation(const struct item *it)
{
	return it->state == ITEM_DONE && it->tale.text;
}

void output_item(const struct options *o, const struct item *it, bool alone)
{
	struct report_style style = report_style_of(fileno(o->out));
	struct report_search s = search_of(it);
	char line[1024];

	if (is_violation(it)) {
		fputs(it->tale.text, o->out);
		if (!alone)
			fputc('\n', o->out);
	} else if (it->state == ITEM_BROKEN) {
		fprintf(o->out, "%s: %s\n", it->scenario.name, it->broken);
	} else if (it->state == ITEM_DONE && alone) {
		report_certificate(o->out, &s, &style);
	} else if (it->state == ITEM_DONE && !o->quiet) {
		report_search_line(line, sizeof(line), &s);
		fprintf(o->out, "%s\n", line);
	} else if (it->state != ITEM_DONE && !o->quiet) {
		fprintf(o->out, "%s: stopped before there was a result\n", it->scenario.name);
	}
	fflush(o->out);
}

void output_count(struct tally *t, const struct item *it)
{
	if (is_violation(it))
		t->violations++;
	else if (it->state == ITEM_BROKEN)
		t->broken++;
	else if (it->state != ITEM_DONE)
		t->stopped++;
	else if (it->result.verdict == SEARCH_PROVED)
		t->proved++;
	else
		t->searched++;
}

void output_tally(const struct options *o, const struct tally *t)
{
	fprintf(o->out, "%zu violation%s, %zu proved, %zu searched", t->violations,
		t->violations == 1 ? "" : "s", t->proved, t->searched);
	if (t->broken)
		fprintf(o->out, ", %zu broke down", t->broken);
	if (t->stopped)
		fprintf(o->out, ", %zu not begun or stopped", t->stopped);
	fputc('\n', o->out);
	fflush(o->out);
}

int output_status(const struct tally *t)
{
	if (t->violations || t->broken)
		return STATUS_VIOLATION;
	return stop_signal() ? STATUS_STOPPED + stop_signal() : STATUS_CLEAN;
}

static FILE *open_file(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "w") : stdout;

	if (!f)
		say("%s: cannot be written: %s", path, strerror(errno));
	return f;
}

static bool close_file(FILE *f, const char *path)
{
	bool bad = ferror(f);

	if (f == stdout)
		bad |= fflush(f) != 0;
	else
		bad |= fclose(f) != 0;
	if (bad)
		say("%s: cannot be written to its end: %s", path, strerror(errno));
	return !bad;
}

static void json_item(FILE *f, const struct item *it)
{
	struct report_search s = search_of(it);

	if (is_violation(it)) {
		fputs(it->tale.json, f);
		return;
	}
	if (it->state == ITEM_DONE) {
		report_certificate_json(f, &s);
		return;
	}
	fprintf(f, "{\"format\": \"explore-incomplete-1\", \"scenario\": ");
	json_quote(f, it->scenario.name);
	fprintf(f, ", \"verdict\": \"%s\", \"why\": ",
		it->state == ITEM_BROKEN ? "broken" : "stopped");
	json_quote(f, it->broken ? it->broken : "stopped by a signal");
	fputs("}", f);
}

/*
 * One item: its own document (explore-violation-1, explore-certificate-1 or explore-incomplete-1). More: {"format":
 * "explore-results-1", "results": [...]} of those, and of explore-order-1.
 */
static bool write_json(const char *path, const struct item *it, size_t nr,
		       const struct order *order)
{
	FILE *f = open_file(path);

	if (!f)
		return false;
	if (nr != 1)
		fputs("{\"format\": \"explore-results-1\", \"results\": [\n", f);
	for (size_t i = 0; i < nr; i++) {
		if (i)
			fputs(",\n", f);
		json_item(f, &it[i]);
	}
	if (nr != 1) {
		order_print_json(order, f, ",\n");
		fputs("]}", f);
	}
	fputc('\n', f);
	return close_file(f, path);
}

/* FILE for the first violation; for each other "-SCENARIO" goes before its ending. */
static char *html_path(const char *path, const char *scenario, bool first)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
	char *made;
	int stem = dot && (!slash || dot > slash) ? (int)(dot - path) : (int)strlen(path);

	if (first)
		return strdup(path);
	return asprintf(&made, "%.*s-%s%s", stem, path, scenario, path + stem) < 0 ? NULL : made;
}

static bool write_html(const char *path, const struct item *it, size_t nr)
{
	bool first = true, good = true;

	for (size_t i = 0; i < nr; i++) {
		char *name;
		FILE *f;

		if (!is_violation(&it[i]))
			continue;
		name = html_path(path, it[i].scenario.name, first);
		first = false;
		f = name ? open_file(name) : NULL;
		good &= f != NULL;
		if (f) {
			fputs(it[i].tale.html, f);
			good &= close_file(f, name);
		}
		free(name);
	}
	if (first)
		say("%s is not written: there is no violation to draw", path);
	return good;
}

static bool may_write(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	bool good;

	if (!strcmp(path, "-") || !access(path, W_OK))
		return true;
	folder = slash ? strndup(path, slash - path + 1) : strdup(".");
	good = folder && errno == ENOENT && !access(folder, W_OK);
	if (!good)
		say("%s: cannot be written: %s", path, strerror(errno));
	free(folder);
	return good;
}

bool output_may_write(const struct options *o)
{
	return (!o->json || may_write(o->json)) && (!o->html || may_write(o->html));
}

bool output_files(const struct options *o, const struct item *it, size_t nr,
		  const struct order *order)
{
	bool good = true;

	if (o->json)
		good &= write_json(o->json, it, nr, order);
	if (o->html)
		good &= write_html(o->html, it, nr);
	return good;
}
