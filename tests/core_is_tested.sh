#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every file of CORE has a unit test of its own: tests/unit/test_FILE.c for DIR/FILE.c, even if
# other tests exercise it, too. One exception: the engines of tunnel/aead/ have one contract, so
# tests/unit/test_aead.c tests all of them and must list each. Prints TAP; BUILD is the build
# directory, which appears only in names.

cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
# shellcheck source=tests/verdict.sh
. tests/verdict.sh

has_tests() { # $1 = source of a unit test
	grep -qE '^([A-Z_]+_)?TEST\([a-z0-9_]+[,)]' "$1" 2>/dev/null
}

asks_engine() { # $1 = source of a unit test, $2 = engine
	sed -n '/engine_names\[\]/,/;/p' "$1" | grep -q "\"$2\""
}

is_tested() { # $1 = file of CORE, as tunnel/noise or tunnel/aead/sodium, $2 = directory of the tests
	case $1 in
	tunnel/aead/aead) has_tests "$2/test_aead.c" ;;
	tunnel/aead/*) has_tests "$2/test_aead.c" && asks_engine "$2/test_aead.c" "${1##*/}" ;;
	*) has_tests "$2/test_${1##*/}.c" ;;
	esac
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
MAKEFLAGS='' make -s --no-print-directory BUILD="$BUILD" print-core >"$work/objects" || exit 1
echo "1..$(($(wc -l <"$work/objects") + 4))"

# First the detector: an existing test, a missing one, a file without tests, an engine that is not
# listed.
mkdir "$work/unit"
cat >"$work/unit/test_there.c" <<'SOURCE'
#include "test.h"
TEST(thing_is_so)
SOURCE
cp "$work/unit/test_there.c" "$work/unit/test_aead.c"
echo 'static const char *const engine_names[] = {"sodium"};' >>"$work/unit/test_aead.c"
head -n 1 "$work/unit/test_there.c" >"$work/unit/test_empty.c"
is_tested keyd/there "$work/unit" && is_tested tunnel/aead/sodium "$work/unit"
verdict $? "detector finds an existing test"
! is_tested keyd/missing "$work/unit"
verdict $? "detector sees that a test is missing"
! is_tested keyd/empty "$work/unit"
verdict $? "detector sees that a file contains no test"
! is_tested tunnel/aead/other "$work/unit"
verdict $? "detector sees that an AEAD engine is not tested"

while read -r _ object; do
	name=${object#"$BUILD/"}
	name=${name%.o}
	is_tested "$name" tests/unit
	verdict $? "$name has a unit test of its own"
done <"$work/objects"
exit $failed
