#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make bench: TCP, and UDP in packets of 64 bytes, through a pair of podveil-tunnels, a pair of
# wireguard-go and no tunnel at all, over one cable between two namespaces of this machine, one
# flow, interleaved: every round measures each of them, in turning order, so that a slow phase of
# the machine slows all of them. Only the ratios within a round count; absolute figures are those of
# both ends on the same cores. ROUNDS and SECONDS_EACH set the extent. BEFORE is the build directory
# of another version, which then takes part as well.

. "$(dirname "$0")/../netns/wireguard.bash"

ROUNDS=${ROUNDS:-6}
SECONDS_EACH=${SECONDS_EACH:-4}
SMALL_PAYLOAD=36 # of an IPv4 packet of 64 bytes
CONTENDERS=(plain podveil wireguard-go ${BEFORE:+before})

pair_up() { # CONTENDER
	local start=start_ours
	[ "$1" = wireguard-go ] && start=start_wireguard_go
	[ "$1" = before ] && local BUILD=$BEFORE
	"$start" a && "$start" b && introduce && point_to_other a v4 && pings a v4 >/dev/null
}

pair_down() {
	stop_side a
	stop_side b
}

iperf() { # ADDRESS OF b, then more of iperf3's flags: its report
	local to=$1
	shift
	spawn b "$RUN_DIR/iperf.txt" iperf3 --server --one-off --bind "$to"
	wait_until 5 is_listening b || return 1
	in_ns a timeout $((SECONDS_EACH + 10)) iperf3 --client "$to" --time "$SECONDS_EACH" --omit 1 --json "$@"
}

# "Gbit/s of TCP" and "thousands of small packets per second", on one line.
rates() { # ADDRESS OF b
	iperf "$1" | jq -j '(.end.sum_received.bits_per_second // 0) / 1e9, " "'
	iperf "$1" --udp --bitrate 0 --length $SMALL_PAYLOAD |
		jq '.end.sum | ((.packets // 0) - (.lost_packets // 0)) / (.seconds // 1) / 1e3'
}

measure() { # CONTENDER
	if [ "$1" = plain ]; then
		rates "$(outer_v4 b)"
		return
	fi
	pair_up "$1" >/dev/null || bail "$1 does not work"
	rates "$(inner_v4 b)"
	pair_down
}

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# Each line of $RUN_DIR/rounds: measure, contender, round, value.
values() { awk -v m="$1" -v c="$2" '$1 == m && $2 == c { print $4 }' "$RUN_DIR/rounds"; } # MEASURE CONTENDER

ratios() { paste <(values "$1" "$2") <(values "$1" "$3") | awk '$2 > 0 { printf "%.3f\n", $1 / $2 }'; } # MEASURE CONTENDER CONTENDER

report_ratio() { # MEASURE CONTENDER CONTENDER
	printf '%-28s %s   (lowest %s, highest %s)\n' "$2 / $3" "$(ratios "$1" "$2" "$3" | median)" \
		"$(ratios "$1" "$2" "$3" | sort -n | head -n 1)" "$(ratios "$1" "$2" "$3" | sort -n | tail -n 1)"
}

report() { # MEASURE TEXT
	local contender round
	printf '\n%s, %s s each\n%-8s' "$2" "$SECONDS_EACH" round
	printf ' %13s' "${CONTENDERS[@]}"
	for ((round = 1; round <= ROUNDS; round++)); do
		printf '\n%-8s' "$round"
		for contender in "${CONTENDERS[@]}"; do
			printf ' %13.2f' "$(values "$1" "$contender" | sed -n "${round}p")"
		done
	done
	printf '\n%-8s' median
	for contender in "${CONTENDERS[@]}"; do
		printf ' %13s' "$(values "$1" "$contender" | median)"
	done
	echo
	report_ratio "$1" podveil wireguard-go
	report_ratio "$1" podveil plain
	[ -z "${BEFORE:-}" ] || report_ratio "$1" podveil before
}

begin_wireguard
# shellcheck disable=SC2034 # start_wireguard_go reads it
WIREGUARD_GO=$("$ROOT/tests/fetch_wireguard_go.sh" 2>"$RUN_DIR/fetch.txt") || bail "$(cat "$RUN_DIR/fetch.txt")"
cable_up
for ((round = 1; round <= ROUNDS; round++)); do
	for ((turn = 0; turn < ${#CONTENDERS[@]}; turn++)); do
		contender=${CONTENDERS[$(((turn + round) % ${#CONTENDERS[@]}))]}
		measure "$contender" | while read -r tcp small; do
			printf 'tcp %s %s %s\nsmall %s %s %s\n' "$contender" $round "$tcp" "$contender" $round "$small"
		done >>"$RUN_DIR/rounds"
	done
	printf 'round %s of %s\n' $round "$ROUNDS"
done
report tcp "Gbit/s, one TCP flow"
report small "thousands of packets of 64 bytes per second, one UDP flow"
