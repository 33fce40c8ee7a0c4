/* SPDX-License-Identifier: MIT */
/* explore list: what there is to explore. */
#include <stdio.h>
#include <string.h>

#include "command/command.h"

static size_t threads_format(const struct explore_scenario *sc, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = 0;
	for (int i = 0; i < EXPLORE_MAX_THREADS && sc->thread[i].fn && n < size; i++)
		n += snprintf(buf + n, size - n, "%s%s", i ? " | " : "", sc->thread[i].name);
	return n < size ? n : size - 1;
}

static void print_details(const struct explore_scenario *sc)
{
	if (sc->property)
		printf("    property: %s\n", sc->property);
	if (sc->source)
		printf("    source:   %s\n", sc->source);
	if (sc->mutants)
		printf("    mutants:  %s\n", sc->mutants);
	if (sc->faults)
		printf("    faults:   up to %u in one execution\n", sc->faults);
}

int list_main(struct options *o)
{
	char threads[512];
	int name_width = 0, threads_width = 0;

	if (!o->nr_words)
		o->all = true;
	if (!scenarios_choose(o))
		return STATUS_MISUSE;
	for (size_t i = 0; i < o->nr_scenarios; i++) {
		int name = strlen(o->scenario[i]->name),
		    length = threads_format(o->scenario[i], threads, sizeof(threads));

		name_width = name > name_width ? name : name_width;
		threads_width = length > threads_width ? length : threads_width;
	}
	for (size_t i = 0; i < o->nr_scenarios; i++) {
		const struct explore_scenario *sc = o->scenario[i];

		threads_format(sc, threads, sizeof(threads));
		printf("%-*s  %-*s  %s\n", name_width, sc->name, threads_width, threads,
		       sc->summary);
		if (o->details)
			print_details(sc);
	}
	return STATUS_CLEAN;
}
