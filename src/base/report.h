/* SPDX-License-Identifier: MIT */
/*
 * Writes what a program has to tell about its state, for people or as JSON, from the same calls. A report consists of sections;
 * a section holds values and tables; a table has columns and rows of cells.
 *
 *	text					JSON
 *	Memory slots				"slots": {
 *	  generation		    4		  "generation": 4,
 *	    id  flags				  "slot": [
 *	     0  LOG_DIRTY_PAGES			    {"id": 0, "flags": "LOG_DIRTY_PAGES"}]}
 *
 * Nothing is kept: each line goes out as it is complete. Texts are plain words of the library, without quotes or backslashes.
 */
#ifndef ANYKVM_BASE_REPORT_H
#define ANYKVM_BASE_REPORT_H

#include "base/types.h"

enum report_kind {
	REPORT_DEC,
	REPORT_HEX, /* 64 bits, all digits; a string in JSON, where numbers are doubles to many readers */
	REPORT_RANGE, /* two of these: [value, end); JSON: "NAME" and "NAME_end" */
	REPORT_SIZE,  /* bytes: 4K, 96M, 1G; JSON: the number */
	REPORT_TEXT,
};

struct report_column {
	const char *name;
	enum report_kind kind;
	unsigned width; /* at least, in text; ignored for addresses */
};

struct report_cell {
	u64 value, end;
	const char *text;
};

#define REPORT_LINE 256

struct report {
	/* n bytes for the reader; may do anything, as the caller of the report holds no lock. */
	void (*write)(struct report *r, const char *text, size_t n);
	bool json;
	bool more;  /* something was written on this level: JSON wants a comma */
	bool rows;  /* of the table at hand */
	unsigned n; /* bytes in line */
	char line[REPORT_LINE];
};

/* r->write and r->json are set. */
void report_begin(struct report *r);
void report_end(struct report *r);

/* title is for text, name for JSON. */
void report_section_begin(struct report *r, const char *name, const char *title);
void report_section_end(struct report *r);

void report_value(struct report *r, const char *name, u64 value);
void report_value_text(struct report *r, const char *name, const char *text);
/* kind: any but REPORT_TEXT */
void report_value_as(struct report *r, const char *name, enum report_kind kind, u64 value, u64 end);

/* Every row of a table has the same columns, whose names are told before the first. */
void report_table_begin(struct report *r, const char *name);
void report_table_row(struct report *r, const struct report_column *columns, unsigned nr,
		      const struct report_cell *cells);
void report_table_end(struct report *r);

#endif
