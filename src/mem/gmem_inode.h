/* SPDX-License-Identifier: MIT */
/* Between gmem.c and gmem_ops.c. */
#ifndef ANYKVM_MEM_GMEM_INODE_H
#define ANYKVM_MEM_GMEM_INODE_H

#include "base/list.h"
#include "mem/gmem.h"

struct gmem_inode {
	struct ref users;
	/*
	 * Guards the list, all bindings of all views, and order between population, punch and error. Plain, although allocation
	 * could share it: allocation holds it for one piece at a time.
	 */
	struct mutex inval_lock;
	struct list files GUARDED_BY(inval_lock); /* struct gmem_file.on_inode */
	u64 size, flags;			  /* constant */
	/* inval_lock until storage is set, constant from then on. Whoever has a binding need not look (G-11). */
	bool storage WRITES_GUARDED_BY(inval_lock);
	int fd WRITES_GUARDED_BY(inval_lock);
	u64 base WRITES_GUARDED_BY(inval_lock); /* hva of its mapping */
	/* struct a64[], a bit for each page. Made by the first error; it and its bits change under inval_lock and are read without. */
	struct aptr poison WRITES_GUARDED_BY(inval_lock);
};

struct gmem_file {
	struct gmem_inode *inode; /* counted */
	struct vm_mem *mem;
	struct list on_inode GUARDED_BY(inode->inval_lock);
	struct itree
		bindings; /* slots_lock and inval_lock to change, one of them to read: pages -> memslot.gmem.node */
	bool raised GUARDED_BY(inode->inval_lock); /* inval_raise is owed an inval_lower */
};

/* The storage is there from now on: 0, -ENOMEM, -EMFILE. */
int gmem_storage_make(struct gmem_inode *inode) REQUIRES(&inode->inval_lock);

/*
 * Takes the pages of bytes [from, to) from all guests: each VM's count is raised once, however many slots are concerned, and
 * leaves and decoded code are gone when it returns. The finish lowers exactly what was raised.
 */
void gmem_zap_start(struct gmem_inode *inode, u64 from, u64 to) REQUIRES(&inode->inval_lock);
void gmem_zap_finish(struct gmem_inode *inode) REQUIRES(&inode->inval_lock);
/* The same for one view. */
void gmem_zap_file_start(struct gmem_file *gf, u64 from, u64 to);
void gmem_zap_file_finish(struct gmem_file *gf);

void gmem_poison_free(struct gmem_inode *inode);
/* Narrows [*start, *end), pages around page, to some that hold no poisoned one. */
void gmem_poison_bounds(const struct gmem_inode *inode, u64 page, u64 *start, u64 *end);

#endif
