/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <anykvm.h>

#include "inspect.h"
#include "machine.h"

static const char inspect_help[] =
	"Usage: anykvm inspect [OPTION]... SOCKET\n"
	"Shows the memory of a running machine. SOCKET is what its anykvm run was given\n"
	"by --control. The guest goes on meanwhile.\n"
	"\n"
	"  -s, --section NAME    only this part; may be repeated:\n"
	"                        slots     memory slots\n"
	"                        stage2    translation tables, as ranges of equal leaves\n"
	"                        nested    shadow MMUs of nested guests, and their tables\n"
	"                        notifier  changes of host memory in flight\n"
	"                        caches    of vCPUs, of the machine, of the library\n"
	"                        gmem      which slots take their memory from guest_memfd\n"
	"                        stats     counters\n"
	"      --json            one JSON object instead of text\n"
	"  -h, --help            this text\n"
	"\n"
	"Exit status: 0 shown; 1 it could not be; 2 bad command line.\n";

static const struct section {
	const char *name;
	unsigned flag;
} sections[] = {
	{"slots", ANYKVM_INSPECT_SLOTS},   {"stage2", ANYKVM_INSPECT_STAGE2},
	{"nested", ANYKVM_INSPECT_NESTED}, {"notifier", ANYKVM_INSPECT_NOTIFIER},
	{"caches", ANYKVM_INSPECT_CACHES}, {"gmem", ANYKVM_INSPECT_GMEM},
	{"stats", ANYKVM_INSPECT_STATS},   {"json", ANYKVM_INSPECT_JSON},
};
#define NR_SECTIONS (sizeof(sections) / sizeof(sections[0]))

static unsigned section_flag(const char *name)
{
	for (size_t i = 0; i < NR_SECTIONS; i++)
		if (!strcmp(name, sections[i].name))
			return sections[i].flag;
	return 0;
}

/* To be freed; null with errno. */
static char *inspect_text(const struct machine *m, unsigned flags)
{
	char *text = NULL, *larger;
	size_t size = 16384;

	for (;;) {
		ssize_t length;

		larger = realloc(text, size);
		if (!larger)
			break;
		text = larger;
		length = m->accel->inspect(m->vm_fd, flags, text, size);
		if (length < 0)
			break;
		if ((size_t)length < size)
			return text;
		/* The guest runs: it may be longer still the next time. */
		size = length + length / 4 + 1;
	}
	free(text);
	return NULL;
}

enum control_result inspect_command(struct control_client *client, struct machine *m,
				    char *arguments)
{
	unsigned flags = 0;
	char *text, *rest = NULL;

	for (char *word = strtok_r(arguments, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest)) {
		if (!section_flag(word)) {
			control_fail(client, "%.40s: no such section", word);
			return CONTROL_FAILED;
		}
		flags |= section_flag(word);
	}
	if (!m->accel->inspect) {
		control_fail(client, "--accel %s cannot be looked into", m->accel->name);
		return CONTROL_FAILED;
	}
	text = inspect_text(m, flags);
	if (!text) {
		control_fail(client, "%s", strerror(errno));
		return CONTROL_FAILED;
	}
	control_print(client, "%s", text);
	free(text);
	return CONTROL_OK;
}

void inspect_print(const struct machine *m)
{
	char *text = m->accel->inspect ? inspect_text(m, 0) : NULL, *rest = NULL;

	if (!text) {
		if (m->accel->inspect)
			cli_say_errno("--inspect");
		else
			cli_say("--inspect: --accel %s cannot be looked into", m->accel->name);
		return;
	}
	cli_say("the machine at its end");
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		cli_row("  %s", line);
	free(text);
}

/* --- the command, which asks another process --- */

static int inspect_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		cli_say("%s: the path of a socket has at most %zu bytes", path,
			sizeof(address.sun_path) - 1);
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		cli_say_errno("%s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Prints the reply without the blank before each line of it. Its last line has none, and says how it went. */
static int inspect_show_reply(FILE *reply)
{
	enum cli_status status = CLI_FAILED;
	bool ended = false;
	size_t room = 0;
	char *line = NULL;
	ssize_t length;

	while (!ended && (length = getline(&line, &room, reply)) > 0) {
		ended = *line != ' ';
		if (!ended) {
			fwrite(line + 1, 1, length - 1, stdout);
			continue;
		}
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "ok"))
			status = CLI_OK;
		else
			cli_say("%s", line);
	}
	free(line);
	if (!ended)
		cli_say("the machine ended before its answer");
	if (fflush(stdout) || ferror(stdout)) {
		cli_say_errno("standard output");
		status = CLI_FAILED;
	}
	return status;
}

/* The request's line in request, which has room for all words. -1 after a message, 1 after --help. */
static int inspect_parse(int argc, char **argv, char *request)
{
	static const struct option options[] = {
		{"section", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	unsigned flags = 0;
	int option;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":s:h", options, NULL)) != -1) {
		switch (option) {
		case 's':
			if (!section_flag(optarg) || !strcmp(optarg, "json")) {
				cli_say("--section %s: no such part; see anykvm inspect --help",
					optarg);
				return -1;
			}
			flags |= section_flag(optarg);
			break;
		case 'j':
			flags |= ANYKVM_INSPECT_JSON;
			break;
		case 'h':
			fputs(inspect_help, stdout);
			return 1;
		default:
			cli_say("%s %s; see anykvm inspect --help",
				option == ':' ? "an argument is missing after" : "unknown option",
				argv[optind - 1]);
			return -1;
		}
	}
	if (optind + 1 != argc) {
		cli_say("give the socket of one machine; see anykvm inspect --help");
		return -1;
	}
	strcpy(request, "inspect");
	for (size_t i = 0; i < NR_SECTIONS; i++)
		if (flags & sections[i].flag)
			strcat(strcat(request, " "), sections[i].name);
	strcat(request, "\n");
	return 0;
}

int inspect_main(int argc, char **argv)
{
	int parsed, fd, status = CLI_FAILED;
	char request[256];
	FILE *reply;

	parsed = inspect_parse(argc, argv, request);
	if (parsed)
		return parsed < 0 ? CLI_USAGE : CLI_OK;
	fd = inspect_connect(argv[optind]);
	if (fd < 0)
		return CLI_FAILED;
	reply = fdopen(fd, "r");
	if (!reply) {
		cli_say_errno("%s", argv[optind]);
		close(fd);
		return CLI_FAILED;
	}
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		cli_say_errno("%s", argv[optind]);
	else
		status = inspect_show_reply(reply);
	fclose(reply);
	return status;
}
