/* SPDX-License-Identifier: MIT */
/* Large zeroed memory that costs nothing until touched: raw mmap (but for a page or less), not counted by host_alloc. */
#ifndef ANYKVM_HOST_PAGES_H
#define ANYKVM_HOST_PAGES_H

#include "base/types.h"

/* Page aligned, or NULL. An injection point like host_alloc. */
#if defined(ANYKVM_EXPLORED)
void *host_pages_map_typed(u64 size, const char *type);
#define host_pages_map(size) host_pages_map_typed((size), "pages of " __FILE_NAME__)
#else
void *host_pages_map(u64 size);
#endif
/* NULL is allowed. */
void host_pages_unmap(void *p, u64 size);
/* Back to zero and to no cost; the mapping stays. */
void host_pages_discard(void *p, u64 size);
u64 host_page_size(void);

#endif
