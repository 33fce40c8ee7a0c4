/* SPDX-License-Identifier: MIT */
/*
 * A writer of JSON. Strings that are no UTF-8 come out as U+FFFD where they are wrong; everything beyond ASCII is escaped, so the bytes do
 * not depend on a locale.
 */
#include "report/json.h"

static void begin_value(struct json *j, const char *key)
{
	if (j->depth)
		fprintf(j->out, "%s\n%*s", j->filled ? "," : "", (int)j->depth * 2, "");
	if (key)
		fprintf(j->out, "\"%s\": ", key);
	j->filled = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
	begin_value(j, key);
	fputc(bracket, j->out);
	j->depth++;
	j->filled = false;
}

void json_close(struct json *j, char bracket)
{
	j->depth--;
	if (j->filled)
		fprintf(j->out, "\n%*s", (int)j->depth * 2, "");
	fputc(bracket, j->out);
	j->filled = true;
	if (!j->depth)
		fputc('\n', j->out);
}

/* The code point at *p, which moves behind it; 0xfffd and one byte for what is no UTF-8. */
static uint32_t next_code(const unsigned char **p)
{
	static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
	unsigned char c = *(*p)++;
	int more = c < 0x80		? 0
		   : (c & 0xe0) == 0xc0 ? 1
		   : (c & 0xf0) == 0xe0 ? 2
		   : (c & 0xf8) == 0xf0 ? 3
					: -1;
	uint32_t code = more <= 0 ? c : c & (0x3fu >> more);

	if (more < 0)
		return 0xfffd;
	for (int i = 0; i < more; i++) {
		if (((*p)[i] & 0xc0) != 0x80)
			return 0xfffd;
		code = code << 6 | ((*p)[i] & 0x3f);
	}
	if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0xfffd;
	*p += more;
	return code;
}

static void put_code(FILE *out, uint32_t code)
{
	switch (code) {
	case '"':
	case '\\':
		fprintf(out, "\\%c", (int)code);
		return;
	case '\n':
		fputs("\\n", out);
		return;
	case '\t':
		fputs("\\t", out);
		return;
	default:
		break;
	}
	if (code >= 0x20 && code < 0x7f)
		fputc((int)code, out);
	else if (code < 0x10000)
		fprintf(out, "\\u%04x", (unsigned)code);
	else
		fprintf(out, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (code >> 10)),
			(unsigned)(0xdc00 + (code & 0x3ff)));
}

void json_string(struct json *j, const char *key, const char *value)
{
	begin_value(j, key);
	if (!value) {
		fputs("null", j->out);
		return;
	}
	fputc('"', j->out);
	for (const unsigned char *p = (const unsigned char *)value; *p;)
		put_code(j->out, next_code(&p));
	fputc('"', j->out);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	begin_value(j, key);
	fprintf(j->out, "%llu", (unsigned long long)value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin_value(j, key);
	fputs(value ? "true" : "false", j->out);
}

void json_share(struct json *j, const char *key, double value)
{
	begin_value(j, key);
	fprintf(j->out, "%.3f", value);
}

void json_hex(struct json *j, const char *key, uint64_t value)
{
	begin_value(j, key);
	fprintf(j->out, "\"%016llx\"", (unsigned long long)value);
}
