/* SPDX-License-Identifier: MIT */
/* The JSON writer: escaping, and brackets and commas where they belong. */
#include "report/json.h"

#include "test.h"

static char *written(const char *value)
{
	static char *buf;
	size_t size;
	struct json j = {.out = open_memstream(&buf, &size)};

	json_string(&j, NULL, value);
	fclose(j.out);
	return buf;
}

TEST(strings_are_escaped)
{
	EXPECT(!strcmp(written("a\"b\\c"), "\"a\\\"b\\\\c\""));
	EXPECT(!strcmp(written("1\n2\t3\001\177"), "\"1\\n2\\t3\\u0001\\u007f\""));
	EXPECT(!strcmp(written(""), "\"\""));
	EXPECT(!strcmp(written(NULL), "null"));
}

TEST(beyond_ascii_is_escaped)
{
	EXPECT(!strcmp(written("\xc3\xa9"), "\"\\u00e9\""));
	EXPECT(!strcmp(written("\xe2\x82\xac"), "\"\\u20ac\""));
	EXPECT(!strcmp(written("\xf0\x9f\x98\x80"), "\"\\ud83d\\ude00\""));
}

TEST(what_is_no_utf8_is_marked)
{
	EXPECT(!strcmp(written("\xff"), "\"\\ufffd\""));
	EXPECT(!strcmp(written("\xc3"), "\"\\ufffd\""));
	EXPECT(!strcmp(written("\xc0\x80"), "\"\\ufffd\\ufffd\""));
	EXPECT(!strcmp(written("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""));
}

TEST(values_nest)
{
	char *buf = NULL;
	size_t size;
	struct json j = {.out = open_memstream(&buf, &size)};

	json_open(&j, NULL, '{');
	json_number(&j, "a", 1);
	json_open(&j, "b", '[');
	json_bool(&j, NULL, true);
	json_open(&j, NULL, '{');
	json_close(&j, '}');
	json_close(&j, ']');
	json_share(&j, "c", 0.25);
	json_hex(&j, "d", 0xabc);
	json_close(&j, '}');
	fclose(j.out);
	EXPECT(!strcmp(buf, "{\n  \"a\": 1,\n  \"b\": [\n    true,\n    {}\n  ],\n  \"c\": "
			    "0.250,\n  \"d\": \"0000000000000abc\"\n}\n"));
	free(buf);
}
