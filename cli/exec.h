/* SPDX-License-Identifier: MIT */
/* anykvm exec: what can be told of a program before it is started. */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include <stdbool.h>
#include <stddef.h>

int exec_main(int argc, char **argv);

/*
 * Why the preloaded library will not get into the program at path, as the rest of a sentence; NULL if it will. Scripts are
 * followed to their interpreter. The text is in buf, or constant.
 */
const char *program_refuses_preload(const char *path, char *buf, size_t size);

/* Whether the file at path is a program or library for another machine. */
bool program_is_foreign(const char *path);

#endif
