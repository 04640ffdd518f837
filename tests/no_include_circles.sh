#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The include graph of the product has no circles and respects the boundaries between the
# directories. A node is a pair of .c and .h, named by its path without suffix. An include is
# resolved as the compiler does: in the file's own directory, then in include/, then in the
# directories that the Makefile names for the program. Prints TAP.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/verdict.sh
. tests/verdict.sh
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# One line for each edge of the tree: the including node, the included node. `?NAME` is a
# file in quotes that does not exist. System headers and generated skeletons are left out.
edges() { # DIRECTORY
	(cd "$1" && find bpf tunnel keyd include -name '*.[ch]' 2>/dev/null | sort) >"$work/files"
	awk -v tree="$1" '
		function node(path) {
			sub(/\.[ch]$/, "", path)
			return path
		}
		function flat(path) { # without "." and ".."
			while (sub(/(^|\/)\.\//, "/", path))
				sub(/^\//, "", path)
			while (sub(/[^\/]+\/\.\.\//, "", path))
				;
			return path
		}
		function resolve(file, name, is_quoted, own, program, dirs, count, i) {
			own = file
			sub(/[^\/]*$/, "", own)
			if (is_quoted && (flat(own name) in files))
				return node(flat(own name))
			program = file ~ /^keyd\// ? "keyd/ bpf/" : file ~ /^tunnel\// ? "tunnel/" : ""
			count = split("include/ " program, dirs, " ")
			for (i = 1; i <= count; i++)
				if (flat(dirs[i] name) in files)
					return node(flat(dirs[i] name))
			return is_quoted && name !~ /\.skel\.h$/ ? "?" name : ""
		}
		{ files[$0] }
		END {
			for (file in files) {
				while ((getline line < (tree "/" file)) > 0) {
					if (line !~ /^[ \t]*#[ \t]*include[ \t]*["<]/)
						continue
					is_quoted = line ~ /^[^<]*"/
					name = line
					sub(/^[^"<]*["<]/, "", name)
					sub(/[">].*/, "", name)
					to = resolve(file, name, is_quoted)
					if (to != "" && to != node(file))
						print node(file), to
				}
				close(tree "/" file)
			}
		}' "$work/files" | sort -u
}

# One line for each circle among the edges of stdin: its members.
circles() {
	awk '
		function visit(from, start, next_nodes, count, i) {
			count = split(out[from], next_nodes, " ")
			for (i = 1; i <= count; i++)
				if (!((start, next_nodes[i]) in reach)) {
					reach[start, next_nodes[i]]
					visit(next_nodes[i], start)
				}
		}
		{
			out[$1] = out[$1] " " $2
			if ($1 != order[nodes])
				order[++nodes] = $1
		}
		END {
			for (i = 1; i <= nodes; i++)
				visit(order[i], order[i])
			for (i = 1; i <= nodes; i++) {
				if (!((order[i], order[i]) in reach) || order[i] in listed)
					continue
				members = ""
				for (j = 1; j <= nodes; j++)
					if (((order[i], order[j]) in reach) && ((order[j], order[i]) in reach)) {
						listed[order[j]]
						members = members (members == "" ? "" : " ") order[j]
					}
				print members
			}
		}'
}

# A node that matches the first expression must include no node that matches the second, unless
# that node matches the first as well. The rest of the line is the name of the rule.
cat >"$work/rules" <<'RULES'
^keyd/(cluster|host|datapath|guard|registry)/ ^keyd/agent/ keyd/{cluster,host,datapath,guard,registry} do not include keyd/agent/
^keyd/ ^tunnel/ keyd/ does not include tunnel/
^tunnel/ ^(keyd|bpf)/ tunnel/ includes neither keyd/ nor bpf/
^tunnel/packet/ ^tunnel/ tunnel/packet/ includes nothing else of tunnel/
^bpf/ ^(keyd|tunnel)/ bpf/ includes neither keyd/ nor tunnel/
^include/ ^(bpf|keyd|tunnel)/ include/ includes none of the programs
RULES

# The edges of stdin that break a rule.
offences() { # $1, $2 = the two expressions of the rule
	awk -v from="$1" -v to="$2" '$1 ~ from && $2 ~ to && $2 !~ from { print $1 " includes " $2 }'
}

explain() { # FILE whose lines become comments below a verdict
	sed 's/^/# /' "$1"
}

rules=$(wc -l <"$work/rules")
echo "1..$((2 * rules + 6))"

# First the detector, on trees of its own.
write() { # FILE INCLUDE...
	mkdir -p "$work/tree/$(dirname "$1")"
	file=$work/tree/$1
	shift
	printf '#include %s\n' "$@" >"$file"
}

new_tree() {
	rm -rf "$work/tree"
	write include/small.h '<stdint.h>'
	write bpf/maps.h '"small.h"'
	write bpf/loader/load.c '"load.h"' '"small.h"' '"load.skel.h"'
	write bpf/loader/load.h '<stddef.h>'
	write tunnel/packet/sum.h '"small.h"'
	write tunnel/wire.h '"packet/sum.h"'
	write tunnel/send.c '"wire.h"' '"small.h"' '<sys/socket.h>'
	write keyd/agent/agent.c '"agent.h"' '"host/link.h"' '"loader/load.h"' '"small.h"'
	write keyd/agent/agent.h '"host/link.h"'
	write keyd/host/link.c '"link.h"' '"../../include/small.h"'
	write keyd/host/link.h '<net/if.h>'
}

new_tree
edges "$work/tree" >"$work/edges"
cat >"$work/expected" <<'EDGES'
bpf/loader/load include/small
bpf/maps include/small
keyd/agent/agent bpf/loader/load
keyd/agent/agent include/small
keyd/agent/agent keyd/host/link
keyd/host/link include/small
tunnel/packet/sum include/small
tunnel/send include/small
tunnel/send tunnel/wire
tunnel/wire tunnel/packet/sum
EDGES
cmp -s "$work/edges" "$work/expected"
verdict $? "detector resolves includes as the compiler does"
circles <"$work/edges" >"$work/circles"
[ ! -s "$work/circles" ]
verdict $? "detector sees no circle in a tree without one"

write tunnel/packet/sum.c '"wire.h"'
write keyd/host/link.c '"facts.h"'
write keyd/host/facts.h '"routes.h"'
write keyd/host/routes.h '<stdint.h>'
write keyd/host/routes.c '"agent/agent.h"'
edges "$work/tree" | circles >"$work/circles"
printf '%s\n' 'keyd/agent/agent keyd/host/facts keyd/host/link keyd/host/routes' 'tunnel/packet/sum tunnel/wire' |
	cmp -s - "$work/circles"
verdict $? "detector sees two circles, each with all its members"
explain "$work/circles"

new_tree
write tunnel/send.c '"missing.h"'
edges "$work/tree" | grep -q '^tunnel/send ?missing.h$'
verdict $? "detector sees an include that leads nowhere"

offend() { # NUMBER OF THE RULE: one file that breaks it
	case $1 in
	1) write keyd/guard/table.c '"agent/agent.h"' ;;
	2) write keyd/main.c '"../tunnel/wire.h"' ;;
	3) write tunnel/loop.h '"../bpf/maps.h"' ;;
	4) write tunnel/packet/icmp.c '"path.h"' && write tunnel/path.h '<stdint.h>' ;;
	5) write bpf/policy.h '"../keyd/host/link.h"' ;;
	6) write include/util.h '"../tunnel/wire.h"' ;;
	esac
}
number_of_rule=0
while read -r from to name; do
	number_of_rule=$((number_of_rule + 1))
	new_tree
	! edges "$work/tree" | offences "$from" "$to" | grep -q . && offend $number_of_rule &&
		[ "$(edges "$work/tree" | offences "$from" "$to" | wc -l)" -eq 1 ]
	verdict $? "detector sees an offence against: $name"
done <"$work/rules"

# Now the product.
edges . >"$work/edges"
grep ' ?' "$work/edges" >"$work/lost"
[ -s "$work/edges" ] && [ ! -s "$work/lost" ]
verdict $? "every include in quotes is found"
explain "$work/lost"
circles <"$work/edges" >"$work/circles"
[ ! -s "$work/circles" ]
verdict $? "no circle of includes between two pairs of .c and .h"
sed 's/^/circle: /' "$work/circles" >"$work/named"
explain "$work/named"
while read -r from to name; do
	offences "$from" "$to" <"$work/edges" >"$work/offences"
	[ ! -s "$work/offences" ]
	verdict $? "$name"
	explain "$work/offences"
done <"$work/rules"
exit $failed
