# SPDX-License-Identifier: Apache-2.0
# Reads --help of a program. Prints a line of tab-separated fields for each flag: name, letter of the
# short form, placeholder of the value, default, "yes" if it is repeatable, description, environment
# variable. A field is empty if the flag has no such thing.
BEGIN { OFS = "\t" }
/^Flags:$/ { is_listing = 1; next }
!is_listing || !/^  -/ { next }
{
	line = substr($0, 3)
	match(line, /  +/)
	name = substr(line, 1, RSTART - 1)
	text = substr(line, RSTART + RLENGTH)
	repeatable = sub(/ \(repeatable\)$/, "", text) ? "yes" : ""
	initial = letter = value = ""
	if (match(text, / \(default [^)]*\)$/)) {
		initial = substr(text, RSTART + 10, RLENGTH - 11)
		text = substr(text, 1, RSTART - 1)
	}
	if (name ~ /^-., /) {
		letter = substr(name, 2, 1)
		name = substr(name, 5)
	}
	if ((at = index(name, " "))) {
		value = substr(name, at + 1)
		name = substr(name, 1, at - 1)
	}
	name = substr(name, 3)
	variable = "PODVEIL_" toupper(name)
	gsub(/-/, "_", variable)
	if (name == "help" || name == "version")
		variable = ""
	print name, letter, value, initial, repeatable, text, variable
}
