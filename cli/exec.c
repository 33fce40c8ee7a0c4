/* SPDX-License-Identifier: MIT */
/*
 * anykvm exec: another program with libanykvm-preload.so before its libraries. The library is beside this command, where the
 * installation puts libraries, or in preload/ of the build folder.
 */
#include "exec.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define LIBRARY "libanykvm-preload.so"

/* From the folder of the command. The second is where this build is to be installed. */
static const char *const places[] = {LIBRARY, PRELOAD_FROM_BIN "/" LIBRARY, "../preload/" LIBRARY};

static const char help[] =
	"Usage: anykvm exec [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"Starts COMMAND with KVM/arm64 behind /dev/kvm. The host's /dev/kvm, if it has one, is not "
	"used.\n"
	"\n"
	"      --library FILE  the library to preload (default: the one of this command)\n"
	"      --force         start it even where the library will not get into it\n"
	"  -h, --help          this text\n";

struct exec_options {
	const char *library;
	bool force;
};

static bool find_library(const struct exec_options *o, char *path, size_t size)
{
	char folder[PATH_MAX];
	ssize_t n;

	if (o->library)
		return realpath(o->library, path);
	n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	if (n < 0)
		return false;
	folder[n] = 0;
	*strrchr(folder, '/') = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char candidate[2 * PATH_MAX];

		snprintf(candidate, sizeof(candidate), "%s/%s", folder, places[i]);
		if (realpath(candidate, path))
			return true;
	}
	return false;
}

/* Where the shell would find it, into path; unchanged if nowhere: exec will say so. */
static void find_command(const char *command, char *path, size_t size)
{
	const char *from = getenv("PATH");
	struct stat st;

	snprintf(path, size, "%s", command);
	if (strchr(command, '/'))
		return;
	while (from && *from) {
		size_t n = strcspn(from, ":");

		snprintf(path, size, "%.*s%s%s", (int)n, from, n ? "/" : "", command);
		if (!access(path, X_OK) && !stat(path, &st) && S_ISREG(st.st_mode))
			return;
		from += n + (from[n] == ':');
	}
	snprintf(path, size, "%s", command);
}

/* Before what is there already. A space or colon in the name would end it. */
static bool set_preload(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	char value[3 * PATH_MAX];

	if (strpbrk(library, " :")) {
		cli_say("exec: %s: LD_PRELOAD cannot name a file with a space or a colon", library);
		return false;
	}
	snprintf(value, sizeof(value), "%s%s%s", library, old && *old ? ":" : "",
		 old && *old ? old : "");
	return !setenv("LD_PRELOAD", value, 1);
}

static int parse(int argc, char **argv, struct exec_options *o)
{
	enum { OPT_LIBRARY = 256, OPT_FORCE };
	static const struct option options[] = {
		{"library", required_argument, NULL, OPT_LIBRARY},
		{"force", no_argument, NULL, OPT_FORCE},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0) {
		switch (c) {
		case OPT_LIBRARY:
			o->library = optarg;
			break;
		case OPT_FORCE:
			o->force = true;
			break;
		case 'h':
			fputs(help, stdout);
			exit(CLI_OK);
		default:
			return CLI_USAGE;
		}
	}
	if (optind < argc)
		return CLI_OK;
	fputs(help, stderr);
	return CLI_USAGE;
}

int exec_main(int argc, char **argv)
{
	struct exec_options o = {0};
	char library[PATH_MAX], command[2 * PATH_MAX], buf[256];
	const char *why;
	int r = parse(argc, argv, &o);

	if (r)
		return r;
	if (!find_library(&o, library, sizeof(library))) {
		cli_say("exec: %s is not there; it is built and installed with this command, but "
			"not in sanitizer builds",
			o.library ? o.library : LIBRARY);
		return CLI_USAGE;
	}
	find_command(argv[optind], command, sizeof(command));
	why = program_refuses_preload(command, buf, sizeof(buf));
	if (why) {
		cli_say("exec: %s %s%s", command, why,
			o.force ? "" : " (--force starts it all the same)");
		if (!o.force)
			return CLI_USAGE;
	}
	if (!set_preload(library))
		return CLI_USAGE;
	execvp(command, argv + optind);
	/* As the shell does. */
	r = errno == ENOENT ? 127 : 126;
	cli_say_errno("exec: %s", argv[optind]);
	return r;
}
