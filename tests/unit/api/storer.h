/* SPDX-License-Identifier: MIT */
/* A guest that stores where the test says, and a look at the translations it has. */
#ifndef ANYKVM_TESTS_STORER_H
#define ANYKVM_TESTS_STORER_H

#include "../../api/vmm.h"
#include "api/api.h"
#include "host/signal.h"

#define GPA   0x80000000ull
#define BLOCK 0x200000ull

/* tests/unit/mem/rig.c */
char *rig_dump(struct vm_mem *m);

static inline struct vm *vm_of(const struct machine *m)
{
	struct file *f = fd_get(m->vcpu[0], false);
	struct vm *vm = api_file_of(f)->vm;

	file_put(f);
	return vm;
}

/* Leaves of stage 2 that begin in [gpa, gpa + size), and those of them at level 3. */
static inline int leaves_in(const struct machine *m, uint64_t gpa, uint64_t size, int *pages)
{
	u64 mask = host_signals_block();
	char *dump = rig_dump(&vm_of(m)->mem), *save = NULL;
	int leaves = 0;

	host_signals_restore(mask);
	*pages = 0;
	for (char *line = strtok_r(dump, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long ipa;
		unsigned level;

		if (sscanf(line, "leaf %llx L%u", &ipa, &level) != 2 || ipa < gpa ||
		    ipa >= gpa + size)
			continue;
		leaves++;
		*pages += level == 3;
	}
	free(dump);
	return leaves;
}

/* The leaf of the page at gpa, or 0. */
static inline uint64_t leaf_of(const struct machine *m, uint64_t gpa)
{
	u64 mask = host_signals_block();
	char *dump = rig_dump(&vm_of(m)->mem), *save = NULL;
	uint64_t leaf = 0;

	host_signals_restore(mask);
	for (char *line = strtok_r(dump, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long ipa, pte;
		unsigned level;

		if (sscanf(line, "leaf %llx L%u %llx", &ipa, &level, &pte) == 3 && ipa == gpa)
			leaf = pte;
	}
	free(dump);
	return leaf;
}

static inline int nr_leaves(const struct machine *m, uint64_t gpa, uint64_t size)
{
	int pages;

	return leaves_in(m, gpa, size, &pages);
}

/* Guest: stores x0 to the word at x1, then reports x0; x0 and x1 are the test's to set. */
static inline void storer(struct machine *m)
{
	struct code c = code_at(m, RAM);

	str(&c, 8, 0, 1, 0);
	report(&c, 0, 0);
	code_done(m);
}

static inline int store_at(struct machine *m, uint64_t gpa, uint64_t value)
{
	m->run[0]->immediate_exit = 1;
	run(m, 0); /* finishes the last report */
	m->run[0]->immediate_exit = 0;
	set_reg(m->vcpu[0], CORE_REG(regs.pc), RAM);
	set_x(m->vcpu[0], 0, value);
	set_x(m->vcpu[0], 1, gpa);
	return run(m, 0);
}

static inline unsigned char *map_file(int fd, int flags, uint64_t size, uint64_t offset)
{
	unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

	ASSERT(p != MAP_FAILED);
	return p;
}

#endif
