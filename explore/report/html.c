/* SPDX-License-Identifier: MIT */
/*
 * A violation as one page that needs nothing else: no script, no font, no address. It follows the reader's light or dark setting, and is
 * always light on paper. Narrow screens get a picture of their own instead of one that has to be pushed about.
 */
#include "report/html.h"

#include <string.h>

static const char style[] =
	":root{color-scheme:light "
	"dark;--bg:#fff;--fg:#1b1f24;--dim:#636c76;--box:#f6f8fa;--rule:#d0d7de;--switch:#9a6700;"
	"--bad:#cf222e;--badbox:#ffebe9;--order:#8c959f;--bar:#bc4c00;--l0:#0969da;--l1:#1a7f37;--"
	"l2:#8250df;--l3:#bf3989;--l4:#0a7b83;"
	"--l5:#7d4e00}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#8d96a0;--box:#"
	"161b22;--rule:#30363d;--switch:#d29922;"
	"--bad:#ff7b72;--badbox:#3c1618;--order:#6e7681;--bar:#f0883e;--l0:#58a6ff;--l1:#3fb950;--"
	"l2:#bc8cff;--l3:#f778ba;--l4:#39c5cf;"
	"--l5:#d4a72c}}\n"
	"@media "
	"print{:root{color-scheme:light;--bg:#fff;--fg:#000;--dim:#444;--box:#fff;--rule:#999;--"
	"switch:#7a5200;--bad:#b00;"
	"--badbox:#fff;--order:#777;--bar:#a40;--l0:#059;--l1:#060;--l2:#52a;--l3:#916;--l4:#066;--"
	"l5:#640}}\n"
	"*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 "
	"system-ui,sans-serif}\n"
	"main{max-width:1240px;margin:0 auto;padding:1.2rem 1rem "
	"3rem}h1{font-size:1.25rem;line-height:1.35;margin:.2rem 0 .6rem;"
	"overflow-wrap:anywhere}h1 b{color:var(--bad)}h2{font-size:1rem;margin:1.6rem 0 "
	".4rem}p{margin:.3rem 0;overflow-wrap:anywhere}\n"
	".dim{color:var(--dim)}figure{margin:1rem 0;overflow-x:auto;border:1px solid "
	"var(--rule);border-radius:8px;padding:.6rem}\n"
	"svg{display:block;width:100%;height:auto;font:12px "
	"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\n"
	"svg.compact{display:none}pre{margin:.3rem 0;padding:.6rem "
	".8rem;background:var(--box);border:1px solid var(--rule);"
	"border-radius:6px;overflow-x:auto;font:13px/1.5 "
	"ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;"
	"overflow-wrap:anywhere}\n"
	".sites{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));"
	"gap:.4rem 1rem}.sites h3{font-size:.95rem;"
	"margin:.3rem 0 0}ol{margin:.3rem 0;padding-left:1.4rem}.missing-text{border-left:4px "
	"solid var(--bad);padding-left:.7rem}\n"
	"text{fill:var(--fg)}.head{font-weight:700;font-size:13px}.where{fill:var(--dim);font-size:"
	"11px}.plan .what{font-weight:700}\n"
	".fold "
	".what{fill:var(--dim)}.box{fill:var(--box);stroke-width:1.2}.lane{fill:none;stroke-width:"
	"1.5;opacity:.45}\n"
	".t0 .box,.t0 .dot,.lane.t0{stroke:var(--l0)}.t1 .box,.t1 "
	".dot,.lane.t1{stroke:var(--l1)}.t2 .box,.t2 .dot,.lane.t2{stroke:"
	"var(--l2)}.t3 .box,.t3 .dot,.lane.t3{stroke:var(--l3)}.t4 .box,.t4 "
	".dot,.lane.t4{stroke:var(--l4)}.t5 .box,.t5 .dot,.lane.t5{"
	"stroke:var(--l5)}\n"
	".t6 .box{stroke:var(--rule)}.dot{fill:var(--bg);stroke-width:2}.switch "
	".box{fill:var(--bg);stroke:var(--switch);stroke-dasharray:4 3}.switch .what{fill:"
	"var(--switch)}.switch .dot{stroke:var(--switch)}.violation "
	".box{fill:var(--badbox);stroke:var(--bad);stroke-width:2}\n"
	".violation .what{fill:var(--bad);font-weight:700}.violation "
	".dot{fill:var(--bad);stroke:var(--bad)}.bar{fill:var(--bar)}\n"
	"path.switch{fill:none;stroke:var(--switch);stroke-width:1.8}.switch-head{fill:var(--"
	"switch)}path.order{fill:none;stroke:"
	"var(--order);stroke-width:1.2}.order-head{fill:var(--order)}path.missing{fill:none;stroke:"
	"var(--bad);stroke-width:2.2;"
	"stroke-dasharray:6 4}.missing-head{fill:var(--bad)}\n"
	".label{fill:var(--bad);font-weight:700;paint-order:stroke;stroke:var(--bg);stroke-width:"
	"4px}.key{display:flex;flex-wrap:wrap;"
	"gap:.2rem 1.2rem;font-size:.85rem;color:var(--dim)}.key "
	"i{display:inline-block;width:1.6em;border-top:2px solid;margin-right:"
	".4em;vertical-align:middle}\n"
	"@media(max-width:700px){svg.wide{display:none}svg.compact{display:block}main{padding:."
	"8rem .6rem 2rem}figure{padding:.4rem}}\n"
	"@media "
	"print{svg.wide{display:block;min-width:0!important}svg.compact{display:none}figure{border:"
	"0;padding:0;overflow:visible}"
	"body{font-size:11pt}}\n";

