/* SPDX-License-Identifier: MIT */
/* Memory of the search: there is nothing it could do without, so it ends the process if there is none. */
#ifndef ANYKVM_EXPLORE_SEARCH_MEMORY_H
#define ANYKVM_EXPLORE_SEARCH_MEMORY_H

#include <stdint.h>
#include <stddef.h>

void *memory_get(size_t size);
/* p with room for twice as many items of that size as before. */
void *memory_grow(void *p, uint32_t *room, size_t size);

#endif
