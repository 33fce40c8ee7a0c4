/* SPDX-License-Identifier: MIT */
/*
 * Guest memory for library code. No translation is involved: the slot gives the hva, SRCU keeps the slot, and the host's own
 * tables say what lies there at this moment, so host changes need no notice here. Nothing is remembered between calls.
 */
#include <errno.h>

#include "host/guarded.h"
#include "mem/memslot.h"

/* Where gpa is, or NULL. */
static void *find(struct vm_mem *m, u64 gpa, bool write, struct memslot **slot)
	REQUIRES_SHARED(&m->srcu)
{
	struct memslot *s = memslot_lookup(m, NULL, gpa / 4096);

	*slot = s;
	if (!s || (s->flags & MEMSLOT_INVALID) || (write && (s->flags & MEMSLOT_READONLY)))
		return NULL;
	return (void *)(uintptr_t)(memslot_hva(s, gpa / 4096) + gpa % 4096);
}

/* One page at most. */
static int access_part(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, void *buf, size_t len,
		       bool write) REQUIRES_SHARED(&m->srcu)
{
	struct memslot *s;
	void *hva = find(m, gpa, write, &s);

	if (!hva)
		return -EFAULT;
	if (!(write ? guarded_copy_to(hva, buf, len) : guarded_copy_from(buf, hva, len)))
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

int mem_read_guest64(struct vm_mem *m, u64 gpa, u64 *out)
{
	struct memslot *s;
	void *hva = find(m, gpa, false, &s);

	/* Acquire: a table is read after the descriptor that names it, as the guest wrote them in the other order. */
	return hva && guarded_load_acquire64(hva, out) ? 0 : -EFAULT;
}

int mem_cmpxchg_guest64(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, u64 old, u64 new)
{
	struct memslot *s;
	void *hva = find(m, gpa, true, &s);
	bool swapped;

	/* Nothing is written that could not be reported: KVM_RUN is left before the guest tries again. */
	if (hva && memslot_is_logging(s) && !memslot_dirty_room(mv))
		return -EAGAIN;
	if (!hva || !guarded_cmpxchg64(hva, &old, new, &swapped))
		return -EFAULT;
	if (!swapped)
		return -EAGAIN;
	memslot_mark_dirty(s, mv, gpa / 4096);
	return 0;
}
