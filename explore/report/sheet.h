/* SPDX-License-Identifier: MIT */
/* Text on a terminal: wrapped, never cut; ASCII only; coloured where asked. */
#ifndef ANYKVM_EXPLORE_REPORT_SHEET_H
#define ANYKVM_EXPLORE_REPORT_SHEET_H

#include "report/report.h"

enum ink { INK_PLAIN, INK_BOLD, INK_DIM, INK_SWITCH, INK_BAD, INK_GOOD };

struct sheet {
	FILE *out;
	unsigned width;
	bool colour;
	unsigned margin; /* width of the margin on the right */
};

/*
 * Takes from *text what fits in width, at a space if there is one, else behind punctuation, and moves *text behind it. buf has width + 1
 * bytes. False when nothing is left.
 */
bool sheet_wrap(const char **text, unsigned width, char *buf);

/* text from column indent on, width wide, its further lines two columns deeper; right: in the margin, or below
 * if it does not fit there. */
void sheet_cell(const struct sheet *s, unsigned indent, unsigned width, enum ink ink,
		const char *text, const char *right);
/* "label: text", wrapped, further lines under the text. */
void sheet_paragraph(const struct sheet *s, const char *label, enum ink ink, const char *text);
void sheet_rule(const struct sheet *s);

#endif
