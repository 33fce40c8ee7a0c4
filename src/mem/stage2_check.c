/* SPDX-License-Identifier: MIT */
/* What must hold of a table at rest (I-18, I-19). Checked builds. */
#include "base/log.h"
#include "mem/stage2.h"

#if defined(ANYKVM_CHECKED)
static s64 check_table(const struct s2_table *t, unsigned level)
{
	u32 count = a32_load_relaxed(&stage2_table_meta(t)->count), counted = 1;
	s64 leaves = 0;

	for (unsigned i = 0; i < S2_ENTRIES; i++) {
		u64 pte = a64_load_relaxed(&t->entry[i]);
		s64 below;

		if (!(pte & S2_VALID) && pte) {
			log_line("stage 2: level %u entry %u is 0x%llx at rest", level, i,
				 (long long)pte);
			return -1;
		}
		counted += s2_is_counted(pte);
		if (s2_is_leaf(pte, level))
			leaves++;
		if (!s2_is_table(pte, level))
			continue;
		below = check_table(s2_child(pte), level + 1);
		if (below < 0)
			return -1;
		leaves += below;
	}
	if (count != counted) {
		log_line("stage 2: level %u table says %u, has %u", level, count, counted);
		return -1;
	}
	return leaves;
}

s64 stage2_check(struct s2_pgt *pgt)
{
	s64 leaves = 0;

	for (unsigned i = 0; i < pgt->nr_roots; i++) {
		s64 n = check_table(pgt->root[i], pgt->start_level);

		if (n < 0)
			return -1;
		leaves += n;
	}
	return leaves;
}
#endif
