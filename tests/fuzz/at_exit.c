/* SPDX-License-Identifier: MIT */
/* A fuzzed program that libFuzzer feeds says at its end what it has done. */
#include <unistd.h>

#include "fuzz.h"

unsigned long long fuzz_instructions;

static void print_summary(void)
{
	char text[4096];

	fuzz_summary(text, sizeof(text));
	fprintf(stderr, "# %s\n", text);
	fuzz_missed(text, sizeof(text));
	fprintf(stderr, "# missed: %s\n", *text ? text : "nothing");
}

/* Not by exit(): libFuzzer takes that in a fuzzed function for a fault. */
void fuzz_finish(void)
{
	print_summary();
	_exit(0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	for (int i = 1; i < *argc; i++)
		sscanf((*argv)[i], "--instructions=%llu", &fuzz_instructions);
	atexit(print_summary);
	return 0;
}
