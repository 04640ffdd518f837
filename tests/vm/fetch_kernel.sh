#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the directory of a Debian kernel of the named series (6.1, 6.12) for a virtual machine:
# vmlinuz, and lib/modules with the modules for pods, overlays and tunnels. Fetched once into
# .cache/, with an apt configuration of its own: the machine's sources and lists stay as they are,
# no kernel is installed on it, and apt checks the archive's signature. The revision of a series is
# the archive's newest, since the archive keeps no older ones. Exits non-zero with a reason if it
# cannot be fetched.

set -u -o pipefail

ARCHIVE=http://deb.debian.org
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

series=${1:?which series}
cache=$(cd "$(dirname "$0")/../.." && pwd)/.cache
kernel=$cache/linux-$series

fail() {
	echo "Linux $series: $1" >&2
	exit 1
}

meta_package() {
	case $series in
	6.1) echo linux-image-amd64 ;;
	6.12) echo linux-image-6.12-amd64 ;;
	*) fail "not one of 6.1, 6.12" ;;
	esac
}

# The rest of the 100 MB is drivers for hardware that is not emulated.
unpack() { # PACKAGE FOLDER
	mkdir "$2" && dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards --no-wildcards-match-slash \
		'./boot/vmlinuz-*' './lib/modules/*/modules.*' \
		'./lib/modules/*/kernel/'{net,lib,crypto,arch/x86/crypto,fs/9p,fs/netfs,fs/fscache,fs/overlayfs} \
		'./lib/modules/*/kernel/drivers/'{net/*.ko*,net/bonding,net/ipvlan,net/vxlan,net/wireguard,virtio} 2>tar.log
	find "$2/lib/modules" -name '*.ko.xz' -print0 | xargs -0r xz -d
}

if [ -d "$kernel" ]; then
	echo "$kernel"
	exit 0
fi

package=$(meta_package) || exit 1
for program in apt-get busybox xz; do
	command -v $program >/dev/null || fail "no $program on this machine"
done
[ -r "$KEYRING" ] || fail "no $KEYRING: install debian-archive-keyring"
mkdir -p "$cache" && work=$(mktemp -d "$cache/fetch.XXXXXX") || fail "cannot write to $cache"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" || fail "cannot write to $cache"
printf 'deb [arch=amd64 signed-by=%s] %s main\n' "$KEYRING" "$ARCHIVE/debian bookworm" \
	"$KEYRING" "$ARCHIVE/debian-security bookworm-security" >"$work/sources.list"

apt_options=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=root
	-o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20)

cd "$work" || fail "cannot write to $cache"
apt-get "${apt_options[@]}" update >log 2>&1 || fail "cannot reach $ARCHIVE: $(tail -n 1 log)"
image=$(apt-cache "${apt_options[@]}" depends "$package" | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
[ -n "$image" ] || fail "the archive has no $package"
apt-get "${apt_options[@]}" download "$image" >log 2>&1 || fail "$image cannot be fetched: $(tail -n 1 log)"
unpack linux-image-*.deb unpacked
version=$(cd unpacked/lib/modules 2>/dev/null && echo *)
mv unpacked/boot/vmlinuz-* unpacked/vmlinuz && rmdir unpacked/boot && (cd unpacked && busybox depmod -b "$PWD" "$version") ||
	fail "$image cannot be unpacked: $(tail -n 1 tar.log)"
mv -T unpacked "$kernel" 2>/dev/null || [ -d "$kernel" ] || fail "cannot write to $cache"
echo "$kernel"
