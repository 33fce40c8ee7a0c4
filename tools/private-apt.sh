# SPDX-License-Identifier: MIT
# Sourced (POSIX sh). Debian packages of another architecture or release, downloaded and unpacked through an apt state of our own:
# no privilege, nothing installed, the host's own state untouched.
#
#   anykvm_cache             folder of all that is downloaded
#   private_apt SUITE ARCH COMMAND...        apt-get in that state
#   private_apt_update SUITE ARCH            fetches the package lists unless they are younger than a day
#   private_unpack SUITE ARCH FOLDER PACKAGE...   exactly these packages, unpacked below FOLDER
#   private_unpack_all SUITE ARCH FOLDER PACKAGE...   they and all they depend on, but for what each Debian system has
#   private_depends SUITE ARCH PACKAGE       names of what PACKAGE depends on
# The bodies are subshells: sh has no local variables, and none of the caller's may change.

private_apt_die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

[ -n "${ANYKVM_CACHE:-${XDG_CACHE_HOME:-${HOME:-}}}" ] ||
	private_apt_die "where to keep downloads? Neither ANYKVM_CACHE nor HOME is set"
anykvm_cache=${ANYKVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/anykvm}
case $anykvm_cache in /*) ;; *) anykvm_cache=$PWD/$anykvm_cache ;; esac # apt needs it to be absolute

private_apt_need_cache() {
	# shellcheck disable=SC2015
	mkdir -p "$anykvm_cache" 2>/dev/null && [ -w "$anykvm_cache" ] ||
		private_apt_die "$anykvm_cache: cannot keep downloads there; name another folder by ANYKVM_CACHE"
}

# The archive that the host itself uses, so that no host name is written down here.
private_apt_archive() (
	uri=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '
		/^URIs:/ { uri = $2 } /^Suites:/ && uri !~ /security/ && $2 !~ /-/ { print uri; exit }')
	[ -n "$uri" ] || uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk '
		$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\// && $i !~ /security/) { print $i; exit } }')
	[ -n "$uri" ] || private_apt_die "no Debian entry in the apt sources of this machine: set ANYKVM_ARCHIVE to one"
	echo "$uri"
)

private_apt_state() {
	state=$anykvm_cache/apt/$1-$2
	private_apt_need_cache
	mkdir -p "$state/lists/partial" "$state/archives/partial"
	: >"$state/status"
	archive=${ANYKVM_ARCHIVE:-$(private_apt_archive)} || exit
	source="deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $1 main"
	[ "$source" = "$(cat "$state/sources.list" 2>/dev/null)" ] || {
		rm -f "$state/updated"
		echo "$source" >"$state/sources.list"
	}
}

private_apt_tool() (
	tool=$1 suite=$2 arch=$3
	shift 3
	private_apt_state "$suite" "$arch"
	"$tool" -qq -oDir::Etc::SourceList="$state/sources.list" -oDir::Etc::SourceParts=- -oDir::State="$state" \
		-oDir::State::Lists="$state/lists" -oDir::State::status="$state/status" -oDir::Cache="$state" \
		-oDir::Cache::archives="$state/archives" -oDir::Log="$state" -oAPT::Architecture="$arch" -oAPT::Architectures="$arch" \
		-oAPT::Install-Recommends=0 -oDebug::NoLocking=1 -oAcquire::Languages=none -oAPT::Sandbox::User="$(id -un)" "$@"
)

private_apt() {
	private_apt_tool apt-get "$@"
}

private_apt_update() (
	private_apt_state "$1" "$2"
	if [ -z "$(find "$state/updated" -mtime -1 2>/dev/null)" ]; then
		# Without the option apt is content with a network that is down.
		private_apt "$1" "$2" update --error-on=any || private_apt_die "fetching the package lists of $1 for $2 failed"
		: >"$state/updated"
	fi
)

private_depends() {
	private_apt_tool apt-cache "$1" "$2" depends "$3" | sed -n 's/^ *Depends: //p'
}

private_unpack() (
	suite=$1 arch=$2 folder=$3
	shift 3
	private_apt_update "$suite" "$arch" || exit 1
	download=$anykvm_cache/packages/$suite-$arch
	mkdir -p "$download" "$folder"
	for package in "$@"; do
		rm -f "$download/$package"_*.deb
		(cd "$download" && private_apt "$suite" "$arch" download "$package") || {
			rm -f "$state/updated" # the archive may have moved on: new lists the next time
			private_apt_die "downloading $package of $suite for $arch failed"
		}
		dpkg-deb -x "$download/$package"_*.deb "$folder" || private_apt_die "unpacking $package failed"
	done
)

# The downloads are dropped: nobody asks for them by name again.
private_unpack_all() (
	suite=$1 arch=$2 folder=$3
	shift 3
	private_apt_update "$suite" "$arch" || exit 1
	mkdir -p "$folder"
	download=$(mktemp -d "$anykvm_cache/.packages-XXXXXX")
	trap 'rm -rf "$download"' EXIT
	mkdir "$download/partial"
	private_apt "$suite" "$arch" -oDir::Cache::archives="$download" -y --download-only install "$@" >/dev/null ||
		private_apt_die "downloading $* of $suite for $arch failed"
	for deb in "$download"/*.deb; do
		dpkg-deb -x "$deb" "$folder" || private_apt_die "unpacking $deb failed"
	done
)
