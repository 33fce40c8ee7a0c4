/* SPDX-License-Identifier: MIT */
/* anykvm migrate: asks a running machine, over its control socket, to move its guest, and shows how that goes. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "migrate_stream.h"

static const char migrate_help[] =
	"Usage: anykvm migrate [OPTION]... CONTROL DEST\n"
	"Moves a guest that runs to another anykvm run, or into a file. CONTROL is what\n"
	"its anykvm run was given by --control. DEST is where it goes:\n"
	"  unix:PATH  a machine that waits there: anykvm run --incoming unix:PATH ...\n"
	"  file:PATH  a file: anykvm run --incoming file:PATH ... goes on with it\n"
	"\n"
	"      --downtime MS    stop it when the rest follows in that time (default 30)\n"
	"      --max-rounds N   stop it after N rounds in any case (default 30)\n"
	"      --keep           into a file: the guest goes on here, too\n"
	"      --json           progress and result as JSON, one object a line\n"
	"  -h, --help           this text\n"
	"\n"
	"The guest runs on while its memory is copied; then it stops, and what is left\n"
	"follows. Ctrl-C gives up: the guest stays where it is, as it does whenever\n"
	"anything fails.\n"
	"Exit status: 0 the guest has moved; 1 it has not; 2 bad command line.\n";

struct migrate_options {
	const char *control, *destination;
	double downtime;
	unsigned long max_rounds;
	bool keep, json;
};

enum { OPT_DOWNTIME = 256, OPT_MAX_ROUNDS, OPT_KEEP, OPT_JSON };

static int parse_option(struct migrate_options *options, int option)
{
	char *end;

	switch (option) {
	case OPT_DOWNTIME:
		options->downtime = strtod(optarg, &end);
		if (end != optarg && !*end && isfinite(options->downtime) && options->downtime >= 0)
			return 0;
		cli_say("--downtime %s: not a number of milliseconds", optarg);
		return -1;
	case OPT_MAX_ROUNDS:
		options->max_rounds = strtoul(optarg, &end, 10);
		if (optarg[0] >= '0' && optarg[0] <= '9' && !*end && options->max_rounds &&
		    options->max_rounds <= 1000000)
			return 0;
		cli_say("--max-rounds %s: not a number above 0", optarg);
		return -1;
	case OPT_KEEP:
		options->keep = true;
		return 0;
	case OPT_JSON:
		options->json = true;
		return 0;
	default: /* 'h' */
		fputs(migrate_help, stdout);
		return 1;
	}
}

static int parse(struct migrate_options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"downtime", required_argument, NULL, OPT_DOWNTIME},
		{"max-rounds", required_argument, NULL, OPT_MAX_ROUNDS},
		{"keep", no_argument, NULL, OPT_KEEP},
		{"json", no_argument, NULL, OPT_JSON},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool is_file;
	int option, status;

	*options = (struct migrate_options){.downtime = -1};
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		if (option == ':' || option == '?') {
			cli_say(option == ':' ? "option %s needs an argument; see anykvm migrate "
						"--help"
					      : "unknown option %s; see anykvm migrate --help",
				argv[optind - 1]);
			return -1;
		}
		status = parse_option(options, option);
		if (status)
			return status;
	}
	if (argc - optind != 2) {
		cli_say("give a control socket and a destination; see anykvm migrate --help");
		return -1;
	}
	options->control = argv[optind];
	options->destination = argv[optind + 1];
	if (!stream_parse(options->destination, "destination", &is_file))
		return -1;
	if (strchr(options->destination, '\n')) {
		cli_say("destination: a line break in it");
		return -1;
	}
	if (options->keep && !is_file) {
		cli_say("--keep: only one side can run on; it is for file:PATH");
		return -1;
	}
	return 0;
}

/* --- what the machine says --- */

/* The number after a key of a JSON object, as our own machine writes them. */
static double number(const char *object, const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\": ", key);
	at = strstr(object, quoted);
	return at ? strtod(at + strlen(quoted), NULL) : 0;
}

