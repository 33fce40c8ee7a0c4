/* SPDX-License-Identifier: MIT */
/*
 * Guest memory for library code. No translation is involved: the slot gives the hva, SRCU keeps the slot, and the host's own
 * tables say what lies there at this moment, so host changes need no notice here. Nothing is remembered between calls.
 */
#include <errno.h>

#include "host/guarded.h"
#include "mem/gmem.h"

/* One page at most. */
static int access_part(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, void *buf, size_t len,
		       bool write) REQUIRES_SHARED(&m->srcu)
{
	struct memslot *s = memslot_lookup(m, NULL, gpa / 4096);
	struct gmem_page page = {.file = NULL};
	bool done;
	u64 hva;

	if (!s || (s->flags & MEMSLOT_INVALID) || (write && (s->flags & MEMSLOT_READONLY)))
		return -EFAULT;
	/* What the guest sees, not what happens to lie at userspace_addr. */
	if (memslot_is_gmem(s) && gmem_page_get(s, gpa / 4096, &page))
		return -EFAULT;
	hva = (page.file ? page.hva : memslot_hva(s, gpa / 4096)) + gpa % 4096;
	done = write ? guarded_copy_to((void *)(uintptr_t)hva, buf, len)
		     : guarded_copy_from(buf, (void *)(uintptr_t)hva, len);
	if (page.file)
		gmem_page_put(&page);
	if (!done)
		return -EFAULT;
	/* After the data, as for a guest's write through a translation: GET takes the bit first and reads the page later. */
	if (write)
		memslot_mark_dirty(s, mv, gpa / 4096);
	return 0;
}

static int access(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, void *buf, size_t len, bool write)
{
	int cookie = srcu_read_lock(&m->srcu), ret = 0;

	while (len && !ret) {
		size_t part = MIN(len, 4096 - gpa % 4096);

		ret = access_part(m, mv, gpa, buf, part, write);
		gpa += part;
		buf = (char *)buf + part;
		len -= part;
	}
	srcu_read_unlock(&m->srcu, cookie);
	return ret;
}

int mem_read_guest(struct vm_mem *m, u64 gpa, void *buf, size_t len)
{
	return access(m, NULL, gpa, buf, len, false);
}

int mem_write_guest(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, const void *buf, size_t len)
{
	return access(m, mv, gpa, (void *)buf, len, true);
}
