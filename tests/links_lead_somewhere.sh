#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every relative link of a Markdown file leads to a file of the repository, and its fragment to a heading there. Every
# file name in backticks exists. README.md stays a first screen: at most 150 lines and 1,000 words. Prints TAP.
#
# Headings become fragments as on GitHub: lower case, spaces become hyphens, other characters than letters, digits,
# hyphens and underscores disappear, and a repeated one gets -1, -2, ...
#
# A word in backticks names a file of the repository if it consists of the characters of a path (`*` is a wildcard, and a
# final full stop or colon does not count) and
#   - begins with a top-level directory of the repository and a slash: the path must exist;
#   - begins with a directory below tests/ and a slash: it must exist below tests/; `unit/test_x` is
#     short for tests/unit/test_x.c, or the same with .sh;
#   - ends in .c, .h, .sh, .bash, .awk, .pml, .md, .nft or .service, without a slash at its start: a file of the
#     repository must have that path, or end in a slash and that path.
# In code blocks only the first rule holds, for each word.

cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C # a byte is a character: those beyond ASCII stay in a fragment
# shellcheck source=tests/verdict.sh
. tests/verdict.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

README_LINES_MAX=150
README_WORDS_MAX=1000

cat >"$work/check.awk" <<'AWK'
# Read: the repository's files, one a line; then the documents with pass=1, then again with pass=2.
FNR == 1 { end_paragraph(); in_block = 0 }
!pass {
	exists[$0] = 1
	names[++name_count] = $0
	for (path = $0; sub(/\/[^\/]*$/, "", path);)
		exists[path] = is_directory[path] = 1
	next
}
/^[ \t]*```/ { end_paragraph(); in_block = !in_block; next }
in_block { if (pass == 2 && checks_names()) check_words($0, 0); next }
/^#+ / { end_paragraph(); if (pass == 1) add_heading($0) }
pass == 1 { next }
/^[ \t]*$/ { end_paragraph(); next }
/^[ \t]*([-*|#]|[0-9]+\.) / { end_paragraph() }
{
	if (paragraph == "") { from = FILENAME ":" FNR; file = FILENAME }
	paragraph = paragraph " " $0
}
END { end_paragraph() }

function add_heading(line,    slug) {
	sub(/^#+ +/, "", line)
	sub(/[ #]*$/, "", line)
	gsub(/\]\([^)]*\)/, "", line)
	slug = tolower(line)
	gsub(/[^a-z0-9 _\200-\377-]/, "", slug)
	gsub(/ /, "-", slug)
	headings[FILENAME "#" slug (seen[FILENAME, slug] ? "-" seen[FILENAME, slug] : "")] = 1
	seen[FILENAME, slug]++
}

# Names of files are checked where people read about the tree; a link is checked everywhere.
function checks_names() { return FILENAME ~ /^docs\// || FILENAME ~ /^[^\/]*$/ || FILENAME == "deploy/README.md" }

function end_paragraph(    text, code) {
	text = paragraph
	paragraph = ""
	while (match(text, /`[^`]*`/)) {
		code = substr(text, RSTART + 1, RLENGTH - 2)
		text = substr(text, 1, RSTART - 1) "x" substr(text, RSTART + RLENGTH)
		if (file ~ /^docs\// || file ~ /^[^\/]*$/ || file == "deploy/README.md")
			check_words(code, 1)
	}
	if (match(text, /^ \[[^\]]*\]: */))
		check_link(substr(text, RSTART + RLENGTH))
	while (match(text, /\]\([^) ]*\)/)) {
		check_link(substr(text, RSTART + 2, RLENGTH - 3))
		text = substr(text, RSTART + RLENGTH)
	}
}

