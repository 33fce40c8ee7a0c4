/* SPDX-License-Identifier: MIT */
/*
 * Lock order across scenarios. The engine reports an inversion within one worker; each worker sees one scenario. Here the graphs of
 * all are put together, in the suite's order, and an edge that closes a cycle is a violation although no execution has both ends.
 */
#ifndef ANYKVM_EXPLORE_ORDER_H
#define ANYKVM_EXPLORE_ORDER_H

#include <stddef.h>
#include <stdio.h>

struct order;

struct order *order_new(void);
void order_free(struct order *o);
/* The graph of one scenario, as engine_lock_order_export() wrote it. */
void order_add(struct order *o, const char *text);
/* Inversions found so far. */
size_t order_count(const struct order *o);
void order_print(const struct order *o, FILE *f);
/* Each as a JSON object {"format": "explore-order-1", "verdict": "lock order inversion", "cycle": [...]}; before: between them. */
void order_print_json(const struct order *o, FILE *f, const char *before);

/* A JSON string. */
void json_quote(FILE *f, const char *text);

#endif
