#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
#   machine.sh SERIES TEST...
#
# Boots a Debian kernel of that series in a virtual machine without hardware support (any machine can run it), with
# this machine's root as its own, read-only, and runs the tests in it. Prints their TAP as one: each line carries the
# name of its file. A test that died, hung or told nothing is a failure; so is a kernel that complained on its console, and
# a machine that did not come to its end. SECONDS_PER_MACHINE bounds it, and SECONDS_PER_TEST each of its tests.

set -u -o pipefail

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=$(cd "$ROOT" && realpath -m "${BUILD:-build}")
SECONDS_PER_MACHINE=${SECONDS_PER_MACHINE:-420}
MEMORY=2G
# Disables features that cost time, and alarms that mean nothing where a processor may wait for
# another one's.
EMULATED="mitigations=off nokaslr random.trust_cpu=on tsc=reliable nowatchdog rcupdate.rcu_cpu_stall_suppress=1"

series=${1:?which series of kernels}
shift

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# No more than what finds the host's root.
initramfs() { # KERNEL_FOLDER FILE
	local kernel=$1 version module files tree=$WORK/initramfs
	version=$(ls "$kernel/lib/modules")
	mkdir -p "$tree"/{bin,proc,dev,lower,memory,"lib/modules/$version"}
	cp "$ROOT/tests/vm/init" "$tree/init"
	cp "$WORK/job" "$tree/job"
	cp "$(command -v busybox)" "$tree/bin/busybox"
	for program in sh mount umount mkdir ln cp chmod uname modprobe reboot switch_root; do
		ln -s busybox "$tree/bin/$program"
	done
	cp "$kernel/lib/modules/$version"/modules.{alias,builtin,dep,symbols} "$tree/lib/modules/$version/"
	files=$(for module in virtio_pci 9pnet_virtio 9p overlay; do
		sed -n "s|^\(kernel/[^:]*/$module\.ko[.xz]*\): *\(.*\)|\1 \2|p" "$kernel/lib/modules/$version/modules.dep"
	done | tr " " "\n" | sort -u)
	# shellcheck disable=SC2086 # one word each
	(cd "$kernel/lib/modules/$version" && cp --parents ${files//.ko.xz/.ko} "$tree/lib/modules/$version/")
	(cd "$tree" && find . | cpio --quiet -o -H newc) >"$2"
}

write_job() { # KERNEL_FOLDER TEST...
	local kernel=$1
	shift
	printf '%s=%q\n' KERNEL "$kernel" ROOT "$ROOT" BUILD "$BUILD" TESTS "$*" \
		SECONDS_PER_FILE "${SECONDS_PER_TEST:-200}" PODVEIL_SLOW "${PODVEIL_SLOW:-4}" >"$WORK/job"
}

# The machine's second serial line is our standard output, its console goes to a file. One processor: with two, qemu 7.2
# runs code that a kernel is patching (a static key), and the kernel dies of an int3 that is no more.
boot() { # KERNEL_FOLDER
	timeout --foreground --kill-after=5 "$SECONDS_PER_MACHINE" qemu-system-x86_64 -nodefaults -no-user-config \
		-display none -no-reboot -machine pc -accel tcg -cpu max -smp 1 -m $MEMORY \
		-kernel "$1/vmlinuz" -initrd "$WORK/initramfs.cpio" \
		-append "console=ttyS0 loglevel=5 panic=-1 oops=panic $EMULATED" \
		-chardev "file,id=console,path=$WORK/console" -serial chardev:console \
		-chardev stdio,id=tests,signal=off -serial chardev:tests \
		-fsdev local,id=host,path=/,readonly=on,security_model=none,multidevs=remap \
		-device virtio-9p-pci,fsdev=host,mount_tag=host </dev/null 2>"$WORK/qemu"
}

begin() {
	local program
	for program in qemu-system-x86_64 busybox cpio; do
		command -v $program >/dev/null || skip_all "$program is missing: run tests/deps.sh vm"
	done
	WORK=$(mktemp -d) || exit 1
	trap 'rm -rf "$WORK"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

main() {
	local kernel
	begin
	kernel=$("$ROOT/tests/vm/fetch_kernel.sh" "$series" 2>"$WORK/fetch") || skip_all "$(cat "$WORK/fetch")"
	write_job "$kernel" "$@"
	initramfs "$kernel" "$WORK/initramfs.cpio"
	touch "$WORK/console"
	boot "$kernel" | awk -v "console=$WORK/console" -v "errors=$WORK/qemu" -f "$ROOT/tests/vm/merge.awk"
	exit "${PIPESTATUS[1]}"
}

main "$@"
