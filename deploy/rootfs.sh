#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes the file system of the image: the three programs, the libraries that they load, and passwd
# and group with `root` and `nobody`. No shell, no package manager. /var/lib/dpkg/status.d lists the
# Debian packages of the libraries for scanners. Called by Dockerfile, and by the tests with their
# own build.
#
#   rootfs.sh BUILD_DIRECTORY NEW_DIRECTORY

set -eu

build=$1
root=$2
programs="podveil-tunnel podveil-keyd podveil"

fail() {
	echo "rootfs.sh: $1" >&2
	exit 1
}

# One path a line, including the loader.
libraries() {
	for program in $programs; do
		ldd "$build/$program" || fail "$build/$program: build it first"
	done | sed -n 's/^.*=> \(\/[^ ]*\) .*$/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*$/\1/p' | sort -u
}

# dpkg knows a file by its path in the package, which may differ from the path that the loader
# found.
package_of() { # FILE
	{ dpkg-query -S "$1" || dpkg-query -S "/usr$1" || dpkg-query -S "${1#/usr}" || dpkg-query -S "$(realpath "$1")"; } \
		2>/dev/null | sed -n '/^diversion by /d; s/: .*//p' | head -n 1
}

[ -n "$build" ] && [ -n "$root" ] || fail "usage: rootfs.sh BUILD_DIRECTORY NEW_DIRECTORY"
[ ! -e "$root" ] || fail "$root exists already"
mkdir -p "$root/usr/bin" "$root/etc" "$root/run" "$root/bpf" "$root/tmp" "$root/dev" "$root/proc" "$root/sys" "$root/var/lib/dpkg/status.d"
ln -s ../run "$root/var/run"
chmod 1777 "$root/tmp"
for program in $programs; do
	install -m 0755 -s "$build/$program" "$root/usr/bin/$program"
done
libraries | while read -r library; do
	mkdir -p "$root$(dirname "$library")"
	cp -L "$library" "$root$library"
	package=$(package_of "$library")
	[ -z "$package" ] || dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/${package%%:*}"
done
printf '%s\n' 'root:x:0:0:root:/:/usr/sbin/nologin' 'nobody:x:65534:65534:nobody:/:/usr/sbin/nologin' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' >"$root/etc/group"
