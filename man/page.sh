#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the man page of man/NAME.8.in: replaces @FLAGS@ and @COMMANDS@ by what --help of the
# program lists, and @VERSION@ by its version. BUILD is the build directory with the three programs.
#
#   man/page.sh man/NAME.8.in

set -eu
cd "$(dirname "$0")/.."
program=${BUILD:-build}/$(basename "$1" .8.in)

# Without the caller's environment, which holds values of flags.
run() { env -i "$program" "$@"; }

flags() { run ${1:+"$1"} --help | awk -f man/flags.awk; } # [COMMAND]

# Reads the fields of flags.awk.
format_flags() {
	awk -F '\t' '
		function roff(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); return text }
		{
			text = toupper(substr($6, 1, 1)) substr($6, 2) "."
			if ($4 != "") text = text " Default: " $4 "."
			if ($5 != "") text = text " May be repeated."
			print ".TP"
			printf "%s\\fB\\-\\-%s\\fR%s\n", $2 == "" ? "" : "\\fB\\-" $2 "\\fR, ", roff($1),
				$3 == "" ? "" : " \\fI" roff($3) "\\fR"
			print roff(text)
		}'
}

# Each command with its own flags, which are those that --help before a command does not list.
format_commands() {
	common=$(flags)
	for command in $(run --help | sed -n '/^Commands:$/,/^$/s/^  \([a-z-]*\) .*/\1/p'); do
		echo .TP
		run "$command" --help | awk '
			NR == 1 {
				gsub(/-/, "\\-")
				word = $4 == "[FLAG]..." ? "" : " \\fI" $4 "\\fR"
				printf "\\fB%s\\fR%s\n", $3, word
			}
			NR == 3 { gsub(/-/, "\\-"); print toupper(substr($0, 1, 1)) substr($0, 2) "." }'
		own=$(flags "$command" | grep -vxF "$common" || true)
		[ -z "$own" ] || { echo .RS; echo "$own" | format_flags; echo .RE; }
	done
}

version=$(run --version)
while IFS= read -r line; do
	case $line in
	@FLAGS@) flags | format_flags ;;
	@COMMANDS@) format_commands ;;
	*) printf '%s\n' "$line" | sed "s/@VERSION@/${version#* }/" ;;
	esac
done <"$1"
