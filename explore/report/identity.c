/* SPDX-License-Identifier: MIT */
/*
 * Names that last: of a violation, of a scenario, of the program's machine code. Hashes are FNV-1a over 64 bits, over texts and bytes
 * that depend on neither addresses nor the order of executions.
 */
#include "report/cause.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>

#define HASH_START 0xcbf29ce484222325ull

static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
	for (const unsigned char *p = data, *end = p + n; p < end; p++)
		h = (h ^ *p) * 0x100000001b3ull;
	return h;
}

/* With its end, so that "ab", "c" is not "a", "bc". */
static uint64_t hash_text(uint64_t h, const char *text)
{
	return hash_bytes(h, text ? text : "", text ? strlen(text) + 1 : 1);
}

uint64_t report_scenario_hash(const struct explore_scenario *sc)
{
	uint64_t h = hash_text(HASH_START, sc->name);

	h = hash_text(h, sc->summary);
	h = hash_text(h, sc->property);
	for (int i = 0; i < EXPLORE_MAX_THREADS && sc->thread[i].fn; i++)
		h = hash_text(h, sc->thread[i].name);
	h = hash_bytes(h, &sc->faults, sizeof(sc->faults));
	return hash_bytes(h, &sc->flags, sizeof(sc->flags));
}

/* The main program comes first; nothing in its code is changed by loading it. */
static int hash_program(struct dl_phdr_info *info, __attribute__((unused)) size_t size, void *arg)
{
	uint64_t *h = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X))
			*h = hash_bytes(*h, (const void *)(info->dlpi_addr + p->p_vaddr),
					p->p_filesz);
	}
	return 1;
}

uint64_t report_code_hash(void)
{
	static uint64_t h;

	if (!h) {
		h = HASH_START;
		dl_iterate_phdr(hash_program, &h);
	}
	return h;
}

/* "struct vm" of "slots_lock of struct vm #1+0x20": which one it was depends on the order. */
static uint64_t hash_object_type(uint64_t h, const char *object)
{
	char type[sizeof(((struct violation *)0)->object)];

	snprintf(type, sizeof(type), "%s", object);
	type[strcspn(type, "#+")] = '\0';
	return hash_text(h, type);
}

/* The functions where it showed and where it came from count alike: which of two was first depends on the order. */
static uint64_t hash_site(const struct site *site)
{
	struct frame f[MAX_FRAMES];
	unsigned nr = symbols_stack(site, f, MAX_FRAMES);

	return nr ? hash_text(HASH_START, f[symbols_place(f, nr)].function) : 0;
}

void report_id(char *buf, size_t size, const struct report_violation *v)
{
	const struct violation *bad = &v->x->violation;
	uint64_t h = hash_text(HASH_START, v->scenario->name), sites;

	symbols_set_wrappers(v->suite->wrappers);
	symbols_want_site(&bad->site);
	for (unsigned i = 0; i < bad->nr_others; i++)
		symbols_want_site(&bad->other[i]);
	symbols_resolve();
	sites = hash_site(&bad->site);
	for (unsigned i = 0; i < bad->nr_others; i++)
		sites += hash_site(&bad->other[i]);
	h = hash_text(h, violation_name(bad->kind));
	h = hash_object_type(h, bad->object);
	h = hash_bytes(h, &sites, sizeof(sites));
	snprintf(buf, size, "%s-%08x", v->scenario->name, (unsigned)(h ^ h >> 32));
}

void identity_message(const struct execution *x, char *buf, size_t size)
{
	const struct violation *v = &x->violation;
	size_t n = 0;

	if (v->kind != BAD_DEADLOCK || v->nr_edges < 2) {
		snprintf(buf, size, "%s", v->message);
		return;
	}
	for (unsigned e = 0; e < v->nr_edges && n < size; e++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s",
				      !e		    ? ""
				      : e + 1 < v->nr_edges ? ", "
							    : " and ",
				      x->fiber_name[v->edge[e].fiber]);
	if (n < size)
		snprintf(buf + n, size - n, " wait for each other");
}

void report_verdict(char *buf, size_t size, const struct report_violation *v)
{
	const struct execution *x = v->x;
	char broken[96] = "", faults[32] = "", message[600];
	unsigned nr_faults = 0;

	identity_message(x, message, sizeof(message));
	for (uint32_t i = 0; i < v->schedule->nr; i++)
		nr_faults += v->schedule->deviation[i].choice;
	if (v->mutant)
		snprintf(broken, sizeof(broken), " with %s", v->mutant);
	if (nr_faults)
		snprintf(faults, sizeof(faults), ", %u choice%s", nr_faults,
			 nr_faults == 1 ? "" : "s");
	snprintf(buf, size, "%s%s: %s: %s (%u switch%s%s)", v->scenario->name, broken,
		 violation_name(x->violation.kind), message, (unsigned)x->switches,
		 x->switches == 1 ? "" : "es", faults);
}

char *identity_replay(const struct report_violation *v)
{
	char *schedule = schedule_format(v->scenario->name, v->schedule), *out;

	if (!schedule ||
	    asprintf(&out, "%s replay %s%s%s'%s'", v->suite->program, v->mutant ? "--mutant " : "",
		     v->mutant ? v->mutant : "", v->mutant ? " " : "", schedule) < 0)
		abort();
	free(schedule);
	return out;
}
