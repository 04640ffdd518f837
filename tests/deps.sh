#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the missing Debian packages for the build, the tests and the demo; `deps.sh vm` also
# those for virtual machines, `deps.sh kube` those for the tests with Kubernetes, `deps.sh fuzz`
# the runtime of clang, `deps.sh image` those for the container image. If all are installed, it
# changes nothing and needs neither root nor a network.

set -u

BUILDING="gcc make clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libsodium-dev libmnl-dev libjansson-dev
	libb2-dev libcurl4-openssl-dev libyaml-dev libcmocka-dev pkg-config linux-libc-dev"
TESTING="wireguard-tools iperf3 tcpdump iproute2 iputils-ping curl python3 nftables socat jq ethtool procps
	util-linux perl mount spin iptables openssl containernetworking-plugins"
[ "${1:-}" = vm ] && TESTING="$TESTING qemu-system-x86 busybox-static cpio xz-utils debian-archive-keyring"
[ "${1:-}" = fuzz ] && BUILDING="$BUILDING libclang-rt-dev"
[ "${1:-}" = kube ] && TESTING="$TESTING etcd-server etcd-client unzip ca-certificates runc golang-github-containers-common
	libcap2-bin bsdutils"
[ "${1:-}" = image ] && TESTING="$TESTING buildah debootstrap ca-certificates"

fail() {
	echo "deps: $1" >&2
	exit 1
}

is_installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The tests start their own etcd; the service of the package would keep listening on this machine.
keep_etcd_off() {
	[ ! -d /run/systemd/system ] || systemctl --quiet mask etcd.service
}

missing=
command -v dpkg-query >/dev/null || fail "not a Debian system: install the equivalents of these packages: $BUILDING $TESTING"
for package in $BUILDING $TESTING; do
	is_installed "$package" || missing="$missing $package"
done

if [ -n "$missing" ]; then
	[ "$(id -u)" -eq 0 ] || fail "run as root, or first install:$missing"
	log=$(mktemp) || fail "cannot create a temporary file"
	echo "deps: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	case $missing in *etcd-server*) keep_etcd_off ;; esac
	# shellcheck disable=SC2086 # one word each
	if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		fail "apt-get could not install:$missing"
	fi
	rm -f "$log"
fi

if [ "$(id -u)" -eq 0 ] && ! mountpoint -q /sys/fs/bpf; then
	mount -t bpf bpf /sys/fs/bpf 2>/dev/null || echo "deps: cannot mount a bpffs on /sys/fs/bpf: programs and tests that need BPF will fail" >&2
fi
exit 0