void html_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text == '\n' || (*text >= ' ' && *text <= '~') ? *text : '?', out);
			break;
		}
	}
}

static void put_tag(FILE *out, const char *open, const char *text, const char *close)
{
	fputs(open, out);
	html_text(out, text);
	fputs(close, out);
}

static void put_head(FILE *out, const struct story *s)
{
	const struct report_violation *v = s->in;
	const char *kind = violation_name(v->x->violation.kind), *at = strstr(s->verdict, kind);

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n",
	      out);
	put_tag(out, "<title>", s->verdict, "</title>\n<style>\n");
	fputs(style, out);
	fputs("</style>\n</head>\n<body>\n<main>\n<h1>", out);
	for (const char *p = s->verdict; at && p < at; p++) {
		char one[2] = {*p};

		html_text(out, one);
	}
	put_tag(out, "<b>", kind, "</b>");
	html_text(out, at ? at + strlen(kind) : "");
	fputs("</h1>\n", out);
	if (v->scenario->summary)
		put_tag(out, "<p>", v->scenario->summary, "</p>\n");
	if (v->scenario->property)
		put_tag(out, "<p>Should hold: ", v->scenario->property, "</p>\n");
	put_tag(out, "<p class=\"dim\">id ", s->id, "</p>\n");
}

static void put_sites(FILE *out, const struct story *s)
{
	if (!s->nr_sites)
		return;
	fputs("<h2>Where</h2>\n<div class=\"sites\">\n", out);
	for (unsigned i = 0; i < s->nr_sites; i++) {
		const struct stack *stack = &s->site[i].stack;
		char head[160];

		story_site_head(s, &s->site[i], head, sizeof(head));
		put_tag(out, "<section><h3>", head, "</h3><pre>");
		for (unsigned j = 0; j < stack->nr; j++) {
			char text[600];

			snprintf(text, sizeof(text), stack->frame[j].file ? "%s  %s:%u\n" : "%s\n",
				 stack->frame[j].function, stack->frame[j].file,
				 stack->frame[j].line);
			html_text(out, text);
		}
		fputs("</pre></section>\n", out);
	}
	fputs("</div>\n", out);
}

void report_html(FILE *out, const struct report_violation *v)
{
	struct story *s = story_new(v);

	put_head(out, s);
	if (s->missing)
		put_tag(out, "<h2>Missing order</h2>\n<p class=\"missing-text\">", s->missing,
			"</p>\n");
	if (s->nr_cycle) {
		fputs("<h2>Cycle</h2>\n<ol>\n", out);
		for (unsigned i = 0; i < s->nr_cycle; i++)
			put_tag(out, "<li>", s->cycle_text[i], "</li>\n");
		fputs("</ol>\n", out);
	}
	fputs("<figure>\n", out);
	html_picture(out, s, false);
	html_picture(out, s, true);
	fputs("</figure>\n<p class=\"key\"><span><i "
	      "style=\"color:var(--switch)\"></i>switch</span><span><i "
	      "style=\"color:var(--order)\">"
	      "</i>order on one object</span><span><i style=\"color:var(--bad)\"></i>missing "
	      "order</span><span><i style=\"color:"
	      "var(--bar)\"></i>held locks and sections, beside the lane</span></p>\n",
	      out);
	put_sites(out, s);
	put_tag(out, "<h2>Replay</h2>\n<pre>", s->replay, "</pre>\n</main>\n</body>\n</html>\n");
	story_free(s);
}
