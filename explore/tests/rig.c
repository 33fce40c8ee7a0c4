/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "report/symbols.h"

void rig_init(void)
{
	static bool done;

	if (!done)
		engine_init(&corpus_suite);
	done = true;
}

void rig_search(const struct explore_scenario *s, enum search_mode mode, unsigned bound,
		uint64_t runs, struct search_result *r)
{
	const struct search_options o = {
		.mode = mode, .bound = bound, .seed = 1, .runs = runs, .count_classes = true};

	rig_init();
	memset(r, 0, sizeof(*r));
	search_run(s, &o, r);
}

bool rig_site_names(const struct site *site, const char *function)
{
	struct frame frame[MAX_STACK * 2];
	unsigned n;

	symbols_want_site(site);
	symbols_resolve();
	n = symbols_stack(site, frame, MAX_STACK * 2);
	for (unsigned i = 0; i < n; i++)
		if (frame[i].function && !strcmp(frame[i].function, function))
			return true;
	return false;
}

char *rig_report(const struct explore_scenario *s, const struct schedule *schedule,
		 const struct execution *x)
{
	const struct report_violation v = {
		.suite = &corpus_suite, .scenario = s, .x = x, .schedule = schedule};
	const struct report_style style = {.width = 100};
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort();
	report_text(f, &v, &style);
	fclose(f);
	return text;
}
