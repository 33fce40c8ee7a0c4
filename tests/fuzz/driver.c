/* SPDX-License-Identifier: MIT */
/*
 * Feeds a fuzzed program without libFuzzer:
 *
 *	PROGRAM FILE...			each file once: what a fuzzer found, again
 *	PROGRAM -runs=N [-seed=S]	N random inputs
 */
#include "fuzz.h"

#define LONGEST 768

static int run_file(const char *name)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(name, "rb");
	size_t n;

	if (!f) {
		perror(name);
		return 2;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	printf("# %s: %zu bytes\n", name, n);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, n);
	return 0;
}

static uint64_t next_random(uint64_t *seed)
{
	/* xorshift64* */
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

static void run_random(unsigned long runs, uint64_t seed)
{
	uint8_t data[LONGEST];

	for (unsigned long i = 0; i < runs; i++) {
		uint64_t state = (seed + i + 1) * 0x9e3779b97f4a7c15ull;
		size_t size = next_random(&state) % LONGEST;

		for (size_t k = 0; k < size; k++)
			data[k] = next_random(&state) >> 56;
		LLVMFuzzerTestOneInput(data, size);
	}
}

int main(int argc, char **argv)
{
	unsigned long runs = 0, seed = 1;
	char line[256];

	for (int i = 1; i < argc; i++) {
		if (sscanf(argv[i], "-runs=%lu", &runs) == 1 ||
		    sscanf(argv[i], "-seed=%lu", &seed) == 1)
			continue;
		if (argv[i][0] == '-') {
			fprintf(stderr, "usage: %s [-runs=N] [-seed=S] [FILE]...\n", argv[0]);
			return 2;
		}
		if (run_file(argv[i]))
			return 2;
	}
	run_random(runs, seed);
	fuzz_summary(line, sizeof(line));
	printf("# %s\n", line);
	puts("ok 1 - nothing broke");
	puts("1..1");
	return 0;
}
