# SPDX-License-Identifier: Apache-2.0
# Reads the table beside it, for table_is_complete.sh and mutants.sh. To be sourced.
# shellcheck shell=bash disable=SC2034 # the sourcing scripts use the variables

ROWS=${ROWS:-$(dirname "${BASH_SOURCE[0]}")/rows}

row_lines() { grep -v -e '^#' -e '^$' "$ROWS"; }

row_ids() { row_lines | sed 's/ | .*//' | grep -v '+$'; }

id='' says='' test_file='' test_name='' source='' old='' new=''

# The fields of one line, into these. False: there are not as many.
read_row() { # LINE
	local rest=$1 field
	for field in id says test_file test_name source; do
		case $rest in *' | '*) ;; *) return 1 ;; esac
		printf -v "$field" '%s' "${rest%%' | '*}"
		rest=${rest#*' | '}
	done
	old=${rest%%' => '*}
	new=${rest#*' => '}
	[ "$rest" = - ] || [ "$rest" != "$old" ]
}

# How often OLD stands in the file.
occurrences() { # FILE OLD
	OLD=$2 awk '{
		for (rest = $0; (at = index(rest, ENVIRON["OLD"])); count++)
			rest = substr(rest, at + length(ENVIRON["OLD"]))
	} END { print count + 0 }' "$1"
}

# The file with NEW in the place of OLD.
replaced() { # FILE OLD NEW
	OLD=$2 NEW=$3 awk '{
		if ((at = index($0, ENVIRON["OLD"])))
			$0 = substr($0, 1, at - 1) ENVIRON["NEW"] substr($0, at + length(ENVIRON["OLD"]))
		print
	}' "$1"
}
