/* SPDX-License-Identifier: MIT */
/* --mutant: another program, made by the suite, that has the fault in it and is called with the same arguments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/command.h"

/* Names of all faults that scenarios list; they are cut out of their lists into buf. */
struct faults {
	const struct explore_suite *suite;
	char buf[16384];
	const char *name[512];
	size_t nr;
};

static void collect(struct faults *f)
{
	size_t used = 0;

	for (size_t i = 0; i < f->suite->nr_scenarios; i++) {
		const char *list = f->suite->scenario[i]->mutants;
		size_t n = list ? strlen(list) : 0;

		if (!n || used + n + 1 > sizeof(f->buf))
			continue;
		memcpy(f->buf + used, list, n + 1);
		for (char *p = strtok(f->buf + used, ", "); p && f->nr < 512;
		     p = strtok(NULL, ", "))
			f->name[f->nr++] = p;
		used += n + 1;
	}
}

static const char *next_fault(void *arg, size_t i)
{
	struct faults *f = arg;

	return i < f->nr ? f->name[i] : NULL;
}

/* PROGRAM SUBCOMMAND --mutated NAME and the other arguments. */
static char **rewrite(const struct options *o, char *program)
{
	char **made = calloc(o->argc + 3, sizeof(*made));
	int n = 0;

	if (!made)
		return NULL;
	made[n++] = program;
	made[n++] = o->argv[1];
	made[n++] = (char *)"--mutated";
	made[n++] = (char *)o->mutant;
	for (int i = 2; i < o->argc; i++) {
		if (!strcmp(o->argv[i], "--mutant"))
			i++;
		else if (strncmp(o->argv[i], "--mutant=", 9))
			made[n++] = o->argv[i];
	}
	return made;
}

int mutant_exec(struct options *o)
{
	struct faults *f;
	char buf[4096] = "", near[512] = "";
	char **arguments;

	if (!o->suite->mutant) {
		say("--mutant: this program cannot make broken forms of its code");
		return STATUS_MISUSE;
	}
	if (!o->suite->mutant(o->mutant, buf, sizeof(buf))) {
		f = calloc(1, sizeof(*f));
		if (f) {
			f->suite = o->suite;
			collect(f);
			nearest_names(o->mutant, next_fault, f, near, sizeof(near));
		}
		/* The names help only if the message is about the name. */
		say("--mutant %s: %s%s", o->mutant, buf, list_has(near, o->mutant) ? "" : near);
		free(f);
		return STATUS_MISUSE;
	}
	arguments = rewrite(o, buf);
	if (arguments)
		execv(buf, arguments);
	say("%s: cannot be started: %s", buf, strerror(errno));
	free(arguments);
	return STATUS_MISUSE;
}
