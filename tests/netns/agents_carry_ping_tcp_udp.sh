#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Ordinary pod traffic works between two agents, in both families and both directions, and all of it
# crosses the wire inside the tunnel: ping, TCP, UDP and HTTP between pods, and between a pod and
# the other node itself.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

MARKER=$(new_marker)

udp_arrives() { # FROM TO ADDRESS: all of it, once, in order, unchanged
	rm -f "$RUN_DIR/udp.ready"
	spawn "p$2" "$RUN_DIR/udp.json" "$BUILD/tools/flow" udp-recv --bind "$3:9000" --seconds $((3 * SLOW)) \
		--ready-file "$RUN_DIR/udp.ready" --marker "$MARKER"
	local receiver=$SPAWNED
	wait_until 20 test -e "$RUN_DIR/udp.ready" || return 1
	in_ns "p$1" "$BUILD/tools/flow" udp-send --to "$3:9000" --rate $((2000 / SLOW)) --seconds 2 --size 1000 \
		--marker "$MARKER"
	wait "$receiver"
	cat "$RUN_DIR/udp.json" "$RUN_DIR/udp.json.err"
	jq -e --argjson least $((3900 / SLOW)) '.received >= $least and .lost == 0 and .duplicate == 0 and .reordered == 0 and
		.corrupt == 0' "$RUN_DIR/udp.json"
}

serve_http() { # a page that carries the marker
	mkdir -p "$RUN_DIR/www"
	{ marker_bytes "$MARKER"; head -c 5000000 /dev/urandom; } >"$RUN_DIR/www/page"
	spawn p2 "$RUN_DIR/http.out" python3 -m http.server --bind :: --directory "$RUN_DIR/www" 8080
	wait_until 10 in_ns p2 curl -s -o /dev/null 'http://[::1]:8080/'
}

http_arrives() { # FROM HOST
	in_ns "p$1" curl -s -S --max-time $((20 * SLOW)) -o "$RUN_DIR/page" "http://$2:8080/page" && cmp "$RUN_DIR/www/page" "$RUN_DIR/page"
}

both_sides_count() { # what one sent into the tunnel came out of the other's
	podveil 1 -o json status >"$RUN_DIR/s1.json"
	podveil 2 -o json status >"$RUN_DIR/s2.json"
	jq -s -c 'map({traffic, drops})' "$RUN_DIR/s1.json" "$RUN_DIR/s2.json"
	jq -s -e '.[0].traffic.to_tunnel.packets > 1000 and .[1].traffic.to_tunnel.packets > 1000 and
		.[0].traffic.to_tunnel.packets == .[1].traffic.from_tunnel.packets and
		.[1].traffic.to_tunnel.packets == .[0].traffic.from_tunnel.packets' "$RUN_DIR/s1.json" "$RUN_DIR/s2.json"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/flow tools/wirewatch
cluster_up 2
check "agents start and protect both nodes" start_agents
watch_start "$MARKER"

check "pod pings pod over IPv4" pings p1 "$(pod_v4 2)"
check "pod pings pod over IPv6" pings p2 "$(pod_v6 1)"
check "UDP over IPv4 arrives complete and in order" udp_arrives 1 2 "$(pod_v4 2)"
check "UDP over IPv4 arrives the other way round" udp_arrives 2 1 "$(pod_v4 1)"
check "UDP over IPv6 arrives complete and in order" udp_arrives 1 2 "[$(pod_v6 2)]"
check "a web server starts in the second pod" serve_http
check "HTTP over IPv4 brings the page unchanged" http_arrives 1 "$(pod_v4 2)"
check "HTTP over IPv6 brings the page unchanged" http_arrives 1 "[$(pod_v6 2)]"
check "pod pings the other node over IPv4" pings p1 "$(node_v4 2)"
check "pod pings the other node over IPv6" pings p1 "$(node_v6 2)"
check "node pings the other node's pod over IPv4" pings n1 "$(pod_v4 2)"
check "node pings the other node's pod over IPv6" pings n1 "$(pod_v6 2)"
check "node still pings node, outside the tunnel" pings n1 "$(node_v4 2)"

watch_stop
check "neither marker nor pod address was on the wire" watch_saw_nothing
check "packets that entered one end of the tunnel left the other" both_sides_count
done_testing
