/* SPDX-License-Identifier: MIT */
/*
 * guest_memfd: guest memory that belongs to a file instead of to the address space.
 *
 * Two objects. An inode is the storage: a private memory file, its size and flags, mapped once for its whole size; a guest's
 * output address is an address in that mapping. A gmem_file is one VM's view of an inode: which slots take their memory from
 * which of its pages. KVM makes one view for each inode; the list of views is there so that nothing depends on that.
 *
 * The memory file and its mapping are made under inval_lock by the first call that needs them (a bind, an allocation, a host
 * mapping), which is the one to fail if they cannot be had, and stay as long as the inode. Until then no page was ever there, so
 * a hole has nothing to do. See G-11.
 *
 * A slot names its view by an uncounted pointer to the open file (files pin the VM, the VM pins no file). What keeps that right,
 * and the test in tests/unit/mem/test_gmem.c or test_gmem_holes.c that breaks it:
 *
 *   G-1   slot.gmem.file is not NULL and slots_lock is held: file, view and bindings exist. Only release frees them, and release
 *         has then not been through the slots, which it does under slots_lock.				(I25)
 *   G-2   The count of a file is 0: nobody works with a reference to it or will, since references are made by
 *         increment-unless-zero, an acquire; the last decrement is a full barrier.			(I27)
 *   G-3   A lookup that got its reference: release has not begun and will not before the reference is put. So pointer and
 *         binding of the slot stand still meanwhile.							(I27)
 *   G-4   Release waits for no SRCU reader. One that still sees the slot has a reference, and then release does not run; or it
 *         gets none, and uses nothing.									(I27)
 *   G-5   Release waits for no RCU reader before it frees the view. The view is reached through a counted file, through a slot's
 *         pointer under slots_lock, and through the inode's list under inval_lock; release ends all three. (I25, I28)
 *   G-6   The file object outlives a load of the pointer and a failed increment: it is freed by an RCU callback, and both are
 *         inside one RCU section.									(G6)
 *   G-7   After unbind no binding names the slot, which may be freed. Otherwise release would write to freed memory. (I26)
 *   G-8   No lookup runs beside the unbind of its slot: the slot was taken out of both sets and SRCU waited for, or was never
 *         visible.											(I27)
 *   G-9   Unbind and release of one file exclude each other by slots_lock.				(I25)
 *   G-10  Whoever changes bindings holds inval_lock, whether the file is alive or not: a punch or a memory error comes from
 *         the inode's list, without a reference to the file, and walks the bindings of a file that is dying. So unbind takes
 *         the lock through the view's own reference to the inode, and never looks at the count.		(I28)
 *
 *   G-11  A binding exists: the storage is there. Its bind made it, before anything else and under inval_lock, or saw it there.
 *         So lookups that got the slot's pointer, zaps and whoever holds slots_lock read fd and base without a look.	(I17)
 *
 * Zero once (I-36): the storage's pages come zeroed from the host, which makes a page under its own page lock. There is nothing
 * to initialise here, hence no page lock either.
 *
 * struct gmem_inode. born: gmem_create. seen by: views; punch and error through one. kept by: a count for each view. freed: with
 * the last view, so after the last host mapping, each of which keeps a file.
 *
 * struct gmem_file. born: gmem_create, gmem_file_open. seen by: its struct file, slots that are bound to it, the inode's list.
 * kept by: the struct file that owns it (which pins the VM too). hidden and freed: gmem_file_release, the file's release hook.
 */
#ifndef ANYKVM_MEM_GMEM_H
#define ANYKVM_MEM_GMEM_H

#include "mem/file.h"
#include "mem/memslot.h"

struct gmem_inode;
struct gmem_file;

#define GMEM_FLAG_MMAP	      BIT(0) /* GUEST_MEMFD_FLAG_MMAP */
#define GMEM_FLAG_INIT_SHARED BIT(1)
#define GMEM_FLAGS	      (GMEM_FLAG_MMAP | GMEM_FLAG_INIT_SHARED)

/* KVM_CREATE_GUEST_MEMFD: an inode with one view, for m. -EINVAL, -ENOMEM. */
int gmem_create(struct vm_mem *m, u64 size, u64 flags, struct gmem_file **out);
/* One more view of the same storage, for the same VM or another. NULL: no memory. */
struct gmem_file *gmem_file_open(struct vm_mem *m, struct gmem_inode *inode);
/*
 * The last reference to the file is gone. No lock held. Slots lose their memory (their faults fail from now on), the pages stay
 * with the inode.
 */
