/* SPDX-License-Identifier: MIT */
/*
 * The interleaving as a picture. First every line of the story gets its place (heights follow from the wrapped text, so all sizes are known
 * without a browser), then what lies below is drawn first: lanes, bars of held locks, orders, boxes, switches, the missing order.
 */
#include "report/html.h"
#include "report/sheet.h"

#include <stdlib.h>
#include <string.h>

#define ROW	 17 /* height of a row of text */
#define GAP	 9  /* between two lines of the story */
#define HEADS	 40 /* names of the lanes, below the setup's lines; compact: a row for each */
#define SWITCH	 14 /* more than GAP behind a switch, for its arrow */
#define MAX_ROWS 24
#define MAX_BARS 4

struct place {
	int x, y, w, h; /* of the box; compact: of the dot's row */
	int lane;	/* x of the lane's line */
	unsigned rows;
};

struct picture {
	FILE *out;
	const struct story *s;
	bool compact;
	int order[MAX_FIBERS]; /* number of the lane of a fiber, from 0 */
	int nr_lanes, lane_width, width, height;
	int heads;  /* y above the names */
	int text_x; /* compact: where text begins */
	unsigned chars;
	struct place *place;
};

/* The rows of line i: its text, then where it is in the source. Returns how many. */
static unsigned line_rows(const struct picture *p, const struct line *l, unsigned chars,
			  char row[MAX_ROWS][160], unsigned *nr_text)
{
	char text[MAX_TEXT + 300], place[400] = "";
	const struct frame *f = story_frame(&l->stack);
	const char *at = text, *where = place;
	bool named = l->fiber <= 0 && l->kind != LINE_VIOLATION;
	unsigned n = 0;

	if (l->kind == LINE_SWITCH)
		snprintf(text, sizeof(text), "%s%s%s", l->text, l->holds[0] ? "; holds " : "",
			 l->holds);
	else
		snprintf(text, sizeof(text), "%s%s%s", named ? story_line_fiber(p->s, l) : "",
			 named ? ": " : "", l->text);
	if (f && f->file)
		snprintf(place, sizeof(place), "%s:%u", f->file, f->line);
	while (n < MAX_ROWS - 4 && sheet_wrap(&at, chars, row[n]))
		n++;
	*nr_text = n;
	while (n < MAX_ROWS && sheet_wrap(&where, chars, row[n]))
		n++;
	return n;
}

static int lane_left(const struct picture *p, int fiber)
{
	return fiber > 0 ? p->order[fiber] * p->lane_width : 0;
}

static void lay_line(struct picture *p, size_t i, int *y)
{
	const struct line *l = &p->s->line[i];
	struct place *at = &p->place[i];
	char row[MAX_ROWS][160];
	unsigned nr_text;
	bool wide = l->fiber <= 0 && !p->compact;

	at->lane = lane_left(p, l->fiber) + (p->compact ? p->lane_width / 2 : 26);
	at->x = p->compact ? p->text_x : lane_left(p, l->fiber) + 38;
	at->w = p->compact ? p->width - p->text_x : (wide ? p->width : p->lane_width) - 56;
	at->rows = line_rows(p, l, wide ? 100 : p->chars, row, &nr_text);
	at->y = *y;
	at->h = (int)at->rows * ROW + (p->compact ? 2 : 9);
	*y += at->h + (l->kind == LINE_SWITCH && !p->compact ? GAP + SWITCH : GAP);
}

static void lay_out(struct picture *p)
{
	static const int width_of[] = {0, 520, 470, 390, 330, 290};
	int y = 6;

	for (int f = 1; f < MAX_FIBERS; f++)
		if (p->s->column[f])
			p->order[f] = p->nr_lanes++;
	if (p->compact) {
		p->lane_width = p->nr_lanes > 4 ? 16 : 22;
		p->text_x = p->nr_lanes * p->lane_width + 8;
		p->width = 380;
		p->chars = (unsigned)(p->width - p->text_x) * 10 / 71;
	} else {
		p->lane_width = width_of[p->nr_lanes < 5 ? p->nr_lanes : 5];
		p->width = (p->nr_lanes ? p->nr_lanes : 1) * p->lane_width;
		p->chars = (unsigned)(p->lane_width - 72) * 10 / 74;
	}
	for (size_t i = 0; i < p->s->nr_lines; i++) {
		const struct line *l = &p->s->line[i];

		if (!p->heads && (l->fiber > 0 || l->kind == LINE_VIOLATION)) {
			p->heads = y;
			y += p->compact ? 8 + ROW * p->nr_lanes : HEADS;
		}
		lay_line(p, i, &y);
	}
	p->height = y + 6;
}

