#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The program that counts the kernel's own losses (bpf/kernel_drops.bpf.c) passes this kernel's
# verifier, finds in its BTF the fields of packets that it reads, and counts to the packet: data for
# a tunnel that does not exist, and no handshake.

# shellcheck source=tests/netns/lib.sh
. "$(dirname "$0")/../netns/lib.sh"

PACKETS=20
HANDSHAKE=1 # types of WireGuard's messages, in their first byte
DATA=4

counted() { "$BUILD/tools/kernel_losses" read "$(agent_bpffs 1)"; }
starts_counting() { in_ns n1 "$BUILD/tools/kernel_losses" count "$(agent_bpffs 1)" $TUNNEL_PORT; }

send_messages() { # TYPE ADDRESS
	# shellcheck disable=SC2016 # for that shell
	in_ns n1 bash -c 'for _ in $(seq "$1"); do printf "\\x$2%0147d" 0 >"/dev/udp/$3/$4"; done' - \
		$PACKETS "$1" "$2" $TUNNEL_PORT
}

counts() { # EXPECTED TYPE ADDRESS
	local before after
	before=$(counted)
	send_messages "$2" "$3"
	after=$(counted)
	echo "$((after - before)) of $PACKETS"
	[ $((after - before)) -eq "$1" ]
}

begin
needs tools/kernel_losses
ns_add n1
check "the kernel takes the program" starts_counting
check "data over IPv4 that no socket accepts is counted, to the packet" counts $PACKETS $DATA 127.0.0.1
check "data over IPv6 that no socket accepts is counted, to the packet" counts $PACKETS $DATA ::1
check "handshakes are not" counts 0 $HANDSHAKE 127.0.0.1
done_testing
