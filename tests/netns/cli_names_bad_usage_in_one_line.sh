#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The podveil command answers wrong usage, and a daemon that is not running, with one line that
# quotes the text and says what was expected. It exits with 2 for usage and 1 for failure, and
# prints nothing to stdout.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/lib.sh"

COMMANDS='status, peers, key-status, rotate-key, mode, cleanup, version'

refuses() { # STATUS EXPECTED_WORDS ARGUMENT...
	local status=$1 words=$2 seen
	shift 2
	"$BUILD/podveil" "$@" >"$RUN_DIR/stdout" 2>"$RUN_DIR/stderr"
	seen=$?
	echo "status $seen, stderr:"
	cat "$RUN_DIR/stderr"
	[ $seen -eq "$status" ] && [ ! -s "$RUN_DIR/stdout" ] && [ "$(wc -l <"$RUN_DIR/stderr")" -eq 1 ] &&
		grep -qF -- "$words" "$RUN_DIR/stderr"
}

environment_refuses() { PODVEIL_OUTPUT=yaml refuses 2 "output: 'yaml': expected text or json" version; }

command_line_wins() { [ "$(PODVEIL_OUTPUT=json "$BUILD/podveil" version -o text)" = "$("$BUILD/podveil" version)" ]; }

prints_version() { [[ $("$BUILD/podveil" "$@" | jq -er .version) == [0-9]*.* ]]; }

help_names_every_command() {
	local command
	"$BUILD/podveil" --help >"$RUN_DIR/help" || return 1
	for command in ${COMMANDS//,/}; do
		grep -q "^  $command " "$RUN_DIR/help" || return 1
	done
}

not_a_daemon() { # a listener that answers with something else
	timeout 20 socat "UNIX-LISTEN:$RUN_DIR/other.sock" EXEC:'echo hello',pipes &
	wait_until 20 listens_at "$RUN_DIR/other.sock" &&
		refuses 1 "is not a JSON object" --control "$RUN_DIR/other.sock" status
}

begin
needs podveil
check "no command lists the commands" refuses 2 "no command given: expected one of $COMMANDS"
check "an unknown command is named" refuses 2 "unknown command 'encrypt': expected one of $COMMANDS" encrypt
check "control characters in it are escaped" refuses 2 "unknown command '\\x1b[2J\\x0a'" $'\e[2J\n'
check "an unknown flag is named" refuses 2 "unknown flag '--bogus'" status --bogus
check "a flag of another command is unknown" refuses 2 "unknown flag '--bpffs'" status --bpffs /x
check "an output format that is none is named" refuses 2 "'yaml': expected text or json" status -o yaml
check "a flag without its value is named" refuses 2 "'--output' needs a value" status -o
check "a word too many is named" refuses 2 "unexpected argument 'now'" status now
check "mode without its argument names the expected ones" refuses 2 "mode '': expected strict or permissive" mode
check "a mode that is none is named" refuses 2 "mode 'clear': expected strict or permissive" mode clear
check "a word too many after the mode is named" refuses 2 "unexpected argument 'now'" mode strict now
check "mode without a daemon names the socket" refuses 1 "start podveil-keyd on this node" --control "$RUN_DIR/none" mode strict
check "a device name that is none is named" refuses 2 "'a/b': expected the name of a device" cleanup --interface a/b
check "a relative bpffs folder is named" refuses 2 "'x': expected an absolute path" cleanup --bpffs x
check "a bad variable is named" environment_refuses
check "the command line wins over the environment" command_line_wins
check "a daemon that is not there: the socket is named" \
	refuses 1 "cannot reach podveil-keyd at '$RUN_DIR/none': No such file or directory; start podveil-keyd" \
	--control "$RUN_DIR/none" status
check "peers says so too" refuses 1 "start podveil-keyd on this node" --control "$RUN_DIR/none" -o json peers
check "a socket path that is too long is refused" refuses 1 "File name too long" --control "/$(printf 'x%.0s' {1..200})" status
check "an answer that is none is refused" not_a_daemon
check "version needs no daemon" prints_version version -o json
check "flags may stand before the command" prints_version -o json version
check "help names every command" help_names_every_command
done_testing
