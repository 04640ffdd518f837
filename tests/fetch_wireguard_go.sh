#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the path of the wireguard-go that the tests talk to: one pinned version with GSO and GRO, which Debian 12 has in
# its backports only. Fetched once into .cache/ with an apt configuration of its own, so that the machine's sources and
# lists stay as they are; apt checks the archive's signature. Exits non-zero with a reason where it cannot be had.

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
[ -r "$KEYRING" ] || fail "no $KEYRING: install debian-archive-keyring"
work=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$cache" || fail "cannot write to $cache"
echo "deb [signed-by=$KEYRING] $ARCHIVE bookworm-backports main" >"$work/sources.list"

apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=root
	-o Acquire::Retries=2 -o Acquire::http::Timeout=20)

cd "$work" || fail "no temporary folder"
"${apt[@]}" update >log 2>&1 || fail "cannot reach $ARCHIVE: $(tail -n 1 log)"
"${apt[@]}" download "wireguard-go=$VERSION" >log 2>&1 || fail "not in the archive any more: $(tail -n 1 log)"
dpkg-deb -x wireguard-go_*.deb unpacked || fail "the package cannot be unpacked"
install -m 0755 unpacked/usr/bin/wireguard-go "$program.$$" && mv "$program.$$" "$program" || fail "cannot write to $cache"
echo "$program"
