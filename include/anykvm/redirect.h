/* SPDX-License-Identifier: MIT */
/*
 * Switches a VMM's source over to anykvm: each call below becomes the library's. The headers that declare the originals come
 * first, so that only uses change. Meant for every file of the VMM (-include anykvm/redirect.h); members of its structures
 * with these names are renamed alike and do no harm.
 */
#ifndef ANYKVM_REDIRECT_H
#define ANYKVM_REDIRECT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <anykvm.h>

#undef open
#undef openat
#undef open64
#undef openat64
#undef close
#undef close_range
#undef dup
#undef dup2
#undef dup3
#undef fcntl
#undef fcntl64
#undef ioctl
#undef read
#undef pread
#undef pread64
#undef write
#undef pwrite
#undef pwrite64
#undef mmap
#undef mmap64
#undef munmap
#undef mremap
#undef mprotect
#undef madvise
#undef pkey_mprotect
#undef process_madvise
#undef shmat
#undef fallocate
#undef fallocate64
#undef ftruncate
#undef ftruncate64

#define open		anykvm_open
#define openat		anykvm_openat
#define open64		anykvm_open
#define openat64	anykvm_openat
#define close		anykvm_close
#define close_range	anykvm_close_range
#define dup		anykvm_dup
#define dup2		anykvm_dup2
#define dup3		anykvm_dup3
#define fcntl		anykvm_fcntl
#define fcntl64		anykvm_fcntl
#define ioctl		anykvm_ioctl
#define read		anykvm_read
#define pread		anykvm_pread
#define pread64		anykvm_pread
#define write		anykvm_write
#define pwrite		anykvm_pwrite
#define pwrite64	anykvm_pwrite
#define mmap		anykvm_mmap
#define mmap64		anykvm_mmap
#define munmap		anykvm_munmap
#define mremap		anykvm_mremap
#define mprotect	anykvm_mprotect
#define madvise		anykvm_madvise
#define pkey_mprotect	anykvm_pkey_mprotect
#define process_madvise anykvm_process_madvise
#define shmat		anykvm_shmat
#define fallocate	anykvm_fallocate
#define fallocate64	anykvm_fallocate
#define ftruncate	anykvm_ftruncate
#define ftruncate64	anykvm_ftruncate

#endif
