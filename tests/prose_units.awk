# SPDX-License-Identifier: Apache-2.0
# Units of prose in the files given, one a line: FILE:LINE, a tab, the text. C: each comment, adjacent lines as one, and
# each string literal, adjacent literals as one. Shell: comments. Markdown: sentences. Everything else (YAML, templates): comments.

function flush(    text) {
	text = unit
	gsub(/[ \t]+/, " ", text)
	sub(/^ /, "", text)
	if (unit != "")
		print from "\t" text
	unit = ""
}
function add(text) {
	if (unit == "")
		from = FILENAME ":" FNR
	unit = unit " " text
}
# The literals of a line of C, into `literals`; comments are gone. Adjacent lines of nothing else make one literal.
function take_literals(line,    rest, inside) {
	rest = line
	while (match(rest, /"([^"\\]|\\.)*"/)) {
		inside = substr(rest, RSTART + 1, RLENGTH - 2)
		if (literals == "")
			literals_from = FILENAME ":" FNR
		literals = literals inside
		rest = substr(rest, RSTART + RLENGTH)
		if (rest !~ /^[ \t]*(PRI[a-zA-Z0-9]+[ \t]*)?("|$)/)
			flush_literals()
	}
	if (literals != "" && rest !~ /^[ \t]*$/)
		flush_literals()
}
function flush_literals() {
	if (literals != "")
		print literals_from "\t" literals
	literals = ""
}
FNR == 1 {
	flush(); flush_literals()
	in_block = in_code = 0
	kind = FILENAME ~ /\.[ch]$/ ? "c" : FILENAME ~ /\.md$/ ? "md" : "sh"
}
kind == "c" {
	line = $0
	if (in_block) {
		end = index(line, "*/")
		text = end ? substr(line, 1, end - 1) : line
		sub(/^[ \t]*\*?/, "", text)
		add(text)
		if (!end)
			next
		in_block = 0
		flush()
		line = substr(line, end + 2)
	}
	if (line ~ /^[ \t]*#[ \t]*include/)
		next
	while (match(line, /\/\*|\/\/|"([^"\\]|\\.)*"/)) {
		if (substr(line, RSTART, 1) == "\"") {
			kept = kept substr(line, 1, RSTART + RLENGTH - 1)
			line = substr(line, RSTART + RLENGTH)
		} else if (substr(line, RSTART, 2) == "//") {
			flush(); add(substr(line, RSTART + 2)); flush()
			line = substr(line, 1, RSTART - 1)
		} else {
			before = substr(line, 1, RSTART - 1)
			line = substr(line, RSTART + 2)
			end = index(line, "*/")
			add(end ? substr(line, 1, end - 1) : line)
			if (!end) {
				in_block = 1
				line = before
				break
			}
			flush()
			line = before substr(line, end + 2)
		}
	}
	take_literals(kept line)
	kept = ""
	next
}
kind == "md" {
	if ($0 ~ /^```/)
		in_code = !in_code
	if (in_code || $0 ~ /^(```|#|\|[-: |]*$)/ || $0 ~ /^[ \t]*$/) {
		flush()
		next
	}
	rest = $0
	if (rest ~ /^[ \t]*([-*]|[0-9]+\.|\|) /)
		flush()
	while (match(rest, /[.;:!?] |\| /)) {
		add(substr(rest, 1, RSTART))
		flush()
		rest = substr(rest, RSTART + RLENGTH)
	}
	add(rest)
	if ($0 ~ /[.;:!?|]$/)
		flush()
	next
}
/^[ \t]*(#|\{\{\/\*)/ && !/^#!/ {
	text = $0
	sub(/^[ \t]*#+/, "", text)
	add(text)
	next
}
{ flush() }
END { flush(); flush_literals() }
