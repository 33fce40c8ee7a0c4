/* SPDX-License-Identifier: MIT */
/*
 * Names for places in the machine code. addr2line reads the debug information (22 ms for the whole of a 7 MB program), once for all
 * places of a report; where there is none, or the program has no debug information, the symbol table gives the function.
 *
 * A place is a return address: the call is in the byte before. Addresses are those of the file (the load bias is taken off), so nothing
 * of the layout of memory gets into a report.
 */
#include "report/symbols.h"
#include "report/symtab.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_MODULES 8
#define MAX_BATCH   512 /* addresses of one command line */

struct place {
	uintptr_t pc;
	bool resolved; /* or tried in vain */
	int module;    /* -1: in none */
	uint64_t addr;
	struct frame *frame;
	unsigned nr;
};

/* All places of the process that were ever asked for: ascending by pc but for those wanted since the last resolve. */
static struct {
	struct place *place;
	size_t nr, size;
	char path[MAX_MODULES][PATH_MAX];
	int nr_modules;
	char exe_dir[PATH_MAX];
	const char *wrappers;
} known;

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->pc < y->pc ? -1 : x->pc > y->pc;
}

void symbols_want(uintptr_t pc)
{
	if (!pc)
		return;
	if (known.nr == known.size) {
		known.size = known.size ? known.size * 2 : 256;
		known.place = realloc(known.place, known.size * sizeof(*known.place));
		if (!known.place)
			abort();
	}
	known.place[known.nr++] = (struct place){.pc = pc, .module = -1};
}

void symbols_want_site(const struct site *site)
{
	for (int i = 0; i < MAX_STACK && site->pc[i]; i++)
		symbols_want(site->pc[i]);
}

void symbols_shorten_function(char *name)
{
	char *dot = strchr(name, '.');

	if (dot && dot != name)
		*dot = '\0';
}

/* Takes "/./" and "/a/../" out. Returns where the directory that the first ".." led to ends: the build directory's parent. */
static size_t normalize(char *path)
{
	size_t root = 0;
	char *at;

	while ((at = strstr(path, "/./")))
		memmove(at, at + 2, strlen(at + 2) + 1);
	while ((at = strstr(path, "/../"))) {
		char *parent = at;

		while (parent > path && parent[-1] != '/')
			parent--;
		if (parent == path)
			break;
		memmove(parent, at + 4, strlen(at + 4) + 1);
		root = (size_t)(parent - path);
	}
	return root;
}

void symbols_shorten_path(char *path, const char *exe_dir)
{
	size_t root = normalize(path);
	size_t n = strlen(exe_dir);
	const char *base = strrchr(path, '/');

	if (!root && n && !strncmp(path, exe_dir, n) && path[n] == '/')
		root = n + 1;
	if (!root && path[0] == '/' && base)
		root = (size_t)(base + 1 - path);
	memmove(path, path + root, strlen(path + root) + 1);
}

static bool contains(const struct dl_phdr_info *info, uintptr_t pc)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && pc - (info->dlpi_addr + p->p_vaddr) < p->p_memsz)
			return true;
	}
	return false;
}

/* The running program's file: its path, or what still leads to it when the path no longer does. */
static void exe_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	path[n > 0 ? n : 0] = '\0';
	if (access(path, R_OK))
		snprintf(path, size, "/proc/%d/exe", (int)getpid());
}

static int locate_module(struct dl_phdr_info *info, __attribute__((unused)) size_t size, void *arg)
{
	char *path = known.path[known.nr_modules];
	int *nr_objects = arg;
	bool first = !(*nr_objects)++;
	bool used = false;

	if (known.nr_modules == MAX_MODULES)
		return 1;
	for (size_t i = 0; i < known.nr; i++) {
		struct place *p = &known.place[i];

		if (p->resolved || p->module >= 0 || !contains(info, p->pc - 1))
			continue;
		p->module = known.nr_modules;
		p->addr = p->pc - 1 - info->dlpi_addr;
		used = true;
	}
	if (!used)
		return 0;
	snprintf(path, PATH_MAX, "%s", info->dlpi_name);
	if (first)
		exe_path(path, PATH_MAX);
	known.nr_modules++;
	return 0;
}

static void add_frame(struct place *p, const char *function, char *position)
{
	char *end = strstr(position, " (discriminator");
	char *colon;
	struct frame f = {0};
	char name[256];

	if (end)
		*end = '\0';
	colon = strrchr(position, ':');
	if (colon) {
		*colon = '\0';
		f.line = (unsigned)strtoul(colon + 1, NULL, 10);
	}
	snprintf(name, sizeof(name), "%s", function);
	symbols_shorten_function(name);
	if (!strcmp(name, "??"))
		return;
	if (strcmp(position, "??") && f.line) {
		char file[PATH_MAX];

		snprintf(file, sizeof(file), "%s", position);
		symbols_shorten_path(file, known.exe_dir);
		f.file = strdup(file);
	}
	f.function = strdup(name);
	p->frame = realloc(p->frame, (p->nr + 1) * sizeof(*p->frame));
	if (!p->frame || !f.function)
		abort();
	p->frame[p->nr++] = f;
}

static struct place *find_addr(int module, uint64_t addr)
{
	for (size_t i = 0; i < known.nr; i++)
		if (!known.place[i].resolved && known.place[i].module == module &&
		    known.place[i].addr == addr)
			return &known.place[i];
	return NULL;
}

