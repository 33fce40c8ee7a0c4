/* SPDX-License-Identifier: MIT */
/* The command line: each option is checked here, so that the rest sees only what makes sense. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"

enum {
	OPT_ALL = 256,
	OPT_MUTANT,
	OPT_MUTATED,
	OPT_EXHAUSTIVE,
	OPT_NAIVE,
	OPT_SERIAL,
	OPT_BOUND,
	OPT_DELAYS,
	OPT_PCT,
	OPT_SEED,
	OPT_RUNS,
	OPT_SECONDS,
	OPT_STEPS,
	OPT_FAULTS,
	OPT_JSON,
	OPT_HTML,
	OPT_PARTS,
	OPT_PART,
	OPT_RESULT,
	OPT_LONG,
	OPT_STATS,
	OPT_PLAN,
	OPT_FOLDER,
	OPT_NEXT,
	OPT_STOP,
};

static const struct option long_options[] = {
	{"all", no_argument, NULL, OPT_ALL},
	{"mutant", required_argument, NULL, OPT_MUTANT},
	{"mutated", required_argument, NULL, OPT_MUTATED},
	{"exhaustive", no_argument, NULL, OPT_EXHAUSTIVE},
	{"naive", no_argument, NULL, OPT_NAIVE},
	{"serial", no_argument, NULL, OPT_SERIAL},
	{"bound", required_argument, NULL, OPT_BOUND},
	{"delays", required_argument, NULL, OPT_DELAYS},
	{"pct", required_argument, NULL, OPT_PCT},
	{"seed", required_argument, NULL, OPT_SEED},
	{"runs", required_argument, NULL, OPT_RUNS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"steps", required_argument, NULL, OPT_STEPS},
	{"faults", required_argument, NULL, OPT_FAULTS},
	{"jobs", required_argument, NULL, 'j'},
	{"json", required_argument, NULL, OPT_JSON},
	{"html", required_argument, NULL, OPT_HTML},
	{"parts", required_argument, NULL, OPT_PARTS},
	{"part", required_argument, NULL, OPT_PART},
	{"result", required_argument, NULL, OPT_RESULT},
	{"long", no_argument, NULL, OPT_LONG},
	{"stats", no_argument, NULL, OPT_STATS},
	{"plan", required_argument, NULL, OPT_PLAN},
	{"folder", required_argument, NULL, OPT_FOLDER},
	{"next", required_argument, NULL, OPT_NEXT},
	{"stop", no_argument, NULL, OPT_STOP},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* Which options a subcommand takes: one that it would ignore is misuse. */
static bool option_fits(const char *command, int option)
{
	bool searches = !strcmp(command, "run") || !strcmp(command, "plan");

	switch (option) {
	case 'h':
		return true;
	case OPT_LONG:
		return !strcmp(command, "list");
	case OPT_FOLDER:
		return !strcmp(command, "plan");
	case OPT_PARTS:
		return !strcmp(command, "plan") || !strcmp(command, "merge");
	case OPT_NEXT:
	case OPT_STOP:
		return !strcmp(command, "merge");
	case OPT_PART:
	case OPT_PLAN:
	case OPT_RESULT:
		return !strcmp(command, "run");
	case OPT_JSON:
	case OPT_HTML:
	case 'q':
		return !strcmp(command, "run") || !strcmp(command, "replay") ||
		       !strcmp(command, "merge");
	case OPT_STATS:
	case 'j':
		return !strcmp(command, "run");
	case OPT_MUTANT:
	case OPT_MUTATED:
	case OPT_STEPS:
	case OPT_FAULTS:
		return strcmp(command, "list");
	default:
		return searches;
	}
}

static bool parse_number(const char *option, const char *text, uint64_t low, uint64_t high,
			 uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (text[0] < '0' || text[0] > '9' || *end) {
		say("%s %s: not a number", option, text);
		return false;
	}
	if (errno || *value < low || *value > high) {
		say("%s %s: has to be from %llu to %llu", option, text, (unsigned long long)low,
		    (unsigned long long)high);
		return false;
	}
	return true;
}

static bool parse_seconds(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	if (end == text || *end || !isfinite(*value) || *value <= 0) {
		say("--seconds %s: has to be a number above 0", text);
		return false;
	}
	return true;
}

/* "3/8" */
static bool parse_part(const char *text, struct options *o)
{
	unsigned part, parts;
	int n = 0;

	if (sscanf(text, "%u/%u%n", &part, &parts, &n) != 2 || text[n] || !part || part > parts ||
	    parts > MAX_PARTS) {
		say("--part %s: has to be K/N with K from 1 to N, N at most %u", text, MAX_PARTS);
		return false;
	}
	o->part = part - 1;
	o->parts = parts;
	return true;
}

static bool set_mode(struct options *o, enum search_mode mode)
{
	if (o->mode_given && o->search.mode != mode) {
		say("one kind of search at a time: --exhaustive, --bound, --delays, --seed, --pct, "
		    "--serial or --naive");
		return false;
	}
	o->mode_given = true;
	o->search.mode = mode;
	return true;
}

