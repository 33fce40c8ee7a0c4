/* SPDX-License-Identifier: MIT */
/* Tests of what must abort: the body runs in a child, whose end and last words are looked at. Include after test.h. */
#ifndef ANYKVM_TESTS_MISUSE_H
#define ANYKVM_TESTS_MISUSE_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct child_result {
	int status;
	char output[4096]; /* what it wrote to stderr */
};

/* Runs fn in a forked child. A child that returns from fn exits 0. */
static inline struct child_result child_run(void (*fn)(void))
{
	struct child_result r = {0};
	size_t fill = 0;
	ssize_t n;
	int p[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(p))
		abort();
	pid = fork();
	if (pid == 0) {
		struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(p[1], 2);
		close(p[0]);
		alarm(30);
		fn();
		_exit(0);
	}
	close(p[1]);
	while ((n = read(p[0], r.output + fill, sizeof(r.output) - 1 - fill)) > 0 ||
	       (n < 0 && errno == EINTR))
		fill += n > 0 ? n : 0;
	close(p[0]);
	while (waitpid(pid, &r.status, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* fn must abort, having said each of the words. */
#define EXPECT_ABORT(fn, ...)                                                               \
	do {                                                                                \
		struct child_result r_ = child_run(fn);                                     \
		const char *words_[] = {__VA_ARGS__};                                       \
		if (!WIFSIGNALED(r_.status) || WTERMSIG(r_.status) != SIGABRT)              \
			TEST_FAIL("%s: expected an abort, status 0x%x: %s", #fn, r_.status, \
				  r_.output);                                               \
		for (size_t i_ = 0; i_ < sizeof(words_) / sizeof(words_[0]); i_++)          \
			if (!strstr(r_.output, words_[i_]))                                 \
				TEST_FAIL("%s: expected \"%s\" in: %s", #fn, words_[i_],    \
					  r_.output);                                       \
	} while (0)

/* fn must come back. */
#define EXPECT_NO_ABORT(fn)                                                          \
	do {                                                                         \
		struct child_result r_ = child_run(fn);                              \
		if (r_.status)                                                       \
			TEST_FAIL("%s: status 0x%x: %s", #fn, r_.status, r_.output); \
	} while (0)

#endif
