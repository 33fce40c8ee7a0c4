/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal as the guest's serial console. While it is raw, Ctrl-A begins a command;
 * whatever ends the process but SIGKILL leaves the terminal as it was found.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "cli.h"

struct terminal {
	bool is_terminal;
	bool input_open;
	bool escaped;	       /* the last byte was Ctrl-A */
	uint8_t pending[4096]; /* typed, not yet taken by the guest */
	size_t nr_pending;
	int log_fd;
};

/* Handlers of fatal signals; before any library that has its own, so that those come first. */
void terminal_install_handlers(void);
/* Called by those handlers before the process dies; only what is safe in a signal handler. */
void terminal_set_last_act(void (*act)(void));
/* 0, or -errno after a message. */
int terminal_open(struct terminal *terminal, const char *log_path);
void terminal_close(struct terminal *terminal);
/* Waits for whoever reads it; gives up at a signal if *stop is set then. */
void terminal_write(struct terminal *terminal, const void *data, size_t length, const bool *stop);
/* True if there is room, or commands to look out for: poll standard input then. */
bool terminal_wants_input(const struct terminal *terminal);
/* Reads what is there. Returns false if the user wants to leave. */
bool terminal_read(struct terminal *terminal);
void terminal_take(struct terminal *terminal, size_t length);

#endif
