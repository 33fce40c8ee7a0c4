/* SPDX-License-Identifier: MIT */
/* Kernel, initial RAM disk and device tree in the guest's memory, as
 * Documentation/arch/arm64/booting.rst of Linux wants them. */
#ifndef CLI_BOOT_H
#define CLI_BOOT_H

#include "cli.h"

struct machine;

struct run_options;

/* A file in memory of its own. */
struct boot_file {
	uint8_t *data;
	size_t size;
};

struct boot_images {
	struct boot_file kernel, initrd;
};

/* All return 0, or -1 after a message. The images are freed by boot_images_free() in any case. */
int boot_images_read(struct boot_images *images, const struct run_options *options);
void boot_images_free(struct boot_images *images);
/* Sets the machine's entry and dtb. */
int boot_load(struct machine *machine, const struct boot_images *images);

/* 0, or -1 after a message that names the file by what it is for. Nothing larger than the limit is
 * read. */
int boot_file_read(struct boot_file *file, const char *what, const char *path, uint64_t limit);
void boot_file_free(struct boot_file *file);
/* Unpacks a gzip file in place and checks that an arm64 Image came out: 0, or -1 after a message
 * that says what it is instead. */
int kernel_prepare(struct boot_file *kernel, const char *path, uint64_t limit);

/* fdt.c: the device tree, in a buffer to be freed; null after a message. */
void *fdt_build(const struct machine *machine, uint64_t initrd, uint64_t initrd_size, size_t *size);

#endif
