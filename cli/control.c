/* SPDX-License-Identifier: MIT */
/* The control socket: connections, lines and replies. The commands themselves are elsewhere, but for a few. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "inspect.h"
#include "machine.h"
#include "migrate.h"

#define LINE_MAX_BYTES	4096u
#define ACCEPT_RETRY_MS 100

struct control_client {
	struct control *control;
	int fd;
	char line[LINE_MAX_BYTES];
	size_t line_used;
	bool eof; /* nothing more comes in; what was asked is still answered */
	/* Under the control's lock: */
	bool gone; /* nobody reads what goes out */
	char *out;
	size_t out_used, out_room;
	bool in_line; /* the last line of the reply goes on */
	bool failed;
	bool busy; /* a command goes on in its own thread */
};

/* For the handler of a fatal signal: the socket's path, empty if there is none to remove. */
static char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

struct control {
	char *path;
	struct stat identity; /* of the socket that we made: another's is not removed */
	int listen_fd, wake_fd;
	bool must_wait; /* there was no descriptor or memory for the next client */
	pthread_mutex_t lock;
	struct control_client *clients[CONTROL_CLIENTS];
};

/* --- replies --- */

/* Without memory the reply is cut off; the client sees the missing end. */
static void client_append(struct control_client *client, const char *text, size_t length)
{
	size_t room = client->out_room ? client->out_room : 1024;
	char *larger;

	while (room - client->out_used < length)
		room *= 2;
	if (room != client->out_room) {
		larger = realloc(client->out, room);
		if (!larger)
			return;
		client->out = larger;
		client->out_room = room;
	}
	memcpy(client->out + client->out_used, text, length);
	client->out_used += length;
}

static void control_wake(struct control *control)
{
	uint64_t one = 1;

	if (write(control->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it wakes anyway */
}

void control_print(struct control_client *client, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	pthread_mutex_lock(&client->control->lock);
	for (char *line = text; *line && !client->gone;) {
		size_t part = strcspn(line, "\n");

		if (!client->in_line)
			client_append(client, " ", 1);
		part += line[part] == '\n';
		client_append(client, line, part);
		client->in_line = line[part - 1] != '\n';
		line += part;
	}
	pthread_mutex_unlock(&client->control->lock);
	free(text);
	control_wake(client->control);
}

/* The caller holds the lock. */
static void client_end_reply(struct control_client *client, const char *last)
{
	if (client->in_line)
		client_append(client, "\n", 1);
	client->in_line = false;
	client_append(client, last, strlen(last));
	client_append(client, "\n", 1);
}

void control_fail(struct control_client *client, const char *format, ...)
{
	char text[1024] = "error: ";
	size_t prefix = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + prefix, sizeof(text) - prefix, format, arguments);
	va_end(arguments);
	pthread_mutex_lock(&client->control->lock);
	client_end_reply(client, text);
	client->failed = true;
	pthread_mutex_unlock(&client->control->lock);
}

void control_finish(struct control_client *client)
{
	struct control *control = client->control;

	pthread_mutex_lock(&control->lock);
	if (!client->failed)
		client_end_reply(client, "ok");
	client->failed = client->busy = false;
	pthread_mutex_unlock(&control->lock);
	control_wake(control);
}

/* --- commands --- */

static enum control_result command_help(struct control_client *client, struct machine *m,
					char *arguments);

static enum control_result command_info(struct control_client *client, struct machine *m,
					char *arguments)
{
	const char *state = incoming_is_open(m) ? "waits for a guest"
			    : m->migration	? "migrates"
						: "runs";

	control_print(client, "state %s\naccelerator %s\nmemory %llu MiB\nvcpus %u\ndisks %u\n",
		      state, m->accel->name, m->options->memory / MIB + 0ull, m->nr_vcpus,
		      m->options->nr_disks);
	if (m->network)
		control_print(client, "network user\nforwards %u\n", m->options->nr_forwards);
	return CONTROL_OK;
}

static const struct control_command commands[] = {
	{"help", "", "this list", command_help},
	{"info", "", "what the machine consists of", command_info},
	{"inspect", "[SECTION...] [json]", "its memory: see anykvm inspect --help",
	 inspect_command},
	{"migrate", "[downtime=MS] [max-rounds=N] [keep] unix:PATH|file:PATH", "move the guest",
	 command_migrate},
	{"cancel", "", "give up a migration", command_cancel},
};

static enum control_result command_help(struct control_client *client, struct machine *m,
					char *arguments)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		control_print(client, "%s%s%s: %s\n", commands[i].name,
			      *commands[i].arguments ? " " : "", commands[i].arguments,
			      commands[i].help);
	return CONTROL_OK;
}

