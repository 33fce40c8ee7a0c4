/* SPDX-License-Identifier: MIT */
/*
 * anykvm explore: another program, since its copy of the library is compiled for the explorer. It is beside this one when both are
 * installed, and in explore/kvm/ of the build folder when they are not.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char *const places[] = {"anykvm-explore", "../libexec/anykvm-explore",
				     "../explore/kvm/anykvm-explore"};

int explore_main(int argc, char **argv)
{
	char folder[PATH_MAX], path[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	char **arguments;

	if (n < 0) {
		cli_say_errno(
			"explore: /proc/self/exe cannot be read, so its program cannot be found");
		return CLI_USAGE;
	}
	folder[n] = 0;
	*strrchr(folder, '/') = 0;
	arguments = calloc(argc + 1, sizeof(*arguments));
	if (!arguments) {
		cli_say("explore: out of memory");
		return CLI_USAGE;
	}
	memcpy(arguments, argv, argc * sizeof(*arguments));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, places[i]);
		arguments[0] = path;
		execv(path, arguments);
		if (errno != ENOENT && errno != ENOTDIR)
			break;
	}
	if (errno == ENOENT || errno == ENOTDIR)
		cli_say("explore: the program anykvm-explore is not there (looked in %s and beside "
			"it); it is built "
			"with meson configure -Dexplore=enabled, on x86-64 and arm64, without "
			"sanitizers",
			folder);
	else
		cli_say_errno("explore: %s cannot be started", path);
	free(arguments);
	return CLI_USAGE;
}
