/* SPDX-License-Identifier: MIT */
/*
 * The whole test framework. A test program includes this once, writes
 *
 *     TEST(a_sentence_that_says_what_holds)
 *     {
 *             EXPECT_EQ(1 + 1, 2);
 *     }
 *
 * and gets a main() that runs all tests, or those whose names contain one of its arguments. A skipped test prints its reason
 * and never counts as passed. Exit status: 0 all passed or skipped, 1 a failure, 77 everything was skipped.
 */
#ifndef ANYKVM_TESTS_TEST_H
#define ANYKVM_TESTS_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
	const char *name;
	void (*fn)(void);
	struct test_case *next;
};

static struct test_case *test_list, **test_tail = &test_list;
static unsigned long test_soak_percent; /* 0: an ordinary run */
static bool test_failed;
static const char *test_skip_reason;
static jmp_buf test_abort;

#define TEST(id)                                                     \
	static void id(void);                                        \
	__attribute__((constructor)) static void id##_register(void) \
	{                                                            \
		static struct test_case c = {#id, id, NULL};         \
		*test_tail = &c;                                     \
		test_tail = &c.next;                                 \
	}                                                            \
	static void id(void)

#define TEST_FAIL(...)                                              \
	do {                                                        \
		test_failed = true;                                 \
		printf("# %s:%d: ", __FILE__, __LINE__);            \
		printf(__VA_ARGS__);                                \
		printf(" (errno %d %s)\n", errno, strerror(errno)); \
	} while (0)

#define EXPECT(c)                                     \
	do {                                          \
		if (!(c))                             \
			TEST_FAIL("expected %s", #c); \
	} while (0)

#define EXPECT_CMP(a, op, b)                                                                    \
	do {                                                                                    \
		long long a_ = (long long)(a), b_ = (long long)(b);                             \
		if (!(a_ op b_))                                                                \
			TEST_FAIL("expected %s %s %s: 0x%llx (%lld) against 0x%llx (%lld)", #a, \
				  #op, #b, a_, a_, b_, b_);                                     \
	} while (0)

#define EXPECT_EQ(a, b) EXPECT_CMP(a, ==, b)
#define EXPECT_NE(a, b) EXPECT_CMP(a, !=, b)

/* The ASSERT forms end the test (only from the thread and frame tree that runs it). */
#define ASSERT(c)                                     \
	do {                                          \
		if (!(c)) {                           \
			TEST_FAIL("required %s", #c); \
			longjmp(test_abort, 1);       \
		}                                     \
	} while (0)
#define ASSERT_EQ(a, b)                         \
	do {                                    \
		EXPECT_EQ(a, b);                \
		if (test_failed)                \
			longjmp(test_abort, 1); \
	} while (0)
#define SKIP(reason)                         \
	do {                                 \
		test_skip_reason = (reason); \
		longjmp(test_abort, 1);      \
	} while (0)

/*
 * How often a bounded stress repeats: `quick` in an ordinary run, `soak` in tools/soak (ANYKVM_SOAK=100), the named share of it
 * with ANYKVM_SOAK=1 (CI).
 */
__attribute__((unused)) static unsigned long test_rounds(unsigned long quick, unsigned long soak)
{
	unsigned long n = test_soak_percent ? soak / 100 * test_soak_percent : quick;

	return n ? n : 1;
}

static bool test_selected(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return true;
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return false;
}

/* A frame of its own: no local of main lives across the setjmp. */
__attribute__((noinline)) static void test_run(void (*fn)(void))
{
	if (!setjmp(test_abort))
		fn();
}

int main(int argc, char **argv)
{
	/* Static: they outlive the longjmp. */
	static int passed, failed, skipped;
	static struct test_case *c;

	if (getenv("ANYKVM_SOAK"))
		test_soak_percent = strtoul(getenv("ANYKVM_SOAK"), NULL, 10);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (c = test_list; c; c = c->next) {
		if (!test_selected(c->name, argc, argv))
			continue;
		test_failed = false;
		test_skip_reason = NULL;
		errno = 0;
		test_run(c->fn);
		if (test_failed) {
			failed++;
			printf("not ok - %s\n", c->name);
		} else if (test_skip_reason) {
			skipped++;
			printf("skip - %s: %s\n", c->name, test_skip_reason);
		} else {
			passed++;
			printf("ok - %s\n", c->name);
		}
	}
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed ? 1 : !passed && skipped ? 77 : 0;
}

#endif
