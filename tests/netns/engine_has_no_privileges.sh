#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The engine, which reads data from the network, runs as an unprivileged user with no capability in
# any set and no way to get one. It has only the descriptors open that it needs to move packets and
# answer clients, and keeps its keys in locked memory. The parent keeps only the privileges that its
# verbs need.

. "$(dirname "$0")/wireguard.bash"

status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr '\t' ' '; } # PID FIELD

status_is() { # PID FIELD EXPECTED
	local shown
	shown=$(status_of "$1" "$2")
	[ "$shown" = "$3" ] || { echo "$2 is '$shown', expected '$3'"; return 1; }
}

has_no_capability() { # PID
	local set
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		status_is "$1" $set 0000000000000000 || return 1
	done
}

is_nobody() {
	status_is "$ENGINE" Uid "65534 65534 65534 65534" && status_is "$ENGINE" Gid "65534 65534 65534 65534" &&
		status_is "$ENGINE" Groups ""
}

# Anonymous inodes, sockets and the TUN; 0, 1 and 2 are the caller's.
has_only_its_descriptors() { # PID
	local fd target strangers=0
	for fd in /proc/"$1"/fd/*; do
		target=$(readlink "$fd") || continue
		[ "${fd##*/}" -gt 2 ] || continue
		case $target in
		socket:* | /dev/net/tun | 'anon_inode:[eventpoll]' | 'anon_inode:[timerfd]' | 'anon_inode:[signalfd]') ;;
		*) echo "descriptor ${fd##*/}: $target"; strangers=1 ;;
		esac
	done
	[ $strangers -eq 0 ] && [ "$(find /proc/"$1"/fd -lname /dev/net/tun | wc -l)" -eq 1 ]
}

cannot_be_dumped() {
	[ "$(stat -c %U "/proc/$ENGINE/environ")" = root ] && grep -q "^Max core file size  *0  *0 " "/proc/$ENGINE/limits"
}

# The private key is found in locked memory that no dump contains, and nowhere else.
keys_are_in_locked_memory_only() {
	[ "$(status_of "$ENGINE" VmLck | tr -dc 0-9)" -gt 0 ] || return 1
	"$BUILD/tools/memscan" --pid "$ENGINE" --needle "$(cat "$RUN_DIR/a.key")" | tee "$RUN_DIR/scan.json"
	jq -e '.found > 0 and .guarded == .found' "$RUN_DIR/scan.json"
}

wipes_its_keys_when_it_leaves() {
	stop_side a && ! kill -0 "$ENGINE" 2>/dev/null
}

begin_wireguard
cable_up
exec 7<"$0" # what the caller has open is not the engine's
start_ours a && start_ours b || bail "podveil-tunnel does not start"
introduce && point_to_other a v4 && pings a v4 >/dev/null || bail "the tunnel does not work"
ENGINE=$(engine_of a)
check "engine has no capability in any set" has_no_capability "$ENGINE"
check "engine can get no new privileges" status_is "$ENGINE" NoNewPrivs 1
check "engine is nobody" is_nobody
check "engine has only the descriptors it needs" has_only_its_descriptors "$ENGINE"
check "engine cannot be dumped" cannot_be_dumped
check "engine runs one thread" status_is "$ENGINE" Threads 1
check "private key is in locked memory and nowhere else" keys_are_in_locked_memory_only
# CAP_NET_ADMIN, CAP_KILL, CAP_NET_BIND_SERVICE
check "parent keeps only what its verbs need" status_is "$(pid_of a)" CapPrm 0000000000001420
check "parent can get no new privileges" status_is "$(pid_of a)" NoNewPrivs 1
check "engine leaves when the parent is told to" wipes_its_keys_when_it_leaves
done_testing
