#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures the English of comments, messages, documents and test names: a sentence that names its
# subject seldom needs a free relative ("what is ...", "who has ..."), and some words belong to
# another century. Quoted names do not count. Prints TAP; `tests/prose_is_plain.sh list [FILE ...]`
# prints each unit that counts instead.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/verdict.sh
. tests/verdict.sh

FREE_RELATIVE='(what|who|whom|whose|whoever|whatever) [a-z0-9_]+'
MARKED='somebody|nobody|whoever|anew|(is|are|was|were) told|affair|in clear|in the clear|shall|of ours|all the same'
SELDOM='none of|stands|goes by'
UNIT_LEN=40 # shorter ones are labels

# Quoted names and the two headings that are questions.
without_names() {
	sed -E "s/\`[^\`]*\`//g; s/\"[^\"]*\"//g; s/'[^' ]*'//g; s/(what you get|what goes where|what it does not do)//Ig"
}

units() { # FILE...
	[ $# -eq 0 ] || awk -f tests/prose_units.awk "$@"
}

long_units() { awk -F '\t' -v len=$UNIT_LEN 'length($2) > len'; }

# FILE:LINE, a tab, and a sentence for each name of a test.
test_names() {
	git ls-files 'tests/*.sh' | awk '{name = $0; sub(/.*\//, "", name); sub(/\.sh$/, "", name); gsub(/_/, " ", name); print $0 ":0\t" name}'
	grep -noE '^([A-Z_]+_)?TEST\([a-z0-9_]+' tests/unit/*.c tests/bpf/*.c |
		awk -F : '{sub(/^.*\(/, "", $3); gsub(/_/, " ", $3); print $1 ":" $2 "\t" $3}'
	grep -noE '\bcheck "[^"]*"' tests/netns/*.sh tests/netns/*.bash tests/kube/*.sh tests/vm/*.sh tests/vm/*.bash |
		sed -E 's/^([^:]*:[0-9]+):check "/\1\t/; s/"$//'
}

files() { # of an area
	case $1 in
	product) git ls-files 'bpf/*.[ch]' 'tunnel/*.[ch]' 'keyd/*.[ch]' 'include/*.h' ;;
	tests) git ls-files 'tests/*.[ch]' 'tests/*.sh' 'tests/*.bash' ;;
	documents) git ls-files '*.md' Makefile 'tests/*.mk' 'deploy/*' ;;
	esac
}

# Units of stdin whose text matches $1.
matching() { without_names | grep -iE "	(.*[^a-z_])?($1)([^a-z_]|\$)"; }

all_units() { # FILE..., or the whole repository
	if [ $# -gt 0 ]; then
		units "$@"
	else
		for area in product tests documents; do
			files $area | xargs awk -f tests/prose_units.awk
		done
		test_names
	fi | long_units
}

if [ "${1:-}" = list ]; then
	shift
	all_units "$@" | matching "$FREE_RELATIVE|$MARKED|$SELDOM"
	exit 0
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
echo "1..16"

# First the detector.
cat >"$work/bad.c" <<'SOURCE'
/* What is nobody's goes on in clear, and
 * it is made anew when the guard stands. */
int x; /* short: what is it */
SOURCE
cat >"$work/good.c" <<'SOURCE'
/* Drops packets that no peer owns, even `what is in a name` and "somebody shall". */
const char *text = "podveil-tunnel rejected the key "
		   "change of this node";
SOURCE
for name in bad good; do
	units "$work/$name.c" | long_units >"$work/$name"
done
[ "$(wc -l <"$work/bad")" = 1 ] && [ "$(wc -l <"$work/good")" = 2 ]
verdict $? "lines of a comment, and adjacent literals, are one unit"
matching "$FREE_RELATIVE" <"$work/bad" >/dev/null && matching "$MARKED" <"$work/bad" >/dev/null && matching "$SELDOM" <"$work/bad" >/dev/null
verdict $? "detector sees a free relative and marked words"
! matching "$FREE_RELATIVE|$MARKED|$SELDOM" <"$work/good" >/dev/null
verdict $? "detector sees none in plain English with quoted names"

judge() { # AREA, with its units in $work/units
	total=$(wc -l <"$work/units")
	matching "$FREE_RELATIVE" <"$work/units" >"$work/free"
	matching "$MARKED" <"$work/units" >"$work/marked"
	matching "$SELDOM" <"$work/units" >"$work/seldom"
	free=$(wc -l <"$work/free")
	[ "$total" -gt 0 ] && [ $((free * 100)) -le $((total * 3)) ]
	verdict $? "$1: at most 3 % of the units rest on a free relative"
	echo "# $1: $free of $total"
	[ -s "$work/marked" ]
	verdict $((!$?)) "$1: no archaic words"
	sed 's/^/# /' "$work/marked" | head -20
	[ $(($(wc -l <"$work/seldom") * 100)) -le "$total" ]
	verdict $? "$1: at most 1 % have 'none of', 'stands' or 'goes by'"
}
# Lines with a part of a comment that are longer than 100 columns; tables of code in a macro aside.
long_comments() { # FILE...
	for file in "$@"; do
		expand "$file" | awk -v file="$file" 'length($0) > 100 && /\/\*|\*\/|\/\/|^ *\* / && !/\\$/ {print file ":" FNR}'
	done
}
printf '/* %0100d */\nint good; /* short */\n' 0 >"$work/long.c"
[ "$(long_comments "$work/long.c")" = "$work/long.c:1" ]
verdict $? "detector sees a comment longer than 100 columns"
long_comments $(files product) >"$work/long"
[ -s "$work/long" ]
verdict $((!$?)) "product: comments keep to 100 columns"
sed 's/^/# /' "$work/long" | head -20
for area in product tests documents; do
	files $area | xargs awk -f tests/prose_units.awk | long_units >"$work/units"
	judge "$area"
done
test_names | long_units >"$work/units"
matching "$FREE_RELATIVE" <"$work/units" >"$work/free"
[ $(($(wc -l <"$work/free") * 100)) -le $(($(wc -l <"$work/units") * 3)) ]
verdict $? "test names: at most 3 % rest on a free relative"
echo "# test names: $(wc -l <"$work/free") of $(wc -l <"$work/units")"
matching "$MARKED" <"$work/units" >"$work/marked"
[ -s "$work/marked" ]
verdict $((!$?)) "test names: no archaic words"
sed 's/^/# /' "$work/marked" | head -20
exit $failed
