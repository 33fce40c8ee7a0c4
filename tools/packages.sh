# SPDX-License-Identifier: MIT
# Sourced by the scripts at the root and in tools/ and .ci/ (POSIX sh). Debian packages by name.

# require_packages PACKAGE...: returns if all are installed. Otherwise installs them as root or with passwordless sudo; else
# prints the one line that does and exits 2.
require_packages() {
	missing=
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" = 0 ]; then
		as_root=
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root='sudo -n'
	else
		echo "${0##*/}: some packages are missing; as root, run" >&2
		echo "    apt-get install -y$missing" >&2
		exit 2
	fi
	echo "${0##*/}: installing$missing"
	# A fresh machine has no package lists.
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
		$as_root apt-get update -qq >/dev/null
		DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
			echo "${0##*/}: installing$missing failed" >&2
			exit 2
		}
	}
}

# What building and running the tests takes, and what the demo takes.
build_packages='gcc libc6-dev meson ninja-build pkg-config python3 libfdt-dev zlib1g-dev libslirp-dev'
guest_packages='cpio xz-utils'
test_packages='gcc-aarch64-linux-gnu libc6-dev-arm64-cross binutils-aarch64-linux-gnu qemu-user-static libunicorn-dev'
