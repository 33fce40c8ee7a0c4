/* SPDX-License-Identifier: MIT */
/*
 * anykvm exec: another program with libanykvm-preload.so before its libraries. The library is beside this command, where the
 * installation puts libraries, or in preload/ of the build folder.
 */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
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
static const char *const places[] = {"", PRELOAD_FROM_BIN "/", "../preload/"};

static const char help[] =
	"Usage: anykvm exec [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"Starts COMMAND with KVM/arm64 behind /dev/kvm. The host's /dev/kvm is not used.\n"
	"\n"
	"      --trace            a line on stderr for each call of KVM: arguments,\n"
	"                         result, exit reason, time\n"
	"      --trace-file FILE  the same to FILE, and what the options below tell\n"
	"      --fail CALL:ERRNO  let a call fail, such as KVM_RUN:EINTR or mmap:ENOMEM:\n"
	"                         each one; with @3 the third, with @3+ all from the\n"
	"                         third on, with %0.5 each with that probability in\n"
	"                         percent. KVM_GET_* are all such calls. Repeatable\n"
	"      --seed N           for probabilities: the same N, the same failures\n"
	"      --strict           tell of misuse that KVM accepts in silence\n"
	"      --stats            at the end, a table of calls and ends of KVM_RUN\n"
	"      --library FILE     the library to preload, if not this command's; one for\n"
	"                         another machine goes into what qemu-user, as COMMAND,\n"
	"                         runs\n"
	"      --force            even where the library will not get into COMMAND\n"
	"  -h, --help             this text\n";

struct exec_options {
	const char *library, *trace_file, *seed;
	struct exec_failures fail;
	bool force, trace, strict, stats;
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

		snprintf(candidate, sizeof(candidate), "%s/%s" LIBRARY, folder, places[i]);
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

/* Of qemu-user: sets variables, separated by commas, for the program that it runs, and not for itself. */
static bool set_preload_of_emulated(const char *library)
{
	const char *old = getenv("QEMU_SET_ENV");
	char value[3 * PATH_MAX];

	if (snprintf(value, sizeof(value), "%s%sLD_PRELOAD=%s", old ? old : "",
		     old && *old ? "," : "", library) >= (int)sizeof(value)) {
		cli_say("exec: QEMU_SET_ENV is too long");
		return false;
	}
	return !setenv("QEMU_SET_ENV", value, 1);
}

/* Before what is there already. A space or colon in the name would end it. */
static bool set_preload(const char *library, bool emulated)
{
	const char *old = getenv("LD_PRELOAD");
	char value[3 * PATH_MAX];

	if (strpbrk(library, " :") || (emulated && strchr(library, ','))) {
		cli_say("exec: %s: LD_PRELOAD cannot name a file with a space, a colon%s", library,
			emulated ? " or, for an emulator, a comma" : "");
		return false;
	}
	if (emulated)
		return set_preload_of_emulated(library);
	if (snprintf(value, sizeof(value), "%s%s%s", library, old && *old ? ":" : "",
		     old && *old ? old : "") >= (int)sizeof(value)) {
		cli_say("exec: LD_PRELOAD is too long");
		return false;
	}
	return !setenv("LD_PRELOAD", value, 1);
}

static bool is_number(const char *s)
{
	char *end;

	strtoull(s, &end, 0);
	return *s && !*end;
}

/* What the preloaded library looks for: set or, so that nothing is left of an outer anykvm exec, removed. */
static bool set_environment(const struct exec_options *o)
{
	const struct {
		const char *name, *value;
	} variables[] = {
		{"ANYKVM_TRACE", o->trace ? "1" : NULL},
		{"ANYKVM_TRACE_FILE", o->trace_file},
		{"ANYKVM_FAIL", o->fail.nr ? o->fail.specs : NULL},
		{"ANYKVM_SEED", o->seed},
		{"ANYKVM_STRICT", o->strict ? "1" : NULL},
		{"ANYKVM_STATS", o->stats ? "1" : NULL},
	};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		if (variables[i].value ? setenv(variables[i].name, variables[i].value, 1)
				       : unsetenv(variables[i].name))
			return false;
	return true;
}

/*
 * Emptied now, since each process appends; made absolute, since a program may change its folder. A pipe is left to the program: to
 * open and close it here would be the end for its reader, and /dev/fd/N has no other name.
 */
static bool make_trace_file(struct exec_options *o, char absolute[PATH_MAX])
{
	struct stat st;
	int fd;

	if (!o->trace_file)
		return true;
	if (!stat(o->trace_file, &st) && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) &&
	    !access(o->trace_file, W_OK) &&
	    (*o->trace_file == '/' || realpath(o->trace_file, absolute))) {
		o->trace_file = *o->trace_file == '/' ? o->trace_file : absolute;
		return true;
	}
	fd = open(o->trace_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || !realpath(o->trace_file, absolute)) {
		cli_say_errno("exec: %s", o->trace_file);
		return false;
	}
	close(fd);
	o->trace_file = absolute;
	return true;
}

