/* SPDX-License-Identifier: MIT */
/*
 * Guest memory for library code. No translation is involved: the slot gives the hva, SRCU keeps the slot, and the host's own
 * tables say what lies there at this moment, so host changes need no notice here. Nothing is remembered between calls.
 */
#include <errno.h>

#include "host/guarded.h"
#include "mem/attrs.h"
#include "mem/gmem.h"

/* Where a guest address is, for one access. */
struct place {
	struct memslot *slot;
	struct gmem_page page; /* .file NULL: ordinary memory */
	void *hva;
};

static bool place_find(struct vm_mem *m, u64 gpa, bool write, struct place *p)
	REQUIRES_SHARED(&m->srcu)
{
	struct memslot *s = memslot_lookup(m, NULL, gpa / 4096);
	struct mem_attr attr;

	*p = (struct place){.slot = s};
	if (!s || (s->flags & MEMSLOT_INVALID) || (write && (s->flags & MEMSLOT_READONLY)))
		return false;
	/* What the guest sees, not what happens to lie at userspace_addr. */
	mem_attr_at(m, gpa / 4096, &attr);
	if (memslot_serves_gmem(s, attr.private) ? gmem_page_get(s, gpa / 4096, &p->page)
						 : attr.private)
		return false;
	p->hva = (void *)(uintptr_t)((p->page.file ? p->page.hva : memslot_hva(s, gpa / 4096)) +
				     gpa % 4096);
	return true;
}

static void place_put(const struct place *p)
{
	if (p->page.file)
		gmem_page_put(&p->page);
}

/* One page at most. */
static int access_part(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, void *buf, size_t len,
		       bool write) REQUIRES_SHARED(&m->srcu)
{
	struct place p;
	bool done;

	if (!place_find(m, gpa, write, &p))
		return -EFAULT;
	done = write ? guarded_copy_to(p.hva, buf, len) : guarded_copy_from(buf, p.hva, len);
	place_put(&p);
	if (!done)
		return -EFAULT;
	/* After the data, as for a guest's write through a translation: GET takes the bit first and reads the page later. */
	if (write)
		memslot_mark_dirty(p.slot, mv, gpa / 4096);
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

/* Of the slot at gpa; MEMSLOT_INVALID where none is. */
static u32 slot_flags(struct vm_mem *m, u64 gpa)
{
	int cookie = srcu_read_lock(&m->srcu);
	const struct memslot *s = memslot_lookup(m, NULL, gpa / 4096);
	u32 flags = s ? s->flags : (u32)MEMSLOT_INVALID;

	srcu_read_unlock(&m->srcu, cookie);
	return flags;
}

bool mem_is_visible(struct vm_mem *m, u64 gpa)
{
	return !(slot_flags(m, gpa) & MEMSLOT_INVALID);
}

bool mem_is_writable(struct vm_mem *m, u64 gpa)
{
	return !(slot_flags(m, gpa) & (MEMSLOT_INVALID | MEMSLOT_READONLY));
}

int mem_read_guest64(struct vm_mem *m, u64 gpa, u64 *out)
{
	struct place p;
	bool done;

	if (!place_find(m, gpa, false, &p))
		return -EFAULT;
	/* Acquire: a table is read after the descriptor that names it, as the guest wrote them in the other order. */
	done = guarded_load_acquire64(p.hva, out);
	place_put(&p);
	return done ? 0 : -EFAULT;
}

int mem_cmpxchg_guest64(struct vm_mem *m, struct mem_vcpu *mv, u64 gpa, u64 old, u64 new)
{
	bool done, swapped = false;
	struct place p;

	if (!place_find(m, gpa, true, &p))
		return -EFAULT;
	/* Nothing is written that could not be reported: KVM_RUN is left before the guest tries again. */
	if (memslot_is_logging(p.slot) && !memslot_dirty_room(mv)) {
		place_put(&p);
		return -EAGAIN;
	}
	done = guarded_cmpxchg64(p.hva, &old, new, &swapped);
	place_put(&p);
	if (!done)
		return -EFAULT;
	if (!swapped)
		return -EAGAIN;
	memslot_mark_dirty(p.slot, mv, gpa / 4096);
	return 0;
}
