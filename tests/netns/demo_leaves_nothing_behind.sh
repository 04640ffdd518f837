#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# `make demo`, interrupted at any moment, takes away everything it made: network namespaces, processes, pinned programs
# and temporary files. It makes no device outside its namespaces.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

# Everything that carries the name of the run with this pid.
left_behind() { # PID
	local name=pv-$1
	ip netns list | grep "^$name-"
	ls -d "$BPFFS_ROOT/$name"-* "${TMPDIR:-/tmp}/$name" 2>/dev/null
	ip -br link | grep "$name"
	grep -lzx "PODVEIL_RUN=$name" /proc/[0-9]*/environ 2>/dev/null
	true
}

interrupt_demo() { # SIGNAL AFTER_SECONDS
	local pid rest
	# bash ignores SIGINT in background jobs, and a signal that is ignored at the start cannot be
	# trapped.
	env --default-signal=INT "$ROOT/tests/demo/demo.sh" >"$RUN_DIR/demo.out" 2>&1 &
	pid=$!
	sleep "$2"
	kill "-$1" "$pid"
	wait_until 20 is_gone "$pid" || { echo "the demo did not end"; return 1; }
	wait "$pid"
	echo "it ended with status $? and had written:"
	cat "$RUN_DIR/demo.out"
	rest=$(left_behind "$pid")
	[ -z "$rest" ] || { echo "left behind: $rest"; return 1; }
}

finds_what_is_left() { # the search itself can fail
	local pid found
	PODVEIL_RUN=pv-4000000 sleep 30 &
	pid=$!
	sleep 0.2
	found=$(left_behind 4000000)
	kill $pid
	[ -n "$found" ]
}

begin
needs podveil-tunnel podveil-keyd podveil tools/wirewatch
check "the search finds a process that was left behind" finds_what_is_left
for seconds in 0.1 0.5; do
	check "the demo leaves nothing behind when interrupted after $seconds s" interrupt_demo INT $seconds
done
for _ in 1 2 3; do
	seconds=$((RANDOM % 20 + 1)).$((RANDOM % 10))
	check "the demo leaves nothing behind when terminated after a random time" interrupt_demo TERM $seconds
	diag "that was after $seconds s"
done
check "the demo leaves nothing behind when its terminal goes away" interrupt_demo HUP 4
done_testing
