/* SPDX-License-Identifier: MIT */
/*
 * A violation as text, in the form in which kernel developers write races down: a column for each thread, time going down, one thing a
 * line. Where the terminal is too narrow for the columns they overlap like steps: a line belongs to the thread under whose name it
 * begins.
 */
#include "report/sheet.h"
#include "report/story.h"

#include <string.h>

#define COLUMN_MIN  30 /* below that columns become steps */
#define COLUMN_GOOD 44 /* below that paths give way to names of files */
#define MARGIN_MAX  32

struct columns {
	unsigned indent[MAX_FIBERS], width[MAX_FIBERS];
	unsigned margin; /* for locations */
	bool short_paths;
	bool steps;
};

static const char *line_place(const struct line *l, bool short_path, char *buf, size_t size)
{
	const struct frame *f = story_frame(&l->stack);
	const char *file = f ? f->file : NULL, *slash;

	buf[0] = '\0';
	if (!file)
		return NULL;
	slash = strrchr(file, '/');
	snprintf(buf, size, "%s:%u", short_path && slash ? slash + 1 : file, f->line);
	return buf;
}

static unsigned longest_place(const struct story *s, bool short_paths)
{
	unsigned longest = 0;
	char buf[512];

	for (size_t i = 0; i < s->nr_lines; i++) {
		unsigned n = line_place(&s->line[i], short_paths, buf, sizeof(buf))
				     ? (unsigned)strlen(buf)
				     : 0;

		longest = n > longest ? n : longest;
	}
	return longest;
}

static void lay_columns(const struct story *s, unsigned width, struct columns *c)
{
	unsigned nr = 0, text, at = 0, wide, step;

	memset(c, 0, sizeof(*c));
	for (int f = 1; f < MAX_FIBERS; f++)
		nr += s->column[f];
	c->margin = longest_place(s, false);
	c->short_paths =
		c->margin > MARGIN_MAX || (nr && (width - c->margin - 2) / nr < COLUMN_GOOD);
	if (c->short_paths)
		c->margin = longest_place(s, true);
	if (c->margin > MARGIN_MAX)
		c->margin = MARGIN_MAX;
	text = width - c->margin - 2;
	wide = nr ? text / nr : text;
	c->steps = wide < COLUMN_MIN;
	step = c->steps ? (text - COLUMN_MIN - 4) / (nr - 1) : wide;
	c->width[0] = text;
	for (int f = 1; f < MAX_FIBERS; f++) {
		if (!s->column[f])
			continue;
		c->indent[f] = at;
		c->width[f] = c->steps || at + 2 * step > text ? text - at : wide - 2;
		at += step;
	}
}

static void put_heads(const struct sheet *sheet, const struct story *s, const struct columns *c)
{
	bool one_row = !c->steps;
	unsigned at = 0;

	for (int f = 1; f < MAX_FIBERS; f++)
		one_row &= !s->column[f] || strlen(story_fiber(s, f)) <= c->width[f];
	sheet_rule(sheet);
	for (int f = 1; f < MAX_FIBERS; f++) {
		if (!s->column[f])
			continue;
		if (!one_row) {
			sheet_cell(sheet, c->indent[f], c->width[f], INK_BOLD, story_fiber(s, f),
				   NULL);
			continue;
		}
		fprintf(sheet->out, "%*s%s%s%s", (int)(c->indent[f] - at), "",
			sheet->colour ? "\033[1m" : "", story_fiber(s, f),
			sheet->colour ? "\033[0m" : "");
		at = c->indent[f] + (unsigned)strlen(story_fiber(s, f));
	}
	if (one_row)
		fputc('\n', sheet->out);
	sheet_rule(sheet);
}

static void put_line(const struct sheet *sheet, const struct story *s, const struct columns *c,
		     const struct line *l)
{
	static const enum ink ink[] = {INK_BOLD,   INK_PLAIN, INK_PLAIN,
				       INK_SWITCH, INK_DIM,   INK_BAD};
	char text[MAX_TEXT + 400], buf[512];
	int f = l->fiber > 0 ? l->fiber : 0;

	switch (l->kind) {
	case LINE_SWITCH:
		snprintf(text, sizeof(text), "-- %s%s%s; now %s", l->text,
			 l->holds[0] ? "; holds " : "", l->holds, story_fiber(s, l->to));
		break;
	case LINE_VIOLATION:
		snprintf(text, sizeof(text), "!! %s", l->text);
		break;
	case LINE_PLAN:
		snprintf(text, sizeof(text), "%s", l->text);
		break;
	default:
		snprintf(text, sizeof(text), "%s%s%s", f ? "  " : story_line_fiber(s, l),
			 f ? "" : ": ", l->text);
		break;
	}
	if (text[0] != ' ') {
		sheet_cell(sheet, c->indent[f], c->width[f], ink[l->kind], text,
			   line_place(l, c->short_paths, buf, sizeof(buf)));
		return;
	}
	sheet_cell(sheet, c->indent[f] + 2, c->width[f] - 2, ink[l->kind], text,
		   line_place(l, c->short_paths, buf, sizeof(buf)));
}

static void put_stack(const struct sheet *sheet, const struct stack *stack)
{
	unsigned longest = 0;
	char text[1024];

	for (unsigned i = 0; i < stack->nr; i++) {
		unsigned n = (unsigned)strlen(stack->frame[i].function);

		longest = n > longest && n <= 36 ? n : longest;
	}
	for (unsigned i = 0; i < stack->nr; i++) {
		const struct frame *f = &stack->frame[i];

		if (f->file)
			snprintf(text, sizeof(text), "%-*s  %s:%u", (int)longest, f->function,
				 f->file, f->line);
		else
			snprintf(text, sizeof(text), "%s", f->function);
		sheet_cell(sheet, 4, sheet->width - 4, INK_PLAIN, text, NULL);
	}
}

static void put_sites(const struct sheet *sheet, const struct story *s)
{
	char head[160];

	for (unsigned i = 0; i < s->nr_sites; i++) {
		story_site_head(s, &s->site[i], head, sizeof(head));
		sheet_cell(sheet, 0, sheet->width, INK_BOLD, head, NULL);
		put_stack(sheet, &s->site[i].stack);
	}
	for (unsigned i = 0; i < s->nr_cycle; i++)
		sheet_paragraph(sheet, i ? "    and" : "cycle", INK_PLAIN, s->cycle_text[i]);
}

void report_text(FILE *out, const struct report_violation *v, const struct report_style *style)
{
	struct sheet sheet = {.out = out, .width = style->width, .colour = style->colour};
	struct story *s = story_new(v);
	struct columns c;
	size_t i = 0;

	lay_columns(s, sheet.width, &c);
	sheet_paragraph(&sheet, "", INK_BAD, s->verdict);
	if (v->scenario->property)
		sheet_paragraph(&sheet, "should hold", INK_PLAIN, v->scenario->property);
	sheet.margin = c.margin;
	while (i < s->nr_lines && !s->line[i].fiber && s->line[i].kind != LINE_VIOLATION)
		put_line(&sheet, s, &c, &s->line[i++]);
	put_heads(&sheet, s, &c);
	for (; i < s->nr_lines; i++)
		put_line(&sheet, s, &c, &s->line[i]);
	sheet_rule(&sheet);
	put_sites(&sheet, s);
	if (s->missing)
		sheet_paragraph(&sheet, "missing order", INK_PLAIN, s->missing);
	fprintf(out, "replay: %s\n", s->replay);
	sheet_paragraph(&sheet, "id", INK_PLAIN, s->id);
	story_free(s);
}
