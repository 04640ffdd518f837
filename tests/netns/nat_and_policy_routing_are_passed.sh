#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A client sits behind a router that rewrites addresses and forgets a flow after two seconds. The
# server learns the rewritten endpoint, a keepalive keeps the mapping open, bound sockets and
# changed marks make no difference, a default route into the tunnel does not capture the tunnel's
# own datagrams (fwmark), and a sender to a peer that is gone gets an ICMP error, also one whose
# address was rewritten (kernel netns tests N23 to N27, N30, N31). Positive controls: without the
# keepalive the mapping expires, without the mark the default route captures the datagrams, and the
# last ping passed while the peer existed.
#
#   a (wire0) 192.168.70.100 --- 192.168.70.1 (in0) r (out0) 10.70.0.1, fd00:70::1 --- 10.70.0.100, fd00:70::100 (wire0) b

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

FORGETS_AFTER_S=2
MARK=51820
FAR_V4=192.168.99.7 # of b, by the default route only
FAR_V6=abab::1111

outer_v4() { if [ "$1" = a ]; then echo 192.168.70.100; else echo 10.70.0.100; fi; }

router_up() {
	local name
	for name in a r b; do
		ns_add $name
	done
	link_add a wire0 r in0
	link_add b wire0 r out0
	address_add a wire0 192.168.70.100/24 fd00:71::100/64
	address_add r in0 192.168.70.1/24 fd00:71::1/64
	address_add r out0 10.70.0.1/24 fd00:70::1/64
	address_add b wire0 10.70.0.100/24 fd00:70::100/64
	ip -n "$(ns a)" route add default via 192.168.70.1
	ip -n "$(ns a)" route add default via fd00:71::1
	ip -n "$(ns b)" route add fd00:71::/64 via fd00:70::1
	in_ns r nft -f - <<-'RULES' || skip_all "this kernel has no NAT"
		table ip nat {
			chain out { type nat hook postrouting priority 100; ip saddr 192.168.70.0/24 udp dport 51902 masquerade to :2000-2999; }
		}
	RULES
	in_ns r sysctl -q -w net.netfilter.nf_conntrack_udp_timeout=$FORGETS_AFTER_S \
		net.netfilter.nf_conntrack_udp_timeout_stream=$FORGETS_AFTER_S || skip_all "this kernel has no conntrack"
}

is_reached() { in_ns b ping -n -q -c 1 -W 1 "$(inner_v4 a)"; }

server_learns_the_rewritten_endpoint() {
	introduce && point_to_other a v4 && pings a v4 && pings b v6 || return 1
	wg show "$(device b)" endpoints
	[[ "$(wg show "$(device b)" endpoints | cut -f2)" == 10.70.0.1:2[0-9][0-9][0-9] ]]
}

set_keepalive() { wg set "$(device a)" peer "$(public_key b)" persistent-keepalive "$1"; } # SECONDS

way_back_closes() { sleep $((FORGETS_AFTER_S + 1)) && ! is_reached; }

keepalive_holds_it_open() { set_keepalive 1 && sleep $((FORGETS_AFTER_S + 2)) && is_reached; }

sent_bytes() { wg show "$(device a)" transfer | cut -f3; }

# Ten seconds after b's data at most a passive one is due; of the others there is one each second.
keepalive_ends_with_0() {
	local before
	set_keepalive 0 && wg show "$(device a)" persistent-keepalive | grep -q off || return 1
	before=$(sent_bytes)
	sleep 2.2
	[ "$(sent_bytes)" -le $((before + 32)) ]
}

bound_sockets_work() {
	pings a v4 -I "$(device a)" && pings a v6 -I "$(device a)" && in_ns a socat -u OPEN:/dev/null \
		"UDP4-SENDTO:$(inner_v4 b):9,so-bindtodevice=$(device a)"
}

changed_marks_work() {
	in_ns a nft -f - <<-RULES || return 1
		table inet marks { chain out { type route hook output priority -150; meta mark set 1; }; }
	RULES
	pings a v4 && pings a v4 -I "$(device a)" && pings a v6 && pings a v6 -I "$(device a)" || return 1
	in_ns a nft delete table inet marks
}

# -- a default route into the tunnel, as wg-quick(8) makes it --

route_everything_in() {
	local family
	address_add b "$(device b)" $FAR_V4/32 $FAR_V6/128
	wg set "$(device a)" peer "$(public_key b)" allowed-ips 0.0.0.0/0,::/0 || return 1
	for family in -4 -6; do
		ip -n "$(ns a)" $family route add default dev "$(device a)" table $MARK &&
			ip -n "$(ns a)" $family rule add not fwmark $MARK table $MARK &&
			ip -n "$(ns a)" $family rule add table main suppress_prefixlength 0 || return 1
	done
	in_ns a sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire0.rp_filter=0
}

floods_pings() { # ADDRESS
	in_ns a ping -n -q -f -c 100 -W 1 "$1" | tee "$RUN_DIR/flood.txt" && grep -q ' 100 received' "$RUN_DIR/flood.txt"
}

default_route_swallows_unmarked_datagrams() {
	route_everything_in && ! in_ns a ping -n -q -c 1 -W 1 $FAR_V4
}

default_route_carries_with_the_mark() {
	wg set "$(device a)" fwmark $MARK && floods_pings $FAR_V4 && floods_pings $FAR_V6 || return 1
	wg set "$(device a)" peer "$(public_key b)" endpoint "[fd00:70::100]:51902" && floods_pings $FAR_V4 && floods_pings $FAR_V6
}

# -- who is told when a peer is gone --

# r reaches a's inner address by b, which rewrites r's own to its inner one.
rewritten_pings_pass() {
	in_ns b nft -f - <<-RULES || return 1
		table ip nat {
			chain out { type nat hook postrouting priority 100; ip saddr 10.70.0.0/24 ip daddr 10.60.0.0/24 snat to $(inner_v4 b); }
		}
	RULES
	ip -n "$(ns r)" route add "$(inner_v4 a)" via 10.70.0.100
	in_ns r ping -n -q -c 2 -i 0.1 -W 1 "$(inner_v4 a)"
}

original_sender_is_told() {
	wg set "$(device b)" peer "$(public_key a)" remove || return 1
	in_ns r ping -n -c 1 -W 1 "$(inner_v4 a)" >"$RUN_DIR/told.txt"
	cat "$RUN_DIR/told.txt"
	grep -q 'Destination Host Unreachable' "$RUN_DIR/told.txt"
}

begin_wireguard
router_up
start_ours a && start_ours b || bail "podveil-tunnel does not start"
check "the server learns the rewritten endpoint" server_learns_the_rewritten_endpoint
check "without keepalives the way back closes" way_back_closes
check "a keepalive each second holds it open" keepalive_holds_it_open
check "keepalives end with 0" keepalive_ends_with_0
check "sockets bound to the device work" bound_sockets_work
check "packets that are routed again for their mark arrive" changed_marks_work
check "positive control: a default route swallows the tunnel's datagrams" default_route_swallows_unmarked_datagrams
check "with the tunnel's mark it carries everything, in both families" default_route_carries_with_the_mark
check "a rewritten ping passes while the peer is there" rewritten_pings_pass
check "when it is gone, the original sender gets an error" original_sender_is_told
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