/* "0x1234", then a function and a position for each frame, until the next "0x". */
static void parse_answer(int module, FILE *in)
{
	char function[4096], position[PATH_MAX + 64];
	struct place *p = NULL;

	while (fgets(function, sizeof(function), in)) {
		function[strcspn(function, "\n")] = '\0';
		if (!strncmp(function, "0x", 2)) {
			p = find_addr(module, strtoull(function, NULL, 16));
			continue;
		}
		if (!fgets(position, sizeof(position), in))
			return;
		position[strcspn(position, "\n")] = '\0';
		if (p)
			add_frame(p, function, position);
	}
}

/* Runs argv with its output into the parser. False if it could not be run. */
static bool ask_command(int module, char *const *argv)
{
	posix_spawn_file_actions_t actions;
	int pipe_fd[2], status, err;
	pid_t pid;
	FILE *in;

	if (pipe2(pipe_fd, O_CLOEXEC))
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fd[1]);
	in = err ? NULL : fdopen(pipe_fd[0], "r");
	if (!in) {
		close(pipe_fd[0]);
		return false;
	}
	parse_answer(module, in);
	fclose(in);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* The addresses of one module from *from on, as many as one command line takes. False when there are none left or nobody answers. */
static bool ask_batch(int module, size_t *from)
{
	static char tool[][24] = {"addr2line", "llvm-addr2line", "llvm-addr2line-14"};
	static char options[] = "-afie";
	char text[MAX_BATCH][20];
	char *argv[MAX_BATCH + 4] = {NULL, options, known.path[module]};
	int n = 0;

	for (; *from < known.nr && n < MAX_BATCH; (*from)++) {
		const struct place *p = &known.place[*from];

		if (p->resolved || p->module != module)
			continue;
		snprintf(text[n], sizeof(text[n]), "0x%llx", (unsigned long long)p->addr);
		argv[3 + n] = text[n];
		n++;
	}
	for (size_t i = 0; n && i < sizeof(tool) / sizeof(tool[0]); i++) {
		argv[0] = tool[i];
		if (ask_command(module, argv))
			return true;
	}
	return false;
}

/* Functions for what has no name yet. */
static void ask_symtab(int module)
{
	struct symtab t = {0};
	char name[256];
	char nowhere[] = "??:0";

	if (!symtab_open(&t, known.path[module]))
		return;
	for (size_t i = 0; i < known.nr; i++) {
		struct place *p = &known.place[i];

		if (!p->resolved && p->module == module && !p->nr &&
		    symtab_find(&t, p->addr, name, sizeof(name)))
			add_frame(p, name, nowhere);
	}
	symtab_close(&t);
}

/* Sorts, and of several for one pc keeps the one that is resolved. */
static bool merge_places(void)
{
	size_t kept = 0;
	bool unresolved = false;

	qsort(known.place, known.nr, sizeof(*known.place), compare_places);
	for (size_t i = 0; i < known.nr; i++) {
		if (!kept || known.place[kept - 1].pc != known.place[i].pc)
			known.place[kept++] = known.place[i];
		else if (known.place[i].resolved)
			known.place[kept - 1] = known.place[i];
	}
	known.nr = kept;
	for (size_t i = 0; i < kept; i++)
		unresolved |= !known.place[i].resolved;
	return unresolved;
}

void symbols_resolve(void)
{
	int nr_objects = 0;
	char *slash;

	if (!known.nr || !merge_places())
		return;
	exe_path(known.exe_dir, sizeof(known.exe_dir));
	slash = strrchr(known.exe_dir, '/');
	if (slash)
		*slash = '\0';
	known.nr_modules = 0;
	dl_iterate_phdr(locate_module, &nr_objects);
	for (int m = 0; m < known.nr_modules; m++) {
		size_t from = 0;

		while (ask_batch(m, &from))
			;
		ask_symtab(m);
	}
	for (size_t i = 0; i < known.nr; i++)
		known.place[i].resolved = true;
}

/* The explorer's own doors: who reads a report asks who called them. */
static bool is_own(const struct frame *f)
{
	return f->file && (!strncmp(f->file, "explore/engine/", 15) ||
			   !strncmp(f->file, "explore/heap/", 13) ||
			   !strcmp(f->file, "explore/include/anykvm/explore.h"));
}

unsigned symbols_stack(const struct site *site, struct frame *out, unsigned max)
{
	unsigned n = 0;

	for (int i = 0; i < MAX_STACK && site->pc[i]; i++) {
		struct place key = {.pc = site->pc[i]};
		const struct place *p =
			known.nr ? bsearch(&key, known.place, known.nr, sizeof(key), compare_places)
				 : NULL;

		for (unsigned j = 0; p && j < p->nr && n < max; j++)
			if (!is_own(&p->frame[j]))
				out[n++] = p->frame[j];
	}
	return n;
}

void symbols_set_wrappers(const char *prefixes)
{
	known.wrappers = prefixes;
}

static bool is_wrapper(const char *file)
{
	size_t n = strlen(file), prefix;

	for (const char *p = known.wrappers; p && *p; p += prefix + !!p[prefix]) {
		prefix = strcspn(p, ",");
		if (!strncmp(file, p, prefix))
			return true;
	}
	return n > 2 && !strcmp(file + n - 2, ".h");
}

unsigned symbols_place(const struct frame *frame, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (frame[i].file && !is_wrapper(frame[i].file))
			return i;
	return 0;
}
