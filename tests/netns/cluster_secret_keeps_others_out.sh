#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# With a cluster secret only nodes that have it talk to each other. A node without it, or with
# another one, is refused by name on both sides, and its packets are dropped, not sent in cleartext.
# A party that has a node's place in the registry, its key and the published ids, but not the
# secret, completes no handshake; with the preshared key, derived from the secret by another
# implementation, it does.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/secret.bash
. "$(dirname "$0")/secret.bash"

MARKER=$(new_marker)
SECRET=$(wg genpsk)
OTHER=$(wg genpsk)
NO_KEY=$(printf '%064d' 0)

send_some() { in_ns p1 ping -c 5 -i 0.05 -W 1 -q -p "$MARKER" "$(pod_v4 2)"; }
talk() { in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && in_ns p2 ping -c 1 -W 1 -q "$(pod_v6 1)"; }
are_cut_off() { ! in_ns p1 ping -c 1 -W 1 -q "$(pod_v4 2)" && ! in_ns p2 ping -c 1 -W 1 -q "$(pod_v6 1)"; }

plaintext_is_seen() { watch_start "$MARKER" && send_some; watch_stop; watch_saw_plaintext; }

nothing_leaves() { # the nodes talk too, so that the detector has something to see
	watch_start "$MARKER"
	are_cut_off
	local cut=$?
	send_some
	in_ns n1 ping -c 5 -i 0.1 -q "$(node_v4 2)"
	watch_stop
	watch_saw_nothing && [ $cut -eq 0 ]
}

drops_are_named() { [ "$(drops_of 1 peer_unusable)" -ge 5 ]; }

# -- somebody else in the place of n3 --

hex() { base64 -d <<<"$1" | od -An -v -tx1 | tr -d ' \n'; } # KEY
record_of_n1() { jq -r '.annotations["podveil.io/tunnel"] | fromjson | '"$1" "$RUN_DIR/registry/n1.json"; } # FIELD

forge_record() { # as n1's, with n3's name, addresses, key
	jq --arg key "$STRANGER_PUBLIC" '.annotations["podveil.io/tunnel"] |= (fromjson
			| .uid = "uid-3" | .current = $key | .endpoints = ["192.168.50.3"] | .pods = ["10.244.3.0/24"] | tojson)
		| .name = "n3" | .uid = "uid-3" | .podCIDRs = ["10.244.3.0/24"] | .addresses = ["192.168.50.3"]' \
		"$RUN_DIR/registry/n1.json" >"$RUN_DIR/registry/.n3.tmp" && mv "$RUN_DIR/registry/.n3.tmp" "$RUN_DIR/registry/n3.json"
}

stranger_says() { # LINE...: to the tunnel of n3, in WireGuard's configuration protocol
	printf '%s\n' "$@" '' | timeout 5 socat -t 5 - "UNIX-CONNECT:$(agent_dir 3)/wireguard/podveil0.sock"
}

stranger_knows_n1() { # PRESHARED_KEY_HEX KEEPALIVE: anew; with a keepalive it begins handshakes again and again
	stranger_says set=1 "public_key=$(hex "$(record_of_n1 .current)")" remove=true >/dev/null
	stranger_says set=1 "public_key=$(hex "$(record_of_n1 .current)")" "preshared_key=$1" \
		endpoint=192.168.50.1:$TUNNEL_PORT allowed_ip=10.244.1.0/24 "persistent_keepalive_interval=$2" | grep -qx errno=0
}

stranger_is_in() { stranger_says get=1 | grep -q '^last_handshake_time_sec=[1-9]'; }
stays_out() { ! wait_until 7 stranger_is_in; } # longer than it takes to try again

start_stranger() {
	ip -n "$(ns n3)" link set lo up
	start_tunnel 3 && ip -n "$(ns n3)" link set podveil0 up &&
		stranger_says set=1 "private_key=$(hex "$STRANGER_PRIVATE")" listen_port=$TUNNEL_PORT | grep -qx errno=0
}

is_usable() { [ "$(peer_field 1 3 state)" = usable ]; }
has_no_session() { [ "$(peer_field 1 3 has_session)" = false ]; }

# n1 begins, and does not take an answer that was made without the secret.
answer_is_refused() {
	local before
	before=$(drops_of 1 bad_handshake)
	in_ns p1 ping -c 12 -i 0.5 -W 1 -q "$(pod_v4 3)" && return 1
	[ "$(drops_of 1 bad_handshake)" -gt "$before" ] && has_no_session
}

derive() { # SECRET KEY_A KEY_B: in hex, by Python's BLAKE2b
	python3 - "$@" <<-'SOURCE'
		import base64, hashlib, sys
		secret, a, b = (base64.b64decode(word) for word in sys.argv[1:])
		text = b"podveil cluster secret: preshared key, version 1" + min(a, b) + max(a, b)
		print(hashlib.blake2b(text, key=secret, digest_size=32).hexdigest())
	SOURCE
}

tunnel_shows_no_preshared_key() {
	printf 'get=1\n\n' | timeout 5 socat -t 5 - "UNIX-CONNECT:$(agent_dir 1)/wireguard/podveil0.sock" >"$RUN_DIR/shown"
	grep public_key "$RUN_DIR/shown" && ! grep -E 'preshared_key|private_key' "$RUN_DIR/shown"
}

begin
needs podveil-tunnel podveil-keyd podveil tools/wirewatch
cluster_up 3
NODES=2 # n3 has no agent
check "the detector sees plaintext while no agent has run" plaintext_is_seen

write_secret 1 "$SECRET"
for i in 1 2; do
	start_tunnel $i && spawn_keyd $i
done
check "a node without the secret is refused by name" wait_until 10 refuses 1 2 "it has no cluster secret, but this node requires one"
check "and it names the node that has one" wait_until 10 refuses 2 1 "it requires a cluster secret"
check "their pods are cut off, and nothing is in cleartext" nothing_leaves
check "what is dropped is counted" drops_are_named

write_secret 2 "$OTHER"
stop_keyd 2 && spawn_keyd 2
check "a node with another secret is refused by name" wait_until 10 refuses 1 2 "its cluster secret ("
check "on both sides" wait_until 10 refuses 2 1 "its cluster secret ("
check "their pods are still cut off, and nothing is in cleartext" nothing_leaves

write_secret 2 "$SECRET"
check "with the same secret they talk, without a restart" wait_until 10 talk
check "by a preshared key of it" all_talk_by "$(own_ids 1)"
check "and both are protected" wait_until 5 agents_are_ready
check "the tunnel does not show preshared keys" tunnel_shows_no_preshared_key

STRANGER_PRIVATE=$(wg genkey)
STRANGER_PUBLIC=$(wg pubkey <<<"$STRANGER_PRIVATE")
check "somebody else takes the place of n3" eval 'start_stranger && forge_record'
check "its forged record is taken for good, ids and all" wait_until 5 is_usable
check "it knows n1, but no preshared key" stranger_knows_n1 "$NO_KEY" 1
check "without the secret it completes no handshake" stays_out
stranger_knows_n1 "$NO_KEY" 0
check "nor is its answer taken" answer_is_refused
stranger_knows_n1 "$(derive "$OTHER" "$STRANGER_PUBLIC" "$(record_of_n1 .current)")" 1
check "nor with a preshared key of another secret" stays_out
stranger_knows_n1 "$(derive "$SECRET" "$STRANGER_PUBLIC" "$(record_of_n1 .current)")" 1
check "with the preshared key of the secret it does" wait_until 7 stranger_is_in

check "nobody wrote a secret anywhere" nobody_says "$SECRET" "$OTHER"
done_testing
