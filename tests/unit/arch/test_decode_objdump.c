/* SPDX-License-Identifier: MIT */
/*
 * The decode table against objdump: for words of every table line and for random words both must agree on whether the word is
 * an instruction, and objdump's mnemonic must be among the line's.
 *
 *   test_decode_objdump SETTLED [RANDOM-WORDS [WORDS-A-LINE]]
 *
 * SETTLED lists what objdump knows of features that are not reported, and differences that the manual settles. Work is split
 * over two processes. Prints the counts and the first disagreements.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/decode.h"

#define BATCH	      (1u << 20)
#define MAX_SETTLED   512
#define NR_WORKERS    2
#define MAX_COMPLAINT 200

/*
 * kind u: objdump decodes it, undefined here. d: defined here, undefined for objdump (mnemonic is the line's name). m: both,
 * other mnemonic. Mnemonic and operands are glob patterns; a mnemonic @MASK=VALUE looks at the word instead.
 */
struct settled {
	char kind;
	char *mnemonic, *operands;
	u32 mask, value;
	u64 hits;
};

static struct settled settled[MAX_SETTLED];
static unsigned nr_settled;
static u64 nr_words, nr_agreed_defined, nr_agreed_undefined, nr_settled_words, nr_wrong;
static u64 random_state;

static u32 random_u32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (u32)(random_state * 0x2545f4914f6cdd1dull >> 32);
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t");
	end = s + strlen(s);
	while (end > s && strchr(" \t\n", end[-1]))
		*--end = 0;
	return s;
}

static void read_settled(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[512];

	if (!f) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof(line), f)) {
		char *p = trim(line), *col[4];
		unsigned n = 0;

		if (!*p || *p == '#')
			continue;
		for (char *tok = strtok(p, "|"); tok && n < 4; tok = strtok(NULL, "|"))
			col[n++] = trim(tok);
		if (n != 4 || !strchr("udm", *col[0]) || nr_settled == MAX_SETTLED) {
			fprintf(stderr, "%s: KIND | MNEMONIC | OPERANDS | REASON expected\n", path);
			exit(1);
		}
		settled[nr_settled] = (struct settled){*col[0], strdup(col[1]), strdup(col[2])};
		if (*col[1] == '@') {
			settled[nr_settled].mask = (u32)strtoul(col[1] + 1, &p, 16);
			settled[nr_settled].value = (u32)strtoul(p + 1, NULL, 16);
		}
		nr_settled++;
	}
	fclose(f);
}

static bool is_settled(char kind, u32 word, const char *mnemonic, const char *operands)
{
	for (unsigned i = 0; i < nr_settled; i++) {
		struct settled *s = &settled[i];

		if (s->kind != kind)
			continue;
		if (s->mask ? (word & s->mask) == s->value
			    : !fnmatch(s->mnemonic, mnemonic, 0) &&
				      !fnmatch(s->operands, operands, 0)) {
			s->hits++;
			return true;
		}
	}
	return false;
}

static bool in_list(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, name, n) && (p[n] == ',' || !p[n]))
			return true;
	}
	return false;
}

/* One example for each pair of line and mnemonic. */
static void complain(enum a64_op op, u32 word, const char *mnemonic, const char *operands)
{
	static struct {
		enum a64_op op;
		char mnemonic[24];
	} seen[MAX_COMPLAINT];
	static unsigned nr_seen;

	for (unsigned i = 0; i < nr_seen; i++) {
		if (seen[i].op == op &&
		    !strncmp(seen[i].mnemonic, mnemonic, sizeof(seen[i].mnemonic) - 1))
			return;
	}
	if (nr_seen == MAX_COMPLAINT)
		return;
	seen[nr_seen].op = op;
	strncpy(seen[nr_seen++].mnemonic, mnemonic, sizeof(seen[0].mnemonic) - 1);
	printf("# %08x: here %s, objdump %s %s\n", word, op ? a64_info[op].name : "undefined",
	       mnemonic, operands);
}

static void judge(u32 word, const char *mnemonic, const char *operands)
{
	enum a64_op op = a64_decode(word);
	bool undefined = !strcmp(mnemonic, ".inst");
	char kind;

	nr_words++;
	if (!op && undefined) {
		nr_agreed_undefined++;
		return;
	}
	if (op && !undefined && in_list(a64_info[op].mnemonics, mnemonic)) {
		nr_agreed_defined++;
		return;
	}
	kind = !op ? 'u' : undefined ? 'd' : 'm';
	/* For kind d the line's name stands in for the mnemonic. */
	if (is_settled(kind, word, undefined ? a64_info[op].name : mnemonic, operands)) {
		nr_settled_words++;
		return;
	}
	nr_wrong++;
	complain(op, word, mnemonic, operands);
}

