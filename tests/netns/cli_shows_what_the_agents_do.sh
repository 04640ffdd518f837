#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# status, peers and key-status report the true state, as text and as the JSON of
# include/keyd_control.h; status' exit status is its verdict.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

json_says() { # I COMMAND JQ_FILTER
	podveil "$1" -o json "$2" >"$RUN_DIR/answer.json" || return 1
	jq -e "$3" "$RUN_DIR/answer.json" || { cat "$RUN_DIR/answer.json"; return 1; }
}

text_says() { # I COMMAND PATTERN...
	local i=$1 command=$2 pattern
	shift 2
	podveil "$i" "$command" >"$RUN_DIR/answer.txt" || return 1
	cat "$RUN_DIR/answer.txt"
	for pattern in "$@"; do
		grep -Eq -- "$pattern" "$RUN_DIR/answer.txt" || { echo "not found: $pattern"; return 1; }
	done
}

first_line_is_verdict() { podveil 1 status | head -n 1 | grep -E '^protected: .* n1 .* 1 of 1'; }

keys_are_public_only() { # and equal on both nodes
	local i
	for i in 1 2; do
		podveil "$i" -o json key-status | jq -S '[.keys[] | {node, epoch, fingerprint}] | sort_by(.node)' >"$RUN_DIR/keys.$i"
	done
	diff "$RUN_DIR/keys.1" "$RUN_DIR/keys.2"
}

says_that_it_stopped() {
	stop_keyd 1 || return 1
	podveil 1 status 2>"$RUN_DIR/stderr"
	[ $? -eq 1 ] && grep "start podveil-keyd" "$RUN_DIR/stderr"
}

is_not_protected_without_tunnel() {
	stop_tunnel 2 || return 1
	wait_until 10 not_protected 2
	podveil 2 status >"$RUN_DIR/answer.txt"
	[ $? -eq 1 ] && head -n 3 "$RUN_DIR/answer.txt" && head -n 1 "$RUN_DIR/answer.txt" | grep '^degraded: n2' &&
		grep '^  - podveil-tunnel' "$RUN_DIR/answer.txt"
}

not_protected() { ! podveil "$1" status; }

begin
needs podveil-tunnel podveil-keyd podveil
cluster_up 2
check "agents start and protect both nodes" start_agents
in_ns p1 ping -c 20 -i 0.01 -q "$(pod_v4 2)" >/dev/null

check "status begins with the verdict" first_line_is_verdict
check "status as text says where and how" text_says 1 status 'mode strict' 'podveil0, UDP port 51890, MTU 1440' \
	'(tcx|clsact) on .*eth0.*pods behind .*pods0' '1 usable of 1, 1 with a session, 0 refused' \
	'10\.244\.1\.0/24' 'file:'
check "status as JSON has the fields of the contract" json_says 1 status '.version and .node == "n1" and (.uid | length) > 0 and
	.mode == "strict" and .state == "protected" and .reasons == [] and (.registry | startswith("file:")) and
	(.cluster_cidrs | index("10.244.0.0/16")) != null and (.pod_cidrs | index("10.244.1.0/24")) != null and
	(.endpoints | index("192.168.50.1")) != null and .port == 51890 and .interface == "podveil0" and .mtu == 1440 and
	.tunnel.is_connected and .tunnel.pid > 1 and .tunnel.peers == 1 and (.datapath.uplinks | index("eth0")) != null and
	.peers == {total: 1, usable: 1, with_session: 1, refused: 0} and .traffic.to_tunnel.packets >= 20 and
	.traffic.from_tunnel.bytes >= 20 * 84'
check "peers as text names the other node" text_says 1 peers '^NODE +STATE' '^n2 +usable +yes +192\.168\.50\.2:51890'
check "peers as JSON has the fields of the contract" json_says 1 peers '.peers | length == 1 and (.[0] | .node == "n2" and
	.id > 0 and .state == "usable" and .reason == "" and (.key | length) == 44 and .epoch > 1600000000000 and
	(.endpoints | index("192.168.50.2:51890")) != null and (.endpoint | endswith(":51890")) and
	(.pods | index("10.244.2.0/24")) != null and (.addresses | index("192.168.50.2")) != null and .has_session and
	(.last_handshake | endswith("Z")) and .last_received_age < 60 and .received_bytes > 0 and .sent_bytes > 0 and
	.to_tunnel.packets >= 20 and .from_tunnel.packets >= 20)'
check "key-status as text marks this node" text_says 1 key-status '^n1 \(this\) ' '^n2 .* current'
check "key-status as JSON has the fields of the contract" json_says 1 key-status '.keys | length == 2 and
	(map(select(.is_self)) | length == 1 and (.[0] | .node == "n1" and .state == "current")) and
	all(.[]; (.fingerprint | length) == 8 and .epoch > 1600000000000)'
check "both nodes show the same keys" keys_are_public_only
check "a tunnel that is gone makes status say no" is_not_protected_without_tunnel
check "when keyd is not running, status names the remedy" says_that_it_stopped
done_testing
