#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The image that `make image` left: three programs, the libraries they load, and nothing that an intruder could use; each
# program runs in it, as root and without anything else. Skipped where no image was built: that takes a Debian mirror.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"

IMAGE=$("$ROOT/deploy/image.sh" --built)
PROGRAMS='podveil podveil-keyd podveil-tunnel'

in_image() { chroot "$IMAGE" "$@"; } # no shell of ours is in between

files() { find "$IMAGE" -type f -printf '/%P\n' | sort; }

# Everything that is neither a program, a library, a name nor a package's record.
strangers() {
	files | grep -vE '^/usr/bin/podveil(-keyd|-tunnel)?$|^/(usr/)?lib(64)?/([a-z0-9_-]+/)?[A-Za-z0-9_.+-]+\.so(\.[0-9.]+)?$|^/etc/(passwd|group)$' |
		grep -vE '^/var/lib/dpkg/status\.d/[a-z0-9.+-]+$'
}

nothing_else_is_in_it() { ! strangers; }
the_programs_are_three() { diff <(find "$IMAGE" -type f -perm /111 -path '*/bin/*' -printf '%f\n' | sort | xargs) - <<<"$PROGRAMS"; }
nothing_has_a_special_bit() { ! find "$IMAGE" \( -type f -perm /7000 -o -type b -o -type c \) | grep .; }
nothing_is_writable_for_others() { ! find "$IMAGE" -type f -perm /022 | grep .; }

each_program_runs() {
	local program
	for program in $PROGRAMS; do
		in_image "$program" --version | grep -xF "$program $VERSION" || return 1
	done
}

every_library_has_its_package() {
	local packages
	packages=$(find "$IMAGE/var/lib/dpkg/status.d" -type f | wc -l)
	echo "$packages packages"
	[ "$packages" -gt 5 ] && [ -z "$(grep -L "^Version: " "$IMAGE"/var/lib/dpkg/status.d/*)" ]
}

# Debian's libraries that no program and no library needs.
no_library_is_idle() {
	local needed
	needed=$(files | grep -E '/bin/|\.so' | while read -r file; do readelf -d "$IMAGE$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; done | sort -u)
	! files | grep '\.so' | sed 's|.*/||' | grep -vxF "$needed" | grep -v '^ld-linux'
}

is_small() { # MIB
	local bytes
	bytes=$(find "$IMAGE" -type f -printf '%s\n' | awk '{n += $1} END {print n}')
	echo "$bytes bytes"
	[ "$bytes" -lt $(($1 * 1024 * 1024)) ]
}

# An OCI archive of one layer, for this machine's architecture.
archive_says() { # FILTER: of the image's configuration
	local index manifest config
	index=$(tar -xOf "$ARCHIVE" index.json | jq -r '.manifests[0].digest | sub("sha256:"; "blobs/sha256/")') &&
		manifest=$(tar -xOf "$ARCHIVE" "$index") &&
		config=$(tar -xOf "$ARCHIVE" "$(jq -r '.config.digest | sub("sha256:"; "blobs/sha256/")' <<<"$manifest")") || return 1
	jq -n --argjson manifest "$manifest" --argjson config "$config" "$1" && jq -ne --argjson manifest "$manifest" --argjson config "$config" "$1" >/dev/null
}

# The packages that a build needs, without those that only tests need.
packages_of_deps() {
	sed -n '/^BUILDING="/,/"$/p' "$ROOT/tests/deps.sh" | tr -d '"' | sed 's/^BUILDING=//' | xargs -n 1 | grep -vxE 'libcmocka-dev|pkg-config' | sort
}

packages_of_dockerfile() {
	sed -n '/no-install-recommends/,/&& \\$/p' "$ROOT/deploy/Dockerfile" | sed 's/.*recommends//; s/&&//; s/\\$//' | xargs -n 1 | sort
}

dockerfile_follows_deps() { diff <(packages_of_deps) <(packages_of_dockerfile); }

begin
[ -n "$IMAGE" ] || skip_all "no image was built: run make image"
VERSION=$(in_image podveil version | cut -d' ' -f2)
ARCHIVE=$(dirname "$IMAGE")/podveil-$VERSION-$(dpkg --print-architecture).tar
check "its programs are three" the_programs_are_three
check "nothing else is in it" nothing_else_is_in_it
check "nothing has a special bit, and no device is in it" nothing_has_a_special_bit
check "nothing is writable for others" nothing_is_writable_for_others
check "each program runs in it" each_program_runs
check "every library has its package named" every_library_has_its_package
check "no library is idle" no_library_is_idle
check "it is smaller than 32 MiB" is_small 32
check "the archive is one image of one layer for this architecture" archive_says \
	"(\$manifest.layers | length) == 1 and \$config.architecture == \"$(dpkg --print-architecture)\" and \$config.os == \"linux\""
check "without a command it changes nothing" archive_says '$config.config.Cmd == ["podveil", "version"] and $config.config.Entrypoint == null'
check "the Dockerfile takes the packages of tests/deps.sh" dockerfile_follows_deps

mkdir -p "$RUN_DIR/other" && cp -a "$IMAGE" "$RUN_DIR/other/rootfs" && cp /bin/sh "$RUN_DIR/other/rootfs/usr/bin/sh"
IMAGE=$RUN_DIR/other/rootfs
shell_is_found() { ! nothing_else_is_in_it && ! the_programs_are_three; }
check "a shell would be found" shell_is_found
done_testing
