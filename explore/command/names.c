/* SPDX-License-Identifier: MIT */
/*
 * Names on the command line: scenarios by name or shell pattern, and what comes closest to a name that is none. A typing error in
 * a campaign must not silently shrink it: each word has to match something.
 */
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"

#define MAX_NAME 128
#define NEAREST	 3

void say(const char *fmt, ...)
{
	char line[2048];
	va_list arguments;
	int n = snprintf(line, sizeof(line), "explore: ");

	va_start(arguments, fmt);
	vsnprintf(line + n, sizeof(line) - n, fmt, arguments);
	va_end(arguments);
	fflush(stdout);
	fprintf(stderr, "%s\n", line);
}

bool list_has(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *p = list; p && *p; p += strcspn(p, ",")) {
		p += strspn(p, ", ");
		size_t n = strcspn(p, ", ");

		if (n == length && !memcmp(p, name, n))
			return true;
	}
	return false;
}

/* Levenshtein: letters to insert, remove or replace. */
static unsigned distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned row[MAX_NAME + 1];

	if (la > MAX_NAME || lb > MAX_NAME)
		return ~0u;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[lb];
}

/* Smaller is nearer; ~0: not near. A name that contains the other is near however long the rest is. */
static unsigned remoteness(const char *name, const char *candidate)
{
	unsigned d = distance(name, candidate);
	size_t length = strlen(name);

	if (strlen(name) >= 3 && (strstr(candidate, name) || strstr(name, candidate)))
		return 1;
	return d <= 1 + length / 3 ? d : ~0u;
}

void nearest_names(const char *name, const char *(*next)(void *arg, size_t i), void *arg, char *buf,
		   size_t size)
{
	const char *best[NEAREST] = {0}, *candidate;
	unsigned far[NEAREST];
	int n;

	for (size_t i = 0; (candidate = next(arg, i)); i++) {
		unsigned d = remoteness(name, candidate);
		const char *moved = candidate;

		for (int k = 0; k < NEAREST && d != ~0u; k++) {
			if (best[k] && !strcmp(best[k], moved))
				break;
			if (best[k] && far[k] <= d)
				continue;
			const char *old = best[k];
			unsigned old_far = far[k];

			best[k] = moved;
			far[k] = d;
			if (!old)
				break;
			moved = old;
			d = old_far;
		}
	}
	buf[0] = 0;
	if (!best[0])
		return;
	n = snprintf(buf, size, "; near to it: %s", best[0]);
	for (int k = 1; k < NEAREST && best[k] && n < (int)size; k++)
		n += snprintf(buf + n, size - n, ", %s", best[k]);
}

const struct explore_scenario *scenario_find(const struct explore_suite *suite, const char *name)
{
	for (size_t i = 0; i < suite->nr_scenarios; i++)
		if (!strcmp(suite->scenario[i]->name, name))
			return suite->scenario[i];
	return NULL;
}

static const char *next_scenario(void *arg, size_t i)
{
	const struct explore_suite *suite = arg;

	return i < suite->nr_scenarios ? suite->scenario[i]->name : NULL;
}

static bool matches(const struct options *o, const char *name)
{
	if (o->all)
		return true;
	for (size_t i = 0; i < o->nr_words; i++)
		if (!fnmatch(o->word[i], name, 0))
			return true;
	return false;
}

static bool word_known(const struct options *o, const char *word)
{
	for (size_t i = 0; i < o->suite->nr_scenarios; i++)
		if (!fnmatch(word, o->suite->scenario[i]->name, 0))
			return true;
	return false;
}

bool scenarios_choose(struct options *o)
{
	char near[4 * MAX_NAME];

	for (size_t i = 0; i < o->nr_words; i++) {
		if (word_known(o, o->word[i]))
			continue;
		nearest_names(o->word[i], next_scenario, (void *)o->suite, near, sizeof(near));
		say("%s: no scenario is called that%s; %s list names all", o->word[i], near,
		    o->suite->program);
		return false;
	}
	o->scenario = calloc(o->suite->nr_scenarios + 1, sizeof(*o->scenario));
	if (!o->scenario) {
		say("out of memory");
		return false;
	}
	for (size_t i = 0; i < o->suite->nr_scenarios; i++)
		if (matches(o, o->suite->scenario[i]->name))
			o->scenario[o->nr_scenarios++] = o->suite->scenario[i];
	return true;
}
