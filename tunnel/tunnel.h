/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel as one value: the state (state.h) and, beside it, this process's own things (clock,
 * buffers, upcalls). This header and configure.h are all that SHELL needs of CORE; each function is
 * defined in the file of its task (send.c, receive.c, expire.c, outbox.c, path.c).
 *
 * The loop's turn: read the clocks once; tunnel_receive and tunnel_send for what arrived;
 * tunnel_expire; then tunnel_flush, which seals all waiting packets in one batch and hands them to
 * the transmit upcall. CORE makes no other calls.
 */
#pragma once

#include <linux/virtio_net.h>

#include "aead/aead.h"
#include "state.h"

#define OUTBOX_DATAGRAMS 1024 /* sealed packets in one batch */
#define OUTBOX_BYTES	 (2 * 1024 * 1024)
#define RECEIVE_BATCH	 256   /* packets opened at once */
#define UDP_GSO_BYTES	 65507 /* one UDP_SEGMENT message, IPv4 */
#define UDP_GSO_SEGMENTS 64

/* Datagrams to one endpoint, laid end to end: each segment_len long, the last may be shorter.
 * segment_len == len: a single datagram. */
struct outgoing {
	union endpoint to;
	struct local_source from; /* family 0: the kernel chooses */
	uint8_t tos;
	uint8_t *data;
	uint32_t len;
	uint32_t segment_len;
	uint32_t count;
};

/* Datagrams that wait to be sealed and sent. Storage is the caller's; valid until the transmit
 * upcall returns. */
struct outbox {
	uint32_t messages, jobs, used;
	struct outgoing outgoing[OUTBOX_DATAGRAMS];
	struct aead_job aead_jobs[OUTBOX_DATAGRAMS];
	uint8_t bytes[OUTBOX_BYTES];
};

struct tunnel_upcalls {
	/* Sends all. Datagrams that the kernel refuses are counted by the callee with
	 * tunnel_count_drop. */
	void (*transmit)(void *context, const struct outgoing *outgoing, uint32_t count);
	/* A decrypted packet, in the buffer that it arrived in, which stays valid until
	 * tunnel_receive returns. */
	void (*deliver)(void *context, uint8_t *packet, size_t len);
	/* A packet made here (an ICMP error); valid until it returns. */
	void (*inject)(void *context, const uint8_t *packet, size_t len);
	void (*random)(void *context, void *bytes, size_t len);
	/* Length of the largest IP packet that reaches the endpoint whole, as far as the kernel
	 * knows; 0: unknown. */
	uint32_t (*path_mtu)(void *context, const union endpoint *to);
};

/* A stock of random bytes, so that a flood of messages does not cost one call each. Not part of the
 * state: a copy of the state must not use the same bytes. */
struct cookie_nonces {
	unsigned int left;
	uint8_t bytes[32][24];
};

struct tunnel {
	struct tunnel_state *state;
	struct outbox *outbox;
	const struct aead_engine *aead;
	struct tunnel_upcalls upcalls;
	void *context;
	struct cookie_nonces cookie_nonces;
	uint64_t now_ns;  /* boot clock (counts suspend), set by the loop once per turn; never 0 */
	uint64_t wall_ns; /* Unix time */
};

/* One receive: a datagram, or several of one source end to end as UDP_GRO delivers them. Opened in
 * place. */
struct incoming {
	union endpoint from;
	struct local_source to;
	/* of the outer header (IP_RECVTOS, IPV6_RECVTCLASS): its congestion marks are copied to the
	 * inner one */
	uint8_t tos;
	uint8_t *data;
	uint32_t len;
	uint32_t segment_len; /* 0 or >= len: one datagram */
};

/* `state` must be zeroed memory of sizeof(*state), page-aligned (it is large and touched only where
 * used). */
void tunnel_init(struct tunnel *tunnel, struct tunnel_state *state, struct outbox *outbox,
		 const struct aead_engine *aead, const struct tunnel_upcalls *upcalls,
		 void *context);

/* Sends one packet from the TUN, a super-packet or not; borrowed until it returns. */
void tunnel_send(struct tunnel *tunnel, const struct virtio_net_hdr *vnet, const uint8_t *packet,
		 size_t len);

/* Processes all that one turn received, in order; delivers before it returns. */
void tunnel_receive(struct tunnel *tunnel, const struct incoming *incoming, unsigned int count);

/* Boot-clock time at which tunnel_expire has something to do; UINT64_MAX: never. */
uint64_t tunnel_next_deadline(const struct tunnel *tunnel);
void tunnel_expire(struct tunnel *tunnel);

/* Seals and transmits all waiting datagrams. Call it at the end of every turn; it also runs when
 * the outbox is full. */
void tunnel_flush(struct tunnel *tunnel);

/* A datagram was too big for the wire, or the network changed: each peer's path MTU is read again
 * before its next packet. */
void tunnel_path_changed(struct tunnel *tunnel);

/* -- the parts of the state by their index -- */

static inline struct peer *tunnel_peer(const struct tunnel *tunnel, uint32_t peer_index)
{
	return &tunnel->state->peers[peer_index];
}

static inline struct pair *tunnel_pair(const struct tunnel *tunnel, uint32_t pair_index)
{
	return &tunnel->state->pairs[pair_index];
}

static inline struct noise_pair *tunnel_noise(const struct tunnel *tunnel, uint32_t pair_index)
{
	return &tunnel->state->secrets.pairs[pair_index];
}

static inline struct session *tunnel_session(const struct tunnel *tunnel, uint32_t session_index)
{
	return &tunnel->state->sessions[session_index];
}

static inline void tunnel_count_drop(struct tunnel *tunnel, enum drop_reason reason,
				     uint64_t packets)
{
	tunnel->state->drops[reason] += packets;
}
