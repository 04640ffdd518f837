# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Shared by the tests of the cluster secret: a file for each node, and the agents' view of it.
# Sourced after lib.sh.

secret_file() { echo "$RUN_DIR/secret.$1"; } # I

# As a writer should: the whole file at once.
write_secret() { # I LINE...
	local file
	file=$(secret_file "$1")
	shift
	(umask 077 && printf '%s\n' "$@" >"$file.tmp") && mv "$file.tmp" "$file"
}

# A node without a file runs without a secret.
agent_flags() { [ ! -e "$(secret_file "$1")" ] || echo --cluster-secret "$(secret_file "$1")"; } # I

keyd_status() { # I FILTER; status itself fails where not all is well
	podveil "$1" -o json status >"$RUN_DIR/status.$1"
	jq -r "$2" "$RUN_DIR/status.$1"
}

own_ids() { keyd_status "$1" '.cluster_secret.ids // [] | join(" ")'; } # I
has_ids() { [ "$(own_ids "$1")" = "$2" ]; } # I IDS

gives() { # I IDS LINE...: and waits until keyd has read it
	local i=$1 ids=$2
	shift 2
	write_secret "$i" "$@" && wait_until 5 has_ids "$i" "$ids"
}

# Between any two of three nodes.
begin_sessions() {
	in_ns p1 ping -c 1 -W 2 -q "$(pod_v4 2)"
	in_ns p1 ping -c 1 -W 2 -q "$(pod_v4 3)"
	in_ns p2 ping -c 1 -W 2 -q "$(pod_v4 3)"
} >/dev/null

peer_field() { podveil "$1" -o json peers | jq -r --arg node "n$2" ".peers[] | select(.node == \$node) | .$3"; } # I J FIELD
talks_by() { [ "$(peer_field "$1" "$2" secret)" = "$3" ]; } # I J ID

# Every node to every other, by this one.
all_talk_by() { # ID
	local i j
	for i in $(seq "$NODES"); do
		for j in $(seq "$NODES"); do
			[ "$i" -eq "$j" ] || talks_by "$i" "$j" "$1" || return 1
		done
	done
}

refuses() { # I J TEXT: in `podveil peers` and in the log
	[ "$(peer_field "$1" "$2" state)" = refused ] && peer_field "$1" "$2" reason | grep -F "$3" &&
		grep "warning: node n$2: " "$(agent_dir "$1")/keyd.log" | grep -F "$3"
}

drops_of() { keyd_status "$1" "[.drops[] | select(.reason == \"$2\") | .packets] | add // 0"; } # I REASON
no_bad_handshakes() { # on any node
	local i status=0
	for i in $(seq "$NODES"); do
		echo "n$i: $(drops_of "$i" bad_handshake)"
		[ "$(drops_of "$i" bad_handshake)" -eq 0 ] || status=1
	done
	return $status
}

# Nothing that any program wrote or published holds one of the secrets.
nobody_says() { # SECRET...
	local secret
	for secret in "$@"; do
		! grep -rlF "$secret" "$RUN_DIR"/n*/*.log "$RUN_DIR"/registry* "$RUN_DIR"/status.* || return 1
	done
}
