/* SPDX-License-Identifier: MIT */
/*
 * explore replay: one order again. Runs in this process, not in a worker, so that a debugger on the command is at once where the code
 * is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/output.h"

#define LARGEST_REPORT (64u << 20)

/* The string that is the value of the first key in the text of a report, malloc'ed; NULL: there is none. */
static char *value_in(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	if (!p)
		return NULL;
	p += strlen(key);
	p += strspn(p, ": \t\n");
	return *p == '"' ? strndup(p + 1, strcspn(p + 1, "\"")) : NULL;
}

/* The schedule that word is, or that the report in the file word has, with the broken form it is of; malloc'ed, NULL after a
 * message. */
static char *find_schedule(const char *word, char **mutant)
{
	FILE *f = fopen(word, "r");
	char *text, *found;
	size_t n;

	if (!f && strchr(word, ':'))
		return strdup(word);
	if (!f) {
		say("%s: neither a schedule (SCENARIO:...) nor a report that can be read: %s", word,
		    strerror(errno));
		return NULL;
	}
	text = malloc(LARGEST_REPORT + 1);
	n = text ? fread(text, 1, LARGEST_REPORT, f) : 0;
	fclose(f);
	if (!text)
		return NULL;
	text[n] = 0;
	found = value_in(text, "\"schedule\"");
	*mutant = value_in(text, "\"mutant\"");
	if (!found)
		say("%s: no report of a violation in JSON: there is no \"schedule\" in it", word);
	free(text);
	return found;
}

static const char *next_scenario(void *arg, size_t i)
{
	const struct options *o = arg;

	return i < o->suite->nr_scenarios ? o->suite->scenario[i]->name : NULL;
}

static int replay(struct options *o, const struct explore_scenario *sc, const struct schedule *s)
{
	struct item it;
	struct tally tally = {0};
	const struct execution *x;
	bool followed = true, written;

	item_init(&it, o, sc);
	it.state = ITEM_DONE;
	engine_init(o->suite);
	x = schedule_run(&it.scenario, s, &it.options.limits, false, &followed);
	if (!followed)
		say("some steps of this schedule cannot be followed: it is of another version of "
		    "the code or of the "
		    "scenario, or needs another --mutant or --faults");
	if (x->outcome != RUN_VIOLATION) {
		fprintf(o->out, "%s: this order breaks no rule%s\n", sc->name,
			x->outcome == RUN_LIMIT ? ", but is longer than the step limit" : "");
		return followed ? STATUS_CLEAN : STATUS_MISUSE;
	}
	if (!tale_make(&it.tale, &it, s)) {
		say("%s: two runs of one order differ: something outside the explorer's control "
		    "takes part",
		    sc->name);
		return STATUS_VIOLATION;
	}
	output_item(o, &it, true);
	output_count(&tally, &it);
	written = output_files(o, &it, 1, NULL);
	item_free(&it);
	return written ? output_status(&tally) : STATUS_MISUSE;
}

int replay_main(struct options *o)
{
	char name[128], why[256], near[512];
	const struct explore_scenario *sc;
	struct schedule s = {0};
	char *text, *mutant = NULL;
	int status = STATUS_MISUSE;

	if (o->nr_words != 1) {
		say("replay takes one schedule, or one JSON report");
		return STATUS_MISUSE;
	}
	text = find_schedule(o->word[0], &mutant);
	if (!text)
		return STATUS_MISUSE;
	if (mutant && !o->mutated) {
		o->mutant = mutant;
		free(text);
		status = mutant_exec(o);
		free(mutant);
		return status;
	}
	free(mutant);
	if (!schedule_parse(text, name, sizeof(name), &s, why, sizeof(why))) {
		say("%s: %s", text, why);
		free(text);
		return STATUS_MISUSE;
	}
	sc = scenario_find(o->suite, name);
	if (sc) {
		status = replay(o, sc, &s);
	} else {
		nearest_names(name, next_scenario, o, near, sizeof(near));
		say("%s: no scenario is called that%s; %s list names all", name, near,
		    o->suite->program);
	}
	schedule_free(&s);
	free(text);
	return status;
}
