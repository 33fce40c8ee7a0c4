/* SPDX-License-Identifier: MIT */
/*
 * The fork child that opens /dev/kvm: a process with machines of its own, as on a system with KVM. All that it inherited is a copy
 * that some other thread of the parent may have been changing, with locks that nobody here will ever give back. So nothing of it is
 * used, freed or repaired: each layer's state starts again from zero, in memory of its own, and what is left behind is a leak until
 * exec or exit. What the parent's descriptors were stays known, as orphans: their requests answer EIO in this life, too (I-34).
 *
 * The child may have several threads by now, and all of them may open it; those that do something else meanwhile see a child still
 * (api_role), for which nothing is locked or looked at.
 */
#include <errno.h>

#include "api/api.h"
#include "host/alloc.h"
#include "host/identity.h"
#include "sync/thread.h"

static int begin_anew(struct api_process *p, u64 me)
{
	int r = 0;

	host_begin_anew();
	process_part_clear(PROCESS_FRAME);
	process_part_clear(PROCESS_MEM);
	process_part_clear(PROCESS_VCPU);
	process_part_clear(PROCESS_IRQ);
	mutex_init(&p->map_lock, RANK_LEAF, "mappings");
	itree_init(&p->mappings);
	a32_store_relaxed(&p->empty_file, 0);
	for (int fd = fd_next(0); fd >= 0 && !r; fd = fd_next(fd + 1))
		r = fd_orphan(fd);
	if (r)
		return r;
	p->pid = host_pid();
	/* From here on this process is the owner. Pairs with the acquire in api_role. */
	a64_store_release(&p->mm_id, me);
	return 0;
}

int api_process_of_child(void)
{
	struct api_process *p = api_process();
	u64 me = host_mm_id(), other;
	int r = 0;

	/* Not where fork's handlers did not run (a bare clone), nor amid a call or a pair that the child goes on with. */
	if (!sync_same_process() || library_in_pair() || library_is_entered())
		return -EIO;
	while (api_role() == API_CHILD) {
		/* Another number says that an ancestor was at it when it forked. */
		other = a64_load(&p->renewer);
		if (other == me || !a64_cmpxchg(&p->renewer, other, me)) {
			cpu_relax();
			continue;
		}
		if (api_role() == API_CHILD)
			r = begin_anew(p, me);
		a64_store_release(&p->renewer, 0); /* pairs with the load above */
		break;
	}
	return r;
}
