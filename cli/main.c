/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <anykvm.h>

#include "cli.h"
#include "exec.h"
#include "inspect.h"

static const char help[] =
	"Usage: anykvm COMMAND [OPTION]...\n"
	"KVM/arm64 in user space: arm64 virtual machines in an ordinary process.\n"
	"\n"
	"  run      boot a Linux kernel (anykvm run --help)\n"
	"  exec     run another program with KVM/arm64 behind /dev/kvm\n"
	"  inspect  look into the memory of a running machine (anykvm inspect --help)\n"
	"  migrate  move a running guest to another anykvm run, or into a file\n"
	"  explore  run the library's own code in every interleaving of its threads\n"
	"  info     show capabilities, limits and the CPU that guests see\n"
	"\n"
	"  -h, --help     this text\n"
	"  -V, --version  version of the library\n";

/* One write a line: threads do not mix, and the carriage return is for a raw terminal. */
static void say(const char *prefix, const char *format, va_list arguments, const char *why)
{
	char line[1024];
	int length = snprintf(line, sizeof(line), "%s", prefix);

	length += vsnprintf(line + length, sizeof(line) - length, format, arguments);
	if (why && length < (int)sizeof(line))
		length += snprintf(line + length, sizeof(line) - length, ": %s", why);
	if (length > (int)sizeof(line) - 3)
		length = sizeof(line) - 3;
	if (isatty(STDERR_FILENO))
		line[length++] = '\r';
	line[length++] = '\n';
	if (write(STDERR_FILENO, line, length) < 0)
		return; /* nowhere left to complain */
}

void cli_say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("anykvm: ", format, arguments, NULL);
	va_end(arguments);
}

void cli_row(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("", format, arguments, NULL);
	va_end(arguments);
}

void cli_say_errno(const char *format, ...)
{
	const char *why = strerror(errno);
	va_list arguments;

	va_start(arguments, format);
	say("anykvm: ", format, arguments, why);
	va_end(arguments);
}

/* A closed standard stream must not become the number of a file or a machine. */
static void fill_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
			return;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;

	fill_standard_streams();
	if (!command) {
		fputs(help, stderr);
		return CLI_USAGE;
	}
	if (!strcmp(command, "run"))
		return run_main(argc - 1, argv + 1);
	if (!strcmp(command, "exec"))
		return exec_main(argc - 1, argv + 1);
	if (!strcmp(command, "inspect"))
		return inspect_main(argc - 1, argv + 1);
	if (!strcmp(command, "migrate"))
		return migrate_main(argc - 1, argv + 1);
	if (!strcmp(command, "explore"))
		return explore_main(argc - 1, argv + 1);
	if (!strcmp(command, "info"))
		return info_main(argc - 1, argv + 1);
	if (!strcmp(command, "-h") || !strcmp(command, "--help") || !strcmp(command, "help")) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (!strcmp(command, "-V") || !strcmp(command, "--version")) {
		printf("anykvm %s\n", anykvm_version());
		return CLI_OK;
	}
	cli_say("%s: no such command; there are run, exec, inspect, migrate, explore and info, see "
		"anykvm --help",
		command);
	return CLI_USAGE;
}
