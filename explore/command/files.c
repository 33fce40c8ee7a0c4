/* SPDX-License-Identifier: MIT */
/*
 * The files of a campaign. Lines of "key value", and blocks "key NAME SIZE" that are followed by so many bytes and a newline. No
 * number of parts is in a plan, so all that follows from plans is the same for any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command/campaign.h"

#define PLAN_HEAD    "explore-plan-1"
#define RESULTS_HEAD "explore-results-of-a-part-1"
#define LARGEST	     (1u << 30)

/* A file read at once, and where reading is. */
struct reader {
	const char *path;
	char *text, *at;
	size_t size;
};

static bool read_file(struct reader *r, const char *path)
{
	FILE *f = fopen(path, "r");
	long size;

	memset(r, 0, sizeof(*r));
	r->path = path;
	if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || size > LARGEST ||
	    fseek(f, 0, SEEK_SET)) {
		say("%s: cannot be read: %s", path, strerror(errno));
		if (f)
			fclose(f);
		return false;
	}
	r->text = malloc(size + 1);
	r->size = r->text ? fread(r->text, 1, size, f) : 0;
	fclose(f);
	if (!r->text || r->size != (size_t)size) {
		say("%s: cannot be read", path);
		free(r->text);
		return false;
	}
	r->text[r->size] = 0;
	r->at = r->text;
	return true;
}

static bool broken_file(const struct reader *r)
{
	say("%s: broken near byte %zu", r->path, (size_t)(r->at - r->text));
	return false;
}

/* The next line without its newline; it stays in the text. NULL: there is none. */
static char *next_line(struct reader *r)
{
	char *line = r->at, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = 0;
	r->at = end + 1;
	return line;
}

/* The value of the next line if its key is this one; NULL: it is not. */
static char *value_of(struct reader *r, const char *key)
{
	size_t n = strlen(key);
	char *line;

	if (strncmp(r->at, key, n) || r->at[n] != ' ')
		return NULL;
	line = next_line(r);
	return line ? line + n + 1 : NULL;
}

/* The block behind "key SIZE": it stays in the text, with a zero behind it. */
static char *block_of(struct reader *r, const char *key)
{
	char *value = value_of(r, key), *block = r->at;
	size_t size = value ? strtoull(value, NULL, 10) : 0;

	if (!value || size > LARGEST || size + 1 > (size_t)(r->text + r->size - r->at) ||
	    block[size] != '\n')
		return NULL;
	block[size] = 0;
	r->at += size + 1;
	return block;
}

static bool hex_of(struct reader *r, const char *key, uint64_t *value)
{
	char *text = value_of(r, key), *end;

	if (!text)
		return false;
	*value = strtoull(text, &end, 16);
	return end != text && !*end;
}

static uint64_t hash_of(const char *data, size_t size)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < size; i++)
		h = (h ^ (unsigned char)data[i]) * 0x100000001b3;
	return h;
}

static void put_block(FILE *f, const char *key, const char *block)
{
	fprintf(f, "%s %zu\n%s\n", key, strlen(block), block);
}

static FILE *create(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		say("%s: cannot be written: %s", path, strerror(errno));
	return f;
}

static bool finish(FILE *f, const char *path)
{
	bool bad = ferror(f);

	if (!fclose(f) && !bad)
		return true;
	say("%s: cannot be written to its end: %s", path, strerror(errno));
	return false;
}

int file_kind(const char *path)
{
	char head[64] = "";
	FILE *f = fopen(path, "r");

	if (!f) {
		say("%s: cannot be read: %s", path, strerror(errno));
		return 0;
	}
	if (!fgets(head, sizeof(head), f))
		head[0] = 0;
	fclose(f);
	if (!strcmp(head, PLAN_HEAD "\n"))
		return 1;
	if (!strcmp(head, RESULTS_HEAD "\n"))
		return 2;
	say("%s: neither a plan nor results of a part of one", path);
	return 0;
}

/* ---- plans ---- */

