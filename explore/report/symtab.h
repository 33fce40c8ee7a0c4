/* SPDX-License-Identifier: MIT */
/* The symbol table of an ELF file: what is left to name a function by when there is no addr2line. */
#ifndef ANYKVM_EXPLORE_REPORT_SYMTAB_H
#define ANYKVM_EXPLORE_REPORT_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symtab {
	void *map;
	size_t size;
};

bool symtab_open(struct symtab *t, const char *path);
/* The function at addr (as in the file, not in memory); false if none. */
bool symtab_find(const struct symtab *t, uint64_t addr, char *name, size_t size);
void symtab_close(struct symtab *t);

#endif
