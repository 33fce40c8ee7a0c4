/* SPDX-License-Identifier: MIT */
/* explore plan and merge: a campaign in rounds, each of which is a list of commands that need nothing of one another. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/campaign.h"
#include "command/pool.h"

#define FOLDER "explore-campaign"

struct names {
	char **name;
	size_t nr;
};

/* As one word of a shell. */
static void print_word(FILE *f, const char *word)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=@%,";

	if (*word && !word[strspn(word, plain)]) {
		fputs(word, f);
		return;
	}
	fputc('\'', f);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", f);
		else
			fputc(*word, f);
	}
	fputc('\'', f);
}

static size_t pieces_left(const struct campaign *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->nr; i++)
		n += c->item[i].state == ITEM_SEARCHING ? c->item[i].nr_pieces : 0;
	return n;
}

static void print_commands(const struct campaign *c, const char *folder, unsigned parts, FILE *f)
{
	size_t pieces = pieces_left(c);
	char name[PATH_MAX];

	for (unsigned k = 1; k <= parts && k <= pieces; k++) {
		print_word(f, own_program(c->o));
		fputs(" run", f);
		if (c->o->mutated) {
			fputs(" --mutant ", f);
			print_word(f, c->o->mutated);
		}
		snprintf(name, sizeof(name), "%s/plan-%u", folder, c->round);
		fputs(" --plan ", f);
		print_word(f, name);
		snprintf(name, sizeof(name), "%s/result-%u-%u-of-%u", folder, c->round, k, parts);
		fprintf(f, " --part %u/%u --result ", k, parts);
		print_word(f, name);
		fputc('\n', f);
	}
}

static bool write_round(const struct campaign *c, const char *folder)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/plan-%u", folder, c->round);
	if (access(path, F_OK))
		return plan_write(c, path);
	say("%s: is there already, of an older campaign; --folder names another folder", path);
	return false;
}

int plan_main(struct options *o)
{
	const char *folder = o->folder ? o->folder : FOLDER;
	struct campaign c;
	bool good;

	if (!o->parts) {
		say("plan: in how many parts? --parts N");
		return STATUS_MISUSE;
	}
	if (o->search.seconds > 0) {
		say("--seconds: a plan is the same for slow and fast machines; --runs limits it, "
		    "and merge --stop ends it");
		return STATUS_MISUSE;
	}
	if (!scenarios_to_run(o) || !campaign_init(&c, o))
		return STATUS_MISUSE;
	for (size_t i = 0; i < c.nr; i++)
		item_plan(&c.item[i]);
	if (mkdir(folder, 0777) && errno != EEXIST) {
		say("%s: cannot be made: %s", folder, strerror(errno));
		good = false;
	} else {
		good = write_round(&c, folder);
	}
	if (good)
		print_commands(&c, folder, o->parts, stdout);
	campaign_free(&c);
	return good ? STATUS_CLEAN : STATUS_MISUSE;
}

/* ---- merge ---- */

static void name_add(struct names *n, const char *folder, const char *name)
{
	char *path;

	n->name = realloc(n->name, (n->nr + 1) * sizeof(*n->name));
	if (!n->name ||
	    asprintf(&path, "%s%s%s", folder ? folder : "", folder ? "/" : "", name) < 0) {
		say("out of memory");
		exit(STATUS_MISUSE);
	}
	n->name[n->nr++] = path;
}

