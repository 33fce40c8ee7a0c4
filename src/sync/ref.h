/* SPDX-License-Identifier: MIT */
/* Reference counts. A count that reached 0 never rises again: ref_try_get then fails. Overflow and underflow abort. */
#ifndef ANYKVM_SYNC_REF_H
#define ANYKVM_SYNC_REF_H

#include "sync/atomic.h"

struct ref {
	struct a32 count;
};

void ref_init(struct ref *r, u32 count);
/* The caller holds a reference already. */
void ref_get(struct ref *r);
/* False if the count is 0. Success is an acquire. */
bool ref_try_get(struct ref *r);
/* True if this was the last reference; the final decrement is a full barrier. */
bool ref_put(struct ref *r);
u32 ref_read(const struct ref *r);

#endif
