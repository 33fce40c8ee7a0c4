/* SPDX-License-Identifier: MIT */
/* What sort of file a kernel is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "boot.h"

static bool has(const struct boot_file *file, size_t offset, const void *bytes, size_t length)
{
	return file->size >= offset + length && !memcmp(file->data + offset, bytes, length);
}

static int kernel_gunzip(struct boot_file *kernel, const char *path, uint64_t limit)
{
	z_stream stream = {.next_in = kernel->data, .avail_in = kernel->size};
	struct boot_file out = {.size = kernel->size * 3 + 65536};
	int status = Z_OK;

	/* 16: a gzip header is to be expected */
	if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) {
		cli_say("kernel %s: cannot set up zlib", path);
		return -1;
	}
	while (status == Z_OK) {
		uint8_t *larger;

		if (stream.total_out == out.size || !out.data) {
			if (out.data)
				out.size *= 2;
			if (out.size >
			    limit) /* one byte more tells a file that just fits from a larger one */
				out.size = limit + 1;
			larger = stream.total_out > limit ? NULL : realloc(out.data, out.size);
			if (!larger)
				break;
			out.data = larger;
		}
		stream.next_out = out.data + stream.total_out;
		stream.avail_out = out.size - stream.total_out;
		status = inflate(&stream, Z_NO_FLUSH);
	}
	out.size = stream.total_out;
	inflateEnd(&stream);
	if (status != Z_STREAM_END) {
		if (status == Z_OK)
			cli_say("kernel %s: unpacks to more than the guest's memory; give it more "
				"by -m",
				path);
		else
			cli_say("kernel %s: damaged gzip file (%s)", path,
				stream.msg ? stream.msg : "it ends too early");
		free(out.data);
		return -1;
	}
	free(kernel->data);
	*kernel = out;
	return 0;
}

/* An EFI program that carries a compressed Image: offset and size of it at 8 and 12, the name of
 * the compression at 24. */
static void say_zboot(const struct boot_file *kernel, const char *path)
{
	static const char *const tools[][2] = {{"gzip", "gzip -dc"}, {"zstd", "zstd -dc"},
					       {"xz", "xz -dc"},     {"lzma", "xz -dc"},
					       {"lz4", "lz4 -dc"},   {"lzo", "lzop -dc"}};
	const char *tool = NULL;
	uint32_t offset, size;
	char type[9] = "";

	memcpy(&offset, kernel->data + 8, 4);
	memcpy(&size, kernel->data + 12, 4);
	memcpy(type, kernel->data + 24, 8);
	for (unsigned i = 0; i < sizeof(tools) / sizeof(tools[0]) && !tool; i++)
		if (!strncmp(type, tools[i][0], strlen(tools[i][0])))
			tool = tools[i][1];
	cli_say("kernel %s: an EFI zboot image, which only EFI firmware can start", path);
	if (tool) {
		cli_say("unpack the kernel inside of it, and give that instead:");
		cli_say("  tail -c +%u %s | head -c %u | %s >Image", offset + 1, path, size, tool);
	} else {
		cli_say("the kernel inside is packed by \"%s\"; build or fetch a plain Image "
			"instead",
			type);
	}
}

/* Says what a file that is no Image is. */
static void say_not_image(const struct boot_file *kernel, const char *path)
{
	static const struct {
		unsigned offset, length;
		const char *bytes, *name;
	} kinds[] = {
		{0, 6,
		 "\xfd"
		 "7zXZ",
		 "packed by xz: unpack it first (xz -dc FILE >Image)"},
		{0, 4, "\x28\xb5\x2f\xfd",
		 "packed by zstd: unpack it first (zstd -dc FILE >Image)"},
		{0, 4, "\x04\x22\x4d\x18", "packed by lz4: unpack it first (lz4 -dc FILE >Image)"},
		{0, 4, "\x02\x21\x4c\x18", "packed by lz4: unpack it first (lz4 -dc FILE >Image)"},
		{0, 3, "BZh", "packed by bzip2: unpack it first (bzip2 -dc FILE >Image)"},
		{0, 3, "\x5d\0\0", "packed by lzma: unpack it first (xz -dc FILE >Image)"},
		{0, 4, "\x89LZO", "packed by lzop: unpack it first (lzop -dc FILE >Image)"},
		{0, 4,
		 "\x7f"
		 "ELF",
		 "an ELF file; give the Image made from it (arch/arm64/boot/Image)"},
		{0x202, 4, "HdrS", "a kernel for x86; this machine is arm64"},
		{0x24, 4, "\x18\x28\x6f\x01", "a kernel for 32-bit Arm; this machine is arm64"},
		{0x30, 8, "RISCV\0\0\0", "a kernel for RISC-V; this machine is arm64"},
		{0, 2, "MZ", "an EFI program, but no arm64 kernel"},
	};

	if (!kernel->size) {
		cli_say("kernel %s: empty", path);
		return;
	}
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (has(kernel, kinds[i].offset, kinds[i].bytes, kinds[i].length)) {
			cli_say("kernel %s: %s", path, kinds[i].name);
			return;
		}
	cli_say("kernel %s: not an arm64 Image (no \"ARM\\x64\" at byte 56)", path);
}

int kernel_prepare(struct boot_file *kernel, const char *path, uint64_t limit)
{
	if (has(kernel, 0, "\x1f\x8b", 2) && kernel_gunzip(kernel, path, limit))
		return -1;
	if (has(kernel, 0, "MZ", 2) && has(kernel, 4, "zimg", 4) && kernel->size >= 64) {
		say_zboot(kernel, path);
		return -1;
	}
	if (!has(kernel, 56, "ARMd", 4) || kernel->size < 64) {
		say_not_image(kernel, path);
		return -1;
	}
	if (kernel->data[24] & 1) {
		cli_say("kernel %s: a big-endian kernel; only little-endian ones are run", path);
		return -1;
	}
	return 0;
}
