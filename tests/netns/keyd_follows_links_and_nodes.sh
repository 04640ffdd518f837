#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# podveil-keyd follows changes of the machine and the cluster while it runs: a device that appears
# or disappears, an MTU, an address, a node that joins, moves a prefix, or leaves. Neighbours of the
# change lose no packet.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

# The status itself: `podveil status` also says by its exit status whether the node is protected, which is not asked here.
status() { podveil 1 -o json status || true; }
uplinks_are() { status | jq -e --arg wanted "$1" '[.datapath.uplinks[]] | sort | join(" ") == $wanted'; }
pods_behind() { status | jq -e --arg wanted "$1" '[.datapath.pods[]] | sort | join(" ") == $wanted'; }
mtu_is() { status | jq -e --argjson mtu "$1" '.mtu == $mtu' && in_ns n1 ip -j link show podveil0 | jq -e ".[0].mtu == $1"; }
attached_log() { grep -q "to_wire is attached to $1" "$(agent_dir 1)/keyd.log"; }
traffic_flows() { in_ns p1 ping -c 2 -i 0.05 -W 1 -q "$(pod_v4 2)" && in_ns p1 ping -c 2 -i 0.05 -W 1 -q "$(pod_v6 2)"; }
peers_are() { podveil 1 -o json peers | jq -e --arg wanted "$1" '[.peers[].node] | sort | join(" ") == $wanted'; }
drops_of() { status | jq "[.drops[] | select(.reason == \"$1\") | .packets] | add // 0"; }

# A route for pods of another node by the new device: without a hook there, a leak.
new_device_leaks_nothing() {
	local before
	before=$(drops_of no_peer)
	in_ns p1 ping -c 2 -i 0.05 -W 1 -q 10.244.50.10
	echo "dropped before $before, now $(drops_of no_peer); on the device:"
	cat "$RUN_DIR/side.txt"
	[ "$(drops_of no_peer)" -ge $((before + 2)) ] && ! grep -q 10.244.50.10 "$RUN_DIR/side.txt"
}

side_is_seen() { # the capture's positive control
	in_ns n1 ping -c 1 -W 1 -q 192.168.60.9
	wait_until 2 grep -q 192.168.60.9 "$RUN_DIR/side.txt"
}

begin
needs podveil-tunnel podveil-keyd podveil
cluster_up 2
check "agents start and protect both nodes" start_agents
check "the uplink is eth0 and the pods are behind pods0" uplinks_are eth0
check "pods0 is known to lead to pods" pods_behind pods0

ns_add side
link_add n1 eth1 side side0
check "a device that appears is an uplink at once" wait_until 2 uplinks_are "eth0 eth1"
check "and has the hook" wait_until 2 attached_log eth1
address_add n1 eth1 192.168.60.1/24
in_ns n1 ip neigh add 192.168.60.9 lladdr 02:00:00:00:00:09 dev eth1
in_ns n1 ip route add 10.244.50.0/24 via 192.168.60.9
spawn side "$RUN_DIR/side.txt" timeout 20 tcpdump -n -l -i side0 ip
wait_until 20 grep -q 'listening on' "$RUN_DIR/side.txt.err"
check "the capture sees what leaves by it" side_is_seen
check "nothing for the cluster range leaves by it" new_device_leaks_nothing
published() { jq -e --arg a "$1" '.addresses | index($a) != null' "$RUN_DIR/registry/n1.json"; }
check "an address that appears is published" wait_until 5 published 192.168.60.1

in_ns n1 ip link set eth1 mtu 1400
check "the inner MTU follows the smallest uplink's" wait_until 5 mtu_is 1340
ip -n "$(ns n1)" link del eth1
check "a device that goes is no uplink any more" wait_until 2 uplinks_are eth0
check "the inner MTU goes back" wait_until 5 mtu_is 1440
not_published() { jq -e --arg a "$1" '.addresses | index($a) == null' "$RUN_DIR/registry/n1.json"; }
check "its address is published no more" wait_until 5 not_published 192.168.60.1
check "traffic flows all the same" wait_until 5 traffic_flows

ip -n "$(ns n1)" link add pods1 type veth peer name podx netns "$(ns p1)"
ip -n "$(ns n1)" link set pods1 up
in_ns n1 ip route add 10.244.1.99/32 dev pods1
check "a device with a route to our own pods is no uplink" wait_until 2 pods_behind "pods0 pods1"
ip -n "$(ns n1)" link del pods1

# Hooks that another program detaches come back.
rm -f "$(agent_bpffs 1)"/links/to_wire_*
is_put_back() { grep 'to_wire was detached from eth0 by another program; reattached' "$(agent_dir 1)/keyd.log"; }
if status | jq -e '.datapath.mechanism == "tcx"' >/dev/null; then
	check "a hook that was taken away is put back" wait_until 2 is_put_back
else
	skip "a hook that was taken away is put back" "clsact has no pins to take away"
fi

spawn p1 "$RUN_DIR/ping.txt" ping -i 0.02 "$(pod_v4 2)"
PING=$SPAWNED
jq --arg key "$(wg genkey | wg pubkey)" '.annotations["podveil.io/tunnel"] |= fromjson | .name = "n3" | .uid = "u3"
	| .created = "2030-01-01T00:00:00Z" | .addresses = ["192.168.50.3"] | .podCIDRs = ["10.244.3.0/24"]
	| .annotations["podveil.io/tunnel"] |= (.uid = "u3" | .current = $key | .pods = ["10.244.3.0/24"]
	| .endpoints = ["192.168.50.3"]) | .annotations["podveil.io/tunnel"] |= tojson' \
	"$RUN_DIR/registry/n2.json" >"$RUN_DIR/registry/.n3" && mv "$RUN_DIR/registry/.n3" "$RUN_DIR/registry/n3.json"
check "a node that joins is a peer" wait_until 2 peers_are "n2 n3"
rm "$RUN_DIR/registry/n3.json"
check "a node that leaves is a peer no more" wait_until 2 peers_are "n2"
left_is_dropped() {
	local before
	before=$(drops_of no_peer)
	in_ns n1 ip route replace 10.244.3.0/24 via 192.168.50.2
	in_ns p1 ping -c 2 -i 0.05 -W 1 -q 10.244.3.10
	[ "$(drops_of no_peer)" -ge $((before + 2)) ]
}
check "packets for its pods are dropped from then on" left_is_dropped
tunnel_forgot() { status | jq -e '.tunnel.peers == 1'; }
check "the tunnel has forgotten it" wait_until 2 tunnel_forgot
mv "$RUN_DIR/registry" "$RUN_DIR/registry.away"
away() { status | jq -e '.state == "degraded" and (.reasons | any(test("registry")))'; }
check "a registry that goes away is a reason" wait_until 15 away
check "and changes no traffic" traffic_flows
mv "$RUN_DIR/registry.away" "$RUN_DIR/registry"
check "a registry that comes back is found" wait_until 15 agent_is_ready 1
loses_nothing() { kill -INT "$PING" && wait "$PING"; tail -n 3 "$RUN_DIR/ping.txt"; grep -q ' 0% packet loss' "$RUN_DIR/ping.txt"; }
check "the other node's traffic lost nothing meanwhile" loses_nothing
done_testing
