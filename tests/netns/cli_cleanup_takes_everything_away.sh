#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil cleanup is the way out: without any daemon it removes our programs, pins and device from
# the node, leaves plain routing behind, does not touch anything of other programs, and can be run
# repeatedly.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

cleanup() { # I FLAG...
	local i=$1
	shift
	in_ns "n$i" "$BUILD/podveil" cleanup --control "$(agent_dir "$i")/keyd.sock" --bpffs "$(agent_bpffs "$i")" "$@"
}

has_ours() { ls "$(agent_bpffs "$1")"/links/to_wire_* && ip -n "$(ns "n$1")" link show podveil0; } # I

# That the hooks are gone shows in the pods: with them, and without a device, nothing would pass.
has_nothing_of_ours() {
	[ ! -e "$(agent_bpffs "$1")" ] || { ls -lR "$(agent_bpffs "$1")"; return 1; }
	! ip -n "$(ns "n$1")" link show podveil0
}

cleanup_says() { # WORDS I FLAG...
	local words=$1
	shift
	cleanup "$@" | tee "$RUN_DIR/said"
	[ "${PIPESTATUS[0]}" -eq 0 ] && grep -E "$words" "$RUN_DIR/said"
}

pods_talk() { wait_until 5 in_ns p1 ping -c 1 -W 1 "$(pod_v4 2)" && wait_until 5 in_ns p1 ping -c 1 -W 1 "$(pod_v6 2)"; }

leaves_other_devices_alone() {
	! cleanup 1 --interface eth0 || { echo "it did not refuse"; return 1; }
	ip -n "$(ns n1)" link show eth0
}

# A filter of another program that passes every packet.
other_hook_add() {
	in_ns n1 tc qdisc add dev eth0 clsact && in_ns n1 tc filter add dev eth0 egress bpf bytecode '1,6 0 0 0,'
}

other_hook_stands() { in_ns n1 tc filter show dev eth0 egress | grep bytecode; }

is_refused_without_root() {
	chmod 755 "$RUN_DIR" && cp "$BUILD/podveil" "$RUN_DIR/podveil"
	in_ns n1 setpriv --reuid 65534 --regid 65534 --clear-groups "$RUN_DIR/podveil" cleanup 2>"$RUN_DIR/said"
	[ $? -eq 1 ] && cat "$RUN_DIR/said" && grep -i root "$RUN_DIR/said"
}

begin
needs podveil-tunnel podveil-keyd podveil
cluster_up 2
other_hook_add || bail "this kernel has no clsact"
check "agents start and protect both nodes" start_agents
check "the programs and the device are there" has_ours 1
check "cleanup without root is refused" is_refused_without_root
kill_agent 1 >/dev/null
kill_agent 2 >/dev/null
check "they stay when the agent is killed" test -e "$(agent_bpffs 1)"
check "a device that is no tunnel is not deleted" leaves_other_devices_alone
check "cleanup says what it removed" cleanup_says 'podveil0' 1
check "nothing of ours is left" has_nothing_of_ours 1
check "the filter of somebody else stands" other_hook_stands
check "cleanup again says that there is nothing" cleanup_says 'nothing' 1
check "cleanup as JSON" cleanup_says '"removed"' 2 -o json
check "nothing of ours is left there either" has_nothing_of_ours 2
check "plain routing works again" pods_talk
check "an agent can be started after it" start_agents
done_testing
