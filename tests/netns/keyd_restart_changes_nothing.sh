#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# After a restart podveil-keyd takes over the existing state and changes nothing that is right:
# maps, hooks, the device, the tunnel's peers and sessions, the published record. It repairs
# everything else.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

map_dump() { # MAP: as values in a fixed order
	bpftool -j map dump pinned "$(agent_bpffs 1)/maps/$1" | jq -cS 'map(.formatted // {key, value}) | sort_by(.key | tostring)'
}

map_ids() {
	local map
	for map in config prefixes peers peer_traffic drops; do
		bpftool -j map show pinned "$(agent_bpffs 1)/maps/$map" | jq -c '{name, id}'
	done
}

links() { find "$(agent_bpffs 1)/links" -type f -printf '%f\n' 2>/dev/null | sort; }

sessions() {
	podveil 1 -o json peers | jq -cS '[.peers[] | {node, id, uid, key, epoch, endpoint, has_session, last_handshake, pods}]'
}

device() { in_ns n1 ip -j -d address show dev podveil0 | jq -cS 'map({ifindex, mtu, flags, addr_info})'; }

record() { stat -c '%i %Y' "$RUN_DIR/registry/n1.json"; cat "$RUN_DIR/registry/n1.json"; }

snapshot() { # FILE
	{
		for map in config prefixes peers bypass; do map_dump $map; done
		map_ids
		links
		sessions
		device
		record
	} >"$1"
}

is_same() {
	snapshot "$RUN_DIR/after"
	diff "$RUN_DIR/before" "$RUN_DIR/after"
}

said_nothing_to_change() { tail -n 5 "$(agent_dir 1)/keyd.log" | grep "nothing to change"; }

restart() { # SIGNAL
	end_process "$1" "$(keyd_pid 1)" && start_keyd 1 && wait_until 10 agent_is_ready 1
}

traffic_flows() { in_ns p1 ping -c 2 -i 0.05 -W 1 -q "$(pod_v4 2)" && in_ns p1 ping -c 2 -i 0.05 -W 1 -q "$(pod_v6 2)"; }

is_wholly_dumped() { # the comparison can fail: it holds prefixes, a session, and hooks
	grep -q '10.244.2.0/24' "$RUN_DIR/before" && grep -q '"has_session":true' "$RUN_DIR/before" && map_dump prefixes | jq -e 'length > 6'
}

begin
needs podveil-tunnel podveil-keyd podveil
cluster_up 2
check "agents start and protect both nodes" start_agents
check "traffic flows" traffic_flows
check "the other node is known as one that was reached" sh -c '"$@" | grep -q "\"was_reached\": true"' - \
	"$BUILD/podveil" --control "$(agent_dir 1)/keyd.sock" -o json peers
snapshot "$RUN_DIR/before"
check "the compared state holds prefixes and a session" is_wholly_dumped

check "keyd comes back after SIGTERM" restart TERM
check "it says that there was nothing to change" said_nothing_to_change
check "nothing is different after SIGTERM" is_same
check "keyd comes back after SIGKILL" restart KILL
check "it says again that there was nothing to change" said_nothing_to_change
check "nothing is different after SIGKILL" is_same

# Damage done while keyd was not running; n2's own agent would repair it at once.
stop_keyd 2
stop_keyd 1
bad=$RUN_DIR/registry/n2.json
cp "$bad" "$RUN_DIR/n2.good"
head -c 100 "$RUN_DIR/n2.good" >"$bad"
spawn_keyd 1
n2_is_named() { podveil 1 -o json peers | jq -e '.peers[] | select(.node == "n2") | .reason | test("not JSON")'; }
check "a record that went bad meanwhile is named" wait_until 5 n2_is_named
check "and its node's traffic continues, on the state of an earlier agent" traffic_flows
cp "$RUN_DIR/n2.good" "$bad"
check "a good record mends it" wait_until 5 agent_is_ready 1
check "everything is as before" is_same
start_keyd 2

stop_keyd 1
in_ns n1 ip link set podveil0 mtu 1300
in_ns n1 ip address del 169.254.77.1/32 dev podveil0
rm "$RUN_DIR/registry/n1.json"
start_keyd 1 && wait_until 10 agent_is_ready 1
device_is_mended() { device | jq -e '.[0].mtu == 1440 and (.[0].addr_info[] | select(.local == "169.254.77.1"))'; }
check "podveil0's MTU and address are mended" wait_until 5 device_is_mended
check "the record is published again" wait_until 5 test -s "$RUN_DIR/registry/n1.json"
n2_is_ready() { podveil 2 -o json peers | jq -e '.peers[0].state == "usable" and .peers[0].reason == ""'; }
check "and the other node takes it" wait_until 5 n2_is_ready
check "traffic flows again" wait_until 10 traffic_flows

# The tunnel's engine and its keys go: a new key, a higher epoch, and on it goes.
epoch() { podveil 1 -o json key-status | jq '.keys[] | select(.is_self) | .epoch'; }
before=$(epoch)
kill_tunnel 1
check "pod traffic is dropped while the tunnel is away" sh -c '! "$@"' - nsenter --net="/run/netns/$(ns p1)" -- \
	ping -c 1 -W 1 -q "$(pod_v4 2)"
start_tunnel 1
check "keyd finds the tunnel that came back by itself" wait_until 10 agent_is_ready 1
check "the new key has a higher epoch" test "$(epoch)" -gt "$before"
check "traffic flows under the new key" wait_until 10 traffic_flows
done_testing
