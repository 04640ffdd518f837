#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # backquotes of Markdown
# docs/reference.md is what docs/reference.sh makes of the tables in the code, and each man page
# lists the flags that --help lists, without a warning of the formatter. Prints TAP; BUILD is the
# build directory, built before.

cd "$(dirname "$0")/.." || exit 1
BUILD=$(realpath "${BUILD:-build}") || exit 1
# shellcheck source=tests/verdict.sh
. tests/verdict.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export BUILD

# A copy of all that the generator reads, with programs whose --help goes through sed, so that a
# detector can change it.
copy_tree() { # DIRECTORY
	mkdir -p "$1/deploy" "$1/build" && cp -R docs man include keyd tunnel "$1" && cp -R deploy/base "$1/deploy" || return 1
	for program in podveil podveil-keyd podveil-tunnel; do
		printf '#!/bin/sh\n"%s" "$@" | sed -f "%s"\n' "$BUILD/$program" "$1/build/edit" >"$1/build/$program"
		chmod +x "$1/build/$program"
	done
	: >"$1/build/edit"
}

reference() { BUILD=$work/tree/build "$work/tree/docs/reference.sh" >"$work/reference.md" 2>"$work/errors"; }

is_current() { reference && cmp -s docs/reference.md "$work/reference.md"; }

# The generator still works, and its result differs in the way that the pattern names.
is_noticed() { # PATTERN
	reference && ! cmp -s docs/reference.md "$work/reference.md" &&
		diff docs/reference.md "$work/reference.md" | grep -q -- "$1"
}

is_refused() { # PATTERN
	! reference && grep -q -- "$1" "$work/errors"
}

explain() { [ $failed -eq 0 ] || sed 's/^/# /' "$work/errors"; }

echo "1..16"
copy_tree "$work/tree" || exit 1

is_current
verdict $? "docs/reference.md is current"
if [ $failed -ne 0 ]; then
	echo "# run: make reference"
	diff docs/reference.md "$work/reference.md" | head -20 | sed 's/^/# /'
	explain
fi

# Then the detectors: each breaks one table of the copy.
echo 's/(default 24h)/(default 12h)/' >"$work/tree/build/edit"
is_noticed '^> .*--rotate-every.*12h'
verdict $? "detector notices another default"
printf '/  --overlap /d\n' >"$work/tree/build/edit"
! is_current
verdict $? "detector notices a flag that is gone"
: >"$work/tree/build/edit"

cp include/drop_reason.h "$work/tree/include/drop_reason.h"
sed -i 's/X(NO_KEY, "no_key", "/&changed /' "$work/tree/include/drop_reason.h"
is_noticed '^> | `no_key` | changed '
verdict $? "detector notices another text of a drop reason"
cp include/drop_reason.h "$work/tree/include/drop_reason.h"

echo '#define X "podveil.io/undescribed"' >"$work/tree/keyd/extra.h"
is_refused '^> podveil.io/undescribed'
verdict $? "generator refuses a name on a Node that no table describes"
echo 'getenv("UNDESCRIBED")' >"$work/tree/keyd/extra.h"
is_refused '^> UNDESCRIBED'
verdict $? "generator refuses a variable that no table describes"
rm "$work/tree/keyd/extra.h"
sed -i 's/PODVEIL_OVERLAP$/PODVEIL_NO_FLAG/' "$work/tree/deploy/base/daemonset.yaml"
is_refused 'PODVEIL_NO_FLAG'
verdict $? "generator refuses a key of the ConfigMap that sets no flag"

# A table that the generator cannot read must not vanish without a word.
drops=$(sed -n '/^## Drop reasons/,$p' docs/reference.md | grep -c '^| `')
[ "$drops" -eq "$(grep -cE '^[[:space:]]*X\([A-Z0-9_]+,' include/drop_reason.h)" ]
verdict $? "every drop reason has its line ($drops)"
flags=$(grep -c '^| `-' docs/reference.md)
[ "$flags" -gt 30 ]
verdict $? "flags have their lines ($flags)"

for page in podveil podveil-keyd podveil-tunnel; do
	man/page.sh "man/$page.8.in" >"$work/$page.8" 2>"$work/errors" && ! grep -q '^@\|@$' "$work/$page.8"
	verdict $? "$page.8 is generated"
	missing=
	for flag in $(env -i "$BUILD/$page" --help | awk -f man/flags.awk | cut -f 1); do
		grep -q "\\\\fB..\\\\-\\?$(echo "$flag" | sed 's/-/\\\\-/g')\\\\fR" "$work/$page.8" || missing="$missing --$flag"
	done
	[ -z "$missing" ]
	verdict $? "$page.8 has every flag of --help$missing"
done

if command -v groff >/dev/null; then
	for page in podveil podveil-keyd podveil-tunnel; do
		groff -man -Tutf8 -ww -z "$work/$page.8"
	done >"$work/errors" 2>&1
	[ ! -s "$work/errors" ]
	verdict $? "man pages are formatted without a warning"
	explain
else
	verdict 0 "man pages are formatted without a warning # SKIP groff is not installed"
fi
exit $failed
