/* SPDX-License-Identifier: MIT */
/* What the page and its picture share. */
#ifndef ANYKVM_EXPLORE_REPORT_HTML_H
#define ANYKVM_EXPLORE_REPORT_HTML_H

#include "report/story.h"

/* Text with what HTML takes for itself escaped; other than printable ASCII is '?', but for newlines. */
void html_text(FILE *out, const char *text);

/*
 * The interleaving as SVG: a lane for each thread, time going down. compact: narrow lanes with dots and the text beside them, for a
 * phone; else the text is in boxes on wide lanes.
 */
void html_picture(FILE *out, const struct story *s, bool compact);

#endif