static void check_batch(const u32 *words, unsigned n)
{
	char path[] = "/tmp/decodeXXXXXX", command[128], line[512];
	int fd = mkstemp(path);
	unsigned i = 0;
	FILE *f;

	if (fd < 0 || write(fd, words, n * 4) != (ssize_t)(n * 4)) {
		perror(path);
		exit(1);
	}
	close(fd);
	snprintf(command, sizeof(command),
		 "aarch64-linux-gnu-objdump -D -z -b binary -m aarch64 %s", path);
	f = popen(command, "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':'), *mnemonic, *operands, *tab;
		unsigned long at = strtoul(line, NULL, 16);
		u32 word;

		/* `   1c: d503201f  nop` with tabs between the columns. */
		if (line[0] != ' ' || !colon || colon[1] != '\t')
			continue;
		word = (u32)strtoul(colon + 1, NULL, 16);
		tab = strchr(colon + 2, '\t');
		if (at != i * 4 || word != words[i] || !tab) {
			printf("# objdump line not understood: %s", line);
			exit(1);
		}
		i++;
		mnemonic = tab + 1;
		operands = strchr(mnemonic, '\t');
		if (operands)
			*operands++ = 0;
		judge(word, trim(mnemonic), operands ? trim(operands) : (char *)"");
	}
	if (!f || pclose(f) || i != n) {
		printf("# objdump gave %u of %u words\n", i, n);
		exit(1);
	}
	unlink(path);
}

/* A word of line op: its fixed bits, random fields, until the decoder agrees. */
static bool word_of_line(enum a64_op op, u32 *word)
{
	for (unsigned tries = 0; tries < 10000; tries++) {
		*word = (random_u32() & ~a64_info[op].mask) | a64_info[op].value;
		if (a64_decode(*word) == op)
			return true;
	}
	return false;
}

static int worker(unsigned id, u64 nr_random, unsigned per_line)
{
	u32 *words = malloc(BATCH * 4);
	unsigned n = 0, missing = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	random_state = 0x9e3779b97f4a7c15ull * (id + 1);
	for (unsigned op = 1; op < NR_A64_OPS; op++) {
		for (unsigned k = 0; k < per_line; k++) {
			if (!word_of_line((enum a64_op)op, &words[n])) {
				printf("# %s: no word decodes to it\n", a64_info[op].name);
				missing++;
				break;
			}
			if (++n == BATCH) {
				check_batch(words, n);
				n = 0;
			}
		}
	}
	if (n)
		check_batch(words, n);
	while (nr_random) {
		n = (unsigned)MIN(nr_random, BATCH);
		for (unsigned i = 0; i < n; i++)
			words[i] = random_u32();
		check_batch(words, n);
		nr_random -= n;
	}
	printf("# worker %u: %llu words: %llu agreed defined, %llu agreed undefined, %llu settled, "
	       "%llu wrong\n",
	       id, (unsigned long long)nr_words, (unsigned long long)nr_agreed_defined,
	       (unsigned long long)nr_agreed_undefined, (unsigned long long)nr_settled_words,
	       (unsigned long long)nr_wrong);
	free(words);
	return nr_wrong || missing;
}

int main(int argc, char **argv)
{
	u64 nr_random = argc > 2 ? strtoull(argv[2], NULL, 0) : 10000000;
	unsigned per_line = argc > 3 ? (unsigned)atoi(argv[3]) : 2000;
	bool failed = false;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: %s SETTLED [RANDOM-WORDS [WORDS-A-LINE]]\n", argv[0]);
		return 2;
	}
	if (system("aarch64-linux-gnu-objdump --version >/dev/null 2>&1")) {
		printf("1..0 # SKIP no aarch64-linux-gnu-objdump\n");
		return 77;
	}
	read_settled(argv[1]);
	fflush(stdout);
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		if (!fork()) {
			status = worker(i, nr_random / NR_WORKERS, per_line / NR_WORKERS);
			fflush(stdout);
			_exit(status);
		}
	}
	for (unsigned i = 0; i < NR_WORKERS; i++) {
		wait(&status);
		failed |= status != 0;
	}
	printf("%s - decode table agrees with objdump: %u lines, %llu random words\n",
	       failed ? "not ok" : "ok", NR_A64_OPS - 1, (unsigned long long)nr_random);
	return failed;
}
