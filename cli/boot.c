/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "machine.h"

#define DTB_ROOM (2 * MIB) /* one block that nothing else is in */

int boot_file_read(struct boot_file *file, const char *what, const char *path, uint64_t limit)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool too_large = false;
	struct stat info;
	ssize_t got = 1;

	*file = (struct boot_file){0};
	if (fd < 0 || fstat(fd, &info)) {
		cli_say_errno("%s %s", what, path);
	} else if (S_ISDIR(info.st_mode)) {
		cli_say("%s %s: a directory", what, path);
	} else if ((uint64_t)info.st_size > limit) {
		cli_say("%s %s: %llu MiB do not fit the guest's memory; give it more by -m", what,
			path, info.st_size / MIB + 0ull);
	} else {
		size_t room = info.st_size + 1; /* pipes and such tell no size */

		file->data = malloc(room);
		while (file->data && got > 0) {
			if (file->size == room) {
				uint8_t *larger;

				too_large = room > limit;
				larger = too_large ? NULL : realloc(file->data, room *= 2);
				if (!larger)
					break;
				file->data = larger;
			}
			got = read(fd, file->data + file->size, room - file->size);
			if (got < 0 && errno == EINTR)
				got = 1;
			else if (got > 0)
				file->size += got;
		}
		if (file->data && !got) {
			close(fd);
			return 0;
		}
		if (too_large)
			cli_say("%s %s: more than the guest's memory; give it more by -m", what,
				path);
		else
			cli_say_errno("%s %s", what, path);
		boot_file_free(file);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

void boot_file_free(struct boot_file *file)
{
	free(file->data);
	*file = (struct boot_file){0};
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

int boot_load(struct machine *m, const struct boot_images *images)
{
	const struct boot_file *kernel = &images->kernel, *initrd = &images->initrd;
	uint64_t text_offset, image_size, end, initrd_at = 0;
	size_t dtb_size;
	void *dtb;
	int status = -1;

	memcpy(&text_offset, kernel->data + 8, 8);
	memcpy(&image_size, kernel->data + 16, 8);
	if (!image_size) /* before Linux 3.17 the header does not tell; room for what follows the
			    file (bss) */
		image_size = kernel->size + 16 * MIB;
	if (image_size < kernel->size)
		image_size = kernel->size;
	if (text_offset >= 2 * MIB || image_size > m->ram.size) {
		cli_say("kernel %s: its header asks for %llu MiB at offset 0x%llx, which the "
			"guest's memory does not have",
			m->options->kernel, image_size / MIB + 0ull, text_offset + 0ull);
		return -1;
	}
	m->entry = m->ram.base + text_offset;
	m->dtb = round_up(m->entry + image_size, DTB_ROOM);
	end = m->dtb + DTB_ROOM;
	if (initrd->size) {
		initrd_at = end;
		end += initrd->size;
	}
	if (end > m->ram.base + m->ram.size) {
		cli_say("-m: %llu MiB are too little; kernel, device tree and initrd take %llu MiB "
			"before the guest has any",
			m->ram.size / MIB + 0ull, round_up(end - m->ram.base, MIB) / MIB + 0ull);
		return -1;
	}
	dtb = fdt_build(m, initrd_at, initrd->size, &dtb_size);
	if (!dtb)
		return -1;
	if (dtb_size > DTB_ROOM || !memory_write(&m->ram, m->entry, kernel->data, kernel->size) ||
	    !memory_write(&m->ram, m->dtb, dtb, dtb_size) ||
	    (initrd->size && !memory_write(&m->ram, initrd_at, initrd->data, initrd->size)))
		cli_say("internal error: the guest's memory is laid out wrongly");
	else
		status = 0;
	free(dtb);
	return status;
}

int boot_images_read(struct boot_images *images, const struct run_options *options)
{
	*images = (struct boot_images){0};
	if (boot_file_read(&images->kernel, "kernel", options->kernel, options->memory) ||
	    kernel_prepare(&images->kernel, options->kernel, options->memory))
		return -1;
	if (!options->initrd)
		return 0;
	if (boot_file_read(&images->initrd, "initrd", options->initrd, options->memory))
		return -1;
	if (images->initrd.size)
		return 0;
	cli_say("initrd %s: empty", options->initrd);
	return -1;
}

void boot_images_free(struct boot_images *images)
{
	boot_file_free(&images->kernel);
	boot_file_free(&images->initrd);
}