/* What a scenario came to in the rounds before. */
static void put_account(FILE *f, const struct search_result *r)
{
	fprintf(f, "account %u %u %u %llu %llu %llu %llu %llx %a %u %u %a %u %u %llu\n", r->verdict,
		r->mode, r->bound, (unsigned long long)r->runs, (unsigned long long)r->abandoned,
		(unsigned long long)r->events, (unsigned long long)r->classes,
		(unsigned long long)r->classes_hash, r->done, r->bounded, r->bound_under_way,
		r->all, r->max_events, r->limit_hit, (unsigned long long)r->found_at);
}

static bool take_account(struct reader *f, struct search_result *r)
{
	unsigned long long runs, abandoned, events, classes, hash, found_at;
	unsigned verdict, mode, bounded, limit_hit;
	char *text = value_of(f, "account");

	if (!text || sscanf(text, "%u %u %u %llu %llu %llu %llu %llx %la %u %u %la %u %u %llu",
			    &verdict, &mode, &r->bound, &runs, &abandoned, &events, &classes, &hash,
			    &r->done, &bounded, &r->bound_under_way, &r->all, &r->max_events,
			    &limit_hit, &found_at) != 15)
		return false;
	if (verdict > SEARCH_SEARCHED || mode > SEARCH_NAIVE)
		return false;
	r->verdict = verdict;
	r->mode = mode;
	r->runs = runs;
	r->abandoned = abandoned;
	r->events = events;
	r->classes = classes;
	r->classes_hash = hash;
	r->bounded = bounded;
	r->limit_hit = limit_hit;
	r->found_at = found_at;
	return true;
}

static void put_item(FILE *f, const struct item *it)
{
	fprintf(f, "scenario %s\n", it->scenario.name);
	put_account(f, &it->result);
	put_block(f, "order", it->order ? it->order : "");
	if (it->broken)
		put_block(f, "broken", it->broken);
	else if (it->found)
		put_block(f, "found", it->found);
	else if (it->plan)
		put_block(f, "plan", it->plan);
	else
		fprintf(f, "over -\n");
}

bool plan_write(const struct campaign *c, const char *path)
{
	const struct options *o = c->o;
	FILE *f = create(path);

	if (!f)
		return false;
	fprintf(f, PLAN_HEAD "\n");
	fprintf(f, "code %016llx\n", (unsigned long long)report_code_hash());
	fprintf(f, "round %u\n", c->round);
	fprintf(f, "mutant %s\n", o->mutated ? o->mutated : "-");
	fprintf(f, "search %u %u %llu %llu %u %d\n", o->search.mode, o->search.bound,
		(unsigned long long)o->search.seed, (unsigned long long)o->search.runs,
		o->search.limits.steps, o->faults);
	for (size_t i = 0; i < c->nr; i++)
		put_item(f, &c->item[i]);
	return finish(f, path);
}

static bool take_head(struct reader *r, struct options *o, unsigned *round)
{
	unsigned long long seed, runs;
	uint64_t code;
	unsigned mode;
	char *text;

	if (!next_line(r) || !hex_of(r, "code", &code) || !(text = value_of(r, "round")))
		return broken_file(r);
	*round = strtoul(text, NULL, 10);
	text = value_of(r, "mutant");
	if (!text)
		return broken_file(r);
	if (strcmp(text, o->mutated ? o->mutated : "-")) {
		say("%s: is a plan %s%s", r->path,
		    *text == '-' ? "without --mutant" : "with --mutant ", *text == '-' ? "" : text);
		return false;
	}
	if (code != report_code_hash()) {
		say("%s: was made by another build of this program: a campaign needs the same one "
		    "everywhere",
		    r->path);
		return false;
	}
	text = value_of(r, "search");
	if (!text ||
	    sscanf(text, "%u %u %llu %llu %u %d", &mode, &o->search.bound, &seed, &runs,
		   &o->search.limits.steps, &o->faults) != 6 ||
	    mode > SEARCH_NAIVE)
		return broken_file(r);
	o->search.mode = mode;
	o->search.seed = seed;
	o->search.runs = runs;
	return true;
}

