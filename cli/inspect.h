/* SPDX-License-Identifier: MIT */
/* A look into a machine: `anykvm inspect`, the control command of that name, and what `anykvm run --inspect` prints. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "control.h"

/* The control command. arguments: names of sections, and json. */
enum control_result inspect_command(struct control_client *client, struct machine *machine,
				    char *arguments);
/* Everything, to standard error. */
void inspect_print(const struct machine *machine);
int inspect_main(int argc, char **argv);

#endif
