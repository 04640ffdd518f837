#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The API server falls silent, its machine goes away without a word, and at last it is gone for a day: known nodes go on as
# if nothing had happened, sessions are renewed, and a rotation waits under the old key and says so. Time passes by
# tests/tools/later.c.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

DAY=86400 STEP=600
# The kernel's clock, which does not jump: 45 seconds until keyd closes a dead connection
# (keyd/registry/kube/transfer.c), up to 10 for the next attempt, since two failures make a server
# unreachable, and a reserve for a busy machine.
AWAY_MAX=80

falls_silent() { # all watches, with their connections open
	mark
	wait_until 20 watches '{"path": "", "then": "silence"}'
}

is_watched_again() { was_asked "$IS_WATCH"; }
is_not_watched_again() { ! is_watched_again; }

wire_of_api() { ip -n "$(ns wire)" link set api "$1"; } # up|down

# The tunnels' time passes too, but no faster than sessions are made for.
spawn_tunnel() { # I
	later 0 tunnel
	spawn_daemon "$1" tunnel env LD_PRELOAD="$BUILD/tools/later.so" PODVEIL_LATER="$RUN_DIR/later.tunnel" \
		"$BUILD/podveil-tunnel" --interface podveil0 --control "$(agent_dir "$1")/tunnel.sock" \
		--wireguard-dir "$(agent_dir "$1")/wireguard"
}

last_handshake() { podveil 1 -o json peers | jq -r '.peers[] | select(.node == "n2") | .last_handshake'; }
session_is_another() { [ "$(last_handshake)" != "$HANDSHAKE" ]; }

both_are_away() { away_says 1 . && away_says 2 .; }

rotation_waits() { # asked, named, and under the old key
	own_key 1 . && [ "$(own_key 1 .fingerprint)" = "$OLD_KEY" ] && [ "$(own_key 1 .state)" = preparing ]
}

a_day_passes() {
	for _ in $(seq $STEP $STEP $DAY); do
		leap $STEP
		sleep 0.1
	done
}

rotation_completes() { [ "$(own_key 1 .fingerprint)" != "$OLD_KEY" ] && own_key 1 .state | grep -qE 'overlapping|current'; }

begin
needs_api
kube_up

check "the API server falls silent" falls_silent
leap 100
sleep 2
check "a silence of 100 seconds is no reason to ask again" is_not_watched_again
leap 70
check "after 150 seconds it is asked again" wait_until 20 is_watched_again
converges "a silence"

wire_of_api down
check "a machine that is gone without a word is noticed by its connections" wait_until $AWAY_MAX both_are_away
newcomer
check "the nodes and their traffic go on" others_are_untouched
OLD_KEY=$(own_key 1 .fingerprint)
check "a rotation is asked for while the API server is gone" rotate 1
HANDSHAKE=$(last_handshake)
later 125 tunnel
check "sessions are renewed without it" wait_until 20 session_is_another
a_day_passes
check "after a day the rotation still waits under the old key" rotation_waits
check "and status names the API server" away_says 1 'API server'
check "the nodes and their traffic go on after a day" others_are_untouched
wire_of_api up
check "missed changes arrive when it is back" everybody_knows_newcomer 75
check "and the rotation completes" wait_until 30 rotation_completes
converges "a day without the API server"

check "nobody was ever taken for gone" nobody_left
kube_done
