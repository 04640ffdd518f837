#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# wg(8) reads back exactly the values it has set: 130,560 prefixes of one peer, thousands of many,
# prefixes of odd lengths, keys that are clamped and cleared (kernel netns tests N39 to N50). Public
# keys of low order may be set, and never cause a packet (N51); a keepalive is sent as soon as there
# is an interface that is up and a key, in either order (N37, N38).

# shellcheck source=tests/netns/wireguard.bash
. "$(dirname "$0")/wireguard.bash"

# Little-endian: 0, 1, the two points of order 8, p - 1, p and p + 1.
LOW_ORDER_KEYS=(
	AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
	4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA= X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=
	7P///////////////////////////////////////38= 7f///////////////////////////////////////38=
	7v///////////////////////////////////////38=
)
SILENT_PORT=1111

wg_a() { # SUBCOMMAND ARGUMENT...: on side a's device
	local subcommand=$1
	shift
	wg "$subcommand" "$(device a)" "$@"
}

a_key() { wg genkey | wg pubkey; }

# "key prefix" lines, as they were to be set and as they are.
is_read_back() {
	wg_a show allowed-ips | awk '{ for (i = 2; i <= NF; i++) print $1, $i }' | sort >"$RUN_DIR/is"
	sort "$RUN_DIR/was" >"$RUN_DIR/was.sorted"
	wc -l <"$RUN_DIR/is"
	cmp "$RUN_DIR/was.sorted" "$RUN_DIR/is"
}

# From "key prefix" lines, the lines of a key together.
add_written() {
	awk '$1 != key { key = $1; print "[Peer]\nPublicKey=" key } { print "AllowedIPs=" $2 }' "$RUN_DIR/was" >"$RUN_DIR/set.conf"
	forget_peers a
	wg_a addconf "$RUN_DIR/set.conf"
}

prefixes_of_one_peer() {
	awk -v key="$(a_key)" 'BEGIN { for (i = 1; i < 256; i++) for (j = 0; j < 256; j++) {
		printf "%s %d.%d.0.0/16\n", key, i, j
		printf "%s %x%02x::/16\n", key, i, j } }' >"$RUN_DIR/was"
	[ "$(wc -l <"$RUN_DIR/was")" -eq 130560 ] && add_written && is_read_back
}

prefixes_of_forty_peers() {
	local i
	for i in $(seq 40); do
		awk -v key="$(a_key)" -v i="$i" 'BEGIN { for (j = 1; j <= 26; j++) {
			printf "%s 10.%d.%d.0/24\n", key, i, j
			printf "%s fd00:%x:%x::/64\n", key, i, j } }'
	done >"$RUN_DIR/was"
	[ "$(wc -l <"$RUN_DIR/was")" -eq $((40 * 52)) ] && add_written && is_read_back
}

thirty_peers_and_prefixes_of_the_last() {
	local i last
	forget_peers a
	for i in $(seq 30); do
		last=$(a_key)
		wg_a set peer "$last" || return 1
	done
	awk -v key="$last" 'BEGIN { for (i = 0; i < 64; i++) printf "%s 10.7.%d.0/24\n", key, i }' >"$RUN_DIR/was"
	wg_a set peer "$last" allowed-ips "$(cut -d' ' -f2 "$RUN_DIR/was" | paste -sd,)" || return 1
	wg_a showconf >"$RUN_DIR/shown.conf" && [ "$(grep -c PublicKey "$RUN_DIR/shown.conf")" -eq 30 ] || return 1
	wg_a show allowed-ips | grep -c '(none)' | grep -qx 29 || return 1
	awk '/^PublicKey/ { key = $3 } /^AllowedIPs/ { gsub(",", ""); for (i = 3; i <= NF; i++) print key, $i }' \
		"$RUN_DIR/shown.conf" | sort | cmp - <(sort "$RUN_DIR/was")
}

# The peer without any comes before the one with 197, which is more than one message of the kernel's own protocol.
peer_without_prefixes_is_shown_as_such() {
	local bare full
	bare=$(a_key)
	full=$(a_key)
	awk -v key="$full" 'BEGIN { for (i = 0; i < 197; i++) printf "%s 10.8.%d.0/24\n", key, i }' >"$RUN_DIR/was"
	forget_peers a
	wg_a set peer "$bare" && wg_a set peer "$full" allowed-ips "$(cut -d' ' -f2 "$RUN_DIR/was" | paste -sd,)" || return 1
	wg_a show allowed-ips | grep -qxF "$bare"$'\t(none)' &&
		[ "$(wg_a show allowed-ips | grep -F "$full" | grep -o /24 | wc -l)" -eq 197 ]
}