static bool set_bound(struct options *o, enum search_mode mode, const char *name, const char *text,
		      unsigned low)
{
	uint64_t value;

	if (!set_mode(o, mode) || !parse_number(name, text, low, 100, &value))
		return false;
	o->search.bound = value;
	return true;
}

static bool take_search(struct options *o, int c, const char *arg)
{
	uint64_t value;

	switch (c) {
	case OPT_EXHAUSTIVE:
		return set_mode(o, SEARCH_DPOR);
	case OPT_NAIVE:
		return set_mode(o, SEARCH_NAIVE);
	case OPT_SERIAL:
		return set_mode(o, SEARCH_SERIAL);
	case OPT_BOUND:
		return set_bound(o, SEARCH_PREEMPTIONS, "--bound", arg, 0);
	case OPT_DELAYS:
		return set_bound(o, SEARCH_DELAYS, "--delays", arg, 0);
	case OPT_PCT:
		/* A seed beside it is that of the priorities. */
		if (o->mode_given && o->search.mode == SEARCH_RANDOM)
			o->mode_given = false;
		return set_bound(o, SEARCH_PCT, "--pct", arg, 1);
	case OPT_SEED:
		if (!parse_number("--seed", arg, 0, UINT64_MAX, &o->search.seed))
			return false;
		return (o->mode_given && o->search.mode == SEARCH_PCT) ||
		       set_mode(o, SEARCH_RANDOM);
	case OPT_RUNS:
		return parse_number("--runs", arg, 1, UINT64_MAX, &o->search.runs);
	case OPT_SECONDS:
		return parse_seconds(arg, &o->search.seconds);
	case OPT_STEPS:
		if (!parse_number("--steps", arg, 1, 100000000, &value))
			return false;
		o->search.limits.steps = value;
		return true;
	default:
		if (!parse_number("--faults", arg, 0, 1000, &value))
			return false;
		o->faults = value;
		return true;
	}
}

static bool take(struct options *o, int c, const char *arg)
{
	uint64_t value;

	switch (c) {
	case OPT_ALL:
		o->all = true;
		return true;
	case OPT_LONG:
		o->details = true;
		return true;
	case OPT_STATS:
		o->stats = true;
		return true;
	case OPT_STOP:
		o->stop = true;
		return true;
	case OPT_PLAN:
		o->plan = arg;
		return true;
	case OPT_FOLDER:
		o->folder = arg;
		return true;
	case OPT_NEXT:
		o->next = arg;
		return true;
	case 'q':
		o->quiet = true;
		return true;
	case OPT_MUTANT:
		o->mutant = arg;
		return true;
	case OPT_MUTATED:
		o->mutated = arg;
		return true;
	case OPT_JSON:
		o->json = arg;
		return true;
	case OPT_HTML:
		o->html = arg;
		return true;
	case OPT_RESULT:
		o->result = arg;
		return true;
	case OPT_PART:
		return parse_part(arg, o);
	case 'j':
	case OPT_PARTS:
		if (!parse_number(c == 'j' ? "--jobs" : "--parts", arg, 1,
				  c == 'j' ? MAX_JOBS : MAX_PARTS, &value))
			return false;
		*(c == 'j' ? &o->jobs : &o->parts) = value;
		o->jobs_given |= c == 'j';
		return true;
	default:
		return take_search(o, c, arg);
	}
}

static const char *next_option(void *arg, size_t i)
{
	return long_options[i].name;
}

static void complain(const char *word)
{
	char near[256], name[64];

	if (optopt && optopt < 256) {
		say("-%c: no such option; see --help", optopt);
		return;
	}
	if (optopt) {
		say("%s: takes no value; see --help", word);
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	nearest_names(name + strspn(name, "-"), next_option, NULL, near, sizeof(near));
	say("%s: no such option%s; see --help", name, near);
}

static unsigned processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return n < 1 ? 1 : n > (int)MAX_JOBS ? MAX_JOBS : (unsigned)n;
}

int options_parse(int argc, char **argv, struct options *o)
{
	const char *command = argv[0];
	int c, at;

	o->faults = -1;
	o->jobs = processors();
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	while (at = -1, (c = getopt_long(argc, argv, ":j:qh", long_options, &at)) != -1) {
		if (c == '?') {
			complain(argv[optind - 1]);
			return STATUS_MISUSE;
		}
		if (c == ':') {
			say("%s: needs a value; see --help", argv[optind - 1]);
			return STATUS_MISUSE;
		}
		if (!option_fits(command, c)) {
			say("%s%s: %s takes no such option; see --help", at < 0 ? "-" : "--",
			    at < 0 ? (char[]){c, 0} : long_options[at].name, command);
			return STATUS_MISUSE;
		}
		if (c == 'h') {
			help_print(o->suite);
			return STATUS_CLEAN;
		}
		if (!take(o, c, optarg))
			return STATUS_MISUSE;
	}
	o->word = (const char **)argv + optind;
	o->nr_words = argc - optind;
	if (o->json && !strcmp(o->json, "-"))
		o->out = stderr; /* standard output is for the JSON alone */
	return -1;
}

void options_free(struct options *o)
{
	free(o->scenario);
}
