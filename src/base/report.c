/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "base/report.h"

#define ADDRESS_WIDTH 18 /* 0x and 16 digits */

static void flush(struct report *r)
{
	if (r->n)
		r->write(r, r->line, r->n);
	r->n = 0;
}

/* A line too long for the buffer goes out in pieces; a piece too long for it is cut. */
PRINTF_LIKE(2, 3) static void put(struct report *r, const char *format, ...)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		size_t room = sizeof(r->line) - r->n;
		va_list ap;
		int n;

		va_start(ap, format);
		n = vsnprintf(r->line + r->n, room, format, ap);
		va_end(ap);
		if (n < 0)
			return;
		if ((size_t)n < room) {
			r->n += n;
			return;
		}
		if (attempt)
			r->n += room - 1;
		flush(r);
	}
}

static void end_line(struct report *r)
{
	/* Columns are padded, lines are not. */
	while (r->n && r->line[r->n - 1] == ' ')
		r->n--;
	put(r, "\n");
	flush(r);
}

static void separate(struct report *r)
{
	if (r->more)
		put(r, ",");
	if (r->more)
		end_line(r);
	r->more = true;
}

void report_begin(struct report *r)
{
	r->n = 0;
	r->more = false;
	if (r->json)
		put(r, "{");
}

void report_end(struct report *r)
{
	if (!r->json)
		return;
	put(r, "}");
	end_line(r);
}

void report_section_begin(struct report *r, const char *name, const char *title)
{
	if (r->json) {
		separate(r);
		put(r, "\"%s\": {", name);
		r->more = false;
		return;
	}
	if (r->more)
		end_line(r);
	r->more = true;
	put(r, "%s", title);
	end_line(r);
}

void report_section_end(struct report *r)
{
	if (r->json)
		put(r, "}");
	r->more = true;
}

static const char *size_text(u64 bytes, char buf[24])
{
	static const char unit[] = "BKMGTPE";
	unsigned i = 0;

	while (bytes && !(bytes % 1024) && unit[i + 1]) {
		bytes /= 1024;
		i++;
	}
	snprintf(buf, 24, bytes ? "%llu%c" : "%llu", (unsigned long long)bytes, unit[i]);
	return buf;
}

/* width 0: as wide as it is */
static void put_text_cell(struct report *r, enum report_kind kind, unsigned width,
			  const struct report_cell *c)
{
	char buf[24];

	switch (kind) {
	case REPORT_DEC:
		put(r, "%*llu", width, (unsigned long long)c->value);
		break;
	case REPORT_HEX:
		put(r, "0x%016llx", (unsigned long long)c->value);
		break;
	case REPORT_RANGE:
		put(r, "0x%016llx-0x%016llx", (unsigned long long)c->value,
		    (unsigned long long)c->end);
		break;
	case REPORT_SIZE:
		put(r, "%*s", width, size_text(c->value, buf));
		break;
	case REPORT_TEXT:
		put(r, "%-*s", width, c->text ? c->text : "");
		break;
	}
}

static void put_json_cell(struct report *r, const char *name, enum report_kind kind,
			  const struct report_cell *c)
{
	switch (kind) {
	case REPORT_DEC:
	case REPORT_SIZE:
		put(r, "\"%s\": %llu", name, (unsigned long long)c->value);
		break;
	case REPORT_HEX:
		put(r, "\"%s\": \"0x%llx\"", name, (unsigned long long)c->value);
		break;
	case REPORT_RANGE:
		put(r, "\"%s\": \"0x%llx\", \"%s_end\": \"0x%llx\"", name,
		    (unsigned long long)c->value, name, (unsigned long long)c->end);
		break;
	case REPORT_TEXT:
		put(r, "\"%s\": \"%s\"", name, c->text ? c->text : "");
		break;
	}
}

static void put_value(struct report *r, const char *name, enum report_kind kind,
		      const struct report_cell *c)
{
	if (r->json) {
		separate(r);
		put_json_cell(r, name, kind, c);
		return;
	}
	put(r, "  %-26s ", name);
	put_text_cell(r, kind, 14, c);
	end_line(r);
}

void report_value(struct report *r, const char *name, u64 value)
{
	put_value(r, name, REPORT_DEC, &(struct report_cell){.value = value});
}

void report_value_text(struct report *r, const char *name, const char *text)
{
	put_value(r, name, REPORT_TEXT, &(struct report_cell){.text = text});
}

void report_value_as(struct report *r, const char *name, enum report_kind kind, u64 value, u64 end)
{
	put_value(r, name, kind, &(struct report_cell){.value = value, .end = end});
}

static unsigned column_width(const struct report_column *c)
{
	if (c->kind == REPORT_HEX)
		return ADDRESS_WIDTH;
	return c->kind == REPORT_RANGE ? 2 * ADDRESS_WIDTH + 1 : c->width;
}

static void put_header(struct report *r, const struct report_column *columns, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		bool right = columns[i].kind == REPORT_DEC || columns[i].kind == REPORT_SIZE;
		int width = column_width(&columns[i]);

		put(r, "  %*s", right ? width : -width, columns[i].name);
	}
	end_line(r);
}

void report_table_begin(struct report *r, const char *name)
{
	r->rows = false;
	if (!r->json)
		return;
	separate(r);
	put(r, "\"%s\": [", name);
	r->more = false;
}

void report_table_row(struct report *r, const struct report_column *columns, unsigned nr,
		      const struct report_cell *cells)
{
	if (r->json)
		separate(r);
	else if (!r->rows)
		put_header(r, columns, nr);
	r->rows = true;
	for (unsigned i = 0; i < nr; i++) {
		if (r->json) {
			put(r, "%s", i ? ", " : "{");
			put_json_cell(r, columns[i].name, columns[i].kind, &cells[i]);
		} else {
			put(r, "  ");
			put_text_cell(r, columns[i].kind, columns[i].width, &cells[i]);
		}
	}
	if (r->json)
		put(r, "}");
	else
		end_line(r);
}

void report_table_end(struct report *r)
{
	if (r->json) {
		put(r, "]");
	} else if (!r->rows) {
		put(r, "  none");
		end_line(r);
	}
	r->more = true;
}