hex_key() { base64 -d <<<"$1" | od -An -tx1 | tr -d ' \n'; } # KEY

answer() { printf %b "$1" | timeout 5 socat -t 2 - "UNIX-CONNECT:$WIREGUARD_DIR/$(device a).sock"; } # REQUEST

# Debian 12's wg(8) cannot say this yet: a prefix with a minus.
six_of_394_are_taken_away() {
	local key taken request
	key=$(a_key)
	awk -v key="$key" 'BEGIN { for (i = 0; i < 197; i++) {
		printf "%s 10.9.%d.0/24\n", key, i
		printf "%s fd00:9:%x::/48\n", key, i + 1 } }' >"$RUN_DIR/was"
	add_written && is_read_back || return 1
	taken=$(sed -n '1p;2p;100p;101p;393p;394p' "$RUN_DIR/was" | cut -d' ' -f2)
	# shellcheck disable=SC2086 # one word each
	request="set=1\npublic_key=$(hex_key "$key")\nupdate_only=true\n$(printf 'allowed_ip=-%s\\n' $taken)\n"
	answer "$request" | grep -qx errno=0 || return 1
	sed -i '1d;2d;100d;101d;393d;394d' "$RUN_DIR/was"
	is_read_back && [ "$(wc -l <"$RUN_DIR/is")" -eq 388 ]
}

unknown_interface_is_an_error() { ! wg show "$(device z)" && ! wg set "$(device z)" listen-port 1; }

private_key_is_set_read_and_cleared() {
	local key
	key=$(wg genkey)
	wg_a set private-key <(echo "$key") && [ "$(wg_a show private-key)" = "$key" ] &&
		[ "$(wg_a show public-key)" = "$(wg pubkey <<<"$key")" ] || return 1
	wg_a set private-key /dev/null && [ "$(wg_a show private-key)" = "(none)" ] && [ "$(wg_a show public-key)" = "(none)" ]
}

preshared_key_is_set_read_and_cleared() {
	local peer secret
	peer=$(a_key)
	secret=$(wg genpsk)
	forget_peers a
	wg_a set peer "$peer" preshared-key <(echo "$secret") && [ "$(wg_a show preshared-keys)" = "$peer"$'\t'"$secret" ] || return 1
	wg_a set peer "$peer" preshared-key /dev/null && [ "$(wg_a show preshared-keys)" = "$peer"$'\t(none)' ]
}

own_key_is_no_peer_until_it_changes() {
	local key other public
	key=$(wg genkey)
	other=$(wg genkey)
	public=$(wg pubkey <<<"$key")
	forget_peers a
	wg_a set private-key <(echo "$other") peer "$public" && [ "$(wg_a show peers)" = "$public" ] || return 1
	wg_a set private-key <(echo "$key") && [ -z "$(wg_a show peers)" ] || return 1
	wg_a set peer "$public" && [ -z "$(wg_a show peers)" ] || return 1
	wg_a set private-key <(echo "$other") && wg_a set peer "$public" && [ "$(wg_a show peers)" = "$public" ]
}

# The first byte's lowest three bits and the last one's highest go, its second highest comes (RFC 7748, section 5).
scalar_is_clamped() {
	wg_a set private-key <(head -c 32 /dev/zero | tr '\0' '\377' | base64) || return 1
	[ "$(hex_key "$(wg_a show private-key)")" = "f8$(printf 'ff%.0s' {1..30})7f" ]
}

# The same sets as the kernel's own test has.
prefix_sets_are_replaced() {
	local peer set
	peer=$(a_key)
	forget_peers a
	for set in 0.0.0.0/0,10.0.0.0/8,100.0.0.0/10,172.16.0.0/12,192.168.0.0/16 0.0.0.0/0 \
		::/0,1700::/111,5000::/4,e000::/37,9000::/75 ::/0; do
		wg_a set peer "$peer" allowed-ips $set || return 1
		tr , '\n' <<<$set | sed "s|^|$peer |" >"$RUN_DIR/was"
		is_read_back || return 1
	done
}

