/* SPDX-License-Identifier: MIT */
/* anykvm exec: what can be told of a program before it is started. */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include <stdbool.h>
#include <stddef.h>

#include "fail_spec.h"

int exec_main(int argc, char **argv);

/* What --fail says, all in one text. */
struct exec_failures {
	unsigned nr;
	char specs[FAIL_SPECS_MAX * FAIL_SPEC_MAX]; /* with commas between */
};

/* One more of them; false after a message if it makes no sense. */
bool exec_add_failure(struct exec_failures *all, const char *spec);

/*
 * Why the preloaded library will not get into the program at path, as the rest of a sentence; NULL if it will. Scripts are
 * followed to their interpreter. The text is in buf, or constant.
 */
const char *program_refuses_preload(const char *path, char *buf, size_t size);

/* Whether the file at path is a program or library, of whatever machine. */
bool program_is_elf(const char *path);

/* Whether the file at path is a program or library for another machine. */
bool program_is_foreign(const char *path);

#endif
