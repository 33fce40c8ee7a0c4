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
int LLVMFuzzerInitialize(int *argc, char ***argv);
/* --instructions=N: of guests, after which it is enough; 0: there is no such bound. */
extern unsigned long long fuzz_instructions;
/* What has been done in this process, for people: lines without the end of the last. */
void fuzz_summary(char *text, size_t size);
/* Called between inputs of a program that libFuzzer feeds: what it was told to do is done. Does not return. */
void fuzz_finish(void);
/* What ought to have been reached and was not, names with spaces between; empty: nothing. */
void fuzz_missed(char *text, size_t size);

static inline uint64_t next_random(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* The bytes that are left. Past their end come those of a generator, or zeros if its state is 0. */
struct bytes {
	const uint8_t *next, *end;
	uint64_t state;
};

static inline uint64_t take(struct bytes *b, unsigned n)
{
	uint64_t value = 0;
	size_t left = b->end - b->next, have = left < n ? left : n;

	memcpy(&value, b->next, have);
	b->next += have;
	if (have < n && b->state)
		value = next_random(&b->state) >> (64 - 8 * n);
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

/* The next n bytes as bytes of their own, with a generator that they seed: what follows them means the same whatever they are. */
static inline struct bytes take_record(struct bytes *b, size_t n)
{
	size_t left = b->end - b->next;
	struct bytes record = {b->next, b->next + (left < n ? left : n), 0x9e3779b97f4a7c15ull};

	for (const uint8_t *p = record.next; p < record.end; p++)
		record.state = (record.state ^ *p) * 0x100000001b3ull;
	record.state |= 1;
	b->next = record.end;
	return record;
}

#define FUZZ_EXPECT(condition)                                                                  \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#endif
