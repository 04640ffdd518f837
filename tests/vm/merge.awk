# SPDX-License-Identifier: Apache-2.0
#
# What guest.sh writes, as the TAP of one test: numbers anew, puts the file's name before each test's, and adds a failure
# for each file that told less than it planned, for a kernel that complained, and for a machine that did not come to
# its end.

function say(verdict, name) {
	total++
	if (verdict != "ok")
		failed++
	print verdict " " total " - " name
	fflush()
}

function show(title, from,   line) {
	print "# " title ":"
	while ((getline line < from) > 0)
		print "#   " line
	close(from)
}

function has(from, pattern,   line, found) {
	while ((getline line < from) > 0)
		if (line ~ pattern)
			found = 1
	close(from)
	return found
}

BEGIN { complaint = "BUG:|WARNING:|Oops|Kernel panic|Call Trace|RIP:|blocked for more than|Out of memory|podveil: init" }

{ sub(/\r$/, "") }

/^## begin / {
	file = $3
	sub(/.*\//, "", file)
	planned = -1
	seen = 0
	bad = failed
	next
}

/^## end / {
	if (planned < 0)
		say("not ok", file ": ended without saying how many tests it has")
	else if (seen < planned)
		say("not ok", file ": " planned - seen " of its " planned " tests did not report")
	else if ($4 != 0 && failed == bad)
		say("not ok", file ": ended with status " $4)
	next
}

/^## done / { done = 1 }
/^## / { print "# " substr($0, 4); fflush(); next }

/^1\.\.0 # SKIP/ {
	planned = 0
	sub(/^1\.\.0 # SKIP */, "")
	say("ok", file ": all of it # SKIP " $0)
	next
}

/^1\.\.[0-9]+$/ { planned = substr($0, 4) + 0; next }

/^(not )?ok [0-9]+/ {
	seen++
	verdict = /^not/ ? "not ok" : "ok"
	sub(/^(not )?ok [0-9]+ *-? */, "")
	if (remark)
		sub(/# SKIP no reason given$/, "# SKIP " remark)
	remark = ""
	say(verdict, file ": " $0)
	next
}

# cmocka's skip() takes no reason: it stands before it.
/^# this kernel / { remark = substr($0, 3) }

/^Bail out!/ { print "# " $0; next }
{ print /^#/ ? $0 : "# " $0 }

END {
	say(has(console, complaint) ? "not ok" : "ok", "the kernel complains of nothing")
	say(done ? "ok" : "not ok", "the machine comes to its end")
	if (!done && file)
		print "# it ended in " file
	if (has(console, complaint) || !done) {
		show("its console", console)
		show("qemu", errors)
	}
	print "1.." total
	exit failed > 0
}