/* Of a folder: the newest plan and its results. */
static bool names_of_folder(struct names *n, const char *folder)
{
	DIR *d = opendir(folder);
	unsigned round, newest = 0;
	struct dirent *e;
	char head[64];
	bool any = false;

	if (!d) {
		say("%s: cannot be read: %s", folder, strerror(errno));
		return false;
	}
	while ((e = readdir(d))) {
		if (sscanf(e->d_name, "plan-%u", &round) != 1)
			continue;
		newest = !any || round > newest ? round : newest;
		any = true;
	}
	if (!any) {
		say("%s: there is no plan in it", folder);
		closedir(d);
		return false;
	}
	snprintf(head, sizeof(head), "plan-%u", newest);
	name_add(n, folder, head);
	snprintf(head, sizeof(head), "result-%u-", newest);
	rewinddir(d);
	while ((e = readdir(d)))
		if (!strncmp(e->d_name, head, strlen(head)))
			name_add(n, folder, e->d_name);
	closedir(d);
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_collect(const struct options *o, struct names *n)
{
	struct stat st;

	for (size_t i = 0; i < o->nr_words; i++) {
		if (!stat(o->word[i], &st) && S_ISDIR(st.st_mode)) {
			if (!names_of_folder(n, o->word[i]))
				return false;
			continue;
		}
		name_add(n, NULL, o->word[i]);
	}
	qsort(n->name, n->nr, sizeof(*n->name), compare_names);
	return true;
}

/* The one plan among them, read. NULL after a message. */
static const char *find_plan(struct campaign *c, struct options *o, const struct names *n,
			     uint64_t *hash)
{
	const char *plan = NULL;

	for (size_t i = 0; i < n->nr; i++) {
		switch (file_kind(n->name[i])) {
		case 0:
			return NULL;
		case 1:
			if (plan) {
				say("%s and %s are both plans: merge takes one round at a time",
				    plan, n->name[i]);
				return NULL;
			}
			plan = n->name[i];
		}
	}
	if (!plan) {
		say("merge: none of the files is a plan");
		return NULL;
	}
	return plan_read(c, o, plan, hash) ? plan : NULL;
}

/* The number behind the last "-of-", if it is larger. */
static unsigned parts_of(const char *name, unsigned parts)
{
	const char *p = strstr(name, "-of-");
	unsigned n = p ? strtoul(p + 4, NULL, 10) : 0;

	return n > parts && n <= MAX_PARTS ? n : parts;
}

static bool unite(struct campaign *c, const struct names *n, const char *plan, uint64_t hash,
		  unsigned *parts)
{
	for (size_t i = 0; i < n->nr; i++) {
		if (n->name[i] == plan)
			continue;
		if (!results_read(c, n->name[i], hash))
			return false;
		*parts = parts_of(n->name[i], *parts);
	}
	for (size_t i = 0; i < c->nr; i++) {
		struct item *it = &c->item[i];

		if (it->state != ITEM_SEARCHING || item_unite(it))
			continue;
		if (c->o->stop) {
			free(it->broken);
			it->broken = NULL;
			continue;
		}
		say("%s: %s", it->scenario.name, it->broken);
		return false;
	}
	return true;
}

/* Another round: its plan beside the old one, its commands. */
static int go_on(struct campaign *c, const char *plan, unsigned parts, FILE *next)
{
	const char *slash = strrchr(plan, '/');
	char *folder = slash ? strndup(plan, slash - plan) : strdup(".");
	bool good;

	c->round++;
	good = folder && write_round(c, folder);
	if (good)
		print_commands(c, folder, parts ? parts : 1, next);
	free(folder);
	return good ? STATUS_UNFINISHED : STATUS_MISUSE;
}

static int merge_files(struct options *o, struct names *n, FILE *next)
{
	struct campaign c = {0};
	const char *plan;
	uint64_t hash;
	unsigned parts = 0;
	int status = STATUS_MISUSE;

	plan = find_plan(&c, o, n, &hash);
	if (plan && unite(&c, n, plan, hash, &parts)) {
		if (pieces_left(&c) && !o->stop) {
			status = go_on(&c, plan, o->parts ? o->parts : parts, next);
		} else {
			for (size_t i = 0; i < c.nr; i++) {
				if (c.item[i].state != ITEM_SEARCHING)
					continue;
				item_stop(&c.item[i]);
				/* By --stop, whatever time the pieces had. */
				c.item[i].result.interrupted = true;
				c.item[i].result.out_of_time = false;
			}
			campaign_run(&c);
			status = campaign_finish(&c);
		}
	}
	campaign_free(&c);
	return status;
}

int merge_main(struct options *o)
{
	struct names n = {0};
	FILE *next = stdout;
	int status = STATUS_MISUSE;

	if (!o->nr_words) {
		say("merge what? The folder of a campaign, or a plan and the results of its parts");
		return STATUS_MISUSE;
	}
	if (o->next)
		next = fopen(o->next, "w");
	if (!next) {
		say("%s: cannot be written: %s", o->next, strerror(errno));
		return STATUS_MISUSE;
	}
	if (names_collect(o, &n))
		status = merge_files(o, &n, next);
	if (o->next)
		fclose(next);
	for (size_t i = 0; i < n.nr; i++)
		free(n.name[i]);
	free(n.name);
	return status;
}
