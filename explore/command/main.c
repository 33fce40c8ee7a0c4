/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/output.h"
#include "command/command.h"

static const struct subcommand {
	const char *name;
	int (*main)(struct options *o);
} subcommands[] = {
	{"list", list_main}, {"run", run_main},	    {"replay", replay_main},
	{"plan", plan_main}, {"merge", merge_main},
};

#define NR_SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static const char *next_subcommand(void *arg, size_t i)
{
	return i < NR_SUBCOMMANDS ? subcommands[i].name : NULL;
}

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < NR_SUBCOMMANDS; i++)
		if (!strcmp(subcommands[i].name, name))
			return &subcommands[i];
	return NULL;
}

static int misuse(const struct explore_suite *suite, const char *name)
{
	char near[256];

	nearest_names(name, next_subcommand, NULL, near, sizeof(near));
	say("%s: no such command; there are list, run, replay, plan and merge%s; see %s --help",
	    name, near, suite->program);
	return STATUS_MISUSE;
}

int explore_main(int argc, char **argv, const struct explore_suite *suite)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	char path[PATH_MAX];
	struct options o = {
		.suite = suite, .self = argv[0], .argc = argc, .argv = argv, .out = stdout};
	const struct subcommand *command;
	char **words;
	int status;

	/* A path may be relative, to a folder that others do not work in. */
	if (strchr(argv[0], '/') && realpath(argv[0], path))
		o.self = path;
	if (!name) {
		say("nothing to do; see %s --help", suite->program);
		return STATUS_MISUSE;
	}
	if (!strcmp(name, "-h") || !strcmp(name, "--help") || !strcmp(name, "help")) {
		help_print(suite);
		return STATUS_CLEAN;
	}
	command = find(name);
	if (!command)
		return misuse(suite, name);
	/* getopt_long() sorts the words: the original order is kept for a program with a fault in it. */
	words = calloc(argc, sizeof(*words));
	if (!words) {
		say("out of memory");
		return STATUS_MISUSE;
	}
	memcpy(words, argv + 1, (argc - 1) * sizeof(*words));
	status = options_parse(argc - 1, words, &o);
	if (status < 0 && !output_may_write(&o))
		status = STATUS_MISUSE;
	if (status < 0 && o.mutant)
		status = mutant_exec(&o);
	if (status < 0)
		status = command->main(&o);
	options_free(&o);
	free(words);
	return status;
}