function check_link(target,    path, fragment) {
	if (target ~ /^[a-z]+:/)
		return
	path = target
	sub(/#.*/, "", path)
	fragment = target ~ /#/ ? substr(target, index(target, "#") + 1) : ""
	path = path == "" ? file : resolve(file, path)
	if (!(path in exists))
		print from ": link to " target ": no such file"
	else if (fragment != "" && !((path "#" fragment) in headings))
		print from ": link to " target ": no such heading"
}

# Of a link in `document`, the path from the top of the repository.
function resolve(document, path,    dir) {
	dir = document
	if (!sub(/\/[^\/]*$/, "", dir))
		dir = ""
	sub(/\/$/, "", path)
	while (path ~ /^\.\.?(\/|$)/) {
		if (path ~ /^\.\./ && !sub(/\/[^\/]*$/, "", dir))
			dir = ""
		sub(/^\.\.?\/?/, "", path)
	}
	return dir == "" ? path : path == "" ? dir : dir "/" path
}

function check_words(text, is_inline,    words, count, i) {
	count = split(text, words, /[ \t,;()"'{}|=]+/)
	for (i = 1; i <= count; i++)
		check_word(words[i], is_inline && count == 1)
}

function check_word(word, is_alone,    first) {
	sub(/[.:]$/, "", word)
	if (word !~ /^[A-Za-z0-9_.*\/-]+$/ || word ~ /^[\/.*]/)
		return
	first = word
	sub(/\/.*/, "", first)
	if (word ~ /\// && first in is_directory)
		must_exist(word, word)
	else if (word ~ /\// && ("tests/" first) in is_directory && is_alone)
		must_exist(word, "tests/" word)
	else if (is_alone && word ~ /[^.]\.(c|h|sh|bash|awk|pml|md|nft|service)$/)
		must_end(word)
}

function must_exist(word, path) {
	sub(/\/$/, "", path)
	if (path in exists || (path ".c") in exists || (path ".sh") in exists)
		return
	if (path ~ /\*/ && matches("^" pattern(path) "$"))
		return
	complain(word)
}

function must_end(word) { if (!matches("(^|/)" pattern(word) "$")) complain(word) }

function pattern(path) {
	gsub(/\./, "[.]", path)
	gsub(/\*/, "[^/]*", path)
	return path
}

function matches(expression,    i) {
	for (i = 1; i <= name_count; i++)
		if (names[i] ~ expression)
			return 1
	return 0
}

function complain(word) { print (in_block ? FILENAME ":" FNR : from) ": " word ": no such file" }
AWK

# The faults of the documents below DIR, one a line; FILES lists the tree's files.
faults() { # DIR FILES
	grep '\.md$' "$2" >"$work/documents"
	# shellcheck disable=SC2046 # paths of the repository have no spaces
	(cd "$1" && awk -f "$work/check.awk" "$2" pass=1 $(cat "$work/documents") pass=2 $(cat "$work/documents"))
}

is_short() { # FILE
	[ "$(wc -l <"$1")" -le $README_LINES_MAX ] && [ "$(wc -w <"$1")" -le $README_WORDS_MAX ]
}

echo "1..9"

# First the detector.
mkdir -p "$work/tree/docs" "$work/tree/tests/unit" "$work/tree/keyd"
touch "$work/tree/tests/unit/test_x.c" "$work/tree/keyd/claim.c"
cat >"$work/tree/docs/right.md" <<'DOCUMENT'
# One & Two: `three`
[a](#one--two-three), [b](wrong.md) and [the
second](../docs/right.md#again-1), [dir](../keyd/), [away](https://example.com/x.md#y).
`claim.c`, `keyd/claim.c`, `keyd/*.c`, `tests/unit/test_x.c`, `unit/test_x`, `podveil.io/tunnel`, `/etc/x.nft`, `cc keyd/claim.c`.
## Again
## Again
```
make keyd/claim.c # [no](link.md), no_file.c
```
DOCUMENT
cat >"$work/tree/docs/wrong.md" <<'DOCUMENT'
# Wrong
- [a](missing.md)
- [b](right.md#nothing)
- [c](#right)
- `keyd/gone.c`
- `unit/test_gone`
- `gone.h`
- `keyd/*.h`

```
cc keyd/gone.c
```
DOCUMENT
(cd "$work/tree" && find . -type f | sed 's,^\./,,') >"$work/files"
faults "$work/tree" "$work/files" >"$work/found"
! grep -q '^docs/right' "$work/found"
verdict $? "detector accepts links, fragments and names that exist"
grep '^docs/right' "$work/found" | sed 's/^/# /'
[ "$(grep -c '^docs/wrong.md.*link to missing.md: no such file' "$work/found")" = 1 ]
verdict $? "detector finds a link to a missing file"
[ "$(grep -c '^docs/wrong.md.*no such heading' "$work/found")" = 2 ]
verdict $? "detector finds fragments without a heading, in this and another file"
[ "$(grep -c '^docs/wrong.md.*: \(keyd/gone.c\|unit/test_gone\|gone.h\|keyd/\*.h\): no such file' "$work/found")" = 5 ]
verdict $? "detector finds missing files in backticks and in code blocks"
seq 151 >"$work/long"
seq -s ' ' 1001 >"$work/wordy"
seq 150 >"$work/short"
! is_short "$work/long" && ! is_short "$work/wordy" && is_short "$work/short"
verdict $? "detector sees a README with too many lines or words"

git ls-files --cached --others --exclude-standard | while read -r name; do [ ! -e "$name" ] || echo "$name"; done >"$work/files"
[ "$(grep -c '\.md$' "$work/files")" -ge 10 ]
verdict $? "the repository has its documents"
faults "$PWD" "$work/files" >"$work/found"
! grep -q ': link to ' "$work/found"
verdict $? "every relative link leads to a file, and its fragment to a heading"
grep ': link to ' "$work/found" | sed 's/^/# /'
! grep -vq ': link to ' "$work/found"
verdict $? "every file that the documents name exists"
grep -v ': link to ' "$work/found" | sed 's/^/# /'
is_short README.md
verdict $? "README.md has at most $README_LINES_MAX lines and $README_WORDS_MAX words"
echo "# README.md: $(wc -l <README.md) lines, $(wc -w <README.md) words"
exit $failed