# -- when something is sent --

# Counts the packets that arrive at a port of b's that does not answer.
catch_start() {
	in_ns b nft -f - <<-RULES
		table inet catch {
			counter caught { }
			chain in { type filter hook input priority 0; udp dport $SILENT_PORT counter name caught drop; }
		}
	RULES
}

caught() { in_ns b nft -j list counter inet catch caught | jq '[.nftables[].counter // empty | .packets] | add'; }
begin_catching() { BEFORE=$(caught); }
has_caught_some() { [ "$(caught)" -gt "$BEFORE" ]; }
catches_nothing_for() { # SECONDS: nor has it since begin_catching
	sleep "$1"
	echo "$(($(caught) - BEFORE)) packets"
	! has_caught_some
}

restart_a() { # without anything set
	stop_side a && wait_until 5 device_is_gone && start_ours a
}

device_is_gone() { ! ip -n "$(ns a)" link show "$(device a)"; }

low_order_keys_cause_no_packet() {
	local key
	restart_a && begin_catching && wg_a set private-key <(wg genkey) || return 1
	for key in "${LOW_ORDER_KEYS[@]}"; do
		wg_a set peer "$key" persistent-keepalive 1 endpoint "$(endpoint_v4 b $SILENT_PORT)" allowed-ips 10.99.0.0/24 || return 1
		in_ns a ping -n -q -c 1 -W 0.1 -I "$(device a)" 10.99.0.1
	done
	[ "$(wg_a show peers | wc -l)" -eq ${#LOW_ORDER_KEYS[@]} ] && catches_nothing_for 2
}

ordinary_key_causes_one() {
	begin_catching
	wg_a set peer "$(a_key)" persistent-keepalive 1 endpoint "$(endpoint_v4 b $SILENT_PORT)" && wait_until 2 has_caught_some
}

# A device that is down, without a key: which of the two comes last sends the packet.
prepare() {
	restart_a || return 1
	begin_catching
	ip -n "$(ns a)" link set "$(device a)" down
	wg_a set peer "$(a_key)" persistent-keepalive 25 endpoint "$(endpoint_v4 b $SILENT_PORT)" && catches_nothing_for 0.3
}

interface_up_sends_the_keepalive() {
	prepare && wg_a set private-key <(wg genkey) && catches_nothing_for 0.3 || return 1
	ip -n "$(ns a)" link set "$(device a)" up && wait_until 2 has_caught_some
}

private_key_sends_the_keepalive() {
	prepare && ip -n "$(ns a)" link set "$(device a)" up && catches_nothing_for 0.3 || return 1
	wg_a set private-key <(wg genkey) && wait_until 2 has_caught_some
}

begin_wireguard
cable_up
start_ours a || bail "podveil-tunnel does not start"
check "130560 prefixes of one peer are read back" prefixes_of_one_peer
check "52 prefixes of each of 40 peers are read back" prefixes_of_forty_peers
check "of 30 peers the last one's prefixes are in its configuration" thirty_peers_and_prefixes_of_the_last
check "a peer without prefixes is shown as such before one with 197" peer_without_prefixes_is_shown_as_such
check "six prefixes of 394 are taken away, 388 stay" six_of_394_are_taken_away
check "an unknown interface is an error" unknown_interface_is_an_error
check "a private key is set, read and cleared" private_key_is_set_read_and_cleared
check "a preshared key is set, read and cleared" preshared_key_is_set_read_and_cleared
check "a device's own key is no peer until it changes" own_key_is_no_peer_until_it_changes
check "a private key is clamped" scalar_is_clamped
check "prefix sets of odd lengths replace each other" prefix_sets_are_replaced
catch_start || bail "this kernel has no nftables"
check "public keys of low order cause no packet" low_order_keys_cause_no_packet
check "positive control: an ordinary one does" ordinary_key_causes_one
check "an interface that comes up with a key sends the keepalive" interface_up_sends_the_keepalive
check "a private key that comes to an interface that is up sends it" private_key_sends_the_keepalive
[ "$TESTS_FAILED" -eq 0 ] || diag_file "$RUN_DIR/a.log.err" "podveil-tunnel"
done_testing