static bool take_item(struct reader *r, const struct options *o, struct item *it)
{
	char *name = value_of(r, "scenario"), *block;
	const struct explore_scenario *sc = name ? scenario_find(o->suite, name) : NULL;

	if (!name)
		return broken_file(r);
	if (!sc) {
		say("%s: no scenario is called %s", r->path, name);
		return false;
	}
	item_init(it, o, sc);
	it->options.seconds = 0; /* a piece has an end of its own */
	if (!take_account(r, &it->result) || !(block = block_of(r, "order")))
		return broken_file(r);
	item_add_order(it, block);
	if ((block = block_of(r, "broken"))) {
		item_break(it, "%s", block);
	} else if ((block = block_of(r, "found"))) {
		it->found = strdup(block);
		it->state = ITEM_TELLING;
	} else if ((block = block_of(r, "plan"))) {
		item_continue(it, strdup(block));
	} else if (value_of(r, "over")) {
		it->state = ITEM_DONE;
	} else {
		return broken_file(r);
	}
	return true;
}

bool plan_read(struct campaign *c, struct options *o, const char *path, uint64_t *hash)
{
	struct reader r;
	size_t room = o->suite->nr_scenarios + 1;
	bool good;

	if (!read_file(&r, path))
		return false;
	*hash = hash_of(r.text, r.size);
	memset(c, 0, sizeof(*c));
	c->o = o;
	c->item = calloc(room, sizeof(*c->item));
	good = c->item && take_head(&r, o, &c->round);
	while (good && *r.at && c->nr < room) {
		good = take_item(&r, o, &c->item[c->nr]);
		c->nr += good;
	}
	good = good && !*r.at;
	free(r.text);
	return good;
}

/* ---- results ---- */

bool results_write(const struct campaign *c, const char *path, uint64_t plan_hash, unsigned part,
		   unsigned parts)
{
	FILE *f = create(path);

	if (!f)
		return false;
	fprintf(f, RESULTS_HEAD "\nplan %016llx\npart %u/%u\n", (unsigned long long)plan_hash,
		part + 1, parts);
	for (size_t i = 0; i < c->nr; i++) {
		const struct item *it = &c->item[i];

		if (!it->results && !it->broken)
			continue;
		fprintf(f, "scenario %s\n", it->scenario.name);
		if (it->broken)
			put_block(f, "broken", it->broken);
		else
			put_block(f, "pieces", it->results);
		put_block(f, "order", it->order ? it->order : "");
	}
	return finish(f, path);
}

static struct item *item_of(struct campaign *c, const char *name)
{
	for (size_t i = 0; i < c->nr; i++)
		if (!strcmp(c->item[i].scenario.name, name))
			return &c->item[i];
	return NULL;
}

static bool take_results(struct reader *r, struct campaign *c)
{
	char *name = value_of(r, "scenario"), *block;
	struct item *it = name ? item_of(c, name) : NULL;

	if (!it)
		return broken_file(r);
	if ((block = block_of(r, "broken")))
		item_break(it, "%s", block);
	else if ((block = block_of(r, "pieces")))
		item_add_results(it, block);
	else
		return broken_file(r);
	block = block_of(r, "order");
	if (!block)
		return broken_file(r);
	item_add_order(it, block);
	return true;
}

bool results_read(struct campaign *c, const char *path, uint64_t plan_hash)
{
	struct reader r;
	uint64_t hash;
	bool good;

	if (!read_file(&r, path))
		return false;
	good = next_line(&r) && hex_of(&r, "plan", &hash) && value_of(&r, "part");
	if (!good) {
		broken_file(&r);
	} else if (hash != plan_hash) {
		say("%s: results of another plan", path);
		good = false;
	}
	while (good && *r.at)
		good = take_results(&r, c);
	free(r.text);
	return good;
}