static int parse(int argc, char **argv, struct exec_options *o)
{
	enum {
		OPT_LIBRARY = 256,
		OPT_FORCE,
		OPT_TRACE,
		OPT_TRACE_FILE,
		OPT_FAIL,
		OPT_SEED,
		OPT_STRICT,
		OPT_STATS
	};
	static const struct option options[] = {
		{"trace", no_argument, NULL, OPT_TRACE},
		{"trace-file", required_argument, NULL, OPT_TRACE_FILE},
		{"fail", required_argument, NULL, OPT_FAIL},
		{"seed", required_argument, NULL, OPT_SEED},
		{"strict", no_argument, NULL, OPT_STRICT},
		{"stats", no_argument, NULL, OPT_STATS},
		{"library", required_argument, NULL, OPT_LIBRARY},
		{"force", no_argument, NULL, OPT_FORCE},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:h", options, NULL)) >= 0) {
		switch (c) {
		case OPT_LIBRARY:
			o->library = optarg;
			break;
		case OPT_FORCE:
			o->force = true;
			break;
		case OPT_TRACE_FILE:
			o->trace_file = optarg;
			o->trace = true;
			break;
		case OPT_TRACE:
			o->trace = true;
			break;
		case OPT_STRICT:
			o->strict = true;
			break;
		case OPT_STATS:
			o->stats = true;
			break;
		case OPT_FAIL:
			if (!exec_add_failure(&o->fail, optarg))
				return CLI_USAGE;
			break;
		case OPT_SEED:
			o->seed = optarg;
			if (is_number(optarg))
				break;
			cli_say("exec: --seed %s: that is no number", optarg);
			return CLI_USAGE;
		case 'h':
			fputs(help, stdout);
			exit(CLI_OK);
		default:
			cli_say(c == ':' ? "option %s needs an argument; see anykvm exec --help"
					 : "unknown option %s; see anykvm exec --help",
				argv[optind - 1]);
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
	char library[PATH_MAX], trace_file[PATH_MAX], command[2 * PATH_MAX], buf[768];
	const char *why;
	int r = parse(argc, argv, &o);
	bool emulated;

	if (r)
		return r;
	if (!find_library(&o, library, sizeof(library))) {
		cli_say("exec: %s is not there; it is built and installed with this command, but "
			"not in sanitizer builds",
			o.library ? o.library : LIBRARY);
		return CLI_USAGE;
	}
	find_command(argv[optind], command, sizeof(command));
	emulated = program_is_foreign(library);
	why = emulated ? NULL : program_refuses_preload(command, buf, sizeof(buf));
	if (why) {
		cli_say("exec: %s %s%s", command, why,
			o.force ? "" : " (--force starts it all the same)");
		if (!o.force)
			return CLI_USAGE;
	}
	if (!make_trace_file(&o, trace_file) || !set_environment(&o) ||
	    !set_preload(library, emulated))
		return CLI_USAGE;
	/* A file that is neither is the shell's, as execvp has it; but a shell makes nothing of a program. */
	if (program_is_elf(command))
		execv(command, argv + optind);
	else
		execvp(command, argv + optind);
	/* As the shell does. */
	r = errno == ENOENT ? 127 : 126;
	cli_say_errno("exec: %s", argv[optind]);
	return r;
}
