#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make bench: TCP through a pair of podveil-tunnels, a pair of wireguard-go and no tunnel at all,
# over one cable between two namespaces of this machine, one flow, interleaved: every round
# measures each of them, in turning order, so that a slow phase of the machine slows all of them.
# Only the ratios within a round count; absolute figures are those of both ends on the same cores.
# ROUNDS and SECONDS_EACH set the extent.

. "$(dirname "$0")/../netns/wireguard.bash"

ROUNDS=${ROUNDS:-6}
SECONDS_EACH=${SECONDS_EACH:-4}
CONTENDERS=(plain podveil wireguard-go)

pair_up() { # CONTENDER
	local start=start_ours
	[ "$1" = wireguard-go ] && start=start_wireguard_go
	"$start" a && "$start" b && introduce && point_to_other a v4 && pings a v4 >/dev/null
}

pair_down() {
	stop_side a
	stop_side b
}

bits_per_second() { # ADDRESS OF b
	spawn b "$RUN_DIR/iperf.txt" iperf3 --server --one-off --bind "$1"
	wait_until 5 is_listening b || return 1
	in_ns a timeout $((SECONDS_EACH + 10)) iperf3 --client "$1" --time "$SECONDS_EACH" --omit 1 --json |
		jq '.end.sum_received.bits_per_second // 0 | floor'
}

measure() { # CONTENDER
	if [ "$1" = plain ]; then
		bits_per_second "$(outer_v4 b)"
		return
	fi
	pair_up "$1" >/dev/null || bail "$1 does not work"
	bits_per_second "$(inner_v4 b)"
	pair_down
}

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

column() { cut -d' ' -f"$1" "$RUN_DIR/rounds"; } # NUMBER

ratios() { awk -v a="$1" -v b="$2" '$b > 0 { print $a / $b }' "$RUN_DIR/rounds"; } # COLUMN COLUMN

report_ratio() { # TEXT COLUMN COLUMN
	printf '%-28s %s   (lowest %s, highest %s)\n' "$1" "$(ratios "$2" "$3" | median)" \
		"$(ratios "$2" "$3" | sort -n | head -n 1)" "$(ratios "$2" "$3" | sort -n | tail -n 1)"
}

begin_wireguard
WIREGUARD_GO=$("$ROOT/tests/fetch_wireguard_go.sh" 2>"$RUN_DIR/fetch.txt") || bail "$(cat "$RUN_DIR/fetch.txt")"
cable_up
printf 'Gbit/s, one TCP flow, %s s each\n%-8s %8s %8s %13s\n' "$SECONDS_EACH" round "${CONTENDERS[@]}"
for ((round = 1; round <= ROUNDS; round++)); do
	declare -A seen=()
	for ((turn = 0; turn < 3; turn++)); do
		contender=${CONTENDERS[$(((turn + round) % 3))]}
		seen[$contender]=$(measure "$contender" | awk '{ printf "%.2f", $1 / 1e9 }')
	done
	echo "${seen[plain]} ${seen[podveil]} ${seen[wireguard-go]}" >>"$RUN_DIR/rounds"
	printf '%-8s %8s %8s %13s\n' "$round" "${seen[plain]}" "${seen[podveil]}" "${seen[wireguard-go]}"
done
printf '%-8s %8s %8s %13s\n' median "$(column 1 | median)" "$(column 2 | median)" "$(column 3 | median)"
report_ratio "podveil / wireguard-go" 2 3
report_ratio "podveil / plain routing" 2 1
