#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The capabilities that the systemd units in deploy/ grant are enough for both programs: the agents run with exactly
# these, protect their pods, and come back after a crash. One that is missing is named.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

# As setpriv wants them: -all,+net_admin,...
granted() { # tunnel|keyd
	sed -n 's/^CapabilityBoundingSet=//p' "$ROOT/deploy/podveil-$1.service" | tr '[:upper:]' '[:lower:]' |
		sed 's/cap_/+/g; s/  */,/g; s/^/-all,/'
}

spawn_daemon() { # I NAME COMMAND...
	local i=$1 name=$2 dir
	shift 2
	dir=$(agent_dir "$i")
	mkdir -p "$dir"
	nsenter --net="/run/netns/$(ns "n$i")" -- setpriv --bounding-set="${GRANTED[$name]}" -- "$@" \
		>>"$dir/$name.log" 2>&1 </dev/null &
	echo $! >"$dir/$name.pid"
	disown $!
}

pods_talk() {
	in_ns p1 ping -n -q -c 2 -i 0.1 -W 5 "$(pod_v4 2)" && in_ns p2 ping -n -q -c 2 -i 0.1 -W 5 "$(pod_v6 1)"
}

agent_comes_back() { kill_agent 1 && start_agent 1 && wait_until 15 agents_are_ready && pods_talk; }

tunnel_refuses_without() { # CAPABILITY
	local output=$RUN_DIR/refused.txt
	in_ns n1 setpriv --bounding-set="${GRANTED[tunnel]},-$1" -- timeout 5 "$BUILD/podveil-tunnel" --interface pvx0 \
		--control "$RUN_DIR/x.sock" --wireguard-dir "$RUN_DIR/x" >"$output" 2>&1 && return 1
	cat "$output"
	grep -qi "cap_$1" "$output"
}

begin
needs podveil-tunnel podveil-keyd podveil
declare -A GRANTED=([tunnel]=$(granted tunnel) [keyd]=$(granted keyd))
cluster_up 2
check "agents start with the capabilities of their units" start_agents
check "pods talk" pods_talk
check "an agent that was killed comes back with them" agent_comes_back
for capability in net_admin kill setuid setgid setpcap; do
	check "podveil-tunnel names CAP_${capability^^} where it is missing" tunnel_refuses_without "$capability"
done
done_testing
