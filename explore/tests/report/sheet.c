/* SPDX-License-Identifier: MIT */
/* Wrapping: nothing is lost, nothing is wider than it may be. */
#include "report/sheet.h"

#include "test.h"

static const char *wrap_one(const char **text, unsigned width)
{
	static char buf[201];

	return sheet_wrap(text, width, buf) ? buf : NULL;
}

TEST(lines_break_at_spaces)
{
	const char *text = "struct gmem_slot #1 is used";

	EXPECT(!strcmp(wrap_one(&text, 12), "struct"));
	EXPECT(!strcmp(wrap_one(&text, 12), "gmem_slot #1"));
	EXPECT(!strcmp(wrap_one(&text, 12), "is used"));
	EXPECT(!wrap_one(&text, 12));
	text = "struct vm #1";
	EXPECT(!strcmp(wrap_one(&text, 10), "struct"));
	EXPECT(!strcmp(wrap_one(&text, 10), "vm #1"));
}

TEST(long_words_break_behind_punctuation)
{
	const char *text = "src/mem/gmem.c:212";

	EXPECT(!strcmp(wrap_one(&text, 10), "src/mem/"));
	EXPECT(!strcmp(wrap_one(&text, 10), "gmem.c:212"));
	text = "abcdefghijkl";
	EXPECT(!strcmp(wrap_one(&text, 5), "abcde"));
}

TEST(only_printable_ascii_comes_out)
{
	const char *text = "a\tb\033[1m\xc3\xa9";

	EXPECT(!strcmp(wrap_one(&text, 40), "a?b?[1m??"));
}

TEST(every_width_keeps_every_word)
{
	static const char sentence[] = "thread 2 waits for slots_lock of struct vm #1, taken at "
				       "kvm_set_memory (src/vm/memslot.c:418) by "
				       "thread 1, which waits for the readers of srcu";

	for (unsigned width = 1; width <= 200; width++) {
		const char *text = sentence, *line;
		const char *want = sentence;

		/* All but the spaces comes out, in order. */
		while ((line = wrap_one(&text, width))) {
			EXPECT(strlen(line) <= width);
			for (; *line; line++) {
				want += strspn(want, " ");
				if (*line != ' ')
					EXPECT_EQ(*want++, *line);
			}
		}
		EXPECT(!*want);
	}
}

TEST(a_margin_that_does_not_fit_goes_below)
{
	char *buf = NULL;
	size_t size;
	struct sheet s = {.out = open_memstream(&buf, &size), .width = 20, .margin = 6};

	sheet_cell(&s, 0, 12, INK_BAD, "one two", "a.c:1");
	sheet_cell(&s, 2, 12, INK_PLAIN, "one", "too/long.c:1");
	fclose(s.out);
	EXPECT(!strcmp(buf, "one two       a.c:1\n  one\n  too/long.c:1\n"));
	free(buf);
}
