/* SPDX-License-Identifier: MIT */
/* What every part of the command shares: exit statuses and messages. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_status {
	CLI_OK = 0,
	CLI_FAILED = 1,	   /* the machine could not be made or run on */
	CLI_USAGE = 2,	   /* the command line makes no sense */
	CLI_RESET = 3,	   /* the guest asked for a reset under --no-reboot */
	CLI_TIMEOUT = 124, /* --timeout passed; the number timeout(1) uses */
};

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

/* A line on stderr that begins with the command's name; safe while the terminal is raw. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As cli_say(), without the name: lines of a table. */
void cli_row(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As cli_say(), with the text of errno at the end. */
void cli_say_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

int run_main(int argc, char **argv);
int info_main(int argc, char **argv);
int migrate_main(int argc, char **argv);
int explore_main(int argc, char **argv);

#endif
