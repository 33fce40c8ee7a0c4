/* SPDX-License-Identifier: MIT */
/* A rig with guest_memfd: files as the API makes them, slots on them, accesses of the guest, and jobs for helpers. */
#ifndef ANYKVM_TESTS_MEM_GMEM_RIG_H
#define ANYKVM_TESTS_MEM_GMEM_RIG_H

#include "mem/gmem.h"
#include "mem/gmem_inode.h"
#include "rig.h"
#include "test.h"

#define SIZE (4 * MIB)
#define GPA  (16 * MIB)
#define HVA  ((void *)0x10000000)

static struct rig r;
static struct a32 released;

static inline void release(struct file *f)
{
	gmem_file_release(f->gmem);
	a32_fetch_add(&released, 1);
}

static const struct file_ops ops = {.type = "gmem", .release = release};

static inline struct file *file_of(struct gmem_file *gf)
{
	struct file *f = file_create(&ops, NULL);

	if (!f)
		abort();
	f->gmem = gf;
	return f;
}

static inline struct file *gmem_new_flags(u64 size, u64 flags)
{
	struct gmem_file *gf;

	if (gmem_create(&r.m, size, flags, &gf))
		abort();
	return file_of(gf);
}

static inline struct file *gmem_new(u64 size)
{
	return gmem_new_flags(size, GMEM_FLAGS);
}

static inline struct gmem_inode *inode_of(const struct file *f)
{
	return gmem_inode_of(f->gmem);
}

static inline int slot_at(u32 id, u64 gpa, u64 size, struct file *f, u64 offset, const void *hva)
{
	struct mem_region region = {.slot = id,
				    .flags = MEMSLOT_GMEM,
				    .guest_phys_addr = gpa,
				    .memory_size = size,
				    .userspace_addr = (uintptr_t)hva,
				    .guest_memfd = f,
				    .guest_memfd_error = -EBADF,
				    .guest_memfd_offset = offset,
				    .v2 = true};

	return mem_set_region(&r.m, &region);
}

static inline int slot(u32 id, u64 gpa, u64 size, struct file *f, u64 offset)
{
	return slot_at(id, gpa, size, f, offset, HVA);
}

static inline void start(void)
{
	rig_start(&r);
	a32_store(&released, 0);
}

static inline bool unbound(struct gmem_file *gf)
{
	return itree_empty(&gf->bindings);
}

static inline int guest(u64 ipa, enum fake_op op, u32 *x)
{
	int ret;

	library_enter();
	ret = fake_access(&r.v, ipa, op, x);
	library_exit();
	return ret;
}

static inline int level_at(u64 ipa)
{
	struct s2_result out;
	struct mem_fault f;

	return s2_lookup(&r.m.mmu, ipa, false, false, false, &out, &f) ? 0 : out.level;
}

/* What helpers do, each in the library as an API call is. */
struct job {
	struct helper h;
	struct file *f;
	struct gmem_inode *inode;
	u64 ipa, from, to;
	u32 id, value;
	enum fake_op op;
	int ret;
};

static inline void do_put(void *arg)
{
	struct job *j = arg;

	library_enter();
	file_put(j->f);
	library_exit();
}

static inline void do_delete(void *arg)
{
	struct job *j = arg;

	library_enter();
	j->ret = slot(j->id, j->ipa, 0, NULL, 0);
	library_exit();
}

static inline void do_access(void *arg)
{
	struct job *j = arg;

	j->ret = guest(j->ipa, j->op, &j->value);
}

#endif