static void draw_heads(const struct picture *p)
{
	for (int f = 1; f < MAX_FIBERS; f++) {
		int lane = lane_left(p, f) + (p->compact ? p->lane_width / 2 : 26);
		int top = p->heads + (p->compact ? 8 + ROW * p->order[f] : 28);

		if (!p->s->column[f])
			continue;
		fprintf(p->out,
			"<line class=\"lane t%d\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n",
			p->order[f] % 6, lane, top, lane, p->height);
		fprintf(p->out, "<text class=\"head\" x=\"%d\" y=\"%d\">",
			p->compact ? p->text_x : lane_left(p, f) + 10,
			p->compact ? top + 4 : p->heads + 18);
		html_text(p->out, story_fiber(p->s, f));
		fputs("</text>\n", p->out);
		if (p->compact)
			fprintf(p->out, "<path class=\"lane t%d\" d=\"M%d %dH%d\"/>\n",
				p->order[f] % 6, lane, top, p->text_x - 3);
	}
}

struct bar {
	char name[120];
	int from; /* y, 0: free */
};

static void end_bar(const struct picture *p, int fiber, unsigned slot, struct bar *b, int y)
{
	int x = lane_left(p, fiber) + (p->compact ? 1 : 4) + (int)slot * (p->compact ? 3 : 5);

	if (y > b->from) {
		fprintf(p->out,
			"<rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"%d\" "
			"height=\"%d\"><title>held: ",
			x, b->from, p->compact ? 2 : 3, y - b->from);
		html_text(p->out, b->name);
		fputs("</title></rect>\n", p->out);
	}
	b->from = 0;
}

static bool holds_lock(const char *holds, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = holds; (at = strstr(at, name)); at++)
		if ((at == holds || at[-1] == ' ') && (!at[n] || at[n] == ','))
			return true;
	return false;
}

/* Begins a bar for each name in holds that has none. */
static void begin_bars(struct bar bar[MAX_BARS], const char *holds, int y)
{
	while (*holds) {
		char name[sizeof(bar[0].name)];
		size_t n = strcspn(holds, ",");
		int free_slot = -1;

		snprintf(name, sizeof(name), "%.*s", (int)n, holds);
		for (int i = MAX_BARS - 1; i >= 0; i--) {
			if (!bar[i].from)
				free_slot = i;
			else if (!strcmp(bar[i].name, name)) {
				free_slot = -1;
				break;
			}
		}
		if (free_slot >= 0) {
			snprintf(bar[free_slot].name, sizeof(name), "%s", name);
			bar[free_slot].from = y;
		}
		holds += n;
		holds += strspn(holds, ", ");
	}
}

/* What a thread holds, from the line where it took it to the line where it no longer has it. */
static void draw_bars(const struct picture *p, int fiber)
{
	struct bar bar[MAX_BARS] = {0};

	for (size_t i = 0; i < p->s->nr_lines; i++) {
		const struct line *l = &p->s->line[i];
		int y = p->place[i].y;

		if (l->fiber != fiber || (l->kind != LINE_OPERATION && l->kind != LINE_SWITCH))
			continue;
		for (unsigned b = 0; b < MAX_BARS; b++)
			if (bar[b].from && !holds_lock(l->holds, bar[b].name))
				end_bar(p, fiber, b, &bar[b], y + p->place[i].h / 2);
		begin_bars(bar, l->holds, y + p->place[i].h / 2);
	}
	for (unsigned b = 0; b < MAX_BARS; b++)
		if (bar[b].from)
			end_bar(p, fiber, b, &bar[b], p->height);
}

/* A curve from line a to line b, from side to side of their boxes or from dot to dot. */
static void draw_edge(const struct picture *p, const char *class, size_t a, size_t b)
{
	const struct place *f = &p->place[a], *t = &p->place[b];
	bool right = f->lane < t->lane, same = f->lane == t->lane;
	int x1 = p->compact ? f->lane : right || same ? f->x + f->w : f->x;
	int x2 = p->compact ? t->lane : right && !same ? t->x : t->x + t->w;
	int y1 = f->y + (p->compact ? 8 : f->h / 2), y2 = t->y + (p->compact ? 8 : t->h / 2);
	int bend = p->compact ? 0 : same ? 22 : right ? 30 : -30;

	if (p->compact && same)
		bend = p->lane_width;
	fprintf(p->out,
		"<path class=\"%s\" d=\"M%d %dC%d %d %d %d %d %d\" marker-end=\"url(#%c-%s)\"/>\n",
		class, x1, y1, x1 + bend, y1, same ? x2 + bend : x2 - bend, y2, x2, y2,
		p->compact ? 'c' : 'w', class);
}

static void draw_switch(const struct picture *p, size_t i)
{
	const struct place *f = &p->place[i], *t = &p->place[i + 1];
	int x1 = p->compact ? f->lane : f->x + (f->lane < t->lane ? f->w - 24 : 24);
	int y1 = f->y + (p->compact ? 8 : f->h);
	int x2 = p->compact ? t->lane : t->x + 12;
	int y2 = p->compact ? t->y + 2 : t->y - 1;
	int middle = (y1 + y2) / 2;

	fprintf(p->out,
		"<path class=\"switch\" d=\"M%d %dC%d %d %d %d %d %d\" "
		"marker-end=\"url(#%c-switch)\"/>\n",
		x1, y1, x1, middle + 6, x2, middle - 6, x2, y2, p->compact ? 'c' : 'w');
}

