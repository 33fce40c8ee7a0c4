/* SPDX-License-Identifier: MIT */
/* From a place in the machine code to function, file and line: all that a report names, in one go. */
#ifndef ANYKVM_EXPLORE_REPORT_SYMBOLS_H
#define ANYKVM_EXPLORE_REPORT_SYMBOLS_H

#include "engine/engine.h"

struct frame {
	const char *function;
	const char *file; /* relative to the project, NULL: not known */
	unsigned line;
};

/*
 * Wanted first, then resolved together: one run of addr2line for each object file. What was resolved is kept for the life of the process.
 */
void symbols_want(uintptr_t pc); /* a return address */
void symbols_want_site(const struct site *site);
void symbols_resolve(void);

/* The stack at site, innermost first, inlined functions taken apart; frames of the explorer's own are left out. Returns how many. */
unsigned symbols_stack(const struct site *site, struct frame *out, unsigned max);

/*
 * Which of those frames names the place: the innermost that is in none of the wrappers (see explore_suite) and in no header, else the
 * innermost.
 */
void symbols_set_wrappers(const char *prefixes);
unsigned symbols_place(const struct frame *frame, unsigned nr);

/* "/home/a/project/build/../src/vm.c" is "src/vm.c". In place. exe_dir: what else is the project's root. */
void symbols_shorten_path(char *path, const char *exe_dir);
/* "vm_free.part.0" is "vm_free". In place. */
void symbols_shorten_function(char *name);

#endif
