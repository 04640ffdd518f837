#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Packs and unpacks the inputs that a fuzz target always runs on. They are lines of tests/fuzz/corpus/TARGET, one an
# input, so that git can compare them:
#
#   NAME INPUT
#
# NAME is the file's name in an unpacked corpus (libFuzzer uses the SHA-1 of the input; a name that says more is welcome).
# In INPUT every byte that is not printable ASCII, every space and every backslash is \xNN. replay.c reads the lines as
# they are; libFuzzer wants a directory, which run.sh unpacks into $BUILD.
#
#   tests/fuzz/corpus.sh unpack TARGET DIR    writes each input of TARGET into a file of its own
#   tests/fuzz/corpus.sh pack TARGET DIR      replaces the inputs of TARGET with the files in DIR, in the order of their names

set -eu
CORPUS=$(dirname "$0")/corpus

unpack() { # TARGET DIR
	mkdir -p "$2"
	# shellcheck disable=SC2016 # perl's variables
	perl -e '
		my ($dir) = shift;
		while (<>) {
			/^([\w.-]+) ((?:[!-\[\]-~]|\\x[0-9a-f]{2})*)\n$/ or die "line $.: not a name and an input\n";
			my ($name, $input) = ($1, $2);
			$input =~ s/\\x(..)/chr hex $1/ge;
			open my $file, ">:raw", "$dir/$name" or die "$dir/$name: $!\n";
			print $file $input;
			close $file or die "$dir/$name: $!\n";
		}' "$2" <"$CORPUS/$1"
}

pack() { # TARGET DIR
	# shellcheck disable=SC2016 # perl's variables
	LC_ALL=C perl -e '
		chdir shift or die "no such directory\n";
		for my $name (sort grep { -f } glob "*") {
			open my $file, "<:raw", $name or die "$name: $!\n";
			my $input = do { local $/; <$file> } // "";
			$input =~ s/([^!-\[\]-~])/sprintf "\\x%02x", ord $1/ge;
			print "$name $input\n";
		}' "$2" >"$CORPUS/$1.new"
	mv "$CORPUS/$1.new" "$CORPUS/$1"
}

case $#:${1:-} in
3:pack | 3:unpack) "$@" ;;
*) echo "usage: ${0##*/} pack|unpack TARGET DIR" >&2 && exit 2 ;;
esac
