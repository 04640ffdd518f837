#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the image from Dockerfile with buildah, as root, without a registry: debootstrap makes the
# Debian base image. Lists every file with its size, and leaves the image as an OCI archive and as a
# directory:
#   .cache/image/podveil-VERSION-ARCH.tar     for `skopeo copy`, `podman load`, `ctr images import`
#   .cache/image/rootfs
# With a registry, any builder works:
#   docker buildx build --platform linux/amd64,linux/arm64 -f deploy/Dockerfile .
# `--built` builds nothing, and prints the directory if it exists.

set -u -o pipefail

SUITE=trixie
MIRROR=${MIRROR:-http://deb.debian.org/debian}

root=$(cd "$(dirname "$0")/.." && pwd)
cache=$root/.cache/image
version=$(sed -n 's/^#define PODVEIL_VERSION[[:space:]]*"\(.*\)"/\1/p' "$root/include/version.h")
arch=$(dpkg --print-architecture)
archive=$cache/podveil-$version-$arch.tar
BUILDAH=(buildah --root "$cache/storage" --runroot "$cache/run" --storage-driver overlay)

fail() {
	echo "image.sh: $1" >&2
	exit 1
}

if [ "${1:-}" = --built ]; then
	[ ! -d "$cache/rootfs" ] || echo "$cache/rootfs"
	exit 0
fi

# Makes the base image that a registry has as debian:trixie. It stays in the cache, as does the
# layer with the compilers.
base_make() {
	local container
	"${BUILDAH[@]}" inspect --type image localhost/debian:$SUITE >/dev/null 2>&1 && return
	echo "image.sh: fetching Debian $SUITE: this happens once" >&2
	debootstrap --variant=minbase $SUITE "$work/base" "$MIRROR" >"$work/log" 2>&1 ||
		fail "debootstrap: $(tail -n 1 "$work/log")"
	container=$("${BUILDAH[@]}" from scratch) && "${BUILDAH[@]}" add --quiet "$container" "$work/base" / >"$work/log" 2>&1 &&
		"${BUILDAH[@]}" commit --quiet --rm "$container" localhost/debian:$SUITE >"$work/log" 2>&1 ||
		fail "buildah: $(tail -n 1 "$work/log")"
	rm -rf "$work/base"
}

# Copies only the inputs of the image, so that no other file makes the layers stale.
context_make() {
	mkdir "$work/context" "$work/context/deploy" &&
		cp -r "$root"/{Makefile,include,bpf,tunnel,keyd} "$work/context/" &&
		cp "$root"/deploy/{Dockerfile,rootfs.sh} "$work/context/deploy/" || fail "cannot write to $cache"
}

image_build() {
	# shellcheck disable=SC2153 # these are make's
	"${BUILDAH[@]}" build --isolation chroot --layers --network host --build-arg BUILD_IMAGE=localhost/debian:$SUITE \
		--build-arg JOBS="${JOBS:-2}" --tag "localhost/podveil:$version" --file "$work/context/deploy/Dockerfile" \
		"$work/context" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; fail "buildah build failed"; }
	"${BUILDAH[@]}" push --quiet "localhost/podveil:$version" "oci-archive:$work/archive:podveil:$version" >"$work/log" 2>&1 ||
		fail "buildah push: $(tail -n 1 "$work/log")"
}

# Writes all its layers into one directory.
rootfs_unpack() {
	local container folder
	container=$("${BUILDAH[@]}" from --pull-never "localhost/podveil:$version") && folder=$("${BUILDAH[@]}" mount "$container") &&
		cp -a "$folder" "$work/rootfs" && "${BUILDAH[@]}" rm "$container" >/dev/null || fail "cannot unpack the image"
}

mkdir -p "$cache" || fail "cannot write to $cache"
for program in buildah debootstrap; do
	command -v $program >/dev/null || fail "needs $program: apt-get install $program"
done
[ -n "$version" ] || fail "include/version.h has no PODVEIL_VERSION"
[ "$(id -u)" -eq 0 ] || fail "run as root: debootstrap creates devices, buildah changes its root"
exec 9>"$cache/lock" && flock 9 || fail "cannot lock $cache"
work=$(mktemp -d "$cache/building.XXXXXX") || fail "cannot write to $cache"
trap 'rm -rf "$work"' EXIT
base_make
context_make
image_build
rootfs_unpack
rm -rf "$cache/rootfs" && mv "$work/rootfs" "$cache/rootfs" && mv "$work/archive" "$archive" || fail "cannot write to $cache"

(cd "$cache/rootfs" && find . -type f -printf '%10s  %m  /%P\n' | sort -k 3)
printf '%10s  in all; the archive has %s\n%s\n' "$(find "$cache/rootfs" -type f -printf '%s\n' | awk '{n += $1} END {print n}')" \
	"$(stat -c %s "$archive")" "$archive"
