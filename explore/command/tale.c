/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/item.h"

void tale_free(struct tale *t)
{
	free(t->schedule);
	free(t->verdict);
	free(t->id);
	free(t->text);
	free(t->json);
	free(t->html);
	memset(t, 0, sizeof(*t));
}

static FILE *open_text(char **text, size_t *size)
{
	FILE *f = open_memstream(text, size);

	if (f)
		return f;
	say("out of memory");
	_exit(STATUS_MISUSE);
}

static char *capture(void (*print)(FILE *f, const struct report_violation *v),
		     const struct report_violation *v)
{
	char *text;
	size_t size;
	FILE *f = open_text(&text, &size);

	print(f, v);
	fclose(f);
	return text;
}

static char *capture_text(const struct report_violation *v, int out)
{
	struct report_style style = report_style_of(out);
	char *text;
	size_t size;
	FILE *f = open_text(&text, &size);

	report_text(f, v, &style);
	fclose(f);
	return text;
}

bool tale_make(struct tale *t, const struct item *it, const struct schedule *s)
{
	char verdict[2048], id[REPORT_ID];
	bool followed;
	struct report_violation v = {
		.suite = it->suite, .scenario = &it->scenario, .schedule = s, .mutant = it->mutant};

	v.x = schedule_run(&it->scenario, s, &it->options.limits, true, &followed);
	if (v.x->outcome != RUN_VIOLATION)
		return false;
	report_verdict(verdict, sizeof(verdict), &v);
	report_id(id, sizeof(id), &v);
	t->schedule = schedule_format(it->scenario.name, s);
	t->verdict = strdup(verdict);
	t->id = strdup(id);
	t->text = capture_text(&v, it->out);
	if (it->want_json)
		t->json = capture(report_json, &v);
	if (it->want_html)
		t->html = capture(report_html, &v);
	return true;
}
