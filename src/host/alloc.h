/* SPDX-License-Identifier: MIT */
/*
 * The library's own memory. It comes from raw system calls and never passes through an interposed libc function (LO-11). In
 * sanitizer builds each object is one malloc and one free, so that ASan sees every lifetime; elsewhere freed objects are
 * poisoned. Every call site is an injection point: host_alloc_fail_at(n) makes the n-th allocation from now fail.
 */
#ifndef ANYKVM_HOST_ALLOC_H
#define ANYKVM_HOST_ALLOC_H

#include "base/types.h"

#if defined(ANYKVM_EXPLORED)
/* The explorer tells objects apart by their type. */
void *host_alloc_typed(size_t size, const char *type);
#define host_alloc(size) host_alloc_typed((size), "memory of " __FILE_NAME__)
#define NEW(type)	 ((type *)host_alloc_typed(sizeof(type), #type))
#else
/* Zeroed memory, 16-byte aligned (64 for sizes of 64 and more), or NULL. Never under mmu_lock or mn_lock (LO-6). */
void *host_alloc(size_t size);
#define NEW(type) ((type *)host_alloc(sizeof(type)))
#endif
/* NULL is allowed. size is what was asked for. May not run under mmu_lock or mn_lock. */
void host_free(void *p, size_t size);
/* One zeroed, page-aligned 4 KiB page (a stage-2 table page, for instance), or NULL. */
void *host_page_alloc(void);
void host_page_free(void *page);
/* In a fork child: all that was allocated is left alone for good, and what other threads held then is free. */
void host_begin_anew(void);
/* Bytes and objects now allocated through these functions: leak checks. */
u64 host_alloc_bytes(void);
u64 host_alloc_objects(void);

/* Test hook: the nth (1 = next) allocation made by this process fails once; 0 turns it off. Returns what was left. */
u64 host_alloc_fail_at(u64 nth);
/* Test hook of checked builds: remembers the address of the nth (1 = next) allocation, or forgets it (0). What was remembered. */
void *host_alloc_note_at(u64 nth);

#define DELETE(p) host_free((p), sizeof(*(p)))

#endif
