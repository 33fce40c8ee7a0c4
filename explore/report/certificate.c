/* SPDX-License-Identifier: MIT */
/*
 * What may be said after a search that found nothing. "Proved" is kept for a search that came to its end; every other one says
 * "searched", and how far it came. Both say what no such search can see, since a reader will take the word without its limits otherwise.
 * A certificate has no time in it and no counts that another run of the same program would not give: of a search that ran out of time
 * the counts are left out.
 */
#include "report/json.h"
#include "report/sheet.h"

#include <string.h>

static const char *const limits[] = {
	"Executions are sequentially consistent: a missing memory barrier is not seen. Litmus "
	"tests of the memory model and native runs "
	"under ThreadSanitizer have to cover the barriers.",
	"It holds for the threads, operations and inputs of this scenario, not for all uses of the "
	"code.",
	"Control changes hands before visible operations. Plain accesses between them are checked "
	"for races instead: without a race, "
	"finer steps would show nothing more.",
};
#define NR_LIMITS (sizeof(limits) / sizeof(limits[0]))

static bool proved(const struct report_search *s)
{
	return s->result->verdict == SEARCH_PROVED;
}

/* Whether the counts are the same each time. */
static bool repeatable(const struct report_search *s)
{
	return !s->result->interrupted && !s->result->out_of_time;
}

static const char *mode_name(enum search_mode mode)
{
	static const char *const name[] = {"portfolio",	       "serial orders", "random", "PCT",
					   "preemption bound", "delay bound",	"DPOR",	  "naive"};

	return name[mode];
}

