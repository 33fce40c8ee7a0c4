/* SPDX-License-Identifier: MIT */
/*
 * Feeds a fuzzed program without libFuzzer:
 *
 *	PROGRAM FILE...			each file (of a folder: those in it) once: what a fuzzer found, again
 *	PROGRAM -runs=N [-seed=S]	N random inputs
 *	PROGRAM ... -complete		fails if something that ought to be reached was not
 */
#include <dirent.h>

#include "fuzz.h"

#define LONGEST 768

unsigned long long fuzz_instructions;

void fuzz_finish(void)
{
}

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

static bool is_hidden(const char *name)
{
	return name[0] == '.';
}

static int run_path(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *d;
	char name[4096];
	int r = 0;

	if (!folder)
		return run_file(path);
	while (!r && (d = readdir(folder))) {
		snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		r = is_hidden(d->d_name) ? 0 : run_file(name);
	}
	closedir(folder);
	return r;
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
	bool complete = false;
	char text[4096];

	for (int i = 1; i < argc; i++) {
		if (sscanf(argv[i], "-runs=%lu", &runs) == 1 ||
		    sscanf(argv[i], "-seed=%lu", &seed) == 1)
			continue;
		if (!strcmp(argv[i], "-complete")) {
			complete = true;
			continue;
		}
		if (argv[i][0] == '-') {
			fprintf(stderr, "usage: %s [-runs=N] [-seed=S] [-complete] [FILE]...\n",
				argv[0]);
			return 2;
		}
		if (run_path(argv[i]))
			return 2;
	}
	run_random(runs, seed);
	fuzz_summary(text, sizeof(text));
	printf("# %s\n", text);
	fuzz_missed(text, sizeof(text));
	printf("# missed: %s\n", *text ? text : "nothing");
	puts("ok 1 - nothing broke");
	printf("%sok 2 - all was reached\n", complete && *text ? "not " : "");
	puts("1..2");
	return complete && *text;
}
