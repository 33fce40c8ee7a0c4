/* SPDX-License-Identifier: MIT */
/* Text on a terminal. */
#include "report/sheet.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_WIDTH 200
#define MIN_WIDTH 80

struct report_style report_style_of(int fd)
{
	struct report_style style = {.width = 100};
	const char *plain = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	if (!isatty(fd))
		return style;
	if (!ioctl(fd, TIOCGWINSZ, &size) && size.ws_col)
		style.width = size.ws_col < MIN_WIDTH	? MIN_WIDTH
			      : size.ws_col > MAX_WIDTH ? MAX_WIDTH
							: size.ws_col;
	style.colour = !(plain && *plain) && term && strcmp(term, "dumb") != 0;
	return style;
}

/* "struct vm #1" stays with its number. How many of the first width bytes go on this line; text is longer than that. */
static unsigned break_at(const char *text, unsigned width)
{
	for (unsigned n = width; n > 0; n--)
		if (text[n] == ' ' && text[n + 1] != '#')
			return n;
	for (unsigned n = width; n > width / 3; n--)
		if (strchr("/,(_-:=", text[n - 1]))
			return n;
	return width;
}

bool sheet_wrap(const char **text, unsigned width, char *buf)
{
	unsigned n;

	while (**text == ' ')
		(*text)++;
	if (!**text)
		return false;
	n = (unsigned)strnlen(*text, width + 1);
	if (n > width)
		n = break_at(*text, width);
	for (unsigned i = 0; i < n; i++)
		buf[i] = (*text)[i] < ' ' || (*text)[i] > '~' ? '?' : (*text)[i];
	while (n && buf[n - 1] == ' ' && (*text)[n])
		n--;
	buf[n] = '\0';
	*text += n;
	return true;
}

static void put(const struct sheet *s, enum ink ink, const char *text)
{
	static const char *const code[] = {"",	       "\033[1m",    "\033[2m",
					   "\033[33m", "\033[1;31m", "\033[1;32m"};

	if (s->colour && ink != INK_PLAIN)
		fprintf(s->out, "%s%s\033[0m", code[ink], text);
	else
		fputs(text, s->out);
}

static void spaces(const struct sheet *s, unsigned n)
{
	fprintf(s->out, "%*s", (int)n, "");
}

void sheet_cell(const struct sheet *s, unsigned indent, unsigned width, enum ink ink,
		const char *text, const char *right)
{
	unsigned deeper = 0, n = right ? (unsigned)strlen(right) : 0;
	char buf[MAX_WIDTH + 1];

	while (sheet_wrap(&text, width - deeper, buf)) {
		unsigned end = indent + deeper + (unsigned)strlen(buf);

		spaces(s, indent + deeper);
		put(s, ink, buf);
		if (n && n <= s->margin && end < s->width - s->margin) {
			spaces(s, s->width - s->margin - end);
			put(s, INK_DIM, right);
			n = 0;
		}
		fputc('\n', s->out);
		deeper = width > 12 ? 2 : 0;
	}
	for (const char *left = n ? right : ""; sheet_wrap(&left, width - deeper, buf);) {
		spaces(s, indent + deeper);
		put(s, INK_DIM, buf);
		fputc('\n', s->out);
	}
}

void sheet_paragraph(const struct sheet *s, const char *label, enum ink ink, const char *text)
{
	unsigned indent = label[0] ? (unsigned)strlen(label) + 2 : 0;
	char buf[MAX_WIDTH + 1];

	if (label[0]) {
		put(s, INK_BOLD, label);
		fputs(": ", s->out);
	}
	if (indent > s->width / 3)
		indent = 4;
	for (bool first = true;
	     sheet_wrap(&text,
			s->width - (first && label[0] ? (unsigned)strlen(label) + 2 : indent), buf);
	     first = false) {
		if (!first)
			spaces(s, indent);
		put(s, ink, buf);
		fputc('\n', s->out);
	}
}

void sheet_rule(const struct sheet *s)
{
	for (unsigned i = 0; i < s->width; i++)
		fputc('-', s->out);
	fputc('\n', s->out);
}