static unsigned count_threads(const struct explore_scenario *sc)
{
	unsigned n = 0;

	while (n < EXPLORE_MAX_THREADS && sc->thread[n].fn)
		n++;
	return n;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static int describe_share(char *buf, size_t size, const char *of, double share)
{
	if (share < 0.001)
		return snprintf(buf, size, "%sless than 0.1 %%", of);
	return snprintf(buf, size, "%sabout %.1f %%", of, share < 0.999 ? share * 100 : 99.9);
}

/*
 * "every interleaving with at most 2 switches of a thread that could have gone on; of those with 3, about 12.0 %; of all, about 3.1 %
 * covered": what there is of the three.
 */
static void describe_reach(const struct search_result *r, char *buf, size_t size)
{
	double all = r->bounded ? r->all : r->done;
	bool next = r->bounded && (r->bound == ~0u || r->bound_under_way > r->bound);
	char of[64] = "";
	int n = 0;

	if (r->bound == 0)
		n = snprintf(buf, size,
			     "every order without a switch of a thread that could have gone on");
	else if (r->bound != ~0u)
		n = snprintf(buf, size,
			     "every interleaving with at most %u switch%s of a thread that could "
			     "have gone on",
			     r->bound, r->bound == 1 ? "" : "es");
	if (next) {
		snprintf(of, sizeof(of), "%sof those with %s%u%s, ", n ? "; " : "",
			 n ? "" : "at most ", r->bound_under_way, n ? "" : " switches");
		n += describe_share(buf + n, size - (size_t)n, of, r->done);
	}
	if (all >= 0)
		n += describe_share(buf + n, size - (size_t)n, n ? "; of all, " : "", all);
	if (next || all >= 0)
		snprintf(buf + n, size - (size_t)n, " covered");
}

void report_search_line(char *buf, size_t size, const struct report_search *s)
{
	const struct search_result *r = s->result;
	char name[160], reach[256];

	snprintf(name, sizeof(name), "%s%s%s", s->scenario->name, s->mutant ? " with " : "",
		 s->mutant ? s->mutant : "");
	if (proved(s)) {
		snprintf(buf, size,
			 "%s: proved: every interleaving of %u threads is equivalent to one of "
			 "%llu explored",
			 name, count_threads(s->scenario), (unsigned long long)r->classes);
		return;
	}
	describe_reach(r, reach, sizeof(reach));
	snprintf(buf, size, "%s: searched: no violation; %s%s", name, reach,
		 r->interrupted	  ? "; interrupted"
		 : r->out_of_time ? "; out of time"
		 : r->limit_hit	  ? "; a limit was hit"
				  : "");
}

static void describe_rules(char *buf, size_t size)
{
	size_t n = 0;

	for (int k = 0; k < NR_VIOLATIONS && n < size; k++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", k ? ", " : "", violation_name(k));
}

static void describe_work(const struct report_search *s, char *buf, size_t size)
{
	const struct search_result *r = s->result;
	int n = snprintf(buf, size, "%s", mode_name(r->mode));

	if (s->options && s->options->mode == SEARCH_RANDOM)
		n += snprintf(buf + n, size - (size_t)n, ", seed %llu",
			      (unsigned long long)s->options->seed);
	if (repeatable(s))
		snprintf(buf + n, size - (size_t)n,
			 "; %llu execution%s, %llu of them given up as redundant; at most %u "
			 "operation%s each",
			 (unsigned long long)r->runs, plural(r->runs),
			 (unsigned long long)r->abandoned, r->max_events, plural(r->max_events));
}

void report_certificate(FILE *out, const struct report_search *s, const struct report_style *style)
{
	struct sheet sheet = {.out = out, .width = style->width, .colour = style->colour};
	const struct search_result *r = s->result;
	char text[1024];

	report_search_line(text, sizeof(text), s);
	sheet_paragraph(&sheet, "", proved(s) ? INK_GOOD : INK_BOLD, text);
	if (s->scenario->property)
		sheet_paragraph(&sheet, "  holds", INK_PLAIN, s->scenario->property);
	if (repeatable(s) && (proved(s) || r->classes)) {
		snprintf(text, sizeof(text), "%llu, set %016llx", (unsigned long long)r->classes,
			 (unsigned long long)r->classes_hash);
		sheet_paragraph(&sheet, "  classes", INK_PLAIN, text);
	}
	describe_work(s, text, sizeof(text));
	sheet_paragraph(&sheet, "  search", INK_PLAIN, text);
	if (s->scenario->faults)
		snprintf(text, sizeof(text), "at most %u in one execution", s->scenario->faults);
	else
		snprintf(text, sizeof(text), "none: no allocation fails, no signal comes");
	sheet_paragraph(&sheet, "  faults", INK_PLAIN, text);
	describe_rules(text, sizeof(text));
	sheet_paragraph(&sheet, "  rules", INK_PLAIN, text);
	snprintf(text, sizeof(text), "%016llx, machine code %016llx",
		 (unsigned long long)report_scenario_hash(s->scenario),
		 (unsigned long long)report_code_hash());
	sheet_paragraph(&sheet, "  scenario", INK_PLAIN, text);
	for (size_t i = 0; i < NR_LIMITS; i++)
		sheet_paragraph(&sheet, "  limit", INK_PLAIN, limits[i]);
	if (s->suite->barrier_tests)
		sheet_paragraph(&sheet, "  barriers", INK_PLAIN, s->suite->barrier_tests);
}

static void share_json(struct json *j, const struct report_search *s)
{
	const struct search_result *r = s->result;

	if (proved(s) || !r->bounded || r->all >= 0)
		json_share(j, "share", proved(s) ? 1 : r->bounded ? r->all : r->done);
	else
		json_string(j, "share", NULL);
	if (!proved(s) && r->bounded) {
		json_number(j, "bound_under_way", r->bound_under_way);
		json_share(j, "bound_share", r->done);
	}
}

/*
 * Schema, version 1: format "explore-certificate-1"; verdict "proved" or "searched"; scenario, mutant, property; threads; classes,
 * classes_hash, executions, redundant, max_operations (null where another run would give another number); exhausted_bound (null:
 * none); share (of all orders, null: nothing is known), bound_under_way and bound_share (of the orders within it; left out where
 * no bound was under way); search, faults; interrupted, out_of_time, limit_hit; scenario_hash, code_hash; rules; limits; barrier_tests (null: none named).
 */
void report_certificate_json(FILE *out, const struct report_search *s)
{
	const struct search_result *r = s->result;
	struct json j = {.out = out};
	const struct {
		const char *key;
		uint64_t value;
	} count[] = {{"classes", r->classes},
		     {"executions", r->runs},
		     {"redundant", r->abandoned},
		     {"max_operations", r->max_events}};

	json_open(&j, NULL, '{');
	json_string(&j, "format", "explore-certificate-1");
	json_string(&j, "verdict", proved(s) ? "proved" : "searched");
	json_string(&j, "scenario", s->scenario->name);
	json_string(&j, "mutant", s->mutant);
	json_string(&j, "property", s->scenario->property);
	json_number(&j, "threads", count_threads(s->scenario));
	for (size_t i = 0; i < sizeof(count) / sizeof(count[0]); i++) {
		if (repeatable(s))
			json_number(&j, count[i].key, count[i].value);
		else
			json_string(&j, count[i].key, NULL);
	}
	if (repeatable(s))
		json_hex(&j, "classes_hash", r->classes_hash);
	else
		json_string(&j, "classes_hash", NULL);
	if (r->bound != ~0u)
		json_number(&j, "exhausted_bound", r->bound);
	else
		json_string(&j, "exhausted_bound", NULL);
	share_json(&j, s);
	json_string(&j, "search", mode_name(r->mode));
	json_number(&j, "faults", s->scenario->faults);
	json_bool(&j, "interrupted", r->interrupted);
	json_bool(&j, "out_of_time", r->out_of_time);
	json_bool(&j, "limit_hit", r->limit_hit);
	json_hex(&j, "scenario_hash", report_scenario_hash(s->scenario));
	json_hex(&j, "code_hash", report_code_hash());
	json_open(&j, "rules", '[');
	for (int k = 0; k < NR_VIOLATIONS; k++)
		json_string(&j, NULL, violation_name(k));
	json_close(&j, ']');
	json_open(&j, "limits", '[');
	for (size_t i = 0; i < NR_LIMITS; i++)
		json_string(&j, NULL, limits[i]);
	json_close(&j, ']');
	json_string(&j, "barrier_tests", s->suite->barrier_tests);
	json_close(&j, '}');
}
