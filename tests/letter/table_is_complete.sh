#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The table of rows names every constant and behaviour of the protocol once, each with a test that there is, and each with
# a way to break the code that fits the code as it is today. (That the test then fails is shown by `make mutants`.)
# Prints TAP; needs nothing built.

set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/verdict.sh
. tests/verdict.sh
# shellcheck source=tests/letter/lib.sh
. tests/letter/lib.sh

LETTERS=(C:24 B:32 N:54) # how many rows there are of each kind

expected_ids() {
	local kind i
	for kind in "${LETTERS[@]}"; do
		for ((i = 1; i <= ${kind#*:}; i++)); do echo "${kind%:*}$i"; done
	done
}

ids_are_complete() {
	local missing surplus
	missing=$(comm -23 <(expected_ids | sort) <(row_ids | sort))
	surplus=$(comm -13 <(expected_ids | sort) <(row_ids | sort))
	[ -z "$missing" ] || echo "# missing: ${missing//$'\n'/ }"
	[ -z "$surplus" ] || echo "# too much: ${surplus//$'\n'/ }"
	[ -z "$missing$surplus" ]
}

# A test of C by its definition; of a script by the words of its check, or by the script itself.
has_test() { # FILE NAME
	case $1 in
	*.c) [ "$(grep -cE "^([A-Z_]+_)?TEST\($2[,)]" "$1")" -eq 1 ] ;;
	*) [ -x "$1" ] && { [ "$2" = - ] || grep -qF -- "$2" "$1"; } ;;
	esac 2>/dev/null
}

row_is_right() { # LINE
	read_row "$1" || { echo "# expected six fields, the last with ' => ': $1" && return 1; }
	if [ "$test_file" = - ]; then
		[[ $id = N* && $says = *:* ]] || { echo "# $id: only a row N may not apply, and says why" && return 1; }
		return 0
	fi
	has_test "$test_file" "$test_name" || { echo "# $id: no test '$test_name' in $test_file" && return 1; }
	if [ "$source" = - ]; then
		[[ $id = N* ]] || { echo "# $id: nothing is broken for it" && return 1; }
		return 0
	fi
	[ "$old" != "$new" ] && [ "$(occurrences "$source" "$old")" -eq 1 ] ||
		{ echo "# $id: stands $(occurrences "$source" "$old") times in $source: $old" && return 1; }
}

# The detector first.
probe() { # LINE that is wrong
	! row_is_right "$1" >/dev/null
}

good=$(row_lines | head -n 1)
row_is_right "$good"
verdict $? "detector takes a row that is right"
probe "${good/ | /, }"
verdict $? "detector sees that a field is missing"
probe "${good/ | tests\/unit\/test_send.c | / | tests/unit/test_send.c | no_such_}"
verdict $? "detector sees that a test is missing"
probe "${good/ => / + 1 => }"
verdict $? "detector sees that there is nothing to break"

ids_are_complete
verdict $? "every row is there, and once"
while IFS= read -r line; do
	row_is_right "$line"
	verdict $? "${line%% | *} has a test and a way to break it"
done < <(row_lines)
echo "1..$number"
exit $failed
