/* SPDX-License-Identifier: MIT */
/* What can be told of a program before it is started: whether the dynamic linker will load our library into it. */
#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "exec.h"

#define MAX_SCRIPTS 4
#define MAX_HEADERS 64

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#else
#define HOST_MACHINE EM_AARCH64
#endif

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "arm64";
	case EM_386:
		return "32-bit x86";
	case EM_ARM:
		return "32-bit Arm";
	case EM_RISCV:
		return "RISC-V";
	default:
		return "another machine";
	}
}

/* The interpreter that a script's first line names, into interpreter. */
static bool is_script(int fd, char *interpreter, size_t size)
{
	char line[256] = "";
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
	const char *start;
	size_t length;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	start = line + 2 + strspn(line + 2, " \t");
	length = strcspn(start, " \t\n");
	if (!length || length >= size)
		return false;
	memcpy(interpreter, start, length);
	interpreter[length] = 0;
	return true;
}

/* A program of Go makes its system calls itself, whether linked to libc or not. */
static bool has_go_note(int fd, const Elf64_Phdr *p)
{
	char note[4096];
	ssize_t n = pread(fd, note, p->p_filesz < sizeof(note) ? p->p_filesz : sizeof(note),
			  p->p_offset);

	for (ssize_t i = 0; i + (ssize_t)sizeof(Elf64_Nhdr) + 4 <= n;) {
		Elf64_Nhdr *h = (Elf64_Nhdr *)(note + i);

		if (h->n_namesz == 4 && !memcmp(note + i + sizeof(*h), "Go\0", 4))
			return true;
		if (h->n_namesz > sizeof(note) || h->n_descsz > sizeof(note))
			return false;
		i += sizeof(*h) + ((h->n_namesz + 3) & ~3u) + ((h->n_descsz + 3) & ~3u);
	}
	return false;
}

static const char *examine_headers(int fd, const Elf64_Ehdr *e)
{
	bool has_interpreter = false;

	for (unsigned i = 0; i < e->e_phnum && i < MAX_HEADERS; i++) {
		char interpreter[64] = "";
		Elf64_Phdr p;

		if (pread(fd, &p, sizeof(p), e->e_phoff + i * sizeof(p)) != sizeof(p))
			break;
		if (p.p_type == PT_NOTE && has_go_note(fd, &p))
			return "is a program in Go, which makes its system calls without libc";
		if (p.p_type != PT_INTERP)
			continue;
		has_interpreter = true;
		if (pread(fd, interpreter, sizeof(interpreter) - 1, p.p_offset) > 0 &&
		    strstr(interpreter, "musl"))
			return "is linked with musl, the preloaded library with glibc (link it "
			       "with glibc)";
	}
	return has_interpreter ? NULL
			       : "is linked statically: no library can be loaded into it (link it "
				 "dynamically, or build it with -include anykvm/redirect.h)";
}

static const char *examine(int fd, char *buf, size_t size)
{
	struct stat st;
	Elf64_Ehdr e;

	if (fstat(fd, &st))
		return NULL;
	if ((st.st_mode & S_ISUID && st.st_uid != geteuid()) ||
	    (st.st_mode & S_ISGID && st.st_gid != getegid()))
		return "is set-user-ID or set-group-ID: the dynamic linker loads no library into "
		       "such programs";
	if (geteuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "has file capabilities: the dynamic linker loads no library into such "
		       "programs";
	if (pread(fd, &e, sizeof(e), 0) < (ssize_t)EI_NIDENT || memcmp(e.e_ident, ELFMAG, SELFMAG))
		return NULL; /* the system's to refuse */
	if (e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_machine != HOST_MACHINE) {
		snprintf(buf, size, "is a program for %s and this command for %s%s",
			 machine_name(e.e_machine), machine_name(HOST_MACHINE),
			 e.e_machine == EM_AARCH64
				 ? ": start it by qemu-aarch64, with --library FILE for an arm64 "
				   "build of libanykvm-preload.so"
				 : "");
		return buf;
	}
	return examine_headers(fd, &e);
}

const char *program_refuses_preload(const char *path, char *buf, size_t size)
{
	char interpreter[256], reason[256];
	const char *why;
	int fd;

	for (int depth = 0; depth < MAX_SCRIPTS; depth++) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return NULL; /* the system's to refuse, or not to be looked into */
		if (!is_script(fd, interpreter, sizeof(interpreter))) {
			why = examine(fd, reason, sizeof(reason));
			close(fd);
			if (!why)
				return NULL;
			snprintf(buf, size, "%s%s%s%s", depth ? "is a script for " : "",
				 depth ? interpreter : "", depth ? ", which " : "", why);
			return buf;
		}
		close(fd);
		path = interpreter;
	}
	return NULL;
}

static bool read_header(const char *path, Elf64_Ehdr *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = pread(fd, e, sizeof(*e), 0);
	close(fd);
	return n == sizeof(*e) && !memcmp(e->e_ident, ELFMAG, SELFMAG);
}

bool program_is_elf(const char *path)
{
	Elf64_Ehdr e;

	return read_header(path, &e);
}

bool program_is_foreign(const char *path)
{
	Elf64_Ehdr e;

	return read_header(path, &e) && e.e_machine != HOST_MACHINE;
}