static void put_title(const struct picture *p, const struct line *l)
{
	fputs("<title>", p->out);
	html_text(p->out, l->text);
	if (l->holds[0]) {
		fputs("\nholds: ", p->out);
		html_text(p->out, l->holds);
	}
	for (unsigned i = 0; i < l->stack.nr; i++) {
		const struct frame *f = &l->stack.frame[i];
		char text[600];

		snprintf(text, sizeof(text), f->file ? "\n  %s  %s:%u" : "\n  %s", f->function,
			 f->file, f->line);
		html_text(p->out, text);
	}
	fputs("</title>", p->out);
}

static void draw_line(const struct picture *p, size_t i)
{
	const struct line *l = &p->s->line[i];
	const struct place *at = &p->place[i];
	bool boxed = l->kind != LINE_FOLD && l->kind != LINE_PLAN;
	int lane = l->fiber > 0 ? p->order[l->fiber] % 6 : 6;
	char row[MAX_ROWS][160];
	unsigned nr_text,
		n = line_rows(p, l, !p->compact && l->fiber <= 0 ? 100 : p->chars, row, &nr_text);

	fprintf(p->out, "<g class=\"%s t%d\">", line_kind_name(l->kind), lane);
	put_title(p, l);
	if (p->compact && l->fiber > 0)
		fprintf(p->out, "<circle class=\"dot\" cx=\"%d\" cy=\"%d\" r=\"%d\"/>", at->lane,
			at->y + 8, boxed ? 5 : 2);
	if (!p->compact && boxed)
		fprintf(p->out,
			"<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
			"rx=\"4\"/>",
			at->x, at->y, at->w, at->h);
	for (unsigned r = 0; r < n; r++) {
		fprintf(p->out, "<text class=\"%s\" x=\"%d\" y=\"%d\">",
			r < nr_text ? "what" : "where",
			at->x + (p->compact ? 0
				 : boxed    ? 8
					    : 2),
			at->y + (p->compact ? 12 : 16) + (int)r * ROW);
		html_text(p->out, row[r]);
		fputs("</text>", p->out);
	}
	fputs("</g>\n", p->out);
}

static void draw_missing(const struct picture *p)
{
	int from = p->s->missing_from, to = p->s->missing_to;
	const struct place *f, *t;

	if (from < 0 || to < 0 || from == to)
		return;
	draw_edge(p, "missing", (size_t)from, (size_t)to);
	if (p->compact)
		return;
	f = &p->place[from];
	t = &p->place[to];
	if (f->lane != t->lane)
		fprintf(p->out, "<text class=\"label\" x=\"%d\" y=\"%d\"%s>missing order</text>\n",
			f->lane < t->lane ? f->x + f->w + 10 : f->x - 10, f->y + f->h / 2 + 16,
			f->lane < t->lane ? "" : " text-anchor=\"end\"");
}

static void put_marker(const struct picture *p, const char *class)
{
	fprintf(p->out,
		"<marker id=\"%c-%s\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" "
		"markerHeight=\"8\" "
		"markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"%s-head\" d=\"M0 0L8 "
		"4L0 8z\"/></marker>",
		p->compact ? 'c' : 'w', class, class);
}

void html_picture(FILE *out, const struct story *s, bool compact)
{
	struct picture p = {.out = out,
			    .s = s,
			    .compact = compact,
			    .place = calloc(s->nr_lines, sizeof(*p.place))};

	if (!p.place)
		abort();
	lay_out(&p);
	fprintf(out,
		"<svg class=\"%s\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"The "
		"interleaving, time going down\"",
		compact ? "compact" : "wide", p.width, p.height);
	if (!compact)
		fprintf(out, " style=\"min-width:%dpx;max-width:%dpx\"", p.width * 3 / 4,
			p.width * 5 / 4);
	fputs(">\n<defs>", out);
	put_marker(&p, "switch");
	put_marker(&p, "order");
	put_marker(&p, "missing");
	fputs("</defs>\n", out);
	draw_heads(&p);
	for (int f = 1; f < MAX_FIBERS; f++)
		if (s->column[f])
			draw_bars(&p, f);
	for (size_t i = 0; i < s->nr_lines; i++)
		if (s->line[i].edge_from >= 0)
			draw_edge(&p, "order", (size_t)s->line[i].edge_from, i);
	for (size_t i = 0; i < s->nr_lines; i++)
		draw_line(&p, i);
	for (size_t i = 0; i + 1 < s->nr_lines; i++)
		if (s->line[i].kind == LINE_SWITCH)
			draw_switch(&p, i);
	draw_missing(&p);
	fputs("</svg>\n", out);
	free(p.place);
}
