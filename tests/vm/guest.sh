#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The virtual machine from the moment it has its root file system: runs the tests that machine.sh
# named, one after the other, writes their output to the second serial line between marks that
# machine.sh parses, and powers the machine off. Runs as process 1, so it must not fail: the tests
# notice everything that it cannot set up.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8

set -a
# shellcheck source=/dev/null # ROOT, BUILD, TESTS and the variables of the tests; written by machine.sh
. /run/job
set +a

file_systems_up() {
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev
	mkdir -p /dev/pts /dev/shm
	mount -t devpts devpts /dev/pts
	mount -t tmpfs memory /dev/shm
	mkdir -p /run/netns /run/lock /run/tmp
	mount -t bpf bpf /sys/fs/bpf
	mount -t cgroup2 cgroup /sys/fs/cgroup
}

kernel_up() {
	/run/busybox modprobe tun # its node in /dev comes only with it
	sysctl -q -w kernel.modprobe=/run/modprobe kernel.printk=5 net.core.bpf_jit_enable=1
	ip link set lo up
	hostname podveil-vm
}

run_test() { # FILE
	local began=$SECONDS
	echo "## begin $1"
	"$ROOT/tests/run.sh" --one "$1"
	echo "## end $1 $?"
	echo "## ${1##*/} took $((SECONDS - began)) s"
}

file_systems_up
kernel_up
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1 </dev/null
export TMPDIR=/run/tmp RESULTS=/run/results
mkdir $RESULTS
cd "$ROOT" || echo "no $ROOT"

echo "## kernel $(uname -r), up for $(cut -d' ' -f1 /proc/uptime) s"
for file in $TESTS; do
	run_test "$file"
done
echo "## done after $(cut -d' ' -f1 /proc/uptime) s"
sleep 0.2 # the serial line's last bytes
/run/busybox reboot -f
