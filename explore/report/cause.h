/* SPDX-License-Identifier: MIT */
/* Why it went wrong: the order that is missing, the cycle of a deadlock; and by what names a violation is found again. */
#ifndef ANYKVM_EXPLORE_REPORT_CAUSE_H
#define ANYKVM_EXPLORE_REPORT_CAUSE_H

#include "report/story.h"

/* Fills in cycle and missing of s, whose lines and sites are there. */
void cause_find(struct story *s);
/* Whether the place of record i will be asked for by cause_find. */
bool cause_needs(const struct execution *x, uint32_t i);

/* The violation's message; of a deadlock who waits for whom is left to the cycle (identity.c). */
void identity_message(const struct execution *x, char *buf, size_t size);
/* The command that shows it again, malloc'ed (identity.c). */
char *identity_replay(const struct report_violation *v);

#endif
