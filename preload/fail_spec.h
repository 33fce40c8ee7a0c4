/* SPDX-License-Identifier: MIT */
/*
 * What anykvm exec --fail says: which calls fail, how, and when. Used by the command, which refuses what makes no sense, and by
 * the preloaded library, which acts on it.
 *
 *	NAME:ERRNO		each call
 *	NAME:ERRNO@N		the Nth call
 *	NAME:ERRNO@N+		the Nth call and all after it
 *	NAME:ERRNO%P		each call with a probability of P percent (with a fraction, if need be)
 *
 * NAME is a request (KVM_RUN), a function (open, mmap), or the beginning of such names with a star (KVM_GET_*).
 */
#ifndef ANYKVM_PRELOAD_FAIL_SPEC_H
#define ANYKVM_PRELOAD_FAIL_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAIL_NAME_MAX	48
#define FAIL_SPEC_MAX	128
#define FAIL_SPECS_MAX	16 /* in a process */
#define FAIL_ERRNO_LAST 133

struct fail_spec {
	char name[FAIL_NAME_MAX]; /* without the star */
	bool prefix;		  /* it had one */
	int error;
	uint64_t from, to; /* number of the call, from 1; both ends */
	uint32_t chance;   /* in millionths */
};

/* Reads one spec of `length` characters. NULL, or what is wrong with it: fail_no_errno, or a text. */
extern const char fail_no_errno[];
const char *fail_spec_parse(const char *text, size_t length, struct fail_spec *out);
bool fail_spec_names(const struct fail_spec *spec, const char *name);
/* Whether the nth call that the spec names is to fail. The same for the same seed. */
bool fail_spec_hits(const struct fail_spec *spec, uint64_t nth, uint64_t seed);

#endif
