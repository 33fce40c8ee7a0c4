/* SPDX-License-Identifier: MIT */
/*
 * The control socket of `anykvm run --control PATH`: a unix stream socket that the run loop serves between two waits.
 *
 * A request is one line. The reply is any number of lines that begin with a space, then one line that does not: `ok`, or
 * `error: WHY`. One request of a client is served at a time; the next is read when the reply has been sent. A client that does not
 * read costs its own reply's memory, and holds up nobody.
 *
 * A command that takes long (migrate) returns CONTROL_LATER and goes on in a thread of its own, which prints lines and at last
 * calls control_finish(). Meanwhile the client can send `cancel`; hanging up means the same.
 *
 * Life of a client. Born: accepted. Seen by: the run loop, and the thread of a command that returned CONTROL_LATER. Kept by: busy,
 * until control_finish(). Hidden and freed: by the run loop, once it is not busy and its peer is gone or has been answered.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <poll.h>

#include "cli.h"

#define CONTROL_CLIENTS 16
#define CONTROL_POLLS	(CONTROL_CLIENTS + 2)

struct control;
struct control_client;
struct machine;

enum control_result {
	CONTROL_OK,	/* the run loop adds `ok` */
	CONTROL_FAILED, /* control_fail() has said why */
	CONTROL_LATER,	/* control_finish() will be called, by any thread */
};

/*
 * One row of the table in control.c. run() is called by the run loop's thread; vCPUs run meanwhile. arguments: what follows the
 * command's name, without blanks at either end; may be written to, gone when run() returns.
 */
struct control_command {
	const char *name, *arguments, *help;
	enum control_result (*run)(struct control_client *client, struct machine *machine,
				   char *arguments);
};

/* Adds text to the reply; it may hold several lines, and begin or end in the middle of one. Any thread. */
void control_print(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The reply's last line, for a command that then returns CONTROL_FAILED. */
void control_fail(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Ends a command that returned CONTROL_LATER; `ok` unless control_fail() was called. The client is not touched afterwards. */
void control_finish(struct control_client *client);

/* Null after a message. The socket is the owner's alone; one that nobody listens on any more is replaced. */
struct control *control_open(const char *path);
/* No command is in progress. Removes the socket. Null is fine. */
void control_close(struct control *control);
/* Fills at most CONTROL_POLLS entries; returns how many. *milliseconds, -1 for ever, may become less. Null is fine. */
unsigned control_poll(struct control *control, struct pollfd *polls, int *milliseconds);
/* After poll(2) of these. */
void control_serve(struct control *control, struct machine *machine, const struct pollfd *polls,
		   unsigned nr);

#endif
