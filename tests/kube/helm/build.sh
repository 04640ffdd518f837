#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the directory with the helm that the tests of the chart run, of the release pinned in
# go.mod. Builds it on the first call, into .cache/ under a name that changes with the pinned
# versions; every download is checked against go.sum. `build.sh find` builds nothing, and prints
# nothing if it is missing. Apart from ../build.sh, so that neither release forces a build of the
# other. From scratch that costs two minutes of CPU.

set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../../.." && pwd)/.cache
release=$(sed -n 's|^\thelm.sh/helm/v3 \(v[0-9.]*\).*|\1|p' "$here/go.mod")
program=$cache/helm-$release-$(grep -hv "^[[:space:]]*#" "$here"/build.sh "$here"/go.{mod,sum} | sha256sum | cut -c1-12)

fail() {
	echo "kube/helm/build.sh: $1" >&2
	exit 1
}

is_new_enough() { # GO
	local has wants
	has=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
	wants=go$(sed -n 's/^go //p' "$here/go.mod")
	[ "$(printf '%s\n' "$wants" "$has" | sort -V | head -n 1)" = "$wants" ]
}

# The one on PATH, or the one that ../build.sh fetched.
find_go() { # sets GO
	for GO in "$(command -v go)" "$cache"/go1*/bin/go; do
		[ ! -x "$GO" ] || ! is_new_enough "$GO" || return 0
	done
	fail "no Go that is new enough: run tests/kube/build.sh first, which fetches one"
}

if [ -d "$program" ]; then
	echo "$program"
	exit 0
fi
[ "${1:-}" != --built ] || exit 0

mkdir -p "$cache" || fail "cannot write to $cache"
work=$(mktemp -d "$cache/building.XXXXXX") || fail "cannot write to $cache"
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off HOME="${HOME:-$cache}"
find_go
echo "kube/helm/build.sh: building helm $release with $("$GO" env GOVERSION): this happens once" >&2
# As helm's own Makefile does it: the release that it assumes for a cluster that it cannot ask is
# that of its client library.
chartutil=helm.sh/helm/v3/pkg/chartutil
minor=$(sed -n 's|^\tk8s.io/client-go v0\.\([0-9]*\)\..*|\1|p' "$here/go.mod")
(cd "$here" && nice "$GO" build -trimpath -buildvcs=false -o "$work/programs/" \
	-ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$release -X $chartutil.k8sVersionMajor=1 -X $chartutil.k8sVersionMinor=$minor" \
	helm.sh/helm/v3/cmd/helm 2>&1) |
	grep -v '^go: downloading ' >&2
[ "${PIPESTATUS[0]}" -eq 0 ] || fail "cannot build helm $release"
mv -T "$work/programs" "$program" 2>/dev/null || [ -d "$program" ] || fail "cannot write to $cache"
echo "$program"
