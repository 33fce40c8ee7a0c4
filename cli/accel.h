/* SPDX-License-Identifier: MIT */
/* Who answers the KVM calls: the library, or (on an arm64 host) the kernel through libc. */
#ifndef CLI_ACCEL_H
#define CLI_ACCEL_H

#include <stddef.h>
#include <sys/types.h>

struct anykvm_stats;

struct accel {
	const char *name;
	int (*open)(const char *path, int flags, ...);
	int (*ioctl)(int fd, unsigned long request, ...);
	void *(*mmap)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *addr, size_t length);
	int (*close)(int fd);
	/* Null: it has none. */
	int (*stats)(int vm_fd, struct anykvm_stats *stats, size_t size);
	ssize_t (*inspect)(int vm_fd, unsigned flags, char *buf, size_t size);
};

/* Null, after a message, if there is none of that name on this host. */
const struct accel *accel_find(const char *name);

#endif