static void client_run_line(struct control_client *client, struct machine *m, char *line)
{
	static const char blanks[] = " \t\r";
	enum control_result result = CONTROL_FAILED;
	size_t length = strlen(line);
	char *arguments;

	while (length && strchr(blanks, line[length - 1]))
		line[--length] = 0;
	line += strspn(line, blanks);
	arguments = line + strcspn(line, blanks);
	if (*arguments)
		*arguments++ = 0;
	arguments += strspn(arguments, blanks);
	/* Set before the command's thread can finish it. */
	client->busy = true;
	for (size_t i = 0; i <= sizeof(commands) / sizeof(commands[0]); i++) {
		if (i == sizeof(commands) / sizeof(commands[0])) {
			control_fail(client, "no such command; `help` lists them");
		} else if (!strcmp(line, commands[i].name)) {
			result = commands[i].run(client, m, arguments);
			break;
		}
	}
	if (result != CONTROL_LATER)
		control_finish(client);
}

/* --- connections --- */

static void client_destroy(struct control_client *client)
{
	close(client->fd);
	free(client->out);
	free(client);
}

/* Carries out the first whole line, if there is one. */
static bool client_take_line(struct control_client *client, struct machine *m)
{
	char line[LINE_MAX_BYTES], *end = memchr(client->line, '\n', client->line_used);
	size_t length;

	if (!end)
		return false;
	length = end - client->line;
	memcpy(line, client->line, length);
	line[length] = 0;
	client->line_used -= length + 1;
	memmove(client->line, end + 1, client->line_used);
	client_run_line(client, m, line);
	return true;
}

/* While its command goes on a client may take it back, by a line or by hanging up. */
static void client_look_for_cancel(struct control_client *client, struct machine *m)
{
	static const char cancel[] = "cancel\n";
	size_t length = sizeof(cancel) - 1;

	if (client->line_used >= length && !memcmp(client->line, cancel, length)) {
		client->line_used -= length;
		memmove(client->line, client->line + length, client->line_used);
	} else if (!client->gone) {
		return;
	}
	migration_cancel(m, client);
}

static void client_receive(struct control_client *client, bool busy)
{
	ssize_t got = recv(client->fd, client->line + client->line_used,
			   sizeof(client->line) - client->line_used, MSG_DONTWAIT);

	if (got > 0)
		client->line_used += got;
	else if (!got)
		client->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		client->eof = true;
	if (!busy && client->line_used == sizeof(client->line) &&
	    !memchr(client->line, '\n', client->line_used)) {
		control_fail(client, "a line of more than %u bytes", LINE_MAX_BYTES);
		client->failed = false;
		client->line_used = 0;
		client->eof = true;
	}
}

/* The caller holds the lock. */
static void client_send(struct control_client *client)
{
	ssize_t sent = 1;

	while (client->out_used && !client->gone && sent > 0) {
		sent = send(client->fd, client->out, client->out_used, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0) {
			client->out_used -= sent;
			memmove(client->out, client->out + sent, client->out_used);
		} else if (errno != EAGAIN && errno != EINTR) {
			client->gone = true;
		}
	}
	if (client->gone)
		client->out_used = 0;
}

/* What to wait for: first the reply is finished and sent, then comes the next line. */
static short client_events(struct control_client *client)
{
	short events;

	pthread_mutex_lock(&client->control->lock);
	if (client->out_used)
		events = POLLOUT;
	else
		events = client->eof || client->line_used == sizeof(client->line) ? 0 : POLLIN;
	pthread_mutex_unlock(&client->control->lock);
	return events;
}

