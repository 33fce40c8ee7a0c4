/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <anykvm.h>

#include "accel.h"
#include "cli.h"

static const struct accel accel_anykvm = {
	.name = "anykvm",
	.open = anykvm_open,
	.ioctl = anykvm_ioctl,
	.mmap = anykvm_mmap,
	.munmap = anykvm_munmap,
	.close = anykvm_close,
	.stats = anykvm_stats,
	.inspect = anykvm_inspect,
};

#ifdef __aarch64__
static const struct accel accel_kvm = {
	.name = "kvm",
	.open = open,
	.ioctl = ioctl,
	.mmap = mmap,
	.munmap = munmap,
	.close = close,
};
#endif

const struct accel *accel_find(const char *name)
{
	if (!strcmp(name, "anykvm"))
		return &accel_anykvm;
	if (!strcmp(name, "kvm")) {
#ifdef __aarch64__
		return &accel_kvm;
#else
		cli_say("--accel kvm needs an arm64 host: the KVM of this one runs guests of "
			"another architecture");
		return NULL;
#endif
	}
	cli_say("--accel %s: there are anykvm and kvm", name);
	return NULL;
}
