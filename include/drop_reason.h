/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every way podveil loses a packet, once. BPF, tunnel, keyd, the command line, the documentation and the tests are
 * all generated from this list, so a drop without a name cannot be written. Numbers index pinned maps: append only.
 *
 * X(NAME, "text as in the metrics label", "what happened, for a person who reads podveil status")
 * Counts are packets: a super-packet counts its segments. Only udp_overflow (and tun_overflow on a kernel where
 * bpf/kernel_drops.bpf.c cannot be loaded) counts as often as the kernel says: once for several that it had joined.
 */
#pragma once

#define DROP_REASONS(X)                                                                                                \
	/* to_wire: a packet on its way to another node */                                                             \
	X(NO_PEER, "no_peer", "destination lies in the cluster range but no node claims it")                           \
	X(PEER_UNUSABLE, "peer_unusable", "the destination's node has published no key or address we can use")         \
	X(TRUNCATED, "truncated", "IP header cut short or contradicting itself: its destination cannot be told")       \
	X(VLAN_STUCK, "vlan_stuck", "VLAN tags that could not be taken off, or more of them than we look behind")      \
	X(NO_TUNNEL, "no_tunnel", "podveil0 does not exist")                                                           \
	/* wire_guard and from_wire: the second look, and the way in */                                                \
	X(CLEAR_OUT, "clear_out", "a clear pod packet reached the wire side of a device")                              \
	X(CLEAR_IN, "clear_in", "a clear packet from the wire claimed to come from a remote pod")                      \
	/* from_tunnel: a decrypted packet on its way into the node */                                                 \
	X(NOT_LOCAL, "not_local", "decrypted destination is neither a local pod nor an address of this node")          \
	X(TUNNEL_PORT, "tunnel_port", "decrypted packet aimed at the tunnel's own port")                               \
	X(TUNNEL_TRUNCATED, "tunnel_truncated", "decrypted packet has an IP header cut short")                         \
	/* podveil-tunnel, sending */                                                                                  \
	X(TUN_MALFORMED, "tun_malformed", "packet from podveil0 is not an IP packet we can take")                      \
	X(NO_ALLOWED_IP, "no_allowed_ip", "destination is in no peer's allowed IPs")                                   \
	X(NO_KEY, "no_key", "peer has no public key, or this node has no private key")                                 \
	X(NO_ENDPOINT, "no_endpoint", "peer has no endpoint")                                                          \
	X(TOO_BIG, "too_big", "packet larger than the MTU of the tunnel or of its route; the sender was told")         \
	X(STAGE_FULL, "stage_full", "more packets waited for a handshake than the queue holds; the oldest went")       \
	X(STAGE_PURGED, "stage_purged", "packets waited for a handshake that was given up, or for a peer removed")     \
	X(UDP_SEND, "udp_send", "the kernel refused an outer datagram")                                                \
	/* podveil-tunnel, receiving */                                                                                \
	X(UDP_OVERFLOW, "udp_overflow", "the socket's receive buffer overflowed")                                      \
	X(BAD_LENGTH, "bad_length", "datagram has a length no WireGuard message has")                                  \
	X(BAD_TYPE, "bad_type", "datagram is no WireGuard message")                                                    \
	X(BAD_MAC1, "bad_mac1", "handshake message not made for our key")                                              \
	X(UNDER_LOAD, "under_load", "under load: initiation without a valid cookie, or its source over the rate")      \
	X(UNKNOWN_PEER, "unknown_peer", "initiation from a key that is no peer's")                                     \
	X(BAD_HANDSHAKE, "bad_handshake", "handshake message failed authentication, or came in no state to take it")   \
	X(HANDSHAKE_REPLAY, "handshake_replay", "initiation not newer than the last one")                              \
	X(HANDSHAKE_FLOOD, "handshake_flood", "initiations from one peer too close together")                          \
	X(UNKNOWN_INDEX, "unknown_index", "message for a session we do not have")                                      \
	X(BAD_TAG, "bad_tag", "data failed authentication")                                                            \
	X(SESSION_EXPIRED, "session_expired", "data on a session past its time or message limit")                      \
	X(REPLAYED, "replayed", "data whose counter was seen before or is too old")                                    \
	X(INNER_MALFORMED, "inner_malformed", "decrypted bytes are no whole IP packet")                                \
	X(SOURCE_NOT_ALLOWED, "source_not_allowed", "decrypted source is not in the sending peer's allowed IPs")       \
	X(TUN_WRITE, "tun_write", "the kernel refused a decrypted packet")                                             \
	/* podveil-tunnel, sending (later additions stand at the end: the numbers are pinned) */                       \
	X(OWN_MULTICAST, "own_multicast", "multicast of this node's own kernel on podveil0, which is for no peer")     \
	X(TUN_OVERFLOW, "tun_overflow", "podveil0 was down, its queue full, or no tunnel there to read it")            \
	/* wire_guard and from_wire */                                                                                 \
	X(CLEAR_OVERLAY_OUT, "clear_overlay_out", "a clear pod packet inside an overlay's packet reached the wire")    \
	X(CLEAR_OVERLAY_IN, "clear_overlay_in", "an overlay's packet from the wire held a clear packet of a remote pod") \
	X(NOT_WIREGUARD, "not_wireguard", "datagram for the tunnel's port that cannot be a WireGuard message")         \
	/* the kernel itself, as kernel_drops sees it: pod packets and the tunnel's datagrams, in this node's namespace */ \
	X(LINK_DOWN, "link_down", "kernel: its device was down, or stood still while it was being changed")            \
	X(NEIGHBOUR, "neighbour", "kernel: the link-layer address of the next hop was not found")                      \
	X(NO_ROUTE, "no_route", "kernel: no route leads to its destination")                                           \
	X(NETFILTER, "netfilter", "kernel: a firewall or a network policy of this node dropped it")                    \
	X(TUNNEL_AWAY, "tunnel_away", "datagram for the tunnel that came while none ran, or was unread when it ended") \
	X(KERNEL_OTHER, "kernel_other", "kernel: for another reason, which dropwatch(1) and `perf trace` show")         \
	/* podveil-tunnel, sending */                                                                                  \
	X(OWN_DATAGRAM, "own_datagram", "the tunnel's own datagram: a route leads a peer's endpoint into podveil0")           \
	/* keyd's guard, an nf_tables chain (keyd/guard/guard.h) */                                                          \
	X(UNGUARDED_DEVICE, "unguarded_device", "a clear pod packet was to leave by a device that has no hooks yet")

enum drop_reason {
#define X(name, label, text) DROP_##name,
	DROP_REASONS(X)
#undef X
		DROP_REASON_COUNT
};

#ifndef __bpf__
static inline const char *drop_reason_label(enum drop_reason reason)
{
	static const char *const labels[] = {
#define X(name, label, text) [DROP_##name] = label,
		DROP_REASONS(X)
#undef X
	};

	return (unsigned int)reason < DROP_REASON_COUNT ? labels[reason] : "unknown";
}

static inline const char *drop_reason_text(enum drop_reason reason)
{
	static const char *const texts[] = {
#define X(name, label, text) [DROP_##name] = text,
		DROP_REASONS(X)
#undef X
	};

	return (unsigned int)reason < DROP_REASON_COUNT ? texts[reason] : "unknown";
}
#endif
