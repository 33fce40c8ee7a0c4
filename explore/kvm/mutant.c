/* SPDX-License-Identifier: MIT */
/*
 * The checkout is known by the path that the build was given (ANYKVM_SOURCE_ROOT), the build folder by where this program lies in it:
 * a program that was installed, or copied elsewhere, has neither and says so.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "explore/kvm/mutant.h"

#define TOOL ANYKVM_SOURCE_ROOT "/tools/explore-mutant"
#define DEEP 3 /* build/explore/kvm/anykvm-explore */

static bool find_build(char *path, size_t size)
{
	char log[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n < 0)
		return false;
	path[n] = 0;
	for (int i = 0; i < DEEP; i++) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path)
			return false;
		*slash = 0;
	}
	snprintf(log, sizeof(log), "%s/build.ninja", path);
	return !access(log, R_OK);
}

/* Runs the tool; what it prints and complains of (together) is in text. Its exit status, -1: it could not be run. */
static int run_tool(const char *build, const char *name, char *text, size_t size)
{
	int fd[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fd))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(fd[1], STDOUT_FILENO);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		execl(TOOL, TOOL, "--build", build, "--", name, NULL);
		dprintf(STDOUT_FILENO, "%s cannot be started: %s\n", TOOL, strerror(errno));
		_exit(2);
	}
	close(fd[1]);
	while (pid > 0 && used + 1 < size && (n = read(fd[0], text + used, size - 1 - used)) > 0)
		used += n;
	text[used] = 0;
	close(fd[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool kvm_mutant(const char *name, char *buf, size_t size)
{
	char build[PATH_MAX], text[8192], *line;
	int status;

	if (access(TOOL, X_OK)) {
		snprintf(buf, size,
			 "needs the sources that this program was built from, and %s is not there",
			 TOOL);
		return false;
	}
	if (!find_build(build, sizeof(build))) {
		snprintf(buf, size,
			 "needs the build folder that this program comes from; run the one in "
			 "build/explore/kvm/");
		return false;
	}
	status = run_tool(build, name, text, sizeof(text));
	if (status < 0) {
		snprintf(buf, size, "%s cannot be run: %s", TOOL, strerror(errno));
		return false;
	}
	while (*text && text[strlen(text) - 1] == '\n')
		text[strlen(text) - 1] = 0;
	line = strrchr(text, '\n');
	snprintf(buf, size, "%s", !status && line ? line + 1 : text);
	return !status;
}
