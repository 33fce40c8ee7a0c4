/* SPDX-License-Identifier: MIT */
/* How many descriptors this process has: tests that ask whether one was left. */
#ifndef ANYKVM_TESTS_FDS_H
#define ANYKVM_TESTS_FDS_H

#include <dirent.h>

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif
