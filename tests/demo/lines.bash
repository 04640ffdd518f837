# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# How the demos speak: one line and one verdict per claim, and their sum at the end. Sourced after netns/lib.sh.

LINES_FAILED=0

if [ -t 1 ]; then
	GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
	GREEN='' RED='' PLAIN=''
fi

line() { # VERDICT CLAIM SEEN
	local colour=$GREEN
	[ "$1" = ok ] || { colour=$RED; LINES_FAILED=$((LINES_FAILED + 1)); }
	printf '  %s%-6s%s  %-50s  %s\n' "$colour" "$1" "$PLAIN" "$2" "$3"
}

verdict() { if "$@" >/dev/null 2>&1; then echo ok; else echo FAILED; fi; } # COMMAND...

try() { # CLAIM COMMAND...: a line of its own; the command writes what it saw into SEEN
	local claim=$1
	shift
	SEEN=
	if "$@"; then line ok "$claim" "$SEEN"; else line FAILED "$claim" "$SEEN"; fi
}

# -- the wire --

wire_seen() {
	jq -r '"\(.frames) frames: \(.addresses) with a pod address, \(.marker) with the marker"' "$RUN_DIR/watch.json"
}

wire_line() { # CLAIM: nothing of the pods was seen since watch_start
	watch_stop
	line "$(verdict watch_saw_nothing)" "$1" "$(wire_seen)"
}

wire_line_in_clear() { # CLAIM: they were
	watch_stop
	line "$(verdict watch_saw_plaintext)" "$1" "$(wire_seen)"
}

show_status() { # of n1, as a user sees it
	echo
	echo "  n1# podveil status"
	podveil 1 status 2>&1 | sed 's/^/  | /'
	echo
}

lines_done() {
	echo
	if [ $LINES_FAILED -gt 0 ]; then
		show_agent_logs
		echo "${RED}$LINES_FAILED lines failed${PLAIN} after $SECONDS s"
		exit 1
	fi
	echo "${GREEN}all as promised${PLAIN}, in $SECONDS s"
}
