/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every way podveil loses a packet, listed once. BPF, tunnel, keyd, the command line, the
 * documentation and the tests are all generated from this list, so a drop without a name cannot be
 * written. The numbers index pinned maps: append only.
 *
 * X(NAME, "label", "text for the reader of podveil status")
 * Counters count packets: a super-packet counts its segments. Only udp_overflow (and tun_overflow
 * on a kernel that cannot load bpf/kernel_drops.bpf.c) counts as the kernel does: once for several
 * packets that it had joined.
 */
#pragma once

#define DROP_REASONS(X)															\
	/* to_wire: a packet on its way to another node */										\
	X(NO_PEER, "no_peer", "destination is in the cluster range, but no node claims it")						\
	X(PEER_UNUSABLE, "peer_unusable", "the destination's node has published no usable key or address")				\
	X(TRUNCATED, "truncated", "IP header is cut short or contradicts itself, so the destination is unknown")			\
	X(VLAN_STUCK, "vlan_stuck", "VLAN tags could not be removed, or there are too many of them")					\
	X(NO_TUNNEL, "no_tunnel", "podveil0 does not exist")										\
	/* wire_guard (the second check) and from_wire */										\
	X(CLEAR_OUT, "clear_out", "a cleartext pod packet reached the wire side of a device")						\
	X(CLEAR_IN, "clear_in", "a cleartext packet from the wire claimed to come from a remote pod")					\
	/* from_tunnel: a decrypted packet on its way into the node */									\
	X(NOT_LOCAL, "not_local", "decrypted packet is for neither a local pod nor an address of this node")				\
	X(TUNNEL_PORT, "tunnel_port", "decrypted packet is for the tunnel's own port")							\
	X(TUNNEL_TRUNCATED, "tunnel_truncated", "decrypted packet has an IP header that is cut short")					\
	/* podveil-tunnel, sending */													\
	X(TUN_MALFORMED, "tun_malformed", "packet from podveil0 is not a valid IP packet")						\
	X(NO_ALLOWED_IP, "no_allowed_ip", "destination is in no peer's allowed IPs")							\
	X(NO_KEY, "no_key", "peer has no public key, or this node has no private key")							\
	X(NO_ENDPOINT, "no_endpoint", "peer has no endpoint")										\
	X(TOO_BIG, "too_big", "packet is larger than the MTU of the tunnel or of its route; its sender was notified")			\
	X(STAGE_FULL, "stage_full", "more packets waited for a handshake than the queue holds; the oldest was dropped")			\
	X(STAGE_PURGED, "stage_purged", "packet waited for a handshake that was abandoned, or for a peer that was removed")		\
	X(UDP_SEND, "udp_send", "the kernel refused to send an outer datagram")								\
	/* podveil-tunnel, receiving */													\
	X(UDP_OVERFLOW, "udp_overflow", "the socket's receive buffer overflowed")							\
	X(BAD_LENGTH, "bad_length", "datagram has a length that no WireGuard message has")						\
	X(BAD_TYPE, "bad_type", "datagram is not a WireGuard message")									\
	X(BAD_MAC1, "bad_mac1", "handshake message was not made for this node's key")							\
	X(UNDER_LOAD, "under_load", "under load: initiation has no valid cookie, or its source exceeds the rate limit")			\
	X(UNKNOWN_PEER, "unknown_peer", "initiation from a key that no peer has")							\
	X(BAD_HANDSHAKE, "bad_handshake", "handshake message failed authentication, or was not expected")				\
	X(HANDSHAKE_REPLAY, "handshake_replay", "initiation is not newer than the last one")						\
	X(HANDSHAKE_FLOOD, "handshake_flood", "initiations from one peer are too close together")					\
	X(UNKNOWN_INDEX, "unknown_index", "message for an unknown session")								\
	X(BAD_TAG, "bad_tag", "data failed authentication")										\
	X(SESSION_EXPIRED, "session_expired", "data on a session past its time or message limit")					\
	X(REPLAYED, "replayed", "data with a counter that was seen before or is too old")						\
	X(INNER_MALFORMED, "inner_malformed", "decrypted data is not a complete IP packet")						\
	X(SOURCE_NOT_ALLOWED, "source_not_allowed", "decrypted source is not in the sending peer's allowed IPs")			\
	X(TUN_WRITE, "tun_write", "the kernel refused a decrypted packet")								\
	/* podveil-tunnel, sending (added later: the numbers are pinned, so append) */							\
	X(OWN_MULTICAST, "own_multicast", "multicast of this node's own kernel on podveil0, which is for no peer")			\
	X(TUN_OVERFLOW, "tun_overflow", "podveil0 was down, its queue was full, or no tunnel was running to read it")			\
	/* wire_guard and from_wire */													\
	X(CLEAR_OVERLAY_OUT, "clear_overlay_out", "a cleartext pod packet inside an overlay's packet reached the wire")			\
	X(CLEAR_OVERLAY_IN, "clear_overlay_in", "an overlay's packet from the wire contained a cleartext packet of a remote pod")	\
	X(NOT_WIREGUARD, "not_wireguard", "datagram for the tunnel's port cannot be a WireGuard message")				\
	/* the kernel, in this node's namespace: pod packets and the tunnel's datagrams */						\
	X(LINK_DOWN, "link_down", "kernel: the device was down, or stopped while it was being reconfigured")				\
	X(NEIGHBOUR, "neighbour", "kernel: the link-layer address of the next hop was not found")					\
	X(NO_ROUTE, "no_route", "kernel: no route to the destination")									\
	X(NETFILTER, "netfilter", "kernel: dropped by a firewall or a network policy of this node")					\
	X(TUNNEL_AWAY, "tunnel_away", "datagram for the tunnel arrived while none was running, or was unread when it exited")		\
	X(KERNEL_OTHER, "kernel_other", "kernel: another reason; dropwatch(1) and `perf trace` show which")				\
	/* podveil-tunnel, sending */													\
	X(OWN_DATAGRAM, "own_datagram", "the tunnel's own datagram: a route leads a peer's endpoint into podveil0")			\
	/* keyd's guard, an nf_tables chain (keyd/guard/guard.h) */									\
	X(UNGUARDED_DEVICE, "unguarded_device", "a cleartext pod packet would have left by a device that has no hooks yet")

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
