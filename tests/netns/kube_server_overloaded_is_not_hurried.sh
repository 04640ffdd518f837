#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The agents do not press an overloaded API server, whichever error it returns, and continue as soon
# as it recovers. The traffic between the nodes loses no packet at any time.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/netns/rotation.bash
. "$(dirname "$0")/rotation.bash"
# shellcheck source=tests/netns/kube.bash
. "$(dirname "$0")/kube.bash"

HOUR=3600 STEP=60

breaks_down() { # FAULT: all watches end with it
	wait_until 20 watches '{"path": "nodes", "send": []}' || return 1
	fault "$1"
	mark
	watches '{"path": "", "then": "reset"}'
}

a_minute_passes() {
	for _ in $(seq 60); do
		leap 1
		sleep 0.1
	done
}

# Each node follows three collections, and asks again at random times that grow longer.
is_not_hurried() { # MOST, of each node
	local i count
	for i in 1 2; do
		count=$(asked ".from == \"$(node_v4 "$i")\"" | jq length)
		echo "n$i: $count requests"
		[ "$count" -gt 0 ] && [ "$count" -le "$1" ] || return 1
	done
}

storm() { # STATUS
	check "every request is answered by $1" breaks_down "{\"times\": 0, \"do\": {\"kind\": \"status\", \"status\": $1}}"
	a_minute_passes
	check "nobody hurries a server that says $1" is_not_hurried 60
	check "status says that the API server is away ($1)" wait_leaping 30 is_said_to_be_away
	all_is_well
	converges "a storm of $1" 30
}

is_said_to_be_away() { away_says 1 "API server" && away_says 2 "API server"; }

# Of one node's Node collection, from the first refusal on.
waits_as_told() { # SECONDS
	local i
	for i in 1 2; do
		asked "$IS_WATCH and .from == \"$(node_v4 "$i")\"" | jq -c 'map([.ms, .status])'
		asked "$IS_WATCH and .from == \"$(node_v4 "$i")\"" |
			jq -e "length > 1 and .[0].status == 429 and .[1].ms - .[0].ms >= $1 * 1000" || return 1
	done
}

was_asked_again() { # by both
	local i
	for i in 1 2; do
		asked "$IS_WATCH and .from == \"$(node_v4 "$i")\"" | jq -e 'length > 1' || return 1
	done
}

# While lists work and watches never do.
an_hour_passes() {
	for _ in $(seq $STEP $STEP $HOUR); do
		leap $STEP
		sleep 0.15
	done
}

lists_of() { asked "$IS_LIST and .from == \"$(node_v4 "$1")\" and .status == 200 and (.target | contains(\"continue=\") | not)" | jq length; } # I

lists_are_rare() {
	local i
	for i in 1 2; do
		echo "n$i: $(lists_of $i)"
		[ "$(lists_of $i)" -ge 2 ] && [ "$(lists_of $i)" -le 7 ] || return 1
	done
}

begin
needs_api
kube_up

storm 500
storm 503

wait_until 20 watches '{"path": "nodes", "send": []}'
leap 20 # a watch that lasts is no failure: from now on failures are counted anew
check "watches are refused with 429 and Retry-After" breaks_down \
	'{"path": "nodes.*watch=", "times": 2, "do": {"kind": "status", "status": 429, "headers": {"Retry-After": "8"}}}'
check "they are asked for again" wait_until 30 was_asked_again
check "and not before the time is over" waits_as_told 8
all_is_well
converges "429"

check "from now on each watch ends with 410" breaks_down '{"path": "nodes.*watch=", "times": 0, "do": {"kind": "status", "status": 410}}'
an_hour_passes
mark
an_hour_passes
check "in the second hour of it there is one list in ten minutes or less" lists_are_rare
all_is_well
leap 1300
converges "two hours of it" 30

check "nobody was ever taken for gone" nobody_left
kube_done