static void show(const struct migrate_options *options, const char *line)
{
	bool over = isatty(STDOUT_FILENO);
	const char *note = strstr(line, "\"note\": \"");

	if (options->json) {
		printf("%s\n", line);
	} else if (note) {
		note += strlen("\"note\": \"");
		printf("%.*s\n", (int)strcspn(note, "\""), note);
	} else if (strstr(line, "\"done\"")) {
		printf("%smoved in %.2f s: %.0f rounds, %.0f pages, %.1f MiB; the guest stood "
		       "still "
		       "for %.1f ms\n",
		       over ? "\r\033[K" : "", number(line, "seconds"), number(line, "rounds"),
		       number(line, "pages"), number(line, "mib"), number(line, "downtime_ms"));
	} else {
		printf("%sround %.0f: %.0f pages left, %.1f MiB/s, estimated downtime %.1f ms%s",
		       over ? "\r\033[K" : "", number(line, "round"), number(line, "pages_left"),
		       number(line, "mib_per_second"), number(line, "estimated_downtime_ms"),
		       over ? "" : "\n");
	}
	fflush(stdout);
}

static void say_error(const struct migrate_options *options, const char *why)
{
	if (options->json) {
		printf("{\"done\": false, \"error\": \"");
		for (; *why; why++)
			if ((unsigned char)*why >= ' ')
				printf(*why == '"' || *why == '\\' ? "\\%c" : "%c", *why);
		printf("\"}\n");
		return;
	}
	if (isatty(STDOUT_FILENO))
		printf("\n");
	fflush(stdout);
	cli_say("%s", why);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	interrupted = 1;
}

/* Returns false at the connection's end. Sends `cancel` at the first Ctrl-C; the second one ends us. */
static bool receive(int fd, char *line, size_t *used, size_t room)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	static bool told;
	ssize_t got;

	for (;;) {
		if (interrupted && !told) {
			told = true;
			signal(SIGINT, SIG_DFL);
			if (write(fd, "cancel\n", 7) != 7)
				return false;
		}
		/* A signal between the look and the wait costs half a second. */
		if (poll(&wait, 1, 500) <= 0)
			continue;
		got = read(fd, line + *used, room - *used);
		if (got > 0)
			*used += got;
		if (got >= 0 || (errno != EINTR && errno != EAGAIN))
			return got > 0;
	}
}

static enum cli_status follow(const struct migrate_options *options, int fd)
{
	char text[8192], *end;
	size_t used = 0;

	while (used < sizeof(text) && receive(fd, text, &used, sizeof(text))) {
		while ((end = memchr(text, '\n', used))) {
			*end++ = 0;
			if (!strcmp(text, "ok"))
				return CLI_OK;
			if (text[0] != ' ') {
				say_error(options, !strncmp(text, "error: ", 7) ? text + 7 : text);
				return CLI_FAILED;
			}
			show(options, text + 1);
			used -= end - text;
			memmove(text, end, used);
		}
	}
	say_error(options, "the machine ended before it could tell how it went");
	return CLI_FAILED;
}

/* A relative path means ours, not the machine's. */
static char *request(const struct migrate_options *options)
{
	char *directory = options->destination[5] == '/' ? strdup("") : getcwd(NULL, 0);
	char downtime[64] = "", rounds[64] = "", *line;

	if (options->downtime >= 0)
		snprintf(downtime, sizeof(downtime), "downtime=%g ", options->downtime);
	if (options->max_rounds)
		snprintf(rounds, sizeof(rounds), "max-rounds=%lu ", options->max_rounds);
	if (!directory || asprintf(&line, "migrate %s%s%s%.5s%s%s%s\n", downtime, rounds,
				   options->keep ? "keep " : "", options->destination, directory,
				   *directory ? "/" : "", options->destination + 5) < 0)
		line = NULL;
	free(directory);
	return line;
}

int migrate_main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_interrupt};
	struct migrate_options options;
	enum cli_status status = CLI_FAILED;
	int parsed = parse(&options, argc, argv), fd;
	char *line;

	if (parsed)
		return parsed < 0 ? CLI_USAGE : CLI_OK;
	fd = stream_connect(options.control);
	if (fd < 0) {
		cli_say_errno("control socket %s", options.control);
		return CLI_FAILED;
	}
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	line = request(&options);
	if (line && write(fd, line, strlen(line)) == (ssize_t)strlen(line))
		status = follow(&options, fd);
	else
		cli_say_errno("control socket %s", options.control);
	free(line);
	close(fd);
	return status;
}
