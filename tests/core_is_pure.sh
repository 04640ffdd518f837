#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CORE receives bytes, time and randomness and returns bytes. Its objects must not reference a
# function that could open, read, print, allocate or get the time. A symbol that is not on the list
# below is refused, so a new one needs a reason. Prints TAP; BUILD is the build directory, which
# must be up to date.

cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
# shellcheck source=tests/verdict.sh
. tests/verdict.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# One extended regular expression a line, which must match the whole name.
cat >"$work/allowed" <<'LIST'
mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)
str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|pbrk|cpy|ncpy|cat|ncat)
stp?n?cpy
(v?snprintf|strtoul|strtoull|strtol|strtoll|inet_pton|inet_ntop|__isoc23_strtou?ll?)
__(mem(cpy|move|set|pcpy)|st[pr]n?cpy|strn?cat|v?snprintf)_chk
__errno_location|bsearch
__stack_chk_fail|__assert_fail|_GLOBAL_OFFSET_TABLE_
__(u?(div|mod|divmod)|mul|ashl|ashr|lshr|popcount|clz|ctz|bswap|cmp|ucmp)[dst]i[0-9]?
__cpu_indicator_init|__cpu_model|__cpu_features2
__(asan|ubsan|tsan|msan)_.*
blake2s(_init|_init_key|_update|_final)?
crypto_(scalarmult(_curve25519)?(_base)?|shorthash|generichash(_init|_update|_final)?)
crypto_aead_x?chacha20poly1305_ietf_(en|de)crypt(_detached)?
sodium_(memzero|memcmp|is_zero|compare|increment|add|sub|bin2hex|hex2bin|bin2base64|base642bin|base64_encoded_len)
LIST
cp "$work/allowed" "$work/allowed.tunnel"
cat "$work/allowed" - >"$work/allowed.keyd" <<'LIST'
json_[a-z0-9_]+|jsonp_strtod
mnl_attr_[a-z0-9_]+|mnl_nlmsg_(put|get)_[a-z_]+
LIST
# The names that an object references against the rule; none for a pure object.
impurities() { # $1 = allow-list, $2 = names that CORE defines itself, $3 = object
	nm --undefined-only --format=posix "$3" | cut -d' ' -f1 | sort -u |
		grep -Fxv -f "$2" | grep -Exv -f "$1"
}

MAKEFLAGS='' make -s --no-print-directory BUILD="$BUILD" print-core >"$work/objects" || exit 1
echo "1..$(($(wc -l <"$work/objects") + 2))"

for side in tunnel keyd; do
	sed -n "s/^$side //p" "$work/objects" | while read -r object; do
		[ -f "$object" ] && nm --defined-only --extern-only --format=posix "$object"
	done | cut -d' ' -f1 | sort -u >"$work/defined.$side"
done

# First the detector: it must find the impurities of an impure object, and none in a pure one.
cat >"$work/impure.c" <<'SOURCE'
#include <stdlib.h>
#include <time.h>
void *impure(void);
void *impure(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return malloc((size_t)now.tv_sec);
}
SOURCE
cat >"$work/pure.c" <<'SOURCE'
#include <string.h>
size_t pure(char *to, const char *from);
size_t pure(char *to, const char *from)
{
	memmove(to, from, strlen(from));
	return strlen(to);
}
SOURCE
for name in impure pure; do
	${CC:-cc} -O1 -c -o "$work/$name.o" "$work/$name.c" || exit 1
done
found=$(impurities "$work/allowed.tunnel" "$work/defined.tunnel" "$work/impure.o" | tr '\n' ' ')
[ "$found" = "clock_gettime malloc " ]
verdict $? "detector sees malloc and clock_gettime in an object that calls them"
found=$(impurities "$work/allowed.tunnel" "$work/defined.tunnel" "$work/pure.o")
[ -z "$found" ]
verdict $? "detector finds nothing in an object that only moves bytes"

while read -r side object; do
	name="$side/${object#"$BUILD/$side/"}"
	if ! nm "$object" >"$work/readable" 2>&1; then
		verdict 1 "$name is pure"
		echo "# $object is missing or not an object: build it first (make BUILD=$BUILD all)"
		continue
	fi
	found=$(impurities "$work/allowed.$side" "$work/defined.$side" "$object" | tr '\n' ' ')
	[ -z "$found" ]
	verdict $? "$name is pure"
	[ -z "$found" ] || echo "# $object references: $found"
done <"$work/objects"
exit $failed