void gmem_file_release(struct gmem_file *gf);

/* Constant. */
struct gmem_inode *gmem_inode_of(const struct gmem_file *gf);
u64 gmem_size(const struct gmem_inode *inode);
u64 gmem_flags(const struct gmem_inode *inode);
/*
 * Of the storage: for host mappings. Never given to anybody. The first call makes it, if no other use did: -ENOMEM, -EMFILE.
 * Between gmem_mapping_begin and _end.
 */
int gmem_storage_open(struct gmem_inode *inode);
/* The same, of a storage that is there. */
int gmem_storage_fd(const struct gmem_inode *inode);

/* --- slots -------------------------------------------------------------------------------------------------------------- */

/*
 * s, not visible yet, takes its memory from f (the caller has a reference) at byte offset, which is aligned and wraps nowhere.
 * -EINVAL, -EEXIST, -ENOMEM, -EMFILE.
 */
int gmem_bind(struct vm_mem *m, struct memslot *s, struct file *f, u64 offset)
	REQUIRES(&m->slots_lock);
/* s is visible no more, or never was. Nothing happens if release was first. */
void gmem_unbind(struct vm_mem *m, struct memslot *s) REQUIRES(&m->slots_lock);
/* Where the host maps the memory of s: false once its file is gone. */
bool gmem_slot_hvas(struct vm_mem *m, const struct memslot *s, u64 *start, u64 *end)
	REQUIRES(&m->slots_lock);

/* What a slot takes its memory from. */
struct gmem_slot_facts {
	u64 offset;	 /* of the slot's first byte in the file */
	u64 hva;	 /* of that byte in our mapping of the storage */
	u64 size, flags; /* of the file */
	bool poison;	 /* some page of the file was hit by a memory error */
};
/* For people who look. In SRCU. False: the file is gone. */
bool gmem_slot_facts(const struct memslot *s, struct gmem_slot_facts *out);

/* A page in use: its storage stays mapped until the put. */
struct gmem_page {
	struct file *file;
	u64 hva;	/* of the page asked for */
	u64 start, end; /* hvas around it that belong to the slot and hold no poisoned page */
};
/*
 * The page of guest frame gfn of a slot with guest_memfd. In SRCU or under slots_lock. -EFAULT: the file is gone. -EHWPOISON. The
 * page is not made present.
 */
int gmem_page_get(const struct memslot *s, u64 gfn, struct gmem_page *out);
/* In the library (file.h): the last reference may be this one. */
void gmem_page_put(const struct gmem_page *p);

/* --- storage: gmem_ops.c ------------------------------------------------------------------------------------------------ */

/* The host mappings of an inode are known to who made them. Both are called with inval_lock held, start never fails. */
struct gmem_host_ops {
	/* A pair is open over every host mapping of bytes [from, to) when it returns; flags as mem_invalidate_start's. */
	void (*start)(void *ctx, u64 from, u64 to, u32 flags);
	/* The mappings of [from, to), or of the parts that are poisoned, are to be made anew. Between start and end. */
	void (*remap)(void *ctx, u64 from, u64 to);
	void (*end)(void *ctx);
	void *ctx;
};

/*
 * A host mapping is made, and noted where start looks for it, between begin and end: a hole or an error sees it, or waits for it
 * and is over when it is made. begin returns the signal mask for end. No lock held, no pair open.
 */
u64 gmem_mapping_begin(struct gmem_inode *inode);
void gmem_mapping_end(struct gmem_inode *inode, u64 sigmask);

/*
 * fallocate: pages of bytes [from, to) are there. Checked by the caller: aligned, inside the inode. -EINTR (a signal of the
 * caller's mask is pending; what was done stays), -ENOMEM, -EMFILE. No lock held.
 */
int gmem_allocate(struct gmem_inode *inode, u64 from, u64 to);
/*
 * Bytes [from, to), aligned, are taken from guests and hosts, and zero from now on; poison is forgotten. host may be NULL: no
 * host mapping.
 */
int gmem_punch(struct gmem_inode *inode, u64 from, u64 to, const struct gmem_host_ops *host);
/* A memory error hit the pages of bytes [from, to): nobody gets them again until they are punched. 0 or -ENOMEM. */
int gmem_error(struct gmem_inode *inode, u64 from, u64 to, const struct gmem_host_ops *host);
/* Whether any page was ever poisoned. */
bool gmem_has_poison(const struct gmem_inode *inode);
/* Whether the page at byte offset is poisoned. */
bool gmem_is_poisoned(const struct gmem_inode *inode, u64 offset);

#endif