/* Returns false if it is done with. */
static bool client_serve(struct control_client *client, struct machine *m, short events)
{
	bool busy, sent;

	pthread_mutex_lock(&client->control->lock);
	busy = client->busy;
	if (events & (POLLHUP | POLLERR))
		client->eof = client->gone = true;
	pthread_mutex_unlock(&client->control->lock);
	if (!client->gone && (events & POLLIN))
		client_receive(client, busy);
	if (busy)
		client_look_for_cancel(client, m);
	do {
		pthread_mutex_lock(&client->control->lock);
		client_send(client);
		busy = client->busy;
		sent = !client->out_used;
		pthread_mutex_unlock(&client->control->lock);
	} while (!busy && sent && !client->gone && client_take_line(client, m));
	return busy || (!client->gone && (!client->eof || !sent));
}

static void control_accept(struct control *control)
{
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	static const char full[] = "error: too many clients\n";
	struct control_client *client;

	if (fd < 0) {
		/* It stays readable: nobody must look at it all the time. */
		control->must_wait = errno != EAGAIN && errno != ECONNABORTED;
		return;
	}
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		if (control->clients[i])
			continue;
		client = calloc(1, sizeof(*client));
		if (!client)
			break;
		client->control = control;
		client->fd = fd;
		control->clients[i] = client;
		return;
	}
	if (send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		errno = 0; /* it is closed anyway */
	close(fd);
}

unsigned control_poll(struct control *control, struct pollfd *polls, int *milliseconds)
{
	unsigned nr = 0;

	if (!control)
		return 0;
	polls[nr++] = (struct pollfd){.fd = control->must_wait ? -1 : control->listen_fd,
				      .events = POLLIN};
	if (control->must_wait && (*milliseconds < 0 || *milliseconds > ACCEPT_RETRY_MS))
		*milliseconds = ACCEPT_RETRY_MS;
	/* For one wait; what else ends that early comes seldom enough. */
	control->must_wait = false;
	polls[nr++] = (struct pollfd){.fd = control->wake_fd, .events = POLLIN};
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = control->clients[i];

		polls[nr] = (struct pollfd){.fd = -1};
		if (client && !client->gone)
			polls[nr] =
				(struct pollfd){.fd = client->fd, .events = client_events(client)};
		nr++;
	}
	return nr;
}

void control_serve(struct control *control, struct machine *m, const struct pollfd *polls,
		   unsigned nr)
{
	uint64_t count;

	if (!nr)
		return;
	if (polls[1].revents && read(control->wake_fd, &count, sizeof(count)) < 0 &&
	    errno != EAGAIN)
		cli_say_errno("eventfd");
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = control->clients[i];

		if (!client || client_serve(client, m, polls[i + 2].revents))
			continue;
		control->clients[i] = NULL;
		client_destroy(client);
	}
	if (polls[0].revents)
		control_accept(control);
}

/* --- the socket --- */

static void remove_socket(void)
{
	if (*socket_path)
		unlink(socket_path);
}

struct control *control_open(const char *path)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control) {
		cli_say_errno("--control %s", path);
		return NULL;
	}
	pthread_mutex_init(&control->lock, NULL);
	control->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	control->path = strdup(path);
	control->listen_fd = stream_listen(path, "--control");
	if (control->listen_fd >= 0 && control->path && control->wake_fd >= 0 &&
	    !lstat(path, &control->identity)) {
		strcpy(socket_path, path);
		terminal_set_last_act(remove_socket);
		return control;
	}
	if (control->listen_fd >= 0)
		cli_say_errno("--control %s", path);
	control_close(control);
	return NULL;
}

void control_close(struct control *control)
{
	struct stat there;

	if (!control)
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (control->clients[i]) {
			/* A last try: what is left unsent is lost. */
			pthread_mutex_lock(&control->lock);
			client_send(control->clients[i]);
			pthread_mutex_unlock(&control->lock);
			client_destroy(control->clients[i]);
		}
	*socket_path = 0;
	if (control->identity.st_ino && !lstat(control->path, &there) &&
	    there.st_ino == control->identity.st_ino && there.st_dev == control->identity.st_dev)
		unlink(control->path);
	if (control->listen_fd >= 0)
		close(control->listen_fd);
	if (control->wake_fd >= 0)
		close(control->wake_fd);
	pthread_mutex_destroy(&control->lock);
	free(control->path);
	free(control);
}
