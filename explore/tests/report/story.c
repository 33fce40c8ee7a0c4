/* SPDX-License-Identifier: MIT */
/* Whole reports of an execution made up here: a slot freed by one thread between two steps of another. */
#include "made.h"

#define SLOT "struct slot #1"

static const struct explore_scenario scenario = {
	.name = "dying-file", .property = "the binding is gone before the slot is freed"};
static struct deviation deviation = {.at = 7, .take = 2};
static const struct schedule schedule = {.deviation = &deviation, .nr = 1};
static const struct report_violation violation = {
	.suite = &suite, .scenario = &scenario, .x = &execution, .schedule = &schedule};

__attribute__((noinline)) static void free_slot(void)
{
	done(&(struct what){2, OP_FREE, 7, true, "free(" SLOT ")", "slots_lock"});
	__asm__ volatile("");
}

__attribute__((noinline)) static void release_file(void)
{
	done(&(struct what){1, OP_MUTEX_LOCK, 3, true, "mutex_lock(slots_lock)", "slots_lock",
			    "late release"});
	__asm__ volatile("");
}

static void run(void)
{
	struct violation *v = &execution.violation;

	begin(&scenario, "close", "delete <b>");
	for (int i = 0; i < 5; i++)
		done(&(struct what){0, OP_READ, 1, true, "read(vm)"});
	done(&(struct what){0, OP_ALLOC, 7, true, "alloc(" SLOT ")"});
	done(&(struct what){1, OP_BEGIN, 0, false, "begin", NULL, "close"});
	for (int i = 0; i < 5; i++)
		done(&(struct what){1, OP_READ, 20, false, "read(private)", NULL, "close"});
	done(&(struct what){1, OP_REF_PUT, 5, true, "ref_put(count) = last", NULL, "close"});
	done(&(struct what){2, OP_BEGIN, 0, false, "begin"});
	done(&(struct what){2, OP_MUTEX_LOCK, 3, true, "mutex_lock(slots_lock)", "slots_lock"});
	free_slot();
	done(&(struct what){2, OP_UNLOCK, 3, true, "unlock(slots_lock)"});
	done(&(struct what){2, OP_END, 0, false, "end"});
	release_file();
	event[6].before = 1;
	*v = (struct violation){.kind = BAD_USE_AFTER_FREE,
				.message = SLOT " is used after it was freed",
				.object = SLOT,
				.nr_others = 1};
	v->site = record[execution.nr_records - 1].site;
	v->other[0] = recorded(OP_FREE)->site;
	v->other_what[0] = "freed by";
}

static char *written(void (*report)(FILE *out, unsigned width), unsigned width)
{
	static char *buf;
	size_t size;
	FILE *out = open_memstream(&buf, &size);

	run();
	report(out, width);
	fclose(out);
	return buf;
}

static void text_report(FILE *out, unsigned width)
{
	struct report_style style = {.width = width};

	report_text(out, &violation, &style);
}

static void json_report(FILE *out, unsigned width)
{
	report_json(out, &violation);
}

static void html_report(FILE *out, unsigned width)
{
	report_html(out, &violation);
}

TEST(the_verdict_comes_first_and_the_replay_is_there)
{
	char *text = written(text_report, 200);

	EXPECT(!strncmp(text,
			"dying-file: use after free: " SLOT
			" is used after it was freed (1 switch)\n",
			75));
	EXPECT(strstr(text, "replay: toy explore replay 'dying-file:7>2'\n"));
	EXPECT(strstr(text, "-- preempted before mutex_lock(slots_lock); now"));
	EXPECT(strstr(text, "-- ends; now close"));
	EXPECT(strstr(text, "setup: alloc(" SLOT ")"));
	free(text);
}

TEST(what_does_not_matter_is_folded)
{
	char *text = written(text_report, 120);

	EXPECT(strstr(text, "setup: ... 5 operations"));
	EXPECT(strstr(text, "... 5 operations"));
	EXPECT(!strstr(text, "private"));
	free(text);
}

TEST(no_line_is_wider_than_the_terminal)
{
	for (unsigned width = 80; width <= 200; width += 5) {
		char *text = written(text_report, width), *save = NULL;

		for (char *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save))
			if (strncmp(line, "replay: ", 8) != 0)
				EXPECT(strlen(line) <= width);
		free(text);
	}
}

TEST(the_same_execution_gives_the_same_bytes)
{
	void (*const report[])(FILE * out, unsigned width) = {text_report, json_report,
							      html_report};

	for (int i = 0; i < 3; i++) {
		char *a = written(report[i], 100), *b = written(report[i], 100);

		EXPECT(!strcmp(a, b));
		EXPECT(!strstr(a, "0x"));
		free(a);
		free(b);
	}
}

TEST(json_names_the_missing_order)
{
	char *json = written(json_report, 0), *at = strstr(json, "\"missing_order\": {");

	ASSERT(at != NULL);
	EXPECT(!strstr(at, "null"));
	EXPECT(strstr(json, "\"name\": \"delete <b>\""));
	EXPECT(strstr(json, "\"preempted\": true"));
	EXPECT(strstr(json, "\"the use at release_file ("));
	EXPECT(strstr(json, "must come before the free at free_slot ("));
	free(json);
}

TEST(the_page_escapes_names_and_needs_nothing_else)
{
	char *html = written(html_report, 0);

	EXPECT(strstr(html, "delete &lt;b&gt;"));
	EXPECT(!strstr(html, "delete <b>"));
	EXPECT(!strstr(html, "http"));
	EXPECT(!strstr(html, "<script"));
	EXPECT(strstr(html, "class=\"missing\""));
	free(html);
}

TEST(the_id_does_not_depend_on_the_order_of_events)
{
	char a[REPORT_ID], b[REPORT_ID];
	struct violation *v = &execution.violation;
	struct site first;

	run();
	report_id(a, sizeof(a), &violation);
	first = v->site;
	v->site = v->other[0];
	v->other[0] = first;
	snprintf(v->object, sizeof(v->object), "struct slot #23");
	report_id(b, sizeof(b), &violation);
	EXPECT(!strcmp(a, b));
	EXPECT(!strncmp(a, "dying-file-", 11));
	v->kind = BAD_DOUBLE_FREE;
	report_id(b, sizeof(b), &violation);
	EXPECT(strcmp(a, b) != 0);
}

TEST(names_are_found_whole)
{
	EXPECT(slice_mentions("free(struct vm #1)", "struct vm #1"));
	EXPECT(!slice_mentions("free(struct vm #12)", "struct vm #1"));
	EXPECT(slice_mentions("a struct vm #12, struct vm #1+0x8", "struct vm #1"));
	EXPECT(!slice_mentions("anything", ""));
}
