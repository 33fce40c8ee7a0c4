/* SPDX-License-Identifier: MIT */
/*
 * What a fuzzed program is: one function of bytes. Linked with libFuzzer it is fed by coverage (tools/fuzz); linked with driver.c by
 * files or by random bytes, in any build. A run depends on its bytes alone, but for when a running guest is interrupted.
 */
#ifndef ANYKVM_TESTS_FUZZ_H
#define ANYKVM_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* What has been done in this process, for people; a line without its end. */
void fuzz_summary(char *line, size_t size);

/* The bytes that are left. Past their end all is zero. */
struct bytes {
	const uint8_t *next, *end;
};

static inline uint64_t take(struct bytes *b, unsigned n)
{
	uint64_t value = 0;
	size_t left = b->end - b->next, have = left < n ? left : n;

	memcpy(&value, b->next, have);
	b->next += have;
	return value;
}

static inline unsigned below(struct bytes *b, unsigned n)
{
	return take(b, n > 256 ? 2 : 1) % n;
}

static inline bool any_left(const struct bytes *b)
{
	return b->next < b->end;
}

#define FUZZ_EXPECT(condition)                                                                  \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#endif
