# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# Sourced by the boot scripts of this folder (POSIX sh, at the root of the tree, after tools/packages.sh and tools/private-apt.sh). What is
# common to unmodified VMMs: the guest they boot, and how a program is started with the preloaded library.
#
#   client_guest NAME MODULE...   sets kernel and initrd ($work/NAME.initrd): Debian's, with these modules loaded, then the script on stdin
#   client_fetch SUITE PACKAGE...   sets root to a folder with these arm64 packages of a Debian release and all they depend on; where
#                              the release does not have them, nothing is tested
#   client_prepare PROGRAM     sets client to the words that start PROGRAM preloaded, client_how to a word for that
#   client_passed WHAT, client_failed WHAT FILE, client_left_out WHAT FILE   a line each, and counted; of FILE the end is shown
#   client_close               the closing line; fails if something did

client_passed_count=0 client_failed_count=0 client_left_out_count=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

# e_machine of an ELF file: 62 is x86-64, 183 arm64.
client_machine() {
	od -An -tu2 -j18 -N2 "$1" | tr -d ' '
}

client_guest() {
	folder=$work/$1
	shift
	guest=$(tools/fetch-guest)
	kernel=$(echo "$guest" | sed -n 's/^kernel=//p')
	release=$(echo "$guest" | sed -n 's/^release=//p')
	# shellcheck disable=SC2154
	modules=$anykvm_cache/guest-modules/$release
	if [ ! -d "$modules" ]; then
		private_unpack bookworm arm64 "$modules.new" "linux-image-$release"
		mv "$modules.new" "$modules"
	fi
	mkdir -p "$folder/bin" "$folder/dev" "$folder/proc" "$folder/sys"
	cp "$(echo "$guest" | sed -n 's/^busybox=//p')" "$folder/bin/busybox"
	{
		echo '#!/bin/busybox sh'
		echo '/bin/busybox --install -s /bin'
		echo 'mount -t proc proc /proc'
		echo 'mount -t sysfs sysfs /sys'
		echo 'mount -t devtmpfs devtmpfs /dev'
		for module; do
			cp "$(find "$modules" -name "$module.ko")" "$folder/"
			echo "insmod /$module.ko"
		done
		cat
	} >"$folder/init"
	chmod +x "$folder/init"
	initrd=$folder.initrd
	(cd "$folder" && find . | cpio -o -H newc --quiet) | gzip >"$initrd"
}

client_fetch() {
	root=$anykvm_cache/clients/$1-$2
	[ ! -d "$root" ] || return 0
	suite=$1
	shift
	rm -rf "$root.new"
	private_unpack_all "$suite" arm64 "$root.new" "$@" >&2 || client_skip "$suite has no $* for arm64, or it cannot be fetched"
	# Debian's base-files has these links, which nothing depends on.
	for folder in bin sbin lib; do
		[ -e "$root.new/$folder" ] || ln -s "usr/$folder" "$root.new/$folder"
	done
	mv "$root.new" "$root"
}

# An arm64 program elsewhere takes qemu-user and an arm64 build of the library (ANYKVM_ARM64_BUILD: that of tools/conformance).
client_prepare() {
	client_root=${2:-$anykvm_cache/sysroot-arm64}
	anykvm=${ANYKVM_BUILD:-build}/cli/anykvm
	ninja -C "${ANYKVM_BUILD:-build}" --quiet cli/anykvm preload/libanykvm-preload.so >/dev/null
	if [ "$(uname -m)" = aarch64 ] || [ "$(client_machine "$1")" != 183 ]; then
		client="$anykvm exec -- $1" client_how=natively
		return
	fi
	require_packages qemu-user-static >&2
	build=${ANYKVM_ARM64_BUILD:-build-conformance}
	[ -f "$build/build.ninja" ] || tools/arm64-build "$build" -Dexplore=disabled -Dbuildtype=release -Dchecked=false >/dev/null
	ninja -C "$build" --quiet preload/libanykvm-preload.so >/dev/null
	client="$anykvm exec --library $build/preload/libanykvm-preload.so -- ${ANYKVM_QEMU_USER:-qemu-aarch64-static} -L $client_root $1"
	client_how='under qemu-user'
}

client_passed() {
	echo "ok - $1"
	client_passed_count=$((client_passed_count + 1))
}

client_failed() {
	echo "not ok - $1"
	tail -n 30 "$2"
	client_failed_count=$((client_failed_count + 1))
}

client_left_out() {
	echo "skipped - $1: $(tail -n 1 "$2")"
	client_left_out_count=$((client_left_out_count + 1))
}

client_close() {
	echo "$client_passed_count passed, $client_failed_count failed, $client_left_out_count skipped"
	[ $client_failed_count = 0 ]
}

# client_skip WHY: why nothing is tested.
client_skip() {
	echo "skipped ${0##*/}: $1"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}

# The guest of kvmtool and QEMU: reads the disk, copies a part of it, tells on the virtio console what it saw, and powers off.
client_disk_guest() {
	client_guest boot virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console <<'GUEST'
until [ -c /dev/hvc0 ] && (: >/dev/hvc0) 2>/dev/null; do sleep 0.1; done
exec >/dev/hvc0 2>&1
echo "@cpus $(grep -c ^processor /proc/cpuinfo)"
echo "@disk $(dd if=/dev/vda bs=64k 2>/dev/null | md5sum | cut -d' ' -f1)"
dd if=/dev/vda of=/dev/vda bs=64k count=16 seek=64 conv=fsync 2>/dev/null
echo "@msi $(grep -c ITS-MSI /proc/interrupts)"
echo "@done"
poweroff -f
GUEST
}

# The guest of qemu-operations.py: takes commands from the console, and tells the status of each. A subshell, since it is not that of the boots.
client_shell_guest() (
	client_guest shell virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_balloon virtio_mem <<'GUEST'
mkdir /tmp
mount -t tmpfs -o size=1G tmpfs /tmp
exec </dev/ttyAMA0 >/dev/ttyAMA0 2>&1
stty -echo
echo online_movable >/sys/devices/system/memory/auto_online_blocks
echo @start
while read -r line; do
	eval "$line"
	echo "@status $?"
done
GUEST
	ln -s "$kernel" "$work/shell.kernel"
)

# client_ticker FILE: compiles ticker.c to it.
client_ticker() {
	compiler=gcc
	if [ "$(uname -m)" != aarch64 ]; then
		require_packages gcc-aarch64-linux-gnu >&2
		compiler=aarch64-linux-gnu-gcc
	fi
	$compiler -std=gnu17 -O2 -Wall -Wextra -ffreestanding -nostdlib -static -no-pie -fno-pie -fno-stack-protector -mgeneral-regs-only \
		-mstrict-align -Wl,-Ttext=0x40200000,--build-id=none,-e,start -o "$1" tests/conformance/ticker.c
}

client_disk_new() {
	dd if=/dev/urandom of="$work/disk" bs=64k count=128 2>/dev/null
	client_disk_sum=$(md5sum <"$work/disk" | cut -d' ' -f1)
}

# client_disk_right CPUS FILE [PATTERN]: whether the console in FILE and the disk are as that guest leaves them, and the number of its
# MSIs of an ITS is such (default: not 0).
client_disk_right() {
	grep -q "@cpus $1" "$2" && grep -q "@disk $client_disk_sum" "$2" && grep -q '@done' "$2" && grep -q "@msi ${3:-[1-9]}" "$2" &&
		[ "$(dd if="$work/disk" bs=64k count=16 2>/dev/null | sha256sum)" = "$(dd if="$work/disk" bs=64k skip=64 count=16 2>/dev/null | sha256sum)" ]
}
