/* SPDX-License-Identifier: MIT */
/*
 * The symbol table of an ELF file, read where it lies. Every offset is checked against the size of the file before use: the file is the
 * program itself, but may have been replaced while it runs.
 */
#include "report/symtab.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool symtab_open(struct symtab *t, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	t->map = MAP_FAILED;
	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && st.st_size >= (off_t)sizeof(Elf64_Ehdr)) {
		t->size = (size_t)st.st_size;
		t->map = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	close(fd);
	if (t->map == MAP_FAILED)
		return false;
	if (!memcmp(t->map, ELFMAG "\2", SELFMAG + 1))
		return true;
	symtab_close(t);
	return false;
}

void symtab_close(struct symtab *t)
{
	if (t->map != MAP_FAILED)
		munmap(t->map, t->size);
	t->map = MAP_FAILED;
}

/* [offset, offset + size) of the file, NULL if it is not all there. */
static const void *symtab_part(const struct symtab *t, uint64_t offset, uint64_t size)
{
	if (offset > t->size || size > t->size - offset)
		return NULL;
	return (const char *)t->map + offset;
}

static bool search_symbols(const struct symtab *t, const Elf64_Shdr *table,
			   const Elf64_Shdr *strings, uint64_t addr, char *name, size_t size)
{
	const Elf64_Sym *sym = symtab_part(t, table->sh_offset, table->sh_size);
	const char *str = symtab_part(t, strings->sh_offset, strings->sh_size);
	size_t nr = table->sh_size / sizeof(*sym);

	if (!sym || !str)
		return false;
	for (size_t i = 0; i < nr; i++) {
		if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC || addr < sym[i].st_value ||
		    addr - sym[i].st_value >= sym[i].st_size || sym[i].st_name >= strings->sh_size)
			continue;
		snprintf(name, size, "%.*s", (int)(strings->sh_size - sym[i].st_name),
			 str + sym[i].st_name);
		return true;
	}
	return false;
}

bool symtab_find(const struct symtab *t, uint64_t addr, char *name, size_t size)
{
	const Elf64_Ehdr *head = t->map;
	const Elf64_Shdr *section =
		symtab_part(t, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*section));

	if (!section)
		return false;
	for (unsigned i = 0; i < head->e_shnum; i++) {
		if (section[i].sh_type != SHT_SYMTAB && section[i].sh_type != SHT_DYNSYM)
			continue;
		if (section[i].sh_link < head->e_shnum &&
		    search_symbols(t, &section[i], &section[section[i].sh_link], addr, name, size))
			return true;
	}
	return false;
}
