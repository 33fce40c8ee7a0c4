/* SPDX-License-Identifier: MIT */
/* --mutant: another program, made by the suite, that has the fault in it and is called with the same arguments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/command.h"

#define SELF "EXPLORE_PROGRAM"

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

static void complain(const struct options *o, const char *why)
{
	struct faults *f = calloc(1, sizeof(*f));
	char near[512] = "";
	bool known = false;

	if (f) {
		f->suite = o->suite;
		collect(f);
		for (size_t i = 0; i < f->nr; i++)
			known |= !strcmp(f->name[i], o->mutant);
		if (!known && !strstr(why, "near to it"))
			nearest_names(o->mutant, next_fault, f, near, sizeof(near));
	}
	say("--mutant %s: %s%s", o->mutant, why, near);
	free(f);
}

int mutant_exec(struct options *o)
{
	char buf[4096] = "";
	char **arguments;

	if (!o->suite->mutant) {
		say("--mutant: this program cannot make broken forms of its code");
		return STATUS_MISUSE;
	}
	if (!o->suite->mutant(o->mutant, buf, sizeof(buf))) {
		complain(o, buf);
		return STATUS_MISUSE;
	}
	/* Commands that plan prints are to be those of this program, wherever they run. */
	setenv(SELF, o->self, 1);
	arguments = rewrite(o, buf);
	if (arguments)
		execv(buf, arguments);
	say("%s: cannot be started: %s", buf, strerror(errno));
	free(arguments);
	return STATUS_MISUSE;
}

const char *own_program(const struct options *o)
{
	const char *self = o->mutated ? getenv(SELF) : NULL;

	return self ? self : o->self;
}
