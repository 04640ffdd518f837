#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the path of the wireguard-go that the tests use as a peer: a pinned version with GSO and
# GRO, which Debian 12 has only in its backports. Downloads it once into .cache/ with its own apt
# configuration, so that the machine's sources and lists stay unchanged; apt checks the signature
# of the archive. On failure, exits non-zero with a reason.

set -u -o pipefail

VERSION=0.0.20231211-1~bpo12+1
ARCHIVE=http://deb.debian.org/debian
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

cache=$(cd "$(dirname "$0")/.." && pwd)/.cache
program=$cache/wireguard-go-$VERSION

fail() {
	echo "wireguard-go $VERSION: $1" >&2
	exit 1
}

if [ -x "$program" ]; then
	echo "$program"
	exit 0
fi

command -v apt-get >/dev/null || fail "no apt-get on this machine"
[ -r "$KEYRING" ] || fail "$KEYRING is missing: install debian-archive-keyring"
work=$(mktemp -d) || fail "cannot create a temporary directory"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$cache" || fail "cannot write to $cache"
echo "deb [signed-by=$KEYRING] $ARCHIVE bookworm-backports main" >"$work/sources.list"

apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=root
	-o Acquire::Retries=2 -o Acquire::http::Timeout=20)

cd "$work" || fail "cannot enter the temporary directory"
"${apt[@]}" update >log 2>&1 || fail "cannot reach $ARCHIVE: $(tail -n 1 log)"
"${apt[@]}" download "wireguard-go=$VERSION" >log 2>&1 || fail "cannot download it: $(tail -n 1 log)"
dpkg-deb -x wireguard-go_*.deb unpacked || fail "cannot unpack the package"
install -m 0755 unpacked/usr/bin/wireguard-go "$program.$$" && mv "$program.$$" "$program" || fail "cannot write to $cache"
echo "$program"
