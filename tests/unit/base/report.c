/* SPDX-License-Identifier: MIT */
/* One report, as text and as JSON. */
#include <string.h>

#include "../../test.h"
#include "base/report.h"

struct kept {
	struct report report;
	char text[4096];
	size_t n;
};

static void keep(struct report *r, const char *text, size_t n)
{
	struct kept *k = container_of(r, struct kept, report);

	ASSERT(k->n + n < sizeof(k->text));
	memcpy(k->text + k->n, text, n);
	k->n += n;
}

static const struct report_column columns[] = {
	{"id", REPORT_DEC, 4}, {"where", REPORT_RANGE, 0}, {"size", REPORT_SIZE, 5},
	{"at", REPORT_HEX, 0}, {"words", REPORT_TEXT, 8},
};

static void write_report(struct kept *k, bool json)
{
	struct report *r = &k->report;
	const struct report_cell cells[] = {
		{.value = 7},	    {.value = 0x1000, .end = 0x3000},
		{.value = 3 << 20}, {.value = 0xabc},
		{.text = "a b"},
	};

	memset(k, 0, sizeof(*k));
	r->write = keep;
	r->json = json;
	report_begin(r);
	report_section_begin(r, "one", "First");
	report_value(r, "count", 18446744073709551615ull);
	report_value_text(r, "word", "yes");
	report_value_as(r, "span", REPORT_RANGE, 0, 16);
	report_table_begin(r, "rows");
	for (int i = 0; i < 2; i++)
		report_table_row(r, columns, ARRAY_SIZE(columns), cells);
	report_table_end(r);
	report_value(r, "after", 0);
	report_section_begin(r, "inner", "Inside");
	report_section_end(r);
	report_section_end(r);
	report_section_begin(r, "two", "Second");
	report_table_begin(r, "empty");
	report_table_end(r);
	report_section_end(r);
	report_end(r);
}

static void expect_text(const char *got, const char *want)
{
	if (strcmp(got, want))
		TEST_FAIL("got\n%s\nwanted\n%s", got, want);
}

TEST(a_report_is_text_in_columns)
{
	static struct kept k;

	write_report(&k, false);
	expect_text(
		k.text,
		"First\n"
		"  count                      18446744073709551615\n"
		"  word                       yes\n"
		"  span                       0x0000000000000000-0x0000000000000010\n"
		"    id  where                                   size  at                  words\n"
		"     7  0x0000000000001000-0x0000000000003000     3M  0x0000000000000abc  a b\n"
		"     7  0x0000000000001000-0x0000000000003000     3M  0x0000000000000abc  a b\n"
		"  after                                   0\n"
		"\n"
		"Inside\n"
		"\n"
		"Second\n"
		"  none\n");
}

TEST(a_report_is_json)
{
	static struct kept k;

	write_report(&k, true);
	expect_text(k.text,
		    "{\"one\": {\"count\": 18446744073709551615,\n"
		    "\"word\": \"yes\",\n"
		    "\"span\": \"0x0\", \"span_end\": \"0x10\",\n"
		    "\"rows\": [{\"id\": 7, \"where\": \"0x1000\", \"where_end\": \"0x3000\", "
		    "\"size\": 3145728, \"at\": \"0xabc\", \"words\": \"a b\"},\n"
		    "{\"id\": 7, \"where\": \"0x1000\", \"where_end\": \"0x3000\", \"size\": "
		    "3145728, \"at\": \"0xabc\", \"words\": \"a b\"}],\n"
		    "\"after\": 0,\n"
		    "\"inner\": {}},\n"
		    "\"two\": {\"empty\": []}}\n");
}

TEST(a_long_line_goes_out_in_pieces_and_whole)
{
	static struct kept k;
	char word[200];

	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	memset(&k, 0, sizeof(k));
	k.report.write = keep;
	for (int i = 0; i < 3; i++)
		report_value_text(&k.report, word, word);
	EXPECT_EQ(k.n, 3 * (2 + 199 + 1 + 199 + 1));
	EXPECT_EQ(strspn(k.text + 2, "x"), 199);
}
