#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints the directory with the programs that the tests in this directory run against:
# kube-apiserver, kube-proxy and kubectl of one release (go.mod), and flanneld (flannel/go.mod).
# Builds them on the first call, into .cache/ under a name that changes with the pinned versions;
# every download is checked, against go.sum or the sums below. `build.sh find` builds nothing, and
# prints nothing if they are missing. Exits non-zero with a reason if they cannot be built. Uses the
# Go on PATH if it is new enough, and otherwise one from the module proxy, so that a machine without
# Go will do. From scratch that costs eleven minutes of CPU, downloads included, and four gigabytes
# of disk, nearly all of them in caches of Go.
#
# Takes the Go that is on PATH when it is new enough, and otherwise one from the module proxy, so that a machine without
# Go will do. From nothing that costs eleven minutes of CPU, downloads included, and four gigabytes
# of disk, nearly all of them in caches of Go.

set -u -o pipefail

GO_VERSION=go1.26.8
declare -A GO_SUM=(
	[amd64]=30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7
	[arm64]=02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99
)
PROXY=https://proxy.golang.org
KUBERNETES=(kube-apiserver kube-proxy kubectl)

here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
release=$(sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\).*|\1|p' "$here/go.mod")
flannel=$(sed -n 's|^require github.com/flannel-io/flannel ||p' "$here/flannel/go.mod")
pinned=$(grep -hv '^[[:space:]]*#' "$here/build.sh" "$here"/go.{mod,sum} "$here"/flannel/go.{mod,sum} | sha256sum | cut -c1-12)
programs=$cache/kube-$release-$pinned

fail() {
	echo "kube/build.sh: $1" >&2
	exit 1
}

say() { echo "kube/build.sh: $1" >&2; }

# -- Go --

is_new_enough() { # GO
	local has wants
	has=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
	wants=go$(sed -n 's/^go //p' "$here/go.mod")
	[ "$(printf '%s\n' "$wants" "$has" | sort -V | head -n 1)" = "$wants" ]
}

# In the archive of a module no file can be executable.
fetch_go() { # FOLDER
	local arch name sum=
	arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
	name=v0.0.1-$GO_VERSION.linux-$arch
	sum=${GO_SUM[$arch]:-}
	[ -n "$sum" ] || fail "no Go on PATH that is new enough, and no sum of $GO_VERSION for $arch"
	command -v unzip >/dev/null || fail "needs unzip: run tests/deps.sh kube"
	say "fetching $GO_VERSION from $PROXY (70 MB)"
	curl -sSfL --retry 2 --max-time 600 -o "$work/go.zip" "$PROXY/golang.org/toolchain/@v/$name.zip" ||
		fail "cannot fetch $name from $PROXY"
	echo "$sum  $work/go.zip" | sha256sum --quiet -c - >&2 || fail "$name is not what it was when it was pinned"
	unzip -q "$work/go.zip" -d "$work/go" || fail "$name cannot be unpacked"
	chmod +x "$work/go/golang.org/toolchain@$name"/{bin/*,pkg/tool/*/*}
	mv -T "$work/go/golang.org/toolchain@$name" "$1" 2>/dev/null || [ -x "$1/bin/go" ] || fail "cannot write to $cache"
}

find_go() { # sets GO
	GO=$(command -v go) && is_new_enough "$GO" && return
	GO=$cache/$GO_VERSION/bin/go
	[ -x "$GO" ] || fetch_go "$cache/$GO_VERSION"
	is_new_enough "$GO" || fail "$GO does not run"
}

# -- programs --

go_build() { # FOLDER ARGUMENT...
	local folder=$1
	shift
	(cd "$folder" && "$GO" build -trimpath -buildvcs=false -o "$work/programs/" "$@" 2>&1) |
		grep -v '^go: downloading ' >&2
	[ "${PIPESTATUS[0]}" -eq 0 ] || fail "cannot build in $folder"
}

build_kubernetes() {
	local version=k8s.io/component-base/version minor
	minor=$(cut -d. -f2 <<<"$release")
	go_build "$here" -ldflags "-s -w -X $version.gitVersion=$release -X $version.gitMajor=1 -X $version.gitMinor=$minor" \
		"${KUBERNETES[@]/#/k8s.io/kubernetes/cmd/}"
}

# By the versions and sums that its own go.mod and go.sum name, which are in the archive that ours has the sum of. Two of
# its backends go: udp is in C, and tencentvpc needs modules that the proxy does not give out any more.
build_flannel() {
	local source backend
	source=$(cd "$here/flannel" && "$GO" mod download -json github.com/flannel-io/flannel | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
	[ -d "$source" ] || fail "cannot fetch flannel $flannel"
	cp -r "$source" "$work/flannel" && chmod -R u+w "$work/flannel" || fail "cannot copy $source"
	for backend in udp tencentvpc; do
		rm -r "$work/flannel/pkg/backend/$backend" && sed -i "/pkg\/backend\/$backend\"/d" "$work/flannel/main.go" ||
			fail "flannel $flannel has no backend $backend"
	done
	go_build "$work/flannel" -ldflags '-s -w' .
	mv "$work/programs/flannel" "$work/programs/flanneld" || fail "flannel's program has another name"
}

if [ -d "$programs" ]; then
	echo "$programs"
	exit 0
fi
[ "${1:-}" != --built ] || exit 0

mkdir -p "$cache" || fail "cannot write to $cache"
work=$(mktemp -d "$cache/building.XXXXXX") || fail "cannot write to $cache"
trap 'rm -rf "$work"' EXIT
mkdir "$work/programs"
export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off HOME="${HOME:-$cache}"
find_go
say "building Kubernetes $release and flannel $flannel with $("$GO" env GOVERSION): this happens once"
build_flannel
build_kubernetes
mv -T "$work/programs" "$programs" 2>/dev/null || [ -d "$programs" ] || fail "cannot write to $cache"
echo "$programs"
